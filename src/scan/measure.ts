import { addAll, complement, intersection, isEmpty, union } from './byte-set.ts';
import type { Node } from './expression.ts';
import type { ByteSet } from './pattern.ts';

/** What follows from an expression's form alone. */
export interface Measures {
  /** Shortest and longest match, bytes; `max` is Infinity for `*`, `+`, `{n,}`. */
  readonly min: number;
  readonly max: number;
  /** Bytes read before the start and after the end of a match by look-arounds and `\b`. */
  readonly before: number;
  readonly after: number;
  readonly boundary: ByteSet | undefined;
  readonly prefix: readonly ByteSet[];
  readonly alphabet: ByteSet;
  /** Upper bound for the ways one start can be tried: 1 = never starts over. */
  readonly ways: number;
}

const NONE: ByteSet = new Uint32Array(8);
export const ALL: ByteSet = complement(NONE);
/** Longer gates refuse hardly more and cost at every candidate. */
const GATE = 24;

export function lengths(node: Node): readonly [number, number] {
  switch (node.type) {
    case 'set':
      return [1, 1];
    case 'look':
    case 'edge':
      return [0, 0];
    case 'secret':
      return lengths(node.item);
    case 'repeat': {
      const [min, max] = lengths(node.item);
      return [min * node.min, max === 0 ? 0 : max * node.max];
    }
    case 'sequence': {
      const all = node.items.map(lengths);
      return [all.reduce((sum, [min]) => sum + min, 0), all.reduce((sum, [, max]) => sum + max, 0)];
    }
    case 'choice': {
      const all = node.items.map(lengths);
      return [Math.min(...all.map(([min]) => min)), Math.max(...all.map(([, max]) => max))];
    }
  }
}

function children(node: Node): readonly Node[] {
  if (node.type === 'sequence' || node.type === 'choice') return node.items;
  return node.type === 'repeat' || node.type === 'look' || node.type === 'secret' ? [node.item] : [];
}

function reach(node: Node, behind: boolean): number {
  if (node.type === 'edge') return 1;
  const inner = Math.max(0, ...children(node).map((child) => reach(child, behind)));
  if (node.type !== 'look') return inner;
  // A \b at the far end of a look-around reads one byte more, whichever way it looks.
  return node.behind === behind ? lengths(node.item)[1] + inner : inner;
}

function alphabetOf(node: Node, into: ByteSet): void {
  if (node.type === 'set') addAll(into, node.set);
  else if (node.type !== 'look') for (const child of children(node)) alphabetOf(child, into);
}

/** Walks the expression with a bit per possible position (0 to 23) and collects what may stand there. */
function place(node: Node, positions: number, prefix: ByteSet[]): number {
  switch (node.type) {
    case 'set':
      for (let i = 0; i < GATE; i++) if ((positions >>> i) & 1) addAll(prefix[i] as ByteSet, node.set);
      return (positions << 1) & ((1 << GATE) - 1);
    case 'look':
    case 'edge':
      return positions;
    case 'secret':
      return place(node.item, positions, prefix);
    case 'sequence':
      return node.items.reduce((at, item) => place(item, at, prefix), positions);
    case 'choice':
      return node.items.reduce((out, item) => out | place(item, positions, prefix), 0);
    case 'repeat': {
      let at = positions;
      let out = node.min === 0 ? positions : 0;
      for (let i = 1; i <= node.max && at !== 0; i++) {
        const next = place(node.item, at, prefix);
        if (i >= node.min) out |= next;
        if (next === at) break;
        at = next;
      }
      return out;
    }
  }
}

/** The set of a `(?<![…])` every branch begins with. */
export function boundaryOf(node: Node): ByteSet | undefined {
  if (node.type === 'look') {
    return node.behind && node.negative && node.item.type === 'set' ? node.item.set : undefined;
  }
  if (node.type === 'sequence') return node.items[0] && boundaryOf(node.items[0]);
  if (node.type === 'secret') return boundaryOf(node.item);
  if (node.type !== 'choice') return undefined;
  const all = node.items.map(boundaryOf);
  if (all.some((set) => set === undefined)) return undefined;
  return all.reduce((a, b) => intersection(a as ByteSet, b as ByteSet));
}

