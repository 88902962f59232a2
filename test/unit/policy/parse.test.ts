import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ParsedPolicies, parsePolicies } from '../../../src/policy/parse.ts';
import { createSet } from '../../../src/policy/policy.ts';

const row = (extra: object = {}) => ({ name: 'p', match_expression: 'true', action: 'block', ...extra });
const file = (policies: unknown, extra: object = {}): ParsedPolicies =>
  parsePolicies({ policies, ...extra }, { name: 'policies.yaml', kind: 'file' });
const receiver = (policies: unknown, extra: object = {}): ParsedPolicies =>
  parsePolicies({ policies, ...extra }, { name: 'https://strathon.example', kind: 'receiver' });
const messages = (parsed: ParsedPolicies) => parsed.problems.map(({ message }) => message);

test('a row of GET /v1/policies is read as it is', () => {
  const { set, problems } = receiver(
    [
      {
        id: '3f1c',
        project_id: 'p-1',
        name: 'throttle expensive models',
        description: null,
        match_expression: 'attrs["gen_ai.request.model"] in ["a", "b"]',
        action: 'throttle',
        action_config: { max_calls: 10, window_seconds: 60, scope: 'global', message: 'slow down' },
        applies_to: ['http'],
        enabled: true,
        priority: 500,
        match_count: 7,
        last_matched_at: null,
        shadow: false,
        created_at: '2026-01-01T00:00:00Z',
        updated_at: '2026-01-01T00:00:00Z',
        something_new: { of: 'a later version' },
      },
    ],
    { intervention_default_action: 'block' },
  );
  assert.deepEqual(problems, []);
  assert.equal(set.defaultAction, 'block');
  const { compiled, ...rest } = set.policies[0] as (typeof set.policies)[0];
  assert.deepEqual([...compiled.reads], ['gen_ai.request.model']);
  assert.deepEqual(rest, {
    id: '3f1c',
    name: 'throttle expensive models',
    action: 'throttle',
    config: {
      message: 'slow down',
      maxCalls: 10,
      windowSeconds: 60,
      scope: 'global',
      timeoutSeconds: 300,
      approversRequired: 1,
    },
    appliesTo: ['http'],
    agents: [],
    enabled: true,
    priority: 500,
    shadow: false,
    where: 'https://strathon.example',
  });
});

test('what is missing or null has Strathon’s defaults', () => {
  const { set, problems } = receiver([
    { name: 'p', match_expression: 'true', action_config: null, applies_to: null, priority: null, enabled: null },
  ]);
  assert.deepEqual(problems, []);
  const [policy] = set.policies;
  assert.equal(policy?.action, 'block');
  assert.equal(policy?.id, 'p');
  assert.deepEqual([policy?.priority, policy?.enabled, policy?.shadow, policy?.appliesTo], [0, true, false, []]);
  assert.equal(set.defaultAction, 'allow');
});

test('an export, and a bare list, are policy files', () => {
  const exported = file(
    [{ ...row(), description: 'd', action_config: {}, applies_to: [], enabled: true, priority: 1, shadow: true }],
    {
      count: 1,
    },
  );
  assert.deepEqual(exported.problems, []);
  assert.equal(exported.set.policies[0]?.shadow, true);
  const bare = parsePolicies([row()], { name: 'p.json', kind: 'file' });
  assert.deepEqual([bare.problems.length, bare.set.policies.length], [0, 1]);
});

test('an unknown action is an error in a file and `block` from a receiver', () => {
  assert.equal(receiver([row({ action: 'quarantine' })]).set.policies[0]?.action, 'block');
  assert.match(
    messages(file([row({ action: 'quarantine' })]))[0] as string,
    /policy "p": action must be one of log, alert/,
  );
});

