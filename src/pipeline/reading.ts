import type { ContentFilter, ContentTap, FilterSink } from '../model/ports.ts';
import { failed } from './checkpoint.ts';
import { note, refusedBody } from './filtered.ts';
import type { LiveExchange } from './live.ts';
import type { ReadingStage } from './stages.ts';
import { type Looking, type Tapped, tapContent } from './tapped.ts';

type Direction = 'request' | 'response';

/** What becomes of what was read. */
interface Reader {
  /** All of it was. */
  judge(): void;
  failed(error: unknown): void;
}

/** One body of an exchange as its protocol is read from it. */
class Read implements Looking {
  readonly #reader: Reader;
  #copy: ReturnType<ReadingStage['copy']>;
  #over = false;
  #waiting: Promise<void> | undefined;

  /** @param copy - undefined: nobody can read it, and it is judged by that. */
  constructor(copy: ReturnType<ReadingStage['copy']>, reader: Reader) {
    this.#copy = copy;
    this.#reader = reader;
  }

  push(payload: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#copy?.push(payload);
    } catch (error) {
      this.#over = true;
      this.#reader.failed(error);
    }
  }

  end(): void {
    this.#finish(true);
  }

  settle(): Promise<void> | undefined {
    this.#finish(false);
    return this.#waiting;
  }

  #finish(complete: boolean): void {
    if (this.#over) return;
    this.#over = true;
    const reader = this.#reader;
    try {
      this.#waiting = this.#copy
        ?.finish(complete)
        ?.then(() => reader.judge())
        .catch((error) => reader.failed(error));
      if (this.#waiting === undefined) reader.judge();
    } catch (error) {
      reader.failed(error);
    }
    this.#copy = undefined;
  }
}

/** What is thought of a body that was read after it had been written on. */
function judgeLate(exchange: LiveExchange, direction: Direction): void {
  const { content, reading } = exchange.stages;
  const findings = reading?.judge?.(exchange, direction) ?? [];
  if (findings.length === 0) return;
  for (const finding of findings) exchange.findings.push(finding);
  exchange.ruling = content?.judgeLate(exchange.ruling, findings) ?? exchange.ruling;
}

/** Begins to read a body. Undefined when it is of no protocol anybody reads. What fails is told the stage; the exchange is judged without it. */
function readContent(exchange: LiveExchange, direction: Direction): Read | undefined {
  const { reading } = exchange.stages;
  if (reading === undefined || exchange.closed) return undefined;
  try {
    const copy = reading.copy(exchange, direction);
    if (copy === undefined) return undefined;
    return tapped(
      exchange,
      new Read(copy, { judge: () => judgeLate(exchange, direction), failed: (error) => reading.failed(error) }),
    );
  } catch (error) {
    reading.failed(error);
    return undefined;
  }
}

/** Begins to read a request nothing of which has gone on. A reader that fails is an inspector that fails (product.md §3). */
function readHeld(exchange: LiveExchange, reading: ReadingStage): Read {
  const reader: Reader = {
    judge: () => note(exchange, reading.judge?.(exchange, 'request') ?? []),
    failed: (error) => {
      reading.failed(error);
      note(exchange, [failed('policy', error)]);
    },
  };
  let copy: ReturnType<ReadingStage['copy']>;
  try {
    copy = reading.copy(exchange, 'request');
  } catch (error) {
    reader.failed(error);
  }
  return tapped(exchange, new Read(copy, reader));
}

function tapped(exchange: LiveExchange, read: Read): Read {
  exchange.taps = exchange.taps === undefined ? [read] : [...exchange.taps, read];
  return read;
}

/** All that looks at a body after it was written on. */
export function copyContent(exchange: LiveExchange, direction: Direction): ContentTap | undefined {
  const tapped = tapContent(exchange, direction);
  const read = readContent(exchange, direction);
  if (tapped === undefined || read === undefined) return tapped ?? read;
  return new Both(tapped, read);
}

class Both implements ContentTap {
  readonly #tapped: Tapped;
  readonly #read: Read;

  constructor(tapped: Tapped, read: Read) {
    this.#tapped = tapped;
    this.#read = read;
  }

  push(payload: Uint8Array): void {
    this.#tapped.push(payload);
    this.#read.push(payload);
  }

  end(): void {
    this.#tapped.end();
    this.#read.end();
  }
}

/** A body longer than this is not held back until it was read: no prompt is, and no rule is asked about half of one. */
const MOST_HELD = 8 << 20;

/** A body that is held back is read as it came; where what is said decides, nothing of it goes on before. */
export function filterAndRead(
  exchange: LiveExchange,
  direction: Direction,
  length: number | undefined,
  sink: FilterSink,
  make: (sink: FilterSink) => ContentFilter | undefined,
): ContentFilter | undefined {
  const { reading } = exchange.stages;
  if (direction !== 'request' || exchange.closed || reading?.holds?.(exchange) !== true) {
    const filter = make(sink);
    const read = filter && readContent(exchange, direction);
    return read === undefined ? filter : alsoRead(filter as ContentFilter, read);
  }
  const read = readHeld(exchange, reading);
  const gate = new Gate(exchange, sink, read);
  // One that fits waits whole, so that not even its head goes on.
  const shape = length !== undefined && length <= MOST_HELD ? 'whole' : 'same';
  return alsoRead(make(gate) ?? unchanged(shape, gate), read);
}

function alsoRead(filter: ContentFilter, read: Read): ContentFilter {
  return {
    shape: filter.shape,
    write: (payload) => {
      read.push(payload);
      return filter.write(payload);
    },
    end: () => {
      read.end();
      filter.end();
    },
    abandon: () => filter.abandon(),
    ...(filter.breakOff === undefined ? {} : { breakOff: () => filter.breakOff?.() }),
  };
}

function unchanged(shape: 'whole' | 'same', sink: FilterSink): ContentFilter {
  return {
    shape,
    write: (payload) => {
      sink.data(payload);
      return true;
    },
    end: () => sink.end(0),
    abandon: () => undefined,
  };
}

/** Keeps what a filter gives until the body was read and judged. */
class Gate implements FilterSink {
  readonly #exchange: LiveExchange;
  readonly #sink: FilterSink;
  readonly #read: Read;
  #kept: Buffer[] = [];
  #bytes = 0;

  constructor(exchange: LiveExchange, sink: FilterSink, read: Read) {
    this.#exchange = exchange;
    this.#sink = sink;
    this.#read = read;
  }

  data(payload: Buffer): void {
    this.#kept.push(payload);
    this.#bytes += payload.length;
    if (this.#bytes > MOST_HELD) this.#release();
  }

  end(redactions: number): void {
    const decide = (): void => {
      if (this.#exchange.closed) return;
      if (this.#exchange.ruling.action === 'block') this.#sink.stop(refusedBody(this.#exchange));
      else {
        this.#release();
        this.#sink.end(redactions);
      }
    };
    const waiting = this.#read.settle();
    if (waiting === undefined) decide();
    else waiting.then(decide);
  }

  stop(...given: Parameters<FilterSink['stop']>): void {
    this.#kept = [];
    this.#sink.stop(...given);
  }

  drained(): void {
    this.#sink.drained();
  }

  #release(): void {
    const kept = this.#kept;
    this.#kept = [];
    if (kept.length === 0) return;
    // A body of shape `whole` is given in one piece.
    this.#sink.data(kept.length === 1 ? (kept[0] as Buffer) : Buffer.concat(kept));
  }
}
