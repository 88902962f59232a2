import type { BodyScanned, UnscannedCause } from '../model/scan.ts';
import { Decoder } from './decode.ts';
import { type EventRedactor, redactorOf } from './event-redactor.ts';
import type { BodyFilterOptions, BodyPlan } from './filter.ts';
import type { Redactor } from './redactor.ts';

export interface DecodingHooks {
  /** Decoded and looked at. */
  readonly data: (payload: Buffer) => void;
  readonly stopped: () => void;
  /** The decoder has read all. */
  readonly ended: () => void;
  /** The bytes are not what they claim to be, and may pass. */
  readonly broken: () => void;
  /** A limit was met: what comes of the decoder now is not looked at. */
  readonly limited: () => void;
}

/** Small bodies may expand as they like: the ratio is for bombs. */
const RATIO_FLOOR = 1 << 20;

/** An encoded body on its way through a decoder and a redactor. */
export class Decoding {
  readonly #options: BodyFilterOptions;
  readonly #hooks: DecodingHooks;
  readonly #decoder: Decoder;
  readonly redactor: Redactor | EventRedactor;
  #encoded = 0;
  #decoded = 0;
  #over = false;
  #limited = false;
  #brokenOff = false;
  /** Of the first byte: `deflate` without its zlib head (RFC 9110 §8.4.1.2). */
  raw = false;

  constructor(options: BodyFilterOptions, plan: BodyPlan, encodings: readonly string[], hooks: DecodingHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.redactor = redactorOf(plan, hooks);
    this.#decoder = new Decoder({
      encodings,
      onData: (chunk) => this.#take(Buffer.from(chunk.buffer as ArrayBuffer, chunk.byteOffset, chunk.byteLength)),
      onEnd: (error) => this.#ended(error),
    });
  }

  get scanned(): BodyScanned {
    return this.redactor.scanned;
  }

  /** Bytes given and not yet decoded. */
  get waiting(): number {
    return this.#decoder.waiting;
  }

  /** A byte was given. */
  get any(): boolean {
    return this.#encoded > 0;
  }

  push(payload: Buffer, done?: () => void): void {
    if (this.#over || payload.length === 0) return;
    if (this.#encoded === 0) this.raw = ((payload[0] as number) & 0x0f) !== 8;
    this.#encoded += payload.length;
    this.#decoder.push(payload, done);
  }

  /** What comes of the decoder is not kept up with, or is again. */
  pause(): void {
    this.#decoder.pause();
  }

  resume(): void {
    if (!this.#over) this.#decoder.resume();
  }

  end(): void {
    if (!this.#over) this.#decoder.end();
  }

  /** The rest is not looked at. Once. */
  limit(cause: UnscannedCause): void {
    if (this.#limited) return;
    this.#limited = true;
    if (this.#giveUp(cause)) this.#hooks.limited();
  }

  /** No more comes, because it was broken off: what can be read of it is. */
  breakOff(): void {
    this.#brokenOff = true;
    this.end();
  }

  destroy(): void {
    this.#over = true;
    this.#decoder.destroy();
    this.redactor.abandon();
  }

  #take(chunk: Buffer): void {
    const { decodedBytes, decodeRatio } = this.#options;
    this.#decoded += chunk.length;
    const bomb = this.#decoded > RATIO_FLOOR && this.#decoded > this.#encoded * decodeRatio;
    if (!this.#limited && (bomb || this.#decoded > decodedBytes)) {
      this.limit(bomb ? 'decode-ratio' : 'decoded-bytes');
    }
    if (!this.#over) this.redactor.write(chunk);
  }

  #ended(error: Error | undefined): void {
    if (this.#over) return;
    if (error !== undefined && !this.#brokenOff) {
      if (!this.#giveUp('broken-encoding')) return;
      this.#over = true;
      this.#hooks.broken();
      return;
    }
    if (this.#brokenOff) this.redactor.breakOff();
    else this.redactor.end();
    if (this.#over) return;
    this.#over = true;
    this.#hooks.ended();
  }

  /** True = it may pass. */
  #giveUp(cause: UnscannedCause): boolean {
    this.redactor.giveUp(cause);
    return !this.#over && !this.redactor.over;
  }
}