test('priority descending, then name; equal ids are told apart', () => {
  const rows = [
    row({ name: 'b', priority: 1 }),
    row({ name: 'a', priority: 1, action: 'log' }),
    row({ name: 'z', priority: 9 }),
    row({ name: 'B', priority: 1 }),
    row({ name: 'a', priority: -5 }),
  ];
  const { set } = receiver(rows);
  assert.deepEqual(
    set.policies.map(({ name, priority }) => `${name}${priority}`),
    ['z9', 'B1', 'a1', 'b1', 'a-5'],
  );
  assert.deepEqual(
    set.policies.map(({ id }) => id),
    ['z', 'B', 'a', 'b', 'a#2'],
  );
  const both = createSet([receiver([row()]).set, receiver([row()], { intervention_default_action: 'block' }).set]);
  assert.deepEqual([both.defaultAction, both.policies.map(({ id }) => id)], ['block', ['p', 'p#2']]);
});

test('problems name file, line, policy and key', () => {
  const line = (path: readonly PropertyKey[]) => 10 + path.length;
  const parsed = parsePolicies(
    {
      policies: [
        row({ name: 'broken', match_expression: 'not valid @@@' }),
        row({ name: 'odd', priority: 1.5, enabled: 'yes', colour: 'red' }),
        row({ name: 'slow', action: 'throttle', action_config: { max_calls: 0, window_secs: 60 } }),
        row({ name: '', applies_to: 'http' }),
        'nothing',
        row({ name: 'good' }),
      ],
      default: 'block',
    },
    { name: 'policies.yaml', kind: 'file', line },
  );
  assert.equal(
    messages(parsed)[0],
    'policies.yaml:11: default is not known here — known: policies, intervention_default_action, count',
  );
  const rest = messages(parsed).slice(1).join('\n');
  for (const expected of [
    /policies\.yaml:13: policy "broken": match_expression does not compile: Unexpected .* \(line 1, column 5\)/,
    /policies\.yaml:13: policy "odd": colour is not known here — known: id, name/,
    /policies\.yaml:13: policy "odd": enabled must be true or false/,
    /policies\.yaml:13: policy "odd": priority must be a whole number/,
    /policies\.yaml:14: policy "slow": action_config\.window_secs is not known here — known: message, max_calls, window_seconds, scope/,
    /policies\.yaml:14: policy "slow": action_config\.max_calls must be a whole number from 1/,
    /policies\.yaml:14: policy "slow": action_config\.window_seconds is missing/,
    /name is empty/,
    /applies_to must be a list/,
    /policies\.yaml:12: a policy must be a map/,
  ]) {
    assert.match(rest, expected);
  }
  assert.deepEqual(
    parsed.set.policies.map(({ name }) => name),
    ['good'],
  );
});

test('the same policy twice is an error in a file', () => {
  assert.match(messages(file([row(), row()]))[0] as string, /policy "p" stands twice/);
  assert.deepEqual(messages(file([row(), row({ match_expression: 'false' })])), []);
});

test('anything at all is read without a throw', () => {
  const hostile = JSON.parse(
    '{"policies":[{"__proto__":{"name":"x"},"constructor":1,"name":"n","match_expression":"true"}]}',
  );
  for (const input of [null, 1, 'x', [], {}, { policies: null }, { policies: {} }, [null], [[]], [{}], hostile]) {
    for (const kind of ['file', 'receiver'] as const) {
      const { set } = parsePolicies(input, { name: 'x', kind });
      assert.ok(set.policies.length <= 1);
    }
  }
  assert.match(
    messages(parsePolicies(7, { name: 'x', kind: 'file' }))[0] as string,
    /x: must be a map with `policies:`/,
  );
  assert.match(messages(file(hostile.policies))[0] as string, /__proto__ is not known here/);
});

test('a webhook address is not repeated', () => {
  const [message] = messages(file([row({ action: 'alert', action_config: { webhook_url: 'hooks/very-secret' } })]));
  assert.match(message as string, /action_config\.webhook_url must be an http/);
  assert.ok(!(message as string).includes('secret'));
});

test('default action: what is neither allow nor block is an error and denies', () => {
  const parsed = file([row()], { intervention_default_action: 'deny' });
  assert.equal(parsed.set.defaultAction, 'block');
  assert.match(messages(parsed)[0] as string, /intervention_default_action must be allow or block/);
});
