import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';

export interface RateOptions {
  /** Requests per window in seconds, for an agent; undefined or 0 = no limit. Must be cheap: asked per request. */
  readonly limitOf: (agent: string) => { readonly limit: number; readonly windowSeconds: number } | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

interface Window {
  since: number;
  count: number;
}

const NONE: readonly Finding[] = [];
/** Agents remembered; identity bounds names well below this. */
const AGENTS = 10_000;

/**
 * Rate limit per agent (product.md §7.1), in fixed windows. A CONNECT counts as one, and the first request read inside it is
 * that same one. Exchanges already under way (judged again after a reload) do not count twice.
 */
export function rateInspector({ limitOf, now }: RateOptions): Inspector {
  const windows = new Map<string, Window>();
  return {
    id: 'rate',
    phase: 'request',
    inspect(exchange) {
      const { agent } = exchange.identity;
      const rule = limitOf(agent);
      if (rule === undefined || rule.limit === 0 || !counts(exchange)) return NONE;
      const at = now();
      let window = windows.get(agent);
      if (window === undefined) {
        if (windows.size >= AGENTS) windows.clear();
        window = { since: at, count: 0 };
        windows.set(agent, window);
      } else if (at - window.since >= rule.windowSeconds * 1000) {
        window.since = at;
        window.count = 0;
      }
      return ++window.count > rule.limit ? [exceeded(agent, rule.limit, rule.windowSeconds)] : NONE;
    },
  };
}

function counts({ connection, kind, sentMono, status }: Exchange): boolean {
  if (sentMono !== undefined || status !== undefined) return false;
  return !(kind === 'exchange' && connection.via === 'connect' && connection.exchanges === 2);
}

function exceeded(agent: string, limit: number, seconds: number): Finding {
  return {
    inspector: 'rate',
    rule: 'rate-limit',
    severity: 'medium',
    disposition: 'block',
    message: `${agent} made more than ${limit} requests in ${seconds} s`,
    blockReason: 'rate-limit',
  };
}
