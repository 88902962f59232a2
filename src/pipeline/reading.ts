import type { ContentFilter, ContentTap } from '../model/ports.ts';
import type { LiveExchange } from './live.ts';
import type { ReadingStage } from './stages.ts';
import { type Looking, type Tapped, tapContent } from './tapped.ts';

/** One body of an exchange as its protocol is read from it. What fails there is told the stage; the exchange is judged without it. */
class Read implements Looking {
  readonly #stage: ReadingStage;
  #copy: ReturnType<ReadingStage['copy']>;
  #waiting: Promise<void> | undefined;

  constructor(stage: ReadingStage, copy: ReturnType<ReadingStage['copy']>) {
    this.#stage = stage;
    this.#copy = copy;
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
    try {
      this.#waiting = copy.finish(complete)?.catch((error: unknown) => this.#stage.failed(error));
    } catch (error) {
      this.#stage.failed(error);
    }
  }
}

/** Begins to read a body. Undefined when it is of no protocol anybody reads. */
function readContent(exchange: LiveExchange, direction: 'request' | 'response'): Read | undefined {
  const { reading } = exchange.stages;
  if (reading === undefined || exchange.closed) return undefined;
  let read: Read | undefined;
  try {
    const copy = reading.copy(exchange, direction);
    if (copy !== undefined) read = new Read(reading, copy);
  } catch (error) {
    reading.failed(error);
  }
  if (read !== undefined) exchange.taps = exchange.taps === undefined ? [read] : [...exchange.taps, read];
  return read;
}

/** All that looks at a body after it was written on. */
export function copyContent(exchange: LiveExchange, direction: 'request' | 'response'): ContentTap | undefined {
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

/** A body that is held back is read as it came. */
export function alsoRead(
  exchange: LiveExchange,
  direction: 'request' | 'response',
  filter: ContentFilter | undefined,
): ContentFilter | undefined {
  if (filter === undefined) return undefined;
  const read = readContent(exchange, direction);
  if (read === undefined) return filter;
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
