import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Accounts, createAccounts } from '../../../src/inspect/account.ts';
import type { AccountKind, AccountStat } from '../../../src/model/account.ts';
import { exchangeTo, type Made } from './support.ts';

type Account = Parameters<Accounts['observe']>[1];

const fixture = (onUnknown: 'flag' | 'block' = 'flag') => {
  const accounts = createAccounts({ asOne: (agent) => agent, onUnknown, placesPerAgent: 100, shown: (host) => host });
  return {
    accounts,
    use(host: string, account: Account, state: 'learning' | 'ready' | 'locked', made: Made = { method: 'POST' }) {
      const exchange = exchangeTo(host, made);
      const findings = accounts.observe(exchange, account, state);
      accounts.teach(exchange, account, state);
      return findings.map((f) => f.message);
    },
  };
};

test("a credential never used with a host: somebody else's key", () => {
  const f = fixture();
  assert.deepEqual(f.use('api.anthropic.com', { credentialFp: 'one' }, 'learning'), []);
  assert.deepEqual(f.use('api.anthropic.com', { credentialFp: 'one' }, 'ready'), []);
  assert.deepEqual(f.use('api.anthropic.com', { credentialFp: 'two' }, 'ready'), [
    'researcher used a credential it has never used with api.anthropic.com',
  ]);
  assert.deepEqual(f.use('api.anthropic.com', { credentialFp: 'two' }, 'ready'), []);
  assert.deepEqual(f.use('new.example', { credentialFp: 'two' }, 'ready'), [], 'a new host is news of its own');
  assert.deepEqual(f.use('api.anthropic.com', {}, 'ready'), []);
});

test('a tenant never written to, over all hosts of the service; reading is not writing', () => {
  const f = fixture();
  f.use('api.github.com', { tenant: 'github.com/acme' }, 'learning');
  assert.deepEqual(f.use('github.com', { tenant: 'github.com/evil-org' }, 'ready', { method: 'GET' }), []);
  assert.deepEqual(
    f.use('github.com', { tenant: 'github.com/evil-org' }, 'ready', {
      method: 'POST',
      target: '/evil-org/x.git/git-upload-pack',
    }),
    [],
  );
  assert.deepEqual(
    f.use('github.com', { tenant: 'github.com/evil-org' }, 'ready', {
      method: 'POST',
      target: '/evil-org/x.git/git-receive-pack',
    }),
    ['researcher wrote to github.com/evil-org, it has only written to github.com/acme'],
  );
});

test('blocked and locked agents learn nothing; where unknown is blocked they hear it every time', () => {
  const f = fixture('block');
  f.use('h.example', { credentialFp: 'one' }, 'learning');
  for (let i = 0; i < 2; i++) assert.equal(f.use('h.example', { credentialFp: 'two' }, 'ready').length, 1);
  const locked = fixture();
  locked.use('h.example', { credentialFp: 'one' }, 'learning');
  assert.equal(locked.use('h.example', { credentialFp: 'two' }, 'locked').length, 1);
});

test('credentials that keep changing are no news, and memory is bounded', () => {
  const f = fixture();
  for (let i = 0; i < 500; i++) f.use('h.example', { credentialFp: `k${i}` }, 'learning');
  assert.deepEqual(f.use('h.example', { credentialFp: 'other' }, 'ready'), []);
  for (let i = 0; i < 500; i++) f.use(`h${i}.example`, { credentialFp: 'k' }, 'learning');
  assert.deepEqual(f.use('h499.example', { credentialFp: 'other' }, 'ready'), []);
});

const stat = (kind: AccountKind, place: string, value: string): AccountStat => {
  return { agent: 'researcher', place, kind, value, firstSeen: 0, lastSeen: 0, count: 1 };
};

test('stored rows come back', () => {
  const f = fixture();
  f.accounts.load([stat('credential', 'h.example', 'one'), stat('tenant', 'github.com', 'github.com/acme')]);
  assert.deepEqual(f.use('h.example', { credentialFp: 'one' }, 'ready'), []);
  assert.equal(f.use('h.example', { credentialFp: 'two' }, 'ready').length, 1);
  assert.equal(f.use('github.com', { tenant: 'github.com/other' }, 'ready').length, 1);
  f.accounts.replace([stat('credential', 'h.example', 'one')]);
  assert.deepEqual(f.use('github.com', { tenant: 'github.com/third' }, 'ready'), [], 'nothing is known of it any more');
});

test('what a person accepts is known, and an announced rotation is quiet, once', () => {
  const block = fixture('block');
  block.use('h.example', { credentialFp: 'one' }, 'learning');
  assert.equal(block.use('h.example', { credentialFp: 'two' }, 'ready').length, 1);
  block.accounts.accept('researcher', 'h.example');
  assert.deepEqual(block.use('h.example', { credentialFp: 'two' }, 'ready'), []);
  assert.equal(block.use('h.example', { credentialFp: 'three' }, 'ready').length, 1, 'one rotation, not any number');
  block.accounts.forget('researcher', 'h.example');
  assert.deepEqual(block.use('h.example', { credentialFp: 'four' }, 'ready'), [], 'nothing to compare with');
});
