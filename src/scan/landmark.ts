import { addAll, bytesOf, has, union } from './byte-set.ts';
import type { Node } from './expression.ts';
import { ALL, first, lengths } from './measure.ts';
import type { ByteSet } from './pattern.ts';

/**
 * What every match of an expression passes on its way: behind a gap of known bytes stands one of these beginnings. A phrase without its
 * second word, a URL without the `@` of a password are refused by it without running the expression.
 */
export interface Landmark {
  /** A match has read its first part after `least` to `lead` bytes; from there on only `gap` stands before the landmark. */
  readonly least: number;
  readonly lead: number;
  /** Where the landmark begins, bytes from the start of the match. */
  readonly from: number;
  readonly to: number;
  /** By byte, bits of `GAP`, `UNSURE`, `FIRST`, `BEFORE`. */
  readonly kinds: Uint8Array;
  /** 1,024 bits, by `trigram` of its first three bytes; undefined = its first byte alone. */
  readonly begins: Uint32Array | undefined;
}

/** It may stand in the gap. */
export const GAP = 1;
/** With it something longer begins that may stand in the gap as well: nobody looks behind it. */
export const UNSURE = 2;
/** The landmark can begin with it. */
export const FIRST = 4;
/** It can stand right before the landmark. */
export const BEFORE = 8;

/** Three bytes as ten bits, case aside. */
export function trigram(a: number, b: number, c: number): number {
  return ((a | 32) ^ ((b | 32) << 3) ^ ((c | 32) << 5)) & 1023;
}

/** More beginnings than this are no landmark. */
const MOST = 400;
/** Of 1,024: with more, nearly every text has one of them. */
const MOST_BITS = 64;
const REACH = 400;
/** Shorter gaps are covered by the prefix. */
const LEAST_GAP = 8;
/** Of 96 printable bytes a gap has at most so many: else it hardly ever ends early. */
const WIDE = 90;
/** Bytes behind the lead that are looked at: looking costs nobody's budget, the expression does. */
const SPAN = 48;
const LEAST_LEAD = 24;

type Head = readonly ByteSet[];

/** The first three bytes a node and what follows can begin with, as sequences of sets; undefined = too many, or fewer than three. */
function heads(nodes: readonly Node[], size: number): Head[] | undefined {
  if (size === 0) return [[]];
  const [node, ...rest] = nodes;
  if (node === undefined) return undefined;
  const behind = (items: readonly Node[]): Head[] | undefined => heads([...items, ...rest], size);
  switch (node.type) {
    case 'look':
    case 'edge':
      return behind([]);
    case 'set':
      return heads(rest, size - 1)?.map((head) => [node.set, ...head]);
    case 'secret':
      return behind([node.item]);
    case 'sequence':
      return behind(node.items);
    case 'choice':
      return together(node.items.map((item) => behind([item])));
    case 'repeat': {
      if (node.max === 0) return behind([]);
      const more = { ...node, min: Math.max(0, node.min - 1), max: Math.min(node.max, 3) - 1 };
      const some = lengths(node.item)[0] === 0 ? undefined : behind([node.item, more]);
      return node.min === 0 ? together([some, behind([])]) : some;
    }
  }
}

function together(all: readonly (Head[] | undefined)[]): Head[] | undefined {
  const found: Head[] = [];
  for (const some of all) {
    if (some === undefined || found.length + some.length > MOST) return undefined;
    found.push(...some);
  }
  return found;
}

function beginsOf(found: readonly Head[]): Uint32Array | undefined {
  const bits = new Uint32Array(32);
  let count = 0;
  for (const [one, two, three] of found.map((head) => head.map(bytesOf))) {
    for (const a of one ?? []) {
      for (const b of two ?? []) {
        for (const c of three ?? []) {
          if (++count > MOST * 8) return undefined;
          const bit = trigram(a, b, c);
          bits[bit >>> 5] = (bits[bit >>> 5] as number) | (1 << (bit & 31));
        }
      }
    }
  }
  return bits;
}

function bitsOf(set: Uint32Array): number {
  let count = 0;
  for (let bit = 0; bit < set.length * 32; bit++) count += ((set[bit >>> 5] as number) >>> (bit & 31)) & 1;
  return count;
}

function alphabetOf(node: Node): ByteSet {
  const set = new Uint32Array(8);
  if (node.type === 'set') addAll(set, node.set);
  else if (node.type === 'sequence' || node.type === 'choice')
    for (const item of node.items) addAll(set, alphabetOf(item));
  else if (node.type === 'repeat' || node.type === 'secret') addAll(set, alphabetOf(node.item));
  return set;
}

/**
 * A gap of phrases is a set of separators or, each with a first byte of its own, a tag, a written line end, a wide blank: the set is left,
 * and those bytes are `unsure`.
 */
