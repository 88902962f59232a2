import type { Reserve } from '../model/scan.ts';
import { has } from './byte-set.ts';
import type { Finder, FoundNumber, FoundWord } from './finder.ts';
import { type Counts, hasBegun, Lane, mayStart, type View } from './lane.ts';
import { createRun } from './matcher.ts';
import { programOf } from './pattern.ts';
import { type Match, resolve } from './resolve.ts';
import { LONGEST_RUN, type Tables } from './tables.ts';

/** CPU given by the caller. One unit is about one byte read; false = nothing left, the rest stays unscanned. */
export interface Budget {
  take(units: number): boolean;
}

export type UnscannedCause = 'candidates' | 'cpu-budget' | 'decoded-bytes';

/** What a body holds. */
export interface ScanResult {
  /** By start; overlapping ones are merged. */
  readonly matches: readonly Match[];
  /** True = a limit or the budget ended the scan early: what was not looked at may hold more. */
  readonly unscanned: boolean;
  /** Which limit: too many candidates, the caller's budget, too much that decodes. Undefined unless `unscanned`. */
  readonly cause: UnscannedCause | undefined;
  /** Bytes and steps of expressions read, as a measure of work. */
  readonly units: number;
}

/** Reads in pieces of this size, so that lists of hits stay small and no turn is long. */
const BLOCK = 1 << 16;
const AT = 64;

