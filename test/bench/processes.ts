import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Clock ticks of /proc/<pid>/stat on Linux (sysconf(_SC_CLK_TCK) is 100 everywhere Node runs). */
const TICK_US = 10_000;

/** A process of the bench, spoken to by one JSON line each way. */
export interface Worker<Ready = { readonly port: number }> {
  readonly pid: number;
  readonly ready: Ready;
  /** The next line it prints. */
  next<T>(): Promise<T>;
  stop(): Promise<void>;
}

/** CPU time of a process, all threads, user and system, in microseconds. */
export async function cpuMicros(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** The same by kind of thread: the main (traffic) thread, the recorder, and the rest (V8's collector and compilers, libuv, DuckDB). */
export async function cpuByThread(pid: number): Promise<Readonly<Record<'traffic' | 'recorder' | 'others', number>>> {
  const micros = { traffic: 0, recorder: 0, others: 0 };
  for (const task of await readdir(`/proc/${pid}/task`)) {
    const stat = await readFile(`/proc/${pid}/task/${task}/stat`, 'utf8').catch(() => '');
    if (stat === '') continue;
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const kind = task === String(pid) ? 'traffic' : stat.includes('(weir-recorder') ? 'recorder' : 'others';
    micros[kind] += (Number(fields[11]) + Number(fields[12])) * TICK_US;
  }
  return micros;
}

/** Starts `test/bench/<file>` with a JSON argument; resolves at its first line. */
export function startWorker<Ready = { readonly port: number }>(file: string, argument: object): Promise<Worker<Ready>> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return startProcess<Ready>(process.execPath, [path, JSON.stringify(argument)]);
}

/** Starts any program whose first line on stdout is JSON. */
export async function startProcess<Ready>(command: string, args: readonly string[]): Promise<Worker<Ready>> {
  const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = lineReader(child);
  const ready = (await lines()) as Ready;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const reap = (): boolean => child.kill('SIGKILL');
  process.once('exit', reap);
  return {
    pid: child.pid ?? -1,
    ready,
    next: lines as <T>() => Promise<T>,
    stop: async () => {
      process.removeListener('exit', reap);
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function lineReader(child: ChildProcess): () => Promise<unknown> {
  if (child.stdout === null) throw new Error('the worker has no stdout');
  const waiting: ((line: string) => void)[] = [];
  const failing: ((error: Error) => void)[] = [];
  const seen: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const take = waiting.shift();
    failing.shift();
    if (take === undefined) seen.push(line);
    else take(line);
  });
  child.once('exit', (code) => {
    for (const fail of failing.splice(0)) fail(new Error(`a bench process ended early (${String(code)})`));
  });
  return async () => {
    const line =
      seen.shift() ??
      (await new Promise<string>((resolve, reject) => {
        waiting.push(resolve);
        failing.push(reject);
      }));
    return JSON.parse(line) as unknown;
  };
}
