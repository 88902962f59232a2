import type { Answer } from '../../src/model/answer.ts';
import type { ContentFilter, Corridor, FilterSink } from '../../src/model/ports.ts';
import { answerOf } from './fake-corridor.ts';

export type Shape = ContentFilter['shape'];
export const SHAPES: readonly Shape[] = ['whole', 'same', 'free'];

/** What a fake filter rewrites, and what it stops at. */
export const SECRET = 'open-sesame';
export const POISON = 'no-further';
export const LABEL = { whole: '[REDACTED]', same: '*'.repeat(SECRET.length), free: '[REDACTED:word]' } as const;
/** Longest of both, less one: what must wait because either could begin in it. */
const TAIL = Math.max(SECRET.length, POISON.length) - 1;

export interface FakeFilterOptions {
  readonly shape: ContentFilter['shape'];
  /** Gives and ends in a later turn of the event loop, as a filter with a decoder does. */
  readonly later?: boolean;
  /** Asks for a pause after every write, and for more in a later turn. */
  readonly slow?: boolean;
  /** Last bytes for the receiver when it stops. */
  readonly last?: string;
}

/** What became of the fake filters of a test. */
export interface FilterLog {
  readonly asked: { direction: string; length: number | undefined }[];
  written: number;
  abandoned: number;
  brokenOff: number;
  ended: number;
}

export function blocked(): Answer {
  return answerOf('policy-denied');
}

/** `Corridor.filter` that holds bodies of the directions named, and its log. */
export function fakeFilter(options: Partial<Record<'request' | 'response', FakeFilterOptions>>): {
  readonly filter: Corridor['filter'];
  readonly log: FilterLog;
} {
  const log: FilterLog = { asked: [], written: 0, abandoned: 0, brokenOff: 0, ended: 0 };
  const filter: Corridor['filter'] = (_exchange, direction, length, sink) => {
    log.asked.push({ direction, length });
    const wanted = options[direction];
    return wanted === undefined ? undefined : new FakeFilter(wanted, sink, log);
  };
  return { filter, log };
}

/** Rewrites one word and stops at another, holding back no more than a word could begin in. */
class FakeFilter implements ContentFilter {
  readonly shape: ContentFilter['shape'];
  readonly #options: FakeFilterOptions;
  readonly #sink: FilterSink;
  readonly #log: FilterLog;
  #held: Buffer = Buffer.alloc(0);
  #redactions = 0;
  #over = false;

  constructor(options: FakeFilterOptions, sink: FilterSink, log: FilterLog) {
    this.shape = options.shape;
    this.#options = options;
    this.#sink = sink;
    this.#log = log;
  }

  write(payload: Buffer): boolean {
    this.#log.written += payload.length;
    this.#held = Buffer.concat([this.#held, payload]);
    if (this.shape !== 'whole') this.#act(() => this.#pass(false));
    if (this.#options.slow !== true) return true;
    setImmediate(() => this.#sink.drained());
    return false;
  }

  end(): void {
    this.#log.ended++;
    this.#act(() => {
      this.#pass(true);
      if (this.#over) return;
      this.#over = true;
      this.#sink.end(this.#redactions);
    });
  }

  abandon(): void {
    this.#log.abandoned++;
    this.#over = true;
  }

  breakOff(): void {
    this.#log.brokenOff++;
    this.end();
  }

  #act(what: () => void): void {
    const unlessOver = (): void => {
      if (!this.#over) what();
    };
    if (this.#options.later === true) setImmediate(unlessOver);
    else unlessOver();
  }

  #pass(all: boolean): void {
    if (this.#held.includes(POISON)) {
      this.#over = true;
      const { last } = this.#options;
      this.#sink.stop(blocked(), last === undefined ? {} : { forward: Buffer.from(last) });
      return;
    }
    const out: Buffer[] = [];
    for (let at = this.#held.indexOf(SECRET); at >= 0; at = this.#held.indexOf(SECRET)) {
      out.push(this.#held.subarray(0, at), Buffer.from(LABEL[this.shape]));
      this.#held = this.#held.subarray(at + SECRET.length);
      this.#redactions++;
    }
    const keep = all ? 0 : Math.min(TAIL, this.#held.length);
    out.push(this.#held.subarray(0, this.#held.length - keep));
    this.#held = this.#held.subarray(this.#held.length - keep);
    const data = Buffer.concat(out);
    if (data.length > 0) this.#sink.data(data);
  }
}
