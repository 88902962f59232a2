import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { cleanEnv } from './weir.ts';

const BIN = process.env['WEIR_TEST_BIN'] ?? fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  /** Everything on stderr so far. */
  stderr(): string;
  stdout(): string;
  /** Settles when the process has ended. */
  readonly ended: Promise<Ran>;
  kill(signal: NodeJS.Signals): void;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly input?: string;
  /** Ended by force after this long (ms); 15 s. */
  readonly timeout?: number;
}

/** Starts any `weir` command line as a process of its own. */
export function startCommand(args: readonly string[], options: CommandOptions = {}): Running {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: cleanEnv(options.env),
    stdio: 'pipe',
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  const reap = (): boolean => child.kill('SIGKILL');
  process.once('exit', reap);
  const timer = setTimeout(reap, options.timeout ?? 15_000);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (part: Buffer) => {
    stdout += part.toString('utf8');
  });
  child.stderr.on('data', (part: Buffer) => {
    stderr += part.toString('utf8');
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input);
  const ended = new Promise<Ran>((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer);
      process.removeListener('exit', reap);
      resolve({ code, stdout, stderr });
    });
  });
  return { stderr: () => stderr, stdout: () => stdout, ended, kill: (signal) => void child.kill(signal) };
}

/** Runs a command line to its end. */
export function command(args: readonly string[], options: CommandOptions = {}): Promise<Ran> {
  return startCommand(args, options).ended;
}
