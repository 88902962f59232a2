import type { ExchangeRecord, Tally } from '../model/record.ts';
import type { TallyLine } from './segment.ts';

/**
 * Loss accounting over process lives: `started = spans in the journal + open + Σ dropped` at every tally. What became of the
 * spans in the journal (exported, sampled out, given up, waiting) is each consumer's own account.
 */
export interface Books {
  boot: string;
  started: number;
  open: number;
  /** Lost before the journal, by reason: `backlog`, `crash`, … */
  dropped: Record<string, number>;
  baseStarted: number;
  baseDropped: Readonly<Record<string, number>>;
}

export function newBooks(): Books {
  return { boot: '', started: 0, open: 0, dropped: {}, baseStarted: 0, baseDropped: {} };
}

/** Adds up drop counts. Reasons are our own words, never names from the network. */
export function countDrops(
  into: Record<string, number>,
  more: Readonly<Record<string, number>>,
): Record<string, number> {
  for (const [reason, count] of Object.entries(more)) if (count > 0) into[reason] = (into[reason] ?? 0) + count;
  return into;
}

export function sum(counts: Readonly<Record<string, number>>): number {
  let total = 0;
  for (const count of Object.values(counts)) total += count;
  return total;
}

/** Takes over the traffic thread's counters of this process life. */
export function liveTally(books: Books, tally: Tally): void {
  books.started = books.baseStarted + tally.started;
  books.open = tally.open;
  books.dropped = countDrops({ ...books.baseDropped }, tally.dropped);
}

/**
 * Begins a new process life after `spans` have been journalled in all former ones. Whatever was open at the last tally and
 * did not make it into the journal was lost with the process. A span that is in the journal but in no tally was started too.
 */
export function closeBooks(before: TallyLine | undefined, spans: number, boot: string): Books {
  const dropped = { ...(before?.dropped ?? {}) };
  const accounted = spans + sum(dropped);
  const started = Math.max(before?.started ?? 0, accounted);
  countDrops(dropped, { crash: started - accounted });
  return { boot, started, open: 0, dropped, baseStarted: started, baseDropped: { ...dropped } };
}

/** Open rows of a life that ended without closing them; `at` is when that life last wrote. */
export function interruptedRows(rows: Iterable<ExchangeRecord>, at: number): ExchangeRecord[] {
  return Array.from(rows, (row) => ({
    ...row,
    state: 'closed',
    wasOpen: true,
    outcome: 'interrupted',
    teaches: false,
    durationMs: Math.max(row.durationMs, at - row.startedAt),
  }));
}
