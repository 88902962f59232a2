import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileLeakRules, type LeakRulesOptions, toldBy } from '../../../src/inspect/leak-rules.ts';
import type { LeakPlace } from '../../../src/inspect/leak-weight.ts';
import type { Found } from '../../../src/model/scan.ts';
import { found, NOWHERE } from './leak-support.ts';
import { exchangeTo } from './support.ts';

function rulesOf(change: Partial<LeakRulesOptions> = {}) {
  return compileLeakRules({
    everywhere: {},
    destinations: [],
    agents: new Map(),
    agentKey: (agent) => (agent.startsWith('task-') ? 'task-*' : agent),
    suppress: [],
    ...change,
  });
}

function asks(
  rules: ReturnType<typeof rulesOf>,
  change: Partial<Found>,
  place: LeakPlace = 'body',
  agent = 'researcher',
  host = 'evil.test',
  target = '/',
): string {
  const exchange = exchangeTo(host, { agent, target });
  return rules.weigh(found({ home: NOWHERE, ...change }), place, exchange)?.disposition ?? 'allow';
}

test('by kind and severity, in both directions; what is not said stays', () => {
  const rules = rulesOf({
    everywhere: {
      requests: { credential: { critical: 'redact', medium: 'allow' }, pii: { medium: 'flag' }, financial: 'block' },
      responses: { credential: 'block', injection: 'redact', pii: 'allow' },
    },
  });
  const table: [Partial<Found>, LeakPlace, string][] = [
    [{ severity: 'critical' }, 'body', 'redact'],
    [{ severity: 'high' }, 'body', 'block'],
    [{ severity: 'medium' }, 'body', 'allow'],
    [{ kind: 'pii', severity: 'medium' }, 'body', 'flag'],
    [{ kind: 'pii', severity: 'low' }, 'body', 'allow'],
    [{ kind: 'financial', severity: 'high' }, 'body', 'block'],
    // A word says what is done about what is told, not that more is told.
    [{ kind: 'financial', severity: 'medium' }, 'body', 'allow'],
    [{ severity: 'medium' }, 'response', 'block'],
    [{ severity: 'low' }, 'response', 'allow'],
    [{ kind: 'injection', severity: 'medium' }, 'response', 'redact'],
    [{ kind: 'injection', severity: 'critical' }, 'body', 'allow'],
    [{ kind: 'pii', severity: 'critical' }, 'response', 'allow'],
  ];
  for (const [change, place, expected] of table)
    assert.equal(asks(rules, change, place), expected, JSON.stringify([change, place]));
});

test('agent › destination › everywhere', () => {
  const rules = rulesOf({
    everywhere: { requests: { credential: 'flag' } },
    destinations: [
      { hosts: ['*.inner.test'], requests: { credential: 'allow', pii: 'redact' } },
      { hosts: ['*'], responses: { injection: 'block' } },
    ],
    agents: new Map([
      ['task-*', { requests: { credential: { critical: 'redact' } }, blocked: [] }],
      ['strict', { blocked: ['pii', 'concealment', 'injection'] }],
    ]),
  });
  const pii: Partial<Found> = { kind: 'pii', severity: 'high' };
  const injection: Partial<Found> = { kind: 'injection', severity: 'medium', category: 'role-hijack' };
  assert.equal(asks(rules, {}, 'body', 'researcher'), 'flag');
  assert.equal(asks(rules, {}, 'body', 'researcher', 'a.inner.test'), 'allow');
  assert.equal(asks(rules, pii, 'body', 'researcher', 'a.inner.test'), 'redact');
  assert.equal(asks(rules, {}, 'body', 'task-7'), 'redact');
  assert.equal(asks(rules, {}, 'body', 'task-7', 'a.inner.test'), 'redact');
  assert.equal(asks(rules, pii, 'body', 'task-7', 'a.inner.test'), 'redact');
  assert.equal(asks(rules, injection, 'response'), 'block');
  assert.equal(asks(rules, injection, 'response', 'researcher', 'a.inner.test'), 'flag');
  assert.equal(asks(rules, pii, 'body', 'strict'), 'block');
  assert.equal(asks(rules, injection, 'response', 'strict', 'a.inner.test'), 'block');
  assert.equal(asks(rules, injection, 'body', 'strict'), 'allow', 'what an agent asks is its own');
});

