import { hostPort } from '../model/destination.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';
import type { Windows } from './windows.ts';

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
  readonly counts: Counts;
}

/** How many there are in the window now, this one included; and how long (ms) it goes on. */
export type Counts = (
  agent: string,
  to: string | undefined,
  windowMs: number,
) => { readonly count: number; readonly leftMs: number };

/** Counts what is asked about. */
export function counting(windows: Windows): Counts {
  return (agent, to, windowMs) => {
    windows.add(agent, to, 1, windowMs);
    return asking(windows, 0)(agent, to, windowMs);
  };
}

/** As if one more were counted, without counting it. */
export function asking(windows: Windows, more = 1): Counts {
  return (agent, to, windowMs) => {
    const { sum, leftMs } = windows.of(agent, to, windowMs);
    return { count: sum + more, leftMs };
  };
}

const NONE: readonly Finding[] = [];

/**
 * Rate limit per agent, and per agent and destination (product.md §7.1), in fixed windows. A CONNECT counts as one, and the first
 * request read inside it is that same one. Exchanges already under way (judged again after a reload) do not count twice.
 */
export function rateInspector({ limitOf, counts }: RateOptions): Inspector {
  const over = (agent: string, to: string | undefined, limit: number, seconds: number): Finding | undefined => {
    if (limit === 0) return undefined;
    const { count, leftMs } = counts(agent, to, seconds * 1000);
    return count > limit ? exceeded(agent, limit, seconds, Math.max(1, Math.ceil(leftMs / 1000)), to) : undefined;
  };
  return {
    id: 'rate',
    phase: 'request',
    inspect(exchange) {
      const { agent } = exchange.identity;
      const rule = limitOf(agent);
      if (rule === undefined || !isCounted(exchange)) return NONE;
      const { limit, perDestination = 0, windowSeconds } = rule;
      const to = hostPort(exchange.destination.host, exchange.destination.port);
      const found = over(agent, undefined, limit, windowSeconds) ?? over(agent, to, perDestination, windowSeconds);
      return found === undefined ? NONE : [found];
    },
  };
}

function isCounted({ connection, kind, sentMono, status }: Exchange): boolean {
  if (sentMono !== undefined || status !== undefined) return false;
  return !(kind === 'exchange' && connection.via === 'connect' && connection.exchanges === 2);
}

function exceeded(agent: string, limit: number, seconds: number, retryAfter: number, to?: string): Finding {
  return {
    inspector: 'rate',
    rule: 'rate-limit',
    severity: 'medium',
    disposition: 'block',
    message: `${agent} made more than ${limit} requests${to === undefined ? '' : ` to ${to}`} in ${seconds} s`,
    blockReason: 'rate-limit',
    retryAfter,
  };
}
