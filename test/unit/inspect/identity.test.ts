import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type AgentEvidence,
  baselineKeys,
  createAgentKeys,
  createIdentify,
  isAgentName,
} from '../../../src/inspect/identity.ts';
import type { IdentityEvidence } from '../../../src/model/ports.ts';

const TOKEN = 'correct-horse-battery';
const agents = new Map<string, AgentEvidence>([
  ['default', { sources: [] }],
  ['researcher', { token: TOKEN, sources: [] }],
  ['coder', { sources: ['10.1.0.0/16'] }],
  ['writer', { sources: [] }],
  ['task-*', { sources: [] }],
  ['vault-*', { token: 'glob-token-secret', sources: [] }],
]);
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const weigh = (
  evidence: Partial<IdentityEvidence> & { from?: string },
  identify: 'optional' | 'required' = 'optional',
  maxAgents = 10,
) =>
  createIdentify({ agents, defaultAgent: 'default', identify, maxAgents })({
    client: { address: evidence.from ?? '127.0.0.1' },
    ...evidence,
  });

test('each kind of evidence alone', () => {
  assert.deepEqual(weigh({ proxyAuthorization: basic(`researcher:${TOKEN}`) }), { agent: 'researcher', by: 'token' });
  assert.deepEqual(weigh({ proxyAuthorization: basic(`:${TOKEN}`) }), { agent: 'researcher', by: 'token' });
  assert.deepEqual(weigh({ proxyAuthorization: `Bearer ${TOKEN}` }), { agent: 'researcher', by: 'token' });
  assert.deepEqual(weigh({ listenerAgent: 'writer' }), { agent: 'writer', by: 'listener' });
  assert.deepEqual(weigh({ from: '10.1.2.3' }), { agent: 'coder', by: 'source' });
  assert.deepEqual(weigh({ from: '::ffff:10.1.2.3' }), { agent: 'coder', by: 'source' });
  assert.deepEqual(weigh({ proxyAuthorization: basic('writer:x') }), { agent: 'writer', by: 'claim' });
  assert.deepEqual(weigh({ proxyAuthorization: basic('writer') }), { agent: 'writer', by: 'claim' });
  assert.deepEqual(weigh({ claimedBy: 'writer' }), { agent: 'writer', by: 'claim' });
  assert.deepEqual(weigh({}), { agent: 'default', by: 'default' });
  assert.deepEqual(weigh({ proxyAuthorization: basic('vault-7:glob-token-secret') }), {
    agent: 'vault-7',
    by: 'token',
  });
});

test('the conflict matrix: the stronger decides, the weaker is told', () => {
  const evidence = {
    token: { proxyAuthorization: basic(`researcher:${TOKEN}`) },
    listener: { listenerAgent: 'writer' },
    source: { from: '10.1.2.3' },
    claim: { claimedBy: 'task-1' },
  } as const;
  const expected = { token: 'researcher', listener: 'writer', source: 'coder', claim: 'task-1' } as const;
  const order = ['token', 'listener', 'source', 'claim'] as const;
  for (const [i, strong] of order.entries()) {
    for (const weak of order.slice(i + 1)) {
      const got = weigh({ ...evidence[weak], ...evidence[strong] });
      assert.equal(got.agent, expected[strong], `${strong} over ${weak}`);
      assert.equal(got.by, strong);
      assert.match(got.conflict ?? '', new RegExp(expected[weak]), `${strong} over ${weak}`);
    }
  }
  assert.equal(weigh({ ...evidence.listener, claimedBy: 'writer' }).conflict, undefined);
  assert.match(weigh({ listenerAgent: 'writer', claimedBy: '../../x' }).conflict ?? '', /illegal name/);
});

