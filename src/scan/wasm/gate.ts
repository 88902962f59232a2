import { byteAt, has } from './memory';

/**
 * The gate of a pattern, put here when the pattern was first met: u32 whether there is a boundary, u32 bytes of prefix, then sets of 32
 * bytes each: boundary, lead, prefix[0], prefix[1] …
 */
const BOUNDARY: usize = 8;
const LEAD: usize = 40;
const PREFIX: usize = 72;

/** The byte before may be the end of an escape: who knows for sure is asked. */
function mayEndEscape(at: i32): bool {
  const least = max(at - 6, 0);
  for (let i = at - 1; i >= least; i--) {
    const byte = byteAt(i);
    if (byte == 0x5c || byte == 0x25) return true;
  }
  return false;
}

/** Whether a match cannot start here. Bytes from `length` on are not known. */
function refused(gate: usize, at: i32, length: i32): bool {
  if (at > length) return false;
  const most = min(<i32>load<u32>(gate, 4), length - at);
  for (let i = 0, set = gate + PREFIX; i < most; i++, set += 32) {
    if (!has(set, byteAt(at + i))) return true;
  }
  return at > 0 && load<u32>(gate) != 0 && has(gate + BOUNDARY, byteAt(at - 1)) && !mayEndEscape(at);
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
