/**
 * Where things lie in the module's memory. The numbers are repeated in `src/scan/wasm-memory.ts`, which fills it; a test holds both
 * together by comparing what the two engines find.
 *
 * Everything is addressed absolutely: no allocator, no garbage collector, no static data.
 */

/** What a call found: u32 each. */
export const LIST: usize = 0x10000;
export const LIST_END: usize = 0x30000;
/** Where `numbers` leaves the run of digits that is open at the end. */
export const OPEN: usize = 0x400;
/** Lists of a chunk. */
export const SCRATCH: usize = 0x4000;
/** Value of a base64 character; whether a byte is printable. */
export const SIX: usize = 0x800;
export const PRINTABLE: usize = 0x900;
/** What a code point is, one byte each (`escapes.ts`). */
export const KINDS: usize = 0x30000;
/** A bit per position of a run (`groups.ts`), of the longest there can be. */
export const GROUP_MASKS: usize = 0x3d0000;
/** The bytes that are scanned; at least 64 readable bytes lie before and behind. */
export const INPUT: usize = 0x150000;

// @ts-expect-error: decorator of AssemblyScript
@inline
export function byteAt(at: i32): u32 {
  return load<u8>(INPUT + at);
}

/** Whether a byte is in a set of 256 bits. */
// @ts-expect-error: decorator of AssemblyScript
@inline
export function has(set: usize, byte: u32): bool {
  return ((load<u32>(set + ((byte >>> 5) << 2)) >>> (byte & 31)) & 1) != 0;
}
