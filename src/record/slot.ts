import { setTimeout as sleep } from 'node:timers/promises';
import type { Containment } from '../model/admin.ts';
import type { Mode } from '../model/finding.ts';
import type { ConsumeResult, Consumer } from '../model/ports.ts';
import type { RecentExchange, RecentQuery } from '../model/recent.ts';
import type { BaselineSnapshot, WeirRecord } from '../model/record.ts';
import type { ReportFacts, ReportFilter } from '../model/report.ts';
import type { PurgeQuery } from './protocol.ts';

/** What the recorder needs of the store; `store/database.ts` has it. */
export interface StoreLike extends Consumer {
  cursor(): Promise<number | undefined>;
  loadBaseline(): Promise<BaselineSnapshot>;
  maintain(now: number): Promise<void>;
  interruptOpen(): Promise<number>;
  snapshot(directory: string): Promise<{ readonly files: readonly string[] }>;
  purge(query: PurgeQuery): Promise<{
    readonly rows: Readonly<Record<string, number>>;
    readonly leftAside: readonly string[];
  }>;
  recent(query: RecentQuery): Promise<RecentExchange[]>;
  report(
    filter: ReportFilter,
    context: { readonly mode: Mode; readonly containment: Containment },
  ): Promise<ReportFacts>;
  summary(): Promise<{ readonly bytes: number; readonly historyDays: number }>;
  problems(): string[];
}

export interface SlotOptions {
  readonly open: () => Promise<StoreLike>;
  /**
   * Last sequence number of former process lives: open rows up to there will never be closed by traffic. Undefined = this
   * life goes on, nothing is to be closed.
   */
  readonly lastOfFormerLives: number | undefined;
  /** Last sequence number of the journal. */
  readonly last: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

/** The place of the store among the consumers, also while it cannot be opened: then its records wait in the journal. */
export class StoreSlot implements Consumer {
  readonly name = 'duckdb';
  readonly #options: SlotOptions;
  #store: StoreLike | undefined;
  #problem: string | undefined;
  #opening: Promise<boolean> | undefined;
  /** Sequence number the store has, when it was opened after its pump had started. */
  #held = 0;
  #interrupted = false;
  #started = false;

  constructor(options: SlotOptions) {
    this.#options = options;
    this.#interrupted = options.lastOfFormerLives === undefined;
  }

  /** Tries to open; false = not yet, with the reason in `problem`. Never rejects; one attempt at a time. */
  tryOpen(): Promise<boolean> {
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(): Promise<boolean> {
    if (this.#store !== undefined) return true;
    try {
      const store = await this.#options.open();
      const held = (await store.cursor()) ?? 0;
      // A position the journal has not reached is that of another journal.
      if (this.#started && held <= this.#options.last()) this.#held = held;
      if (held >= (this.#options.lastOfFormerLives ?? 0)) await this.#interruptOpen(store);
      this.#store = store;
      this.#problem = undefined;
      return true;
    } catch (error) {
      const message = (error as Error).message;
      if (message !== this.#problem) this.#options.log('warn', 'the store cannot be opened', { error: message });
      this.#problem = message;
      return false;
    }
  }

  async #interruptOpen(store: StoreLike): Promise<void> {
    if (this.#interrupted) return;
    this.#interrupted = true;
    try {
      await store.interruptOpen();
    } catch (error) {
      this.#options.log('warn', 'open rows of former lives stay open', { error: (error as Error).message });
    }
  }

  get store(): StoreLike | undefined {
    return this.#store;
  }

  /** The store, waited for at most `ms` while it is being opened; undefined when it is not open then. */
  async soon(ms: number): Promise<StoreLike | undefined> {
    if (this.#store === undefined && this.#opening !== undefined) {
      await Promise.race([this.#opening, sleep(ms, undefined, { ref: false })]);
    }
    return this.#store;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  async cursor(): Promise<number | undefined> {
    this.#started = true;
    return this.#store?.cursor();
  }

  async consume(
    batch: readonly WeirRecord[],
    last: number,
    numbers: readonly number[] = batch.map((_, at) => last - batch.length + 1 + at),
  ): Promise<ConsumeResult> {
    const store = this.#store;
    if (store === undefined) throw new Error(this.#problem ?? 'the store is not open');
    /** Records up to a sequence number. */
    const upTo = (sequence: number): number => {
      const beyond = numbers.findIndex((number) => number > sequence);
      return beyond < 0 ? batch.length : beyond;
    };
    let from = upTo(this.#held);
    const result = { accepted: from, sampledOut: 0, dropped: {} as Record<string, number> };
    const take = async (to: number): Promise<void> => {
      if (to <= from) return;
      // With the last record the position of the whole batch is reached, gaps behind it included.
      const part = await store.consume(batch.slice(from, to), to === batch.length ? last : (numbers[to - 1] as number));
      result.accepted += part.accepted;
      for (const [reason, count] of Object.entries(part.dropped)) {
        result.dropped[reason] = (result.dropped[reason] ?? 0) + count;
      }
      from = to;
    };
    const former = this.#options.lastOfFormerLives ?? 0;
    if (!this.#interrupted && last >= former) {
      await take(upTo(former));
      await this.#interruptOpen(store);
    }
    await take(batch.length);
    // Nothing is left of what stood here: the store's own cursor moves all the same.
    if (batch.length === 0 && last > this.#held) await store.consume(batch, last);
    return result;
  }

  async close(deadlineMs: number): Promise<void> {
    await this.#store?.close(deadlineMs);
  }
}
