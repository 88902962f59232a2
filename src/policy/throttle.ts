import type { Policy } from './policy.ts';

/** Token buckets of throttle policies. */
export interface Throttle {
  /**
   * Takes a token. 0 = admitted; otherwise seconds until it is worth another try, at least 1.
   * @param key agent id, or what stands for it (Strathon: `unknown:<span name>`); ignored for `scope: global`
   * @param now milliseconds, monotonic enough
   */
  take(policy: Policy, key: string, now: number): number;
  /** What `take` would say; takes nothing. */
  ask(policy: Policy, key: string, now: number): number;
}

interface Bucket {
  tokens: number;
  /** Milliseconds of the last call. */
  at: number;
  /** Milliseconds of rest after which it is full anyway. */
  readonly idle: number;
}

/** Strathon forgets a bucket after 300 s of rest; one with a longer window is kept until it is full, or resting would refill it. */
const IDLE_MS = 300_000;
/** Keys come from agents. Beyond this the one longest unused goes, which by then is usually full. */
const MAX_BUCKETS = 10_000;
/** What a throttle without `max_calls` or `window_seconds` says: it lets nothing through (strathon-compat §1.5). */
const MALFORMED_SECONDS = 60;

/** Division leaves a 3300.0000000001 where 3300 is meant. */
const ROUNDING = 1e-6;

/** Buckets start full, hold `max_calls` and refill at `max_calls / window_seconds` a second (strathon-compat §1.5). */
export function createThrottle(): Throttle {
  /** In order of last use: the first is the one longest unused. */
  const buckets = new Map<string, Bucket>();
  return {
    take(policy, agent, now) {
      const limit = limitOf(policy);
      if (limit === undefined) return MALFORMED_SECONDS;
      const key = keyOf(policy, agent);
      const before = tokensOf(buckets.get(key), limit, now);
      const tokens = before >= 1 ? before - 1 : before;
      buckets.delete(key);
      buckets.set(key, { tokens, at: now, idle: Math.max(IDLE_MS, limit.windowMs) });
      forget(buckets, now);
      return waitOf(before, limit);
    },
    ask(policy, agent, now) {
      const limit = limitOf(policy);
      if (limit === undefined) return MALFORMED_SECONDS;
      return waitOf(tokensOf(buckets.get(keyOf(policy, agent)), limit, now), limit);
    },
  };
}

interface Limit {
  readonly maxCalls: number;
  readonly windowMs: number;
}

function limitOf({ config: { maxCalls, windowSeconds } }: Policy): Limit | undefined {
  return maxCalls === undefined || windowSeconds === undefined
    ? undefined
    : { maxCalls, windowMs: windowSeconds * 1000 };
}

function keyOf({ id, config }: Policy, agent: string): string {
  return JSON.stringify([id, config.scope === 'global' ? 'global' : agent]);
}

function tokensOf(bucket: Bucket | undefined, { maxCalls, windowMs }: Limit, now: number): number {
  if (bucket === undefined) return maxCalls;
  // A clock that steps back gives nothing and takes nothing.
  const rested = Math.max(0, now - bucket.at);
  return rested > bucket.idle ? maxCalls : Math.min(maxCalls, bucket.tokens + (rested * maxCalls) / windowMs);
}

/** Seconds; 0 = there is a token. */
function waitOf(tokens: number, { maxCalls, windowMs }: Limit): number {
  return tokens >= 1 ? 0 : Math.max(1, Math.ceil(((1 - tokens) * windowMs) / maxCalls / 1000 - ROUNDING));
}

function forget(buckets: Map<string, Bucket>, now: number): void {
  for (const [key, bucket] of buckets) {
    if (buckets.size <= MAX_BUCKETS && now - bucket.at <= bucket.idle) return;
    buckets.delete(key);
  }
}
