import * as fs from 'node:fs';
import * as path from 'node:path';
import { isDiskError, isFatal, lockHolder, messageOf, StoreError } from './error.ts';
import { kindOfFile, makePrivate, makePrivateDir, moveAside, removeSpilled, requireRoom, sizeOf } from './files.ts';
import {
  createSchema,
  dropKeys,
  migrate,
  readVersion,
  refuseNewer,
  removeCopy,
  swapInCopy,
  type Target,
} from './migrate.ts';
import { TABLES } from './schema.ts';
import { CHECKPOINT_BYTES, openSession, type Session } from './session.ts';

/** Where things are. All absolute. */
export interface Place {
  readonly dir: string;
  readonly file: string;
  readonly history: string;
}

export interface EngineOptions {
  readonly place: Place;
  readonly memoryLimitMb: number;
  readonly threads: number;
  readonly target: Target;
  readonly createdBy: string;
  readonly clock: () => number;
  /** Called after every opening, before anything else uses the session. */
  readonly onOpen: (session: Session) => Promise<void>;
  /** A sentence for start, status and `/readyz`. */
  readonly onProblem: (kind: 'aside' | 'lost', sentence: string) => void;
}

/** Owns the open file: one operation at a time, opened again when DuckDB gives up on it. */
export interface Engine {
  readonly place: Place;
  /** Runs `work` alone. Rejects with StoreError when the file cannot be opened, else with what `work` threw. */
  use<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** The same for work that needs little memory: blocks read or written before give way to a smaller footprint. */
  useLittle<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** Rewrites the file so that nothing deleted is left in it. */
  rewrite(): Promise<void>;
  /** Opens anew when somebody removed or replaced the file under us. */
  checkFile(): Promise<void>;
  /** Checkpoints when the log is large (or `always` and it is not empty). */
  checkpoint(always: boolean): Promise<void>;
  close(deadlineMs: number): Promise<void>;
}

/** Memory to write rows with, MB: the rows since the last checkpoint, and little else. */
const LITTLE_MB = 128;

/** Files open in this thread: DuckDB's lock is per process and would let us in twice. */
const openFiles = new Set<string>();

/** Opens the store's file, moving aside what cannot be read. Rejects with StoreError. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { place } = options;
  if (openFiles.has(place.file)) {
    throw new StoreError('locked', `${place.file} is already open in this process`, { pid: process.pid });
  }
  openFiles.add(place.file);
  try {
    const first = await openPlace(options);
    return new OneFile(options, first);
  } catch (error) {
    openFiles.delete(place.file);
    throw error;
  }
}

class OneFile implements Engine {
  readonly place: Place;
  readonly #options: EngineOptions;
  #session: Session | undefined;
  #inode: number | undefined;
  #closed = false;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: EngineOptions, first: Session) {
    this.place = options.place;
    this.#options = options;
    this.#session = first;
    this.#inode = inodeOf(options.place.file);
  }

  use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#serial(() => this.#guarded(this.#options.memoryLimitMb, work));
  }

  useLittle<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#serial(() => this.#guarded(LITTLE_MB, work));
  }

  rewrite(): Promise<void> {
    return this.use(async (old) => {
      this.#session = undefined;
      try {
        this.#session = await swapInCopy(old, (file) => openRaw(this.#options, file));
        this.#inode = inodeOf(this.place.file);
        await this.#options.onOpen(this.#session);
      } catch (error) {
        // Whichever file stands there now is whole; the next call opens it anew.
        old.close();
        this.#drop();
        throw error;
      }
    });
  }

  checkFile(): Promise<void> {
    return this.#serial(async () => {
      const { file } = this.place;
      if (this.#closed || this.#session === undefined || inodeOf(file) === this.#inode) return;
      this.#options.onProblem('lost', `${file} was removed or replaced while Weir was running; it was opened anew`);
      this.#drop();
      await this.#current();
    });
  }

  checkpoint(always: boolean): Promise<void> {
    return this.#serial(async () => {
      const log = sizeOf(`${this.place.file}.wal`);
      if (this.#closed || this.#session === undefined || log === 0 || (!always && log < CHECKPOINT_BYTES)) return;
      await this.#guarded(LITTLE_MB, (session) => session.checkpoint());
    });
  }

  async close(deadlineMs: number): Promise<void> {
    if (this.#closed) return;
    const timer = setTimeout(() => this.#session?.interrupt(), deadlineMs);
    await this.#serial(async () => {
      this.#closed = true;
      this.#drop();
      openFiles.delete(this.place.file);
    });
    clearTimeout(timer);
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #guarded<T>(memoryMb: number, work: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.#current();
    try {
      await session.memory(Math.min(memoryMb, this.#options.memoryLimitMb));
      return await work(session);
    } catch (error) {
      if (isFatal(error)) this.#drop();
      throw error;
    }
  }

  async #current(): Promise<Session> {
    if (this.#closed) throw new StoreError('unwritable', 'the store is closed');
    if (this.#session === undefined) {
      this.#session = await openPlace(this.#options);
      this.#inode = inodeOf(this.place.file);
    }
    return this.#session;
  }

  #drop(): void {
    try {
      this.#session?.close();
    } catch {
      // It is being given up because it is broken.
    }
    this.#session = undefined;
  }
}

function inodeOf(file: string): number | undefined {
  return fs.statSync(file, { throwIfNoEntry: false })?.ino;
}

function openRaw(options: EngineOptions, file: string): Promise<Session> {
  const { place } = options;
  const own = path.dirname(place.file);
  return openSession({
    file,
    directories: own === place.dir ? [place.dir] : [place.dir, own],
    memoryLimitMb: options.memoryLimitMb,
    threads: options.threads,
  });
}

async function openPlace(options: EngineOptions): Promise<Session> {
  const { place } = options;
  try {
    makePrivateDir(place.history);
    makePrivateDir(path.dirname(place.file));
    fs.accessSync(path.dirname(place.file), fs.constants.W_OK | fs.constants.X_OK);
    removeCopy(place.file);
    if (kindOfFile(place.file) === 'absent') requireRoom(place.file, 0);
  } catch (error) {
    throw unwritable(place.file, error);
  }
  const kind = kindOfFile(place.file);
  if (kind === 'foreign') setAside(options, 'it is not a DuckDB database');
  if (kind === 'unreadable') setAside(options, 'it cannot be read');
  const began = Date.now();
  let session = await openOrAside(options, kind === 'absent');
  try {
    removeSpilled(place.file, began);
    session = await settle(options, session);
    await dropKeys(session);
    makePrivate(place.file);
    makePrivate(`${place.file}.wal`);
    await options.onOpen(session);
    return session;
  } catch (error) {
    session.close();
    if (error instanceof StoreError) throw error;
    throw unwritable(place.file, error);
  }
}

/** A lock and a newer file are said, a full disk is waited for; anything else DuckDB dislikes is moved aside. */
async function openOrAside(options: EngineOptions, fresh: boolean): Promise<Session> {
  const { file } = options.place;
  try {
    return await openRaw(options, file);
  } catch (error) {
    const refusal = explainOpen(file, error);
    // Half of a new file would be taken for a broken one the next time.
    if (fresh && refusal?.reason === 'unwritable') fs.rmSync(file, { force: true });
    if (refusal !== undefined) throw refusal;
    setAside(options, messageOf(error));
  }
  try {
    return await openRaw(options, file);
  } catch (error) {
    throw explainOpen(file, error) ?? unwritable(file, error);
  }
}

