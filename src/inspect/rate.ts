import { hostPort } from '../model/destination.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';

/** Requests per window in seconds; 0 = no limit. */
export interface RateLimit {
  readonly limit: number;
  /** To any one host and port. */
  readonly perDestination?: number;
  readonly windowSeconds: number;
}

export interface RateOptions {
  /** For an agent; undefined = no limit. Must be cheap: asked per request. */
  readonly limitOf: (agent: string) => RateLimit | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

interface Window {
  since: number;
  count: number;
}

const NONE: readonly Finding[] = [];
/** Agents, and agents with a destination, that are remembered. */
const MOST = 10_000;

/**
 * Rate limit per agent, and per agent and destination (product.md §7.1), in fixed windows. A CONNECT counts as one, and the first
 * request read inside it is that same one. Exchanges already under way (judged again after a reload) do not count twice.
 */
export function rateInspector({ limitOf, now }: RateOptions): Inspector {
  const windows = new Map<string, Window>();
  /** How many there are now, this one included. */
  const count = (key: string, windowMs: number): number => {
    const at = now();
    let window = windows.get(key);
    if (window === undefined) {
      if (windows.size >= MOST) windows.clear();
      window = { since: at, count: 0 };
      windows.set(key, window);
    } else if (at - window.since >= windowMs) {
      window.since = at;
      window.count = 0;
    }
    return ++window.count;
  };
  return {
    id: 'rate',
    phase: 'request',
    inspect(exchange) {
      const { agent } = exchange.identity;
      const rule = limitOf(agent);
      if (rule === undefined || !counts(exchange)) return NONE;
      const { limit, perDestination = 0, windowSeconds } = rule;
      if (limit > 0 && count(agent, windowSeconds * 1000) > limit) return [exceeded(agent, limit, windowSeconds)];
      if (perDestination === 0) return NONE;
      const to = hostPort(exchange.destination.host, exchange.destination.port);
      // An agent's name holds no blank.
      if (count(`${agent} ${to}`, windowSeconds * 1000) <= perDestination) return NONE;
      return [exceeded(agent, perDestination, windowSeconds, to)];
    },
  };
}

function counts({ connection, kind, sentMono, status }: Exchange): boolean {
  if (sentMono !== undefined || status !== undefined) return false;
  return !(kind === 'exchange' && connection.via === 'connect' && connection.exchanges === 2);
}

function exceeded(agent: string, limit: number, seconds: number, to?: string): Finding {
  return {
    inspector: 'rate',
    rule: 'rate-limit',
    severity: 'medium',
    disposition: 'block',
    message: `${agent} made more than ${limit} requests${to === undefined ? '' : ` to ${to}`} in ${seconds} s`,
    blockReason: 'rate-limit',
  };
}
