import { createSegments, type Decoded } from './offsets.ts';
import { close, fromBase64, isText, keep, keepText, PRINTABLE, SIX_BITS, START, type Writer } from './stretches.ts';
import { wasmOf } from './wasm-memory.ts';

/**
 * Decodes the runs of base64, base32 and hex in a text into one buffer. Of what they decode to only text is kept: a run that begins like
 * text as a whole, of other runs the stretches of printable ASCII. Images, hashes and wrong alignments leave nothing, so they cost
 * one look each; stretches are separated by line ends, so that nothing matches across two of them.
 */

/** Shorter runs hold no secret: 24 characters of base64 are 18 bytes, 32 of hex 16, 32 of base32 20. */
export const LEAST_BASE64 = 24;
export const LEAST_NARROW = 32;
/** MIME and PEM break lines at 64 or 76 characters; shorter lines are not one value. */
export const LEAST_LINE = 60;

export const BASE64 = 1;
export const HEX = 2;
export const BASE32 = 4;
export const CLASS = new Uint8Array(256);
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
for (const letter of `${LETTERS}+/-_`) {
  const hex = /[0-9A-Fa-f]/.test(letter) ? HEX : 0;
  CLASS[letter.charCodeAt(0)] = BASE64 | hex | (/[A-Z2-7]/.test(letter) ? BASE32 : 0);
}
function base64(writer: Writer, bytes: Uint8Array, from: number, to: number): void {
  keepText(writer, fromBase64(bytes, from, to), { from, to, units: [3, 4], encoding: 'base64' });
}

/** Four characters as 24 bits. */
function group(chars: Uint8Array, at: number): number {
  return (
    ((SIX_BITS[chars[at] as number] as number) << 18) |
    ((SIX_BITS[chars[at + 1] as number] as number) << 12) |
    ((SIX_BITS[chars[at + 2] as number] as number) << 6) |
    (SIX_BITS[chars[at + 3] as number] as number)
  );
}

function isPrintable(chars: Uint8Array, at: number): boolean {
  const value = group(chars, at);
  return PRINTABLE[value >>> 16] === 1 && PRINTABLE[(value >>> 8) & 255] === 1 && PRINTABLE[value & 255] === 1;
}

/**
 * Decodes the stretches of a run that are printable: four groups in a row and one more on each side, for the letters of a text that do
 * not fill their group. One of every four groups tells whether there may be a stretch.
 */
function stretches(writer: Writer, bytes: Uint8Array, from: number, to: number): void {
  for (let at = from; at + 4 <= to; at += 16) {
    if (!isPrintable(bytes, at)) continue;
    let start = at;
    while (start - 4 >= from && isPrintable(bytes, start - 4)) start -= 4;
    let end = at + 4;
    while (end + 4 <= to && isPrintable(bytes, end)) end += 4;
    if (end - start >= 16) base64(writer, bytes, Math.max(from, start - 4), Math.min(to, end + 4));
    at = end;
  }
}

/** Whether a run begins as UTF-8; most garbage is known by its first group. */
export function beginsAsText(chars: Uint8Array, from: number, to: number): boolean {
  const first = group(chars, from);
  const lead = first >>> 16;
  if (PRINTABLE[lead] === 0 && (lead < 0xc2 || lead > 0xf4)) return false;
  const decoded = new Uint8Array(Math.min(START, Math.floor((to - from) / 4) * 3));
  for (let i = 0; i < decoded.length; i += 3) {
    const value = group(chars, from + (i / 3) * 4);
    decoded[i] = value >>> 16;
    decoded[i + 1] = value >>> 8;
    decoded[i + 2] = value;
  }
  return isText(decoded);
}

/** Every second digit pair is a byte; `step` bytes from pair to pair, with what separates them. */
function hex(writer: Writer, bytes: Uint8Array, from: number, to: number, step: number): void {
  const text = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + from, to - from).toString('latin1');
  const digits = step === 2 ? text : text.replace(/0x|[^0-9a-fA-F]/g, '');
  const decoded = Buffer.from(digits.slice(0, digits.length & ~1), 'hex');
  keepText(writer, decoded, { from, to, units: [1, step], encoding: 'hex' });
}

/** RFC 4648 §6. */
export function fromBase32(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const decoded = new Uint8Array(Math.floor(((to - from) * 5) / 8));
  let value = 0;
  let bits = 0;
  let out = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    value = ((value << 5) | (byte >= 65 ? byte - 65 : byte - 24)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    decoded[out++] = value >>> bits;
  }
  return decoded;
}

function base32(writer: Writer, bytes: Uint8Array, from: number, to: number): void {
  keepText(writer, fromBase32(bytes, from, to), { from, to, units: [5, 8], encoding: 'base32' });
}

function runEnd(bytes: Uint8Array, from: number, mask: number): number {
  let at = from;
  while (at < bytes.length && ((CLASS[bytes[at] as number] as number) & mask) !== 0) at++;
  return at;
}

/** Start of the next line of a broken value, or -1. Line ends may be written out (`\n`, `\r\n`), as in JSON, and JSON in JSON. */
function nextLine(bytes: Uint8Array, from: number, to: number): number {
  if (to - from < LEAST_LINE || (to - from) % 4 !== 0) return -1;
  let at = to;
  for (const [letter, byte] of [
    [114, 13],
    [110, 10],
  ] as const) {
    let written = at;
    while (bytes[written] === 92 && written - at < MOST_BACKSLASHES) written++;
    if (bytes[at] === byte) at++;
    else if (written > at && bytes[written] === letter) at = written + 1;
    else if (byte === 10) return -1;
  }
  return ((CLASS[bytes[at] ?? 0] as number) & BASE64) !== 0 ? at : -1;
}
const MOST_BACKSLASHES = 8;

