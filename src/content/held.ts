import type { Going } from './rewrite.ts';
import { LETTER } from './window.ts';

/** Read again before what is held, for what expressions look at in front of a match. */
const CONTEXT = 1024;
/** Of a match that has begun and gone on, because nobody acts on it: no more is kept. */
const MOST_BEGUN = 16 << 10;

/** The bytes of a body that wait, and some before them that have gone on. Offsets are in the body. */
export class Held {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  /** Of the first byte at hand. */
  base = 0;
  /** What is before it has gone on. */
  gone = 0;
  /** A text begins with the first byte at hand. */
  begins = true;

  get end(): number {
    return this.base + this.#length;
  }

  /** Bytes that wait. */
  get waiting(): number {
    return this.end - this.gone;
  }

  /** The bytes at hand up to an offset; valid until the next call that changes them. */
  until(offset: number): Buffer {
    return this.#bytes.subarray(0, Math.max(0, offset - this.base));
  }

  /** All at hand, as what goes on up to an offset; valid as `until` is. */
  going(offset: number): Pick<Going, 'bytes' | 'from' | 'until' | 'whole'> {
    const { base, begins, end, gone } = this;
    return { bytes: this.until(end), from: gone - base, until: offset - base, whole: begins };
  }

  /** Bytes that wait, up to an offset: the caller's own. They have gone on then. */
  take(offset: number): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(this.gone - this.base, offset - this.base));
    this.gone = Math.max(this.gone, offset);
    return taken;
  }

  append(part: Uint8Array): void {
    const needed = this.#length + part.length;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(2048, needed + (needed >> 2)));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(part, this.#length);
    this.#length = needed;
  }

  /** Drops what nobody reads again: before what has gone on, and before `begun`. Runs of base64, base32 and hex keep their groups. */
  slide(begun: number = Number.POSITIVE_INFINITY): void {
    const first = Math.max(Math.min(this.gone, begun), this.gone - MOST_BEGUN);
    const wanted = first - this.base - CONTEXT;
    if (wanted <= 0) return;
    let run = wanted;
    while (run > 0 && LETTER[this.#bytes[run - 1] as number] === 1) run--;
    const from = run + ((wanted - run) & ~7);
    this.#bytes.copyWithin(0, from, this.#length);
    this.#length -= from;
    this.base += from;
    this.begins &&= from === 0;
  }

  /** What comes next is another text. */
  clear(): void {
    this.#bytes = Buffer.alloc(0);
    this.base = this.gone;
    this.begins = true;
    this.#length = 0;
  }
}
