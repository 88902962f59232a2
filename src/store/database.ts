import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Consumer } from '../model/ports.ts';
import type { RecentExchange, RecentQuery } from '../model/recent.ts';
import type { BaselineSnapshot } from '../model/record.ts';
import type { ReportFacts, ReportFilter } from '../model/report.ts';
import { readCursor } from './append.ts';
import { readBaseline } from './baseline-read.ts';
import { type Engine, openEngine, type Place } from './engine.ts';
import { messageOf, StoreError } from './error.ts';
import { freeBytes, makePrivateDir, replaceFile } from './files.ts';
import { finishRolling, refreshView, rollClosedDays, writeParquet } from './history.ts';
import { CURRENT, type Target } from './migrate.ts';
import { asideFiles, type Purged, type PurgeOptions, purgeRows } from './purge.ts';
import { readSummary, type StoreSummary } from './read.ts';
import { readRecent } from './recent.ts';
import { type ReportContext, readReport } from './report.ts';
import { retainBytes, retainDays } from './retention.ts';
import { columnList, TABLES } from './schema.ts';
import { makeWriter, type Writer } from './writer.ts';

/** How the store is opened. Bytes and milliseconds; 0 = no limit for `retentionDays` and `maxBytes`. */
export interface StoreOptions {
  /** `state_dir`: history and snapshots are kept in it. */
  readonly dir: string;
  /** `store.path`: relative to `dir`, or absolute. */
  readonly path: string;
  readonly retentionDays: number;
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  readonly flushMs: number;
  readonly memoryLimitMb?: number;
  readonly threads?: number;
  /** Written into a new file, e.g. `weir 0.1.0`. */
  readonly createdBy?: string;
  readonly clock?: () => number;
  readonly log: { warn(message: string): void };
  /** Free bytes on the disk of `dir`. */
  readonly free?: (dir: string) => number;
  /** Schema to bring the file to. */
  readonly target?: Target;
}

/** The embedded store: a consumer of the journal, and everything that is read from it. */
export interface Store extends Consumer {
  readonly name: 'duckdb';
  cursor(): Promise<number | undefined>;
  loadBaseline(): Promise<BaselineSnapshot>;
  /** Rolls closed days, keeps the limits, checkpoints. Every minute; never rejects, what fails is a problem. */
  maintain(now: number): Promise<void>;
  /** Open rows nobody will close any more (call it after the journal was replayed) become `interrupted`. Returns how many. */
  interruptOpen(): Promise<number>;
  /** Writes the open days as Parquet into `dir` (inside `state_dir`) for `weir query`. `files` are absolute, `<table>.parquet`. */
  snapshot(dir: string): Promise<{ readonly files: readonly string[] }>;
  /** Erases rows so that no file holds them any more. Snapshots and the journal are their owners' to erase. */
  purge(options: PurgeOptions): Promise<Purged>;
  recent(options: RecentQuery): Promise<RecentExchange[]>;
  /** What the rows say of a run, an agent or a time. */
  report(filter: ReportFilter, context: ReportContext): Promise<ReportFacts>;
  summary(): Promise<StoreSummary>;
  /** Sentences for start, status and `/readyz`; empty when all is well. */
  problems(): string[];
}

/** History is looked at this often besides the change of day, for rows that come late. */
const ROLL_MS = 3_600_000;
/** A day is closed this long after midnight UTC, so that the journal's last batches are in it. */
const GRACE_MS = 300_000;
/** Without a commit for this long the log is checkpointed. */
const IDLE_MS = 30_000;
/** Free space is asked for at most this often. */
const FREE_MS = 1_000;