/** A value broken into lines: whole groups in each, so every line has a segment and together they are one text. Returns its end. */
function lines(writer: Writer, bytes: Uint8Array, from: number, to: number): number {
  let [start, end] = [from, to];
  for (let next = from; next >= 0; next = nextLine(bytes, start, end)) {
    start = next;
    end = runEnd(bytes, start, BASE64);
    const decoded = fromBase64(bytes, start, end);
    keep(writer, decoded, 0, decoded.length, { from: start, to: end, units: [3, 4], encoding: 'base64' });
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
  found: (from: number, to: number) => void,
): void {
  for (let at = from + LEAST_NARROW - 1; at < to; at += LEAST_NARROW) {
    if (((CLASS[bytes[at] as number] as number) & mask) === 0) continue;
    let start = at;
    while (start > from && ((CLASS[bytes[start - 1] as number] as number) & mask) !== 0) start--;
    const end = runEnd(bytes, at, mask);
    if (end - start >= LEAST_NARROW) found(start, end);
    at = end;
  }
}

function one(writer: Writer, bytes: Uint8Array, from: number, to: number): number {
  within(bytes, from, to, HEX, (start, end) => {
    hex(writer, bytes, start, end, 2);
    if ((end - start) % 2 === 1) hex(writer, bytes, start + 1, end, 2);
  });
  within(bytes, from, to, BASE32, (start, end) => base32(writer, bytes, start, end));
  // A path or a name may be glued in front (`/`, `-`, `_` are letters of base64), so every alignment is looked at.
  for (let start = from; start < from + 4; start++) {
    if (beginsAsText(bytes, start, to)) base64(writer, bytes, start, to);
    else stretches(writer, bytes, start, to);
  }
  // Lines are whole groups, so what is glued in front of the first one shows at its end.
  const whole = from + ((to - from) % 4);
  return nextLine(bytes, whole, to) < 0 ? to : lines(writer, bytes, whole, to);
}

/** Pairs with one separator between them: `61:62`, `61 62`, `61-62`, `0x61, 0x62`; `+` is a blank of forms. */
const SEPARATED =
  /(?:0x[0-9a-fA-F]{2},[ +]?){15,}0x[0-9a-fA-F]{2}|[0-9a-fA-F]{2}([: +-])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){14,}/g;
export const PAIRS = new Uint8Array(256);
for (const letter of '0123456789abcdefABCDEFx:-, +') PAIRS[letter.charCodeAt(0)] = 1;
/** Sixteen pairs and what separates them; so one of the samples, 24 bytes apart, lies inside it. */
const LEAST_SEPARATED = 47;
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
    const length = to - from;
    at = to + 1;
    if (length < LEAST_SEPARATED) continue;
    pairs(writer, bytes, from, to);
  }
}

function pairs(writer: Writer, bytes: Uint8Array, from: number, to: number): void {
  const text = Buffer.from(bytes.subarray(from, to)).toString('latin1');
  for (const { index, 0: all } of text.matchAll(SEPARATED)) {
    const step = all.startsWith('0x') ? all.indexOf('0x', 2) : 3;
    hex(writer, bytes, from + index, from + index + all.length, step);
  }
}

function decodePlainly(writer: Writer, bytes: Uint8Array): void {
  for (let at = LEAST_BASE64 - 1; at < bytes.length && !writer.full; ) {
    // A run of 24 covers one of every 24 places.
    if (CLASS[bytes[at] as number] === 0) {
      at += LEAST_BASE64;
      continue;
    }
    let from = at;
    while (from > 0 && CLASS[bytes[from - 1] as number] !== 0) from--;
    const to = runEnd(bytes, at, BASE64);
    at = (to - from >= LEAST_BASE64 ? one(writer, bytes, from, to) : to) + LEAST_BASE64;
  }
  separated(writer, bytes);
}

/** What `wasm/runs.ts` says is to be done, by its number. */
const OPERATIONS: readonly ((writer: Writer, bytes: Uint8Array, from: number, to: number) => void)[] = [
  () => {},
  (writer, bytes, from, to) => hex(writer, bytes, from, to, 2),
  base32,
  base64,
  lines,
  pairs,
];

/** The module found the places and left out what cannot leave text. */
function decodeWith(list: Uint32Array, count: number, writer: Writer, bytes: Uint8Array): void {
  for (let i = 0; i < count && !writer.full; i += 3) {
    OPERATIONS[list[i] as number]?.(writer, bytes, list[i + 1] as number, list[i + 2] as number);
  }
}

/**
 * @param limit - most bytes of output; what is beyond is left out.
 * @param plain - in TypeScript alone.
 * @returns the decoded runs, or undefined when there are none; `full` = the limit was reached.
 */
export function decodeRuns(
  bytes: Uint8Array,
  limit: number,
  plain = false,
): (Decoded & { readonly full: boolean }) | undefined {
  // Shorter than any run.
  if (bytes.length < LEAST_BASE64) return undefined;
  const wasm = plain ? undefined : wasmOf();
  let count = -1;
  if (wasm?.takes(bytes)) {
    wasm.read(bytes);
    count = wasm.call.runs(bytes.length);
    if (count === 0) return undefined;
  }
  const writer: Writer = { out: new Uint8Array(0), length: 0, limit, full: false, segments: createSegments() };
  if (wasm === undefined || count < 0) decodePlainly(writer, bytes);
  else decodeWith(wasm.list, count, writer, bytes);
  if (writer.length === 0 && !writer.full) return undefined;
  return { bytes: writer.out.subarray(0, writer.length), segments: writer.segments, full: writer.full };
}
