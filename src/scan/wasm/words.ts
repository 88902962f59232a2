import { passes } from './gate';
import { byteAt, INPUT, LIST, LIST_END } from './memory';

/**
 * All keywords in one pass. Of every keyword one window of three bytes was chosen; every position is looked up in a filter by the hash
 * of its three bytes, case bits aside. What hits is compared, then held against the gate of its pattern.
 *
 * A table, from its address: u32 longest keyword; at 64 the filter, a byte per hash; then the heads, u16 per hash; then the keywords, 32
 * bytes each, the first of them unused: u32 window, u16 next of the same head, u16 offset of the window, u32 first four bytes without
 * case bits, u32 their mask, u32 address of the bytes in the table, u16 length, u16 whether case is ignored, u32 gate (0 = not
 * known), i16 first and i16 last start, as bytes before the end.
 */
const FILTER: usize = 64;
const HEADS: usize = FILTER + 0x8000;
const ENTRIES: usize = HEADS + 0x1000;
const ENTRY: u32 = 5;

// @ts-expect-error: decorator of AssemblyScript
@inline
function hash(at: usize): u32 {
  return (((load<u32>(at) << 8) | 0x20202000) * 0x9e3779b1) >>> 17;
}

// @ts-expect-error: decorator of AssemblyScript
@inline
function fold(byte: u32): u32 {
  return byte - 65 < 26 ? byte + 32 : byte;
}

function equals(entry: usize, table: usize, start: i32): bool {
  const length = <i32>load<u16>(entry, 20);
  const bytes = table + load<u32>(entry, 16);
  if (load<u16>(entry, 22) == 0) {
    for (let i = 0; i < length; i++) if (<u32>load<u8>(bytes + i) != byteAt(start + i)) return false;
    return true;
  }
  for (let i = 0; i < length; i++) if (<u32>load<u8>(bytes + i) != fold(byteAt(start + i))) return false;
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

/** The keywords whose window stands at `at`. Returns the end of the list. */
function look(table: usize, at: i32, from: i32, to: i32, length: i32, end: usize): usize {
  const window = (load<u32>(INPUT + at) & 0xffffff) | 0x202020;
  let list = end;
  let index = <u32>load<u16>(table + HEADS + ((hash(INPUT + at) & 0x7ff) << 1));
  while (index != 0) {
    const entry = table + ENTRIES + (index << ENTRY);
    const id = index;
    index = <u32>load<u16>(entry, 4);
    if (load<u32>(entry) != window) continue;
    const start = at - <i32>load<u16>(entry, 6);
    if (start < 0) continue;
    if (((load<u32>(INPUT + start) | 0x20202020) & load<u32>(entry, 12)) != load<u32>(entry, 8)) continue;
    const stop = start + <i32>load<u16>(entry, 20);
    if (stop <= from || stop > to || !equals(entry, table, start)) continue;
    const gate = <usize>load<u32>(entry, 24);
    if (gate != 0) {
      const first = stop - <i32>load<i16>(entry, 28);
      const last = stop - <i32>load<i16>(entry, 30);
      if (!passes(gate, first, last, start, length)) continue;
    }
    if (list == LIST_END) return 0;
    put(list, ((stop - from) << 15) | id);
    list += 4;
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
  const filter = table + FILTER;
  let at = max(from + 1 - <i32>load<u32>(table), 0);
  const stop = to - 2;
  for (; at + 8 <= stop; at += 8) {
    const p = INPUT + at;
    let hits =
      <u32>load<u8>(filter + hash(p)) |
      ((<u32>load<u8>(filter + hash(p + 1))) << 1) |
      ((<u32>load<u8>(filter + hash(p + 2))) << 2) |
      ((<u32>load<u8>(filter + hash(p + 3))) << 3) |
      ((<u32>load<u8>(filter + hash(p + 4))) << 4) |
      ((<u32>load<u8>(filter + hash(p + 5))) << 5) |
      ((<u32>load<u8>(filter + hash(p + 6))) << 6) |
      ((<u32>load<u8>(filter + hash(p + 7))) << 7);
    while (hits != 0) {
      list = look(table, at + ctz(hits), from, to, length, list);
      if (list == 0) return -1;
      hits &= hits - 1;
    }
  }
  for (; at < stop; at++) {
    if (load<u8>(filter + hash(INPUT + at)) == 0) continue;
    list = look(table, at, from, to, length, list);
    if (list == 0) return -1;
  }
  return <i32>((list - LIST) >> 2);
}
