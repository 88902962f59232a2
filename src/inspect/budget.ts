import { hostPort } from '../model/destination.ts';
import type { Exchange } from '../model/exchange.ts';
import { fieldOf } from '../model/fields.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';
import type { ExchangeRecord, WeirRecord } from '../model/record.ts';
import type { Windows } from './windows.ts';

/** Bytes an agent may send in a window; 0 = no limit. */
export interface BudgetLimit {
  readonly bytesOut: number;
  /** To any one host and port. */
  readonly bytesOutPerDestination: number;
  readonly windowSeconds: number;
}

/** What agents have sent. A reload forgets nothing. */
export interface Spending {
  /** Told of every record as it is posted. */
  note(record: WeirRecord): void;
  /** Sum of what is over in the window, and when (ms) it ends. @param to host and port; absent = all of the agent's */
  spent(agent: string, to: string | undefined, windowMs: number): { readonly bytes: number; readonly leftMs: number };
}

/** @param counted whether anybody has a budget: otherwise nothing is remembered */
export function createSpending(counted: () => boolean, windows: Windows): Spending {
  return {
    note(record) {
      if (!counted() || !isOver(record) || record.requestBytes === 0) return;
      const { agent, host, port, requestBytes } = record;
      // How long a window is says whoever asks; it ends there.
      windows.add(agent, undefined, requestBytes, Number.POSITIVE_INFINITY);
      windows.add(agent, hostPort(host, port), requestBytes, Number.POSITIVE_INFINITY);
    },
    spent(agent, to, windowMs) {
      const { sum, leftMs } = windows.of(agent, to, windowMs);
      return { bytes: sum, leftMs };
    },
  };
}

/** A CONNECT carries nothing itself: its tunnel, or the exchanges inside it, do. */
function isOver(record: WeirRecord): record is ExchangeRecord {
  return (record.kind === 'exchange' || record.kind === 'tunnel') && record.state === 'closed';
}

export interface BudgetOptions {
  /** For an agent; undefined = no limit. */
  readonly limitOf: (agent: string) => BudgetLimit | undefined;
  readonly spending: Spending;
}

const NONE: readonly Finding[] = [];

/**
 * Data budgets per agent, and per agent and destination (product.md §7.1), in fixed windows. What is over counts, and of the request
 * at hand what it says it will send or what it has sent: a stream that outgrows the budget is stopped where it is judged again.
 */
export function budgetInspector({ limitOf, spending }: BudgetOptions): Inspector {
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
      const over = (most: number, where?: string): Finding | undefined => {
        if (most === 0) return undefined;
        const { bytes, leftMs } = spending.spent(agent, where, windowMs);
        if (bytes + own <= most && bytes < most) return undefined;
        return exceeded(agent, most, limit.windowSeconds, Math.max(1, Math.ceil(leftMs / 1000)), where);
      };
      const found = over(limit.bytesOut) ?? over(limit.bytesOutPerDestination, to);
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
