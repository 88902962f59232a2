import { type DuckDBAppender, type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';
import { appendRows, type BoundList, listTypes, listValues, plainRows } from './convert.ts';
import type { Row } from './row.ts';
import { type TableName, table } from './schema.ts';

/** How a database file is opened. */
export interface SessionOptions {
  readonly file: string;
  /** The only directories SQL may touch: history, snapshots, the file's own (threat W7). */
  readonly directories: readonly string[];
  readonly memoryLimitMb: number;
  readonly threads: number;
  readonly readOnly?: boolean;
}

/** A value read back: timestamps as epoch ms, BIGINT as number (sizes and counts stay far below 2^53). */
export type Plain = string | number | boolean | null | readonly Plain[];
export type PlainRow = readonly Plain[];

/** One open database with one connection. Not concurrent: `database.ts` lets one operation in at a time. */
export interface Session {
  readonly file: string;
  run(sql: string, values?: DuckDBValue[]): Promise<number>;
  /** Runs SQL whose parameters `$1 …` are lists, for `unnest`. */
  runLists(sql: string, lists: readonly BoundList[]): Promise<number>;
  all(sql: string, values?: DuckDBValue[]): Promise<PlainRow[]>;
  /** Appends inside the current transaction. */
  append(name: TableName, rows: readonly Row[]): Promise<void>;
  /** Runs `work` in one transaction; rolls back and rethrows when it fails. */
  transaction<T>(work: () => Promise<T>): Promise<T>;
  interrupt(): void;
  /** Idempotent. */
  close(): void;
}

/** Bytes of write-ahead log after which we checkpoint ourselves; DuckDB's own limit is far away so that no commit pays for it. */
export const CHECKPOINT_BYTES = 64 * 1024 * 1024;

/** Opens a file and locks its configuration. Rejects with DuckDB's error. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const instance = await DuckDBInstance.create(options.file, {
    threads: String(options.threads),
    memory_limit: `${options.memoryLimitMb}MB`,
    max_temp_directory_size: '2GB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    ...(options.readOnly ? { access_mode: 'READ_ONLY' } : { wal_autocheckpoint: '1GB' }),
  });
  try {
    const connection = await instance.connect();
    await connection.run("SET TimeZone = 'UTC'");
    await connection.run(`SET allowed_directories = [${options.directories.map(directory).join(', ')}]`);
    await connection.run('SET enable_external_access = false');
    await connection.run('SET lock_configuration = true');
    return makeSession(options.file, instance, connection);
  } catch (error) {
    instance.closeSync();
    throw error;
  }
}

function directory(dir: string): string {
  const text = dir.endsWith('/') ? dir : `${dir}/`;
  return `'${text.replaceAll("'", "''")}'`;
}

function makeSession(file: string, instance: DuckDBInstance, connection: DuckDBConnection): Session {
  const appenders = new Map<TableName, DuckDBAppender>();
  let closed = false;
  const forget = (): void => closeAppenders(appenders);
  const run = async (sql: string, values?: DuckDBValue[]): Promise<number> => {
    const result = await connection.run(sql, values);
    return Number(result.rowsChanged);
  };
  return {
    file,
    run,
    async runLists(sql, lists) {
      const result = await connection.run(sql, listValues(lists), listTypes(lists));
      return Number(result.rowsChanged);
    },
    async all(sql, values) {
      const reader = await connection.runAndReadAll(sql, values);
      return plainRows(reader.getRows());
    },
    async append(name, rows) {
      if (rows.length === 0) return;
      let appender = appenders.get(name);
      if (appender === undefined) {
        appender = await connection.createAppender(name);
        appenders.set(name, appender);
      }
      appendRows(appender, table(name).columns, rows);
      appender.flushSync();
    },
    async transaction(work) {
      await connection.run('BEGIN');
      try {
        const result = await work();
        await connection.run('COMMIT');
        return result;
      } catch (error) {
        // A buffer that was half filled must not leak into the next transaction.
        forget();
        await connection.run('ROLLBACK').catch(() => undefined);
        throw error;
      }
    },
    interrupt: () => connection.interrupt(),
    close() {
      if (closed) return;
      closed = true;
      forget();
      connection.closeSync();
      instance.closeSync();
    },
  };
}

/** Throws away what was not flushed. */
function closeAppenders(appenders: Map<TableName, DuckDBAppender>): void {
  for (const appender of appenders.values()) {
    try {
      appender.clear();
      appender.closeSync();
    } catch {
      // The transaction that fed it is gone already.
    }
  }
  appenders.clear();
}
