import { type ChildProcess, spawn } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliError, EXIT } from './context.ts';
import { BUNDLE_VARIABLES } from './env.ts';
import { bin, PRIVATE_PREFIX } from './keep.ts';

const LOG_NAME = 'background.log';
const LOG_BYTES = 1024 * 1024;
/** `statfs` type of tmpfs (linux/magic.h). */
const TMPFS_MAGIC = 0x01021994;
/** The store keeps 1 GiB free (`store.min_free_bytes`); a container's /dev/shm has 64 MiB. */
const ROOM_BYTES = 2 * 1024 ** 3;

/** What the background collector may know: where things are, how to export, how to get out. Nothing of the command's. */
const PASSED =
  /^(HOME|PATH|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+|OTEL_\w+|WEIR_\w+|STRATHON_EGRESS_RECEIVER_URL|STRATHON_API_KEY|SSL_CERT_DIR|NODE_USE_SYSTEM_CA)$|^(https?|all|no)_proxy$/i;
/** These belong to one run, not to the collector that serves many: they travel in the request. */
const OF_ONE_RUN: ReadonlySet<string> = new Set(['WEIR_MODE', 'WEIR_INTERCEPT', 'WEIR_AGENT', 'WEIR_LISTEN']);

/** Where the run's collector lives. */
export interface StateChoice {
  readonly stateDir: string;
  /** Why the configured directory is not used; then this one is in memory where possible and goes with the run. */
  readonly refused?: string;
}

/** The state directory, or a private one for this run where it cannot be written. */
export function chooseStateDir(wanted: string): StateChoice {
  try {
    makeDirectory(wanted);
    const { uid } = statSync(wanted);
    if (process.getuid !== undefined && uid !== process.getuid())
      throw Object.assign(new Error(), { code: `owner ${uid}` });
    accessSync(wanted, constants.R_OK | constants.W_OK | constants.X_OK);
    return { stateDir: wanted };
  } catch (error) {
    return { stateDir: privateStateDir(), refused: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
}

/** In memory where that has room for a database, else where temporary files go; 0700 either way (mkdtemp). */
function privateStateDir(): string {
  const base = isRoomyTmpfs('/dev/shm') ? '/dev/shm' : tmpdir();
  try {
    return mkdtempSync(join(base, PRIVATE_PREFIX));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      `neither the state directory nor ${base} can be written (${code}). Name one: --state-dir <dir>`,
      EXIT.failure,
      {
        cause: error,
      },
    );
  }
}

/** One level at a time: Node's recursive mkdir never returns below /proc. */
function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = join(path, '..');
  if (parent !== path) makeDirectory(parent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another first run may have made it meanwhile.
    const there = statSync(path, { throwIfNoEntry: false });
    if (there?.isDirectory() === true) return;
    throw there === undefined
      ? error
      : Object.assign(new Error('not a directory', { cause: error }), { code: 'ENOTDIR' });
  }
}

function isRoomyTmpfs(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    const { type, bavail, bsize } = statfsSync(path);
    return type === TMPFS_MAGIC && bavail * bsize >= ROOM_BYTES;
  } catch {
    return false;
  }
}

export interface BackgroundOptions {
  readonly stateDir: string;
  /** Absolute path of the configuration file, when one was named. */
  readonly config: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly linger: string | undefined;
  /** The state directory is this run's own and goes with it. */
  readonly removeState: boolean;
}

/** A supervisor started by this run; it outlives us. */
export interface Background {
  /** Whether it has ended, and with what. */
  exit(): { readonly code: number | null } | undefined;
  /** The last lines it and its collector wrote, for an error message. */
  words(): string;
  /** Ends it, and the collector with it; resolves when it has gone. Only for a state directory of our own. */
  stop(): Promise<void>;
}

/** Starts `weir keep` in a session of its own, so that neither Ctrl-C nor a closed terminal ends other runs' collector. */
export function startBackground(options: BackgroundOptions): Background {
  const { stateDir, config, env, linger, removeState } = options;
  const path = join(stateDir, LOG_NAME);
  const log = openSync(path, (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES ? 'w' : 'a', 0o600);
  const from = statSync(path).size;
  const args = ['--disable-sigusr1', bin(), 'keep', '--state-dir', stateDir];
  if (config !== undefined) args.push('--config', config);
  if (linger !== undefined) args.push('--linger', linger);
  if (removeState) args.push('--remove-state');
  let exit: { code: number | null } | undefined;
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, args, {
      cwd: '/',
      env: backgroundEnvironment(env),
      detached: true,
      stdio: ['ignore', log, log],
    });
  } finally {
    closeSync(log);
  }
  const gone = new Promise<void>((resolve) => {
    const note = (code: number | null): void => {
      exit = { code };
      resolve();
    };
    child.once('error', () => note(null));
    child.once('exit', note);
  });
  child.unref();
  return {
    exit: () => exit,
    words: () => lastWords(path, from),
    stop: async () => {
      if (exit === undefined) child.kill('SIGTERM');
      child.ref();
      const hard = setTimeout(() => child.kill('SIGKILL'), 30_000);
      await gone;
      clearTimeout(hard);
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** The part of the environment the background collector gets. */
export function backgroundEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const bundles: readonly string[] = BUNDLE_VARIABLES;
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || OF_ONE_RUN.has(name)) continue;
    if (PASSED.test(name) || bundles.includes(name)) kept[name] = value;
  }
  return kept;
}

function lastWords(path: string, from: number): string {
  try {
    const text = readFileSync(path).subarray(from).toString('utf8').trim();
    return text.split('\n').slice(-3).join('\n');
  } catch {
    return '';
  }
}
