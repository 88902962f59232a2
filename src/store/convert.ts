import {
  BIGINT,
  DOUBLE,
  type DuckDBAppender,
  DuckDBDataChunk,
  DuckDBDateValue,
  DuckDBListValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBType,
  type DuckDBValue,
  INTEGER,
  LIST,
  TIMESTAMPTZ,
  VARCHAR,
} from '@duckdb/node-api';
import type { Cell, Row } from './row.ts';
import type { Column, ColumnType } from './schema.ts';
import type { Plain } from './session.ts';

/** Rows in one chunk: DuckDB's vector size. */
const CHUNK = 2048;
/** 0001-01-01 and 9999-12-31 in epoch ms: what a broken clock may say is clamped, never refused. */
const EARLIEST = -62_135_596_800_000;
const LATEST = 253_402_214_400_000;

/** A list bound to a parameter. */
export interface BoundList {
  readonly type: ColumnType;
  readonly cells: readonly Cell[];
}

const TYPES: Readonly<Record<Exclude<ColumnType, 'BOOLEAN'>, DuckDBType>> = {
  VARCHAR,
  INTEGER,
  BIGINT,
  DOUBLE,
  TIMESTAMPTZ,
  'VARCHAR[]': LIST(VARCHAR),
};

/** Types of bound lists, for `connection.run(sql, values, types)`. */
export function listTypes(lists: readonly BoundList[]): DuckDBType[] {
  return lists.map((l) => LIST(TYPES[l.type as Exclude<ColumnType, 'BOOLEAN'>]));
}

/** Values of bound lists. */
export function listValues(lists: readonly BoundList[]): DuckDBValue[] {
  return lists.map((l) => new DuckDBListValue(l.cells.map((cell) => toDuckDB(l.type, cell))));
}

/** Fills and hands over as many chunks as the rows need. */
export function appendRows(appender: DuckDBAppender, columns: readonly Column[], rows: readonly Row[]): void {
  const types: DuckDBType[] = [];
  for (let i = 0; i < appender.columnCount; i++) types.push(appender.columnType(i));
  for (let from = 0; from < rows.length; from += CHUNK) {
    const count = Math.min(CHUNK, rows.length - from);
    const chunk = DuckDBDataChunk.create(types, count);
    for (let c = 0; c < columns.length; c++) {
      const type = (columns[c] as Column).type;
      const cells: DuckDBValue[] = new Array(count);
      for (let i = 0; i < count; i++) cells[i] = toDuckDB(type, (rows[from + i] as Row)[c] ?? null);
      chunk.setColumnValues(c, cells);
    }
    appender.appendDataChunk(chunk);
  }
}

/**
 * A cell as DuckDB wants it. Never throws: a record that could not be stored would stand in the journal's way forever,
 * so numbers that are none become NULL and integers are cut to their range.
 */
export function toDuckDB(type: ColumnType, cell: Cell): DuckDBValue {
  if (cell === null || cell === undefined) return null;
  switch (type) {
    case 'VARCHAR':
      return typeof cell === 'string' ? cell : String(cell);
    case 'TIMESTAMPTZ':
      return timestamp(cell);
    case 'BIGINT':
      return typeof cell === 'number' && Number.isFinite(cell) ? BigInt(Math.trunc(clamp(cell, 9e18))) : null;
    case 'INTEGER':
      return typeof cell === 'number' && Number.isFinite(cell) ? Math.trunc(clamp(cell, 0x7fffffff)) : null;
    case 'DOUBLE':
      return typeof cell === 'number' && Number.isFinite(cell) ? cell : null;
    case 'BOOLEAN':
      return cell === true;
    case 'VARCHAR[]':
      return new DuckDBListValue(Array.isArray(cell) ? cell.map(String) : []);
  }
}

function clamp(value: number, limit: number): number {
  return Math.min(Math.max(value, -limit), limit);
}

/** Epoch ms (fractional) → microseconds. */
export function timestamp(ms: Cell): DuckDBValue {
  if (typeof ms !== 'number' || Number.isNaN(ms)) return null;
  const clamped = Math.min(Math.max(ms, EARLIEST), LATEST);
  return new DuckDBTimestampTZValue(BigInt(Math.round(clamped * 1000)));
}

/** What came back from DuckDB as plain values. */
export function plainRows(rows: readonly (readonly DuckDBValue[])[]): Plain[][] {
  return rows.map((row) => row.map(plain));
}

function plain(value: DuckDBValue): Plain {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return value;
  }
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof DuckDBTimestampTZValue || value instanceof DuckDBTimestampValue) {
    return Number(value.micros) / 1000;
  }
  if (value instanceof DuckDBListValue) return value.items.map(plain);
  if (value instanceof DuckDBDateValue) return value.toString();
  return String(value);
}