test('a name with a token is claimed only with it', () => {
  for (const proxyAuthorization of [
    basic('researcher:x'),
    basic('researcher'),
    basic('researcher:'),
    basic('vault-7:x'),
  ]) {
    assert.ok(weigh({ proxyAuthorization }).challenge, proxyAuthorization);
  }
  assert.ok(weigh({ claimedBy: 'researcher' }).challenge);
  // Another agent's token does not help, nor a glob's for the default.
  assert.ok(weigh({ proxyAuthorization: basic('researcher:glob-token-secret') }).challenge);
  assert.equal(weigh({ proxyAuthorization: basic(`writer:${TOKEN}`) }).by, 'claim');
  // Stronger evidence stands by itself.
  assert.deepEqual(weigh({ listenerAgent: 'researcher', claimedBy: 'researcher' }), {
    agent: 'researcher',
    by: 'listener',
  });
});

test('identify: required challenges whoever gives nothing', () => {
  assert.ok(weigh({}, 'required').challenge);
  assert.ok(weigh({ proxyAuthorization: 'Negotiate abc' }, 'required').challenge);
  assert.ok(weigh({ claimedBy: 'no good name' }, 'required').challenge);
  assert.equal(weigh({ claimedBy: 'writer' }, 'required').challenge, undefined);
});

test('names: illegal ones become the default, unknown ones are bounded', () => {
  for (const claimedBy of ['../../x', 'a b', '-a', '.a', 'é', 'a'.repeat(64), 'x\n', '_a']) {
    assert.deepEqual(weigh({ claimedBy }), { agent: 'default', by: 'default', invalid: true }, claimedBy);
  }
  const identify = createIdentify({ agents, defaultAgent: 'default', identify: 'optional', maxAgents: 2 });
  const name = (claimedBy: string) => identify({ client: { address: '127.0.0.1' }, claimedBy }).agent;
  assert.deepEqual(['constructor', 'new-2', 'new-3', 'constructor', 'writer', 'task-9'].map(name), [
    'constructor',
    'new-2',
    'other',
    'constructor',
    'writer',
    'task-9',
  ]);
  assert.equal(isAgentName('__proto__'), false);
});

test('broken credentials are no credentials', () => {
  for (const proxyAuthorization of ['', 'Basic', 'Basic !!!', 'Basic ', ':', 'Basic 44']) {
    assert.ok(['default', 'claim'].includes(weigh({ proxyAuthorization }).by), proxyAuthorization);
  }
});

test('property: without the token nothing is ever identified by token', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('researcher', 'vault-1', 'writer', '', 'default'), (password, name) => {
      fc.pre(password !== TOKEN && password !== 'glob-token-secret');
      assert.notEqual(weigh({ proxyAuthorization: basic(`${name}:${password}`) }).by, 'token');
    }),
    { numRuns: 300 },
  );
});

test('keys: exact before glob before default; baselines of globs and newcomers', () => {
  const keys = createAgentKeys(agents.keys(), 'default');
  assert.deepEqual(
    ['researcher', 'task-1', 'nobody', 'default', '__proto__'].map((n) => keys.configKey(n)),
    ['researcher', 'task-*', 'default', 'default', 'default'],
  );
  assert.deepEqual(
    ['task-1', 'nobody', 'default'].map((n) => keys.known(n)),
    [true, false, true],
  );
  const baseline = baselineKeys(keys, new Set(['task-*']), 'default', (name) => name === 'sneaky');
  assert.deepEqual(['task-1', 'task-2', 'vault-1', 'nobody', 'sneaky', 'task-*'].map(baseline), [
    'task-*',
    'task-*',
    'vault-1',
    'nobody',
    'default',
    'task-*',
  ]);
});

test('where agents must prove themselves with tokens, a name nobody configured is challenged', () => {
  const identify = createIdentify({
    agents: new Map([['bot', { token: 'tok-12345678', sources: [] }]]),
    defaultAgent: 'default',
    identify: 'required',
    maxAgents: 10,
  });
  const claim = (user: string) =>
    identify({
      client: { address: '10.0.0.1' },
      proxyAuthorization: `Basic ${Buffer.from(user).toString('base64')}`,
    });
  assert.notEqual(claim('stranger:x').challenge, undefined);
  assert.equal(claim('bot:tok-12345678').challenge, undefined);
});
