import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { agentOf, openPolicyWorld } from '../support/policy-world.ts';
import { row, strathonReceiver } from '../support/strathon-receiver.ts';
import { eventually } from '../support/weir.ts';

const agent = agentOf('enforce');
const EVIL = row('no-evil', 'attrs["strathon.http.url"].contains("evil")');

describe('a Strathon receiver', () => {
  it('its policies are in force from the first request on; less of them is held back until weir policy accept', {
    timeout: 60_000,
  }, async (t) => {
    const receiver = await strathonReceiver([EVIL]);
    t.after(receiver.close);
    const world = await openPolicyWorld({
      settings: { receiver: receiver.url },
      env: { STRATHON_API_KEY: receiver.key },
    });
    t.after(world.close);
    assert.equal((await world.ask('http://evil.test/', { agent })).status, 403);
    receiver.rows = [];
    await world.weir.admin('/reload', 'POST', {});
    await eventually(() => world.weir.logs().includes('policies-held-back'), 'the warning');
    assert.equal((await world.ask('http://evil.test/', { agent })).status, 403);
    const list = await world.weir.cli(['policy', 'list']);
    assert.match(list.stdout, /Held back until weir policy accept: a set no longer stopping anything: "no-evil"/);
    const accepted = await world.weir.cli(['policy', 'accept']);
    assert.equal(accepted.code, 0);
    assert.equal((await world.ask('http://evil.test/', { agent })).status, 200);
    const audit = await eventually(async () => {
      const rows = await world.weir.query("SELECT actor FROM audit WHERE rule = 'policies-accepted'");
      return rows.length > 0 && rows;
    }, 'the audit row');
    assert.match(String(audit[0]?.['actor']), /^cli /);
    assert.ok(!world.weir.logs().includes(receiver.key));
  });

  it('never loaded: enforce refuses everything, monitor would; traffic is not held while the receiver hangs', {
    timeout: 60_000,
  }, async (t) => {
    const receiver = await strathonReceiver([EVIL]);
    receiver.answer = () => undefined;
    t.after(receiver.close);
    const world = await openPolicyWorld({
      settings: { receiver: receiver.url },
      env: { STRATHON_API_KEY: receiver.key },
      config: { agents: { 'monitor-agent': { mode: 'monitor' } } },
    });
    t.after(world.close);
    for (let i = 0; i < 20; i++)
      assert.equal((await world.ask(`http://ok.test/${i}`, { agent: 'monitor-agent' })).status, 200);
    assert.equal((await world.weir.cli(['mode', agent, 'enforce', '--yes'])).code === 0, false, 'not known yet');
    await world.ask('http://ok.test/', { agent });
    assert.equal((await world.weir.cli(['mode', agent, 'enforce', '--yes'])).code, 0);
    const refused = await world.ask('http://ok.test/', { agent });
    assert.equal(refused.status, 403);
    assert.equal(refused.headers['x-strathon-block-reason'], 'policy');
    assert.equal(
      (JSON.parse(refused.body) as Record<string, string>)['error'],
      'Blocked by policy: _fail_closed_unloaded',
    );
    assert.equal(JSON.parse((await world.weir.admin('/readyz')).body).ok, false);
    const rows = await eventually(async () => {
      const found = await world.weir.query(
        "SELECT would FROM exchanges WHERE agent = 'monitor-agent' AND would = 'block'",
      );
      return found.length >= 20 && found;
    }, 'would-block rows');
    assert.equal(rows.length, 20);
    receiver.answer = undefined;
    await eventually(async () => {
      await world.weir.admin('/reload', 'POST', {});
      return (await world.ask('http://ok.test/', { agent })).status === 200;
    }, 'the policies are loaded');
  });

  it('a restart begins with the last good set, receiver or not', { timeout: 60_000 }, async (t) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'weir-state-'));
    t.after(() => rm(stateDir, { recursive: true, force: true }));
    const receiver = await strathonReceiver([EVIL]);
    const options = { settings: { receiver: receiver.url }, env: { STRATHON_API_KEY: receiver.key }, stateDir };
    const first = await openPolicyWorld(options);
    assert.equal((await first.ask('http://evil.test/', { agent })).status, 403);
    await first.close();
    await receiver.close();
    const second = await openPolicyWorld(options);
    t.after(second.close);
    assert.equal((await second.ask('http://evil.test/', { agent })).status, 403);
    assert.equal((await second.ask('http://ok.test/', { agent })).status, 200);
    await eventually(
      async () => /policies of .* stay in force/.test((await second.weir.cli(['status'])).stdout),
      'status says so',
    );
  });
});
