import { byteAt, INPUT } from './memory';
import { groups, stretches } from './groups';
import { BASE32, BASE64, close, isFull, LINES, put, putLast, reset } from './operations';
import { beginsAsText, hex, isBase32, isBase64, isHex } from './texts';

/** Where encoded text may stand: what `runs.ts` would decode, step by step, without what cannot leave any text. */

const LEAST_BASE64: i32 = 24;
const LEAST_NARROW: i32 = 32;
const LEAST_SEPARATED: i32 = 47;
const LEAST_LINE: i32 = 60;
const MOST_BACKSLASHES: i32 = 8;

/** Bits of `classes`: letters of base64 and base64url; digits of hex and what separates pairs of them (and `z`, which does no harm). */
const LETTERS: u8 = 0x1f;
const PAIRS: u8 = 0xe2;

/** Runs of hex inside a run. */
function withinHex(from: i32, to: i32): void {
  for (let at = from + LEAST_NARROW - 1; at < to; at += LEAST_NARROW) {
    if (!isHex(byteAt(at))) continue;
    let start = at;
    while (start > from && isHex(byteAt(start - 1))) start--;
    while (at < to && isHex(byteAt(at))) at++;
    if (at - start < LEAST_NARROW) continue;
    hex(start, at);
    if (((at - start) & 1) == 1) hex(start + 1, at);
  }
}

/** Runs of base32 inside a run. */
function withinBase32(from: i32, to: i32): void {
  for (let at = from + LEAST_NARROW - 1; at < to; at += LEAST_NARROW) {
    if (!isBase32(byteAt(at))) continue;
    let start = at;
    while (start > from && isBase32(byteAt(start - 1))) start--;
    while (at < to && isBase32(byteAt(at))) at++;
    if (at - start >= LEAST_NARROW) put(BASE32, start, at);
  }
}

function runEnd(from: i32, length: i32): i32 {
  let at = from;
  while (at < length && isBase64(byteAt(at))) at++;
  return at;
}

/** Behind a line end, as it is or written out with backslashes before its letter; -1 = there is none. */
function lineEnd(at: i32, sign: u32, letter: u32, length: i32): i32 {
  if (at >= length) return -1;
  if (byteAt(at) == sign) return at + 1;
  let written = at;
  while (written < length && byteAt(written) == 92 && written - at < MOST_BACKSLASHES) written++;
  return written > at && written < length && byteAt(written) == letter ? written + 1 : -1;
}

/** Start of the next line of a broken value, or -1. */
function nextLine(from: i32, to: i32, length: i32): i32 {
  if (to - from < LEAST_LINE || ((to - from) & 3) != 0) return -1;
  const carriage = lineEnd(to, 13, 114, length);
  const at = lineEnd(carriage < 0 ? to : carriage, 10, 110, length);
  return at >= 0 && at < length && isBase64(byteAt(at)) ? at : -1;
}

/** One run of 24 letters or more. Returns where reading goes on. */
function one(from: i32, to: i32, length: i32): i32 {
  withinHex(from, to);
  withinBase32(from, to);
  const some = groups(from, to);
  for (let start = from; start < from + 4; start++) {
    if (beginsAsText(start, to)) put(BASE64, start, to);
    else if (some) stretches(from, start, to);
  }
  // Lines are whole groups, so what is glued in front of the first one shows at its end.
  const whole = from + ((to - from) & 3);
  if (nextLine(whole, to, length) < 0) return to;
  put(LINES, whole, to);
  let start = whole;
  let end = to;
  for (let line = whole; line >= 0; line = nextLine(start, end, length)) {
    start = line;
    end = runEnd(start, length);
  }
  return end;
}