test('a category of patterns stands before its kind, also where an agent blocks it', () => {
  const tool: Partial<Found> = { kind: 'injection', severity: 'medium', category: 'tool-poisoning' };
  const rules = rulesOf({
    everywhere: { responses: { injection: 'allow', categories: { 'tool-poisoning': 'redact' } } },
    agents: new Map([['strict', { blocked: ['tool-poisoning'] }]]),
  });
  assert.equal(asks(rules, tool, 'response'), 'redact');
  assert.equal(asks(rules, tool, 'response', 'strict'), 'block');
  assert.equal(asks(rules, { ...tool, category: 'role-hijack' }, 'response', 'strict'), 'allow');
});

test('what is never a leak stays none: home, credential fields, places of tokens', () => {
  const rules = rulesOf({ everywhere: { requests: { credential: 'block' } } });
  assert.equal(asks(rules, { home: found().home }, 'body', 'researcher', 'api.home.test'), 'allow');
  assert.equal(asks(rules, { home: found().home }, 'credential-header'), 'flag');
  assert.equal(asks(rules, { rule: 'jwt-token' }, 'cookie'), 'allow');
});

test('known finds are kept quiet and counted: all that an entry names must agree', () => {
  const rules = rulesOf({
    suppress: [
      { fingerprint: '0123456789abcdef', host: '*.good.test', reason: 'the key of the test tenant' },
      { rule: 'test-key', host: 'docs.test', path: '/samples' },
      { rule: 'other-key' },
    ],
  });
  const table: [Partial<Found>, string, string, string][] = [
    [{}, 'a.good.test', '/', 'allow'],
    [{}, 'evil.test', '/', 'block'],
    [{ fingerprint: 'f'.repeat(16) }, 'a.good.test', '/', 'block'],
    [{}, 'docs.test', '/samples/1?a=1', 'allow'],
    [{}, 'docs.test', '/other', 'block'],
    [{}, 'docs.test', '/samples/../other', 'block'],
    [{}, 'docs.test', '/samples%2f..%2fother', 'block'],
    [{ rule: 'other-key', fingerprint: 'f'.repeat(16) }, 'evil.test', '/x', 'allow'],
  ];
  for (const [change, host, target, expected] of table)
    assert.equal(asks(rules, change, 'body', 'researcher', host, target), expected, `${host}${target}`);
  assert.deepEqual(rules.suppressed, [1, 1, 1]);
});

test('secrets of a run count in exchanges of that run only', () => {
  const rules = rulesOf();
  const own = found({ home: NOWHERE, runs: new Set(['run-1']) });
  const run = (id: string) => exchangeTo('evil.test', { connection: { run: { id } as never } });
  assert.equal(rules.weigh(own, 'body', run('run-1'))?.disposition, 'block');
  assert.equal(rules.weigh(own, 'body', run('run-2')), undefined);
  assert.equal(rules.weigh(own, 'body', exchangeTo('evil.test')), undefined);
});

test('patterns nobody is told of are not looked for', () => {
  const email = { kind: 'pii', severity: 'low', category: 'pii' } as const;
  const given = { everywhere: {}, destinations: [], agents: new Map() };
  assert.equal(toldBy(given)('requests', email), false);
  const agents = new Map([['strict', { requests: { pii: { low: 'redact' } }, blocked: [] }]] as const);
  const told = toldBy({ ...given, agents });
  assert.equal(told('requests', email), true);
  assert.equal(told('responses', email), false);
});
