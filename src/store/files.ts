import * as fs from 'node:fs';
import * as path from 'node:path';

/** Only we may read what the store writes (threat P10). */
export const PRIVATE_FILE = 0o600;
export const PRIVATE_DIR = 0o700;

/** SQL string literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** `history/dt=2026-01-31.parquet` */
const DAY_FILE = /^dt=(\d{4}-\d{2}-\d{2})\.parquet$/;

/** One day of one table in history. */
export interface DayFile {
  readonly day: string;
  readonly file: string;
  readonly bytes: number;
}

/** Makes a directory (and its parents) 0700; an existing one is left as it is. */
export function makePrivateDir(dir: string): void {
  fs.mkdirSync(dir, { recursive: true, mode: PRIVATE_DIR });
}

/** Days in a history directory, oldest first. A missing directory has none. */
export function listDays(dir: string): DayFile[] {
  let names: string[];
  try {
    names = fs.readdirSync(dir);
  } catch {
    return [];
  }
  const days: DayFile[] = [];
  for (const name of names) {
    const day = DAY_FILE.exec(name)?.[1];
    if (day === undefined) continue;
    const file = path.join(dir, name);
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat?.isFile()) days.push({ day, file, bytes: stat.size });
  }
  return days.sort((a, b) => (a.day < b.day ? -1 : 1));
}

/** Size of a file, 0 when there is none. */
export function sizeOf(file: string): number {
  return fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Makes a finished file 0600 and durable. Never call it on the open database: closing any descriptor of it drops DuckDB's lock (fcntl(2)). */
export function seal(file: string): void {
  const fd = fs.openSync(file, 'r+');
  try {
    fs.fchmodSync(fd, PRIVATE_FILE);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Makes renames and unlinks in a directory durable. */
export function sealDir(dir: string): void {
  const fd = fs.openSync(dir, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Renames a sealed file over another, durably. */
export function replaceFile(from: string, to: string): void {
  fs.renameSync(from, to);
  sealDir(path.dirname(to));
}

/** chmod 0600 that does not open the file (see `seal`) and does not mind its absence. */
export function makePrivate(file: string): void {
  try {
    fs.chmodSync(file, PRIVATE_FILE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** UTC stamp for file names: `20260131T235959Z`. */
export function stamp(now: number): string {
  return new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

/** Moves a database and its log out of the way and says where to. */
export function moveAside(file: string, now: number): string {
  let aside = `${file}.corrupt-${stamp(now)}`;
  for (let n = 2; fs.existsSync(aside); n++) aside = `${file}.corrupt-${stamp(now)}-${n}`;
  fs.renameSync(file, aside);
  if (fs.existsSync(`${file}.wal`)) fs.renameSync(`${file}.wal`, `${aside}.wal`);
  return aside;
}

/**
 * What stands at the database's path, without DuckDB: it would fetch an extension from the network for a SQLite file.
 * The magic `DUCK` is at byte 8 of the main header (duckdb.org, "Storage Format").
 */
export function kindOfFile(file: string): 'absent' | 'duckdb' | 'foreign' | 'unreadable' {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return 'absent';
  if (!stat.isFile()) return 'foreign';
  const head = Buffer.alloc(12);
  try {
    const fd = fs.openSync(file, 'r');
    try {
      fs.readSync(fd, head, 0, 12, 0);
    } finally {
      fs.closeSync(fd);
    }
  } catch {
    return 'unreadable';
  }
  return head.toString('latin1', 8) === 'DUCK' ? 'duckdb' : 'foreign';
}

/** Bytes a process without privileges may still write where `dir` is; infinite for a file system that does not say. */
export function freeBytes(dir: string): number {
  const stat = fs.statfsSync(dir);
  return stat.blocks === 0 ? Number.POSITIVE_INFINITY : stat.bavail * stat.bsize;
}

/** Kept free beside what a write needs: four blocks of DuckDB's, which it allocates whole (256 KiB). */
const RESERVE_BYTES = 1024 * 1024;

/**
 * Throws what a full disk would make DuckDB throw, while nothing is half written yet: a checkpoint that fails costs the
 * open database, a commit that fails is undone in memory. Others may fill the disk afterwards, so it is no guarantee.
 */
export function requireRoom(file: string, bytes: number): void {
  const dir = path.dirname(file);
  let free: number;
  try {
    free = freeBytes(dir);
  } catch {
    // A disk that cannot be asked is written to until it fails.
    return;
  }
  const needed = Math.ceil(bytes) + RESERVE_BYTES;
  if (free < needed) throw new Error(`No space left on device: ${dir} has ${free} bytes free, ${needed} are needed`);
}

/**
 * Removes what DuckDB had put aside for want of memory when its process was killed: rows that nobody would erase. To be
 * called by who holds the file; `before` (epoch ms) is when it began to open it, younger files are in use.
 */
export function removeSpilled(file: string, before: number): void {
  const dir = `${file}.tmp`;
  let names: string[];
  try {
    names = fs.readdirSync(dir);
  } catch {
    return;
  }
  for (const name of names) {
    const spilled = path.join(dir, name);
    const stat = fs.lstatSync(spilled, { throwIfNoEntry: false });
    if (stat?.isFile() && name.startsWith('duckdb_temp_') && stat.mtimeMs < before) fs.rmSync(spilled, { force: true });
  }
}
