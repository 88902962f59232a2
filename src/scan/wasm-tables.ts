import { type Keyword, windowOf } from './aho-corasick.ts';
import { addAll, bytesOf } from './byte-set.ts';
import { type ByteSet, type CompiledPattern, type Program, programOf } from './pattern.ts';
import type { Tables } from './tables.ts';

/** The tables `wasm/words.ts` and `wasm/numbers.ts` describe. */
const FILTER = 64;
const GROUPS = FILTER + 0x8000;
const SPANS = GROUPS + 0x2000;
const HEADS = SPANS + 0x4000;
const WINDOWS = HEADS + 0x808;
const ENTRY = 48;
const GATE = 32;
const LOW = 16;
const HIGH = 32;
const ROWS = 48;
const PLACES = ROWS + 128;
const PLACE = 12;

/** Tables for the module, and what leads back from them. Immutable. */
export interface WasmTables {
  readonly words: Uint8Array;
  readonly numbers: Uint8Array;
  /** Number of the keyword, by its number in the table. */
  readonly keywords: Uint16Array;
  /** Where the address of a pattern's gate belongs. */
  readonly gates: ReadonlyMap<
    CompiledPattern,
    { readonly words: readonly number[]; readonly numbers: readonly number[] }
  >;
  /** Bytes before the first of interest that gates may read. */
  readonly before: number;
}

/** Numbers in a list of hits have fifteen bits. */
const MOST_KEYWORDS = 0x7fff;
/** Of keywords; more is no list of patterns, and the memory has an end. */
const MOST_BYTES = 1 << 19;

