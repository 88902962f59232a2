import { createHmac, randomBytes } from 'node:crypto';
import { accessSync, chmodSync, constants, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { markState, refuseNewerState, StateError } from './config/state-version.ts';

export interface StateDir {
  readonly path: string;
  /** 32 bytes, made once per state directory: key of every hash that leaves (credentials, labels, sessions). */
  readonly key: Buffer;
  /** Keyed hash, 16 hex digits. */
  hash(text: string): string;
}

/** Makes or opens the state directory: 0700, ours, writable, with its key and version. Throws StateError with path, owner and the next step. */
export function openStateDir(path: string, warn: (message: string) => void): StateDir {
  refuseNewerState(path);
  try {
    makeDirectory(path, 0o700);
    makeDirectory(join(path, 'private'), 0o700);
    makeDirectory(join(path, 'public'), 0o755);
  } catch (error) {
    throw unusable(path, error);
  }
  const stat = statSync(path);
  const uid = process.getuid?.();
  if (uid !== undefined && stat.uid !== uid) {
    throw new StateError(
      'state-foreign',
      `state directory ${path} belongs to uid ${stat.uid}. Use --state-dir, or: sudo chown -R ${uid} ${path}`,
    );
  }
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    // Other users must not read what agents do (threat P10).
    if ((stat.mode & 0o077) !== 0) chmodSync(path, 0o700);
  } catch (error) {
    throw unusable(path, error);
  }
  const key = stateKey(path);
  markState(path, warn);
  return { path, key, hash: (text) => createHmac('sha256', key).update(text).digest('hex').slice(0, 16) };
}

/** One level at a time: Node's recursive mkdir never returns below /proc. */
function makeDirectory(path: string, mode: number): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another start may have made it meanwhile; a file of that name is no directory.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}

function stateKey(path: string): Buffer {
  const file = join(path, 'private', 'hash.key');
  try {
    const key = readFileSync(file);
    if (key.length === 32) return key;
    throw new StateError(
      'state-broken',
      `${file} is damaged (${key.length} bytes, 32 expected). Move it away; hashes start anew.`,
    );
  } catch (error) {
    if (error instanceof StateError) throw error;
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw unusable(file, error);
  }
  const key = randomBytes(32);
  try {
    // `wx`: two collectors that start at once must not each keep a key of their own.
    writeFileSync(file, key, { mode: 0o600, flag: 'wx' });
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return readFileSync(file);
    throw unusable(file, error);
  }
}

function unusable(path: string, error: unknown): StateError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  return new StateError(
    'state-unwritable',
    `state directory ${path} cannot be written (${code}). Use --state-dir with a directory of yours, or make this one writable.`,
  );
}
