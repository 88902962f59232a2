import { parentPort, workerData } from 'node:worker_threads';
import { caseSeed, inputOf, runCase, told } from './fuzz.ts';
import { allTargets } from './targets.ts';
import type { Plan, Report } from './watch.ts';

/** Runs targets one after the other; what it is at stands in shared memory, for the case that it never comes back. */
const { targets: wanted, seconds, seed, only, seen } = workerData as Plan;
const counter = new Uint32Array(seen, 0, 3);
const bytes = new Uint8Array(seen, 12);
const report = (line: Report): void => parentPort?.postMessage(line);

async function one(
  target: Awaited<ReturnType<typeof allTargets>>[number],
  input: Buffer,
  of: number,
): Promise<boolean> {
  const failure = await runCase(target, input, of, (tried) => {
    bytes.set(tried.subarray(0, bytes.length));
    counter[1] = Math.min(tried.length, bytes.length);
    counter[2] = of;
    Atomics.add(counter, 0, 1);
  });
  if (failure !== undefined) report({ failure: told(failure) });
  return failure === undefined;
}

const targets = (await allTargets()).filter(({ name }) => wanted.length === 0 || wanted.includes(name));
if (targets.length === 0) report({ failure: `no target ${wanted.join(', ')}` });
for (const target of targets) {
  report({ began: target.name });
  if (only !== undefined) {
    if (await one(target, Buffer.from(only.input), only.seed)) report({ ended: target.name, cases: 1 });
    continue;
  }
  const seeds = await target.seeds();
  const until = performance.now() + (seconds * 1000) / targets.length;
  let cases = 0;
  while (performance.now() < until) {
    const of = caseSeed(seed, cases++);
    // One failure of a target is enough: others are mostly the same.
    if (!(await one(target, inputOf(seeds, of), of))) break;
  }
  report({ ended: target.name, cases });
}
