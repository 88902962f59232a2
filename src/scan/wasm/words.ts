import { passes } from './gate';
import { byteAt, INPUT, LIST, LIST_END, SCRATCH } from './memory';

/**
 * All keywords in one pass. Of every keyword one window of three bytes was chosen, with as many bytes of it behind as may be. Every
 * position is looked up in a filter by the hash of its three bytes, case bits aside; then by the bytes before and behind; then by the
 * hash of three, four and six bytes. What is left is compared, and held against the gate of its pattern.
 *
 * A table, from its address: u32 longest keyword, u32 number of keywords; then from 64 on
 * - the filter: a byte per hash, 0 or 4;
 * - the groups, one for 1,024 hashes: u32 and u32, bits of the bytes (their lowest five) that stand before and behind its windows;
 * - the spans: a bit per hash (131,072) of what follows from a window on;
 * - the heads: for 1,024 hashes u16 index of the first window, and one more for the end;
 * - the windows, u32 each, without case bits;
 * - the keywords, 48 bytes each: u64 the first eight bytes, u64 case bits to set in what is compared, u64 mask of the bytes there are, u32
 *   address of all bytes in the table, u16 length, u16 whether case is ignored, u32 gate (0 = not known), i16 first and i16 last start
 *   as bytes before the end, u16 offset of the window, u16 number of the keyword.
 */
const FILTER: usize = 64;
const GROUPS: usize = FILTER + 0x8000;
const SPANS: usize = GROUPS + 0x2000;
const HEADS: usize = SPANS + 0x4000;
const WINDOWS: usize = HEADS + 0x808;
const ENTRY: usize = 48;
const MULTIPLIER: u32 = 0x9e3779b1;
const SPAN_MULTIPLIER: u64 = 0x9e3779b97f4a7c15;
/** Positions filtered at a time: their list stays in the fastest memory. */
const CHUNK: i32 = 4096;

// @ts-expect-error: decorator of AssemblyScript
@inline
function hash(at: usize): u32 {
  return (((load<u32>(at) << 8) | 0x20202000) * MULTIPLIER) >>> 17;
}

// @ts-expect-error: decorator of AssemblyScript
@inline
function fold(byte: u32): u32 {
  return byte - 65 < 26 ? byte + 32 : byte;
}

/** Whether what is behind the first eight bytes is the keyword's as well. */
function equals(entry: usize, table: usize, start: i32): bool {
  const length = <i32>load<u16>(entry, 28);
  const bytes = table + load<u32>(entry, 24);
  if (load<u16>(entry, 30) == 0) {
    for (let i = 8; i < length; i++) if (<u32>load<u8>(bytes + i) != byteAt(start + i)) return false;
    return true;
  }
  for (let i = 8; i < length; i++) if (<u32>load<u8>(bytes + i) != fold(byteAt(start + i))) return false;
  return true;
}

/** Puts a number where it belongs in the list, which is sorted but for what came last. */
function put(list: usize, value: u32): void {
  let at = list;
  while (at > LIST) {
    const before = load<u32>(at - 4);
    if (before <= value) break;
    store<u32>(at, before);
    at -= 4;
  }
  store<u32>(at, value);
}

/** The keyword of `entry`, whose window stands at `at`. Returns the end of the list, 0 = it is full. */
function compare(table: usize, entry: usize, at: i32, from: i32, to: i32, length: i32, list: usize): usize {
  const start = at - <i32>load<u16>(entry, 40);
  if (start < 0) return list;
  if (((load<u64>(INPUT + start) | load<u64>(entry, 8)) & load<u64>(entry, 16)) != load<u64>(entry)) return list;
  const stop = start + <i32>load<u16>(entry, 28);
  if (stop <= from || stop > to || !equals(entry, table, start)) return list;
  const gate = <usize>load<u32>(entry, 32);
  if (gate != 0) {
    const first = stop - <i32>load<i16>(entry, 36);
    const last = stop - <i32>load<i16>(entry, 38);
    if (!passes(gate, first, last, start, length)) return list;
  }
  if (list == LIST_END) return 0;
  put(list, ((stop - from) << 15) | <u32>load<u16>(entry, 42));
  return list + 4;
}

