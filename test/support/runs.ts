import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Leaf } from './certs.ts';
import { listening } from './origins.ts';
import { cleanEnv, eventually } from './weir.ts';

const BIN = process.env['WEIR_TEST_BIN'] ?? fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url));

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `weir run` on its way. */
export interface RunProcess {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  kill(signal: NodeJS.Signals): void;
  /** Writes to its stdin (with `hold`). */
  write(text: string): void;
  /** Ends its stdin (with `hold`). */
  close(): void;
  readonly ended: Promise<Ended>;
}

export interface RunSettings {
  /** Flags of `weir run`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Leaves stdin open. */
  readonly hold?: boolean;
}

/** A state directory with its runs. */
export interface RunPlace {
  readonly stateDir: string;
  readonly directory: string;
  /** Command line of a run in this place. */
  argv(command: readonly string[], flags?: readonly string[]): string[];
  run(command: readonly string[], settings?: RunSettings): RunProcess;
  /** Pid of who answers on a socket of the state directory. */
  pid(socket: 'weir.sock' | 'keep.sock'): Promise<number | undefined>;
  admin(path: string): Promise<unknown>;
  /** Resolves when collector and supervisor have left. */
  left(): Promise<void>;
  close(): Promise<void>;
}

/** Makes a place; `config` is merged over no export. Background collectors leave two seconds after the last run. */
export async function openPlace(config: Record<string, unknown> = {}): Promise<RunPlace> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-runs-'));
  const stateDir = join(directory, 'state');
  const file = join(directory, 'weir.yaml');
  await writeFile(file, stringify({ telemetry: { endpoint: 'none' }, ...config }), { mode: 0o600 });
  const started: ChildProcess[] = [];
  const pid: RunPlace['pid'] = (socket) => ownerOf(join(stateDir, socket));
  const gone = async (): Promise<boolean> =>
    (await pid('weir.sock')) === undefined && (await pid('keep.sock')) === undefined;
  const argv: RunPlace['argv'] = (command, flags = []) => [
    '--disable-sigusr1',
    BIN,
    'run',
    ...['--config', file, '--state-dir', stateDir, '--linger', '2'],
    ...flags,
    '--',
    ...command,
  ];
  return {
    stateDir,
    directory,
    argv,
    run: (command, settings = {}) => {
      const child = spawn(process.execPath, argv(command, settings.flags), {
        env: cleanEnv(settings.env),
        stdio: 'pipe',
      });
      started.push(child);
      return watch(child, settings);
    },
    pid,
    admin: (path) => getJson(join(stateDir, 'weir.sock'), path),
    left: () => eventually(gone, 'the background collector left', 30_000).then(() => undefined),
    close: async () => {
      for (const child of started) child.kill('SIGKILL');
      for (const socket of ['keep.sock', 'weir.sock'] as const) {
        const owner = await pid(socket);
        if (owner !== undefined && owner > 0) kill(owner);
        await eventually(async () => (await pid(socket)) === undefined, `${socket} closed`, 20_000);
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // Gone already.
  }
}

function watch(child: ChildProcess, { input, hold }: RunSettings): RunProcess {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (part: Buffer) => {
    stdout += part.toString('utf8');
  });
  child.stderr?.on('data', (part: Buffer) => {
    stderr += part.toString('utf8');
  });
  child.stdin?.on('error', () => undefined);
  if (hold !== true) child.stdin?.end(input);
  const reap = (): boolean => child.kill('SIGKILL');
  process.once('exit', reap);
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => {
      process.removeListener('exit', reap);
      resolve({ code, signal, stdout, stderr });
    });
  });
  return {
    pid: child.pid ?? -1,
    stdout: () => stdout,
    stderr: () => stderr,
    kill: (signal) => void child.kill(signal),
    write: (text) => void child.stdin?.write(text),
    close: () => void child.stdin?.end(),
    ended,
  };
}

async function ownerOf(socketPath: string): Promise<number | undefined> {
  if (!existsSync(socketPath)) return undefined;
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/healthz', agent: false, timeout: 5000 }, (response) => {
      response.resume();
      resolve(Number(response.headers['x-weir-pid'] ?? 0));
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(undefined));
    asked.end();
  });
}

function getJson(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false, timeout: 5000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(JSON.parse(text)));
      response.on('error', reject);
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', reject);
    asked.end();
  });
}

/** A Node program as a command. */
export function node(program: string, ...args: string[]): string[] {
  return [process.execPath, '--input-type=module', '-e', program, ...args];
}

/** A program's stdout as JSON. */
export async function printed<T>(run: RunProcess): Promise<T> {
  const { stdout, stderr } = await run.ended;
  try {
    return JSON.parse(stdout) as T;
  } catch (error) {
    throw new Error(`not JSON: ${JSON.stringify(stdout)}\n${stderr}`, { cause: error });
  }
}

/** An origin that answers every request with its method and URL, and remembers them. */
export interface SimpleOrigin {
  readonly port: number;
  readonly asked: string[];
  close(): Promise<void>;
}

/** Starts one, with TLS when a leaf is given. */
export async function simpleOrigin(leaf?: Leaf): Promise<SimpleOrigin> {
  const asked: string[] = [];
  const answer = (message: IncomingMessage, response: ServerResponse): void => {
    message.resume();
    asked.push(`${message.method} ${message.url}`);
    response.end(`hello from ${message.url}`);
  };
  const server: Server = leaf === undefined ? createHttpServer(answer) : createHttpsServer({ ...leaf }, answer);
  server.on('tlsClientError', () => undefined);
  const port = await listening(server);
  return {
    port,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        (server as ReturnType<typeof createHttpServer>).closeAllConnections();
      }),
  };
}

/** Whether a program is on PATH (and starts). */
export function has(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** Environment of a process (Linux). */
export async function environmentOf(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/environ`, 'utf8');
}
