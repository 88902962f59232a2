import assert from 'node:assert/strict';
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { openStore } from '../../../src/store/database.ts';
import { StoreError } from '../../../src/store/error.ts';
import { MIGRATIONS, type Target } from '../../../src/store/migrate.ts';
import { openQuery, runQuery } from '../../../src/store/query.ts';
import { SCHEMA_VERSION, TABLES } from '../../../src/store/schema.ts';
import { connection, DAY, event, exchange, finding, grep, NOON, open, options, run, tempDir } from './help.ts';

const NEXT = SCHEMA_VERSION + 1;
const AFTER = SCHEMA_VERSION + 2;
const TWO_STEPS: Target = {
  version: AFTER,
  migrations: [
    { to: AFTER, statements: ["UPDATE agents SET mood = 'curious'"] },
    { to: NEXT, statements: ['ALTER TABLE agents ADD COLUMN mood VARCHAR', 'CREATE TABLE later_on (name VARCHAR)'] },
  ],
};

test('the shipped migrations lead without gaps to the shipped version', () => {
  assert.deepEqual(
    MIGRATIONS.map((m) => m.to),
    Array.from({ length: SCHEMA_VERSION - 1 }, (_, i) => i + 2),
  );
});

test('an older file is migrated on a copy that is swapped in: rows, keys and cursor stay', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'weir.duckdb');
  const old = await openStore(options(dir));
  await old.consume([exchange(), exchange()], 7);
  await old.close(1000);
  const inode = statSync(file).ino;
  // A copy a crash left behind is in nobody's way.
  writeFileSync(`${file}.new`, 'half');
  writeFileSync(`${file}.new.wal`, 'half');
  const store = await openStore(options(dir, { target: TWO_STEPS }));
  assert.deepEqual(store.problems(), []);
  assert.notEqual(statSync(file).ino, inode);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(!existsSync(`${file}.new`));
  assert.equal((await store.summary()).schemaVersion, AFTER);
  assert.equal(await store.cursor(), 7);
  assert.equal((await store.recent({ limit: 9 })).length, 2);
  await store.close(1000);
  // The keys came along: an upsert needs them.
  const again = await open(t, dir, { target: TWO_STEPS });
  await again.recent({ limit: 1 });
  assert.equal((await again.loadBaseline()).agents[0]?.destinations[0]?.count, 2);
});

test('upserts work after a migration that does not change the aggregates', async (t) => {
  const dir = tempDir(t);
  const old = await openStore(options(dir));
  await old.consume([exchange()], 1);
  await old.close(1000);
  const target: Target = {
    version: NEXT,
    migrations: [{ to: NEXT, statements: ['CREATE TABLE later_on (name VARCHAR)'] }],
  };
  const store = await open(t, dir, { target });
  await store.consume([exchange()], 2);
  assert.equal((await store.loadBaseline()).agents[0]?.destinations[0]?.count, 2);
});

async function sqlOn(file: string, statements: readonly string[]): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(file);
  const db = await instance.connect();
  try {
    for (const sql of statements.slice(0, -1)) await db.run(sql);
    return (await db.runAndReadAll(statements.at(-1) as string)).getRows();
  } finally {
    db.closeSync();
    instance.closeSync();
  }
}
const COLUMNS =
  "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index";
/** What versions 2 and 3 added, taken away again. */
const OF_VERSION_3 = [
  'redactions',
  'llm_api',
  'llm_provider',
  'llm_model',
  'llm_input_tokens',
  'llm_output_tokens',
  'llm_cached_tokens',
  'llm_tool_calls',
  'llm_finish',
  'llm_ttft_ms',
  'llm_cost',
  'mcp_method',
  'mcp_tool',
  'mcp_session',
  'mcp_error',
];

const TO_VERSION_1 = [
  ...OF_VERSION_3.map((name) => `ALTER TABLE exchanges DROP COLUMN ${name}`),
  'ALTER TABLE destinations DROP COLUMN path_shapes',
  'ALTER TABLE destinations DROP COLUMN hours',
  'ALTER TABLE exchanges DROP COLUMN run_id',
  'ALTER TABLE connections DROP COLUMN run_id',
  ...['run_id', 'program', 'count'].map((name) => `ALTER TABLE findings DROP COLUMN ${name}`),
  'DROP TABLE runs',
  'DROP TABLE accounts',
  'DROP TABLE mcp_tools',
  "UPDATE meta SET value = '1' WHERE key = 'schema_version'",
];

