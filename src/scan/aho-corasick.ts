/**
 * All keywords in one pass over bytes: a dense Aho-Corasick automaton, entered only where a filter says a keyword may stand.
 *
 * The filter: of every keyword one window of three bytes is chosen, the rarest of its first bytes. Whatever the keyword's offset, one
 * of the window's two pairs lies at an even distance from where the search began, so looking at every second position is enough.
 * A pair that hits is confirmed by the three bytes before the automaton is started, as far back as a keyword can begin whose window
 * has not been passed. It runs until it is at its root again.
 */

/** A keyword to look for. `bytes` has at least three, except for automata that are only walked (`step`), never searched with. */
export interface Keyword {
  readonly bytes: Uint8Array;
  readonly ignoreCase: boolean;
}

/** Dense tables. A state is the number of its row in `next`; 0 is the root. */
export interface Walk {
  readonly classOf: Uint8Array;
  /** A row has `1 << shift` places. */
  readonly shift: number;
  readonly next: Uint16Array | Uint32Array;
  /** States from here on end a keyword. */
  readonly accepting: number;
  /** Keywords (as index of the list) that end in state `accepting + i`: `outputs[i]`. */
  readonly outputs: readonly (readonly number[])[];
}

/** What is walked, and the filter in front of it. */
export interface Automaton extends Walk {
  /** Bit 1: a window begins with this pair; bit 2: its second pair. */
  readonly pairs: Uint8Array;
  /** By hash of three bytes: 1 = may be a window. */
  readonly windows: Uint8Array;
  /** Offset of the farthest window. */
  readonly reach: number;
}

/** Where keywords ended: pairs of (offset behind the last byte, state). Grows; `length` counts numbers, not pairs. */
export interface Hits {
  list: Int32Array;
  length: number;
}

/** Windows further into a keyword make the automaton start further back. */
const FARTHEST = 6;

function fold(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

function both(keyword: Keyword, at: number): number[] {
  const byte = keyword.bytes[at] as number;
  const lower = fold(byte);
  if (!keyword.ignoreCase || lower < 97 || lower > 122) return [byte];
  return [lower, lower - 32];
}

export function classes(keywords: readonly Keyword[], folded: boolean): { classOf: Uint8Array; width: number } {
  const classOf = new Uint8Array(256);
  let width = 1;
  for (const keyword of keywords) {
    const { bytes } = keyword;
    for (let i = 0; i < bytes.length; i++) {
      const byte = folded ? fold(bytes[i] as number) : (bytes[i] as number);
      if (classOf[byte] === 0) classOf[byte] = width++;
    }
  }
  if (folded) for (let upper = 65; upper <= 90; upper++) classOf[upper] = classOf[upper + 32] as number;
  return { classOf, width };
}

/** Children as lists: for building only. 0 = none. */
interface Trie {
  /** Of the root, by class: every suffix is looked for there in the end. */
  readonly roots: Uint32Array;
  readonly first: Uint32Array;
  readonly sibling: Uint32Array;
  /** Class of the byte that leads to a state. */
  readonly by: Uint8Array;
  /** Keywords that end in a state. */
  readonly ends: Map<number, number[]>;
  states: number;
}

export function childOf({ roots, first, sibling, by }: Trie, state: number, byteClass: number): number {
  if (state === 0) return roots[byteClass] as number;
  let child = first[state] as number;
  while (child !== 0 && by[child] !== byteClass) child = sibling[child] as number;
  return child;
}

export function trieOf(keywords: readonly Keyword[], classOf: Uint8Array): Trie {
  const most = keywords.reduce((sum, { bytes }) => sum + bytes.length, 1);
  const trie: Trie = {
    roots: new Uint32Array(257),
    first: new Uint32Array(most),
    sibling: new Uint32Array(most),
    by: new Uint8Array(most),
    ends: new Map(),
    states: 1,
  };
  for (const [index, { bytes }] of keywords.entries()) {
    let at = 0;
    // Not `of`: before it is optimised that leaves an object a byte behind.
    for (let i = 0; i < bytes.length; i++) {
      const byteClass = classOf[bytes[i] as number] as number;
      let child = childOf(trie, at, byteClass);
      if (child === 0) {
        child = trie.states++;
        trie.by[child] = byteClass;
        trie.sibling[child] = trie.first[at] as number;
        trie.first[at] = child;
        if (at === 0) trie.roots[byteClass] = child;
      }
      at = child;
    }
    const list = trie.ends.get(at);
    if (list === undefined) trie.ends.set(at, [index]);
    else list.push(index);
  }
  return trie;
}

/** Breadth first: the order, and for every state that of its longest proper suffix, whose keywords end in it as well. */
function suffixes(trie: Trie): { order: Uint32Array; fail: Uint32Array } {
  const { first, sibling, by, ends } = trie;
  const order = new Uint32Array(trie.states);
  const fail = new Uint32Array(trie.states);
  let known = 1;
  for (let head = 0; head < known; head++) {
    const state = order[head] as number;
    const more = state === 0 ? undefined : ends.get(fail[state] as number);
    if (more !== undefined) ends.set(state, [...(ends.get(state) ?? []), ...more]);
    for (let child = first[state] as number; child !== 0; child = sibling[child] as number) {
      order[known++] = child;
      for (let at = state; at !== 0 && fail[child] === 0; ) {
        at = fail[at] as number;
        fail[child] = childOf(trie, at, by[child] as number);
      }
    }
  }
  return { order, fail };
}

// Rough frequencies in text, code and JSON, by byte without case; only the order matters.
const WEIGHT = Float64Array.from({ length: 256 }, (_, byte) => {
  if (byte === 32) return 15;
  const letter = String.fromCharCode(fold(byte));
  if ('etaoinsr'.includes(letter)) return 6;
  if (letter >= 'a' && letter <= 'z') return 3;
  if ('",:=0123456789'.includes(letter)) return 2.5;
  return '_-./'.includes(letter) ? 1.2 : 1;
});

/** Offset of the three bytes of a keyword that are the rarest in traffic. */
export function windowOf(bytes: Uint8Array, farthest: number): number {
  const weight = (at: number): number => WEIGHT[bytes[at] as number] as number;
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let at = 0; at + 3 <= bytes.length && at <= farthest; at++) {
    const score = (weight(at) + weight(at + 2)) * weight(at + 1) + 0.01 * at;
    if (score < least) [least, best] = [score, at];
  }
  return best;
}

