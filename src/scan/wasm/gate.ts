import { byteAt, has } from './memory';

/**
 * The gate of a pattern, put here when the pattern was first met: u32 1 = there is a boundary, 2 = a landmark; u32 bytes of prefix, then
 * sets of 32 bytes each: boundary, lead, prefix[0], prefix[1] … Behind them the landmark (`landmark.ts`): u32 least, lead, from, to, whether
 * there are beginnings; 1,024 bits of beginnings; 256 kinds.
 */
const BOUNDARY: usize = 8;
const LEAD: usize = 40;
const PREFIX: usize = 72;
/** Of a landmark; bits of its kinds. */
const BEGINS: usize = 20;
const KINDS: usize = 148;
const SPAN: i32 = 48;
const GAP: u32 = 1;
const UNSURE: u32 = 2;
const FIRST: u32 = 4;
const MAY_STAND_BEFORE: u32 = 8;

/** The byte before may be the end of an escape: who knows for sure is asked. */
function mayEndEscape(at: i32): bool {
  const least = max(at - 6, 0);
  for (let i = at - 1; i >= least; i--) {
    const byte = byteAt(i);
    if (byte == 0x5c || byte == 0x25) return true;
  }
  return false;
}

/** As `misses` of `landmark.ts`. */
function misses(mark: usize, at: i32, length: i32): bool {
  const start = at + <i32>load<u32>(mark);
  const free = at + <i32>load<u32>(mark, 4);
  const from = at + <i32>load<u32>(mark, 8);
  const to = at + <i32>load<u32>(mark, 12);
  const most = min(to, free + SPAN);
  const begins = load<u32>(mark, 16) != 0;
  let before: u32 = MAY_STAND_BEFORE;
  for (let i = start; i <= most; i++) {
    if (i >= length) return false;
    const byte = byteAt(i);
    const kind = <u32>load<u8>(mark + KINDS + byte);
    if ((kind & UNSURE) != 0) return false;
    if ((kind & FIRST) != 0 && i >= from && (before & MAY_STAND_BEFORE) != 0) {
      if (!begins || i + 2 >= length) return false;
      const bit = ((byte | 32) ^ ((byteAt(i + 1) | 32) << 3) ^ ((byteAt(i + 2) | 32) << 5)) & 1023;
      if (((load<u32>(mark + BEGINS + ((bit >>> 5) << 2)) >>> (bit & 31)) & 1) != 0) return false;
    }
    if ((kind & GAP) == 0 && i >= free) return true;
    before = kind;
  }
  return to <= most;
}

/** Whether a match cannot start here. Bytes from `length` on are not known. */
function refused(gate: usize, at: i32, length: i32): bool {
  if (at > length) return false;
  const most = min(<i32>load<u32>(gate, 4), length - at);
  for (let i = 0, set = gate + PREFIX; i < most; i++, set += 32) {
    if (!has(set, byteAt(at + i))) return true;
  }
  const flags = load<u32>(gate);
  if (at > 0 && (flags & 1) != 0 && has(gate + BOUNDARY, byteAt(at - 1)) && !mayEndEscape(at)) return true;
  return (flags & 2) != 0 && misses(gate + PREFIX + (<usize>load<u32>(gate, 4) << 5), at, length);
}

/**
 * Whether a match can start at one of `from`..`to`, for a run of digits at `start`..`end`. The byte behind the run is looked at first: it
 * is what refuses nearly all of them.
 */
export function passesNumber(gate: usize, from: i32, to: i32, start: i32, end: i32, length: i32): bool {
  let at = max(from, 0);
  if (from < start) {
    let back = start;
    while (back > at && has(gate + LEAD, byteAt(back - 1))) back--;
    at = back;
  }
  const prefix = <i32>load<u32>(gate, 4);
  for (; at <= to; at++) {
    const index = end - at;
    if (end < length && index >= 0 && index < prefix && !has(gate + PREFIX + (<usize>index << 5), byteAt(end))) continue;
    if (!refused(gate, at, length)) return true;
  }
  return false;
}

/** Whether a match can start at one of `from`..`to`, which belong to a trigger that begins at `trigger`. */
export function passes(gate: usize, from: i32, to: i32, trigger: i32, length: i32): bool {
  let at = max(from, 0);
  if (from < trigger) {
    let back = trigger;
    while (back > at && has(gate + LEAD, byteAt(back - 1))) back--;
    at = back;
  }
  for (; at <= to; at++) if (!refused(gate, at, length)) return true;
  return false;
}
