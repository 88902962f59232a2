const MINUTE_MS = 60_000;
/** Share of a minute's time that may be spent at once: a bulk transfer is slowed a little all the time, not stopped for seconds. */
const BURST = 0.1;
/** More agents than this share nothing: the table starts afresh. */
const MOST_AGENTS = 4096;

/** Scanning time per agent and minute. */
export interface ScanBudget {
  /** Something is left for this agent. */
  left(agent: string): boolean;
  spend(agent: string, ms: number): void;
}

interface Account {
  ms: number;
  at: number;
}

/** Refilled all the time, a tenth of a minute's worth at most. `secondsPerMinute` 0 = nothing may be scanned, 60 = no limit. */
export function createScanBudget(secondsPerMinute: number, now: () => number): ScanBudget {
  const rate = (secondsPerMinute * 1000) / MINUTE_MS;
  const most = rate * MINUTE_MS * BURST;
  const accounts = new Map<string, Account>();
  const accountOf = (agent: string): Account => {
    const at = now();
    let account = accounts.get(agent);
    if (account === undefined) {
      if (accounts.size >= MOST_AGENTS) accounts.clear();
      account = { ms: most, at };
      accounts.set(agent, account);
    } else {
      account.ms = Math.min(most, account.ms + (at - account.at) * rate);
      account.at = at;
    }
    return account;
  };
  return {
    left: (agent) => rate >= 1 || accountOf(agent).ms > 0,
    spend(agent, ms) {
      accountOf(agent).ms -= ms;
    },
  };
}
