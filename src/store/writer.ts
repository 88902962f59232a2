import type { ConsumeResult } from '../model/ports.ts';
import type { WeirRecord } from '../model/record.ts';
import { appendBatches, readCursor } from './append.ts';
import type { Engine } from './engine.ts';
import { makePrivate } from './files.ts';

/** A batch this large is committed at once; smaller ones wait until `flushMs` have passed since the last commit. */
const EAGER_ROWS = 200;

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
  const { engine } = options;
  const log = `${engine.place.file}.wal`;
  let waiting: Waiting[] = [];
  let rows = 0;
  let committed = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const schedule = (): void => {
    if (running !== undefined || waiting.length === 0) return;
    const wait = rows >= EAGER_ROWS ? 0 : committed + options.flushMs - performance.now();
    clearTimeout(timer);
    if (wait <= 0) start();
    else timer = setTimeout(start, wait);
  };
  const start = (): void => {
    if (running !== undefined || waiting.length === 0) return;
    const group = waiting;
    waiting = [];
    rows = 0;
    running = commit(group).then(() => {
      running = undefined;
      schedule();
    });
  };
  const commit = async (group: readonly Waiting[]): Promise<void> => {
    const last = group.at(-1)?.last as number;
    const shedding = options.shedding();
    let shed: number[];
    try {
      const batches = group.map((w) => w.batch);
      shed = await engine.use((session) => appendBatches(session, batches, last, shedding));
    } catch (error) {
      // A commit may have become durable although it reported a failure: the cursor knows.
      const held = await engine.use(readCursor).catch(() => undefined);
      if (held !== last) {
        committed = performance.now();
        // What came after must not be written before what failed: everything goes back to the journal.
        const after = waiting;
        waiting = [];
        rows = 0;
        for (const w of [...group, ...after]) w.reject(error);
        return;
      }
      shed = group.map(() => 0);
    }
    committed = performance.now();
    makePrivate(log);
    await engine.checkpoint(false).catch(() => undefined);
    group.forEach((w, i) => {
      w.resolve(resultOf(w.batch.length, shed[i] ?? 0));
    });
  };
  return {
    consume(batch, last) {
      return new Promise<ConsumeResult>((resolve, reject) => {
        waiting.push({ batch, last, resolve, reject });
        rows += batch.length;
        schedule();
      });
    },
    async flush() {
      for (;;) {
        clearTimeout(timer);
        start();
        if (running === undefined) return;
        await running;
      }
    },
    lastCommit: () => committed,
  };
}

function resultOf(count: number, shed: number): ConsumeResult {
  return { accepted: count - shed, sampledOut: 0, dropped: shed > 0 ? { 'store-min-free': shed } : {} };
}
