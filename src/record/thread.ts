import { Worker } from 'node:worker_threads';
import type { RecorderData } from './protocol.ts';

/** Room for new objects in the recorder thread: records die young, so a quarter of V8's default saves up to 65 MB at the same CPU. */
const YOUNG_MB = 12;

/** The recorder thread with this environment. Throws when no thread can be made. */
export function startThread(
  data: RecorderData,
  env: Readonly<Record<string, string | undefined>>,
  worker: URL = entry(),
): Worker {
  // Node flags of this process are not the thread's.
  const { NODE_OPTIONS: _flags, ...own } = env;
  return new Worker(worker, {
    name: 'weir-recorder',
    workerData: data,
    env: own as NodeJS.ProcessEnv,
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
}

function entry(): URL {
  // `src/recorder.ts` in a checkout, `dist/recorder.js` in a package.
  return new URL(import.meta.url.endsWith('.ts') ? '../recorder.ts' : '../recorder.js', import.meta.url);
}
