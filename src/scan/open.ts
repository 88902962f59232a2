import type { Engine } from './engine.ts';
import type { Counts } from './lane.ts';
import { scanLayers } from './layers.ts';
import { originOf } from './offsets.ts';
import type { CompiledPattern } from './pattern.ts';
import { type Match, resolve } from './resolve.ts';
import type { Budget, Scanner, UnscannedCause } from './scanner.ts';
import { tailsOf } from './tails.ts';
import { AROUND, unescaped } from './unescape.ts';

/** How far a text that goes on is known: offsets in it, Infinity = nothing is open. */
export interface Open {
  /** Every match that begins before this is known, whatever comes. */
  readonly settled: number;
  /** From here on there may be a match: its keyword has been seen whole, or half of its digits. */
  readonly begun: number;
  /** As `begun`, of patterns that count. */
  readonly worth: number;
  /** From here on a match that counts is on its way: more than its keyword has been seen. */
  readonly sure: number;
  /** As `sure`, of patterns whose matches may be longer than {@link LONG} bytes: blocks, such as private keys. */
  readonly block: number;
  /** Whose block it is. */
  readonly blockOf?: CompiledPattern | undefined;
}

export interface PartOptions {
  /** Encodings inside one another. */
  readonly depth: number;
  readonly budget?: Budget;
  /** Patterns worth waiting for; default all. */
  readonly counts?: Counts;
}

export interface PartResult extends Open {
  /** By start; what begins at or after `settled` may still become something else. */
  readonly matches: readonly Match[];
  readonly cause: UnscannedCause | undefined;
}

/** Longer than anything but blocks of keys and tokens that carry data. */
export const LONG = 4097;
const ALL: Counts = () => true;
/** Layers inside one another, as in layers.ts. */
const MOST_LAYERS = 8;
const NOTHING: Open = {
  settled: Number.POSITIVE_INFINITY,
  begun: Number.POSITIVE_INFINITY,
  worth: Number.POSITIVE_INFINITY,
  sure: Number.POSITIVE_INFINITY,
  block: Number.POSITIVE_INFINITY,
};

/** What is open is asked of. */
interface Asked {
  readonly engine: Engine;
  readonly counts: Counts;
}

/** Scans the beginning of a text, plain and decoded, and tells from where on it must wait for more. */
export function scanPart(engine: Engine, bytes: Uint8Array, options: PartOptions): PartResult {
  const asked = { engine, counts: options.counts ?? ALL };
  const scanner = engine.scanner(options.budget);
  const plain = scanner.part(bytes);
  const layers = scanLayers(engine, bytes, { ...options, plain: false });
  const cause = plain.cause ?? layers.cause;
  const own = openOf(scanner, asked);
  const open = cause === undefined ? earliest(own, encoded(asked, bytes, options.depth, MOST_LAYERS)) : own;
  const matches = layers.matches.length === 0 ? plain.matches : resolve([...plain.matches, ...layers.matches]);
  return { ...open, settled: Math.min(open.settled, bytes.length), matches, cause };
}

function openOf(scanner: Scanner, { counts }: Asked): Open {
  const { settled } = scanner;
  const block = scanner.sure(LONG, counts);
  return {
    settled,
    begun: scanner.begun(ALL),
    worth: scanner.begun(counts),
    sure: scanner.sure(0, counts).at,
    block: block.at,
    blockOf: block.pattern,
  };
}

function earliest(a: Open, b: Open): Open {
  return {
    settled: Math.min(a.settled, b.settled),
    begun: Math.min(a.begun, b.begun),
    worth: Math.min(a.worth, b.worth),
    sure: Math.min(a.sure, b.sure),
    block: Math.min(a.block, b.block),
    blockOf: a.block <= b.block ? a.blockOf : b.blockOf,
  };
}

/** What is open in a decoded text, at its places in the text it comes from. */
function within(
  asked: Asked,
  bytes: Uint8Array,
  place: (offset: number) => number,
  depth: number,
  layers: number,
): Open {
  const scanner = asked.engine.scanner();
  scanner.part(bytes);
  const own = openOf(scanner, asked);
  const open = layers > 0 ? earliest(own, encoded(asked, bytes, depth, layers)) : own;
  const at = (offset: number): number => (offset < bytes.length ? place(offset) : Number.POSITIVE_INFINITY);
  return {
    settled: at(open.settled),
    begun: at(open.begun),
    worth: at(open.worth),
    sure: at(open.sure),
    block: at(open.block),
    blockOf: open.blockOf,
  };
}

function encoded(asked: Asked, bytes: Uint8Array, depth: number, layers: number): Open {
  const open = escapes(asked, bytes, depth, layers);
  if (depth === 0) return open;
  return tailsOf(bytes).reduce((all, { from, text }) => {
    if (text === undefined) return earliest(all, { ...NOTHING, settled: from });
    const end = text.place(text.bytes.length);
    const inside = within(asked, text.bytes, text.place, depth - 1, layers - 1);
    // The characters of a unit that is not there as a whole.
    const rest = end < bytes.length ? end : Number.POSITIVE_INFINITY;
    return earliest(all, { ...inside, settled: Math.min(inside.settled, rest) });
  }, open);
}

/** The beginning of an escape, an entity or a character at the end of a text, and letters that may be drawn like Latin ones. */
const BEGUN =
  /(?:%[0-9a-fA-F]?|&#?[A-Za-z0-9]{0,9}|\\+(?:x[0-9a-fA-F]?|u(?:[0-9a-fA-F]{0,3}|\{[0-9a-fA-F]{0,6}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?))?|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2}|[\xcd-\xd5][\x80-\xbf])$/;
const LONGEST = 16;

function escapes(asked: Asked, bytes: Uint8Array, depth: number, layers: number): Open {
  const { length } = bytes;
  const last = Buffer.from(bytes.subarray(Math.max(0, length - LONGEST))).toString('latin1');
  const begun = BEGUN.exec(last);
  const cut = begun === null ? length : length - last.length + begun.index;
  const text = bytes.subarray(0, cut);
  // Where nothing near the end reads differently, the plain text knows what is open.
  if (begun === null && unescaped(text.subarray(Math.max(0, cut - AROUND - LONGEST))) === undefined) return NOTHING;
  const decoded = unescaped(text, true);
  if (decoded === undefined) return NOTHING;
  const place = (offset: number): number => originOf(decoded, offset, offset + 1).start;
  const inside = within(asked, decoded.bytes, place, depth, layers - 1);
  return begun === null ? inside : { ...inside, settled: Math.min(inside.settled, cut) };
}