/**
 * Opens the store. Rejects with StoreError: `locked` (another process, see `pid`), `newer` (written by a newer Weir) or
 * `unwritable`; the recorder goes on without rows and tries again. A file that cannot be read is moved aside instead.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const clock = options.clock ?? Date.now;
  const problems = new Map<string, string>();
  const report = (kind: string, sentence: string | undefined): void => {
    if (sentence === undefined) {
      problems.delete(kind);
      return;
    }
    if (problems.get(kind) !== sentence) options.log.warn(sentence);
    problems.set(kind, sentence);
  };
  const place = placeOf(options);
  const engine = await openEngine({
    place,
    memoryLimitMb: options.memoryLimitMb ?? 256,
    threads: options.threads ?? 1,
    target: options.target ?? CURRENT,
    createdBy: options.createdBy ?? 'weir',
    clock,
    onProblem: report,
    onOpen: async (session) => {
      // On a full disk this waits for the next maintenance; reading works all the same.
      await finishRolling(session, place.history).catch(() => undefined);
      await refreshView(session, place.history);
    },
  });
  const shedding = shedder(options, place, report);
  const writer = makeWriter({ engine, flushMs: options.flushMs, shedding });
  return assemble(options, engine, writer, problems, report);
}

type Report = (kind: string, sentence: string | undefined) => void;

/** Real paths, because DuckDB compares what it may touch as text. */
function placeOf(options: StoreOptions): Place {
  // DuckDB 1.5 reads what follows `?` as parameters of a URL and puts its log elsewhere.
  if (path.resolve(options.dir, options.path).includes('?') || options.dir.includes('?')) {
    throw new StoreError('unwritable', `${options.dir}: DuckDB cannot use a path with a question mark`);
  }
  try {
    makePrivateDir(options.dir);
    const dir = fs.realpathSync(options.dir);
    const wanted = path.resolve(dir, options.path);
    makePrivateDir(path.dirname(wanted));
    const file = path.join(fs.realpathSync(path.dirname(wanted)), path.basename(wanted));
    return { dir, file, history: path.join(dir, 'history') };
  } catch (error) {
    throw new StoreError('unwritable', `${options.dir} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

/** Below `min_free_bytes` everything but findings, audit and aggregates is shed. */
function shedder(options: StoreOptions, place: Place, report: Report): () => boolean {
  const free = options.free ?? freeBytes;
  let asked = Number.NEGATIVE_INFINITY;
  let low = false;
  return () => {
    const now = performance.now();
    if (now - asked < FREE_MS) return low;
    asked = now;
    try {
      const bytes = free(place.dir);
      low = bytes < options.minFreeBytes;
      report(
        'free',
        low
          ? `the disk of ${place.dir} has less than store.min_free_bytes (${options.minFreeBytes}) free: only findings and aggregates are stored`
          : undefined,
      );
    } catch {
      // A disk that cannot be asked is written to until it fails.
      low = false;
    }
    return low;
  };
}

function assemble(
  options: StoreOptions,
  engine: Engine,
  writer: Writer,
  problems: Map<string, string>,
  report: Report,
): Store {
  const { place } = engine;
  const maintenance = maintainer(options, engine, writer, report);
  return {
    name: 'duckdb',
    async consume(batch, last) {
      try {
        const result = await writer.consume(batch, last);
        report('write', undefined);
        return result;
      } catch (error) {
        report('write', `rows cannot be stored, the journal keeps them: ${messageOf(error)}`);
        throw error;
      }
    },
    cursor: () => engine.use(readCursor),
    loadBaseline: () => engine.use(readBaseline),
    maintain: maintenance,
    interruptOpen: () =>
      engine.use((session) =>
        session.run("UPDATE exchanges SET state = 'closed', outcome = 'interrupted' WHERE state = 'open'"),
      ),
    async snapshot(dir) {
      await writer.flush();
      return engine.use((session) => writeSnapshot(session, place, dir));
    },
    async purge(what) {
      await writer.flush();
      const rows = await engine.use((session) => purgeRows(session, place.history, what));
      await engine.rewrite();
      return { rows, leftAside: asideFiles(place.file) };
    },
    report: (filter, context) =>
      engine.use((session) => readReport((sql) => session.all(sql), filter, { ...context, history: place.history })),
    recent: (what) => engine.use((session) => readRecent(session, what)),
    summary: () => engine.use((session) => readSummary(session, place.history)),
    problems: () => [...problems.values()],
    async close(deadlineMs) {
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, deadlineMs).unref());
      await Promise.race([writer.flush(), timeout]);
      await engine.close(deadlineMs);
    },
  };
}

function maintainer(
  options: StoreOptions,
  engine: Engine,
  writer: Writer,
  report: Report,
): (now: number) => Promise<void> {
  const { history } = engine.place;
  let rolledDay = -1;
  let rolledAt = Number.NEGATIVE_INFINITY;
  let calledAt: number | undefined;
  const attempt = async (kind: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
      report(kind, undefined);
    } catch (error) {
      report(kind, `the store's ${kind} did not succeed and is tried again: ${messageOf(error)}`);
    }
  };
  return async (now) => {
    const mono = performance.now();
    const elapsed = { now, monotonic: calledAt === undefined ? undefined : mono - calledAt };
    calledAt = mono;
    await attempt('opening', () => engine.checkFile());
    await attempt('retention', () =>
      engine.use(async (session) => {
        const { held } = await retainDays(session, history, options.retentionDays, elapsed);
        report('clock', held);
      }),
    );
    const day = Math.floor((now - GRACE_MS) / 86_400_000);
    if (day !== rolledDay || mono - rolledAt >= ROLL_MS) {
      await attempt('history', async () => {
        await engine.use(async (session) => {
          const moved = await rollClosedDays(session, history, now - GRACE_MS);
          if (moved > 0) await refreshView(session, history);
        });
        rolledDay = day;
        rolledAt = mono;
      });
    }
    await attempt('limit', async () => {
      const shed = await keepBytes(engine, options.maxBytes);
      const sentence = `store.max_bytes (${options.maxBytes}) is reached: the oldest exchanges are given up`;
      report('bytes', shed > 0 ? sentence : undefined);
    });
    await attempt('checkpoint', () => engine.checkpoint(mono - writer.lastCommit() > IDLE_MS));
  };
}

/** Gives up rows and, when DuckDB does not give back their space, rewrites the file. Bounded: the next minute goes on. */
async function keepBytes(engine: Engine, maxBytes: number): Promise<number> {
  let shed = 0;
  for (let round = 0; round < 6; round++) {
    const { rows, rewrite } = await engine.use((session) => retainBytes(session, engine.place.history, maxBytes));
    shed += rows;
    if (!rewrite) break;
    await engine.rewrite();
  }
  return shed;
}

async function writeSnapshot(
  session: Parameters<typeof writeParquet>[0],
  place: Place,
  dir: string,
): Promise<{ files: string[] }> {
  makePrivateDir(dir);
  const target = fs.realpathSync(dir);
  if (path.relative(place.dir, target).startsWith('..')) throw new Error(`${dir} is outside ${place.dir}`);
  const files: string[] = [];
  for (const t of TABLES) {
    const file = path.join(target, `${t.name}.parquet`);
    await writeParquet(session, `SELECT ${columnList(t)} FROM ${t.name}`, `${file}.tmp`);
    replaceFile(`${file}.tmp`, file);
    files.push(file);
  }
  return { files };
}
