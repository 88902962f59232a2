import assert from 'node:assert/strict';
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { openStore, type Store } from '../../../src/store/database.ts';
import { listDays } from '../../../src/store/files.ts';
import { openQuery } from '../../../src/store/query.ts';
import { connection, DAY, edit, event, exchange, finding, NOON, open, options, tempDir } from './help.ts';

const days = (dir: string, table = ''): string[] => listDays(path.join(dir, 'history', table)).map((d) => d.day);

async function fill(store: Store, from: number, perDay: number[], sequence = 0): Promise<number> {
  let last = sequence;
  for (const [i, count] of perDay.entries()) {
    const at = from + i * DAY;
    const batch = Array.from({ length: count }, (_, n) => exchange({ startedAt: at + n, findings: [finding()] }));
    last += count + 2;
    await store.consume([...batch, connection({ openedAt: at }), event({ at })], last);
  }
  return last;
}

async function total(store: Store): Promise<number> {
  return (await store.recent({ limit: 100_000 })).length;
}

async function scalar(dir: string, sql: string): Promise<unknown> {
  const query = await openQuery({ stateDir: dir, directFile: path.join(dir, 'weir.duckdb') }, sql);
  try {
    return (await query.next())?.[0]?.[0];
  } finally {
    await query.close();
  }
}

test('closed days become private Parquet others can read; a view unions both', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir);
  await fill(store, NOON - 2 * DAY, [5, 7, 3]);
  await store.maintain(NOON);
  assert.deepEqual(days(dir), ['2026-01-13', '2026-01-14']);
  assert.deepEqual(days(dir, 'connections'), ['2026-01-13', '2026-01-14']);
  assert.deepEqual(days(dir, 'findings'), ['2026-01-13', '2026-01-14']);
  const file = path.join(dir, 'history', 'dt=2026-01-14.parquet');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal((await store.summary()).rows.exchanges, 3);
  assert.equal((await store.summary()).historyDays, 2);
  assert.equal(await total(store), 15);
  const other = await DuckDBInstance.create();
  const c = await other.connect();
  const rows = await c.runAndReadAll(`SELECT count(*), min(host) FROM '${file}'`);
  assert.deepEqual(rows.getRowsJson(), [['7', 'api.example.com']]);
  assert.deepEqual(store.problems(), []);
});

test('rows that come late join their day, an open one waits for its end; nothing is there twice', async (t) => {
  const dir = tempDir(t);
  const yesterday = NOON - DAY;
  const first = await openStore(options(dir));
  const long = exchange({ startedAt: yesterday, state: 'open' });
  await first.consume([exchange({ startedAt: yesterday }), long], 2);
  await first.maintain(NOON);
  assert.equal((await first.summary()).rows.exchanges, 1);
  await first.consume([{ ...long, state: 'closed', wasOpen: true }, exchange({ startedAt: yesterday })], 4);
  await first.close(1000);
  // A new process looks at history at once; the running one within the hour.
  const second = await open(t, dir);
  await second.maintain(NOON);
  assert.equal((await second.summary()).rows.exchanges, 0);
  assert.equal(await total(second), 3);
  await second.close(1000);
  assert.equal(await scalar(dir, 'SELECT count(DISTINCT id) FROM exchanges'), 3);
});

test('a crash between deleting the rows and renaming the file is finished at the next start', async (t) => {
  const dir = tempDir(t);
  const first = await openStore(options(dir));
  await first.consume([exchange({ startedAt: NOON - DAY })], 1);
  await first.maintain(NOON);
  await first.close(1000);
  const final = path.join(dir, 'history', 'dt=2026-01-14.parquet');
  renameSync(final, `${final}.tmp`);
  writeFileSync(path.join(dir, 'history', 'dt=2026-01-13.parquet.tmp'), 'never finished');
  const db = await DuckDBInstance.create(path.join(dir, 'weir.duckdb'));
  const c = await db.connect();
  const intent = JSON.stringify({ from: 'dt=2026-01-14.parquet.tmp', to: 'dt=2026-01-14.parquet' });
  await c.run("UPDATE meta SET value = $1 WHERE key = 'rolling'", [intent]);
  c.closeSync();
  db.closeSync();
  const second = await open(t, dir);
  assert.equal(await total(second), 1);
  assert.ok(existsSync(final));
  assert.ok(!existsSync(path.join(dir, 'history', 'dt=2026-01-13.parquet.tmp')));
});

