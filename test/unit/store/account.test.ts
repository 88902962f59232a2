import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import * as path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { AccountStat } from '../../../src/model/account.ts';
import type { BaselineEdit, DestinationStat, ExchangeRecord, WeirRecord } from '../../../src/model/record.ts';
import { PLACES_KEPT, VALUES_KEPT } from '../../../src/store/account.ts';
import { openQuery, readBaselineFile } from '../../../src/store/query.ts';
import { account, DAY, edit, exchange, grep, NOON, open, stat, tempDir } from './help.ts';

type Store = Awaited<ReturnType<typeof open>>;

async function accountsIn(store: Store): Promise<readonly AccountStat[]> {
  return (await store.loadBaseline()).accounts ?? [];
}

async function values(store: Store, agent = 'researcher'): Promise<string[]> {
  const mine = (await accountsIn(store)).filter((a) => a.agent === agent);
  return mine.map(({ kind, place, value, count }) => `${kind} ${place} ${value} ${count}`);
}

const fetched = { method: 'POST', target: '/evil/x.git/git-upload-pack' } as const;

/** The same rules, written without SQL and without batches. Bounds have a test of their own. */
class Model {
  readonly rows = new Map<string, AccountStat>();

  apply(r: WeirRecord): void {
    if (r.kind === 'baseline-edit') this.edit(r);
    else if ('teaches' in r && r.teaches && r.state === 'closed' && r.baselineState !== 'locked') this.learn(r);
  }

  private learn(r: ExchangeRecord): void {
    const agent = r.baselineAgent ?? r.agent;
    const at = { firstSeen: r.startedAt, lastSeen: r.startedAt };
    const writes = !['GET', 'HEAD'].includes(r.method) && !r.target.endsWith('/git-upload-pack');
    if (r.credentialFp !== undefined)
      this.put({ agent, place: r.host, kind: 'credential', value: r.credentialFp, ...at, count: 1 }, (a, b) => a + b);
    if (r.tenant !== undefined && writes) {
      const place = r.tenant.split('/')[0] as string;
      this.put({ agent, place, kind: 'tenant', value: r.tenant, ...at, count: 1 }, (a, b) => a + b);
    }
  }

  private edit(e: BaselineEdit): void {
    const hosts = e.destinations.map((d) => d.host);
    if (e.verb === 'forget') {
      for (const [key, row] of this.rows) {
        if (row.agent === e.agent && (hosts.length === 0 || hosts.includes(row.place))) this.rows.delete(key);
      }
    }
    // The same account twice in one edit: the last one counts.
    const given = new Map((e.accounts ?? []).map((a) => [JSON.stringify([a.kind, a.place, a.value]), a]));
    for (const a of given.values()) this.put({ ...a, agent: e.agent }, Math.max);
  }

  private put(stat: AccountStat, sum: (a: number, b: number) => number): void {
    const key = JSON.stringify([stat.agent, stat.place, stat.kind, stat.value]);
    const known = this.rows.get(key);
    if (known === undefined) this.rows.set(key, stat);
    else {
      const firstSeen = Math.min(known.firstSeen, stat.firstSeen);
      const lastSeen = Math.max(known.lastSeen, stat.lastSeen);
      this.rows.set(key, { ...known, firstSeen, lastSeen, count: sum(known.count, stat.count) });
    }
  }
}

const NAMES = ['researcher', '__proto__', "o'x\0y"];
const agentName = fc.constantFrom(...NAMES);
const host = fc.constantFrom('a.example', 'github.com', '__proto__', '2001:db8::1', "o'x\0y");
const fingerprint = fc.constantFrom('0011223344556677', '8899aabbccddeeff', 'fedcba9876543210');
const tenant = fc.constantFrom('github.com/acme', 'github.com/evil', 's3/bucket', 's3');
const time = fc.integer({ min: 0, max: 10_000 }).map((n) => NOON + n);

const traffic: fc.Arbitrary<WeirRecord> = fc
  .record({
    agent: agentName,
    host,
    startedAt: time,
    request: fc.constantFrom({ method: 'GET', target: '/' }, { method: 'POST', target: '/' }, fetched),
    credentialFp: fc.option(fingerprint, { nil: undefined }),
    tenant: fc.option(tenant, { nil: undefined }),
    baselineAgent: fc.option(agentName, { nil: undefined }),
    baselineState: fc.constantFrom('learning' as const, 'ready' as const, 'locked' as const),
    teaches: fc.boolean(),
    state: fc.constantFrom('open' as const, 'closed' as const, 'closed' as const, 'closed' as const),
  })
  .map(({ request, credentialFp, tenant: owner, baselineAgent, ...more }) =>
    exchange({
      ...more,
      ...request,
      ...(credentialFp === undefined ? {} : { credentialFp }),
      ...(owner === undefined ? {} : { tenant: owner }),
      ...(baselineAgent === undefined ? {} : { baselineAgent }),
    }),
  );

