import * as fs from 'node:fs';
import * as path from 'node:path';
import { readMeta, writeMeta } from './append.ts';
import { type DayFile, listDays, literal, makePrivateDir, replaceFile, seal, sealDir } from './files.ts';
import { columnList, META, TABLES, type Table, type TableName, table } from './schema.ts';
import type { Session } from './session.ts';

/** One day in ms. */
export const DAY_MS = 86_400_000;

/** `2026-01-31`, UTC. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Tables whose closed days become Parquet. */
export const ROLLED: readonly Table[] = TABLES.filter((t) => t.time !== undefined);

/** `history/` for exchanges (the name others rely on), `history/<table>/` for the rest. */
export function historyDir(history: string, name: TableName): string {
  return name === 'exchanges' ? history : path.join(history, name);
}

/** The file of one day of one table. */
export function dayFile(history: string, name: TableName, day: string): string {
  return path.join(historyDir(history, name), `dt=${day}.parquet`);
}

/** SQL that reads Parquet files whatever version of the schema wrote them. A path that exists is taken as it is before DuckDB takes it for a pattern. */
export function readParquet(files: readonly string[]): string {
  return `read_parquet([${files.map((f) => literal(f)).join(', ')}], union_by_name = true, hive_partitioning = false)`;
}

interface RollIntent {
  readonly from: string;
  readonly to: string;
}

/**
 * Finishes what a crash interrupted and removes half-written files. A day is rolled in three steps: the Parquet file is
 * written beside its place and made durable; ONE transaction deletes the rows and notes the rename that is due; the
 * rename is done and the note removed. Wherever it stops, each row is in exactly one place.
 */
export async function finishRolling(session: Session, history: string): Promise<void> {
  const note = await readMeta(session, META.rolling);
  if (note !== undefined) {
    const intent = JSON.parse(note) as RollIntent;
    const from = path.join(history, intent.from);
    if (fs.existsSync(from)) replaceFile(from, path.join(history, intent.to));
    await writeMeta(session, META.rolling, null);
  }
  for (const t of ROLLED) removeUnfinished(historyDir(history, t.name));
}

function removeUnfinished(dir: string): void {
  let names: string[];
  try {
    names = fs.readdirSync(dir);
  } catch {
    return;
  }
  for (const name of names) if (name.endsWith('.tmp')) fs.rmSync(path.join(dir, name), { force: true });
}

/** Moves every closed day out of the file. Returns the number of rows moved. */
export async function rollClosedDays(session: Session, history: string, now: number): Promise<number> {
  // A note that could not be removed would take the next unfinished file for a finished one.
  await finishRolling(session, history);
  const today = dayOf(now);
  let moved = 0;
  for (const t of ROLLED) {
    const days = await session.all(
      `SELECT DISTINCT strftime(${t.time}, '%Y-%m-%d') AS day FROM ${t.name}
       WHERE ${t.time} < $1::TIMESTAMPTZ AND ${closedRows(t)} ORDER BY day`,
      [`${today} 00:00:00+00`],
    );
    for (const [day] of days) moved += await rollDay(session, history, t, String(day));
  }
  return moved;
}

/** Exchanges that still last stay in the file, because their row will be replaced. */
function closedRows(t: Table): string {
  return t.name === 'exchanges' ? "state = 'closed'" : 'true';
}

function dayRange(t: Table, day: string): string {
  const begin = `TIMESTAMPTZ ${literal(`${day} 00:00:00+00`)}`;
  return `${t.time} >= ${begin} AND ${t.time} < ${begin} + INTERVAL 1 DAY AND ${closedRows(t)}`;
}

async function rollDay(session: Session, history: string, t: Table, day: string): Promise<number> {
  const final = dayFile(history, t.name, day);
  const unfinished = `${final}.tmp`;
  makePrivateDir(path.dirname(final));
  const late = fs.existsSync(final);
  const rows = `SELECT ${columnList(t)} FROM ${t.name} WHERE ${dayRange(t, day)}`;
  // Rows that came late (a long tunnel, an outage) join the file that is there.
  const source = late ? `SELECT * FROM ${readParquet([final])} UNION ALL BY NAME ${rows}` : rows;
  await writeParquet(session, source, unfinished);
  const intent: RollIntent = { from: path.relative(history, unfinished), to: path.relative(history, final) };
  const moved = await session.transaction(async () => {
    const deleted = await session.run(`DELETE FROM ${t.name} WHERE ${dayRange(t, day)}`);
    await writeMeta(session, META.rolling, JSON.stringify(intent));
    return deleted;
  });
  replaceFile(unfinished, final);
  await writeMeta(session, META.rolling, null);
  return moved;
}

/** Writes a query as a durable, private Parquet file. */
export async function writeParquet(session: Session, query: string, file: string): Promise<void> {
  try {
    await session.run(`COPY (${query}) TO ${literal(file)} (FORMAT parquet, COMPRESSION zstd)`);
    seal(file);
  } catch (error) {
    fs.rmSync(file, { force: true });
    throw error;
  }
}

/** Makes `all_exchanges` the union of the open days and history. Done at start and whenever a day file comes or goes; temporary, so that a full disk is no obstacle. */
export async function refreshView(session: Session, history: string): Promise<void> {
  const rows = `SELECT ${columnList(table('exchanges'))} FROM exchanges`;
  const files = listDays(history).map((d) => d.file);
  const union = files.length === 0 ? rows : `${rows} UNION ALL BY NAME SELECT * FROM ${readParquet(files)}`;
  await session.run(`CREATE OR REPLACE TEMP VIEW all_exchanges AS ${union}`);
}

/** Days of every rolled table. */
export function allDays(history: string): Map<TableName, DayFile[]> {
  return new Map(ROLLED.map((t) => [t.name, listDays(historyDir(history, t.name))]));
}

/** Removes day files durably. */
export function removeDays(files: readonly DayFile[]): void {
  const dirs = new Set<string>();
  for (const { file } of files) {
    fs.rmSync(file, { force: true });
    dirs.add(path.dirname(file));
  }
  for (const dir of dirs) sealDir(dir);
}

/** Rows in Parquet files, from their footers. */
export async function countRows(session: Session, files: readonly DayFile[]): Promise<number> {
  if (files.length === 0) return 0;
  const list = files.map((f) => literal(f.file)).join(', ');
  const rows = await session.all(`SELECT sum(num_rows) FROM parquet_file_metadata([${list}])`);
  return Number(rows[0]?.[0] ?? 0);
}
