import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

describe('limits outlive a reload, another mode and a restart', () => {
  const config = {
    agents: {
      saver: { mode: 'enforce', budget: { bytes_out: 50_000, window: 3600 } },
      slow: { mode: 'enforce', rate_limit: 2, rate_window: 600 },
    },
  };

  it('nobody gets a fresh start', { timeout: 60_000 }, async (t) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'weir-limits-'));
    t.after(() => rm(stateDir, { recursive: true, force: true }));
    const policies = {
      policies: [
        {
          name: 'once',
          match_expression: 'attrs["server.address"] == "once.test"',
          action: 'throttle',
          action_config: { max_calls: 1, window_seconds: 3600 },
        },
      ],
    };
    const first = await openPolicyWorld({ config, stateDir, policies });
    t.after(first.close);
    const post = (world: PolicyWorld, size: number) =>
      world.ask('http://a.test/up', { agent: 'saver', method: 'POST', body: 'x'.repeat(size) });
    const get = async (world: PolicyWorld, agent: string, host: string) =>
      (await world.ask(`http://${host}/`, { agent })).status;
    assert.equal((await post(first, 40_000)).status, 200);
    await eventually(async () => (await post(first, 20_000)).status === 429, 'the budget is spent');
    assert.deepEqual([await get(first, 'slow', 'a.test'), await get(first, 'slow', 'b.test')], [200, 200]);
    assert.deepEqual([await get(first, 'saver', 'once.test'), await get(first, 'saver', 'once.test')], [200, 429]);
    const over = async () => [
      (await post(first, 20_000)).status,
      await get(first, 'slow', 'c.test'),
      await get(first, 'saver', 'once.test'),
    ];
    assert.deepEqual(await over(), [429, 429, 429]);
    await first.weir.admin('/reload', 'POST', {});
    assert.deepEqual(await over(), [429, 429, 429], 'after a reload');
    assert.equal((await first.weir.cli(['mode', 'saver', 'monitor'])).code, 0);
    assert.equal((await first.weir.cli(['mode', 'saver', 'enforce', '--yes'])).code, 0);
    assert.deepEqual(await over(), [429, 429, 429], 'after another mode');
    await first.write({
      policies: [...policies.policies, { name: 'new', match_expression: 'false', action: 'block' }],
    });
    await first.weir.admin('/reload', 'POST', {});
    assert.deepEqual(await over(), [429, 429, 429], 'after other policies');
    await first.weir.stop();
    const second = await openPolicyWorld({ config, stateDir });
    t.after(second.close);
    assert.equal((await post(second, 20_000)).status, 429);
    assert.equal(await get(second, 'slow', 'c.test'), 429);
    assert.equal((await post(second, 5_000)).status, 200, 'what was left is left');
  });
});
