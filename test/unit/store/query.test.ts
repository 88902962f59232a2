import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { openStore } from '../../../src/store/database.ts';
import { QueryError, type QueryOptions, readBaselineFile, runQuery } from '../../../src/store/query.ts';
import { DAY, edit, exchange, NOON, open, options, stat, tempDir } from './help.ts';

async function text(more: Partial<QueryOptions> & { stateDir: string; sql: string }) {
  let out = '';
  const result = await runQuery({
    format: 'json',
    write: (piece) => {
      out += piece;
    },
    ...more,
  });
  return { out, result };
}

test('beside a running collector: snapshot and history in one table', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir);
  await store.consume([exchange({ startedAt: NOON - DAY }), exchange({ host: 'b.example', requestBytes: 2 ** 40 })], 2);
  await store.maintain(NOON);
  const snapshotDir = path.join(dir, 'snapshots', 'q');
  await store.snapshot(snapshotDir);
  const { out } = await text({
    stateDir: dir,
    snapshotDir,
    sql: 'SELECT started_at, host, sum(request_bytes) AS bytes FROM exchanges GROUP BY ALL ORDER BY 1',
  });
  assert.deepEqual(JSON.parse(out), [
    { started_at: '2026-01-14T12:00:00.000Z', host: 'api.example.com', bytes: 10 },
    { started_at: '2026-01-15T12:00:00.000Z', host: 'b.example', bytes: 2 ** 40 },
  ]);
  const all = await text({
    stateDir: dir,
    snapshotDir,
    sql: 'SELECT (SELECT count(*) FROM agents), (SELECT count(*) FROM destinations), (SELECT count(*) FROM audit)',
    format: 'csv',
  });
  assert.equal(all.out.split('\r\n')[1], '1,2,0');
});

test('without a collector: the file itself, read-only, its log included', async (t) => {
  const dir = tempDir(t);
  const store = await openStore(options(dir));
  await store.consume([exchange(), edit('accept', [stat('seed.example')])], 2);
  await store.close(1000);
  const directFile = path.join(dir, 'weir.duckdb');
  const { out } = await text({
    stateDir: dir,
    directFile,
    sql: 'SELECT host FROM destinations ORDER BY host',
    format: 'csv',
  });
  assert.equal(out, 'host\r\napi.example.com\r\nseed.example\r\n');
  await assert.rejects(text({ stateDir: dir, directFile, sql: 'DELETE FROM weir_file.exchanges' }), QueryError);
  const baseline = await readBaselineFile({ path: directFile });
  assert.equal(baseline.agents[0]?.destinations.length, 2);
  // Nothing is left locked.
  await open(t, dir);
});

test('nothing there yet is an empty store, with every column', async (t) => {
  const dir = tempDir(t);
  const directFile = path.join(dir, 'weir.duckdb');
  const { out, result } = await text({
    stateDir: dir,
    directFile,
    sql: 'SELECT id, would_block, rules FROM exchanges',
  });
  assert.equal(out, '[]\n');
  assert.deepEqual(
    result.columns.map((c) => c.type),
    ['VARCHAR', 'BOOLEAN', 'VARCHAR[]'],
  );
  assert.deepEqual(await readBaselineFile({ path: directFile }), { agents: [] });
  writeFileSync(directFile, 'x'.repeat(5000));
  await assert.rejects(text({ stateDir: dir, directFile, sql: 'SELECT 1' }), /not a DuckDB database/);
  await assert.rejects(readBaselineFile({ path: directFile }), QueryError);
});

test('every type is fit for JSON; numbers beyond 2^53 are not rounded', async (t) => {
  const { out } = await text({
    stateDir: tempDir(t),
    sql: `SELECT 9007199254740993 AS big, 170141183460469231731687303715884105727::HUGEINT AS huge, 42::BIGINT AS small,
            1.5::DECIMAL(4,2) AS dec, 'nan'::DOUBLE AS nan, 'infinity'::TIMESTAMPTZ AS never,
            TIMESTAMPTZ '1969-12-31 23:59:59.999999+00' AS before, TIMESTAMPTZ '2026-01-02 03:04:05.000006+00' AS micro,
            DATE '2026-01-02' AS d, [1, NULL] AS list, {'a': [2]} AS s, MAP {'__proto__': 1} AS m, '\\xAB'::BLOB AS b,
            NULL AS n, true AS yes, 1 AS "__proto__", 2 AS "__proto__"`,
  });
  assert.equal(
    out,
    '[\n{"big":"9007199254740993","huge":"170141183460469231731687303715884105727","small":42,"dec":"1.50","nan":null,' +
      '"never":"infinity","before":"1969-12-31T23:59:59.999999Z","micro":"2026-01-02T03:04:05.000006Z","d":"2026-01-02",' +
      '"list":[1,null],"s":{"a":[2]},"m":{"__proto__":1},"b":"ab","n":null,"yes":true,"__proto__":1,"__proto__:1":2}\n]\n',
  );
});

test('tables: widths, numbers right, nothing that moves the cursor; CSV is quoted', async (t) => {
  const stateDir = tempDir(t);
  const sql = `SELECT 'a' || chr(27) || '[2J' || chr(8238) AS name, 7 AS n UNION ALL SELECT 'long,er "x"', 1234`;
  const table = await text({ stateDir, sql, format: 'table' });
  const lines = [
    'name                   n',
    '──────────────────  ────',
    'a\\u{1b}[2J\\u{202e}     7',
    'long,er "x"         1234',
  ];
  assert.equal(table.out, `${lines.join('\n')}\n`);
  const csv = await text({ stateDir, sql: `SELECT 'long,er "x"' AS a, NULL AS b, [1] AS c`, format: 'csv' });
  assert.equal(csv.out, 'a,b,c\r\n"long,er ""x""",,[1]\r\n');
  assert.equal((await text({ stateDir, sql: 'SELECT 1 AS a WHERE false', format: 'table' })).out, 'a\n─\n');
});

test('a huge result is streamed and cut, not collected', async (t) => {
  let pieces = 0;
  const result = await runQuery({
    stateDir: tempDir(t),
    sql: 'SELECT * FROM range(1000000000000)',
    format: 'csv',
    maxRows: 10_000,
    write: () => {
      pieces++;
    },
  });
  assert.deepEqual([result.rowCount, result.truncated], [10_000, true]);
  assert.ok(pieces >= 4);
});

test('an error of the SQL is one clear line', async (t) => {
  const stateDir = tempDir(t);
  await assert.rejects(text({ stateDir, sql: 'SELECT hots FROM exchanges' }), (e) => {
    assert.ok(e instanceof QueryError);
    assert.match(e.message, /hots/);
    assert.ok(!e.message.includes('\n'));
    return true;
  });
  await assert.rejects(text({ stateDir, sql: "SELECT error('late ' || range) FROM range(5)" }), /late 0/);
  await assert.rejects(text({ stateDir, sql: '' }), QueryError);
});
