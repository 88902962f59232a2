import { originOf } from './offsets.ts';
import {
  BASE32,
  BASE64,
  beginsAsText,
  CLASS,
  fromBase32,
  HEX,
  LEAST_BASE64,
  LEAST_LINE,
  LEAST_NARROW,
  PAIRS,
} from './runs.ts';
import { isText, PRINTABLE } from './stretches.ts';
import { fromQuotedPrintable } from './wrapped.ts';

/** Something encoded that reaches the end of a text which goes on. */
export interface Tail {
  /** It begins here, so nothing from here on is known as long as it is too short to be read. */
  readonly from: number;
  /** What it decodes to, as far as it can be read; absent = too short. */
  readonly text?: {
    readonly bytes: Uint8Array;
    /** Where the unit begins that a decoded byte comes from. */
    readonly place: (offset: number) => number;
  };
}

/** Of a run that is no text as a whole, its end is read again. A multiple of every unit. */
const NEAR = 1920;
/** Characters of base64 a keyword of six letters has. */
const LEAST_TOLD = 8;
/** Printable bytes in a row that `keepText` takes for text. */
const LEAST_TEXT = 12;
const BACKSLASH = 0x5c;
const LETTER_N = 0x6e;
const LETTER_R = 0x72;
/** Pairs that `decodeRuns` takes for hex. */
const LEAST_PAIRS = 16;

/** Every way in which the end of a text may be the beginning or the middle of something encoded. */
export function tailsOf(bytes: Uint8Array): readonly Tail[] {
  const end = bytes.length;
  const from = runStart(bytes, end, BASE64);
  const tails: Tail[] = [...linesOf(bytes, from), ...pairsOf(bytes), ...wideOf(bytes), ...foldedOf(bytes)];
  if (end === from) return tails;
  if (end - from < LEAST_BASE64) return [...tails, ...shortOf(bytes, from), { from }];
  for (let start = from; start < from + 4; start++) {
    const groups = (end - start) >> 2;
    const whole = beginsAsText(bytes, start, end);
    tails.push(near(bytes, start, groups, [3, 4], whole, base64));
  }
  const hexes = runStart(bytes, end, HEX);
  if (end - hexes >= LEAST_NARROW) {
    for (const start of [hexes, hexes + 1]) tails.push(narrow(bytes, start, [1, 2], hex));
  } else if (hexes < end) tails.push({ from: hexes });
  const upper = runStart(bytes, end, BASE32);
  if (end - upper >= LEAST_NARROW) tails.push(narrow(bytes, upper, [5, 8], fromBase32));
  else if (upper < end) tails.push({ from: upper });
  return tails;
}

/** A run that is too short to be read yet, but long enough to hold a keyword: what it seems to say. */
function shortOf(bytes: Uint8Array, from: number): readonly Tail[] {
  const tails: Tail[] = [];
  for (let start = from; start < from + 4 && bytes.length - start >= LEAST_TOLD; start++) {
    if (!beginsAsText(bytes, start, bytes.length)) continue;
    tails.push(near(bytes, start, (bytes.length - start) >> 2, [3, 4], true, base64));
  }
  return tails;
}

type Decode = (bytes: Uint8Array, from: number, to: number) => Uint8Array;

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + from, to - from).toString('latin1');
}

const base64: Decode = (bytes, from, to) => Buffer.from(latin1(bytes, from, to), 'base64');
const hex: Decode = (bytes, from, to) => Buffer.from(latin1(bytes, from, to), 'hex');

function runStart(bytes: Uint8Array, end: number, mask: number): number {
  let from = end;
  while (from > 0 && ((CLASS[bytes[from - 1] as number] as number) & mask) !== 0) from--;
  return from;
}

function narrow(bytes: Uint8Array, start: number, units: readonly [number, number], decode: Decode): Tail {
  const count = Math.floor((bytes.length - start) / units[1]);
  const first = decode(bytes, start, start + Math.min(count, LEAST_NARROW) * units[1]);
  return near(bytes, start, count, units, isText(first), decode);
}

/** The text a run of `count` units ends with: all of it, or the printable bytes at its end and the unit before them. */
function near(
  bytes: Uint8Array,
  start: number,
  count: number,
  units: readonly [number, number],
  whole: boolean,
  decode: Decode,
): Tail {
  const [out, source] = units;
  const end = start + count * source;
  const from = whole ? start : Math.max(start, end - NEAR);
  const decoded = decode(bytes, from, end);
  if (whole) return tailOf(from, decoded, units);
  let text = decoded.length;
  while (text > 0 && PRINTABLE[decoded[text - 1] as number] === 1) text--;
  const unit = Math.max(0, Math.floor(text / out) - 1);
  const tail = from + unit * source;
  if (decoded.length - text < LEAST_TEXT) return { from: tail };
  return tailOf(tail, decoded.subarray(unit * out), units);
}

function tailOf(from: number, bytes: Uint8Array, [out, source]: readonly [number, number]): Tail {
  return { from, text: { bytes, place: (offset) => from + Math.floor(offset / out) * source } };
}

/** A line break that is not there as a whole, or stands at the very end: raw or written out. */
const BREAK = /(?:\r\n?|\n|\\(?:r(?:\\n?)?|n)?)$/;

