import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import type { ConsumeResult, Consumer } from '../model/ports.ts';
import { countDrops } from './books.ts';
import type { Journal } from './journal.ts';
import { type Chunk, closeReader, type JournalCursor } from './reader.ts';
import { endOf } from './segment.ts';
import { within } from './within.ts';

/** What is kept of a consumer over process lives. Counts are spans: `passed = accepted + sampledOut + Σ dropped`. */
export interface SavedCursor {
  readonly position: number;
  readonly passed: number;
  readonly accepted: number;
  readonly sampledOut: number;
  readonly dropped: Readonly<Record<string, number>>;
}

export interface ConsumerStatus extends SavedCursor {
  readonly name: string;
  /** Records and spans that wait for it in the journal. */
  readonly lag: number;
  readonly waitingSpans: number;
  /** Epoch ms of the end of the oldest record it has not got, when it is behind. */
  readonly oldest?: number;
  readonly lastError?: string;
  /** Epoch ms of the next try after a failure. */
  readonly retryAt?: number;
}

export interface PumpOptions {
  readonly consumer: Consumer;
  readonly journal: Journal;
  readonly maxBatch: number;
  /** How long the first waiting record may wait for company. Milliseconds. */
  readonly lingerMs: number;
  /**
   * What is behind is replayed at no more than half the speed the consumer can take it, and at most `maxBatch` records in 20 ms: it
   * serves others too, and has just come back.
   */
  readonly paced?: boolean;
  readonly saved: SavedCursor | undefined;
  /** A batch is done: cursors are to be saved, segments may go. */
  readonly moved: () => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** First back-off after a failure; doubles up to 30 s. Default 1000. */
  readonly backoffMs?: number;
}

const BACKOFF_MAX_MS = 30_000;
/** Nobody is waited for any longer, whatever he asks for. */
const RETRY_AFTER_MAX_MS = 600_000;
/** Batches that wait: from here on it is a replay, no longer live. */
const BEHIND = 4;
/** Least and most pause between two batches of a replay. */
const PAUSE_MS = [20, 1000] as const;
const FAILING_CLOSE_MS = 500;

