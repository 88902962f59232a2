import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The monitor's timer. What it measures is the time between two of its own turns, this one included. */
const RESOLUTION_MS = 20;

export interface LoopDelay {
  /** How late turns of this thread's event loop were since the last look, p99. Seconds. */
  take(): number;
  stop(): void;
}

export function watchLoop(): LoopDelay {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  return {
    take() {
      const ms = delay.percentile(99) / 1e6 - RESOLUTION_MS;
      delay.reset();
      return Number.isFinite(ms) ? Math.max(0, ms) / 1000 : 0;
    },
    stop: () => void delay.disable(),
  };
}
