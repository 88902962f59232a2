import {
  BIGINT,
  DOUBLE,
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
import type { Cell } from './row.ts';
import type { ColumnType } from './schema.ts';
import type { Plain } from './session.ts';

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

/** A cell as DuckDB wants it. Never throws: a record that could not be stored would stand in the journal's way forever. */
export function toDuckDB(type: ColumnType, cell: Cell): DuckDBValue {
  if (cell === null || cell === undefined) return null;
  switch (type) {
    case 'VARCHAR':
      return typeof cell === 'string' ? cell : String(cell);
    case 'BOOLEAN':
      return cell === true;
    case 'VARCHAR[]':
      return new DuckDBListValue(Array.isArray(cell) ? cell.map(String) : []);
  }
  const value = numberOf(type, cell);
  if (value === undefined) return null;
  if (type === 'BIGINT') return BigInt(value);
  return type === 'TIMESTAMPTZ' ? new DuckDBTimestampTZValue(BigInt(value)) : value;
}

/** The number a cell is stored as (times as microseconds): cut to the type's range; undefined for what is no number. */
export function numberOf(type: ColumnType, cell: Cell): number | undefined {
  if (typeof cell !== 'number' || Number.isNaN(cell)) return undefined;
  if (type === 'TIMESTAMPTZ') return Math.round(Math.min(Math.max(cell, EARLIEST), LATEST) * 1000);
  if (!Number.isFinite(cell)) return undefined;
  if (type === 'DOUBLE') return cell;
  const limit = type === 'INTEGER' ? 0x7fffffff : 9e18;
  return Math.trunc(Math.min(Math.max(cell, -limit), limit));
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
