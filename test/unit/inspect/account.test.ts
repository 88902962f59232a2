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

test('what is known can be exported and loaded: times and counts, never lowered', () => {
  const f = fixture();
  const use = (at: number) =>
    f.use('h.example', { credentialFp: 'one', tenant: 's3/bucket' }, 'learning', { method: 'PUT', at });
  use(2000);
  use(1000);
  const known = { agent: 'researcher', firstSeen: 1000, lastSeen: 2000, count: 2 };
  const credential = { ...known, kind: 'credential', place: 'h.example', value: 'one' } as const;
  const tenant = { ...known, kind: 'tenant', place: 's3', value: 's3/bucket' } as const;
  assert.deepEqual(f.accounts.export('researcher'), [credential, tenant]);
  assert.deepEqual(f.accounts.export('nobody'), []);
  f.accounts.load([{ ...credential, firstSeen: 500, lastSeen: 600, count: 1 }]);
  f.accounts.load([{ ...tenant, count: 9 }]);
  assert.deepEqual(f.accounts.export('researcher'), [
    { ...credential, firstSeen: 500 },
    { ...tenant, count: 9 },
  ]);
});

test('accept says what became known, so that it can be stored', () => {
  const f = fixture();
  f.use('h.example', { credentialFp: 'one' }, 'learning');
  // Reported and not answered well: nothing was learned from it.
  f.accounts.observe(exchangeTo('h.example', { at: 7 }), { credentialFp: 'two' }, 'ready');
  assert.deepEqual(f.accounts.accept('researcher', 'h.example'), [
    { agent: 'researcher', place: 'h.example', kind: 'credential', value: 'two', firstSeen: 7, lastSeen: 7, count: 0 },
  ]);
  assert.deepEqual(f.accounts.accept('researcher', 'h.example'), [], 'a rotation to come has no value yet');
  assert.deepEqual(f.accounts.accept('nobody', 'h.example'), []);
});

test('where unknown is blocked the first account at an accepted place is learned, as it is stored', () => {
  const f = fixture('block');
  assert.deepEqual(f.use('h.example', { credentialFp: 'one' }, 'ready'), []);
  assert.equal(f.use('h.example', { credentialFp: 'two' }, 'ready').length, 1);
  assert.deepEqual(f.use('h.example', { credentialFp: 'one' }, 'ready'), []);
});
