import { hostPort } from '../model/destination.ts';
import type { Exchange } from '../model/exchange.ts';
import { fieldOf } from '../model/fields.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';
import type { ExchangeRecord, WeirRecord } from '../model/record.ts';

/** Bytes an agent may send in a window; 0 = no limit. */
export interface BudgetLimit {
  readonly bytesOut: number;
  /** To any one host and port. */
  readonly bytesOutPerDestination: number;
  readonly windowSeconds: number;
}

/** What agents have sent. Lives as long as the process: a reload forgets nothing. */
export interface Spending {
  /** Told of every record as it is posted. */
  note(record: WeirRecord): void;
  /** Sum of what is over in the window, and when (ms) it ends. */
  spent(key: string, windowMs: number, now: number): { readonly bytes: number; readonly leftMs: number };
}

interface Window {
  since: number;
  bytes: number;
}

const MOST = 20_000;

/** @param counted whether anybody has a budget: otherwise nothing is remembered · @param now monotonic ms */
export function createSpending(counted: () => boolean, now: () => number): Spending {
  const windows = new Map<string, Window>();
  const add = (key: string, bytes: number): void => {
    const window = windows.get(key);
    if (window !== undefined) window.bytes += bytes;
    else {
      if (windows.size >= MOST) windows.clear();
      windows.set(key, { since: now(), bytes });
    }
  };
  return {
    note(record) {
      if (!counted() || !isOver(record) || record.requestBytes === 0) return;
      add(record.agent, record.requestBytes);
      add(keyOf(record.agent, hostPort(record.host, record.port)), record.requestBytes);
    },
    spent(key, windowMs, at) {
      const window = windows.get(key);
      if (window === undefined) return { bytes: 0, leftMs: windowMs };
      if (at - window.since >= windowMs) {
        windows.delete(key);
        return { bytes: 0, leftMs: windowMs };
      }
      return { bytes: window.bytes, leftMs: windowMs - (at - window.since) };
    },
  };
}

/** A CONNECT carries nothing itself: its tunnel, or the exchanges inside it, do. */
function isOver(record: WeirRecord): record is ExchangeRecord {
  return (record.kind === 'exchange' || record.kind === 'tunnel') && record.state === 'closed';
}

/** An agent's name holds no blank. */
function keyOf(agent: string, to: string): string {
  return `${agent} ${to}`;
}

export interface BudgetOptions {
  /** For an agent; undefined = no limit. */
  readonly limitOf: (agent: string) => BudgetLimit | undefined;
  readonly spending: Spending;
  /** Monotonic ms, as of `createSpending`. */
  readonly now: () => number;
}

const NONE: readonly Finding[] = [];

/**
 * Data budgets per agent, and per agent and destination (product.md §7.1), in fixed windows. What is over counts, and of the request
 * at hand what it says it will send or what it has sent: a stream that outgrows the budget is stopped where it is judged again.
 */
export function budgetInspector({ limitOf, spending, now }: BudgetOptions): Inspector {
  return {
    id: 'budget',
    phase: 'request',
    inspect(exchange) {
      const { agent } = exchange.identity;
      const limit = limitOf(agent);
      if (limit === undefined) return NONE;
      const own = sends(exchange);
      const to = hostPort(exchange.destination.host, exchange.destination.port);
      const windowMs = limit.windowSeconds * 1000;
      const at = now();
      const over = (key: string, most: number, where?: string): Finding | undefined => {
        if (most === 0) return undefined;
        const { bytes, leftMs } = spending.spent(key, windowMs, at);
        if (bytes + own <= most && bytes < most) return undefined;
        return exceeded(agent, most, limit.windowSeconds, Math.max(1, Math.ceil(leftMs / 1000)), where);
      };
      const found = over(agent, limit.bytesOut) ?? over(keyOf(agent, to), limit.bytesOutPerDestination, to);
      return found === undefined ? NONE : [found];
    },
  };
}

function sends({ kind, request, requestBytes }: Exchange): number {
  if (kind !== 'exchange') return requestBytes;
  const declared = Number(fieldOf(request.fields, 'content-length') ?? 0);
  return Number.isSafeInteger(declared) ? Math.max(declared, requestBytes) : requestBytes;
}

function exceeded(agent: string, most: number, seconds: number, retryAfter: number, to?: string): Finding {
  return {
    inspector: 'budget',
    rule: 'data-budget',
    severity: 'high',
    disposition: 'block',
    message: `${agent} may send ${most} bytes${to === undefined ? '' : ` to ${to}`} in ${seconds} s, and that is spent`,
    blockReason: 'data-budget',
    retryAfter,
  };
}
