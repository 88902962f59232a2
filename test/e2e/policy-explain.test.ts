import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ExplainReport } from '../../src/model/policy.ts';
import { agentOf, openPolicyWorld, type PolicyWorld } from '../support/policy-world.ts';
import { eventually } from '../support/weir.ts';

const POLICIES = {
  policies: [
    { name: 'no-evil', match_expression: 'attrs["strathon.http.url"].contains("evil")', action: 'block' },
    {
      name: 'once',
      match_expression: 'attrs["server.address"] == "once.test"',
      action: 'throttle',
      action_config: { max_calls: 1, window_seconds: 3600 },
    },
    { name: 'ask', match_expression: 'attrs["server.address"] == "ask.test"', action: 'require_approval' },
  ],
};
const agent = agentOf('enforce');

describe('weir policy explain', () => {
  let world: PolicyWorld;
  before(async () => {
    world = await openPolicyWorld({
      policies: POLICIES,
      config: {
        destinations: { blocked: ['listed.test'] },
        agents: {
          [agent]: { mode: 'enforce' },
          rated: { mode: 'enforce', rate_limit: 2, rate_window: 600 },
          saver: { mode: 'enforce', budget: { bytes_out: 1000, window: 600 } },
        },
      },
    });
  });
  after(() => world?.close());

  const explain = async (...args: string[]): Promise<ExplainReport> => {
    const { stdout, stderr, code } = await world.weir.cli(['policy', 'explain', '--json', ...args]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as ExplainReport;
  };

  it('a refusal: findings, verdict and the action in each mode', async () => {
    const answer = await world.ask('http://evil.test/x', { agent });
    const { ref = '', next = '' } = JSON.parse(answer.body) as Record<string, string>;
    assert.match(next, new RegExp(`weir policy explain ${ref}$`));
    const report = await eventually(async () => {
      const { stdout, code } = await world.weir.cli(['policy', 'explain', '--json', ref]);
      return code === 0 && (JSON.parse(stdout) as ExplainReport);
    }, 'the row is stored');
    assert.equal(report.steps.length, 1);
    const [step] = report.steps;
    assert.deepEqual(
      [step?.verdict, step?.rule, step?.mode, step?.agent],
      ['block', 'policy:no-evil', 'enforce', agent],
    );
    assert.deepEqual(step?.modes, {
      monitor: { action: 'forward', would: 'block' },
      redact: { action: 'forward', would: 'block' },
      enforce: { action: 'block', would: 'none' },
    });
    const human = await world.weir.cli(['policy', 'explain', ref]);
    assert.match(human.stdout, /verdict +block, by policy:no-evil/);
    assert.match(human.stdout, /enforce +block +← applies here/);
  });

  it('a refusal that was given inside TLS, and one of a CONNECT', async () => {
    // In this order: a client that has trusted our CA once is refused inside TLS from then on.
    for (const url of ['https://evil.tunnel.example/', 'https://evil.read.example/']) {
      const answer = await world.ask(url, { agent });
      assert.equal(answer.status, 403);
      const { ref = '' } = JSON.parse(answer.body) as Record<string, string>;
      const report = await eventually(async () => {
        const { stdout, code } = await world.weir.cli(['policy', 'explain', '--json', ref]);
        return code === 0 && (JSON.parse(stdout) as ExplainReport);
      }, `the row of ${url} is stored`);
      assert.equal(report.steps[0]?.rule, 'policy:no-evil');
    }
  });

  it('a request that is not made: as the traffic would be judged, without any', async () => {
    const seen = world.origin.seen.length;
    const one = await explain('GET', 'http://evil.test/', '--agent', agent);
    assert.equal(one.steps[0]?.rule, 'policy:no-evil');
    const listed = await explain('GET', 'http://listed.test/', '--agent', agent);
    assert.equal(listed.steps[0]?.rule, 'destination-blocked');
    assert.ok(listed.steps[0]?.inspectors.includes('address'));
    const read = await explain('GET', 'https://ok.read.example/evil', '--agent', agent);
    assert.deepEqual(
      read.steps.map(({ what, verdict, visibility }) => [what.split(' ')[0], verdict, visibility]),
      [
        ['CONNECT', 'allow', 'intercepted'],
        ['GET', 'block', 'intercepted'],
      ],
    );
    const tunnel = await explain('GET', 'https://ok.tunnel.example/evil', '--agent', agent);
    assert.deepEqual(
      tunnel.steps.map(({ verdict, visibility }) => [verdict, visibility]),
      [['allow', 'tunnel']],
    );
    assert.equal(world.origin.seen.length, seen);
  });

  it('takes no token, counts nothing, asks nobody', async () => {
    for (let i = 0; i < 3; i++) await explain('GET', 'http://once.test/', '--agent', agent);
    await explain('GET', 'http://ask.test/', '--agent', agent);
    assert.equal((await world.ask('http://once.test/', { agent })).status, 200);
    const spent = await explain('GET', 'http://once.test/', '--agent', agent);
    assert.deepEqual([spent.steps[0]?.verdict, spent.steps[0]?.rule], ['block', 'policy:once']);
    assert.equal((await explain('GET', 'http://once.test/', '--agent', 'other')).steps[0]?.verdict, 'allow');
    const { stdout } = await world.weir.cli(['policy', 'list', '--json']);
    const { policies } = JSON.parse(stdout) as { policies: { name: string; matches: number }[] };
    assert.deepEqual(policies.find(({ name }) => name === 'ask')?.matches, 0);
    assert.equal(policies.find(({ name }) => name === 'once')?.matches, 1);
  });

  it('says how rates and budgets stand, and takes nothing from them', async () => {
    const ruleOf = async (url: string, name: string) =>
      (await explain('GET', url, '--agent', name)).steps.map(({ rule }) => rule);
    const made = async (name: string) => (await world.ask('http://any.test/', { agent: name })).status;
    for (let i = 0; i < 3; i++) assert.deepEqual(await ruleOf('http://any.test/', 'rated'), [undefined]);
    assert.deepEqual([await made('rated'), await made('rated')], [200, 200]);
    assert.deepEqual(await ruleOf('http://any.test/', 'rated'), ['rate-limit']);
    assert.deepEqual(await ruleOf('https://ok.read.example/', 'rated'), ['rate-limit', undefined]);
    assert.equal(await made('rated'), 429);
    const body = 'x'.repeat(1000);
    assert.equal((await world.ask('http://any.test/', { agent: 'saver', method: 'POST', body })).status, 200);
    await eventually(
      async () => (await ruleOf('http://any.test/', 'saver'))[0] === 'data-budget',
      'the budget is spent',
    );
  });

  it('mistakes are told', async () => {
    for (const [args, pattern] of [
      [['nonsense'], /ten characters of a ref/],
      [['0123456789'], /no row has the ref/],
      [['GET', 'ftp://x'], /is no http/],
    ] as const) {
      const { code, stderr } = await world.weir.cli(['policy', 'explain', ...args]);
      assert.notEqual(code, 0);
      assert.match(stderr, pattern);
    }
  });
});
