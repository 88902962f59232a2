import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { LogLine, StatusReport } from '../../src/model/admin.ts';

/** The program under test; `WEIR_TEST_BIN=dist/cli/bin.js` drives the built package instead of the sources. */
const BIN = process.env['WEIR_TEST_BIN'] ?? fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url));
const run = promisify(execFile);

export interface WeirOptions {
  /** Merged over the defaults (loopback, ephemeral port, no export). */
  readonly config?: Record<string, unknown>;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Reuse a state directory (restart after a kill); it is then not removed. */
  readonly stateDir?: string;
  /** Listen here instead of on an ephemeral port. */
  readonly port?: number;
}

/** A real `weir start` in a process of its own. */
export interface Weir {
  readonly port: number;
  readonly pid: number;
  /** From spawn to the line that says it listens (ms). */
  readonly listeningMs: number;
  readonly stateDir: string;
  /** Path of the public CA certificate. */
  readonly caFile: string;
  /** The public CA certificate (PEM). */
  ca(): Promise<string>;
  /** Proxy URL for an agent, always with a password. */
  proxyUrl(agent?: string): string;
  /** Everything written to stdout and stderr so far. */
  logs(): string;
  /** GET on the admin socket. When the process has ended by itself the error says how, with the end of its output. */
  admin(path: string, method?: string, body?: unknown): Promise<{ readonly status: number; readonly body: string }>;
  status(): Promise<StatusReport>;
  /** Lines of `weir logs` that satisfy `wanted`, as soon as there is one (20 s). */
  records(what: string, wanted: (line: LogLine) => boolean): Promise<LogLine[]>;
  /** Runs `weir query` on the state directory. */
  query(sql: string): Promise<Record<string, unknown>[]>;
  /** Runs any `weir` command against this state directory. */
  cli(args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string; readonly code: number }>;
  /** Resident memory in MiB, now. */
  rss(): Promise<number>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code when the process is gone. */
  exited: Promise<number | null>;
  /** SIGTERM, then SIGKILL after 8 s; removes the state directory unless it was given. */
  stop(): Promise<void>;
}

/** Signals a test ends the process with; others (SIGHUP: reload) leave it running. */
const ENDING: ReadonlySet<NodeJS.Signals> = new Set(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGKILL']);

const PROXY_VARIABLE = /^(OTEL_|WEIR_|STRATHON_)|_proxy$/i;

/** This process's environment without anything that would steer Weir or a client. */
export function cleanEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(process.env)) {
    if (value !== undefined && !PROXY_VARIABLE.test(key)) env[key] = value;
  }
  return { ...env, ...extra };
}

