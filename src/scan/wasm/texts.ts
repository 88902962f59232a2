import { byteAt, INPUT, PRINTABLE, SIX } from './memory';
import { HEX, put } from './operations';

/** What runs of base64 and hex decode to, as far as it decides whether they are decoded. */

const LEAST_STRETCH: i32 = 12;
const START: i32 = 24;

// @ts-ignore: decorator of AssemblyScript
@inline
function isPrintable(byte: u32): bool {
  return load<u8>(PRINTABLE + byte) != 0;
}

// @ts-ignore: decorator of AssemblyScript
@inline
export function isHex(byte: u32): bool {
  return byte - 48 < 10 || (byte | 32) - 97 < 6;
}

// @ts-ignore: decorator of AssemblyScript
@inline
export function isBase32(byte: u32): bool {
  return byte - 65 < 26 || byte - 50 < 6;
}

// @ts-ignore: decorator of AssemblyScript
@inline
export function isBase64(byte: u32): bool {
  return (byte | 32) - 97 < 26 || byte - 48 < 10 || byte == 43 || byte == 45 || byte == 47 || byte == 95;
}

/** Four characters as 24 bits. */
// @ts-ignore: decorator of AssemblyScript
@inline
function group(at: i32): u32 {
  const p = INPUT + at;
  return (
    (<u32>load<u8>(SIX + load<u8>(p)) << 18) |
    (<u32>load<u8>(SIX + load<u8>(p, 1)) << 12) |
    (<u32>load<u8>(SIX + load<u8>(p, 2)) << 6) |
    <u32>load<u8>(SIX + load<u8>(p, 3))
  );
}

/** One byte more of what may be UTF-8: continuation bytes that are still to come, or -1 = no text. */
function next(expected: i32, byte: u32): i32 {
  if (expected > 0) return (byte & 0xc0) == 0x80 ? expected - 1 : -1;
  if (byte >= 0xc2 && byte <= 0xf4) return byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
  return isPrintable(byte) ? 0 : -1;
}

export function beginsAsText(from: i32, to: i32): bool {
  const groups = min(START / 3, (to - from) >> 2);
  let expected = 0;
  for (let i = 0; i < groups; i++) {
    const value = group(from + i * 4);
    expected = next(expected, value >>> 16);
    if (expected < 0) return false;
    expected = next(expected, (value >>> 8) & 255);
    if (expected < 0) return false;
    expected = next(expected, value & 255);
    if (expected < 0) return false;
  }
  return true;
}

// @ts-ignore: decorator of AssemblyScript
@inline
function hexDigit(byte: u32): u32 {
  return byte < 64 ? byte - 48 : (byte | 32) - 87;
}

// @ts-ignore: decorator of AssemblyScript
@inline
function hexByte(from: i32, index: i32): u32 {
  const at = from + index * 2;
  return (hexDigit(byteAt(at)) << 4) | hexDigit(byteAt(at + 1));
}

/** Digits that decode to text or to a stretch of it. */
export function hex(from: i32, to: i32): void {
  const count = (to - from) >> 1;
  let expected = 0;
  for (let i = 0; i < START && i < count && expected >= 0; i++) expected = next(expected, hexByte(from, i));
  if (expected >= 0) {
    put(HEX, from, to);
    return;
  }
  for (let at = LEAST_STRETCH - 1; at < count; at += LEAST_STRETCH) {
    if (!isPrintable(hexByte(from, at))) continue;
    let start = at;
    while (start > 0 && isPrintable(hexByte(from, start - 1))) start--;
    while (at < count && isPrintable(hexByte(from, at))) at++;
    if (at - start < LEAST_STRETCH) continue;
    put(HEX, from, to);
    return;
  }
}
