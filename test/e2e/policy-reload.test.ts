import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { connectTo } from '../support/agent.ts';
import { agentOf, openPolicyWorld, type PolicyWorld } from '../support/policy-world.ts';
import { eventually } from '../support/weir.ts';

const bounded = (promise: Promise<void>): Promise<unknown> =>
  Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error('still open')), 8000).unref())]);
const agent = agentOf('enforce');
const block = (name: string, host: string) => ({
  name,
  match_expression: `attrs["server.address"] == "${host}"`,
  action: 'block',
});

describe('policy files change while traffic flows', () => {
  let world: PolicyWorld;
  before(async () => {
    world = await openPolicyWorld({ policies: { policies: [block('first', 'a.test'), block('both', 'both.test')] } });
  });
  after(() => world?.close());

  const status = async (url: string): Promise<number> => (await world.ask(url, { agent })).status;
  const becomes = (url: string, wanted: number) =>
    eventually(async () => (await status(url)) === wanted, `${url} answers ${wanted}`);

  it('a change is taken over, whole, without a signal', async () => {
    assert.deepEqual([await status('http://a.test/'), await status('http://b.test/')], [403, 200]);
    await world.write({ policies: [block('second', 'b.test'), block('both', 'both.test')] });
    await becomes('http://b.test/', 403);
    assert.deepEqual([await status('http://a.test/'), await status('http://both.test/')], [200, 403]);
  });

  it('less than before is an audit event and a warning', async () => {
    const rows = await eventually(async () => {
      const found = await world.weir.query(`SELECT rule, message FROM audit WHERE rule = 'policies-loosened'`);
      return found.length > 0 && found;
    }, 'the audit row');
    assert.match(String(rows[0]?.['message']), /no longer stopping anything: "first"/);
    assert.match(world.weir.logs(), /no longer stopping anything: \\"first\\"/);
  });

  it('a broken file keeps the old set and says file, line and policy', async () => {
    await world.write({
      policies: [block('second', 'c.test'), { ...block('third', 'c.test'), match_expression: 'not valid @@@' }],
    });
    await eventually(() => world.weir.logs().includes('policies-kept'), 'the warning');
    assert.match(world.weir.logs(), /policies\.yaml:\d+: policy \\?"third\\?": match_expression does not compile/);
    assert.deepEqual([await status('http://b.test/'), await status('http://c.test/')], [403, 200]);
    await writeFile(world.file, 'policies: [', { mode: 0o600 });
    world.weir.kill('SIGHUP');
    await eventually(() => world.weir.logs().includes('reload'), 'the refusal of the reload');
    assert.equal(await status('http://b.test/'), 403);
    await world.write({ policies: [block('second', 'c.test')] });
    await becomes('http://c.test/', 403);
    assert.equal(await status('http://b.test/'), 200);
  });

  it('what weir mode had raised ends with a reload, which is told', async () => {
    assert.equal((await world.weir.cli(['mode', 'enforce', '--yes'])).code, 0);
    world.weir.kill('SIGHUP');
    const rows = await eventually(async () => {
      const found = await world.weir.query(`SELECT message FROM audit WHERE rule = 'reload-lowered'`);
      return found.length > 0 && found;
    }, 'the audit row');
    assert.match(String(rows[0]?.['message']), /mode: monitor, was enforce \(weir mode\)/);
  });

  it('a swap judges open tunnels again', async () => {
    const { socket, answer } = await connectTo(world.weir, 'open.tunnel.example:443', { agent });
    assert.equal(answer.status, 200);
    const closed = new Promise<void>((resolve) => void socket.once('end', resolve).once('close', resolve));
    socket.resume();
    await world.write({ policies: [block('tunnels', 'open.tunnel.example')] });
    await bounded(closed);
    socket.destroy();
    const again = await connectTo(world.weir, 'open.tunnel.example:443', { agent });
    assert.equal(again.answer.status, 403);
    again.socket.destroy();
  });
});