function breakBefore(bytes: Uint8Array, at: number): number {
  const from = Math.max(0, at - 4);
  const found = BREAK.exec(latin1(bytes, from, at));
  return found === null ? -1 : from + found.index;
}

/** The letter of a line break that is written out is no letter of the line behind it. */
function behindEscape(bytes: Uint8Array, from: number): number {
  const escaped = bytes[from - 1] === BACKSLASH && (bytes[from] === LETTER_N || bytes[from] === LETTER_R);
  return escaped ? from + 1 : from;
}

/** A value broken into lines (RFC 2045 §6.8, RFC 7468): what its lines decode to together, once there are two. */
function linesOf(bytes: Uint8Array, from: number): readonly Tail[] {
  const last = behindEscape(bytes, from);
  const starts = [last];
  const parts = [base64(bytes, last, last + ((bytes.length - last) & ~3))];
  for (;;) {
    const to = breakBefore(bytes, starts[0] as number);
    const start = to < 0 ? to : behindEscape(bytes, runStart(bytes, to, BASE64));
    if (to < 0 || to - start < LEAST_LINE || (to - start) % 4 !== 0) break;
    starts.unshift(start);
    parts.unshift(base64(bytes, start, to));
  }
  if (starts.length === 1) return [];
  const place = (offset: number): number => {
    let line = 0;
    let left = offset;
    while (line < parts.length - 1 && left >= (parts[line] as Uint8Array).length) {
      left -= (parts[line] as Uint8Array).length;
      line++;
    }
    return (starts[line] as number) + Math.floor(left / 3) * 4;
  };
  return [{ from: starts[0] as number, text: { bytes: Buffer.concat(parts), place } }];
}

const SEPARATED =
  /(?:0[xX][0-9a-fA-F]{2}, ?)+(?:0(?:[xX][0-9a-fA-F]{0,2})?)?$|[0-9a-fA-F]{2}([: -])(?:[0-9a-fA-F]{2}\1)*[0-9a-fA-F]{0,2}$/;

/** Pairs of hex digits with a separator. */
function pairsOf(bytes: Uint8Array): readonly Tail[] {
  let from = bytes.length;
  while (from > 0 && PAIRS[bytes[from - 1] as number] === 1) from--;
  if (bytes.length - from < 3) return [];
  const found = SEPARATED.exec(latin1(bytes, from, bytes.length));
  if (found === null) return [];
  const [all, separator] = found;
  const start = from + found.index;
  const step = separator === undefined ? all.indexOf('0', 3) : 3;
  if (step <= 0) return [{ from: start }];
  const count = Math.floor((all.length + 1) / step);
  if (count < LEAST_PAIRS) return [{ from: start }];
  const decode: Decode = (text, a, b) => Buffer.from(latin1(text, a, b).replace(/0[xX]|[^0-9a-fA-F]/g, ''), 'hex');
  return [near(bytes, start, count - 1, [1, step], false, decode)];
}

/** Characters that `fromUtf16` takes for text. */
const LEAST_WIDE = 8;

/** UTF-16 in either byte order, and half a character behind it. */
function wideOf(bytes: Uint8Array): readonly Tail[] {
  const tails: Tail[] = [];
  if (!bytes.subarray(-4).includes(0)) return tails;
  for (const end of [bytes.length, bytes.length - 1]) {
    for (const letter of [0, 1]) {
      const isCharacter = (at: number): boolean =>
        at >= 0 && bytes[at + 1 - letter] === 0 && PRINTABLE[bytes[at + letter] as number] === 1;
      let from = end;
      while (isCharacter(from - 2)) from -= 2;
      const count = (end - from) / 2;
      const text = Uint8Array.from({ length: count }, (_, i) => bytes[from + 2 * i + letter] as number);
      if (count >= LEAST_WIDE) tails.push(tailOf(from, text, [1, 2]));
      else if (count > 0) tails.push({ from });
    }
  }
  return tails;
}

/** What a soft line break begins with, and a byte that is written out. */
const FOLD = /=(?:\r|[0-9A-F])?$/;
const SOFT = /=\r?\n/;
/** As far around a soft line break as `fromQuotedPrintable` reads, and the break itself. */
const AROUND_SOFT = 515;
const BREAK_HERE = Buffer.from('=\n');

/** Quoted-printable: as if a soft line break stood at the end. */
function foldedOf(bytes: Uint8Array): readonly Tail[] {
  const last = latin1(bytes, Math.max(0, bytes.length - AROUND_SOFT), bytes.length);
  const begun = FOLD.exec(last);
  if (begun === null && !SOFT.test(last)) return [];
  const end = bytes.length - (begun?.[0].length ?? 0);
  const decoded = fromQuotedPrintable(Buffer.concat([bytes.subarray(0, end), BREAK_HERE]));
  if (decoded === undefined) return [];
  // Without the line end that stands for the end of the text.
  const text = decoded.bytes.subarray(0, -1);
  const place = (offset: number): number =>
    offset < text.length ? Math.min(end, originOf(decoded, offset, offset + 1).start) : end;
  return [{ from: 0, text: { bytes: text, place } }];
}
