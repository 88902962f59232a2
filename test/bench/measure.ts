import type { LoadResult, Road, Task } from './plan.ts';
import { cpuByThread, cpuMicros, startWorker } from './processes.ts';

export const QUICK = process.argv.includes('--quick');
export const ROUNDS = QUICK ? 1 : 3;
export const SECONDS = QUICK ? 1 : 2.5;
const CONNECTIONS = 32;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export async function generate<T>(road: Road, task: Task): Promise<T> {
  console.error(`  ${JSON.stringify(task)} → ${road.connect ?? road.host} at ${road.port}`);
  const worker = await startWorker<object>('load.ts', { road, task });
  try {
    return await worker.next<T>();
  } finally {
    await worker.stop();
  }
}

export interface Rate {
  readonly perSecond: number;
  /** µs per request, all threads. */
  readonly cpu: number;
  /** µs per request by kind of thread. */
  readonly traffic: number;
  readonly recorder: number;
}

/**
 * One window of load. CPU is counted from rest to rest, over every request made: what the recorder does after the window
 * was caused in it.
 */
async function load(road: Road, pid: number, protocol: 'h1' | 'h2'): Promise<Rate> {
  const connections = protocol === 'h2' ? 8 : CONNECTIONS;
  const before = await atRest(pid);
  const threads = await cpuByThread(pid);
  const task: Task = { kind: 'load', protocol, connections, seconds: SECONDS };
  const worker = await startWorker<object>('load.ts', { road, task });
  try {
    const result = await worker.next<LoadResult>();
    const cpu = (await atRest(pid)) - before;
    if (result.errors > 0) console.error(`  ${result.errors} errors on the way to port ${road.port}`);
    const after = await cpuByThread(pid);
    return {
      perSecond: result.requests / result.seconds,
      cpu: cpu / result.total,
      traffic: (after.traffic - threads.traffic) / result.total,
      recorder: (after.recorder - threads.recorder) / result.total,
    };
  } finally {
    await worker.stop();
  }
}

/** CPU time once the process has been quiet for 300 ms (or after 10 s). */
async function atRest(pid: number): Promise<number> {
  let last = await cpuMicros(pid);
  for (let quiet = 0, tries = 0; quiet < 2 && tries < 66; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    const now = await cpuMicros(pid);
    quiet = now - last <= 10_000 ? quiet + 1 : 0;
    last = now;
  }
  return last;
}

export interface Subject {
  readonly name: string;
  readonly road: Road;
  readonly pid: number;
  readonly protocol?: 'h1' | 'h2';
}

/** Interleaved rounds, so that a noisy minute hits every subject; the median of each. */
export async function compare(subjects: readonly Subject[]): Promise<Map<string, Rate>> {
  const rates = new Map<string, Rate[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, road, pid, protocol = 'h1' } of subjects) {
      const rate = await load(road, pid, protocol);
      console.error(`  ${name}: ${rate.perSecond.toFixed(0)} requests/s, ${rate.cpu.toFixed(1)} µs CPU each`);
      rates.set(name, [...(rates.get(name) ?? []), rate]);
    }
  }
  const middle = (all: readonly Rate[], key: keyof Rate): number => median(all.map((rate) => rate[key]));
  return new Map(
    [...rates].map(([name, all]) => [
      name,
      {
        perSecond: middle(all, 'perSecond'),
        cpu: middle(all, 'cpu'),
        traffic: middle(all, 'traffic'),
        recorder: middle(all, 'recorder'),
      },
    ]),
  );
}

export const NONE: Rate = { perSecond: Number.NaN, cpu: Number.NaN, traffic: Number.NaN, recorder: Number.NaN };
