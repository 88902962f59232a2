import { createHits, search } from './aho-corasick.ts';
import type { View } from './lane.ts';
import type { Tables } from './tables.ts';

/** Told the number of a keyword and the stream offset behind it. */
export type FoundWord = (keyword: number, end: number) => void;
/** Told the stream offsets of a run of digits. */
export type FoundNumber = (start: number, end: number) => void;

/**
 * Finds what makes the engine look at a place, in one stream. Another finder may leave out what no gate of a pattern lets pass, but
 * nothing else, and in the same order: so findings, and the place where a limit ends a scan, do not depend on it.
 */
export interface Finder {
  /** Keywords that end in `from`+1..`to` (indexes of the bytes at hand), by their end, longer ones first. */
  words(view: View, from: number, to: number, found: FoundWord): void;
  /** Runs of digits that end before `to`. A run that is open at `from` is at `openNumber`. */
  numbers(view: View, from: number, to: number, found: FoundNumber): void;
  /** Stream offset where a run of digits began that may go on, or -1. */
  readonly openNumber: number;
}

export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 57;
}

function endsWith(bytes: Uint8Array, end: number, word: Uint8Array): boolean {
  for (let i = word.length, at = end; i > 0; ) if (bytes[--at] !== word[--i]) return false;
  return true;
}

/** In TypeScript alone: runs everywhere, and is what the other one is measured against. */
export class PlainFinder implements Finder {
  readonly #tables: Tables;
  readonly #hits = createHits();
  #state = 0;
  #openNumber = -1;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  get openNumber(): number {
    return this.#openNumber;
  }

  words({ base, run }: View, from: number, to: number, found: FoundWord): void {
    const { automaton, targets } = this.#tables;
    const hits = this.#hits;
    hits.length = 0;
    this.#state = search(automaton, run.bytes, from, to, this.#state, hits);
    const list = hits.list;
    for (let i = 0; i < hits.length; i += 2) {
      const end = list[i] as number;
      const output = automaton.outputs[(list[i + 1] as number) - automaton.accepting] as readonly number[];
      for (let k = 0; k < output.length; k++) {
        const keyword = output[k] as number;
        const { exact } = targets[keyword] as Tables['targets'][number];
        if (exact === undefined || endsWith(run.bytes, end, exact)) found(keyword, base + end);
      }
    }
  }

  /** Every run of two digits or more has one at every second place. */
  numbers({ base, run }: View, from: number, to: number, found: FoundNumber): void {
    const { bytes } = run;
    let at = from;
    if (this.#openNumber >= 0) {
      while (at < to && isDigit(bytes[at])) at++;
      if (at === to) return;
      found(this.#openNumber, base + at);
    }
    this.#openNumber = -1;
    for (;;) {
      let p = at + 1;
      while (p < to && !isDigit(bytes[p])) p += 2;
      if (p >= to) break;
      const start = isDigit(bytes[p - 1]) ? p - 1 : p;
      at = p + 1;
      while (at < to && isDigit(bytes[at])) at++;
      if (at === to) {
        this.#openNumber = base + start;
        return;
      }
      found(base + start, base + at);
      at++;
    }
    if (to - 1 >= at && isDigit(bytes[to - 1])) this.#openNumber = base + to - 1;
  }
}
