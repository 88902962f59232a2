import type { Tally, WeirRecord } from '../model/record.ts';
import { countDrops, sum } from './books.ts';
import { notable } from './notable.ts';
import { isSpan } from './segment.ts';
import { weigh } from './weight.ts';

/** Records of one post: at most 256, or what ten milliseconds brought (data-path B6). */
export const BATCH = 256;
/** Batches that may be on their way to the journal. */
const WINDOW = 16;

export interface BacklogOptions {
  /** Records and (estimated) bytes that may wait when the recorder stalls. */
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** Exchanges begun since the process started. */
  readonly started: () => number;
}

export interface Batch {
  readonly number: number;
  readonly records: readonly WeirRecord[];
  tally: Tally;
  readonly bytes: number;
  /** Recorder threads that died with it. */
  deaths: number;
}

/**
 * What waits for the recorder, bounded, with the counts that keep the loss identity true: a record is pending, posted and
 * unacknowledged, acknowledged (in the journal), or dropped and counted.
 */
export class Backlog {
  readonly #options: BacklogOptions;
  #pending: WeirRecord[] = [];
  #pendingBytes = 0;
  #unacked: Batch[] = [];
  #unackedRecords = 0;
  #unackedBytes = 0;
  #sent = 0;
  #number = 0;
  #spansPosted = 0;
  readonly #dropped: Record<string, number> = {};

  constructor(options: BacklogOptions) {
    this.#options = options;
  }

  /** False when the record was dropped (and counted). */
  add(record: WeirRecord): boolean {
    const { maxRecords, maxBytes } = this.#options;
    const bytes = weigh(record);
    const records = this.#pending.length + this.#unackedRecords;
    // What is notable may use a second helping.
    const share = notable(record) ? 2 : 1;
    if (records >= maxRecords * share || this.#pendingBytes + this.#unackedBytes + bytes > maxBytes * share) {
      this.#drop('backlog', [record]);
      return false;
    }
    this.#pending.push(record);
    this.#pendingBytes += bytes;
    return true;
  }

  #drop(reason: string, records: readonly WeirRecord[]): number {
    const spans = records.filter(isSpan).length;
    countDrops(this.#dropped, { [reason]: spans });
    return spans;
  }

  /** A batch that had been posted is given up: the tallies of those behind it must say so. */
  #dropPosted(reason: string, batch: Batch): void {
    const spans = this.#drop(reason, batch.records);
    for (const other of this.#unacked) {
      if (other.number < batch.number) continue;
      const dropped = countDrops({ ...other.tally.dropped }, { [reason]: spans });
      other.tally = { ...other.tally, dropped };
    }
  }

  get pending(): number {
    return this.#pending.length;
  }

  get idle(): boolean {
    return this.#pending.length === 0 && this.#unacked.length === 0;
  }

  /** The next batch to post, or undefined. `whole` = only full ones; `force` = beyond the window (shutdown). */
  next(whole: boolean, force = false): Batch | undefined {
    if (this.#sent < this.#unacked.length) {
      const again = this.#unacked[this.#sent] as Batch;
      this.#sent++;
      return again;
    }
    if (this.#pending.length === 0 || (whole && this.#pending.length < BATCH)) return undefined;
    if (!force && this.#unacked.length >= WINDOW) return undefined;
    const records = this.#pending.splice(0, BATCH);
    let bytes = 0;
    for (const record of records) {
      bytes += weigh(record);
      if (isSpan(record)) this.#spansPosted++;
    }
    this.#pendingBytes -= bytes;
    const batch = { number: ++this.#number, records, tally: this.tally(), bytes, deaths: 0 };
    this.#unacked.push(batch);
    this.#sent = this.#unacked.length;
    this.#unackedRecords += records.length;
    this.#unackedBytes += bytes;
    return batch;
  }

  /** Batches up to `number` are in the journal. */
  acknowledge(number: number): void {
    while (this.#unacked.length > 0 && (this.#unacked[0] as Batch).number <= number) this.#forgetFirst();
  }

  #forgetFirst(): Batch {
    const batch = this.#unacked.shift() as Batch;
    this.#unackedRecords -= batch.records.length;
    this.#unackedBytes -= batch.bytes;
    this.#sent = Math.max(0, this.#sent - 1);
    return batch;
  }

  /** The recorder thread died: everything unacknowledged goes out again; what died with three of them is given up. */
  rewind(): void {
    const first = this.#unacked[0];
    if (first !== undefined && this.#sent > 0 && ++first.deaths >= 3) {
      this.#dropPosted('recorder', this.#forgetFirst());
    }
    this.#sent = 0;
  }

  /** The batch cannot be posted at all. */
  giveUp(batch: Batch, reason: string): void {
    const at = this.#unacked.indexOf(batch);
    if (at < 0) return;
    this.#unacked.splice(at, 1);
    this.#unackedRecords -= batch.records.length;
    this.#unackedBytes -= batch.bytes;
    // What stood behind it moved up: it must not count as sent.
    if (at < this.#sent) this.#sent--;
    this.#dropPosted(reason, batch);
  }

  /** As of now: open is whatever has begun and is neither posted nor dropped, so that every batch balances by itself. */
  tally(): Tally {
    const lost = sum(this.#dropped);
    const given = this.#dropped['recorder'] ?? 0;
    const unposted = this.#dropped['clone'] ?? 0;
    // `recorder` and `clone` were counted as posted before they were given up.
    const posted = this.#spansPosted - given - unposted;
    const started = Math.max(this.#options.started(), posted + lost);
    return { started, open: started - posted - lost, dropped: { ...this.#dropped } };
  }

  dropped(): Readonly<Record<string, number>> {
    return this.#dropped;
  }
}
