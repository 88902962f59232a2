import type { Act, CountsFor, Found, PartScanPort } from '../model/scan.ts';
import { harmless } from './harmless.ts';
import { Held } from './held.ts';

export interface DeltaTextOptions {
  readonly scan: PartScanPort;
  /** What is worth waiting for; default all. */
  readonly counts?: CountsFor;
  act(found: Found): Act;
  /** Something that lies in more than one piece. */
  readonly found: (found: Found, pieces: number) => void;
}

/** A match that begins so near to the first byte at hand may be a piece of something else. */
const BLIND = 64;

interface Cut {
  readonly start: number;
  end: number;
  readonly label: string;
}

/** One text that comes in pieces, each in an event of its own. Offsets are bytes of the text. */
export class DeltaText {
  readonly #options: DeltaTextOptions;
  readonly #held: Held = new Held();
  #cuts: Cut[] = [];
  /** Where the pieces at hand end. */
  #ends: number[] = [];
  /** Begin of a block whose beginning has gone on with its label: all is cut until it ends. */
  #block: Cut | undefined;
  #open: { readonly from: number; readonly found: Found } | undefined;
  #stop = Number.POSITIVE_INFINITY;
  /** What begins before it and is only told has been. */
  #told = 0;

  constructor(options: DeltaTextOptions) {
    this.#options = options;
  }

  /** What lies before is known. */
  get known(): number {
    return this.#held.gone;
  }

  /** Something that must not go on begins here; Infinity = nothing. */
  get stop(): number {
    return this.#stop;
  }

  /** @returns where the piece ends. */
  append(piece: Buffer): number {
    const held = this.#held;
    held.append(piece);
    this.#ends.push(held.end);
    const part = this.#options.scan.part('response', held.until(held.end), this.#options.counts);
    this.#open = part.blockOf && { from: part.block + held.base, found: part.blockOf };
    this.#goOn(part.found);
    this.#take(part.found, Math.min(part.worth + held.base, held.end), part.settled + held.base);
    // A block is read to its end, so its beginning stays at hand.
    if (this.#block === undefined) held.slide(part.begun + held.base);
    else held.gone = held.end;
    this.#ends = this.#ends.filter((end) => end > held.base);
    return held.end;
  }

  /** Nothing waits any longer: what may still become something goes, but for a block, which is cut from here on. */
  letGo(last: boolean): void {
    const held = this.#held;
    if (last) this.#take(this.#options.scan.scan('response', held.until(held.end)).found, held.end, held.end);
    else if (this.#open !== undefined && this.#block === undefined) {
      const { from, found } = this.#open;
      if (this.#options.act(found) !== 'pass') {
        this.#block = { start: Math.max(from, held.gone), end: held.end, label: found.label };
        this.#cuts.push(this.#block);
      }
    }
    held.gone = held.end;
  }

  /** Nothing more comes, and it has no end: what may begin what stops the body stays. */
  breakOff(): void {
    const { scan } = this.#options;
    const held = this.#held;
    const until = harmless(held, { ...this.#options, what: 'response' });
    this.#take(scan.scan('response', held.until(held.end)).found, until, held.end);
    held.gone = Math.max(held.gone, until);
  }

  /** A piece with what is cut taken out: the label where a cut begins, nothing where it goes on. */
  written(piece: Buffer, from: number): Buffer | undefined {
    const to = from + piece.length;
    const cuts = this.#cuts.filter(({ start, end }) => start < to && end > from);
    if (cuts.length === 0) return undefined;
    const parts: Buffer[] = [];
    let at = from;
    for (const { start, end, label } of cuts) {
      parts.push(piece.subarray(at - from, Math.max(at, start) - from));
      if (start >= from) parts.push(Buffer.from(`[${label}_REDACTED]`));
      at = Math.max(at, Math.min(end, to));
    }
    parts.push(piece.subarray(at - from));
    this.#cuts = this.#cuts.filter((cut) => cut.end > to || cut === this.#block);
    return Buffer.concat(parts);
  }

  /** A block that is being cut goes on, or has ended. */
  #goOn(found: readonly Found[]): void {
    const block = this.#block;
    if (block === undefined) return;
    const { base, end } = this.#held;
    if (this.#open !== undefined && this.#open.from <= block.start) {
      block.end = end;
      return;
    }
    const whole = found.find((one) => one.start + base <= block.start && one.end + base > block.start);
    if (whole !== undefined) block.end = Math.max(block.end, whole.end + base);
    this.#block = undefined;
  }

  /** `worth`: from there on something may be found yet that is acted on. What begins before `settled` stays what it is. */
  #take(found: readonly Found[], worth: number, settled: number): void {
    const held = this.#held;
    const { base } = held;
    let until = worth;
    for (const { start, end } of [...found].reverse()) {
      if (start + base < until && end + base > until) until = start + base;
    }
    for (const one of found) {
      const [start, end] = [one.start + base, one.end + base];
      const act = this.#options.act(one);
      // What is only told is not waited for: its bytes have gone when it is known.
      const known = act === 'pass' ? start >= this.#told && start < settled : end > held.gone && end <= until;
      if (!known || !(held.begins || one.start >= BLIND)) continue;
      const pieces = this.#ends.filter((at) => at > start && at < end).length + 1;
      // What lies in one piece was seen in its event.
      if (pieces > 1) this.#options.found(one, pieces);
      if (pieces > 1 && act === 'stop') this.#stop = Math.min(this.#stop, start);
      if (act === 'replace') this.#add({ start: Math.max(start, held.gone), end, label: one.label });
    }
    held.gone = Math.max(held.gone, until);
    this.#told = Math.max(this.#told, settled);
  }

  #add(cut: Cut): void {
    const other = this.#cuts.find(({ start, end }) => start < cut.end && cut.start < end);
    if (other !== undefined) {
      other.end = Math.max(other.end, cut.end);
      return;
    }
    this.#cuts.push(cut);
    this.#cuts.sort((a, b) => a.start - b.start);
  }
}
