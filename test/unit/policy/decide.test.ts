import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AttributeValue } from '../../../src/policy/cel-context.ts';
import { type DecideOptions, type Decision, type Doors, decide, UNLOADED } from '../../../src/policy/decide.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';
import type { Policy } from '../../../src/policy/policy.ts';

const OPEN: Doors = { throttled: () => 0, approved: () => true };
const SHUT: Doors = { throttled: () => 12, approved: () => false };

interface Ask {
  readonly name?: string;
  readonly agent?: string;
  readonly attrs?: Readonly<Record<string, AttributeValue>>;
  readonly doors?: Doors;
  readonly fallback?: string;
  readonly options?: DecideOptions;
}

const row = (name: string, action: string, match_expression = 'true', extra: object = {}) => ({
  name,
  action,
  match_expression,
  ...(action === 'throttle' ? { action_config: { max_calls: 1, window_seconds: 60 } } : {}),
  ...extra,
});

function ask(
  rows: readonly object[],
  { name = 'http.post', agent = 'a', attrs = {}, doors = SHUT, fallback = 'allow', options }: Ask = {},
): Decision {
  const parsed = parsePolicies({ policies: rows, intervention_default_action: fallback }, { name: 'f', kind: 'file' });
  assert.deepEqual(parsed.problems, []);
  return decide(parsed.set, { name, agent, attrs: new Map(Object.entries(attrs)), now: 0 }, doors, options);
}

const short = ({ disposition, decidedBy }: Decision) => [disposition, decidedBy];
const names = (policies: readonly Policy[]) => policies.map(({ name }) => name);

describe('order', () => {
  test('pure priority, then name; allow ends the asking in both postures', () => {
    const rows = [row('block', 'block', 'true', { priority: 1 }), row('allow', 'allow', 'true', { priority: 2 })];
    for (const fallback of ['allow', 'block']) assert.deepEqual(short(ask(rows, { fallback })), ['allow', 'allow']);
    assert.deepEqual(short(ask([row('b', 'allow'), row('a', 'block')])), ['block', 'a']);
  });

  test('what came too late is recorded and decides nothing', () => {
    const decision = ask([row('first', 'allow', 'true', { priority: 3 }), row('second', 'block'), row('third', 'log')]);
    assert.deepEqual(short(decision), ['allow', 'first']);
    assert.deepEqual(names(decision.matched), ['first', 'second', 'third']);
  });

  test('no match: nothing to say, or the default denies', () => {
    assert.deepEqual(short(ask([row('p', 'block', 'false')])), ['none', undefined]);
    const denied = ask([row('p', 'block', 'false')], { fallback: 'block' });
    assert.deepEqual(short(denied), ['block', '_default_deny']);
    assert.deepEqual(denied.answer, { status: 403, blockReason: 'policy', action: 'block' });
    assert.deepEqual(short(UNLOADED), ['block', '_fail_closed_unloaded']);
  });

  test('disabled policies are not asked', () => {
    assert.deepEqual(short(ask([row('p', 'block', 'true', { enabled: false })])), ['none', undefined]);
  });
});

describe('log and alert never decide', () => {
  test('a log above a block does not disable it (S3), an alert blocks nothing (S4)', () => {
    const rows = [row('log', 'log', 'true', { priority: 9 }), row('block', 'block')];
    assert.deepEqual(short(ask(rows)), ['block', 'block']);
    const alert = ask([row('alert', 'alert')]);
    assert.deepEqual(short(alert), ['none', undefined]);
    assert.deepEqual(names(alert.matched), ['alert']);
    assert.deepEqual(short(ask([row('log', 'log')], { fallback: 'block' })), ['block', '_default_deny']);
  });
});

describe('applies_to and agents', () => {
  const fits = (token: string, name = 'http.post') =>
    ask([row('p', 'block', 'true', { applies_to: [token] })], { name }).disposition === 'block';

  test('whole dot segments', () => {
    assert.deepEqual(
      ['http', 'post', 'http.post'].map((token) => fits(token)),
      [true, true, true],
    );
    assert.deepEqual(
      ['pos', 'ttp', 'http.pos', 'p.post', 'http.post.x'].map((token) => fits(token)),
      [false, false, false, false, false],
    );
    assert.equal(fits('tool', 'crewai.pool.x'), false);
    assert.equal(fits('tool.web', 'crewai.tool.web.search'), true);
  });

  test('any of several is enough', () => {
    assert.equal(ask([row('p', 'block', 'true', { applies_to: ['get', 'post'] })]).disposition, 'block');
  });

  test('agents by name or glob', () => {
    const rows = [row('p', 'block', 'true', { agents: ['research-*', 'ops'] })];
    assert.deepEqual(
      ['research-1', 'ops', 'opsx', 'other'].map((agent) => ask(rows, { agent }).disposition),
      ['block', 'block', 'none', 'none'],
    );
  });
});

describe('shadow', () => {
  test('is evaluated and recorded, decides nothing, and its error blocks nothing (S6)', () => {
    const decision = ask([
      row('s1', 'block', 'true', { shadow: true, priority: 9 }),
      row('s2', 'block', '1 / 0 == 1', { shadow: true, priority: 8 }),
      row('s3', 'allow', 'true', { shadow: true, priority: 7 }),
      row('real', 'block', 'name == "http.get"'),
    ]);
    assert.deepEqual(short(decision), ['none', undefined]);
    assert.deepEqual(names(decision.shadowMatched), ['s1', 's3']);
    assert.deepEqual(
      decision.errors.map(({ policy }) => policy.name),
      ['s2'],
    );
    assert.deepEqual(decision.matched, []);
  });
});

