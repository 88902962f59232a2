import {
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBPreparedStatement,
  type DuckDBValue,
} from '@duckdb/node-api';
import { CHUNK_ROWS, ChunkBuilder } from './column.ts';
import { type BoundList, listTypes, listValues, plainRows } from './convert.ts';
import { requireRoom, sizeOf } from './files.ts';
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
  /** Appends a row for each item inside the current transaction. */
  append<T>(name: TableName, items: readonly T[], row: (item: T) => Row): Promise<void>;
  /** Rows appended since the last checkpoint, in the table that got most. */
  appended(): number;
  checkpoint(): Promise<void>;
  /** Sets how much memory DuckDB may use from now on, as far as that is possible. MB. */
  memory(mb: number): Promise<void>;
  /** Runs `work` in one transaction; rolls back and rethrows when it fails. */
  transaction<T>(work: () => Promise<T>): Promise<T>;
  interrupt(): void;
  /** Idempotent. */
  close(): void;
}

/** Bytes of write-ahead log after which we checkpoint ourselves; DuckDB's own limit is far away so that no commit pays for it. */
export const CHECKPOINT_BYTES = 96 * 1024 * 1024;
/**
 * Rows of one row group (DuckDB's own default). A checkpoint ends a row group, and one that finds several that fit into
 * fewer writes them all again: half the row groups took twice the time and 150 MB more. So each should be nearly full.
 */
export const GROUP_ROWS = 122_880;
/**
 * Files are written for DuckDB 1.3 and later: its compression of strings (DICT_FSST) halves the time of a checkpoint.
 */
const STORAGE = 'v1.3.0';

/** What a row takes in the log, with much to spare: 430 bytes, and the length of its path. */
const ROW_BYTES = 1024;
/** A checkpoint writes at most this share of the log's bytes: the log is not compressed. */
const CHECKPOINT_SHARE = 0.25;

/** Statements kept prepared; what writes has fewer. */
const STATEMENTS_KEPT = 32;

/** Opens a file and locks its configuration. Rejects with DuckDB's error. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const instance = await DuckDBInstance.create(options.file, {
    threads: String(options.threads),
    memory_limit: `${options.memoryLimitMb}MB`,
    max_temp_directory_size: '2GB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    ...(options.readOnly
      ? { access_mode: 'READ_ONLY' }
      : { wal_autocheckpoint: '1GB', storage_compatibility_version: STORAGE }),
  });
  try {
    const connection = await instance.connect();
    await connection.run("SET TimeZone = 'UTC'");
    await connection.run(`SET allowed_directories = [${options.directories.map(directory).join(', ')}]`);
    await connection.run('SET enable_external_access = false');
    // All that may still change is what `memory` sets.
    await connection.run("SET allowed_configs = ['memory_limit']");
    await connection.run('SET lock_configuration = true');
    return makeSession(options, instance, connection);
  } catch (error) {
    instance.closeSync();
    throw error;
  }
}

function directory(dir: string): string {
  const text = dir.endsWith('/') ? dir : `${dir}/`;
  return `'${text.replaceAll("'", "''")}'`;
}

function makeSession(options: SessionOptions, instance: DuckDBInstance, connection: DuckDBConnection): Session {
  const appends = new Map<TableName, Append>();
  /** Rows appended to each table since the last checkpoint. */
  const appended = new Map<TableName, number>();
  /** Rows appended in the current transaction. */
  let pending = 0;
  const checkpointBytes = (): number => CHECKPOINT_SHARE * sizeOf(`${options.file}.wal`);
  let memoryMb = options.memoryLimitMb;
  let closed = false;
  const forget = (): void => closeAppends(appends);
  const prepare = statements(connection);
  return {
    file: options.file,
    async run(sql, values) {
      if (values === undefined) return Number((await connection.run(sql)).rowsChanged);
      const statement = await prepare(sql);
      statement.bind(values);
      return Number((await statement.run()).rowsChanged);
    },
    async runLists(sql, lists) {
      const statement = await prepare(sql);
      statement.bind(listValues(lists), listTypes(lists));
      return Number((await statement.run()).rowsChanged);
    },
    async all(sql, values) {
      const reader = await connection.runAndReadAll(sql, values);
      return plainRows(reader.getRows());
    },
    async append(name, items, row) {
      if (items.length === 0) return;
      let open = appends.get(name);
      if (open === undefined) {
        open = { appender: await connection.createAppender(name), builder: new ChunkBuilder(table(name).columns) };
        appends.set(name, open);
      }
      const { appender, builder } = open;
      for (const item of items) {
        builder.add(row(item));
        if (builder.rows === CHUNK_ROWS) appender.appendDataChunk(builder.take());
      }
      if (builder.rows > 0) appender.appendDataChunk(builder.take());
      appender.flushSync();
      appended.set(name, (appended.get(name) ?? 0) + items.length);
      pending += items.length;
    },
    appended: () => Math.max(0, ...appended.values()),
    async checkpoint() {
      requireRoom(options.file, checkpointBytes());
      await connection.run('CHECKPOINT');
      appended.clear();
    },
    async memory(mb) {
      if (mb === memoryMb) return;
      try {
        await connection.run(`SET memory_limit = '${mb}MB'`);
        memoryMb = mb;
      } catch {
        // More is in use: tried again the next time.
      }
    },
    async transaction(work) {
      await connection.run('BEGIN');
      pending = 0;
      try {
        const result = await work();
        // What is committed must also fit into a checkpoint, which closing the file does.
        requireRoom(options.file, pending * ROW_BYTES + checkpointBytes());
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

/** Parsing and planning a statement costs more than running it on one batch: each is prepared once. */
function statements(connection: DuckDBConnection): (sql: string) => Promise<DuckDBPreparedStatement> {
  const kept = new Map<string, DuckDBPreparedStatement>();
  return async (sql) => {
    let statement = kept.get(sql);
    if (statement === undefined) {
      statement = await connection.prepare(sql);
      if (kept.size >= STATEMENTS_KEPT) {
        for (const old of kept.values()) old.destroySync();
        kept.clear();
      }
      kept.set(sql, statement);
    }
    return statement;
  };
}

/** What appends to one table. */
interface Append {
  readonly appender: DuckDBAppender;
  readonly builder: ChunkBuilder;
}

/** Throws away what was not flushed. */
function closeAppends(appends: Map<TableName, Append>): void {
  for (const { appender } of appends.values()) {
    try {
      appender.clear();
      appender.closeSync();
    } catch {
      // The transaction that fed it is gone already.
    }
  }
  appends.clear();
}