/** Moves one consumer along the journal: in order, one batch at a time, at least once, for as long as it takes. */
export class Pump {
  readonly name: string;
  readonly #options: PumpOptions;
  readonly #cursor: JournalCursor;
  #passed: number;
  #accepted: number;
  #sampledOut: number;
  readonly #dropped: Record<string, number>;
  readonly #fresh: boolean;
  #lastError: string | undefined;
  #retryAt: number | undefined;
  /** How long the consumer asked to be left alone when it failed. */
  #asked = 0;
  #failures = 0;
  /** What is being delivered. */
  #held: Chunk | undefined;
  #closing = false;
  #stopped = false;
  /** Ends the current sleep; `wake` calls it when there is enough to do. */
  #rouse: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.name = options.consumer.name;
    const saved = options.saved;
    this.#fresh = saved === undefined;
    this.#cursor = { position: saved?.position ?? 0, reader: undefined };
    this.#passed = saved?.passed ?? 0;
    this.#accepted = saved?.accepted ?? 0;
    this.#sampledOut = saved?.sampledOut ?? 0;
    this.#dropped = countDrops({}, saved?.dropped ?? {});
  }

  /** Finds out where the consumer is and starts moving. */
  async start(): Promise<void> {
    try {
      const own = await this.#options.consumer.cursor?.();
      if (own !== undefined) this.#resume(own);
    } catch (error) {
      this.#lastError = (error as Error).message;
    }
    this.#options.journal.skipTo(this.#cursor.position);
    if (this.#fresh && this.#passed === 0) this.#begin();
    this.#running = this.#run();
  }

  /** A consumer that was never here before gets what is still held; what is not was never meant for it. */
  #begin(): void {
    const peek: JournalCursor = { position: this.#cursor.position, reader: undefined };
    const before = this.#options.journal.read(peek, 1)?.spansBefore ?? this.#options.journal.status().spans;
    closeReader(peek);
    countDrops(this.#dropped, { 'not-configured': before });
    this.#passed = before;
  }

  /** The consumer knows better than the saved cursor (its own transaction holds the position). */
  #resume(own: number): void {
    if (own === this.#cursor.position) return;
    if (own > this.#options.journal.status().last) this.#options.journal.skipTo(own);
    const spans = this.#options.journal.spansUpTo(own);
    // Older than the journal reaches: what is missing there cannot be brought back.
    if (spans === undefined && own < this.#cursor.position) return;
    this.#cursor.position = own;
    if (spans === undefined) return;
    this.#accepted = Math.max(0, this.#accepted + spans - this.#passed);
    this.#passed = spans;
  }

  /** There are new records; with `retry` a back-off ends too. */
  wake(retry = false): void {
    if (retry && this.#retryAt !== undefined) {
      this.#retryAt = 0;
      this.#rouse?.();
      return;
    }
    const waiting = this.#options.journal.status().last - this.#cursor.position;
    if (this.#idle || waiting >= this.#options.maxBatch) this.#rouse?.();
  }
  #idle = false;

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#held ??= this.#options.journal.read(this.#cursor, this.#options.maxBatch);
      if (this.#held === undefined) {
        if (this.#closing) return;
        await this.#waitForRecords();
        continue;
      }
      const began = performance.now();
      const chunk = this.#held;
      if (await this.#deliver(chunk)) {
        this.#held = undefined;
        await this.#pause(chunk, performance.now() - began);
      } else if (this.#closing) return;
      else await this.#backOff();
    }
  }

  /** Between two batches: others on this thread have their turn, and during a replay the consumer has its rest. */
  async #pause(chunk: Chunk, took: number): Promise<void> {
    const waiting = this.#options.journal.status().last - this.#cursor.position;
    if (waiting === 0) return;
    // A consumer may pass over thousands of batches it has no use for, without a moment for anything else.
    await immediate();
    const replay = this.#options.paced === true && waiting > BEHIND * this.#options.maxBatch;
    if (!replay || took < 1 || chunk.records.length === 0) return;
    // Also while closing: what is not delivered by its deadline is safe.
    await sleep(Math.min(Math.max(took, PAUSE_MS[0]), PAUSE_MS[1]));
  }

  async #waitForRecords(): Promise<void> {
    this.#idle = true;
    await this.#sleep(undefined);
    this.#idle = false;
    const waiting = this.#options.journal.status().last - this.#cursor.position;
    if (!this.#closing && waiting < this.#options.maxBatch) await this.#sleep(this.#options.lingerMs);
  }

  /** Resolves after `ms` (undefined = never by itself), when roused, or at once while closing. */
  #sleep(ms: number | undefined): Promise<void> {
    if (this.#closing) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => this.#rouse?.(), ms);
      this.#rouse = () => {
        clearTimeout(timer);
        this.#rouse = undefined;
        resolve();
      };
    });
  }

  async #backOff(): Promise<void> {
    const first = this.#options.backoffMs ?? 1000;
    const own = Math.min(BACKOFF_MAX_MS, first * 2 ** Math.min(10, this.#failures - 1));
    const delay = Math.max(own, this.#asked);
    this.#retryAt = Date.now() + delay;
    const until = performance.now() + delay;
    // New records rouse it; only time or closing end a back-off.
    for (let left = delay; left > 0 && !this.#closing && this.#retryAt > 0; left = until - performance.now()) {
      await this.#sleep(left);
    }
    this.#retryAt = undefined;
  }

  async #deliver(chunk: Chunk): Promise<boolean> {
    try {
      const result =
        chunk.records.length === 0 && this.#options.consumer.cursor === undefined
          ? { accepted: 0, sampledOut: 0, dropped: {} }
          : await this.#options.consumer.consume(chunk.records, chunk.last, chunk.numbers);
      if (this.#stopped) return true;
      if (this.#failures > 0) this.#options.log('info', `${this.name} takes records again`);
      this.#failures = 0;
      this.#lastError = undefined;
      this.#account(chunk, result);
      this.#options.moved();
      return true;
    } catch (error) {
      this.#failures++;
      this.#lastError = (error as Error).message;
      this.#asked = Math.min((error as { retryAfterMs?: number }).retryAfterMs ?? 0, RETRY_AFTER_MAX_MS);
      if (this.#failures === 1) {
        this.#options.log('warn', `${this.name} does not take records; they wait in the journal`, {
          error: this.#lastError,
        });
      }
      return false;
    }
  }

  #account(chunk: Chunk, result: ConsumeResult): void {
    const lost = chunk.spansBefore - this.#passed;
    if (lost > 0) {
      countDrops(this.#dropped, { [this.#options.journal.lossReason(this.#cursor.position + 1)]: lost });
    }
    countDrops(this.#dropped, { 'journal-read': chunk.unreadable, purged: chunk.erased, 'journal-cap': chunk.shed });
    // A consumer may count rows that are no spans: what it reports is taken up to the spans of this batch.
    let spans = chunk.spansAfter - chunk.spansBefore - chunk.unreadable - chunk.erased - chunk.shed;
    for (const [reason, count] of Object.entries(result.dropped)) {
      const taken = Math.min(spans, count);
      spans -= taken;
      countDrops(this.#dropped, { [reason]: taken });
    }
    const sampled = Math.min(spans, result.sampledOut);
    this.#sampledOut += sampled;
    this.#accepted += spans - sampled;
    this.#passed = chunk.spansAfter;
    this.#cursor.position = chunk.last;
  }

  /** Sequence number of the last record the consumer has. */
  get position(): number {
    return this.#cursor.position;
  }

  saved(): SavedCursor {
    return {
      position: this.#cursor.position,
      passed: this.#passed,
      accepted: this.#accepted,
      sampledOut: this.#sampledOut,
      dropped: { ...this.#dropped },
    };
  }

  status(): ConsumerStatus {
    const { last, spans } = this.#options.journal.status();
    const oldest = this.#held?.records[0];
    return {
      name: this.name,
      ...this.saved(),
      lag: Math.max(0, last - this.#cursor.position),
      waitingSpans: Math.max(0, spans - this.#passed),
      ...(oldest === undefined ? {} : { oldest: endOf(oldest) }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      ...(this.#retryAt === undefined ? {} : { retryAt: this.#retryAt }),
    };
  }

  /** Delivers what it can within `deadlineMs` (one failure ends it); the rest stays in the journal. */
  async close(deadlineMs: number): Promise<void> {
    const until = performance.now() + deadlineMs;
    this.#closing = true;
    this.#rouse?.();
    // One that is failing gets a moment, not the whole deadline: its records are safe.
    await within(this.#running, this.#failures > 0 ? Math.min(deadlineMs, FAILING_CLOSE_MS) : deadlineMs);
    this.#stopped = true;
    try {
      const left = Math.max(0, until - performance.now());
      await within(this.#options.consumer.close(left), left);
    } catch (error) {
      this.#options.log('warn', `${this.name} did not close`, { error: (error as Error).message });
    }
    closeReader(this.#cursor);
  }
}