/** Bytes a match of the node can begin with, given what follows where it can be empty. */
export function first(node: Node, follow: ByteSet): ByteSet {
  switch (node.type) {
    case 'set':
      return node.set;
    // Whether these hold is decided by other bytes: as if anything could stand here.
    case 'look':
    case 'edge':
      return ALL;
    case 'secret':
      return first(node.item, follow);
    case 'sequence':
      return node.items.reduceRight((next, item) => first(item, next), follow);
    case 'choice':
      return node.items.map((item) => first(item, follow)).reduce(union);
    case 'repeat': {
      const own = first(node.item, follow);
      return node.min === 0 ? union(own, follow) : own;
    }
  }
}

function disjoint(sets: readonly ByteSet[]): boolean {
  const seen = new Uint32Array(8);
  for (const set of sets) {
    if (!isEmpty(intersection(seen, set))) return false;
    addAll(seen, set);
  }
  return true;
}

/**
 * Upper bound for the ways a node can match from one start. A repetition has one way when what follows it cannot be part of it, else
 * one per length; branches that begin differently are one way; everything multiplies. Nothing after = the first way is taken.
 */
function waysOf(node: Node, follow: ByteSet): number {
  switch (node.type) {
    case 'set':
    case 'edge':
      return 1;
    case 'look':
      return waysOf(node.item, NONE);
    case 'secret':
      return waysOf(node.item, follow);
    case 'sequence':
      return sequenceWays(node.items, follow);
    case 'choice': {
      const all = node.items.map((item) => waysOf(item, follow));
      const firsts = node.items.map((item) => first(item, follow));
      return disjoint(firsts) ? Math.max(...all) : all.reduce((sum, one) => sum + one, 0);
    }
    case 'repeat': {
      const own = first(node.item, follow);
      const exit = waysOf(node.item, follow);
      const again = node.max > 1 ? waysOf(node.item, own) : 1;
      const ambiguous = node.max !== node.min && !isEmpty(intersection(own, follow));
      // Every round but the last is followed by another round, the last one by what comes after.
      return (ambiguous ? node.max - node.min + 1 : 1) * exit * again ** Math.max(0, node.max - 1);
    }
  }
}

/** A look-around is one way whatever happens in it, but it is tried again for every way before it. */
function sequenceWays(items: readonly Node[], follow: ByteSet): number {
  const follows: ByteSet[] = [];
  items.reduceRight((next, item, i) => {
    follows[i] = next;
    return first(item, next);
  }, follow);
  let ways = 1;
  let most = 1;
  items.forEach((item, i) => {
    const own = waysOf(item, follows[i] as ByteSet);
    most = Math.max(most, ways * own);
    if (item.type !== 'look') ways *= own;
  });
  return Math.max(most, ways);
}

/** Bytes that may stand between the start of a match and a keyword up to `bytes` into it: what to walk back over. */
export function leadSet(prefix: readonly ByteSet[], alphabet: ByteSet, bytes: number): ByteSet {
  return bytes <= prefix.length ? prefix.slice(0, bytes).reduce(union, NONE) : alphabet;
}

/** Measures an expression. */
export function measure(node: Node): Measures {
  const [min, max] = lengths(node);
  const alphabet = new Uint32Array(8);
  alphabetOf(node, alphabet);
  const prefix = Array.from({ length: GATE }, () => new Uint32Array(8));
  place(node, 1, prefix);
  const gate = prefix.slice(0, Math.min(min, GATE));
  return {
    min,
    max,
    before: reach(node, true),
    after: reach(node, false),
    boundary: boundaryOf(node),
    prefix: gate,
    alphabet,
    ways: waysOf(node, NONE),
  };
}
