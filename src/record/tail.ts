import type { WeirRecord } from '../model/record.ts';
import { isSpan } from './segment.ts';
import { weigh } from './weight.ts';

/** The newest records in memory: what consumers that keep up are served from. A ring, addressed by sequence number. */
export interface Tail {
  /** Sequence number of the oldest record held (`next` when empty). */
  readonly first: number;
  /** Sequence number the next record gets. */
  readonly next: number;
  /** Spans in all records before `first`. */
  readonly spansBefore: number;
  push(record: WeirRecord): void;
  at(sequence: number): WeirRecord;
  /** Spans in all records before `sequence` (first ≤ sequence ≤ next). */
  spansUntil(sequence: number): number;
  /** Lets go of records up to `sequence`. */
  drop(sequence: number): void;
  /** Empties it and goes on at a later sequence number. */
  skipTo(sequence: number): void;
}

/** At most `capacity` records and about `maxBytes` of them; the oldest go first. */
export function createTail(capacity: number, maxBytes: number, next: number, spans: number): Tail {
  const ring: (WeirRecord | undefined)[] = new Array(capacity).fill(undefined);
  let first = next;
  let end = next;
  let before = spans;
  let total = spans;
  let bytes = 0;
  const dropFirst = (): void => {
    const record = ring[first % capacity] as WeirRecord;
    // A reference that stays keeps the record in the collector's way until the ring comes round again.
    ring[first % capacity] = undefined;
    bytes -= weigh(record);
    if (isSpan(record)) before++;
    first++;
  };
  return {
    get first() {
      return first;
    },
    get next() {
      return end;
    },
    get spansBefore() {
      return before;
    },
    push(record) {
      const more = weigh(record);
      while (end > first && (end - first === capacity || bytes + more > maxBytes)) dropFirst();
      ring[end % capacity] = record;
      bytes += more;
      end++;
      if (isSpan(record)) total++;
    },
    at: (sequence) => ring[sequence % capacity] as WeirRecord,
    spansUntil(sequence) {
      if (sequence >= end) return total;
      // Walk from the nearer end: consumers ask close to one of them.
      let count = before;
      if (sequence - first <= end - sequence) {
        for (let at = first; at < sequence; at++) if (isSpan(ring[at % capacity] as WeirRecord)) count++;
        return count;
      }
      count = total;
      for (let at = sequence; at < end; at++) if (isSpan(ring[at % capacity] as WeirRecord)) count--;
      return count;
    },
    drop(sequence) {
      while (first < end && first <= sequence) dropFirst();
    },
    skipTo(sequence) {
      ring.fill(undefined);
      bytes = 0;
      first = sequence;
      end = sequence;
      before = total;
    },
  };
}