/** The error of opening `file` when the file itself is not to blame; undefined when it is. */
export function explainOpen(file: string, error: unknown): StoreError | undefined {
  const holder = lockHolder(error);
  if (holder !== undefined) {
    const who = holder.pid === undefined ? 'another process' : `process ${holder.pid}`;
    return new StoreError('locked', `${file} is in use by ${who}`, { pid: holder.pid, cause: error });
  }
  if (/version number \d+, but we can only read/i.test(messageOf(error))) {
    return new StoreError(
      'newer',
      `${file} was written by a newer DuckDB: use the newer weir, or another state directory with --state-dir`,
      { cause: error },
    );
  }
  return isDiskError(error) ? unwritable(file, error) : undefined;
}

/** Creates, accepts, migrates or refuses what was opened. */
async function settle(options: EngineOptions, session: Session): Promise<Session> {
  const tables = await session.all(
    "SELECT table_name, list_sort(list(column_name)) FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal GROUP BY ALL",
  );
  if (tables.length === 0) {
    await createSchema(session, options.target, options.createdBy);
    return session;
  }
  const version = await readVersion(session);
  if (version !== undefined) refuseNewer(session.file, version, options.target);
  const known = new Map(tables.map((row) => [row[0] as string, new Set(row[1] as readonly string[])]));
  const whole = TABLES.every((t) => t.columns.every((c) => known.get(t.name)?.has(c.name)));
  if (version !== undefined && version < options.target.version) {
    return migrate(session, version, options.target, (file) => openRaw(options, file));
  }
  if (version !== undefined && whole) return session;
  session.close();
  setAside(options, "it is a DuckDB database, but not one of Weir's");
  const fresh = await openRaw(options, options.place.file);
  await createSchema(fresh, options.target, options.createdBy);
  return fresh;
}

function setAside(options: EngineOptions, why: string): void {
  const { file } = options.place;
  try {
    const aside = moveAside(file, options.clock());
    options.onProblem('aside', `${file} could not be used (${why}); it was moved to ${aside} and a new one was made`);
  } catch (error) {
    throw unwritable(file, error);
  }
}

function unwritable(file: string, error: unknown): StoreError {
  return new StoreError('unwritable', `${file} cannot be opened or written: ${messageOf(error)}`, { cause: error });
}
