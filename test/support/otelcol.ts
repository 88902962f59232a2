import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { builtCollector } from '../collector/build.ts';

const run = promisify(execFile);

/** Why tests with a real Collector skip; false = there is one. */
export const NO_COLLECTOR: string | false =
  builtCollector() === undefined ? 'no Collector: node test/collector/build.ts builds one where Go is' : false;

/** Loopback TCP ports nobody listens on at the moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports.push((server.address() as { port: number }).port);
  }
  for (const server of servers) server.close();
  return ports;
}

export interface Collector {
  /** Everything it wrote so far. */
  logs(): string;
  stop(): Promise<void>;
}

/** `otelcol validate`: what it says is wrong, or ''. */
export async function validate(
  configs: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  try {
    await run(builtCollector() as string, ['validate', ...configs.map((config) => `--config=${config}`)], {
      env: { PATH: process.env['PATH'], HOME: tmpdir(), ...env },
      timeout: 60_000,
    });
    return '';
  } catch (error) {
    return String((error as { stderr?: string }).stderr || error);
  }
}

/** Starts a Collector and waits until it says that it is ready (60 s). */
export async function startCollector(
  configs: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Collector> {
  const state = mkdtempSync(join(tmpdir(), 'weir-otelcol-'));
  let text = '';
  const child: ChildProcess = spawn(
    builtCollector() as string,
    configs.map((config) => `--config=${config}`),
    {
      env: { PATH: process.env['PATH'], HOME: state, OTELCOL_STATE_DIR: join(state, 'queue'), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    rmSync(state, { recursive: true, force: true });
  };
  const ready = new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the Collector is not ready: ${text}`)), 60_000);
    const read = (part: Buffer): void => {
      text += part.toString();
      if (!text.includes('Everything is ready')) return;
      clearTimeout(late);
      resolve();
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    exited.then(() => reject(new Error(`the Collector ended: ${text}`)), reject);
  });
  try {
    await ready;
  } catch (error) {
    await stop();
    throw error;
  }
  return { logs: () => text, stop };
}
