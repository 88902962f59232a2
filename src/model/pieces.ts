import type { Found } from './scan.ts';

/** Shorter and longer values are no parts of a secret that somebody cut up. */
const SHORTEST = 2;
const LONGEST = 200;
/** Bytes of joined pieces that are worth a look: `a=…&b=…` goes a long way in it. */
const MOST = 8192;
/** Nothing that is cut up is shorter than the shortest secret. */
const LEAST = 16;
const PART = new Uint8Array(256);
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-.:%~')
  PART[letter.charCodeAt(0)] = 1;
const LINE = 10;

/** Values of one exchange that follow one another, joined: a secret may have been cut into them. Filled anew for every use. */
export class Pieces<T> {
  #bytes: Buffer = Buffer.alloc(512);
  #length = 0;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #places: T[] = [];
  /** Pieces since the last group was closed, and their bytes. */
  #open = 0;
  #openFrom = 0;

  clear(): void {
    this.#length = 0;
    this.#starts.length = 0;
    this.#ends.length = 0;
    this.#places.length = 0;
    this.#open = 0;
    this.#openFrom = 0;
  }

  /** A value in latin1, if it looks like a part; else it stands between parts and is left out. False = there is no more room. */
  add(value: string, place: T): boolean {
    const { length } = value;
    if (length < SHORTEST || length > LONGEST) return true;
    for (let i = 0; i < length; i++) if (PART[value.charCodeAt(i)] !== 1) return true;
    if (this.#length + length + 1 > MOST) return false;
    if (this.#length + length + 1 > this.#bytes.length) {
      const larger = Buffer.alloc(MOST);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#starts.push(this.#length);
    this.#length += this.#bytes.write(value, this.#length, 'latin1');
    this.#ends.push(this.#length);
    this.#places.push(place);
    this.#open++;
    return true;
  }

  /** What was added so far and what comes are not joined. A group nobody could have cut a secret into is forgotten. */
  close(): void {
    if (this.#open > 0 && (this.#open === 1 || this.#length - this.#openFrom < LEAST)) {
      this.#length = this.#openFrom;
      const left = this.#starts.length - this.#open;
      this.#starts.length = left;
      this.#ends.length = left;
      this.#places.length = left;
    } else if (this.#open > 0) this.#bytes[this.#length++] = LINE;
    this.#open = 0;
    this.#openFrom = this.#length;
  }

  /** Groups that are closed, a line each; empty = nothing to look at. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#openFrom);
  }

  /**
   * The pieces a find was cut into, at least two; undefined when it is nothing that was cut up: it lies in one, begins or ends in the
   * middle of one, or its form is one that ordinary values make when they are joined.
   */
  of({ start, end, kind, category, severity }: Found): readonly T[] | undefined {
    if (kind !== 'credential' || category === 'generic' || (severity !== 'high' && severity !== 'critical'))
      return undefined;
    const first = this.#starts.indexOf(start);
    if (first < 0) return undefined;
    let last = first;
    while (last + 1 < this.#starts.length && (this.#starts[last + 1] as number) < end) last++;
    if (last === first || end !== this.#ends[last]) return undefined;
    return this.#places.slice(first, last + 1);
  }
}