function plainly(node: Node, unsure: ByteSet): Node {
  if (node.type === 'sequence') return { ...node, items: node.items.map((item) => plainly(item, unsure)) };
  if (node.type === 'secret') return plainly(node.item, unsure);
  if (node.type !== 'repeat') return node;
  const { item } = node;
  if (item.type !== 'choice') return { ...node, item: plainly(item, unsure) };
  const sets = item.items.filter((one) => one.type === 'set');
  if (sets.length === 0) return node;
  for (const other of item.items) if (other.type !== 'set') addAll(unsure, first(other, ALL));
  return { ...node, item: { type: 'set', set: sets.map(({ set }) => set).reduce(union) } };
}

function printable(set: ByteSet): number {
  let count = 0;
  for (let byte = 32; byte < 127; byte++) if (has(set, byte)) count++;
  return count;
}

/** Items of the expression as they follow one another. */
function flat(node: Node): readonly Node[] {
  if (node.type === 'sequence') return node.items.flatMap(flat);
  return node.type === 'secret' ? flat(node.item) : [node];
}

/** Bytes an item can end with, given those before it where it can be empty. */
function last(node: Node, before: ByteSet): ByteSet {
  switch (node.type) {
    case 'set':
      return node.set;
    case 'look':
    case 'edge':
      return before;
    case 'secret':
      return last(node.item, before);
    case 'sequence':
      return node.items.reduce((end, item) => last(item, end), before);
    case 'choice':
      return node.items.map((item) => last(item, before)).reduce(union);
    case 'repeat': {
      const own = last(node.item, before);
      return node.min === 0 ? union(own, before) : own;
    }
  }
}

/** The last landmark that can be told from the gap before it, or undefined. */
export function landmarkOf(node: Node): Landmark | undefined {
  const items = flat(node);
  const open = items.findIndex((item) => item.type === 'repeat' && lengths(item)[1] >= LEAST_GAP);
  if (open < 0) return undefined;
  const unsure = new Uint32Array(8);
  const plain = items.map((item, i) => (i < open ? item : plainly(item, unsure)));
  const range = (to: number): readonly [number, number] => lengths({ type: 'sequence', items: plain.slice(0, to) });
  const [least, lead] = range(open);
  if (lead > LEAST_LEAD) return undefined;
  let gap: ByteSet = new Uint32Array(8);
  let before = plain.slice(0, open).reduce((end, item) => last(item, end), ALL);
  let best: Landmark | undefined;
  for (let at = open; at < items.length; at++) {
    const [from, to] = range(at);
    if (to > REACH) break;
    const item = plain[at] as Node;
    const found = at > open && lengths(item)[0] > 0 ? sign(items.slice(at), gap) : undefined;
    if (found !== undefined) {
      const kinds = kindsOf(gap, unsure, found.first, before);
      best = { least, lead, from, to, kinds, begins: found.begins };
    }
    gap = union(gap, alphabetOf(item));
    before = last(item, before);
    if (printable(gap) > WIDE) break;
  }
  return best;
}

/** Sets as bits: `GAP`, `UNSURE`, `FIRST`, `BEFORE`. */
function kindsOf(...sets: readonly ByteSet[]): Uint8Array {
  const kinds = new Uint8Array(256);
  sets.forEach((set, i) => {
    for (const byte of bytesOf(set)) kinds[byte] = (kinds[byte] as number) | (1 << i);
  });
  return kinds;
}

function sign(items: readonly Node[], gap: ByteSet): { first: ByteSet; begins: Uint32Array | undefined } | undefined {
  const [node] = items;
  if (node?.type === 'set' && bytesOf(node.set).every((byte) => !has(gap, byte))) {
    return { first: node.set, begins: undefined };
  }
  const found = heads(items, 3);
  const begins = found && beginsOf(found);
  if (found === undefined || begins === undefined || bitsOf(begins) > MOST_BITS) return undefined;
  const any = new Uint32Array(8);
  for (const [one] of found) if (one !== undefined) addAll(any, one);
  return { first: any, begins };
}

/** Whether no match can begin at `at`. Bytes from `end` on are not known. */
export function misses(mark: Landmark, bytes: Uint8Array, at: number, end: number): boolean {
  const { least, lead, from, to, kinds, begins } = mark;
  const most = at + Math.min(to, lead + SPAN);
  let before = BEFORE;
  for (let i = at + least; i <= most; i++) {
    if (i >= end) return false;
    const kind = kinds[bytes[i] as number] as number;
    if ((kind & UNSURE) !== 0) return false;
    if ((kind & FIRST) !== 0 && i >= at + from && (before & BEFORE) !== 0) {
      if (begins === undefined || i + 2 >= end) return false;
      const bit = trigram(bytes[i] as number, bytes[i + 1] as number, bytes[i + 2] as number);
      if ((((begins[bit >>> 5] as number) >>> (bit & 31)) & 1) === 1) return false;
    }
    if ((kind & GAP) === 0 && i >= at + lead) return true;
    before = kind;
  }
  return to <= lead + SPAN;
}
