import { windowOf } from './aho-corasick.ts';
import type { ByteSet, CompiledPattern, Program } from './pattern.ts';
import type { Tables } from './tables.ts';

/** Bytes of the tables `wasm/words.ts` and `wasm/numbers.ts` describe. */
const FILTER = 64;
const GROUPS = FILTER + 0x8000;
const HEADS = GROUPS + 0x2000;
const ENTRIES = HEADS + 0x1000;
const ENTRY = 32;
const GATE = 24;
const ROWS = 16;
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

function hash(window: number): number {
  return Math.imul(window << 8, 0x9e3779b1) >>> 17;
}

/** A letter and its other case are the same, and some signs as well: what hits is compared. */
function window(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | 0x202020;
}

function fold(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

type Gates = Map<CompiledPattern, { words: number[]; numbers: number[] }>;

function gatesOf(gates: Gates, pattern: CompiledPattern): { words: number[]; numbers: number[] } {
  const known = gates.get(pattern);
  if (known !== undefined) return known;
  const made = { words: [], numbers: [] };
  gates.set(pattern, made);
  return made;
}

/** Adds a window to the group of its hash: two hashes may share one, then the bits are of both. */
function neighbours(view: DataView, three: number, bytes: Uint8Array, offset: number): void {
  view.setUint8(FILTER + three, 4);
  [bytes[offset - 1], bytes[offset + 3]].forEach((byte, i) => {
    const at = GROUPS + (three & 0x3ff) * 8 + i * 4;
    view.setUint32(at, view.getUint32(at, true) | (byte === undefined ? -1 : 1 << (byte & 31)), true);
  });
}

function wordTable({ keywords, targets }: Tables, order: Uint16Array, gates: Gates): Uint8Array {
  const pool = ENTRIES + (keywords.length + 1) * ENTRY;
  const table = new Uint8Array(keywords.reduce((sum, { bytes }) => sum + bytes.length, pool));
  const view = new DataView(table.buffer);
  let free = pool;
  let longest = 0;
  for (let id = 1; id < order.length; id++) {
    const index = order[id] as number;
    const { bytes, ignoreCase } = keywords[index] as Tables['keywords'][number];
    const { pattern, first, last } = targets[index] as Tables['targets'][number];
    const offset = windowOf(bytes, bytes.length);
    const at = ENTRIES + id * ENTRY;
    const three = window(bytes, offset);
    const head = HEADS + (hash(three) & 0x7ff) * 2;
    neighbours(view, hash(three), bytes, offset);
    view.setUint32(at, three, true);
    view.setUint16(at + 4, view.getUint16(head, true), true);
    view.setUint16(head, id, true);
    view.setUint16(at + 6, offset, true);
    view.setUint32(at + 8, window(bytes, 0) + ((bytes.length > 3 ? (bytes[3] as number) | 32 : 0) << 24), true);
    view.setUint32(at + 12, bytes.length > 3 ? 0xffffffff : 0xffffff, true);
    view.setUint32(at + 16, free, true);
    view.setUint16(at + 20, bytes.length, true);
    view.setUint16(at + 22, ignoreCase ? 1 : 0, true);
    view.setInt16(at + 28, first, true);
    view.setInt16(at + 30, last, true);
    for (let i = 0; i < bytes.length; i++) table[free++] = ignoreCase ? fold(bytes[i] as number) : (bytes[i] as number);
    longest = Math.max(longest, bytes.length);
    gatesOf(gates, pattern).words.push(at + GATE);
  }
  view.setUint32(0, longest, true);
  return table;
}

function numberTable({ digits }: Tables, gates: Gates): Uint8Array {
  const places = digits.flatMap((patterns) => patterns.flatMap((pattern) => pattern.anchors));
  const table = new Uint8Array(PLACES + places.length * PLACE);
  const view = new DataView(table.buffer);
  let index = 0;
  const shortest = digits.findIndex((patterns) => patterns.length > 0);
  view.setUint32(0, Math.max(1, shortest), true);
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
  const order = Uint16Array.from([0, ...byLength]);
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
export function gateBytes({ boundary, lead, prefix }: Program): Uint8Array {
  const words = new Uint32Array(18 + prefix.length * 8);
  words[0] = boundary === undefined ? 0 : 1;
  words[1] = prefix.length;
  words.set(boundary ?? NONE, 2);
  words.set(lead, 10);
  prefix.forEach((set, i) => {
    words.set(set, 18 + i * 8);
  });
  return new Uint8Array(words.buffer);
}
const NONE: ByteSet = new Uint32Array(8);
