import { childOf, classes, type Keyword, trieOf } from './aho-corasick.ts';

interface Group {
  readonly classOf: Uint8Array;
  readonly trie: ReturnType<typeof trieOf>;
  readonly longest: number;
}

function groupOf(keywords: readonly Keyword[], folded: boolean): Group {
  const { classOf } = classes(keywords, folded);
  const longest = Math.max(0, ...keywords.map(({ bytes }) => bytes.length));
  return { classOf, trie: trieOf(keywords, classOf), longest };
}

/** What keywords begin with: says how much of one stands at the end of what was read. */
export class Prefixes {
  readonly #groups: readonly Group[];

  constructor(keywords: readonly Keyword[]) {
    const [exact, folded] = [false, true].map((fold) => keywords.filter(({ ignoreCase }) => ignoreCase === fold));
    this.#groups = [groupOf(exact ?? [], false), groupOf(folded ?? [], true)];
  }

  /** Bytes of the longest keyword that may be under way at `end`. */
  open(bytes: Uint8Array, end: number): number {
    return Math.max(...this.#groups.map((group) => openIn(group, bytes, end)));
  }
}

function openIn({ classOf, trie, longest }: Group, bytes: Uint8Array, end: number): number {
  for (let start = Math.max(0, end - longest); start < end; start++) {
    let state = 0;
    for (let at = start; at < end; at++) {
      const byteClass = classOf[bytes[at] as number] as number;
      state = byteClass === 0 ? 0 : childOf(trie, state, byteClass);
      if (state === 0) break;
    }
    if (state !== 0) return end - start;
  }
  return 0;
}
