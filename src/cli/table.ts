import { safe } from './context.ts';

/** One column: heading, and how a row's cell reads. Numbers are set flush right. */
export interface Column<T> {
  readonly name: string;
  readonly cell: (row: T) => string | number | undefined;
  readonly right?: boolean;
  /** Characters; default 60. */
  readonly max?: number;
}

/** Rows as aligned text, two spaces between columns, no trailing blanks. Every cell is made printable. */
export function table<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  heading: (text: string) => string = (t) => t,
): string {
  const cells = rows.map((row) => columns.map((column) => safe(column.cell(row), column.max ?? 60)));
  const widths = columns.map((column, i) => Math.max(column.name.length, ...cells.map((line) => line[i]?.length ?? 0)));
  const line = (parts: readonly string[]): string =>
    parts
      .map((part, i) => (columns[i]?.right ? part.padStart(widths[i] ?? 0) : part.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [heading(line(columns.map((column) => column.name))), ...cells.map(line)].join('\n');
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

/** 3.1 MB, in steps of 1000 as network people count. */
export function bytes(n: number): string {
  let value = n;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 || value >= 99.5 ? `${Math.round(value)} ${UNITS[unit]}` : `${value.toFixed(1)} ${UNITS[unit]}`;
}

/** `2 d 3 h`, `4 min`, `12 s`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s`;
  const min = Math.round(s / 60);
  if (min < 90) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 48) return `${h} h ${min % 60} min`;
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

/** `3 destinations`, `1 destination`. */
export function plural(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

/** Local `2026-11-20 14:02:31`; sorts as text. */
export function clock(ms: number): string {
  const d = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, '0');
  const date = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return `${date} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