describe('errors', () => {
  test('an attribute this request does not have: not applicable, reported, never a block (S5)', () => {
    const rows = [
      row('sql', 'block', 'attrs["strathon.tool.args"].contains("DROP TABLE")'),
      row('last', 'block', 'name == "x"'),
    ];
    const decision = ask(rows);
    assert.deepEqual(short(decision), ['none', undefined]);
    assert.deepEqual(
      decision.notApplicable.map(({ policy, attribute }) => [policy.name, attribute]),
      [['sql', 'strathon.tool.args']],
    );
    assert.deepEqual(decision.errors, []);
    assert.deepEqual(short(ask(rows, { options: { onAbsent: 'block' } })), ['block', '_fail_closed']);
    const allowList = [row('list', 'block', '!(attrs["gen_ai.request.model"] in ["a"])')];
    assert.deepEqual(short(ask(allowList)), ['none', undefined]);
    assert.deepEqual(short(ask(allowList, { attrs: { 'gen_ai.request.model': 'b' } })), ['block', 'list']);
  });

  test('any other error in a policy that stops requests fails closed, where it stands in the order', () => {
    for (const action of ['block', 'throttle', 'require_approval', 'redact']) {
      const decision = ask([row('p', action, 'BROKEN')], { doors: OPEN });
      assert.deepEqual(short(decision), ['block', '_fail_closed'], action);
      assert.equal(decision.policy?.name, 'p');
    }
    const above = [row('ok', 'allow', 'true', { priority: 1 }), row('p', 'block', 'BROKEN')];
    assert.deepEqual(short(ask(above)), ['allow', 'ok']);
    const below = [row('ok', 'allow'), row('p', 'block', 'BROKEN', { priority: 1 })];
    assert.deepEqual(short(ask(below)), ['block', '_fail_closed']);
  });

  test('in a policy that stops nothing it is only reported', () => {
    for (const action of ['log', 'alert', 'steer', 'allow']) {
      const decision = ask([row('p', action, 'BROKEN')]);
      assert.deepEqual(short(decision), ['none', undefined], action);
      assert.equal(decision.errors.length, 1);
    }
    assert.deepEqual(short(ask([row('p', 'allow', 'BROKEN')], { fallback: 'block' })), ['block', '_default_deny']);
  });

  test('a result that is no boolean is an error', () => {
    assert.deepEqual(short(ask([row('p', 'block', '"true"')])), ['block', '_fail_closed']);
  });
});

describe('answers', () => {
  test('block', () => {
    const { answer } = ask([row('p', 'block', 'true', { action_config: { message: 'no uploads' } })]);
    assert.deepEqual(answer, { status: 403, blockReason: 'policy', action: 'block', message: 'no uploads' });
  });

  test('throttle: 429 with Retry-After, 403 on demand; admitted passes on', () => {
    const rows = [row('t', 'throttle', 'true', { priority: 1 }), row('b', 'block')];
    assert.deepEqual(ask(rows).answer, {
      status: 429,
      blockReason: 'policy-throttle',
      action: 'throttle',
      retryAfter: 12,
    });
    assert.equal(ask(rows, { options: { throttleStatus: 403 } }).answer?.status, 403);
    assert.deepEqual(short(ask(rows, { doors: OPEN })), ['block', 'b']);
  });

  test('require_approval: 403 until somebody approves', () => {
    const rows = [
      row('r', 'require_approval', 'true', { action_config: { message: 'ask ops', approvers_required: 2 } }),
    ];
    const { answer } = ask(rows);
    assert.deepEqual(answer, {
      status: 403,
      blockReason: 'policy-approval-required',
      action: 'require_approval',
      message: 'ask ops',
      approval: { timeoutSeconds: 300, approversRequired: 2 },
    });
    assert.deepEqual(short(ask(rows, { doors: OPEN })), ['none', undefined]);
  });

  test('steer, redact', () => {
    const steer = ask([row('s', 'steer', 'true', { action_config: { replacement: 'use the mirror' } })]);
    assert.deepEqual(steer.answer, {
      status: 403,
      blockReason: 'policy-steer-unenforceable',
      action: 'steer',
      replacement: 'use the mirror',
    });
    const redact = ask([row('r', 'redact', 'true', { priority: 1 }), row('b', 'block')]);
    assert.deepEqual([...short(redact), redact.answer], ['redact', 'r', undefined]);
  });

  test('doors are asked only for what is next to decide', () => {
    const asked: string[] = [];
    const doors: Doors = {
      throttled: ({ name }) => {
        asked.push(name);
        return 0;
      },
      approved: ({ name }) => {
        asked.push(name);
        return true;
      },
    };
    const rows = [
      row('t1', 'throttle', 'true', { priority: 5 }),
      row('t2', 'throttle', 'false', { priority: 4 }),
      row('t3', 'throttle', 'true', { priority: 4, shadow: true }),
      row('r', 'require_approval', 'true', { priority: 3 }),
      row('a', 'allow', 'true', { priority: 2 }),
      row('t4', 'throttle'),
    ];
    assert.deepEqual(short(ask(rows, { doors })), ['allow', 'a']);
    assert.deepEqual(asked, ['t1', 'r']);
  });
});
