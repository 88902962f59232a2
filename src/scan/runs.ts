import { addSegment, createSegments, type Decoded, type Encoding, type Segments } from './offsets.ts';

/**
 * Decodes every run of base64, base32 and hex in a text into one buffer, each followed by a line end so that nothing matches
 * across two runs.
 */

/** Shorter runs hold no secret: 24 characters of base64 are 18 bytes, 32 of hex 16. */
const LEAST_BASE64 = 24;
const LEAST_HEX = 32;
const LEAST_BASE32 = 32;
/** A path or a name may be glued in front of a run (`/`, `-`, `_` are letters of base64), so short ones are read at every alignment. */
const ALL_ALIGNMENTS = 4096;
/** MIME and PEM break lines at 64 or 76 characters; shorter lines are not one value. */
const LEAST_LINE = 60;

const BASE64 = 1;
const HEX = 2;
const BASE32 = 4;
const CLASS = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const letter = String.fromCharCode(byte);
  if (/[A-Za-z0-9+/_-]/.test(letter)) CLASS[byte] = BASE64;
  if (/[0-9A-Fa-f]/.test(letter)) CLASS[byte] = (CLASS[byte] as number) | HEX;
  if (/[A-Z2-7]/.test(letter)) CLASS[byte] = (CLASS[byte] as number) | BASE32;
}

interface Writer {
  out: Buffer;
  length: number;
  readonly limit: number;
  full: boolean;
  readonly segments: Segments;
}

function room(writer: Writer, bytes: number): boolean {
  writer.full ||= writer.length + bytes > writer.limit;
  if (writer.full) return false;
  if (writer.length + bytes > writer.out.length) {
    const larger = Buffer.allocUnsafe(Math.max(4096, (writer.length + bytes) * 2));
    writer.out.copy(larger, 0, 0, writer.length);
    writer.out = larger;
  }
  return true;
}

/** The byte between two runs belongs to the end of the first. */
function close(writer: Writer, source: number): void {
  if (!room(writer, 1)) return;
  addSegment(writer.segments, writer.length, [source, source], [1, 1]);
  writer.out[writer.length++] = 10;
}

function add(
  writer: Writer,
  from: number,
  to: number,
  units: readonly [number, number],
  encoding: Encoding,
  decode: () => number,
): void {
  const most = Math.ceil(((to - from) * units[0]) / units[1]) + 8;
  if (!room(writer, most)) return;
  const start = writer.length;
  const written = decode();
  if (written <= 0) return;
  addSegment(writer.segments, start, [from, to], units, encoding);
  writer.length += written;
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + from, to - from).toString('latin1');
}

function base64(writer: Writer, bytes: Uint8Array, from: number, to: number): void {
  add(writer, from, to, [3, 4], 'base64', () => writer.out.write(text(bytes, from, to), writer.length, 'base64'));
}

/** A pair of hex digits every `step` bytes, with what separates them. */
function hex(writer: Writer, bytes: Uint8Array, from: number, to: number, step: number): void {
  add(writer, from, to, [1, step], 'hex', () => {
    const digits = text(bytes, from, to).replace(/0x|[^0-9a-fA-F]/g, '');
    return writer.out.write(digits.slice(0, digits.length & ~1), writer.length, 'hex');
  });
}

const BASE32_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648 §6. */
function base32(writer: Writer, bytes: Uint8Array, from: number, to: number): void {
  add(writer, from, to, [5, 8], 'base32', () => {
    let value = 0;
    let bits = 0;
    let written = 0;
    for (let at = from; at < to; at++) {
      value = ((value << 5) | BASE32_LETTERS.indexOf(String.fromCharCode(bytes[at] as number))) & 0xfff;
      bits += 5;
      if (bits >= 8) {
        bits -= 8;
        writer.out[writer.length + written++] = (value >>> bits) & 0xff;
      }
    }
    return written;
  });
}

/** End of a run of a class from `from` on. */
function runEnd(bytes: Uint8Array, from: number, mask: number): number {
  let at = from;
  while (at < bytes.length && ((CLASS[bytes[at] as number] as number) & mask) !== 0) at++;
  return at;
}

/** Start of the next line of a broken value, or -1: a long line whose length is whole groups of four, and a long one or a rest behind it. */
function nextLine(bytes: Uint8Array, from: number, to: number): number {
  if (to - from < LEAST_LINE || (to - from) % 4 !== 0) return -1;
  const at = bytes[to] === 13 ? to + 1 : to;
  return bytes[at] === 10 && ((CLASS[bytes[at + 1] ?? 0] as number) & BASE64) !== 0 ? at + 1 : -1;
}

