import { Worker } from 'node:worker_threads';

/** What a worker is to do. */
export interface Plan {
  /** Names; empty = all. */
  readonly targets: readonly string[];
  readonly seconds: number;
  readonly seed: number;
  /** One case instead. */
  readonly only?: { readonly seed: number; readonly input: Uint8Array } | undefined;
  /** Cases begun, bytes of the input, its seed; then the input. */
  readonly seen: SharedArrayBuffer;
}

export type Report =
  | { readonly failure: string }
  | { readonly began: string }
  | { readonly ended: string; readonly cases: number };

/** A case that takes longer hangs, and so does one with more than this in the heap. */
const HANGS_MS = 20_000;
const HEAP_MB = 768;
const SEEN_BYTES = 12 + 65_536;

/** Runs a plan in a thread of its own, so that what hangs or eats all memory is told as well. @returns failures. */
export async function watch(plan: Omit<Plan, 'seen'>, say: (line: string) => void): Promise<number> {
  const seen = new SharedArrayBuffer(SEEN_BYTES);
  const counter = new Uint32Array(seen, 0, 3);
  let failures = 0;
  let target = '';
  let before = -1;
  const workerData: Plan = { ...plan, seen };
  const options = { workerData, resourceLimits: { maxOldGenerationSizeMb: HEAP_MB } };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), options);
  const fail = (why: string): void => {
    failures += 1;
    say(why);
  };
  const last = (why: string): string => {
    const input = Buffer.from(new Uint8Array(seen, 12, counter[1])).toString('hex');
    return `${target}: ${why}\n  again: npm run fuzz -- --target ${target} --case ${counter[2]} --input ${input || "''"}`;
  };
  const clock = setInterval(() => {
    const now = Atomics.load(counter, 0);
    if (now === before && now > 0) {
      fail(last(`a case takes longer than ${HANGS_MS / 1000} s`));
      void worker.terminate();
    }
    before = now;
  }, HANGS_MS);
  worker.on('message', (report: Report) => {
    if ('failure' in report) fail(report.failure);
    else if ('began' in report) target = report.began;
    else say(`${report.ended}: ${report.cases} cases`);
  });
  worker.on('error', (error) => fail(last(String(error))));
  await new Promise((resolve) => worker.on('exit', resolve));
  clearInterval(clock);
  return failures;
}
