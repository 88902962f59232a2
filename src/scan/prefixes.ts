import { childOf, classes, type Keyword, trieOf } from './aho-corasick.ts';

/** What keywords begin with: says how much of a keyword stands at the end of what was read, as the automaton's state would. */
export class Prefixes {
  readonly #classOf: Uint8Array;
  readonly #trie: ReturnType<typeof trieOf>;
  readonly #longest: number;

  constructor(keywords: readonly Keyword[]) {
    const folded = keywords.some((keyword) => keyword.ignoreCase);
    this.#classOf = classes(keywords, folded).classOf;
    this.#trie = trieOf(keywords, this.#classOf);
    this.#longest = Math.max(0, ...keywords.map(({ bytes }) => bytes.length));
  }

  /** Bytes of the longest keyword that may be under way at `end`. */
  open(bytes: Uint8Array, end: number): number {
    for (let start = Math.max(0, end - this.#longest); start < end; start++) {
      let state = 0;
      for (let at = start; at < end; at++) {
        const byteClass = this.#classOf[bytes[at] as number] as number;
        state = byteClass === 0 ? 0 : childOf(this.#trie, state, byteClass);
        if (state === 0) break;
      }
      if (state !== 0) return end - start;
    }
    return 0;
  }
}
