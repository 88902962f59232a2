import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Consumer } from '../model/ports.ts';
import { countDrops, sum } from './books.ts';
import type { Journal } from './journal.ts';
import { type ConsumerStatus, Pump, type PumpOptions, type SavedCursor } from './pump.ts';

/** Of `cursors.json`. */
const VERSION = 1;

export interface PumpsOptions {
  readonly journal: Journal;
  /** Directory of `cursors.json`; undefined = not kept. */
  readonly directory: string | undefined;
  readonly consumers: readonly {
    readonly consumer: Consumer;
    readonly maxBatch: number;
    readonly lingerMs: number;
    readonly paced?: boolean;
  }[];
  readonly log: PumpOptions['log'];
  /** How long an acknowledged batch may be unsaved (and would be sent again after a crash). Default 250 ms. */
  readonly saveMs?: number;
  readonly backoffMs?: number;
}

/** `started = exported + journalled + open + sampledOut + Σ dropped` (product.md §5 "Loss"). */
export interface Identity {
  /** The consumer it is drawn up for: traces, else the store. */
  readonly consumer: string | undefined;
  readonly started: number;
  readonly exported: number;
  readonly journalled: number;
  readonly open: number;
  readonly sampledOut: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly holds: boolean;
}

export interface Pumps {
  start(): Promise<void>;
  /** There are new records; with `retry` nobody waits for the end of a back-off. */
  wake(retry?: boolean): void;
  status(): readonly ConsumerStatus[];
  identity(): Identity;
  close(deadlineMs: number): Promise<void>;
}

function readCursors(path: string, log: PumpsOptions['log']): Map<string, SavedCursor> {
  const cursors = new Map<string, SavedCursor>();
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return cursors;
  }
  try {
    const { version, consumers } = JSON.parse(text) as { version?: number; consumers: Record<string, SavedCursor> };
    if ((version ?? VERSION) > VERSION) throw new Error(`it is of version ${version}, this Weir knows ${VERSION}`);
    for (const [name, saved] of Object.entries(consumers)) {
      if (Number.isSafeInteger(saved.position) && Number.isSafeInteger(saved.passed)) cursors.set(name, saved);
    }
  } catch (error) {
    log('warn', 'cursors.json is not readable: consumers start at the oldest record held', {
      error: (error as Error).message,
    });
  }
  return cursors;
}

/** One pump per consumer, their saved cursors, and the account of what became of every span. */
export function createPumps(options: PumpsOptions): Pumps {
  const { journal, log } = options;
  const path = options.directory === undefined ? undefined : join(options.directory, 'cursors.json');
  const cursors = path === undefined ? new Map<string, SavedCursor>() : readCursors(path, log);
  let timer: NodeJS.Timeout | undefined;
  let complained = false;

  /** Sequence number up to which every consumer has the records. */
  const passed = (): number => {
    let least = Number.POSITIVE_INFINITY;
    for (const pump of pumps) least = Math.min(least, pump.position);
    return least;
  };
  const save = (): void => {
    clearTimeout(timer);
    timer = undefined;
    for (const pump of pumps) cursors.set(pump.name, pump.saved());
    const least = passed();
    if (path !== undefined) {
      try {
        const text = JSON.stringify({ version: VERSION, consumers: Object.fromEntries(cursors) });
        writeFileSync(`${path}.new`, text, { mode: 0o600 });
        renameSync(`${path}.new`, path);
        complained = false;
      } catch (error) {
        if (!complained) log('warn', 'cursors cannot be saved', { error: (error as Error).message });
        complained = true;
        // Segments stay until it is certain that nobody starts before them.
        return;
      }
    }
    journal.release(least);
  };
  const moved = (): void => {
    journal.passed(passed());
    timer ??= setTimeout(save, options.saveMs ?? 250);
  };
  const pumps = options.consumers.map(
    ({ consumer, maxBatch, lingerMs, paced = false }) =>
      new Pump({
        consumer,
        paced,
        journal,
        maxBatch,
        lingerMs,
        saved: cursors.get(consumer.name),
        moved,
        log,
        ...(options.backoffMs === undefined ? {} : { backoffMs: options.backoffMs }),
      }),
  );

  return {
    async start() {
      await Promise.all(pumps.map((pump) => pump.start()));
    },
    wake(retry = false) {
      for (const pump of pumps) pump.wake(retry);
      if (pumps.length > 0) return;
      journal.passed(Number.POSITIVE_INFINITY);
      journal.release(Number.POSITIVE_INFINITY);
    },
    status: () => pumps.map((pump) => pump.status()),
    identity() {
      const books = journal.books();
      const { spans } = journal.status();
      const pump = pumps.find(({ name }) => name === 'otlp-traces') ?? pumps.find(({ name }) => name === 'duckdb');
      const saved = pump?.saved() ?? { passed: 0, accepted: 0, sampledOut: 0, dropped: {} };
      const dropped = countDrops({ ...books.dropped }, saved.dropped);
      const journalled = spans - saved.passed;
      const total = saved.accepted + journalled + books.open + saved.sampledOut + sum(dropped);
      return {
        consumer: pump?.name,
        started: books.started,
        exported: saved.accepted,
        journalled,
        open: books.open,
        sampledOut: saved.sampledOut,
        dropped,
        holds: total === books.started,
      };
    },
    async close(deadlineMs) {
      await Promise.all(pumps.map((pump) => pump.close(deadlineMs)));
      save();
    },
  };
}
