import { addAll, addByte, bytesOf, complement, rangeSet, setOf } from './byte-set.ts';
import type { ByteSet } from './pattern.ts';

/**
 * The subset of JavaScript expressions a pattern may use, as a tree over bytes. Characters outside ASCII are already their UTF-8 bytes and
 * case is already folded into the sets, so that the expression can run without flags on a latin1 view of any body.
 */
export type Node =
  | { readonly type: 'set'; readonly set: ByteSet }
  | { readonly type: 'sequence'; readonly items: readonly Node[] }
  | { readonly type: 'choice'; readonly items: readonly Node[] }
  | { readonly type: 'repeat'; readonly item: Node; readonly min: number; readonly max: number; readonly lazy: boolean }
  | { readonly type: 'look'; readonly behind: boolean; readonly negative: boolean; readonly item: Node }
  | { readonly type: 'edge'; readonly negative: boolean }
  | { readonly type: 'secret'; readonly item: Node };

const DIGITS = rangeSet(48, 57);
const WORD = rangeSet(48, 57);
addAll(WORD, rangeSet(65, 90));
addAll(WORD, rangeSet(97, 122));
addByte(WORD, 95);
const SPACES = setOf(9, 10, 11, 12, 13, 32);
const CLASSES = new Map<string, ByteSet>([
  ['d', DIGITS],
  ['D', complement(DIGITS)],
  ['w', WORD],
  ['W', complement(WORD)],
  ['s', SPACES],
  ['S', complement(SPACES)],
]);
const CONTROLS = new Map([
  ['n', 10],
  ['r', 13],
  ['t', 9],
  ['f', 12],
  ['v', 11],
  ['0', 0],
]);
const NOT_LINE_END = complement(setOf(10, 13));

interface Reader {
  readonly source: string;
  readonly ignoreCase: boolean;
  at: number;
  secrets: number;
}

/** Both cases of a character where case is ignored. */
function variants(reader: Reader, codePoint: number): number[] {
  if (!reader.ignoreCase) return [codePoint];
  const text = String.fromCodePoint(codePoint);
  const both = [text, text.toLowerCase(), text.toUpperCase()].filter((one) => [...one].length === 1);
  return [...new Set(both.map((one) => one.codePointAt(0) as number))];
}

/** A character as bytes: one set, or a choice of UTF-8 sequences. */
function characters(codePoints: readonly number[]): Node {
  const ascii = codePoints.filter((one) => one < 128);
  const items: Node[] = ascii.length > 0 ? [{ type: 'set', set: setOf(...ascii) }] : [];
  for (const one of codePoints) {
    if (one < 128) continue;
    const bytes = [...new TextEncoder().encode(String.fromCodePoint(one))];
    items.push({ type: 'sequence', items: bytes.map((byte) => ({ type: 'set', set: setOf(byte) })) });
  }
  return items.length === 1 ? (items[0] as Node) : { type: 'choice', items };
}

function hex(reader: Reader, digits: number): number {
  const text = reader.source.slice(reader.at, reader.at + digits);
  if (text.length !== digits || !/^[0-9a-f]+$/i.test(text)) throw new Error('a \\x or \\u escape is cut short');
  reader.at += digits;
  return Number.parseInt(text, 16);
}

/** After the backslash: a class or a code point. */
function escaped(reader: Reader): ByteSet | number {
  const letter = reader.source[reader.at++];
  if (letter === undefined) throw new Error('it ends in a backslash');
  const known = CLASSES.get(letter);
  if (known) return known;
  const control = CONTROLS.get(letter);
  if (control !== undefined) return control;
  if (letter === 'x') return hex(reader, 2);
  if (letter === 'u') return hex(reader, 4);
  if (/[A-Za-z0-9]/.test(letter)) throw new Error(`\\${letter} is not one of the escapes patterns may use`);
  return letter.codePointAt(0) as number;
}

function nextCodePoint(reader: Reader): number {
  const codePoint = reader.source.codePointAt(reader.at);
  if (codePoint === undefined) throw new Error('a class is not closed');
  reader.at += codePoint > 0xffff ? 2 : 1;
  return codePoint;
}

function classMember(reader: Reader): ByteSet | number {
  const codePoint = nextCodePoint(reader);
  if (codePoint !== 92) return codePoint;
  if (reader.source[reader.at] === 'b') {
    reader.at++;
    return 8;
  }
  return escaped(reader);
}

function rangeEnd(reader: Reader): number | undefined {
  if (reader.source[reader.at] !== '-' || reader.source[reader.at + 1] === ']') return undefined;
  reader.at++;
  const end = classMember(reader);
  if (typeof end !== 'number') throw new Error('a range in a class ends in a class');
  return end;
}

