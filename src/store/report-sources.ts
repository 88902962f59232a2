import type { ReportFilter } from '../model/report.ts';
import { listDays, literal } from './files.ts';
import { dayOf, historyDir, readParquet } from './history.ts';
import { columnList, type TableName, table } from './schema.ts';

/** Runs one statement: `Session.all`, or rows of `openQuery`. No parameters are bound, since the second takes none. */
export type ReadAll = (sql: string) => Promise<readonly (readonly unknown[])[]>;

/** The tables as this report sees them: its rows only, whatever file they are in. */
export interface Sources {
  readonly exchanges: string;
  readonly findings: string;
  readonly runs: string;
}

/** The rows of a report as sub-queries. `history` is given for an open session, whose tables are the open days only. */
export function sources(filter: ReportFilter, history: string | undefined): Sources {
  const rows = (name: 'exchanges' | 'findings' | 'runs', condition: string): string =>
    `(SELECT * FROM ${allDays(name, filter.since, history)} WHERE ${condition})`;
  const agent = filter.agent === undefined ? [] : [`agent = ${literal(filter.agent)}`];
  const within = (begin: string, end = begin): string[] => [
    ...(filter.since === undefined ? [] : [`${end} >= ${time(filter.since)}`]),
    ...(filter.until === undefined ? [] : [`${begin} < ${time(filter.until)}`]),
  ];
  const named = (id: string): string[] =>
    filter.run === undefined ? [] : [`(${id} = ${literal(filter.run)} OR right(${id}, 10) = ${literal(filter.run)})`];
  const conditions = (parts: readonly string[]): string => (parts.length === 0 ? 'true' : parts.join(' AND '));
  return {
    // `weir verify` asks Weir itself: nothing went anywhere.
    exchanges: rows(
      'exchanges',
      conditions([...agent, ...named('run_id'), ...within('started_at'), "outcome IS DISTINCT FROM 'answered'"]),
    ),
    findings: rows('findings', conditions([...agent, ...named('run_id'), ...within('occurred_at')])),
    runs: rows('runs', conditions([...agent, ...named('id'), ...within('started_at', 'ended_at')])),
  };
}

/** A table with its history. The days before `since` stay unread. */
function allDays(name: TableName, since: number | undefined, history: string | undefined): string {
  if (name === 'exchanges') return 'all_exchanges';
  const files = history === undefined ? [] : listDays(historyDir(history, name));
  const wanted = since === undefined || name === 'runs' ? files : files.filter(({ day }) => day >= dayOf(since));
  if (wanted.length === 0) return name;
  const closed = readParquet(wanted.map(({ file }) => file));
  return `(SELECT ${columnList(table(name))} FROM ${name} UNION ALL BY NAME SELECT * FROM ${closed})`;
}

/** First and last moment DuckDB and `Date` both know. */
const EARLIEST = -62_135_596_800_000;
const LATEST = 253_402_214_400_000;

function time(ms: number): string {
  const at = new Date(Math.min(Math.max(Number.isNaN(ms) ? 0 : ms, EARLIEST), LATEST)).toISOString();
  return `TIMESTAMPTZ ${literal(at.replace('T', ' ').replace('Z', '+00'))}`;
}

/** First cell. */
export function first(row: readonly unknown[]): unknown {
  return row[0];
}

/** A cell as text; anything else is empty. */
export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A cell as a finite number; anything else is 0. */
export function number(value: unknown): number {
  const n = Number(value ?? 0);
  return Number.isFinite(n) ? n : 0;
}
