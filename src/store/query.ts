import * as fs from 'node:fs';
import * as path from 'node:path';
import { type DuckDBConnection, DuckDBInstance, type DuckDBResult } from '@duckdb/node-api';
import type { BaselineSnapshot } from '../model/record.ts';
import { readBaseline } from './baseline-read.ts';
import { plainRows } from './convert.ts';
import { explainOpen } from './engine.ts';
import { messageOf } from './error.ts';
import { kindOfFile, listDays, literal } from './files.ts';
import { historyDir, readParquet } from './history.ts';
import { type Format, type JsonValue, type QueryColumn, renderer, toJson } from './render.ts';
import { emptySelect, META, SCHEMA_VERSION, TABLES, type Table } from './schema.ts';

/** What `weir query` runs, and on what. */
export interface QuerySource {
  /** Holds `history/`. */
  readonly stateDir: string;
  /** Open days the collector wrote out (`Store.snapshot`); used when a collector runs. */
  readonly snapshotDir?: string;
  /** The database itself (relative to `stateDir` or absolute), attached read-only; used when none runs. A missing file is an empty store. */
  readonly directFile?: string;
}

export interface QueryOptions extends QuerySource {
  readonly sql: string;
  readonly format: Format;
  /** Rows after which reading stops; undefined = all. Nothing is read ahead of what is printed. */
  readonly maxRows?: number;
  /** Takes the text as it comes; what it returns is awaited, so a slow reader slows the query. */
  readonly write: (text: string) => void | Promise<void>;
}

export interface QueryResult {
  readonly columns: readonly QueryColumn[];
  readonly rowCount: number;
  /** `maxRows` was reached and there was more. */
  readonly truncated: boolean;
}

/** An error of the person's SQL or of what it runs on, in one line. */
export class QueryError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'QueryError';
  }
}

/** A running query: rows come in chunks, each value fit for JSON. */
export interface OpenQuery {
  readonly columns: readonly QueryColumn[];
  /** The next chunk, undefined at the end. Rejects with QueryError. */
  next(): Promise<JsonValue[][] | undefined>;
  /** Lets go of the file at once: an unread result would hold it until it is collected. Idempotent. */
  close(): Promise<void>;
}

/**
 * Runs SQL in this process with all of DuckDB's power (product.md §6): a runaway query hurts nobody but its author.
 * Renders as it reads. Rejects with QueryError.
 */
export async function runQuery(options: QueryOptions): Promise<QueryResult> {
  const query = await openQuery(options, options.sql);
  try {
    const out = renderer(options.format, query.columns);
    const limit = options.maxRows ?? Number.POSITIVE_INFINITY;
    let rowCount = 0;
    let truncated = false;
    for (;;) {
      const rows = await query.next();
      if (rows === undefined) break;
      truncated = rowCount + rows.length > limit;
      const kept = truncated ? rows.slice(0, limit - rowCount) : rows;
      rowCount += kept.length;
      const text = out.rows(kept);
      if (text !== '') await options.write(text);
      if (truncated) break;
    }
    await options.write(out.end(truncated));
    return { columns: query.columns, rowCount, truncated };
  } finally {
    await query.close();
  }
}

/** Opens the views and starts the SQL; rows are fetched only when asked for. */
export async function openQuery(source: QuerySource, sql: string): Promise<OpenQuery> {
  const instance = await DuckDBInstance.create(':memory:');
  let open: DuckDBConnection | undefined;
  const close = async (): Promise<void> => {
    const connection = open;
    open = undefined;
    if (connection !== undefined) await letGo(connection, instance);
  };
  try {
    const connection = await instance.connect();
    open = connection;
    await connection.run("SET TimeZone = 'UTC'");
    await defineViews(connection, source);
    const result = await connection.stream(sql);
    const columns = distinct(result.columnNames()).map((name, i) => ({ name, type: String(result.columnType(i)) }));
    return { columns, next: () => fetch(result), close };
  } catch (error) {
    await close();
    throw error instanceof QueryError ? error : new QueryError(messageOf(error), { cause: error });
  }
}

/** `SELECT 1 AS a, 2 AS a` has columns `a` and `a:1`: a JSON object cannot hold a key twice. */
function distinct(names: readonly string[]): string[] {
  const used = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let n = 1; used.has(free); n++) free = `${name}:${n}`;
    used.add(free);
    return free;
  });
}

