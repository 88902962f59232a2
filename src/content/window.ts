import {
  type BodyFound,
  type BodyScanned,
  fullReserve,
  type Reserve,
  type ScanFor,
  type ScanPort,
  type UnscannedCause,
} from '../model/scan.ts';
import type { ScanBudget } from './budget.ts';
import { placeOf } from './place.ts';
import { splitFinds } from './split.ts';
import { Tally } from './tally.ts';

export interface WindowOptions {
  readonly what: ScanFor;
  readonly scan: ScanPort;
  readonly budget: ScanBudget;
  readonly agent: string;
  /** Bytes of one body that are looked at; 0 = all. */
  readonly scanBytes: number;
  readonly now: () => number;
}

/** Bytes scanned at once. Larger ones make longer turns of the event loop, smaller ones read more bytes twice. */
const WINDOW = 128 << 10;
/** What may lie over the end of a window: the longest match a pattern can have (20,480 bytes, patterns/README.md). */
const CARRY = 20_480;
/** Read again before that, for what an expression looks at in front of a match. */
const CONTEXT = 1024;
/** A small body shares what Node sets aside for small buffers. */
const FIRST = 256;
const EMPTY = Buffer.alloc(0);

/** Base64 and its alphabets: a window must not begin in the middle of a group of four. */
export const LETTER = new Uint8Array(256);
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-')
  LETTER[letter.charCodeAt(0)] = 1;

/**
 * Looks at one body through windows that overlap, so that nothing on a seam is missed: what begins in the last
 * {@link CARRY} bytes of a window is decided by the next one. Bytes are copied; the caller's may change.
 */
export class Window {
  readonly #options: WindowOptions;
  #bytes: Buffer = EMPTY;
  #length = 0;
  /** Offset of the window's first byte in the body. */
  #base = 0;
  /** What begins before this offset has been told. */
  #told = 0;
  readonly #tally: Tally = new Tally();
  readonly #reserve: Reserve = fullReserve();
  #stopped = false;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** Nothing more is looked at. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#base + this.#length;
  }

  push(payload: Uint8Array): void {
    const { scanBytes } = this.#options;
    let from = 0;
    while (from < payload.length && !this.stopped) {
      let most = Math.min(payload.length - from, WINDOW - this.#length);
      if (scanBytes > 0) most = Math.min(most, scanBytes - this.offset);
      if (most === 0) {
        this.stop('scan-bytes');
        this.#look(true);
        return;
      }
      this.#room(most);
      this.#bytes.set(payload.subarray(from, from + most), this.#length);
      this.#length += most;
      from += most;
      if (this.#length === WINDOW) this.#look(false);
    }
  }

  /** The rest of the body was not looked at. */
  stop(cause: UnscannedCause, offset: number = this.offset): void {
    this.#tally.unscanned(cause, offset);
    this.#stopped = true;
  }

  /** Tells also what was found otherwise. */
  include(all: readonly BodyFound[]): void {
    this.#tally.include(all);
  }

  /** Looks at what is left and tells all. */
  finish(): BodyScanned {
    if (this.#length > 0) this.#look(true);
    this.#bytes = EMPTY;
    this.#length = 0;
    return this.#tally.scanned;
  }

  #room(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.min(WINDOW, Math.max(FIRST, needed, this.#bytes.length * 2)));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  #look(last: boolean): void {
    const { agent, budget, now, scan, what } = this.#options;
    if (!budget.left(agent)) {
      this.stop('cpu-budget', this.#told);
      this.#length = 0;
      return;
    }
    const began = now();
    const bytes = this.#bytes.subarray(0, this.#length);
    const until = last ? Number.POSITIVE_INFINITY : this.#length - CARRY + this.#base;
    const scanned = scan.scan(what, bytes, this.#reserve);
    for (const found of scanned.found) {
      const offset = this.#base + found.start;
      if (offset < this.#told || offset >= until) continue;
      this.#tally.add(found, offset, () => placeOf(bytes, found.start, found.end, this.#base === 0));
    }
    // What one window costs too much is missing for the next; it is read as far as its own bytes allow.
    const { unscanned } = scanned;
    if (unscanned !== undefined) {
      this.#tally.unscanned(unscanned === 'cpu-budget' ? 'candidates' : unscanned, this.#told);
    }
    if (last && this.#base === 0 && what === 'request') this.#tally.include(splitFinds(bytes, scan));
    if (last) this.#length = 0;
    else this.#slide(until);
    budget.spend(agent, now() - began);
  }

  #slide(until: number): void {
    const wanted = until - this.#base - CONTEXT;
    let run = wanted;
    while (run > 0 && LETTER[this.#bytes[run - 1] as number] === 1) run--;
    const from = run + ((wanted - run) & ~3);
    this.#bytes.copyWithin(0, from, this.#length);
    this.#length -= from;
    this.#base += from;
    this.#told = until;
  }
}
