import { GROUP_MASKS, INPUT } from './memory';
import { BASE64, put } from './operations';

/**
 * Printable groups of base64, all four alignments at once: for every position of a run a bit, whether the three bytes that its four
 * characters decode to are printable.
 */

/** Values of sixteen characters of base64 or base64url. */
// @ts-ignore: decorator of AssemblyScript
@inline
function sixBits(at: usize): v128 {
  const bytes = v128.load(at);
  const offsets = i8x16(0, 0, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
  let value = i8x16.add(bytes, i8x16.swizzle(offsets, i8x16.shr_u(bytes, 4)));
  value = i8x16.add(value, v128.and(i8x16.eq(bytes, i8x16.splat(0x2f)), i8x16.splat(-3)));
  value = i8x16.add(value, v128.and(i8x16.eq(bytes, i8x16.splat(0x2d)), i8x16.splat(-2)));
  return i8x16.add(value, v128.and(i8x16.eq(bytes, i8x16.splat(0x5f)), i8x16.splat(33)));
}

// @ts-ignore: decorator of AssemblyScript
@inline
function printable(bytes: v128): v128 {
  const ascii = i8x16.lt_u(i8x16.sub(bytes, i8x16.splat(32)), i8x16.splat(95));
  const feed = i8x16.lt_u(i8x16.sub(bytes, i8x16.splat(9)), i8x16.splat(2));
  return v128.or(v128.or(ascii, feed), i8x16.eq(bytes, i8x16.splat(13)));
}

/** Bits of sixteen positions, given their values and the next sixteen. */
// @ts-ignore: decorator of AssemblyScript
@inline
function groups16(a: v128, next: v128): u32 {
  const b = i8x16.shuffle(a, next, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
  const c = i8x16.shuffle(a, next, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17);
  const d = i8x16.shuffle(a, next, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18);
  const first = v128.or(i16x8.shl(a, 2), v128.and(i16x8.shr_u(b, 4), i8x16.splat(3)));
  const second = v128.or(i16x8.shl(v128.and(b, i8x16.splat(15)), 4), v128.and(i16x8.shr_u(c, 2), i8x16.splat(15)));
  const third = v128.or(i16x8.shl(v128.and(c, i8x16.splat(3)), 6), d);
  return <u32>i8x16.bitmask(v128.and(printable(first), v128.and(printable(second), printable(third))));
}

/** The bits of a run, and zeros behind them. */
function masks(from: i32, to: i32): void {
  let entry = GROUP_MASKS;
  let values = sixBits(INPUT + from);
  for (let at = from; at < to; at += 16, entry += 2) {
    const next = sixBits(INPUT + at + 16);
    let mask = groups16(values, next);
    values = next;
    // A group ends inside the run.
    const last = to - 3 - at;
    if (last < 16) mask &= last <= 0 ? 0 : (1 << last) - 1;
    store<u16>(entry, <u16>mask);
  }
  store<u64>(entry, 0);
  store<u64>(entry, 0, 8);
}

// @ts-ignore: decorator of AssemblyScript
@inline
function isPrintable(index: i32): bool {
  return ((load<u8>(GROUP_MASKS + (index >>> 3)) >>> (<u8>index & 7)) & 1) != 0;
}

/** Where four printable groups stand in a row, of 64 positions. */
// @ts-ignore: decorator of AssemblyScript
@inline
function four(mask: usize): u64 {
  const low = load<u64>(mask);
  const high = load<u64>(mask, 8);
  return low & ((low >>> 4) | (high << 60)) & ((low >>> 8) | (high << 56)) & ((low >>> 12) | (high << 52));
}

/** Works out the groups of a run. Returns whether there are four in a row anywhere. */
export function groups(from: i32, to: i32): bool {
  masks(from, to);
  let any: u64 = 0;
  const end = GROUP_MASKS + (<usize>((to - from + 63) >> 6) << 3);
  for (let mask = GROUP_MASKS; mask < end; mask += 8) any |= four(mask);
  return any != 0;
}

/**
 * The stretches of four groups and more of one alignment, each with the group before and behind it. `from` is the run's start, `start` the
 * alignment's.
 */
export function stretches(from: i32, start: i32, to: i32): void {
  const lanes = (<u64>0x1111111111111111) << <u64>(start - from);
  let done = 0;
  for (let at = from; at < to; at += 64) {
    let row = four(GROUP_MASKS + (<usize>(at - from) >> 3)) & lanes;
    while (row != 0) {
      const index = at - from + <i32>ctz(row);
      row &= row - 1;
      if (index < done) continue;
      let end = index + 4;
      while (isPrintable(end)) end += 4;
      put(BASE64, max(start, from + index - 4), min(to, from + end + 4));
      done = end;
    }
  }
}
