import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { openStore } from '../../../src/store/database.ts';
import { StoreError } from '../../../src/store/error.ts';
import { connection, edit, event, exchange, finding, NOON, open, options, run, stat, tempDir } from './help.ts';

test('rows and cursor are there after reopening; the file is private', async (t) => {
  const dir = tempDir(t);
  const store = await openStore(options(dir));
  assert.equal(await store.cursor(), undefined);
  const result = await store.consume(
    [
      exchange({ credentialFp: '0011223344556677' }),
      connection(),
      event(),
      event({ kind: 'audit', actor: 'cli', finding: finding({ rule: 'mode-set' }) }),
      run(),
    ],
    41,
  );
  assert.deepEqual(result, { accepted: 5, sampledOut: 0, dropped: {} });
  assert.equal(statSync(path.join(dir, 'weir.duckdb')).mode & 0o777, 0o600);
  assert.equal(statSync(path.join(dir, 'weir.duckdb.wal')).mode & 0o777, 0o600);
  assert.equal(statSync(path.join(dir, 'history')).mode & 0o777, 0o700);
  await store.close(1000);
  const again = await open(t, dir);
  assert.equal(await again.cursor(), 41);
  const summary = await again.summary();
  assert.deepEqual(summary.rows, {
    exchanges: 1,
    connections: 1,
    findings: 1,
    destinations: 1,
    agents: 1,
    accounts: 1,
    audit: 1,
    runs: 1,
    mcp_tools: 0,
  });
  assert.equal(summary.oldest, NOON);
  assert.deepEqual(again.problems(), []);
});

test('concurrent small batches are grouped and all resolve', async (t) => {
  const store = await open(t, tempDir(t), { flushMs: 20 });
  const results = await Promise.all(Array.from({ length: 50 }, (_, i) => store.consume([exchange()], i + 1)));
  assert.equal(results.length, 50);
  assert.equal(await store.cursor(), 50);
  assert.equal((await store.summary()).rows.exchanges, 50);
});

test('an open row is replaced by its closing record, findings too, also within one batch', async (t) => {
  const store = await open(t, tempDir(t));
  const long = exchange({ state: 'open', findings: [finding()], outcome: 'forwarded' });
  await store.consume([long], 1);
  assert.equal((await store.recent({ limit: 5 }))[0]?.state, 'open');
  await store.consume([{ ...long, state: 'closed', wasOpen: true, responseBytes: 999 }], 2);
  const quick = exchange({ state: 'open', findings: [finding()] });
  await store.consume([quick, { ...quick, state: 'closed', wasOpen: true, findings: [] }], 3);
  const rows = await store.recent({ limit: 5 });
  assert.deepEqual(
    rows.map((r) => r.state),
    ['closed', 'closed'],
  );
  assert.ok(rows.some((r) => r.responseBytes === 999));
  assert.equal((await store.summary()).rows.findings, 1);
});

test('a forwarded CONNECT leaves no row, its tunnel does; a refused one does', async (t) => {
  const store = await open(t, tempDir(t));
  const dialling = exchange({ kind: 'connect', state: 'open', method: 'CONNECT', teaches: false });
  const tunnel = { ...dialling, kind: 'tunnel', state: 'open', visibility: 'tunnel' } as const;
  await store.consume([dialling], 1);
  assert.equal((await store.recent({ limit: 5 })).length, 1);
  await store.consume([{ ...dialling, state: 'closed', wasOpen: true }, tunnel], 2);
  assert.equal((await store.recent({ limit: 5 })).length, 1);
  await store.consume([{ ...tunnel, state: 'closed', wasOpen: true, teaches: true }], 3);
  await store.consume([exchange({ kind: 'connect', outcome: 'blocked', action: 'block', method: 'CONNECT' })], 4);
  const rows = await store.recent({ limit: 5 });
  assert.equal(rows.length, 2);
  assert.deepEqual(
    (await store.recent({ limit: 5, blocked: true })).map((r) => r.outcome),
    ['blocked'],
  );
  assert.ok(rows.some((r) => r.method === 'CONNECT' && r.visibility === 'tunnel'));
});

test('open rows nobody closes become interrupted', async (t) => {
  const store = await open(t, tempDir(t));
  await store.consume([exchange({ state: 'open' }), exchange()], 1);
  assert.equal(await store.interruptOpen(), 1);
  assert.deepEqual((await store.recent({ limit: 5 })).map((r) => r.outcome).sort(), ['forwarded', 'interrupted']);
});

