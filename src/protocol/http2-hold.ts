import type { Answer } from '../model/answer.ts';
import type { Exchange } from '../model/exchange.ts';
import type { ContentFilter, Corridor, FilterSink } from '../model/ports.ts';
import { fieldOf } from './http2-fields.ts';

export type Last = Parameters<FilterSink['stop']>[1];

/** Who writes what a filter gives. */
export interface HoldOwner {
  pass(payload: Buffer): void;
  /** All has been given: `whole` is the body of that shape, which no {@link pass} gave. */
  passed(whole: Buffer | undefined, redactions: number): void;
  stopped(answer: Answer, last: Last): void;
  /** The filter keeps up again. */
  wanted(): void;
}

/** The DATA of one direction of one stream, and the filter it passes. */
export class StreamHold {
  /** Nothing more is given. */
  over = false;
  /** The filter does not keep up. */
  choked = false;
  /** It was broken off: what is done when all has been given. */
  broken: (() => void) | undefined;
  /** Payload bytes that came. */
  received = 0;
  readonly shape: ContentFilter['shape'];
  readonly #filter: ContentFilter;

  constructor(filter: ContentFilter) {
    this.#filter = filter;
    this.shape = filter.shape;
  }

  get whole(): boolean {
    return this.shape === 'whole';
  }

  write(payload: Buffer): void {
    if (this.over) return;
    this.received += payload.length;
    if (!this.#filter.write(payload)) this.choked = true;
  }

  end(): void {
    if (!this.over) this.#filter.end();
  }

  /** Its sender breaks it off: what may still go does, then `then`. */
  breakOff(then: () => void): void {
    if (this.broken !== undefined) return;
    if (this.over || this.#filter.breakOff === undefined) {
      this.abandon();
      then();
      return;
    }
    this.broken = then;
    this.#filter.breakOff();
  }

  abandon(): void {
    if (this.over) return;
    this.over = true;
    this.#filter.abandon();
  }
}

/** Begins to hold a body back, as far as its filter wants; `raw` has its fields. Undefined: it is not to be held. */
export function holdStream(
  corridor: Corridor,
  exchange: Exchange,
  direction: 'request' | 'response',
  raw: readonly string[],
  owner: HoldOwner,
): StreamHold | undefined {
  const parts: Buffer[] = [];
  let hold: StreamHold | undefined;
  const finish = (act: () => void): void => {
    if (hold === undefined || hold.over) return;
    hold.over = true;
    act();
  };
  const filter = corridor.filter(exchange, direction, declaredLength(raw), {
    data: (payload) => {
      if (hold === undefined || hold.over) return;
      if (hold.whole) parts.push(payload);
      else owner.pass(payload);
    },
    end: (redactions) =>
      finish(hold?.broken ?? (() => owner.passed(hold?.whole === true ? Buffer.concat(parts) : undefined, redactions))),
    stop: (answer, last) => finish(() => owner.stopped(answer, last)),
    drained: () => {
      if (hold === undefined || hold.over) return;
      hold.choked = false;
      owner.wanted();
    },
  });
  if (filter === undefined) return undefined;
  hold = new StreamHold(filter);
  return hold;
}

function declaredLength(raw: readonly string[]): number | undefined {
  const value = fieldOf(raw, 'content-length');
  return value === undefined || !/^\d{1,15}$/.test(value) ? undefined : Number(value);
}