/** All keywords whose window stands at `at`. Returns the end of the list, 0 = it is full. */
function look(table: usize, at: i32, from: i32, to: i32, length: i32, end: usize): usize {
  const window = (load<u32>(INPUT + at) & 0xffffff) | 0x202020;
  const head = table + HEADS + ((hash(INPUT + at) & 0x3ff) << 1);
  const stop = <usize>load<u16>(head, 2);
  const entries = table + WINDOWS + (<usize>load<u32>(table, 4) << 2);
  let list = end;
  for (let index = <usize>load<u16>(head); index < stop; index++) {
    if (load<u32>(table + WINDOWS + (index << 2)) != window) continue;
    list = compare(table, entries + index * ENTRY, at, from, to, length, list);
    if (list == 0) return 0;
  }
  return list;
}

/** Positions whose three bytes hit the filter, as u32 from `SCRATCH` on. Without a branch, because none of them would be foreseen. */
function filtered(filter: usize, from: i32, to: i32): usize {
  const multiplier = i32x4.splat(MULTIPLIER);
  const noCase = i32x4.splat(0x20202000);
  let list = SCRATCH;
  let at = from;
  for (; at + 16 <= to; at += 16) {
    for (let i = 0; i < 4; i++) {
      const four = v128.or(i32x4.shl(v128.load(INPUT + at + i), 8), noCase);
      const hashes = i32x4.shr_u(i32x4.mul(four, multiplier), 17);
      store<u32>(list, at + i);
      list += <usize>load<u8>(filter + i32x4.extract_lane(hashes, 0));
      store<u32>(list, at + i + 4);
      list += <usize>load<u8>(filter + i32x4.extract_lane(hashes, 1));
      store<u32>(list, at + i + 8);
      list += <usize>load<u8>(filter + i32x4.extract_lane(hashes, 2));
      store<u32>(list, at + i + 12);
      list += <usize>load<u8>(filter + i32x4.extract_lane(hashes, 3));
    }
  }
  for (; at < to; at++) {
    store<u32>(list, at);
    list += <usize>load<u8>(filter + hash(INPUT + at));
  }
  return list;
}

/** Keeps those where the bytes before and behind can belong to a keyword of the window's group. */
function neighboured(groups: usize, end: usize): usize {
  let list = SCRATCH;
  for (let entry = SCRATCH; entry < end; entry += 4) {
    const at = load<u32>(entry);
    const group = groups + ((hash(INPUT + at) & 0x3ff) << 3);
    const before = load<u32>(group) >>> (<u32>load<u8>(INPUT + at - 1) & 31);
    const behind = load<u32>(group, 4) >>> (<u32>load<u8>(INPUT + at, 3) & 31);
    store<u32>(list, at);
    list += (before & behind & 1) << 2;
  }
  return list;
}

// @ts-ignore: decorator of AssemblyScript
@inline
function span(spans: usize, bytes: u64): u32 {
  const bit = <u32>((bytes * SPAN_MULTIPLIER) >>> 47);
  return <u32>load<u8>(spans + (bit >>> 3)) >>> (bit & 7);
}

/** Keeps those where three, four or six bytes are those of a keyword, the shorter ones also with their case. */
function spanned(spans: usize, end: usize): usize {
  let list = SCRATCH;
  for (let entry = SCRATCH; entry < end; entry += 4) {
    const at = load<u32>(entry);
    const bytes = load<u64>(INPUT + at);
    const noCase = bytes | 0x2020202020202020;
    const hit =
      span(spans, noCase << 16) |
      span(spans, noCase << 32) |
      span(spans, bytes << 32) |
      span(spans, noCase << 40) |
      span(spans, bytes << 40);
    store<u32>(list, at);
    list += (hit & 1) << 2;
  }
  return list;
}

/**
 * Keywords that end in `from`+1..`to`, by their end, longer ones first: `(end - from) << 15 | number`. Of these `to - from` is at most
 * 65,536. Those whose pattern cannot match there are left out where its gate is known.
 * @returns how many, or -1 = the list is full.
 */
export function words(table: usize, from: i32, to: i32, length: i32): i32 {
  let list = LIST;
  const stop = to - 2;
  for (let at = max(from + 1 - <i32>load<u32>(table), 0); at < stop; at += CHUNK) {
    const some = neighboured(table + GROUPS, filtered(table + FILTER, at, min(at + CHUNK, stop)));
    const end = spanned(table + SPANS, some);
    for (let entry = SCRATCH; entry < end; entry += 4) {
      list = look(table, <i32>load<u32>(entry), from, to, length, list);
      if (list == 0) return -1;
    }
  }
  return <i32>((list - LIST) >> 2);
}
