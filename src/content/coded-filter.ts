import type { ContentFilter } from '../model/ports.ts';
import { Decoding } from './decoding.ts';
import { Encoder } from './encode.ts';
import { errorEvent } from './event-stream.ts';
import type { BodyFilterOptions, BodyPlan } from './filter.ts';

/** Bytes that may wait for decoder and encoder before no more are taken. */
const MOST_WAITING = 256 << 10;

/** A body with a content encoding that goes on while it comes: decoded, looked at, encoded again the same way. */
export class CodedFilter implements ContentFilter {
  readonly shape = 'free';
  readonly #options: BodyFilterOptions;
  readonly #events: boolean;
  readonly #encodings: readonly string[];
  readonly #decoding: Decoding;
  #encoder: Encoder | undefined;
  /** As it came, and not decoded yet. */
  readonly #raw: Buffer[] = [];
  /** Encoded behind the point where the body was stopped. */
  #last: Buffer[] | undefined;
  #ending = false;
  /** The end that comes is none of the encoding. */
  #brokenOff = false;
  #full = false;
  /** `unreadable`: what was decoded before is still being encoded; `as-is`: the rest goes on as it comes. */
  #state: 'decoding' | 'decoded' | 'unreadable' | 'as-is' | 'over' = 'decoding';

  constructor(options: BodyFilterOptions, plan: BodyPlan, encodings: readonly string[]) {
    this.#options = options;
    this.#events = plan.events;
    this.#encodings = encodings;
    this.#decoding = new Decoding(options, plan, encodings, {
      data: (payload) => this.#encode(payload),
      stopped: () => this.#stop(),
      ended: () => this.#decoded(),
      broken: () => this.#broken(),
      limited: () => undefined,
    });
  }

  write(payload: Buffer): boolean {
    if (this.#state === 'as-is') this.#options.out.data(payload);
    else if (this.#state === 'unreadable') this.#raw.push(payload);
    else if (this.#state === 'decoding' && payload.length > 0) {
      this.#raw.push(payload);
      this.#decoding.push(payload, () => {
        this.#raw.shift();
        this.#room();
      });
      this.#full = this.#waiting > MOST_WAITING;
    }
    return !this.#full;
  }

  end(): void {
    this.#ending = true;
    if (this.#state === 'decoding') this.#decoding.end();
    else if (this.#state === 'decoded') this.#close();
    else if (this.#state === 'as-is') this.#done();
  }

  breakOff(): void {
    if (this.#brokenOff || this.#state === 'over') return;
    this.#brokenOff = true;
    this.#ending = true;
    if (this.#state === 'decoding') this.#decoding.breakOff();
    else if (this.#state === 'decoded') this.#close();
    else if (this.#state === 'as-is') this.#done();
  }

  abandon(): void {
    if (this.#state === 'over') this.#destroy();
    else this.#done();
  }

  #destroy(): void {
    this.#state = 'over';
    this.#decoding.destroy();
    this.#encoder?.destroy();
  }

  get #waiting(): number {
    return this.#decoding.waiting + (this.#encoder?.waiting ?? 0);
  }

  #encode(payload: Buffer): void {
    const encoder = this.#encoding();
    encoder.write(payload, () => {
      if (encoder.waiting <= MOST_WAITING) this.#decoding.resume();
      this.#room();
    });
    if (encoder.waiting > MOST_WAITING) this.#decoding.pause();
  }

  #room(): void {
    if (!this.#full || this.#waiting > MOST_WAITING) return;
    this.#full = false;
    if (this.#state !== 'over') this.#options.out.drained();
  }

  #encoding(): Encoder {
    const { out } = this.#options;
    this.#encoder ??= new Encoder({
      encodings: this.#encodings,
      raw: this.#decoding.raw,
      onData: (chunk) => (this.#last === undefined ? out.data(chunk) : this.#last.push(chunk)),
      onEnd: () => (this.#last === undefined ? this.#done() : out.stop(this.#decoding.scanned, this.#forward())),
    });
    return this.#encoder;
  }

  /** Whatever comes behind the end of the encoding means nothing, and is left out. */
  #decoded(): void {
    this.#state = 'decoded';
    this.#full = false;
    if (this.#ending) this.#close();
    else this.#options.out.drained();
  }

  /** The end, as its encoding writes it; a body without a byte stays one. */
  #close(): void {
    if (this.#brokenOff) {
      if (this.#encoder === undefined) this.#done();
      else this.#encoder.flush(() => this.#state !== 'over' && this.#done());
    } else if (this.#encoder === undefined && this.#raw.length === 0 && !this.#decoding.any) this.#done();
    else this.#encoding().end();
  }

  /** What could be decoded, and behind it what could not, as it came: the receiver is to see what there is. */
  #broken(): void {
    this.#state = 'unreadable';
    const go = (): void => {
      if (this.#state !== 'unreadable') return;
      this.#state = 'as-is';
      for (const payload of this.#raw.splice(0)) this.#options.out.data(payload);
      if (this.#ending) this.#done();
      else if (this.#full) this.#options.out.drained();
      this.#full = false;
    };
    if (this.#encoder === undefined) go();
    else this.#encoder.flush(go);
  }

  #done(): void {
    const { scanned, redactor } = this.#decoding;
    this.#destroy();
    this.#options.out.end(scanned, redactor.replaced);
  }

  #stop(): void {
    this.#state = 'over';
    if (!this.#events) {
      this.#destroy();
      this.#options.out.stop(this.#decoding.scanned);
      return;
    }
    this.#last = [];
    this.#encoding().write(errorEvent(this.#decoding.scanned));
    this.#encoding().end();
  }

  #forward(): { readonly forward: Buffer } {
    const forward = Buffer.concat(this.#last ?? []);
    this.#destroy();
    return { forward };
  }
}
