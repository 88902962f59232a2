const MINUTE_MS = 60_000;
/** More agents than this in one minute share nothing: the table starts afresh. */
const MOST_AGENTS = 4096;

/** Scanning time per agent and minute. */
export interface ScanBudget {
  /** Something is left for this agent. */
  left(agent: string): boolean;
  spend(agent: string, ms: number): void;
}

/** `secondsPerMinute` 0 = nothing may be scanned, 60 = no limit. */
export function createScanBudget(secondsPerMinute: number, now: () => number): ScanBudget {
  const most = secondsPerMinute * 1000;
  let minute = Math.floor(now() / MINUTE_MS);
  let spent = new Map<string, number>();
  return {
    left(agent) {
      if (most >= MINUTE_MS) return true;
      const current = Math.floor(now() / MINUTE_MS);
      if (current !== minute) {
        minute = current;
        spent = new Map();
      }
      return (spent.get(agent) ?? 0) < most;
    },
    spend(agent, ms) {
      if (spent.size >= MOST_AGENTS && !spent.has(agent)) spent.clear();
      spent.set(agent, (spent.get(agent) ?? 0) + ms);
    },
  };
}
