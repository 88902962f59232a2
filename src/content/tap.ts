import type { BodyScanned, PartScanPort } from '../model/scan.ts';
import { canDecode, Decoder, encodingsOf } from './decode.ts';
import { EventWindow } from './event-window.ts';
import { Window, type WindowOptions } from './window.ts';

export interface TapOptions extends WindowOptions {
  readonly contentEncoding: string | undefined;
  /** The body is an event stream: what reads the texts its events make together. */
  readonly events?: PartScanPort | undefined;
  /** Bytes after decoding that are looked at. */
  readonly decodedBytes: number;
  /** Decoded to encoded, at most. */
  readonly decodeRatio: number;
  /** Encodings inside one another, at most. */
  readonly decodeDepth: number;
}

/** One body as it is looked at. */
export interface BodyTap {
  /** More of it, after it was written on. */
  push(payload: Uint8Array): void;
  /** No more comes. What was found, or a promise of it when decoding is under way; the same each time. Throws or rejects when the scan did. */
  finish(): BodyScanned | Promise<BodyScanned>;
}

/** Encoded bytes that may wait for the decoder. Beyond it the body is faster than we are. */
const MOST_WAITING = 4 << 20;
/** Small bodies may expand as they like: the ratio is for bombs. */
const RATIO_FLOOR = 1 << 20;
/** A record waits this long for a decoder. */
const LATE_MS = 2_000;

/** Begins to look at a body. */
export function tapBody(options: TapOptions): BodyTap {
  const encodings = encodingsOf(options.contentEncoding);
  if (encodings.length === 0) return plainTap(options);
  if (encodings.length > options.decodeDepth) return unread({ cause: 'decode-depth', offset: 0 });
  if (!canDecode(encodings)) return unread({ cause: 'unknown-encoding', offset: 0 });
  return new DecodingTap(options, encodings);
}

function windowOf(options: TapOptions): Window {
  return options.events === undefined ? new Window(options) : new EventWindow(options, options.events);
}

function plainTap(options: TapOptions): BodyTap {
  const window = windowOf(options);
  let scanned: BodyScanned | undefined;
  return {
    push: (payload) => {
      if (scanned === undefined) window.push(payload);
    },
    finish: () => {
      scanned ??= window.finish();
      return scanned;
    },
  };
}

function unread(unscanned: NonNullable<BodyScanned['unscanned']>): BodyTap {
  let any = false;
  return {
    push: (payload) => {
      any ||= payload.length > 0;
    },
    // A HEAD response or 304 names an encoding and has no body.
    finish: () => (any ? { found: [], unscanned } : { found: [] }),
  };
}

class DecodingTap implements BodyTap {
  readonly #options: TapOptions;
  readonly #window: Window;
  readonly #decoder: Decoder;
  #encoded = 0;
  #decoded = 0;
  #done: BodyScanned | undefined;
  #finishing: Promise<BodyScanned> | undefined;
  #settle: ((scanned: BodyScanned) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  /** Decoders call back from nowhere: what is thrown there is kept for whoever asks. */
  #failure: { readonly error: unknown } | undefined;
  #late: NodeJS.Timeout | undefined;

  constructor(options: TapOptions, encodings: readonly string[]) {
    this.#options = options;
    this.#window = windowOf(options);
    this.#decoder = new Decoder({
      encodings,
      onData: (chunk) => this.#take(chunk),
      onEnd: (error) => {
        if (error !== undefined) this.#window.stop('broken-encoding');
        this.#over();
      },
    });
  }

  push(payload: Uint8Array): void {
    if (this.#done !== undefined || this.#finishing !== undefined) return;
    this.#encoded += payload.length;
    if (this.#decoder.waiting + payload.length > MOST_WAITING) this.#giveUp('decoder-behind');
    // The decoder reads later, the caller's bytes are his again when this returns.
    else this.#decoder.push(Buffer.from(payload));
  }

  finish(): BodyScanned | Promise<BodyScanned> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#done !== undefined) return this.#done;
    this.#finishing ??= new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#reject = reject;
      this.#late = setTimeout(() => this.#giveUp('too-late'), LATE_MS);
      this.#decoder.end();
    });
    return this.#finishing;
  }

  #take(chunk: Uint8Array): void {
    const { decodedBytes, decodeRatio } = this.#options;
    this.#decoded += chunk.length;
    const bomb = this.#decoded > RATIO_FLOOR && this.#decoded > this.#encoded * decodeRatio;
    if (bomb || this.#decoded > decodedBytes) {
      this.#giveUp(bomb ? 'decode-ratio' : 'decoded-bytes');
      return;
    }
    try {
      this.#window.push(chunk);
    } catch (error) {
      this.#failure = { error };
    }
    if (this.#failure !== undefined || this.#window.stopped) this.#over();
  }

  #giveUp(cause: Parameters<Window['stop']>[0]): void {
    this.#window.stop(cause);
    this.#over();
  }

  #over(): void {
    if (this.#done !== undefined) return;
    clearTimeout(this.#late);
    this.#decoder.destroy();
    this.#done = { found: [] };
    try {
      if (this.#failure === undefined) this.#done = this.#window.finish();
    } catch (error) {
      this.#failure = { error };
    }
    if (this.#failure === undefined) this.#settle?.(this.#done);
    else this.#reject?.(this.#failure.error);
  }
}