test('retention by days deletes old days and old rows; aggregates stay', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir, { retentionDays: 3 });
  await fill(store, NOON - 5 * DAY, [2, 2, 2, 2, 2, 2]);
  await store.maintain(NOON - 2 * DAY);
  assert.equal(days(dir).length, 3);
  await store.maintain(NOON - 1.5 * DAY);
  await store.maintain(NOON - DAY);
  await store.maintain(NOON - 0.5 * DAY);
  await store.maintain(NOON);
  assert.deepEqual(days(dir), ['2026-01-12', '2026-01-13', '2026-01-14']);
  assert.deepEqual(days(dir, 'findings'), ['2026-01-12', '2026-01-13', '2026-01-14']);
  assert.equal(await total(store), 8);
  assert.equal((await store.loadBaseline()).agents[0]?.requests, 12);
});

test('a clock that jumps a year ahead deletes nothing and is said; back again all is well', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir, { retentionDays: 3 });
  await fill(store, NOON - DAY, [4, 4]);
  await store.maintain(NOON);
  for (let i = 0; i < 3; i++) await store.maintain(NOON + 365 * DAY + i * 60_000);
  assert.equal(await total(store), 8);
  assert.match(store.problems().join(), /clock jumped to 2027-01-15.* delete 20 rows/);
  await store.close(1000);
  const again = await open(t, dir, { retentionDays: 3 });
  await again.maintain(NOON + 365 * DAY);
  assert.equal(await total(again), 8, 'a restart does not make the jump believable');
  await again.maintain(NOON + 60_000);
  assert.deepEqual(again.problems(), []);
  assert.equal(await total(again), 8);
});

test('by bytes: oldest exchanges go first, history before the open day; findings and aggregates stay', async (t) => {
  const dir = tempDir(t);
  const wide = 'x'.repeat(400);
  const make = (at: number, n: number) =>
    Array.from({ length: n }, (_, i) => exchange({ startedAt: at + i, target: `/${i}/${Math.random()}${wide}` }));
  const first = await openStore(options(dir));
  await first.consume([...make(NOON - DAY, 2000), event({ at: NOON - DAY })], 1);
  await first.consume([...make(NOON, 20_000), event()], 2);
  await first.maintain(NOON);
  await first.close(1000);
  const second = await openStore(options(dir));
  const before = await second.summary();
  await second.close(1000);
  const store = await open(t, dir, { maxBytes: Math.trunc(before.bytes * 0.75) });
  await store.maintain(NOON);
  const after = await store.summary();
  assert.ok(after.bytes <= before.bytes * 0.75, `${after.bytes} of ${before.bytes}`);
  assert.deepEqual(days(dir), []);
  assert.deepEqual(days(dir, 'findings'), ['2026-01-14']);
  assert.equal(after.rows.findings, 1);
  const left = after.rows.exchanges as number;
  assert.ok(left > 1_000 && left < 19_000, String(left));
  assert.equal(after.shed.maxBytes, 22_000 - left);
  assert.ok((after.oldest as number) > NOON);
  assert.equal(after.newest, NOON + 19_999);
  assert.match(store.problems().join(), /max_bytes/);
  assert.equal((await store.loadBaseline()).agents[0]?.requests, 22_000);
});

test('a path DuckDB cannot use is refused with the reason', async (t) => {
  const dir = path.join(tempDir(t), 'what?');
  await assert.rejects(openStore(options(dir)), /what\?.*question mark/);
});

test('a state directory with strange characters works', async (t) => {
  const dir = path.join(tempDir(t), "it's [a] *strange* dir");
  const store = await open(t, dir);
  await fill(store, NOON - DAY, [2, 2]);
  await store.maintain(NOON);
  assert.equal(await total(store), 4);
  await store.consume([edit('lock')], 99);
  const { files } = await store.snapshot(path.join(dir, 'snap'));
  assert.equal(files.length, 9);
  const query = await openQuery(
    { stateDir: dir, snapshotDir: path.join(dir, 'snap') },
    'SELECT count(*) FROM exchanges',
  );
  assert.deepEqual(await query.next(), [[4]]);
  await query.close();
});
