import { passesNumber } from './gate';
import { byteAt, INPUT, LIST, LIST_END, OPEN } from './memory';

/**
 * A table, from its address: u32 shortest run of digits that is asked for; u32 n = 8 or 16 when there is a set of bytes such that every match
 * whose run is shorter than eight digits has n of them in a row, its digits among them, else 0; at 16 and 32 this set, sixteen bytes each for
 * the low and the high half of a byte, together not 0 = in the set; at 48 for every length of a run (0 to 31, 31 = and more) u16 index of the first and u16 number of its places; behind these 128 bytes
 * the places, 12 bytes each: u32 gate (0 = there was no room), i32 first and i32 last start, as bytes before the run.
 */
const LOW: usize = 16;
const HIGH: usize = 32;
const ROWS: usize = 48;
const PLACES: usize = ROWS + 128;
const LONGEST: i32 = 256;

/** A bit per byte: whether it is a digit. */
// @ts-ignore: decorator of AssemblyScript
@inline
function digits16(at: usize): u64 {
  const low = i8x16.sub(v128.load(at), i8x16.splat(48));
  return <u64>(<u32>i8x16.bitmask(i8x16.lt_u(low, i8x16.splat(10))));
}

// @ts-ignore: decorator of AssemblyScript
@inline
function digits64(at: i32): u64 {
  const p = INPUT + at;
  return digits16(p) | (digits16(p + 16) << 16) | (digits16(p + 32) << 32) | (digits16(p + 48) << 48);
}

// @ts-ignore: decorator of AssemblyScript
@inline
function isDigit(at: i32): bool {
  return byteAt(at) - 48 < 10;
}

function wanted(table: usize, start: i32, end: i32, length: i32): bool {
  const digits = end - start;
  if (digits < 2 || digits > LONGEST) return false;
  const row = table + ROWS + (<usize>min(digits, 31) << 2);
  const count = <i32>load<u16>(row, 2);
  let place = table + PLACES + <usize>load<u16>(row) * 12;
  for (let i = 0; i < count; i++, place += 12) {
    const gate = <usize>load<u32>(place);
    if (gate == 0) return true;
    const from = start - <i32>load<i32>(place, 8);
    if (passesNumber(gate, from, start - <i32>load<i32>(place, 4), start, end, length)) return true;
  }
  return false;
}

/** A bit per byte: whether a match of any pattern can have it near its digits. */
// @ts-ignore: decorator of AssemblyScript
@inline
function near16(at: usize, low: v128, high: v128): u64 {
  const bytes = v128.load(at);
  const lows = i8x16.swizzle(low, v128.and(bytes, i8x16.splat(15)));
  const highs = i8x16.swizzle(high, i8x16.shr_u(bytes, 4));
  return <u64>(<u32>i8x16.bitmask(i8x16.ne(v128.and(lows, highs), i8x16.splat(0))));
}

/** Where 8 or 16 such bytes stand in a row. What is not in this block is as if it were one of them. */
function rows(table: usize, count: u32, at: i32, length: i32): u64 {
  const low = v128.load(table + LOW);
  const high = v128.load(table + HIGH);
  const p = INPUT + at;
  let near =
    near16(p, low, high) |
    (near16(p + 16, low, high) << 16) |
    (near16(p + 32, low, high) << 32) |
    (near16(p + 48, low, high) << 48);
  if (length - at < 64) near |= ~(<u64>0) << <u64>(length - at);
  const far = ~near;
  let row = near & ~(far >>> 1);
  row &= ~(~row >>> 2);
  row &= ~(~row >>> 4);
  if (count == 16) row &= ~(~row >>> 8);
  row |= row << 1;
  row |= row << 2;
  row |= row << 4;
  if (count == 16) row |= row << 8;
  return row | (near & ~(near + 1));
}

/** Start of the run of digits that reaches `to`, or -1. */
function openAt(from: i32, to: i32): i32 {
  let start = to;
  while (start > from && isDigit(start - 1)) start--;
  return start < to ? start : -1;
}

/**
 * Runs of digits that begin and end in `from`..`to`, as pairs of start and end, where a pattern asks for their length and its gate lets
 * them pass. `from` is not inside a run. At `OPEN` stands the start of a run that reaches `to`, or -1.
 * @returns how many numbers, or -1 = the list is full.
 */
export function numbers(table: usize, from: i32, to: i32, length: i32): i32 {
  let list = LIST;
  const open = openAt(from, to);
  store<i32>(OPEN, open);
  const stop = open < 0 ? to : open;
  const shortest = min(<i32>load<u32>(table), 8);
  const near = load<u32>(table, 4);
  let before: u64 = 0;
  for (let at = from; at < stop; at += 64) {
    let mask = digits64(at);
    let starts = mask & ~((mask << 1) | before);
    before = mask >>> 63;
    // What stands behind these 64 bytes is as if it were digits: whether they are is seen below.
    const gaps = ~mask;
    for (let i = 1; i < shortest && starts != 0; i++) starts &= ~(gaps >>> <u64>i);
    if (near != 0 && starts != 0) {
      let long = ~(gaps | (gaps >>> 1));
      long &= ~(~long >>> 2);
      long &= ~(~long >>> 4);
      starts &= long | rows(table, near, at, length);
    }
    while (starts != 0) {
      const start = at + <i32>ctz(starts);
      starts &= starts - 1;
      if (start >= stop) break;
      let end = start + 1;
      while (end < stop && isDigit(end)) end++;
      if (!wanted(table, start, end, length)) continue;
      if (list + 8 > LIST_END) return -1;
      store<u32>(list, start);
      store<u32>(list, end, 4);
      list += 8;
    }
  }
  return <i32>((list - LIST) >> 2);
}
