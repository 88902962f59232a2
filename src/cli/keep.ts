import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { AdminError, SOCKET_NAME } from '../admin/protocol.ts';
import { listenUnix, livePid } from '../admin/socket.ts';
import { type Cli, EXIT } from './context.ts';

/** Socket by which supervisors of one state directory know of each other; nothing is asked over it. */
const KEEP_SOCKET = 'keep.sock';
/** Prefix of state directories made for one run; only such a directory is ever removed. */
export const PRIVATE_PREFIX = 'weir-run-';
/** After this many deaths within `DEATHS_MS` something is wrong that another start does not cure. */
const MAX_DEATHS = 5;
const DEATHS_MS = 60_000;
/** Waits before the first … fifth restart (ms): all within the second product.md §9 promises, but for a machine in trouble. */
const BACK_OFF = [0, 50, 200, 400, 800];

interface KeepOptions {
  readonly linger?: string;
  readonly removeState?: boolean;
  readonly config?: string;
}

/** The CA of a background collector, kept in the memory of this process for the collector's next life. */
interface CaMessage {
  readonly ca?: { readonly certPem: string; readonly keyPem: string };
}

/**
 * `weir keep`, hidden: supervisor of a background collector, started by the first `weir run`. It restarts a collector that
 * dies, with the same CA: the key goes over the IPC pipe only, never by file, argument or environment (product.md §4).
 */
export function keepCommand(cli: Cli): Command {
  return new Command('keep')
    .description('keep a background collector running (weir run starts this)')
    .addOption(new Option('--linger <seconds>', 'how long the collector outlives the last run').hideHelp())
    .addOption(new Option('--remove-state', 'remove the state directory at the end').hideHelp())
    .action((_: unknown, command: Command) => keep(cli, command.optsWithGlobals<KeepOptions>()));
}

async function keep(cli: Cli, options: KeepOptions): Promise<void> {
  const stateDir = cli.stateDir();
  const claim = await claimDirectory(stateDir);
  // Another supervisor is at work here, or a `weir start`: nothing to do, and nothing to say.
  if (claim === undefined) return;
  const command = [process.execPath, '--disable-sigusr1', bin(), 'start', '--background'];
  for (const [flag, value] of [
    ['--config', options.config],
    ['--state-dir', stateDir],
    ['--linger', options.linger],
  ] as const)
    if (value !== undefined) command.push(flag, value);
  try {
    const owned = async (): Promise<boolean> => (await livePid(join(stateDir, SOCKET_NAME))) !== undefined;
    cli.exit(await supervise(command, { owned }));
  } finally {
    claim.close();
    claim.closeAllConnections();
    if (options.removeState === true && basename(stateDir).startsWith(PRIVATE_PREFIX))
      rmSync(stateDir, { recursive: true, force: true });
  }
}

/** Whether a supervisor is at work in this state directory. */
export async function isKept(stateDir: string): Promise<boolean> {
  return (await livePid(join(stateDir, KEEP_SOCKET))) !== undefined;
}

/** The program that runs now: the sources or the package. */
export function bin(): string {
  return fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './bin.ts' : './bin.js', import.meta.url));
}

/** Of ten first runs at once one gets to start the collector; a socket, because it dies with its process. */
async function claimDirectory(stateDir: string): Promise<Server | undefined> {
  if ((await livePid(join(stateDir, SOCKET_NAME))) !== undefined) return undefined;
  const server = createServer((_, response) => response.setHeader('x-weir-pid', process.pid).end());
  server.on('error', () => undefined);
  try {
    await listenUnix(server, join(stateDir, KEEP_SOCKET));
    return server;
  } catch (error) {
    if (error instanceof AdminError && error.code === 'other-collector') return undefined;
    throw error;
  }
}

/** Runs the collector again and again until it ends by itself (0) or there is no point. Returns the exit code. */
export async function supervise(
  command: readonly string[],
  /** Whether somebody else serves the state directory now. */
  { owned }: { owned(): Promise<boolean> },
): Promise<number> {
  const deaths: number[] = [];
  const state: { ca: CaMessage['ca']; child?: ChildProcess; stopped: boolean } = { ca: undefined, stopped: false };
  const stop = (): void => {
    state.stopped = true;
    state.child?.kill('SIGTERM');
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop);
  try {
    for (;;) {
      const code = await life(command, state);
      if (code === EXIT.ok || state.stopped) return EXIT.ok;
      // Wrong usage or configuration does not get better; and who lost the race for the directory is not needed.
      if (code === EXIT.usage || (await owned())) return code === EXIT.usage ? code : EXIT.ok;
      const now = Date.now();
      deaths.push(now);
      while ((deaths[0] ?? now) < now - DEATHS_MS) deaths.shift();
      // It has never worked: its words are in the log, and `weir run` shows them.
      if (deaths.length >= MAX_DEATHS || (code > 0 && state.ca === undefined)) return EXIT.failure;
      await new Promise((resolve) => setTimeout(resolve, BACK_OFF[deaths.length - 1] ?? 0));
      if (state.stopped) return EXIT.ok;
    }
  } finally {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.removeListener(signal, stop);
  }
}

/** One life of the collector. Resolves with its exit code, -1 when a signal ended it or it could not be started. */
function life(
  [program = '', ...args]: readonly string[],
  state: { ca: CaMessage['ca']; child?: ChildProcess },
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    state.child = child;
    child.on('error', (error) => {
      process.stderr.write(`weir: the collector could not be started: ${error.message}\n`);
      resolve(-1);
    });
    child.on('message', (message: CaMessage | null) => {
      if (typeof message?.ca?.certPem === 'string' && typeof message.ca.keyPem === 'string') state.ca = message.ca;
    });
    child.on('exit', (code, signal) => {
      if (signal !== null) process.stderr.write(`weir: the collector was ended by ${signal}\n`);
      resolve(code ?? -1);
    });
    // Without a CA it makes one and sends it here.
    const message: CaMessage = state.ca === undefined ? {} : { ca: state.ca };
    child.send(message, () => undefined);
  });
}