/** A run of base64 and the lines that continue it. Returns where reading goes on. */
function base64Lines(writer: Writer, bytes: Uint8Array, from: number, to: number): number {
  let start = from;
  let end = to;
  base64(writer, bytes, start, end);
  for (let next = nextLine(bytes, start, end); next > 0; next = nextLine(bytes, start, end)) {
    start = next;
    end = runEnd(bytes, start, BASE64);
    base64(writer, bytes, start, end);
  }
  close(writer, end);
  return end;
}

/** Runs of a narrower class inside a run: behind a path, `0x`, or a name that is glued on. */
function within(
  bytes: Uint8Array,
  from: number,
  to: number,
  mask: number,
  least: number,
  found: (from: number, to: number) => void,
): void {
  for (let at = from; at < to; ) {
    const end = Math.min(runEnd(bytes, at, mask), to);
    if (end - at >= least) found(at, end);
    at = end + 1;
  }
}

function one(writer: Writer, bytes: Uint8Array, from: number, to: number): number {
  within(bytes, from, to, HEX, LEAST_HEX, (start, end) => {
    hex(writer, bytes, start, end, 2);
    close(writer, end);
    if ((end - start) % 2 === 0) return;
    hex(writer, bytes, start + 1, end, 2);
    close(writer, end);
  });
  within(bytes, from, to, BASE32, LEAST_BASE32, (start, end) => {
    base32(writer, bytes, start, end);
    close(writer, end);
  });
  const end = base64Lines(writer, bytes, from, to);
  for (let skip = 1; skip < 4 && to - from <= ALL_ALIGNMENTS; skip++) {
    base64(writer, bytes, from + skip, to);
    close(writer, to);
  }
  return end;
}

/** Pairs with one separator between them: `61:62`, `61 62`, `61-62`, `0x61, 0x62`. */
const SEPARATED =
  /(?:0x[0-9a-fA-F]{2}, ?){15,}0x[0-9a-fA-F]{2}|[0-9a-fA-F]{2}([: -])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){14,}/g;

const PAIRS = new Uint8Array(256);
for (const letter of '0123456789abcdefABCDEFx:-, ') PAIRS[letter.charCodeAt(0)] = 1;
/** The shortest separated run has 47 bytes, so one of these samples lies inside it. */
const SAMPLE = 12;

function separated(writer: Writer, bytes: Uint8Array): void {
  for (let at = 0; at + SAMPLE <= bytes.length; ) {
    let from = at;
    let to = at;
    while (to < bytes.length && PAIRS[bytes[to] as number] === 1) to++;
    if (to - from < SAMPLE) {
      at += 24;
      continue;
    }
    while (from > 0 && PAIRS[bytes[from - 1] as number] === 1) from--;
    for (const { index, 0: all } of text(bytes, from, to).matchAll(SEPARATED)) {
      const step = all.startsWith('0x') ? all.indexOf('0x', 2) : 3;
      const start = from + index;
      hex(writer, bytes, start, start + all.length, step);
      close(writer, start + all.length);
    }
    at = to + 1;
  }
}

/**
 * @param limit - most bytes of output; what is beyond is left out.
 * @returns the decoded runs, or undefined when there are none; `full` = the limit was reached.
 */
export function decodeRuns(bytes: Uint8Array, limit: number): (Decoded & { readonly full: boolean }) | undefined {
  const writer: Writer = { out: Buffer.alloc(0), length: 0, limit, full: false, segments: createSegments() };
  for (let at = LEAST_BASE64 - 1; at < bytes.length && !writer.full; ) {
    // Every run of 24 covers a place that is a multiple of 24 further on: what is no letter there is in no run up to here.
    if (CLASS[bytes[at] as number] === 0) {
      at += LEAST_BASE64;
      continue;
    }
    let from = at;
    while (from > 0 && CLASS[bytes[from - 1] as number] !== 0) from--;
    const to = runEnd(bytes, at, BASE64);
    const end = to - from >= LEAST_BASE64 ? one(writer, bytes, from, to) : to;
    at = end + LEAST_BASE64;
  }
  separated(writer, bytes);
  if (writer.length === 0 && !writer.full) return undefined;
  return { bytes: writer.out.subarray(0, writer.length), segments: writer.segments, full: writer.full };
}