test('recent: filters, newest last, limit', async (t) => {
  const store = await open(t, tempDir(t));
  const batch = Array.from({ length: 10 }, (_, i) =>
    exchange({ startedAt: NOON + i, agent: i % 2 ? 'a' : 'b', would: i === 3 ? 'block' : 'none' }),
  );
  await store.consume(batch, 10);
  assert.deepEqual(
    (await store.recent({ limit: 3 })).map((r) => r.startedAt - NOON),
    [7, 8, 9],
  );
  assert.deepEqual(
    (await store.recent({ limit: 2, agent: 'a' })).map((r) => r.startedAt - NOON),
    [7, 9],
  );
  assert.deepEqual(
    (await store.recent({ limit: 9, blocked: true })).map((r) => r.startedAt - NOON),
    [3],
  );
  assert.deepEqual(
    (await store.recent({ limit: 9, sinceMs: NOON + 7 })).map((r) => r.startedAt - NOON),
    [8, 9],
  );
  assert.deepEqual(await store.recent({ limit: 0 }), []);
});

test('recent: a connection past Weir is an event among the exchanges', async (t) => {
  const store = await open(t, tempDir(t));
  const past = event({
    at: NOON + 1,
    host: '192.0.2.9',
    port: 5432,
    finding: finding({ rule: 'direct-connection', disposition: 'flag', message: 'psql went past Weir' }),
    runId: run().id,
    program: 'psql',
    count: 2,
  });
  await store.consume([exchange(), past, exchange({ startedAt: NOON + 2 }), run()], 4);
  const [, shown, ...rest] = await store.recent({ limit: 9, events: true });
  assert.equal(rest.length, 1, 'a run has no line');
  const { kind, rules, host, port, message, severity } = shown ?? {};
  assert.deepEqual(
    { kind, rules, host, port, message, severity },
    {
      kind: 'finding',
      rules: ['direct-connection'],
      host: '192.0.2.9',
      port: 5432,
      message: 'psql went past Weir',
      severity: 'high',
    },
  );
  assert.equal((await store.recent({ limit: 9, events: true, agent: 'other' })).length, 0);
});

for (const [what, content] of [
  ['garbage', 'not a database '.repeat(1000)],
  ['an empty file', ''],
  ['SQLite', `SQLite format 3\0${'\0'.repeat(8000)}`],
  ['a torn DuckDB header', Buffer.concat([Buffer.alloc(8), Buffer.from('DUCK'), Buffer.alloc(9000, 7)])],
] as const) {
  test(`${what} is moved aside with its log and a new file is made`, async (t) => {
    const dir = tempDir(t);
    writeFileSync(path.join(dir, 'weir.duckdb'), content);
    writeFileSync(path.join(dir, 'weir.duckdb.wal'), 'old log');
    const store = await open(t, dir, { clock: () => NOON });
    assert.ok(existsSync(path.join(dir, 'weir.duckdb.corrupt-20260115T120000Z')));
    assert.ok(existsSync(path.join(dir, 'weir.duckdb.corrupt-20260115T120000Z.wal')));
    assert.match(store.problems().join(), /moved to .*corrupt-20260115T120000Z and a new one was made/);
    await store.consume([exchange()], 1);
    assert.equal(await store.cursor(), 1);
  });
}

test('a database of somebody else and a directory are moved aside, not touched', async (t) => {
  const dir = tempDir(t);
  const other = await DuckDBInstance.create(path.join(dir, 'weir.duckdb'));
  const c = await other.connect();
  await c.run('CREATE TABLE precious AS SELECT 42 AS answer');
  c.closeSync();
  other.closeSync();
  const store = await openStore(options(dir));
  assert.match(store.problems().join(), /not one of Weir's/);
  await store.close(1000);
  const aside = readdirSync(dir).find((n) => n.includes('corrupt')) as string;
  const kept = await DuckDBInstance.create(path.join(dir, aside), { access_mode: 'READ_ONLY' });
  const k = await kept.connect();
  assert.equal((await k.runAndReadAll('SELECT answer FROM precious')).getRows()[0]?.[0], 42);
  k.closeSync();
  kept.closeSync();

  const second = tempDir(t);
  mkdirSync(path.join(second, 'weir.duckdb'));
  const store2 = await open(t, second);
  assert.match(store2.problems().join(), /moved to/);
});

test('the same file twice in one process is refused', async (t) => {
  const dir = tempDir(t);
  await open(t, dir);
  await assert.rejects(
    openStore(options(dir)),
    (e) => e instanceof StoreError && e.reason === 'locked' && e.pid === process.pid,
  );
});

test('an unwritable place is said with its path', {
  skip: process.getuid?.() === 0 && 'root may write anywhere',
}, async (t) => {
  const dir = tempDir(t);
  chmodSync(dir, 0o500);
  t.after(() => chmodSync(dir, 0o700));
  await assert.rejects(
    openStore(options(dir)),
    (e) => e instanceof StoreError && e.reason === 'unwritable' && e.message.includes(dir),
  );
});

test('a file where the state directory should be is unwritable', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'file');
  writeFileSync(file, 'x');
  await assert.rejects(openStore(options(file)), (e) => e instanceof StoreError && e.reason === 'unwritable');
});

