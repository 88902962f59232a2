import type { ConsumeResult } from '../model/ports.ts';
import type { WeirRecord } from '../model/record.ts';
import { appendBatches, readCursor } from './append.ts';
import type { Engine } from './engine.ts';
import { makePrivate } from './files.ts';

/**
 * This many rows are committed at once; fewer wait until `flushMs` have passed since the last commit. A commit costs about
 * 5 ms of processor time whatever is in it, and each row 8 µs.
 */
const EAGER_ROWS = 4096;

export interface WriterOptions {
  readonly engine: Engine;
  readonly flushMs: number;
  /** Whether rows must be given up because the disk is nearly full. */
  readonly shedding: () => boolean;
}

/** Group commit: batches that wait are written in one transaction, so that a quiet minute costs few fsyncs and a storm few too. */
export interface Writer {
  consume(batch: readonly WeirRecord[], last: number): Promise<ConsumeResult>;
  /** Writes what waits now. Never rejects: the consumers' promises do. */
  flush(): Promise<void>;
  /** performance.now() of the last commit. */
  lastCommit(): number;
}

interface Waiting {
  readonly batch: readonly WeirRecord[];
  readonly last: number;
  readonly resolve: (result: ConsumeResult) => void;
  readonly reject: (error: unknown) => void;
}

export function makeWriter(options: WriterOptions): Writer {
  return new GroupCommit(options);
}

class GroupCommit implements Writer {
  readonly #options: WriterOptions;
  #waiting: Waiting[] = [];
  #rows = 0;
  #committed = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  consume(batch: readonly WeirRecord[], last: number): Promise<ConsumeResult> {
    return new Promise<ConsumeResult>((resolve, reject) => {
      this.#waiting.push({ batch, last, resolve, reject });
      this.#rows += batch.length;
      this.#schedule();
    });
  }

  async flush(): Promise<void> {
    for (;;) {
      clearTimeout(this.#timer);
      this.#start();
      if (this.#running === undefined) return;
      await this.#running;
    }
  }

  lastCommit(): number {
    return this.#committed;
  }

  #schedule(): void {
    if (this.#running !== undefined || this.#waiting.length === 0) return;
    const wait = this.#rows >= EAGER_ROWS ? 0 : this.#committed + this.#options.flushMs - performance.now();
    clearTimeout(this.#timer);
    if (wait <= 0) this.#start();
    else this.#timer = setTimeout(() => this.#start(), wait);
  }

  #start(): void {
    if (this.#running !== undefined || this.#waiting.length === 0) return;
    this.#running = this.#commit(this.#take()).then(() => {
      this.#running = undefined;
      this.#schedule();
    });
  }

  #take(): Waiting[] {
    const group = this.#waiting;
    this.#waiting = [];
    this.#rows = 0;
    return group;
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const { engine, shedding } = this.#options;
    const last = group.at(-1)?.last as number;
    const low = shedding();
    let shed: number[] = [];
    try {
      const batches = group.map((w) => w.batch);
      shed = await engine.useLittle((session) => appendBatches(session, batches, last, low));
    } catch (error) {
      // A commit may have become durable although it reported a failure: the cursor knows.
      const held = await engine.useLittle(readCursor).catch(() => undefined);
      if (held !== last) {
        this.#committed = performance.now();
        // What came after must not be written before what failed: everything goes back to the journal.
        for (const w of [...group, ...this.#take()]) w.reject(error);
        return;
      }
    }
    this.#committed = performance.now();
    await this.#afterCommit();
    group.forEach((w, i) => {
      w.resolve(resultOf(w.batch.length, shed[i] ?? 0));
    });
  }

  /** Neither makes the rows less durable: what fails here is tried again after the next commit. */
  async #afterCommit(): Promise<void> {
    const { engine } = this.#options;
    try {
      makePrivate(`${engine.place.file}.wal`);
      await engine.checkpoint(false);
    } catch {
      // The log stays as large as it is.
    }
  }
}

function resultOf(count: number, shed: number): ConsumeResult {
  return { accepted: count - shed, sampledOut: 0, dropped: shed > 0 ? { 'store-min-free': shed } : {} };
}