function classNode(reader: Reader): Node {
  const negative = reader.source[reader.at] === '^';
  if (negative) reader.at++;
  const set = new Uint32Array(8);
  const wide: number[] = [];
  const add = (codePoint: number): void => {
    for (const one of variants(reader, codePoint)) {
      if (one < 128) addByte(set, one);
      else wide.push(one);
    }
  };
  while (reader.source[reader.at] !== ']') {
    const start = classMember(reader);
    if (typeof start !== 'number') {
      addAll(set, start);
      continue;
    }
    const end = rangeEnd(reader) ?? start;
    if (end !== start && (end < start || end > 127)) throw new Error('a range in a class must go up and stay in ASCII');
    for (let one = start; one <= end; one++) add(one);
  }
  reader.at++;
  if (negative && wide.length > 0) throw new Error('a negated class may only name ASCII characters');
  if (negative) return { type: 'set', set: complement(set) };
  if (wide.length === 0) return { type: 'set', set };
  const rest = characters(wide);
  if (bytesOf(set).length === 0) return rest;
  return { type: 'choice', items: [{ type: 'set', set }, ...(rest.type === 'choice' ? rest.items : [rest])] };
}

const GROUPS: readonly (readonly [string, (item: Node) => Node])[] = [
  ['?:', (item) => item],
  ['?=', (item) => ({ type: 'look', behind: false, negative: false, item })],
  ['?!', (item) => ({ type: 'look', behind: false, negative: true, item })],
  ['?<=', (item) => ({ type: 'look', behind: true, negative: false, item })],
  ['?<!', (item) => ({ type: 'look', behind: true, negative: true, item })],
  ['?<secret>', (item) => ({ type: 'secret', item })],
  ['', (item) => item],
];

function group(reader: Reader): Node {
  const [mark, wrap] = GROUPS.find(([start]) => reader.source.startsWith(start, reader.at)) as (typeof GROUPS)[number];
  reader.at += mark.length;
  if (reader.source[reader.at] === '?') throw new Error('a group begins with an unknown (?…');
  if (mark === '?<secret>' && ++reader.secrets > 1) throw new Error('there is more than one group (?<secret>…)');
  const item = choice(reader);
  if (reader.source[reader.at++] !== ')') throw new Error('a group is not closed');
  return wrap(item);
}

function atom(reader: Reader): Node {
  const codePoint = nextCodePoint(reader);
  const letter = String.fromCodePoint(codePoint);
  if (letter === '(') return group(reader);
  if (letter === '[') return classNode(reader);
  if (letter === '.') return { type: 'set', set: NOT_LINE_END };
  if (letter === '^' || letter === '$') throw new Error(`${letter} has no meaning in a stream; use a look-around`);
  if (letter === '*' || letter === '+' || letter === '?') throw new Error(`${letter} repeats nothing`);
  if (letter !== '\\') return characters(variants(reader, codePoint));
  const next = reader.source[reader.at];
  if (next === 'b' || next === 'B') {
    reader.at++;
    return { type: 'edge', negative: next === 'B' };
  }
  const value = escaped(reader);
  return typeof value === 'number' ? characters(variants(reader, value)) : { type: 'set', set: value };
}

const QUANTIFIER = /(?:([*+?])|\{(\d{1,6})(?:(,)(\d{0,6}))?\})(\??)/y;

function quantified(reader: Reader): Node {
  const item = atom(reader);
  QUANTIFIER.lastIndex = reader.at;
  const found = QUANTIFIER.exec(reader.source);
  if (!found) return item;
  reader.at = QUANTIFIER.lastIndex;
  if (item.type === 'look' || item.type === 'edge') throw new Error('a look-around or \\b is repeated');
  const [, sign, low, comma, high, lazy] = found;
  const min = sign ? (sign === '+' ? 1 : 0) : Number(low);
  let max = sign === '?' ? 1 : Number.POSITIVE_INFINITY;
  if (!sign && !comma) max = min;
  if (high) max = Number(high);
  if (max < min) throw new Error(`{${low},${high}} goes down`);
  return { type: 'repeat', item, min, max, lazy: lazy === '?' };
}

function choice(reader: Reader): Node {
  const branches: Node[] = [];
  for (;;) {
    const items: Node[] = [];
    while (reader.at < reader.source.length && !'|)'.includes(reader.source[reader.at] as string)) {
      items.push(quantified(reader));
    }
    branches.push(items.length === 1 ? (items[0] as Node) : { type: 'sequence', items });
    if (reader.source[reader.at] !== '|') break;
    reader.at++;
  }
  return branches.length === 1 ? (branches[0] as Node) : { type: 'choice', items: branches };
}

/** Reads an expression. Throws an Error that says what patterns may not use. */
export function parseExpression(source: string, ignoreCase: boolean): Node {
  const reader: Reader = { source, ignoreCase, at: 0, secrets: 0 };
  const node = choice(reader);
  if (reader.at < source.length) throw new Error('there is one ) too many');
  return node;
}
