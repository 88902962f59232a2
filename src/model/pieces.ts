import type { Found, ScanPort } from './scan.ts';

/** Shorter and longer values are no parts of a secret that somebody cut up. */
const SHORTEST = 2;
const LONGEST = 200;
/** Values one secret is cut into, and their bytes. */
const MOST_PARTS = 8;
const MOST_BYTES = 400;
/** Nothing that is cut up is shorter than the shortest secret. */
const LEAST_BYTES = 12;
/** Bytes in all that are worth a look. */
const MOST = 16_384;
const PART = new Uint8Array(256);
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-.:~')
  PART[letter.charCodeAt(0)] = 1;
const LINE = 10;

/** A secret that was cut into values. */
export interface CutUp<T> {
  readonly found: Found;
  readonly places: readonly T[];
}

interface Line<T> {
  /** Number of the value it begins with, over all groups. */
  readonly from: number;
  readonly start: number;
  readonly end: number;
  readonly places: readonly T[];
}

/**
 * Values of one exchange that follow one another, joined: a secret may have been cut into them. Where one begins as a secret does,
 * it is joined with the next, with the next two, and so on, a line each. Filled anew for every use.
 */
export class Pieces<T> {
  #values: string[] = [];
  #places: T[] = [];
  #bytes: Buffer = Buffer.alloc(512);
  #length = 0;
  /** Values in groups that are closed. */
  #closed = 0;
  readonly #lines: Line<T>[] = [];

  clear(): void {
    this.#values = [];
    this.#places = [];
    this.#length = 0;
    this.#lines.length = 0;
    this.#closed = 0;
  }

  /** A value in latin1, if it looks like a part; else it stands between parts and is left out: false. */
  add(value: string, place: T): boolean {
    const { length } = value;
    if (length < SHORTEST || length > LONGEST) return false;
    for (let i = 0; i < length; i++) if (PART[value.charCodeAt(i)] !== 1) return false;
    this.#values.push(value);
    this.#places.push(place);
    return true;
  }

  /** What was added so far is joined, and not with what comes. */
  close(scan: Pick<ScanPort, 'mayBegin'>): void {
    const values = this.#values;
    for (let i = 0; i + 1 < values.length; i++) {
      const value = values[i] as string;
      if (scan.mayBegin?.(value.charCodeAt(0), value.charCodeAt(1), value.charCodeAt(2)) !== false) this.#join(i);
    }
    this.#closed += values.length;
    this.#values = [];
    this.#places = [];
  }

  /** Instead of `close`, of values without an end: what the last one completes. Lines of before are gone. */
  complete(scan: Pick<ScanPort, 'mayBegin'>): void {
    const excess = Math.max(0, this.#values.length - MOST_PARTS);
    this.#values.splice(0, excess);
    this.#places.splice(0, excess);
    this.#length = 0;
    this.#lines.length = 0;
    const last = this.#values.length - 1;
    for (let i = 0; i < last; i++) {
      const value = this.#values[i] as string;
      if (scan.mayBegin?.(value.charCodeAt(0), value.charCodeAt(1), value.charCodeAt(2)) === false) continue;
      const text = this.#values.slice(i).join('');
      if (text.length >= LEAST_BYTES && text.length <= MOST_BYTES) this.#line(text, i, last + 1);
    }
  }

  /** All lines; empty = nothing to look at. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * Of what was found in the lines: what was cut up, with the places of its values. Not what begins or ends in the middle of a value,
   * and no form that ordinary values make when they are joined. Of a form without an end the longest line counts.
   */
  cutUp(all: readonly Found[]): readonly CutUp<T>[] {
    const longest = new Map<string, CutUp<T>>();
    for (const found of all) {
      const { start, end, kind, category, severity } = found;
      if (kind !== 'credential' || category === 'generic' || (severity !== 'high' && severity !== 'critical')) continue;
      const line = this.#lines.find((one) => one.start === start && one.end === end);
      if (line !== undefined) longest.set(`${found.rule} ${line.from}`, { found, places: line.places });
    }
    return [...longest.values()];
  }

  #join(from: number): void {
    let text = this.#values[from] as string;
    for (let to = from + 1; to < this.#values.length && to - from < MOST_PARTS; to++) {
      text += this.#values[to] as string;
      if (text.length > MOST_BYTES || this.#length + text.length + 1 > MOST) return;
      if (text.length >= LEAST_BYTES) this.#line(text, from, to + 1);
    }
  }

  #line(text: string, from: number, to: number): void {
    if (this.#length + text.length + 1 > this.#bytes.length) {
      const larger = Buffer.alloc(MOST);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    const start = this.#length;
    const end = start + this.#bytes.write(text, start, 'latin1');
    this.#bytes[end] = LINE;
    this.#length = end + 1;
    this.#lines.push({ from: this.#closed + from, start, end, places: this.#places.slice(from, to) });
  }
}