function hash(a: number, b: number, c: number): number {
  return ((a << 9) ^ (b << 4) ^ c ^ (c << 8)) & 0xffff;
}

function filters(keywords: readonly Keyword[]): Pick<Automaton, 'pairs' | 'windows' | 'reach'> {
  const pairs = new Uint8Array(1 << 16);
  const windows = new Uint8Array(1 << 16);
  let reach = 0;
  for (const keyword of keywords) {
    if (keyword.bytes.length < 3) continue;
    const at = windowOf(keyword.bytes, FARTHEST);
    reach = Math.max(reach, at);
    for (const a of both(keyword, at)) {
      for (const b of both(keyword, at + 1)) {
        pairs[(a << 8) | b] = (pairs[(a << 8) | b] as number) | 1;
        for (const c of both(keyword, at + 2)) {
          pairs[(b << 8) | c] = (pairs[(b << 8) | c] as number) | 2;
          windows[hash(a, b, c)] = 1;
        }
      }
    }
  }
  return { pairs, windows, reach };
}

/**
 * Builds what is walked. When any keyword ignores case the automaton folds ASCII letters for all, so an exact keyword is also reported
 * where only its case differs: whoever checks the place refuses it.
 */
export function buildWalk(keywords: readonly Keyword[]): Walk {
  const folded = keywords.some((keyword) => keyword.ignoreCase);
  const { classOf, width } = classes(keywords, folded);
  const shift = 32 - Math.clz32(width - 1);
  const trie = trieOf(keywords, classOf);
  const { order, fail } = suffixes(trie);
  const { first, sibling, by, ends } = trie;
  const accepting = order.length - ends.size;
  const outputs: number[][] = [];
  const row = new Uint32Array(order.length);
  for (let i = 0; i < order.length; i++) {
    const state = order[i] as number;
    const list = ends.get(state);
    row[state] = list === undefined ? i - outputs.length : accepting + outputs.length;
    if (list !== undefined) outputs.push(list);
  }
  const next =
    order.length <= 0x10000 ? new Uint16Array(order.length << shift) : new Uint32Array(order.length << shift);
  // A state goes where its longest proper suffix goes, except to its own children.
  for (let i = 0; i < order.length; i++) {
    const state = order[i] as number;
    const at = row[state] as number;
    const suffix = (row[fail[state] as number] as number) << shift;
    if (state !== 0) next.copyWithin(at << shift, suffix, suffix + width);
    for (let child = first[state] as number; child !== 0; child = sibling[child] as number) {
      next[(at << shift) | (by[child] as number)] = row[child] as number;
    }
  }
  return { classOf, shift, next, accepting, outputs };
}

/** Builds all that a search needs. */
export function buildAutomaton(keywords: readonly Keyword[]): Automaton {
  return { ...buildWalk(keywords), ...filters(keywords) };
}

export function createHits(): Hits {
  return { list: new Int32Array(256), length: 0 };
}

function add(hits: Hits, end: number, state: number): void {
  if (hits.length + 2 > hits.list.length) {
    const larger = new Int32Array(hits.list.length * 2);
    larger.set(hits.list);
    hits.list = larger;
  }
  hits.list[hits.length++] = end;
  hits.list[hits.length++] = state;
}

/** First position from `from` on where a window or its second byte stands; -1 = nowhere before `stop`. */
function skip(automaton: Automaton, bytes: Uint8Array, from: number, stop: number): number {
  const { pairs, windows } = automaton;
  for (let p = from; p < stop; p += 2) {
    const a = bytes[p] as number;
    const b = bytes[p + 1] as number;
    const flags = pairs[(a << 8) | b] as number;
    if (flags === 0) continue;
    if ((flags & 1) !== 0 && windows[hash(a, b, bytes[p + 2] as number)] === 1) return p;
    if ((flags & 2) !== 0 && p > from && windows[hash(bytes[p - 1] as number, a, b)] === 1) return p;
  }
  return -1;
}

/**
 * Reads `bytes[from, to)` in `state` (0 at the start of a stream) and adds what ended there to `hits`, in order.
 * @returns the state for the next bytes; a stream may be cut anywhere.
 */
export function search(
  automaton: Automaton,
  bytes: Uint8Array,
  from: number,
  to: number,
  state: number,
  hits: Hits,
): number {
  const { next, classOf, accepting, reach, shift } = automaton;
  // Keywords that begin nearer to the end may have their window beyond it: the automaton itself reads these.
  const stop = to - reach - 3;
  let at = from;
  let row = state;
  while (at < to) {
    let until = at;
    if (row === 0 && at < stop) {
      const found = skip(automaton, bytes, at, stop);
      until = found === -1 ? to : found;
      at = Math.max(at, (found === -1 ? stop : found) - 1 - reach);
    }
    while (at < to) {
      row = next[(row << shift) | (classOf[bytes[at++] as number] as number)] as number;
      if (row >= accepting) add(hits, at, row);
      if (row === 0 && at > until) break;
    }
  }
  return row;
}
