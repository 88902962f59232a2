import type { ContentFilter, ContentTap, FilterSink } from '../model/ports.ts';
import { note, refusedBody } from './filtered.ts';
import type { LiveExchange } from './live.ts';
import type { ReadingStage } from './stages.ts';
import { type Looking, type Tapped, tapContent } from './tapped.ts';

type Direction = 'request' | 'response';

/** One body of an exchange as its protocol is read from it. What fails there is told the stage; the exchange is judged without it. */
class Read implements Looking {
  readonly #stage: ReadingStage;
  /** Asked when all was read. */
  readonly #judge: () => void;
  #copy: ReturnType<ReadingStage['copy']>;
  #waiting: Promise<void> | undefined;

  constructor(stage: ReadingStage, copy: ReturnType<ReadingStage['copy']>, judge: () => void) {
    this.#stage = stage;
    this.#copy = copy;
    this.#judge = judge;
  }

  push(payload: Uint8Array): void {
    try {
      this.#copy?.push(payload);
    } catch (error) {
      this.#copy = undefined;
      this.#stage.failed(error);
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
    const copy = this.#copy;
    if (copy === undefined) return;
    this.#copy = undefined;
    const failed = (error: unknown): void => this.#stage.failed(error);
    try {
      this.#waiting = copy.finish(complete)?.then(this.#judge).catch(failed);
      if (this.#waiting === undefined) this.#judge();
    } catch (error) {
      failed(error);
    }
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

/** What is thought of a body that nothing of has gone on yet. */
function judgeInTime(exchange: LiveExchange, direction: Direction): void {
  note(exchange, exchange.stages.reading?.judge?.(exchange, direction) ?? []);
}

/** Begins to read a body. Undefined when it is of no protocol anybody reads. */
function readContent(exchange: LiveExchange, direction: Direction, judge = judgeLate): Read | undefined {
  const { reading } = exchange.stages;
  if (reading === undefined || exchange.closed) return undefined;
  let read: Read | undefined;
  try {
    const copy = reading.copy(exchange, direction);
    if (copy !== undefined) read = new Read(reading, copy, () => judge(exchange, direction));
  } catch (error) {
    reading.failed(error);
  }
  if (read !== undefined) exchange.taps = exchange.taps === undefined ? [read] : [...exchange.taps, read];
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
  if (direction !== 'request' || reading?.holds?.(exchange) !== true) {
    const filter = make(sink);
    const read = filter && readContent(exchange, direction);
    return read === undefined ? filter : alsoRead(filter as ContentFilter, read);
  }
  const read = readContent(exchange, direction, judgeInTime);
  if (read === undefined) return make(sink);
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