const editing: fc.Arbitrary<WeirRecord> = fc
  .record({
    agent: agentName,
    verb: fc.constantFrom('accept', 'ignore', 'forget', 'lock', 'import'),
    hosts: fc.array(host, { maxLength: 2 }),
    accounts: fc.array(
      fc.record({
        agent: agentName,
        place: host,
        kind: fc.constantFrom('credential' as const, 'tenant' as const),
        value: fc.oneof(fingerprint, tenant),
        firstSeen: time,
        lastSeen: time,
        count: fc.nat(100),
      }),
      { maxLength: 3 },
    ),
  })
  .map(({ agent, verb, hosts, accounts }) => ({
    ...edit(verb as BaselineEdit['verb'], hosts.map((name) => stat(name)) as DestinationStat[], agent),
    ...(verb === 'accept' || verb === 'import' ? { accounts } : {}),
  }));

const batches = fc.array(
  fc.array(fc.oneof({ weight: 5, arbitrary: traffic }, { weight: 1, arbitrary: editing }), {
    minLength: 1,
    maxLength: 12,
  }),
  { minLength: 1, maxLength: 5 },
);

test('accounts equal a model without batches or SQL, whatever the batches and edits', {
  timeout: 60_000,
}, async (t) => {
  const store = await open(t, tempDir(t), { flushMs: 0 });
  let sequence = 0;
  await fc.assert(
    fc.asyncProperty(batches, async (list) => {
      for (const agent of NAMES) await store.consume([edit('forget', [], agent)], ++sequence);
      const model = new Model();
      for (const batch of list) {
        for (const record of batch) model.apply(record);
        sequence += batch.length;
        await store.consume(batch, sequence);
      }
      const key = (a: AccountStat): string => JSON.stringify([a.agent, a.place, a.kind, a.value]);
      const sorted = (rows: Iterable<AccountStat>): AccountStat[] =>
        [...rows].sort((a, b) => (key(a) < key(b) ? -1 : 1));
      assert.deepEqual(sorted(await accountsIn(store)), sorted(model.rows.values()));
    }),
    { numRuns: 40 },
  );
});

test('reading is not writing, also where the record keeps no path', async (t) => {
  const store = await open(t, tempDir(t));
  const tenant = 'github.com/evil';
  const post = { host: 'github.com', method: 'POST', tenant, target: '/' } as const;
  await store.consume([exchange({ host: 'github.com', tenant }), exchange({ ...post, ...fetched })], 2);
  await store.consume([exchange({ ...post, contentType: 'application/x-git-upload-pack-request' })], 3);
  assert.deepEqual(await values(store), []);
  await store.consume([exchange({ ...post, contentType: 'application/x-git-receive-pack-request' })], 4);
  assert.deepEqual(await values(store), ['tenant github.com github.com/evil 1']);
});

test('at most 64 values of a kind at a place, in the order they came; known ones are counted on', async (t) => {
  const dir = tempDir(t);
  const first = await open(t, dir);
  const use = (n: number): ExchangeRecord => exchange({ credentialFp: `key-${n}`, startedAt: NOON + n });
  const many = Array.from({ length: 50 }, (_, n) => use(n));
  await first.consume(many, 50);
  await first.close(1000);
  const store = await open(t, dir);
  await store.consume(
    Array.from({ length: 100 }, (_, n) => use(n)),
    150,
  );
  await store.consume([use(3), use(99), exchange({ credentialFp: 'elsewhere', host: 'b.example' })], 153);
  const found = (await accountsIn(store)).filter((a) => a.place === 'api.example.com');
  assert.equal(found.length, VALUES_KEPT);
  assert.deepEqual(
    found.map((a) => a.value),
    Array.from({ length: VALUES_KEPT }, (_, n) => `key-${n}`),
  );
  assert.deepEqual([found[3]?.count, found[63]?.count], [3, 1]);
  assert.equal((await accountsIn(store)).length, VALUES_KEPT + 1);
  const more = Array.from({ length: 80 }, (_, n) => account('api.example.com', `imported-${n}`));
  await store.consume([{ ...edit('import', [stat('b.example')]), accounts: more }], 154);
  assert.equal((await accountsIn(store)).length, VALUES_KEPT + 1);
  await store.consume([edit('forget', [stat('api.example.com')]), use(99)], 156);
  assert.deepEqual(await values(store), ['credential api.example.com key-99 1', 'credential b.example elsewhere 1']);
});

