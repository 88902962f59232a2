import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBUnionValue,
  type DuckDBValue,
} from '@duckdb/node-api';

export type Format = 'table' | 'json' | 'csv';

/** A value as JSON can say it. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface QueryColumn {
  readonly name: string;
  /** DuckDB's name of the type. */
  readonly type: string;
}

/** Text of a result, piece by piece. */
export interface Renderer {
  rows(rows: readonly (readonly JsonValue[])[]): string;
  end(truncated: boolean): string;
}

/** Rows a table looks at to choose its widths. */
const WIDTH_ROWS = 1_000;
/** Widest column of a table. */
const MAX_WIDTH = 80;

/**
 * A DuckDB value as JSON: whole numbers beyond 2^53 as strings (a reader would round them), times as ISO 8601 UTC,
 * what is no number as null, bytes as hexadecimal, everything else as DuckDB writes it.
 */
export function toJson(value: DuckDBValue): JsonValue {
  if (value === null || value === undefined) return null;
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : null;
    case 'bigint':
      return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();
    default:
      return objectToJson(value);
  }
}

function objectToJson(value: DuckDBValue & object): JsonValue {
  if (value instanceof DuckDBTimestampTZValue) return isoTime(value.micros) ?? value.toString();
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(toJson);
  if (value instanceof DuckDBStructValue) return record(Object.entries(value.entries));
  if (value instanceof DuckDBMapValue) {
    return record(value.entries.map((e) => [String(toJson(e.key)), e.value] as const));
  }
  if (value instanceof DuckDBUnionValue) return toJson(value.value);
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('hex');
  return String(value);
}

/** No prototype: `__proto__` is a key like any other. */
function record(entries: readonly (readonly [string, DuckDBValue])[]): JsonValue {
  const object = Object.create(null) as Record<string, JsonValue>;
  for (const [key, value] of entries) object[key] = toJson(value);
  return object;
}

/** Microseconds since the epoch as ISO 8601; undefined for infinities and years JavaScript has no date for. */
function isoTime(micros: bigint): string | undefined {
  const ms = Number(micros / 1000n);
  if (Math.abs(ms) > 8.64e15) return undefined;
  const rest = ((micros % 1000n) + 1000n) % 1000n;
  const date = new Date(micros < 0n && rest !== 0n ? ms - 1 : ms);
  if (Number.isNaN(date.getTime())) return undefined;
  const iso = date.toISOString();
  return rest === 0n ? iso : `${iso.slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}

/** Chooses how a result is written. */
export function renderer(format: Format, columns: readonly QueryColumn[]): Renderer {
  switch (format) {
    case 'json':
      return jsonRenderer(columns);
    case 'csv':
      return csvRenderer(columns);
    case 'table':
      return tableRenderer(columns);
  }
}

function jsonRenderer(columns: readonly QueryColumn[]): Renderer {
  const keys = columns.map((c) => `${JSON.stringify(c.name)}:`);
  let first = true;
  return {
    rows(rows) {
      let text = '';
      for (const row of rows) {
        // Written by hand: a column may be called `__proto__`.
        const body = row.map((value, i) => `${keys[i]}${JSON.stringify(value)}`).join(',');
        text += `${first ? '[\n' : ',\n'}{${body}}`;
        first = false;
      }
      return text;
    },
    end: () => (first ? '[]\n' : '\n]\n'),
  };
}

function csvRenderer(columns: readonly QueryColumn[]): Renderer {
  const line = (cells: readonly string[]): string => `${cells.map(csvCell).join(',')}\r\n`;
  let head = line(columns.map((c) => c.name));
  return {
    rows(rows) {
      const text = head + rows.map((row) => line(row.map(cellText))).join('');
      head = '';
      return text;
    },
    end: () => head,
  };
}

/** RFC 4180 §2. */
function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function cellText(value: JsonValue): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function tableRenderer(columns: readonly QueryColumn[]): Renderer {
  const names = columns.map((c) => visible(c.name));
  const right = columns.map((c) => /INT|DOUBLE|FLOAT|DECIMAL|REAL|BIGNUM/.test(c.type) && !c.type.endsWith(']'));
  let held: string[][] = [];
  let widths: number[] | undefined;
  const lines = (rows: readonly (readonly string[])[], w: readonly number[]): string =>
    rows
      .map(
        (row) =>
          `${row
            .map((cell, i) => pad(cell, w[i] ?? 0, right[i] ?? false))
            .join('  ')
            .trimEnd()}\n`,
      )
      .join('');
  const settle = (): string => {
    widths = names.map((name, i) => {
      const longest = held.reduce((max, row) => Math.max(max, row[i]?.length ?? 0), name.length);
      return Math.min(longest, MAX_WIDTH);
    });
    const text = lines([names, widths.map((w) => '─'.repeat(w)), ...held], widths);
    held = [];
    return text;
  };
  return {
    rows(rows) {
      const cells = rows.map((row) => row.map((value) => visible(value === null ? '-' : cellText(value))));
      if (widths !== undefined) return lines(cells, widths);
      held.push(...cells);
      return held.length < WIDTH_ROWS ? '' : settle();
    },
    end(truncated) {
      const rest = widths === undefined ? settle() : '';
      return truncated ? `${rest}… there are more rows\n` : rest;
    },
  };
}

function pad(text: string, width: number, right: boolean): string {
  const cut = text.length > width ? `${text.slice(0, width - 1)}…` : text;
  return right ? cut.padStart(width) : cut.padEnd(width);
}

/** Nothing in a cell may move the cursor or reorder text: control, format (bidi, zero-width) and line separators are shown. */
function visible(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (c) => `\\u{${(c.codePointAt(0) as number).toString(16)}}`,
  );
}
