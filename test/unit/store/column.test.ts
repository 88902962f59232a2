import assert from 'node:assert/strict';
import * as path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { appendBatches } from '../../../src/store/append.ts';
import { toDuckDB } from '../../../src/store/convert.ts';
import type { Cell, Row } from '../../../src/store/row.ts';
import { createTable, META_DDL, TABLES, table } from '../../../src/store/schema.ts';
import { openSession, type Session } from '../../../src/store/session.ts';
import { exchange, NOON, tempDir } from './help.ts';

const COLUMNS = table('exchanges').columns;

async function openTable(t: TestContext): Promise<Session> {
  const dir = tempDir(t);
  const session = await openSession({
    file: path.join(dir, 'x.duckdb'),
    directories: [dir],
    memoryLimitMb: 128,
    threads: 1,
  });
  t.after(() => session.close());
  await session.run(createTable(table('exchanges')));
  return session;
}

/** Appends rows in one go and reads them back in that order. */
async function roundTrip(session: Session, rows: readonly Row[]): Promise<readonly Row[]> {
  await session.run('DELETE FROM exchanges');
  await session.transaction(() => session.append('exchanges', rows, (row) => row));
  return (await session.all('SELECT * FROM exchanges ORDER BY rowid')) as readonly Row[];
}

/** What a cell is once it was stored, by the cell-wise conversion. */
function stored(row: Row): Cell[] {
  return COLUMNS.map(({ type }, c) => {
    const value = toDuckDB(type, row[c] ?? null);
    if (typeof value === 'string') return value.toWellFormed();
    if (typeof value === 'bigint') return Number(value);
    // Integers have no negative zero.
    if (typeof value === 'number') return type === 'INTEGER' ? value + 0 : value;
    if (typeof value !== 'object' || value === null) return value as Cell;
    if ('items' in value) return value.items.map((item) => String(item).toWellFormed());
    return Number((value as { micros: bigint }).micros) / 1000;
  });
}

/** A row whose cells are all `cell`, as far as the types allow: the others are NULL. */
function rowOf(cell: (name: string, type: string) => Cell): Row {
  return COLUMNS.map(({ name, type }) => cell(name, type));
}

test('a column is the same whether its cells repeat, are few, are all different or are missing', async (t) => {
  const session = await openTable(t);
  const texts: Record<string, (i: number) => Cell> = {
    constant: () => 'GET',
    missing: () => null,
    few: (i) => `agent-${i % 7}`,
    'few and missing': (i) => (i % 3 === 0 ? null : `agent-${i % 7}`),
    // More members than one byte counts, and than a dictionary may have.
    many: (i) => `connection-${i >> 3}`,
    different: (i) => `/${i}/${'x'.repeat(i % 40)}`,
    'different and missing': (i) => (i % 2 === 0 ? null : `/${i}`),
    'late change': (i) => (i === 2999 ? 'b' : 'a'),
    'late value': (i) => (i === 2999 ? 'b' : null),
    'one in UTF-8': (i) => ['\ud800', '\udfff', 'é', '\u{1f600}'][i % 4] as string,
    'with NUL': (i) => ['a\0b', 'a\0c', 'a'][i % 3] as string,
  };
  for (const [name, text] of Object.entries(texts)) {
    const rows = Array.from({ length: 3000 }, (_, i) =>
      rowOf((_name, type) => {
        if (type === 'VARCHAR') return text(i);
        if (type === 'VARCHAR[]') return i < 2500 ? [] : ['rule-a', `rule-${i}`];
        if (type === 'BOOLEAN') return i % 5 === 0 ? null : i % 2 === 0;
        return i % 6 === 0 ? null : NOON + i + 0.25;
      }),
    );
    const read = await roundTrip(session, rows);
    assert.equal(read.length, rows.length, name);
    for (const [i, row] of rows.entries()) assert.deepEqual(read[i], stored(row), `${name}, row ${i}`);
  }
});

test('whatever the cells are, they are stored as the cell-wise conversion says', async (t) => {
  const session = await openTable(t);
  const text = fc.oneof(
    fc.constantFrom('GET', 'POST', '', '\0', '\ud800'),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }),
    fc.constant(null),
    fc.double(),
  );
  const number = fc.oneof(
    fc.double(),
    fc.integer(),
    fc.constantFrom(Number.NaN, 2 ** 70, -(2 ** 31), null),
    fc.string(),
  );
  const lists = fc.oneof(fc.constant([]), fc.array(fc.string()));
  const cellOf = (type: string): fc.Arbitrary<Cell> => {
    if (type === 'VARCHAR') return text;
    if (type === 'VARCHAR[]') return lists;
    return type === 'BOOLEAN' ? fc.oneof(fc.boolean(), fc.constant(null)) : number;
  };
  const row = fc.tuple(...COLUMNS.map(({ type }) => cellOf(type)));
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 70 }), async (rows) => {
      const read = await roundTrip(session, rows);
      assert.deepEqual(read, rows.map(stored));
    }),
    { numRuns: 25 },
  );
});

test('what a failed transaction left behind is not in the next one', async (t) => {
  const session = await openTable(t);
  const row = rowOf((name, type) => (type === 'VARCHAR' ? name : type === 'VARCHAR[]' ? [] : null));
  const broken = session.transaction(async () => {
    await session.append('exchanges', [row, row], (r) => r);
    await session.append('exchanges', [row, undefined], (r) => {
      if (r === undefined) throw new Error('no row');
      return r;
    });
  });
  await assert.rejects(broken, /no row/);
  assert.deepEqual(await roundTrip(session, [row]), [stored(row)]);
});

test('row groups are ended nearly full, because a checkpoint writes half full ones again', async (t) => {
  const session = await openTable(t);
  for (const other of TABLES) if (other.name !== 'exchanges') await session.run(createTable(other));
  await session.run(META_DDL);
  const batch = Array.from({ length: 8192 }, (_, i) => exchange({ id: String(i), teaches: false }));
  // 18 batches; 15 of them fill a row group of 122,880 rows to the last row.
  for (let i = 1; i <= 18; i++) {
    await appendBatches(session, [batch.map((r) => ({ ...r, id: `${i}-${r.id}` }))], i, false);
  }
  assert.equal(session.appended(), 3 * 8192);
  await session.checkpoint();
  assert.equal(session.appended(), 0);
  const groups = await session.all(
    `SELECT max(start + count)::INTEGER FROM pragma_storage_info('exchanges')
     WHERE column_name = 'id' AND segment_type <> 'VALIDITY' GROUP BY row_group_id ORDER BY row_group_id`,
  );
  assert.deepEqual(groups, [[15 * 8192], [3 * 8192]]);
});

test("of a session's configuration only the memory limit can be changed", async (t) => {
  const session = await openTable(t);
  const limit = async (): Promise<unknown> => (await session.all("SELECT current_setting('memory_limit')"))[0]?.[0];
  const before = await limit();
  await session.memory(64);
  assert.notEqual(await limit(), before);
  await session.memory(128);
  assert.equal(await limit(), before);
  for (const sql of [
    'SET autoinstall_known_extensions = true',
    "SET allowed_configs = ['threads']",
    'SET lock_configuration = false',
    'RESET lock_configuration',
    'SET enable_external_access = true',
    "SET allowed_directories = ['/']",
    "SET temp_directory = '/'",
    'SET threads = 2',
  ]) {
    await assert.rejects(session.run(sql), sql);
  }
});