test('at most 10,000 places per agent', async (t) => {
  const dir = tempDir(t);
  const first = await open(t, dir);
  const at = (n: number, agent = 'researcher'): ExchangeRecord =>
    exchange({ agent, host: `h${n}.example`, credentialFp: 'one' });
  await first.consume(
    Array.from({ length: PLACES_KEPT - 1 }, (_, n) => at(n)),
    1,
  );
  await first.close(1000);
  const store = await open(t, dir);
  await store.consume(
    [...Array.from({ length: 5 }, (_, n) => at(PLACES_KEPT + n)), at(0), at(PLACES_KEPT, 'other')],
    2,
  );
  const found = await accountsIn(store);
  assert.equal(found.filter((a) => a.agent === 'researcher').length, PLACES_KEPT);
  assert.equal(found.find((a) => a.place === 'h0.example')?.count, 2);
  assert.equal(found.filter((a) => a.agent === 'other').length, 1);
});

async function asked(dir: string, sql: string, source: object = { directFile: 'weir.duckdb' }): Promise<unknown> {
  const query = await openQuery({ stateDir: dir, ...source }, sql);
  const rows = await query.next();
  await query.close();
  return rows;
}

async function withTwo(t: TestContext, dir: string): Promise<Store> {
  const store = await open(t, dir);
  const push = {
    host: 'github.com',
    method: 'POST',
    target: '/acme/x.git/git-receive-pack',
    tenant: 'github.com/acme',
  };
  const records = ['researcher', 'canary-agent-51c'].flatMap((agent) => [
    exchange({ agent, credentialFp: 'one', startedAt: NOON - DAY }),
    exchange({ agent, ...push, credentialFp: 'two' }),
  ]);
  await store.consume(records, records.length);
  return store;
}

test('accounts survive reopening, are read beside a collector and without one, and stay when rows age', async (t) => {
  const dir = tempDir(t);
  const store = await withTwo(t, dir);
  const all = [
    'credential api.example.com one 1',
    'credential github.com two 1',
    'tenant github.com github.com/acme 1',
  ];
  assert.deepEqual(await values(store), all);
  const snapshotDir = path.join(dir, 'snapshots', 'a');
  await store.snapshot(snapshotDir);
  assert.ok(existsSync(path.join(snapshotDir, 'accounts.parquet')));
  const sql = "SELECT value, count FROM accounts WHERE agent = 'researcher' AND kind = 'tenant'";
  assert.deepEqual(await asked(dir, sql, { snapshotDir }), [['github.com/acme', 1]]);
  assert.equal((await store.summary()).rows['accounts'], 6);
  await store.maintain(NOON + 90 * DAY);
  await store.close(1000);
  assert.deepEqual(await asked(dir, sql), [['github.com/acme', 1]]);
  const snapshot = await readBaselineFile({ path: path.join(dir, 'weir.duckdb') });
  assert.equal(snapshot.accounts?.length, 6);
  assert.deepEqual(await values(await open(t, dir)), all);
});

test('purge removes accounts by agent, by host and service, and by age', async (t) => {
  const dir = tempDir(t);
  const store = await withTwo(t, dir);
  assert.equal((await store.purge({ agent: 'canary-agent-51c' })).rows['accounts'], 3);
  assert.deepEqual(grep(dir, 'canary-agent-51c'), []);
  assert.equal((await store.purge({ host: 'github.com' })).rows['accounts'], 2);
  assert.deepEqual(await values(store), ['credential api.example.com one 1']);
  // What was purged is learned anew: nothing remembers that it was there.
  await store.consume([exchange({ host: 'github.com', credentialFp: 'two', startedAt: NOON })], 9);
  assert.equal((await store.purge({ before: NOON })).rows['accounts'], 1);
  assert.deepEqual(await values(store), ['credential github.com two 1']);
});

test('a batch that failed leaves nothing believed to be known', async (t) => {
  const store = await open(t, tempDir(t), { flushMs: 0 });
  const broken = { ...edit('import', [stat('b.example')]), accounts: [undefined as unknown as AccountStat] };
  await assert.rejects(store.consume([exchange({ credentialFp: 'one' }), broken], 2));
  await store.consume([exchange({ credentialFp: 'one' })], 2);
  assert.deepEqual(await values(store), ['credential api.example.com one 1']);
});
