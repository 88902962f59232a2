import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { openStore } from '../../../src/store/database.ts';
import { StoreError } from '../../../src/store/error.ts';
import { MIGRATIONS, type Target } from '../../../src/store/migrate.ts';
import { runQuery } from '../../../src/store/query.ts';
import { SCHEMA_VERSION } from '../../../src/store/schema.ts';
import { exchange, grep, open, options, tempDir } from './help.ts';

const NEXT = SCHEMA_VERSION + 1;
const AFTER = SCHEMA_VERSION + 2;
const TWO_STEPS: Target = {
  version: AFTER,
  migrations: [
    { to: AFTER, statements: ["UPDATE agents SET mood = 'curious'"] },
    { to: NEXT, statements: ['ALTER TABLE agents ADD COLUMN mood VARCHAR', 'CREATE TABLE mcp_tools (name VARCHAR)'] },
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
    migrations: [{ to: NEXT, statements: ['CREATE TABLE mcp_tools (name VARCHAR)'] }],
  };
  const store = await open(t, dir, { target });
  await store.consume([exchange()], 2);
  assert.equal((await store.loadBaseline()).agents[0]?.destinations[0]?.count, 2);
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