/** Bits of what each of sixteen bytes is: `LETTERS`, `PAIRS`. */
// @ts-ignore: decorator of AssemblyScript
@inline
function classes(at: usize): v128 {
  const bytes = v128.load(at);
  const low = i8x16.swizzle(
    i8x16(0x3a, -0x62, -0x62, -0x62, -0x62, -0x62, -0x62, 0x1e, 0x5e, 0x1e, 0x5c, 0x25, 0x24, 0x25, 0x04, 0x0d),
    v128.and(bytes, i8x16.splat(15)),
  );
  const high = i8x16.swizzle(
    i8x16(0, 0, 0x21, 0x42, -0x7c, 0x08, -0x7c, 0x50, 0, 0, 0, 0, 0, 0, 0, 0),
    i8x16.shr_u(bytes, 4),
  );
  return v128.and(low, high);
}

// @ts-ignore: decorator of AssemblyScript
@inline
function maskOf(bits: u8, a: v128, b: v128, c: v128, d: v128): u64 {
  const some = i8x16.splat(bits);
  const none = i8x16.splat(0);
  return (
    <u64>(<u32>i8x16.bitmask(i8x16.ne(v128.and(a, some), none))) |
    (<u64>(<u32>i8x16.bitmask(i8x16.ne(v128.and(b, some), none))) << 16) |
    (<u64>(<u32>i8x16.bitmask(i8x16.ne(v128.and(c, some), none))) << 32) |
    (<u64>(<u32>i8x16.bitmask(i8x16.ne(v128.and(d, some), none))) << 48)
  );
}

/** Where reading of letters goes on, behind lines that were read as one. */
let done: i32 = 0;
/** Starts of the runs that are open at the end of a block, or -1. */
let openLetters: i32 = -1;
let openPairs: i32 = -1;

function letters(from: i32, to: i32, length: i32): void {
  if (to - from >= LEAST_BASE64 && from >= done) done = one(from, to, length);
}

function pairs(from: i32, to: i32): void {
  if (to - from >= LEAST_SEPARATED) putLast(from, to);
}

/** Places where sixteen bits and more are set in a row begin. */
// @ts-ignore: decorator of AssemblyScript
@inline
function sixteen(mask: u64): u64 {
  let row = mask & (mask >>> 1);
  row &= row >>> 2;
  row &= row >>> 4;
  return row & (row >>> 8);
}

/** The runs of one block of 64 bytes; what is open goes on in the next. Returns the start of the open one. */
// @ts-ignore: decorator of AssemblyScript
@inline
function runsOf(mask: u64, at: i32, open: i32, length: i32, narrow: bool): i32 {
  let rest = mask;
  if (open >= 0) {
    if (~mask == 0) return open;
    const end = <i32>ctz(~mask);
    if (narrow) pairs(open, at + end);
    else letters(open, at + end, length);
    rest &= ~(<u64>0) << <u64>end;
  }
  let row = sixteen(rest);
  while (row != 0) {
    const start = <i32>ctz(row);
    const size = <i32>ctz(~(rest >>> <u64>start));
    if (start + size >= 64) break;
    if (narrow) pairs(at + start, at + start + size);
    else letters(at + start, at + start + size, length);
    row &= ~(<u64>0) << <u64>(start + size);
  }
  return rest >>> 63 != 0 ? at + 64 - <i32>clz(~rest) : -1;
}

/**
 * Reads all of the input.
 * @returns how many numbers, or -1 = the list is full: operations from its start, and for runs of separated pairs, which come after them,
 * from, to as `SEPARATED`.
 */
export function runs(length: i32): i32 {
  reset();
  done = 0;
  openLetters = -1;
  openPairs = -1;
  for (let at = 0; at < length && !isFull(); at += 64) {
    const p = INPUT + at;
    const a = classes(p);
    const b = classes(p + 16);
    const c = classes(p + 32);
    const d = classes(p + 48);
    const tail = length - at;
    const known = tail < 64 ? ((<u64>1) << <u64>tail) - 1 : ~(<u64>0);
    openLetters = runsOf(maskOf(LETTERS, a, b, c, d) & known, at, openLetters, length, false);
    openPairs = runsOf(maskOf(PAIRS, a, b, c, d) & known, at, openPairs, length, true);
  }
  if (openLetters >= 0) letters(openLetters, length, length);
  if (openPairs >= 0) pairs(openPairs, length);
  return close();
}