test('a file of version 1 becomes what a new one is, and its history is read along', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'weir.duckdb');
  const clock = (): number => NOON + DAY;
  const old = await openStore(options(dir, { clock }));
  await old.consume([exchange({ findings: [finding()] }), connection(), exchange({ startedAt: NOON + DAY })], 3);
  await old.maintain(NOON + DAY);
  await old.close(1000);
  const fresh = await sqlOn(file, [COLUMNS]);
  const day = (name: string): string => path.join(dir, 'history', name, 'dt=2026-01-15.parquet');
  const older = ['', 'connections', 'findings'].map((name) => {
    const lacks =
      name === 'findings' ? 'run_id, program, count' : ['run_id', ...(name === '' ? OF_VERSION_3 : [])].join(', ');
    return `COPY (SELECT * EXCLUDE (${lacks}) FROM read_parquet('${day(name)}')) TO '${day(name)}.old' (FORMAT parquet)`;
  });
  await sqlOn(file, [...TO_VERSION_1, ...older, COLUMNS]);
  for (const name of ['', 'connections', 'findings']) renameSync(`${day(name)}.old`, day(name));
  // A file no collector has migrated yet is read as it is, what it lacks is empty.
  const query = async (sql: string) => {
    const found = await openQuery({ stateDir: dir, directFile: file }, sql);
    const rows = await found.next();
    await found.close();
    return rows ?? [];
  };
  assert.deepEqual(await query('SELECT count(*), count(run_id), (SELECT count(*) FROM runs) FROM exchanges'), [
    [2, 0, 0],
  ]);
  const store = await openStore(options(dir, { clock }));
  assert.deepEqual(store.problems(), []);
  assert.equal((await store.summary()).schemaVersion, SCHEMA_VERSION);
  const runId = run().id;
  const past = event({ runId, at: NOON + DAY, program: 'node', count: 2 });
  await store.consume([exchange({ startedAt: NOON + DAY, runId }), past, run({ startedAt: NOON + DAY })], 6);
  assert.equal((await store.summary()).rows['runs'], 1);
  assert.equal((await store.recent({ limit: 9 })).length, 3);
  await store.consume([exchange({ runId, agent: 'late' }), event({ runId, program: 'late', count: 1 })], 8);
  await store.maintain(NOON + DAY);
  assert.equal((await store.purge({ agent: 'late' })).rows['exchanges'], 1);
  await store.close(1000);
  assert.deepEqual(await sqlOn(file, [COLUMNS]), fresh, 'same columns, same order');
  assert.deepEqual(await query('SELECT count(*), count(run_id) FROM exchanges'), [[3, 1]]);
  assert.deepEqual(await query('SELECT count(*), max(program), sum("count")::INTEGER FROM findings'), [[3, 'node', 3]]);
  assert.deepEqual(
    TABLES.flatMap((table) => table.columns.map((column) => [table.name, column.name])).sort(),
    fresh
      .filter(([name]) => name !== 'meta')
      .map(([name, column]) => [name, column])
      .sort(),
  );
});

test('a migration that fails leaves the old file as it was', async (t) => {
  const dir = tempDir(t);
  const old = await openStore(options(dir));
  await old.consume([exchange()], 3);
  await old.close(1000);
  const broken: Target = {
    version: NEXT,
    migrations: [{ to: NEXT, statements: ['DELETE FROM exchanges', 'ALTER TABLE nowhere ADD COLUMN x VARCHAR'] }],
  };
  await assert.rejects(
    openStore(options(dir, { target: broken })),
    (e) => e instanceof StoreError && e.reason === 'unwritable' && /could not be rewritten.*nowhere/.test(e.message),
  );
  assert.ok(!existsSync(path.join(dir, 'weir.duckdb.new')));
  const store = await open(t, dir);
  assert.equal((await store.summary()).rows.exchanges, 1);
  assert.equal(await store.cursor(), 3);
});

test('a newer file is refused with both versions and what to do, and is not touched', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'weir.duckdb');
  const newer = await openStore(options(dir, { target: TWO_STEPS }));
  await newer.close(1000);
  await assert.rejects(openStore(options(dir)), (e) => {
    assert.ok(e instanceof StoreError);
    assert.equal(e.reason, 'newer');
    for (const part of [file, `version ${AFTER}`, `knows ${SCHEMA_VERSION}`, '--state-dir', 'newer weir']) {
      assert.ok(e.message.includes(part), `${part} in ${e.message}`);
    }
    return true;
  });
  assert.deepEqual(grep(dir, 'corrupt'), []);
  await assert.rejects(
    runQuery({ stateDir: dir, directFile: file, sql: 'SELECT 1', format: 'json', write: () => undefined }),
    /newer Weir/,
  );
  const again = await open(t, dir, { target: TWO_STEPS });
  assert.equal((await again.summary()).schemaVersion, AFTER);
});
