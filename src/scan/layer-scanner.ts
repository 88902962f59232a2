import type { Engine } from './engine.ts';
import { type LayerOptions, scanLayers } from './layers.ts';
import { type Match, resolve } from './resolve.ts';
import type { Scanner, ScanResult, UnscannedCause } from './scanner.ts';

/** Decoding wants more than a few bytes at a time; blocks begin at fixed offsets, so the cut of the stream does not matter. */
const BLOCK = 1 << 16;
/** Of the block before, read again: the longest encoded secret that may lie across two blocks. */
const OVERLAP = 8192;

/**
 * Scans a stream plainly as it comes, and decoded in blocks of 64 KiB: encoded matches become known at the end of their block. However
 * the stream is cut, the result is the same.
 */
export class LayerScanner {
  readonly #engine: Engine;
  readonly #options: LayerOptions;
  readonly #scanner: Scanner;
  /** Grows up to a block and its overlap: most bodies are small. */
  #window = new Uint8Array(0);
  readonly #decoded: Match[] = [];
  #length = 0;
  /** Bytes at the start of the window that were read with the block before. */
  #overlap = 0;
  #base = 0;
  #units = 0;
  #cause: UnscannedCause | undefined;

  constructor(engine: Engine, options: LayerOptions = {}) {
    this.#engine = engine;
    this.#options = { ...options, reserve: options.reserve ?? { steps: Number.POSITIVE_INFINITY } };
    this.#scanner = engine.scanner(options.budget);
  }

  /** As `Scanner.settled`, for what stands plainly. Of encoded matches only whole blocks are known. */
  get settled(): number {
    return this.#scanner.settled;
  }

  push(chunk: Uint8Array): void {
    this.#scanner.push(chunk);
    for (let from = 0; from < chunk.length && this.#cause === undefined; ) {
      const part = chunk.subarray(from, from + BLOCK + OVERLAP - this.#length);
      this.#append(part);
      from += part.length;
      if (this.#length === BLOCK + OVERLAP) this.#read();
    }
  }

  /** What is known so far. */
  result(): ScanResult {
    const plain = this.#scanner.result();
    const cause = plain.cause ?? this.#cause;
    return {
      matches: resolve([...plain.matches, ...this.#decoded]),
      unscanned: cause !== undefined,
      cause,
      units: plain.units + this.#units,
    };
  }

  end(): ScanResult {
    if (this.#length > this.#overlap && this.#cause === undefined) this.#read();
    this.#scanner.end();
    return this.result();
  }

  #append(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > this.#window.length) {
      const larger = new Uint8Array(Math.min(BLOCK + OVERLAP, Math.max(1024, length * 2)));
      larger.set(this.#window.subarray(0, this.#length));
      this.#window = larger;
    }
    this.#window.set(part, this.#length);
    this.#length = length;
  }

  #read(): void {
    const bytes = this.#window.subarray(0, this.#length);
    const { matches, cause, units } = scanLayers(this.#engine, bytes, { ...this.#options, plain: false });
    for (const match of matches) {
      this.#decoded.push({ ...match, start: match.start + this.#base, end: match.end + this.#base });
    }
    this.#units += units;
    this.#cause ??= cause;
    const kept = Math.min(OVERLAP, this.#length);
    this.#window.copyWithin(0, this.#length - kept, this.#length);
    this.#base += this.#length - kept;
    this.#length = kept;
    this.#overlap = kept;
  }
}
