import type { Transform } from 'node:stream';
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from 'node:zlib';

type Make = (first: number) => Transform;

// Flushing instead of finishing: of a body that was cut off, all that can be read is read.
const ZLIB = { finishFlush: constants.Z_SYNC_FLUSH };

/** RFC 9110 §8.4.1. `deflate` is zlib by the book and raw deflate in many programs (RFC 9110 §8.4.1.2). */
const DECODERS: ReadonlyMap<string, Make> = new Map<string, Make>([
  ['gzip', () => createGunzip(ZLIB)],
  ['x-gzip', () => createGunzip(ZLIB)],
  ['deflate', (first) => ((first & 0x0f) === 8 ? createInflate(ZLIB) : createInflateRaw(ZLIB))],
  ['br', () => createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH })],
  ['zstd', () => createZstdDecompress({ finishFlush: constants.ZSTD_e_flush })],
]);

/** Names of a Content-Encoding, innermost first, without `identity`. */
export function encodingsOf(contentEncoding: string | undefined): readonly string[] {
  if (contentEncoding === undefined || contentEncoding === '') return [];
  return contentEncoding
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity');
}

/** All of them can be undone. */
export function canDecode(encodings: readonly string[]): boolean {
  return encodings.every((name) => DECODERS.has(name));
}

export interface DecoderOptions {
  /** From {@link encodingsOf}, all known. */
  readonly encodings: readonly string[];
  readonly onData: (chunk: Uint8Array) => void;
  /** Once: undefined = the end, else the bytes are not what they claim to be. */
  readonly onEnd: (error: Error | undefined) => void;
}

/** Undoes content encodings on a copy, on Node's threads. */
export class Decoder {
  readonly #options: DecoderOptions;
  #first: Transform | undefined;
  #all: Transform[] = [];
  #over = false;
  /** Bytes given and not yet decoded. */
  waiting = 0;

  constructor(options: DecoderOptions) {
    this.#options = options;
  }

  /** The bytes must not change afterwards. `done`: they have been decoded. */
  push(bytes: Uint8Array, done?: () => void): void {
    if (this.#over || bytes.length === 0) return;
    this.#first ??= this.#start(bytes[0] as number);
    const first = this.#first;
    this.waiting += bytes.length;
    first.write(bytes, (error) => {
      this.waiting -= bytes.length;
      // zlib says of the bytes it broke off at that they were written.
      if (!error && !first.destroyed) done?.();
    });
  }

  /** Whoever is given the data does not keep up: a few bytes may become gigabytes. */
  pause(): void {
    this.#all.at(-1)?.pause();
  }

  resume(): void {
    this.#all.at(-1)?.resume();
  }

  /** No more comes. */
  end(): void {
    if (this.#over) return;
    if (this.#first === undefined) this.#finish(undefined);
    else this.#first.end();
  }

  /** Ends at once, without a word. */
  destroy(): void {
    this.#over = true;
    for (const stream of this.#all) stream.destroy();
  }

  #start(first: number): Transform {
    const made = this.#options.encodings.toReversed().map((name) => (DECODERS.get(name) as Make)(first));
    this.#all = made;
    for (const [i, stream] of made.entries()) {
      stream.on('error', (error: Error) => this.#finish(error));
      const next = made[i + 1];
      if (next !== undefined) stream.pipe(next);
      else stream.on('data', this.#data).on('end', () => this.#finish(undefined));
    }
    return made[0] as Transform;
  }

  readonly #data = (chunk: Uint8Array): void => {
    if (!this.#over) this.#options.onData(chunk);
  };

  #finish(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    for (const stream of this.#all) stream.destroy();
    this.#options.onEnd(error);
  }
}