function fold(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

/** Up to four bytes as a number, little-endian. */
function little(bytes: Uint8Array, at: number, count: number, bits: number): number {
  let value = 0;
  for (let i = 0; i < count; i++) value |= ((bytes[at + i] as number) | bits) << (8 * i);
  return value >>> 0;
}

function hash(window: number): number {
  return Math.imul(window << 8, 0x9e3779b1) >>> 17;
}

/** A keyword with the window that is looked for. */
interface Word {
  /** As index of `Tables.keywords`, and its rank: hits are sorted by it. */
  readonly index: number;
  readonly id: number;
  readonly offset: number;
  readonly window: number;
  readonly hash: number;
}

/** As many bytes behind the window as `spanned` looks at, the rarest window of these. */
function wordOf({ bytes }: Keyword, index: number, id: number): Word {
  const span = bytes.length >= 6 ? 6 : Math.min(4, bytes.length);
  const offset = windowOf(bytes, bytes.length - span);
  // A letter and its other case are the same, and some signs as well: what hits is compared.
  const window = little(bytes, offset, 3, 0x20);
  return { index, id, offset, window, hash: hash(window) };
}

type Gates = Map<CompiledPattern, { words: number[]; numbers: number[] }>;

function gatesOf(gates: Gates, pattern: CompiledPattern): { words: number[]; numbers: number[] } {
  const known = gates.get(pattern);
  if (known !== undefined) return known;
  const made = { words: [], numbers: [] };
  gates.set(pattern, made);
  return made;
}

/** High half of the 64 bits two numbers of 32 bits make. */
function highOf(a: number, b: number): number {
  const [a1, a0, b1, b0] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = a1 * b0 + (((a0 * b0) / 0x10000) >>> 0);
  return (a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(((middle % 0x10000) + a0 * b1) / 0x10000)) >>> 0;
}

/** 64 bits, high and low word, times the constant of `wasm/words.ts`, its highest 17 bits. */
function spanHash(high: number, low: number): number {
  const word = highOf(low, 0x7f4a7c15) + Math.imul(high, 0x7f4a7c15) + Math.imul(low, 0x9e3779b9);
  return (word >>> 0) >>> 15;
}

/** Says that what follows from the window on is looked for. */
function addSpan(table: Uint8Array, { bytes, ignoreCase }: Keyword, offset: number): void {
  const case4 = ignoreCase ? 0x20 : 0;
  let bit: number;
  if (bytes.length >= 6) {
    const low = little(bytes, offset, 4, 0x20);
    const high = little(bytes, offset + 4, 2, 0x20);
    bit = spanHash(((high << 16) | (low >>> 16)) >>> 0, (low << 16) >>> 0);
  } else if (bytes.length >= 4) bit = spanHash(little(bytes, offset, 4, case4), 0);
  else bit = spanHash((little(bytes, offset, 3, case4) << 8) >>> 0, 0);
  table[SPANS + (bit >>> 3)] = (table[SPANS + (bit >>> 3)] as number) | (1 << (bit & 7));
}

/** Two hashes may share a group, then the bits are of both. */
function addNeighbours(view: DataView, { bytes }: Keyword, word: Word): void {
  view.setUint8(FILTER + word.hash, 4);
  [bytes[word.offset - 1], bytes[word.offset + 3]].forEach((byte, i) => {
    const at = GROUPS + (word.hash & 0x3ff) * 8 + i * 4;
    view.setUint32(at, view.getUint32(at, true) | (byte === undefined ? -1 : 1 << (byte & 31)), true);
  });
}

function wordTable({ keywords, targets }: Tables, order: Uint16Array, gates: Gates): Uint8Array {
  const words = Array.from(order, (index, id) => wordOf(keywords[index] as Keyword, index, id));
  words.sort((a, b) => (a.hash & 0x3ff) - (b.hash & 0x3ff) || a.id - b.id);
  const entries = WINDOWS + words.length * 4;
  let free = entries + words.length * ENTRY;
  const table = new Uint8Array(keywords.reduce((sum, { bytes }) => sum + bytes.length, free));
  const view = new DataView(table.buffer);
  view.setUint32(4, words.length, true);
  let head = 0;
  words.forEach((word, place) => {
    const { pattern, first, last } = targets[word.index] as Tables['targets'][number];
    const keyword = keywords[word.index] as Keyword;
    const { bytes, ignoreCase } = keyword;
    for (; head <= (word.hash & 0x3ff); head++) view.setUint16(HEADS + head * 2, place, true);
    view.setUint32(WINDOWS + place * 4, word.window, true);
    addNeighbours(view, keyword, word);
    addSpan(table, keyword, word.offset);
    const at = entries + place * ENTRY;
    view.setUint32(at + 24, free, true);
    view.setUint16(at + 28, bytes.length, true);
    view.setUint16(at + 30, ignoreCase ? 1 : 0, true);
    view.setInt16(at + 36, first, true);
    view.setInt16(at + 38, last, true);
    view.setUint16(at + 40, word.offset, true);
    view.setUint16(at + 42, word.id, true);
    for (let i = 0; i < bytes.length; i++) {
      const byte = ignoreCase ? fold(bytes[i] as number) : (bytes[i] as number);
      table[free++] = byte;
      if (i >= 8) continue;
      table[at + i] = byte;
      table[at + 8 + i] = ignoreCase && byte >= 97 && byte <= 122 ? 0x20 : 0;
      table[at + 16 + i] = 0xff;
    }
    view.setUint32(0, Math.max(view.getUint32(0, true), bytes.length), true);
    gatesOf(gates, pattern).words.push(at + GATE);
  });
  for (; head <= 0x400; head++) view.setUint16(HEADS + head * 2, words.length, true);
  return table;
}

/** Bytes that a match with a short run of digits can have from its start on to its digits, and as far as its prefix goes. */
function nearDigits(view: DataView, patterns: readonly CompiledPattern[]): void {
  const programs = patterns.map(programOf);
  const shortest = Math.min(...programs.map(({ prefix }) => prefix.length));
  const near = new Uint32Array(8);
  for (const set of programs.flatMap(({ lead, prefix }) => [lead, ...prefix])) addAll(near, set);
  // Digits in a look-behind are no part of the match.
  const before = patterns.some(({ anchors }) => anchors.some(({ from }) => from < 0));
  if (patterns.length === 0 || before || shortest < 8 || near.subarray(4).some((word) => word !== 0)) return;
  view.setUint32(4, shortest < 16 ? 8 : 16, true);
  for (const byte of bytesOf(near)) {
    const low = LOW + (byte & 15);
    view.setUint8(low, view.getUint8(low) | (1 << (byte >>> 4)));
    view.setUint8(HIGH + (byte >>> 4), 1 << (byte >>> 4));
  }
}
const LONG = 8;

function numberTable({ digits }: Tables, gates: Gates): Uint8Array {
  const places = digits.flatMap((patterns) => patterns.flatMap((pattern) => pattern.anchors));
  const table = new Uint8Array(PLACES + places.length * PLACE);
  const view = new DataView(table.buffer);
  let index = 0;
  const shortest = digits.findIndex((patterns) => patterns.length > 0);
  view.setUint32(0, Math.max(1, shortest), true);
  nearDigits(view, [...new Set(digits.slice(0, LONG).flat())]);
  digits.forEach((patterns, length) => {
    const row = ROWS + length * 4;
    view.setUint16(row, index, true);
    for (const pattern of patterns) {
      for (const { from, to } of pattern.anchors) {
        const at = PLACES + index * PLACE;
        // Starts count from the run's first digit here, back to `to` and on from `from`.
        view.setInt32(at + 4, from, true);
        view.setInt32(at + 8, to, true);
        gatesOf(gates, pattern).numbers.push(at);
        index++;
      }
    }
    view.setUint16(row + 2, index - view.getUint16(row, true), true);
  });
  return table;
}

/** Context that is read before a match: one byte, and the escape it may be the end of. */
const CONTEXT = 8;

/** @returns undefined for sets the tables have no room for. */
export function wasmTables(tables: Tables): WasmTables | undefined {
  const { keywords, targets, keep } = tables;
  const fits = ({ first, last, length }: Tables['targets'][number]): boolean =>
    length >= 3 && length < 0x8000 && first < 0x8000 && last > -0x8000;
  const bytes = keywords.reduce((sum, keyword) => sum + keyword.bytes.length + ENTRY, 0);
  if (keywords.length > MOST_KEYWORDS || bytes + keep > MOST_BYTES || !targets.every(fits)) return undefined;
  const byLength = [...keywords.keys()].sort(
    (a, b) => (targets[b] as { length: number }).length - (targets[a] as { length: number }).length || a - b,
  );
  const order = Uint16Array.from(byLength);
  const gates: Gates = new Map();
  return {
    words: wordTable(tables, order, gates),
    numbers: numberTable(tables, gates),
    keywords: order,
    gates,
    before: keep + CONTEXT,
  };
}

/** A gate as `wasm/gate.ts` reads it. */
export function gateBytes({ boundary, landmark, lead, prefix }: Program): Uint8Array {
  const behind = 18 + prefix.length * 8;
  const words = new Uint32Array(behind + (landmark === undefined ? 0 : LANDMARK_WORDS));
  words[0] = (boundary === undefined ? 0 : 1) | (landmark === undefined ? 0 : 2);
  words[1] = prefix.length;
  words.set(boundary ?? NONE, 2);
  words.set(lead, 10);
  prefix.forEach((set, i) => {
    words.set(set, 18 + i * 8);
  });
  if (landmark !== undefined) {
    const { begins, from, kinds, lead: most, least, to } = landmark;
    words.set([least, most, from, to, begins === undefined ? 0 : 1], behind);
    words.set(begins ?? NONE, behind + 5);
    new Uint8Array(words.buffer).set(kinds, (behind + 37) * 4);
  }
  return new Uint8Array(words.buffer);
}
const NONE: ByteSet = new Uint32Array(8);
const LANDMARK_WORDS = 5 + 32 + 64;
