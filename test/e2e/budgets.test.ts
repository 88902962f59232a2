import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectTo } from '../support/agent.ts';
import { secure } from '../support/origins.ts';
import { openPolicyWorld, type PolicyWorld } from '../support/policy-world.ts';
import { eventually } from '../support/weir.ts';

const budget = { bytes_out: 100_000, bytes_out_per_destination: 50_000, window: 3600 };

describe('data budgets and rates per destination', () => {
  let world: PolicyWorld;
  before(async () => {
    world = await openPolicyWorld({
      config: {
        agents: {
          saver: { mode: 'enforce', budget },
          watched: { mode: 'monitor', budget },
          streamer: { mode: 'enforce', budget },
          slow: { mode: 'enforce', rate_limit_per_destination: 2, rate_window: 600 },
        },
      },
    });
  });
  after(() => world?.close());

  it('what is spent is refused with 429 and Retry-After, elsewhere it goes on; monitor would', async () => {
    const post = (agent: string, host: string, size: number) =>
      world.ask(`http://${host}/up`, { agent, method: 'POST', body: 'x'.repeat(size) });
    assert.equal((await post('saver', 'a.test', 40_000)).status, 200);
    const refused = await eventually(async () => {
      const answer = await post('saver', 'a.test', 20_000);
      return answer.status === 429 && answer;
    }, 'the budget is spent');
    assert.equal(refused.headers['x-strathon-block-reason'], 'data-budget');
    assert.ok(Number(refused.headers['retry-after']) > 3000);
    assert.equal((await post('saver', 'b.test', 20_000)).status, 200);
    assert.equal((await post('watched', 'a.test', 60_000)).status, 200);
    const rows = await eventually(async () => {
      const found = await world.weir.query("SELECT would FROM exchanges WHERE agent = 'watched' AND would = 'block'");
      return found.length === 1 && found;
    }, 'the would-block row');
    assert.equal(rows.length, 1);
  });

  it('a tunnel that outgrows its budget ends', async () => {
    const { socket, answer } = await connectTo(world.weir, 'big.tunnel.example:443', { agent: 'streamer' });
    assert.equal(answer.status, 200);
    const tls = await secure(socket, { servername: 'big.tunnel.example', ca: world.upstreamCa });
    let ended = false;
    tls
      .on('error', () => undefined)
      .on('close', () => (ended = true))
      .on('end', () => (ended = true))
      .resume();
    tls.write('POST / HTTP/1.1\r\nhost: big.tunnel.example\r\ncontent-length: 10000000\r\n\r\n');
    tls.write(Buffer.alloc(80_000));
    await eventually(() => ended, 'it is closed');
    tls.destroy();
  });

  it('a rate per destination', async () => {
    const status = async (host: string) => (await world.ask(`http://${host}/`, { agent: 'slow' })).status;
    assert.deepEqual([await status('a.test'), await status('a.test'), await status('a.test')], [200, 200, 429]);
    assert.equal(await status('b.test'), 200);
  });
});