test('strange strings and numbers are stored, never a reason to stop', async (t) => {
  const store = await open(t, tempDir(t));
  const odd = exchange({
    agent: '__proto__',
    host: "../x'; DROP TABLE exchanges; --",
    target: '/\0\ud800\u202e%',
    status: Number.NaN,
    requestBytes: Number.POSITIVE_INFINITY,
    responseBytes: 2 ** 70,
    durationMs: Number.NaN,
    startedAt: 8.64e15 * 2,
  });
  await store.consume([odd, exchange({ agent: '../x', startedAt: Number.NaN, id: 'x' })], 1);
  // Keys that are one in UTF-8, and keys that are none.
  const twins = ['\ud800', '\udfff'].map((host) => exchange({ agent: 'twin', host }));
  const stats = [stat('\ud800'), stat('\udfff'), stat('h', { port: Number.NaN })];
  await store.consume([...twins, exchange({ agent: 'none', port: Number.NaN }), exchange({ port: 1e12 })], 2);
  await store.consume([edit('accept', stats, 'twin'), edit('accept', [stat('h', { port: -1 })], 'twin'), ...twins], 3);
  const twin = (await store.loadBaseline()).agents.find((a) => a.agent === 'twin');
  assert.deepEqual(
    twin?.destinations.map((d) => [d.host, d.count, d.status]),
    [['\ufffd', 4, 'accepted']],
  );
  const rows = await store.recent({ limit: 5, agent: '__proto__' });
  assert.equal(rows[0]?.host, odd.host);
  const { agents } = await store.loadBaseline();
  assert.deepEqual(
    agents.map((a) => a.agent),
    ['../x', '__proto__', 'twin'],
  );
  assert.equal(agents[1]?.destinations[0]?.host, odd.host);
  assert.equal(({} as Record<string, unknown>)['host'], undefined);
});

test('a nearly full disk sheds rows but keeps findings and aggregates, counted', async (t) => {
  let free = 10;
  const store = await open(t, tempDir(t), { minFreeBytes: 100, free: () => free });
  const result = await store.consume(
    [exchange({ findings: [finding()], credentialFp: '0011223344556677' }), connection(), event(), run()],
    4,
  );
  assert.deepEqual(result, { accepted: 1, sampledOut: 0, dropped: { 'store-min-free': 3 } });
  const summary = await store.summary();
  assert.deepEqual(summary.rows, {
    exchanges: 0,
    connections: 0,
    findings: 2,
    destinations: 1,
    agents: 1,
    accounts: 1,
    audit: 0,
    runs: 0,
    mcp_tools: 0,
  });
  assert.equal(summary.shed.minFreeBytes, 3);
  assert.match(store.problems().join(), /min_free_bytes/);
  free = 1000;
  await new Promise((r) => setTimeout(r, 1050));
  assert.deepEqual((await store.consume([exchange()], 5)).dropped, {});
  assert.deepEqual(store.problems(), []);
});

test('a file removed under us is made anew and said', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir);
  await store.consume([exchange()], 1);
  const { rmSync } = await import('node:fs');
  rmSync(path.join(dir, 'weir.duckdb'));
  await store.maintain(NOON);
  assert.match(store.problems().join(), /removed or replaced/);
  await store.consume([exchange()], 2);
  assert.ok(existsSync(path.join(dir, 'weir.duckdb')));
});

test('a snapshot is private, complete, and only inside the state directory', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir);
  await store.consume([exchange()], 1);
  const { files } = await store.snapshot(path.join(dir, 'snapshots', 'a'));
  assert.deepEqual(files.map((f) => path.basename(f)).sort(), [
    'accounts.parquet',
    'agents.parquet',
    'audit.parquet',
    'connections.parquet',
    'destinations.parquet',
    'exchanges.parquet',
    'findings.parquet',
    'mcp_tools.parquet',
    'runs.parquet',
  ]);
  for (const file of files) assert.equal(statSync(file).mode & 0o777, 0o600);
  await assert.rejects(store.snapshot(path.join(tempDir(t), 'elsewhere')), /outside/);
});

test('append speed, printed only', async (t) => {
  const store = await open(t, tempDir(t), { flushMs: 250 });
  const batches = Array.from({ length: 20 }, (_, b) =>
    Array.from({ length: 1000 }, (_, i) => exchange({ host: `h${i % 50}.example`, target: `/${b}/${i}` })),
  );
  const begin = performance.now();
  for (const [i, batch] of batches.entries()) await store.consume(batch, (i + 1) * 1000);
  t.diagnostic(`${Math.round(20_000 / ((performance.now() - begin) / 1000))} rows/s in batches of 1000`);
  assert.equal((await store.summary()).rows['exchanges'], 20_000);
});
