import { passes } from './gate';
import { INPUT, LIST, LIST_END, OPEN } from './memory';

/**
 * A table, from its address: for every length of a run of digits (0 to 31, 31 = and more) u16 index of the first and u16 number of its
 * places; behind these 128 bytes the places, 12 bytes each: u32 gate (0 = not known), i32 first and i32 last start, as bytes before
 * the run.
 */
const PLACES: usize = 128;
const LONGEST: i32 = 256;

/** A bit per byte: whether it is a digit. */
// @ts-expect-error: decorator of AssemblyScript
@inline
function digits16(at: usize): u64 {
  const low = i8x16.sub(v128.load(at), i8x16.splat(48));
  return <u64>(<u32>i8x16.bitmask(i8x16.lt_u(low, i8x16.splat(10))));
}

// @ts-expect-error: decorator of AssemblyScript
@inline
function digits64(at: i32): u64 {
  const p = INPUT + at;
  return digits16(p) | (digits16(p + 16) << 16) | (digits16(p + 32) << 32) | (digits16(p + 48) << 48);
}

function wanted(table: usize, start: i32, end: i32, length: i32): bool {
  const digits = end - start;
  if (digits < 2 || digits > LONGEST) return false;
  const row = table + (<usize>min(digits, 31) << 2);
  const count = <i32>load<u16>(row, 2);
  let place = table + PLACES + <usize>load<u16>(row) * 12;
  for (let i = 0; i < count; i++, place += 12) {
    const gate = <usize>load<u32>(place);
    if (gate == 0) return true;
    if (passes(gate, start - <i32>load<i32>(place, 8), start - <i32>load<i32>(place, 4), start, length)) return true;
  }
  return false;
}

/**
 * Runs of digits that begin and end in `from`..`to`, as pairs of start and end, where a pattern asks for their length and its gate lets
 * them pass. `from` is not inside a run. At `OPEN` stands the start of a run that reaches `to`, or -1.
 * @returns how many numbers, or -1 = the list is full.
 */
export function numbers(table: usize, from: i32, to: i32, length: i32): i32 {
  let list = LIST;
  let start = -1;
  for (let at = from; at < to; at += 64) {
    let mask = digits64(at);
    if (to - at < 64) mask &= ((<u64>1) << <u64>(to - at)) - 1;
    let done = 0;
    while (done < 64) {
      const rest = (start < 0 ? mask : ~mask) >> done;
      if (rest == 0) break;
      done += <i32>ctz(rest);
      const place = at + done;
      if (place >= to) break;
      if (start < 0) start = place;
      else {
        if (wanted(table, start, place, length)) {
          if (list + 8 > LIST_END) return -1;
          store<u32>(list, start);
          store<u32>(list, place, 4);
          list += 8;
        }
        start = -1;
      }
    }
  }
  store<i32>(OPEN, start);
  return <i32>((list - LIST) >> 2);
}