/** Closing alone would keep an attached file locked until the last result is collected. */
async function letGo(connection: DuckDBConnection, instance: DuckDBInstance): Promise<void> {
  try {
    await connection.run('USE memory');
    await connection.run('DETACH DATABASE IF EXISTS weir_file');
  } catch {
    // A statement of the person's may have left it in any state; closing has to do.
  }
  connection.closeSync();
  instance.closeSync();
}

async function fetch(result: DuckDBResult): Promise<JsonValue[][] | undefined> {
  try {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) return undefined;
    return chunk.getRows().map((row) => row.map(toJson));
  } catch (error) {
    throw new QueryError(messageOf(error), { cause: error });
  }
}

/** Every table is a view over typed nothing, the open days, and history: a missing part is no error, older files lack columns. */
async function defineViews(connection: DuckDBConnection, source: QuerySource): Promise<void> {
  const { directFile } = source;
  const attached = directFile !== undefined && (await attach(connection, path.resolve(source.stateDir, directFile)));
  const held = attached ? await attachedTables(connection) : new Set<string>();
  for (const t of TABLES) {
    const parts = [emptySelect(t)];
    if (held.has(t.name)) parts.push(`SELECT * FROM weir_file.${t.name}`);
    const files = parquetFiles(t, source);
    if (files.length > 0) parts.push(`SELECT * FROM ${readParquet(files)}`);
    await connection.run(`CREATE VIEW ${t.name} AS ${parts.join(' UNION ALL BY NAME ')}`);
  }
  await connection.run('CREATE VIEW all_exchanges AS SELECT * FROM exchanges');
}

/** An older file has fewer tables until a collector has migrated it. */
async function attachedTables(connection: DuckDBConnection): Promise<ReadonlySet<string>> {
  const sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'weir_file'";
  return new Set((await connection.runAndReadAll(sql)).getRows().map(([name]) => String(name)));
}

function parquetFiles(t: Table, source: QuerySource): string[] {
  const files: string[] = [];
  if (source.snapshotDir !== undefined) {
    const file = path.resolve(source.snapshotDir, `${t.name}.parquet`);
    if (fs.existsSync(file)) files.push(file);
  }
  if (t.time !== undefined) {
    const history = path.resolve(source.stateDir, 'history');
    for (const day of listDays(historyDir(history, t.name))) files.push(day.file);
  }
  return files;
}

/** Attaches the file read-only. False when there is none; rejects when it is in use, newer or not ours. */
async function attach(connection: DuckDBConnection, file: string): Promise<boolean> {
  const kind = kindOfFile(file);
  if (kind === 'absent') return false;
  if (kind !== 'duckdb') throw new QueryError(`${file} is not a DuckDB database or cannot be read`);
  try {
    await connection.run(`ATTACH ${literal(file)} AS weir_file (READ_ONLY)`);
  } catch (error) {
    const refusal = explainOpen(file, error);
    throw new QueryError(refusal?.message ?? messageOf(error), { cause: error });
  }
  const version = await connection
    .runAndReadAll(`SELECT value FROM weir_file.meta WHERE key = '${META.version}'`)
    .then((r) => Number(plainRows(r.getRows())[0]?.[0]))
    .catch(() => Number.NaN);
  if (Number.isNaN(version)) throw new QueryError(`${file} is a DuckDB database, but not one of Weir's`);
  if (version > SCHEMA_VERSION) {
    throw new QueryError(
      `${file} was written by a newer Weir (schema version ${version}, this one knows ${SCHEMA_VERSION}): use the newer weir`,
    );
  }
  return true;
}

/** The baseline of a store no collector has open (`weir baseline show | export`). A missing file is an empty baseline. Rejects with QueryError. */
export async function readBaselineFile(options: { readonly path: string }): Promise<BaselineSnapshot> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  let connection: DuckDBConnection | undefined;
  try {
    connection = await instance.connect();
    await connection.run("SET TimeZone = 'UTC'");
    if (!(await attach(connection, options.path))) return { agents: [] };
    await connection.run('USE weir_file');
    const { runAndReadAll } = connection;
    return await readBaseline({
      all: async (sql, values) => plainRows((await runAndReadAll.call(connection, sql, values)).getRows()),
    });
  } catch (error) {
    throw error instanceof QueryError ? error : new QueryError(messageOf(error), { cause: error });
  } finally {
    if (connection !== undefined) await letGo(connection, instance);
  }
}