/** Starts Weir and waits until it accepts connections (30 s). */
export async function startWeir(options: WeirOptions = {}): Promise<Weir> {
  const stateDir = options.stateDir ?? (await mkdtemp(join(tmpdir(), 'weir-test-')));
  const configFile = join(stateDir, 'weir-test.yaml');
  const config = { listen: `127.0.0.1:${options.port ?? 0}`, telemetry: { endpoint: 'none' }, ...options.config };
  await writeFile(configFile, stringify(config), { mode: 0o600 });
  const child = spawn(
    process.execPath,
    ['--disable-sigusr1', BIN, 'start', '--config', configFile, '--state-dir', stateDir, ...(options.args ?? [])],
    { env: cleanEnv(options.env), stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const handle = new Child(child);
  const reap = (): boolean => child.kill('SIGKILL');
  process.once('exit', reap);
  child.once('exit', () => process.removeListener('exit', reap));
  try {
    const port = await handle.ready(stateDir);
    return facade(handle, port, stateDir, options.stateDir === undefined);
  } catch (error) {
    child.kill('SIGKILL');
    if (options.stateDir === undefined) await rm(stateDir, { recursive: true, force: true });
    throw error;
  }
}

class Child {
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;
  /** Resolves when its output has been read to the end. */
  readonly drained: Promise<void>;
  output = '';
  gone = false;
  /** Whether the test asked for the end: then an admin call that fails is what it expects. */
  told = false;
  listeningMs = Number.NaN;
  readonly #spawnedAt = performance.now();

  constructor(child: ChildProcess) {
    this.process = child;
    const add = (chunk: Buffer): void => {
      this.output += chunk.toString('utf8');
      if (Number.isNaN(this.listeningMs) && this.output.includes('listening on')) {
        this.listeningMs = performance.now() - this.#spawnedAt;
      }
    };
    child.stdout?.on('data', add);
    child.stderr?.on('data', add);
    this.drained = new Promise((resolve) => {
      child.once('close', () => resolve());
    });
    this.exited = new Promise((resolve) => {
      child.once('exit', (code) => {
        this.gone = true;
        resolve(code);
      });
    });
  }

  kill(signal: NodeJS.Signals): void {
    if (ENDING.has(signal)) this.told = true;
    this.process.kill(signal);
  }

  /** The error of an admin call, explained when the process is gone: its socket may break before its end is known. */
  async explain(error: unknown): Promise<unknown> {
    if (this.told) return error;
    await Promise.race([this.exited, new Promise((resolve) => setTimeout(resolve, 500))]);
    if (!this.gone) return error;
    // Whatever it wrote last may still be on its way.
    await Promise.race([this.drained, new Promise((resolve) => setTimeout(resolve, 500))]);
    const { exitCode, signalCode } = this.process;
    const how = signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`;
    const tail = this.output.slice(-2000);
    return new Error(`weir start ended by itself (${how}): ${(error as Error).message}\n${tail}`, { cause: error });
  }

  async ready(stateDir: string): Promise<number> {
    const socketPath = join(stateDir, 'weir.sock');
    for (let left = 600; left > 0; left--) {
      if (this.gone) throw new Error(`weir start ended at once:\n${this.output}`);
      if (existsSync(socketPath)) {
        const port = await listeningPort(socketPath).catch(() => undefined);
        if (port !== undefined) return port;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`weir start was not ready within 30 s:\n${this.output}`);
  }
}

async function listeningPort(socketPath: string): Promise<number | undefined> {
  const ready = await get(socketPath, '/readyz');
  if (ready.status !== 200) return undefined;
  const status = await get(socketPath, '/status');
  const { listeners } = JSON.parse(status.body) as StatusReport;
  const address = listeners.find((listener) => listener.address.startsWith('127.0.0.1:'))?.address;
  return address === undefined ? undefined : Number(address.slice(address.lastIndexOf(':') + 1));
}

function facade(child: Child, port: number, stateDir: string, ours: boolean): Weir {
  const caFile = join(stateDir, 'ca.pem');
  const admin: Weir['admin'] = (path, method, body) =>
    get(join(stateDir, 'weir.sock'), path, method, body).catch(async (error: unknown) => {
      throw await child.explain(error);
    });
  const cli: Weir['cli'] = (args) => runCli(stateDir, args);
  return {
    port,
    pid: child.process.pid ?? -1,
    listeningMs: child.listeningMs,
    stateDir,
    caFile,
    ca: () => readFile(caFile, 'utf8'),
    proxyUrl: (agent = 'researcher') => `http://${agent}:x@127.0.0.1:${port}`,
    logs: () => child.output,
    admin,
    status: async () => JSON.parse((await admin('/status')).body) as StatusReport,
    records: (what, wanted) =>
      eventually(async () => {
        const lines = (JSON.parse((await admin('/logs?limit=2000')).body) as LogLine[]).filter(wanted);
        return lines.length > 0 && lines;
      }, `a record of ${what}`),
    query: async (sql) => {
      const result = await cli(['query', '--json', sql]);
      if (result.code !== 0) throw new Error(`weir query failed (${result.code}): ${result.stderr}`);
      return JSON.parse(result.stdout) as Record<string, unknown>[];
    },
    cli,
    rss: () => residentMiB(child.process.pid ?? -1),
    kill: (signal) => child.kill(signal),
    exited: child.exited,
    stop: async () => {
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.process.kill('SIGKILL'), 8000);
      await child.exited;
      clearTimeout(hard);
      if (ours) await rm(stateDir, { recursive: true, force: true });
    },
  };
}

async function runCli(
  stateDir: string,
  args: readonly string[],
): Promise<{ stdout: string; stderr: string; code: number }> {
  const [command = 'status', ...rest] = args;
  try {
    const { stdout, stderr } = await run(process.execPath, [BIN, command, '--state-dir', stateDir, ...rest], {
      env: cleanEnv(),
      timeout: 40_000,
      maxBuffer: 64 << 20,
    });
    return { stdout, stderr, code: 0 };
  } catch (error) {
    const failed = error as { stdout?: string; stderr?: string; code?: number };
    return { stdout: failed.stdout ?? '', stderr: failed.stderr ?? String(error), code: failed.code ?? -1 };
  }
}

/** One request on a unix socket. */
function get(
  socketPath: string,
  path: string,
  method = 'GET',
  body?: unknown,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = payload === undefined ? {} : { 'content-type': 'application/json' };
    const req = request({ socketPath, path, method, headers, timeout: 20_000 }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (part: string) => {
        text += part;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, body: text }));
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error(`no answer from the admin socket to ${path}`)));
    req.on('error', reject);
    req.end(payload);
  });
}

/** VmRSS of a process in MiB (Linux). */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}

/** Polls until `probe` gives something other than undefined or false. */
export async function eventually<T>(
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  what: string,
  ms = 20_000,
): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`did not happen within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