/** Scans one stream. */
export class Scanner {
  readonly #tables: Tables;
  readonly #budget: Budget | undefined;
  readonly #reserve: Pick<Reserve, 'steps'> | undefined;
  readonly #view: View = { run: createRun(), base: 0, steps: 0 };
  readonly #found: Match[] = [];
  readonly #words: Lane;
  readonly #numbers: Lane;
  readonly #addresses: Lane;
  readonly #finder: Finder;
  readonly #foundWord: FoundWord = (keyword, end) => {
    const { pattern, first, last, length } = this.#tables.targets[keyword] as Tables['targets'][number];
    this.#words.offer(pattern, end - first, end - last, end - length);
  };
  readonly #foundNumber: FoundNumber = (start, end) => this.#number(start, end);
  #units = 0;
  #exhausted = false;

  /** @param reserve - of what the text is a part of. */
  constructor(tables: Tables, budget: Budget | undefined, reserve?: Pick<Reserve, 'steps'>) {
    this.#tables = tables;
    this.#budget = budget;
    this.#reserve = reserve;
    const steps = reserve?.steps ?? Number.POSITIVE_INFINITY;
    this.#finder = tables.finder();
    this.#words = new Lane(this.#view, tables, this.#found, steps);
    this.#numbers = new Lane(this.#view, tables, this.#found, steps);
    this.#addresses = new Lane(this.#view, tables, this.#found, steps);
  }

  /** The next bytes. They are copied as far as they are needed later. */
  push(chunk: Uint8Array): void {
    if (this.#exhausted || chunk.length === 0) return;
    this.#append(chunk);
    this.#read(this.#view.run.end - chunk.length);
  }

  /** The end of the stream: what waited for more bytes is decided. */
  end(): ScanResult {
    this.#view.run.final = true;
    if (!this.#exhausted) {
      const { openNumber } = this.#finder;
      if (openNumber >= 0) this.#number(openNumber, this.#view.base + this.#view.run.end);
      this.#drain();
    }
    if (this.#reserve !== undefined) {
      const offset = this.#view.base + this.#view.run.end;
      const left = Math.min(this.#words.left(offset), this.#numbers.left(offset), this.#addresses.left(offset));
      this.#reserve.steps = left;
    }
    return this.result();
  }

  /** What is known so far; matches that end at or before `settled` stay as they are. */
  result(): ScanResult {
    const stopped = this.#words.stopped || this.#numbers.stopped || this.#addresses.stopped;
    const limited = stopped ? 'candidates' : undefined;
    const cause = this.#exhausted ? 'cpu-budget' : limited;
    const units = this.#units + this.#view.steps;
    return { matches: resolve(this.#found), unscanned: cause !== undefined, cause, units };
  }

  /** The beginning of a text that goes on, without a copy; afterwards `settled` and `sure` tell. */
  part(bytes: Uint8Array): ScanResult {
    const { run } = this.#view;
    run.bytes = bytes;
    run.end = bytes.length;
    this.#read(0);
    this.#drain();
    return this.result();
  }

  /** Where the first match that counts may begin whose keyword has been seen whole, or half a number, or Infinity. */
  begun(counts: Counts): number {
    const lanes = [this.#words, this.#numbers, this.#addresses].map((lane) => lane.begun(counts));
    return Math.min(this.#begunNumber(counts), ...lanes);
  }

  /** The run of digits at the end, as far as it may begin a match. */
  #begunNumber(counts: Counts): number {
    const start = this.#finder.openNumber;
    const length = this.#view.base + this.#view.run.end - start;
    if (start < 0 || length > LONGEST_RUN) return Number.POSITIVE_INFINITY;
    const known = new Set(this.#tables.digits.slice(Math.min(length, 31)).flat());
    for (const pattern of known) {
      const at = start - Math.max(0, ...pattern.anchors.map(({ from }) => from));
      if (at >= this.#view.base && hasBegun(this.#view, pattern, at) && counts(pattern)) return at;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Where the first match that counts begins that is on its way and whose pattern can be `least` bytes long, or Infinity. */
  sure(least: number, counts: Counts): ReturnType<Lane['sure']> {
    const all = [this.#words, this.#numbers, this.#addresses].map((lane) => lane.sure(least, counts));
    return all.reduce((first, one) => (one.at < first.at ? one : first));
  }

  /** All at once, without a copy. */
  whole(bytes: Uint8Array): ScanResult {
    const { run } = this.#view;
    run.bytes = bytes;
    run.end = bytes.length;
    run.final = true;
    this.#read(0);
    return this.end();
  }

  /** Every match that starts before this stream offset is known. Bytes before it may be written on. */
  get settled(): number {
    const { base, run } = this.#view;
    const end = base + run.end;
    if (this.#exhausted) return end;
    const { leads } = this.#tables;
    const { openNumber } = this.#finder;
    const word = this.#words.stopped ? end : end - this.#tables.prefixes.open(run.bytes, run.end);
    const number = openNumber >= 0 ? openNumber : end;
    let settled = Math.min(word, number, this.#words.open, this.#numbers.open, this.#addresses.open);
    for (const { pattern, bytes } of leads) {
      const from = pattern.trigger === 'keywords' ? word : pattern.trigger === 'digits' ? number : end;
      let back = 0;
      const { lead } = programOf(pattern);
      while (back < bytes && from - back > base && has(lead, run.bytes[from - back - 1 - base] as number)) back++;
      while (back > 0 && !mayStart(this.#view, pattern, from - back)) back--;
      settled = Math.min(settled, from - back);
    }
    return settled;
  }

  #append(chunk: Uint8Array): void {
    const view = this.#view;
    const { run } = view;
    const needed = Math.min(this.#words.needed, this.#numbers.needed, this.#addresses.needed) - view.base;
    const drop = Math.max(0, Math.min(run.end - this.#tables.keep, needed));
    const kept = run.end - drop;
    if (kept + chunk.length > run.bytes.length) {
      const larger = new Uint8Array(Math.max(1024, (kept + chunk.length) * 2));
      larger.set(run.bytes.subarray(drop, run.end));
      run.bytes = larger;
    } else if (drop > 0) {
      run.bytes.copyWithin(0, drop, run.end);
    }
    run.bytes.set(chunk, kept);
    view.base += drop;
    run.end = kept + chunk.length;
  }

  #read(start: number): void {
    const { end } = this.#view.run;
    for (let from = start; from < end && !this.#exhausted; from += BLOCK) {
      const to = Math.min(from + BLOCK, end);
      this.#drain();
      if (!this.#words.stopped) this.#finder.words(this.#view, from, to, this.#foundWord);
      if (this.#tables.hasDigits) this.#finder.numbers(this.#view, from, to, this.#foundNumber);
      if (this.#tables.at.length > 0) this.#readAddresses(from, to);
      this.#pay(to - from);
    }
  }

  #pay(bytes: number): void {
    const units = bytes + this.#view.steps;
    this.#view.steps = 0;
    this.#units += units;
    if (this.#budget !== undefined && !this.#budget.take(units)) this.#exhausted = true;
  }

  #drain(): void {
    this.#words.drain();
    this.#numbers.drain();
    this.#addresses.drain();
  }

  #number(start: number, end: number): void {
    const length = end - start;
    if (length < 2 || length > LONGEST_RUN) return;
    for (const pattern of this.#tables.digits[Math.min(length, 31)] as Tables['digits'][number]) {
      for (const { from, to } of pattern.anchors) this.#numbers.offer(pattern, start - to, start - from, start);
    }
  }

  #readAddresses(from: number, to: number): void {
    const { base, run } = this.#view;
    const block = run.bytes.subarray(from, to);
    for (let i = block.indexOf(AT); i >= 0; i = block.indexOf(AT, i + 1)) {
      const at = base + from + i;
      for (const pattern of this.#tables.at) {
        for (const anchor of pattern.anchors) this.#addresses.offer(pattern, at - anchor.to, at - anchor.from, at);
      }
    }
  }
}
