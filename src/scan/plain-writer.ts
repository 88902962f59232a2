import { createSegments, type Decoded, type Encoding, encodingCode, pushSegment, type Segments } from './offsets.ts';

/** Longer parts are copied by the engine's own means, which cost to be called. */
const SHORT = 256;
/** Between two parts of a text: nothing goes over it, not even what takes anything up to the next dash for a key. */
const BETWEEN = [10, 45, 10];

/** Collects a text as it reads plainly, with the origin of every byte. */
export class PlainWriter {
  #out = new Uint8Array(4096);
  #length = 0;
  readonly #segments: Segments = createSegments();

  /** The byte written last, or undefined. */
  get last(): number | undefined {
    return this.#out[this.#length - 1];
  }

  /** What stands there as it is. */
  copy(bytes: Uint8Array, from: number, to: number): void {
    if (from >= to) return;
    pushSegment(this.#segments, this.#length, from, to, 1, 1, 0);
    this.#room(to - from);
    if (to - from > SHORT) this.#out.set(bytes.subarray(from, to), this.#length);
    else for (let i = from, at = this.#length; i < to; i++) this.#out[at++] = bytes[i] as number;
    this.#length += to - from;
  }

  /** What `length` bytes from `at` on mean. What is dropped leaves an empty segment, so that a match across it knows. */
  put(at: number, length: number, plain: readonly number[], encoding: Encoding): void {
    pushSegment(this.#segments, this.#length, at, at + length, plain.length, length, encodingCode(encoding));
    this.#add(plain);
  }

  /** The end of a part. */
  close(at: number): void {
    pushSegment(this.#segments, this.#length, at, at, 1, 1, 0);
    this.#add(BETWEEN);
  }

  /** @param open - without what stands behind the last part. */
  done(open: boolean): Decoded {
    const length = this.#length - (open ? BETWEEN.length : 0);
    return { bytes: this.#out.subarray(0, length), segments: this.#segments };
  }

  #add(plain: readonly number[]): void {
    this.#room(plain.length);
    for (let i = 0; i < plain.length; i++) this.#out[this.#length++] = plain[i] as number;
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#out.length) return;
    const larger = new Uint8Array((this.#length + bytes) * 2);
    larger.set(this.#out);
    this.#out = larger;
  }
}
