import { byteAt, INPUT, KINDS, LIST } from './memory';

/** Where the text reads differently when it is plain: what `windowsOf` of `unescape.ts` does, step by step. */

/** Bytes of the HTML entity that stands at `at`, 0 = none. */
// @ts-ignore: decorator of AssemblyScript
@external('env', 'entity')
declare function entity(at: i32): i32;
/** What a code point is, put to `KINDS` as well. */
// @ts-ignore: decorator of AssemblyScript
@external('env', 'classify')
declare function classify(codePoint: u32, bytes: i32): u32;

const PLAIN: u32 = 1;
const LOOKS_LATIN: u32 = 3;
const MARK: u32 = 4;
const AROUND: i32 = 256;

let size: i32 = 0;

/** As if there were zeros behind the input. */
// @ts-ignore: decorator of AssemblyScript
@inline
function byte(at: i32): u32 {
  return at < size ? byteAt(at) : 0;
}

/** Value of hexadecimal digits, or -1. */
function hexValue(at: i32, digits: i32): i32 {
  let value = 0;
  for (let i = 0; i < digits; i++) {
    const digit = byte(at + i);
    const lower = digit | 32;
    if (digit - 48 < 10) value = value * 16 + <i32>digit - 48;
    else if (lower - 97 < 6) value = value * 16 + <i32>lower - 87;
    else return -1;
  }
  return value;
}

function braced(at: i32): i32 {
  const stop = min(at + 10, size);
  let close = at + 3;
  while (close < stop && byteAt(close) != 0x7d) close++;
  const digits = close - at - 3;
  if (close == stop || digits == 0) return 0;
  const value = hexValue(at + 3, digits);
  return value < 0 || value > 0x10ffff ? 0 : digits + 4;
}

function unicode(at: i32): i32 {
  if (byte(at + 2) == 0x7b) return braced(at);
  const high = hexValue(at + 2, 4);
  if (high < 0) return 0;
  if (high >= 0xd800 && high < 0xdc00 && byte(at + 6) == 0x5c && byte(at + 7) == 0x75) {
    const low = hexValue(at + 8, 4);
    if (low >= 0xdc00 && low < 0xe000) return 12;
  }
  return 6;
}

/** Positive: bytes of an escape that tells; negative: of one that does not; 0 = none. */
function backslash(at: i32): i32 {
  const letter = byte(at + 1);
  if (letter == 0x75) return unicode(at);
  if (letter == 0x78) return hexValue(at + 2, 2) < 0 ? 0 : 4;
  if (letter == 0x2f) return 2;
  if (letter == 0x5c) {
    const next = byte(at + 2);
    return next == 0x75 || next == 0x78 || next == 0x2f || next == 0x5c ? 2 : -2;
  }
  return letter == 0x6e || letter == 0x72 || letter == 0x74 || letter == 0x22 || letter == 0x27 ? -2 : 0;
}

/** Whether more than the ampersand looks like an entity. */
function maybeEntity(at: i32): bool {
  if (byte(at + 1) == 0x23) return true;
  let letters = 0;
  while (letters < 8 && (byte(at + 1 + letters) | 32) - 97 < 26) letters++;
  return letters >= 2 && byte(at + 1 + letters) == 0x3b;
}

// @ts-ignore: decorator of AssemblyScript
@inline
function isLetter(value: u32): bool {
  return (value | 32) - 97 < 26;
}

function character(at: i32): i32 {
  const lead = byteAt(at);
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (at + length > size) return 0;
  let codePoint = lead & (0x7f >>> length);
  for (let i = 1; i < length; i++) {
    const next = byteAt(at + i);
    if ((next & 0xc0) != 0x80) return 0;
    codePoint = (codePoint << 6) | (next & 0x3f);
  }
  if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint < 0xe000)) return 0;
  let kind = <u32>load<u8>(KINDS + codePoint);
  if (kind == 0) kind = classify(codePoint, length);
  if (kind == PLAIN || kind == MARK) return 0;
  if (kind == LOOKS_LATIN && !(at > 0 && isLetter(byteAt(at - 1))) && !isLetter(byte(at + length))) return 0;
  return length;
}

function piece(at: i32): i32 {
  const first = byteAt(at);
  if (first == 0x25) return hexValue(at + 1, 2) < 0 ? 0 : 3;
  if (first == 0x5c) return backslash(at);
  if (first == 0x26) return maybeEntity(at) ? entity(at) : 0;
  return character(at);
}

/** A bit per byte: whether something other than itself may stand there. */
// @ts-ignore: decorator of AssemblyScript
@inline
function special16(at: usize): u64 {
  const bytes = v128.load(at);
  const lead = i8x16.lt_u(i8x16.sub(bytes, i8x16.splat(<i8>0xc2)), i8x16.splat(0x33));
  const sign = v128.or(i8x16.eq(bytes, i8x16.splat(0x25)), i8x16.eq(bytes, i8x16.splat(0x26)));
  const any = v128.or(v128.or(lead, sign), i8x16.eq(bytes, i8x16.splat(0x5c)));
  return <u64>(<u32>i8x16.bitmask(any));
}

/**
 * Reads all of the input.
 * @returns how many numbers: starts and ends of the parts that are worth reading plainly.
 */
export function windows(length: i32): i32 {
  size = length;
  let list = LIST;
  let at = 0;
  for (let block = 0; block < length; block += 64) {
    const p = INPUT + block;
    let mask =
      special16(p) | (special16(p + 16) << 16) | (special16(p + 32) << 32) | (special16(p + 48) << 48);
    while (mask != 0) {
      const place = block + <i32>ctz(mask);
      mask &= mask - 1;
      if (place >= length) break;
      if (place < at) continue;
      const found = piece(place);
      if (found == 0) continue;
      at = place + abs(found);
      if (found < 0) continue;
      const from = max(0, place - AROUND);
      if (list > LIST && from <= <i32>load<u32>(list - 4)) list -= 4;
      else {
        store<u32>(list, from);
        list += 4;
      }
      store<u32>(list, min(length, at + AROUND));
      list += 4;
    }
  }
  return <i32>((list - LIST) >> 2);
}
