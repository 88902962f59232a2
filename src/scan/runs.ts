import { createSegments, type Decoded } from './offsets.ts';
import { close, isText, keep, keepText, PRINTABLE, type Source, START, type Writer } from './stretches.ts';

/**
 * Decodes the runs of base64, base32 and hex in a text into one buffer. Of what they decode to only text is kept: a run that begins like
 * text as a whole, of other runs the stretches of printable ASCII. Images, hashes and wrong alignments leave nothing, so they cost
 * one look each; stretches are separated by line ends, so that nothing matches across two of them.
 */

/** Shorter runs hold no secret: 24 characters of base64 are 18 bytes, 32 of hex 16, 32 of base32 20. */
const LEAST_BASE64 = 24;
const LEAST_NARROW = 32;
/** MIME and PEM break lines at 64 or 76 characters; shorter lines are not one value. */
const LEAST_LINE = 60;

const BASE64 = 1;
const HEX = 2;
const BASE32 = 4;
const CLASS = new Uint8Array(256);
/** Value of a base64 or base64url character. */
const SIX = new Uint8Array(256);
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
[...`${LETTERS}+/`].forEach((letter, value) => {
  SIX[letter.charCodeAt(0)] = value;
});
SIX['-'.charCodeAt(0)] = 62;
SIX['_'.charCodeAt(0)] = 63;
for (const letter of `${LETTERS}+/-_`) {
  const hex = /[0-9A-Fa-f]/.test(letter) ? HEX : 0;
  CLASS[letter.charCodeAt(0)] = BASE64 | hex | (/[A-Z2-7]/.test(letter) ? BASE32 : 0);
}
function base64(writer: Writer, chars: Uint8Array, source: Source): void {
  const whole = Math.floor(chars.length / 4);
  const rest = chars.length % 4;
  const decoded = new Uint8Array(whole * 3 + (rest > 1 ? rest - 1 : 0));
  let out = 0;
  for (let i = 0; i < chars.length; i += 4) {
    const value =
      ((SIX[chars[i] as number] as number) << 18) |
      (six(chars, i + 1) << 12) |
      (six(chars, i + 2) << 6) |
      six(chars, i + 3);
    decoded[out++] = value >>> 16;
    decoded[out++] = value >>> 8;
    decoded[out++] = value;
  }
  keepText(writer, decoded, source);
}

function six(chars: Uint8Array, at: number): number {
  return at < chars.length ? (SIX[chars[at] as number] as number) : 0;
}

/** Groups of four characters that decode to three printable bytes; four in a row are worth decoding the run. */
function looksLikeText(chars: Uint8Array, skip: number): boolean {
  const groups = Math.floor((chars.length - skip) / 4);
  for (let group = 0; group < groups; group += 4) {
    if (!isPrintable(chars, skip + group * 4)) continue;
    let from = group;
    while (from > 0 && isPrintable(chars, skip + (from - 1) * 4)) from--;
    let to = group + 1;
    while (to < groups && isPrintable(chars, skip + to * 4)) to++;
    if (to - from >= 4) return true;
    group = to;
  }
  return isText(head(chars, skip));
}

function isPrintable(chars: Uint8Array, at: number): boolean {
  const value =
    ((SIX[chars[at] as number] as number) << 18) |
    ((SIX[chars[at + 1] as number] as number) << 12) |
    ((SIX[chars[at + 2] as number] as number) << 6) |
    (SIX[chars[at + 3] as number] as number);
  return PRINTABLE[value >>> 16] === 1 && PRINTABLE[(value >>> 8) & 255] === 1 && PRINTABLE[value & 255] === 1;
}

/** First byte by first byte, so that garbage is known after one or two. */
function head(chars: Uint8Array, skip: number): Uint8Array {
  const groups = Math.min(START / 3, Math.floor((chars.length - skip) / 4));
  const decoded = new Uint8Array(groups * 3);
  for (let i = 0; i < groups; i++) {
    const at = skip + i * 4;
    const value = (six(chars, at) << 18) | (six(chars, at + 1) << 12) | (six(chars, at + 2) << 6) | six(chars, at + 3);
    decoded.set([value >>> 16, (value >>> 8) & 255, value & 255], i * 3);
  }
  return decoded;
}

/** Every second digit pair is a byte; `step` bytes from pair to pair, with what separates them. */
function hex(writer: Writer, bytes: Uint8Array, from: number, to: number, step: number): void {
  const text = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + from, to - from).toString('latin1');
  const digits = step === 2 ? text : text.replace(/0x|[^0-9a-fA-F]/g, '');
  const decoded = Buffer.from(digits.slice(0, digits.length & ~1), 'hex');
  keepText(writer, decoded, { from, to, units: [1, step], encoding: 'hex' });
}

/** RFC 4648 §6. */
function base32(writer: Writer, bytes: Uint8Array, from: number, to: number): void {
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
  keepText(writer, decoded, { from, to, units: [5, 8], encoding: 'base32' });
}

function runEnd(bytes: Uint8Array, from: number, mask: number): number {
  let at = from;
  while (at < bytes.length && ((CLASS[bytes[at] as number] as number) & mask) !== 0) at++;
  return at;
}

/** Start of the next line of a broken value, or -1. Line ends may be written out (`\n`, `\r\n`), as in JSON. */
function nextLine(bytes: Uint8Array, from: number, to: number): number {
  if (to - from < LEAST_LINE || (to - from) % 4 !== 0) return -1;
  let at = to;
  for (const [letter, byte] of [
    [114, 13],
    [110, 10],
  ] as const) {
    if (bytes[at] === byte) at++;
    else if (bytes[at] === 92 && bytes[at + 1] === letter) at += 2;
    else if (byte === 10) return -1;
  }
  return ((CLASS[bytes[at] ?? 0] as number) & BASE64) !== 0 ? at : -1;
}

/** A value broken into lines: whole groups in each, so every line has a segment and together they are one text. Returns its end. */
function lines(writer: Writer, bytes: Uint8Array, from: number, to: number): number {
  let [start, end] = [from, to];
  for (let next = from; next >= 0; next = nextLine(bytes, start, end)) {
    start = next;
    end = runEnd(bytes, start, BASE64);
    const decoded = Buffer.from(Buffer.from(bytes.subarray(start, end)).toString('latin1'), 'base64');
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
  const chars = bytes.subarray(from, to);
  // A path or a name may be glued in front (`/`, `-`, `_` are letters of base64), so every alignment is looked at.
  for (let skip = 0; skip < 4; skip++) {
    if (!looksLikeText(chars, skip)) continue;
    base64(writer, chars.subarray(skip), { from: from + skip, to, units: [3, 4], encoding: 'base64' });
  }
  return nextLine(bytes, from, to) < 0 ? to : lines(writer, bytes, from, to);
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
    const text = Buffer.from(bytes.subarray(from, to)).toString('latin1');
    for (const { index, 0: all } of text.matchAll(SEPARATED)) {
      const step = all.startsWith('0x') ? all.indexOf('0x', 2) : 3;
      hex(writer, bytes, from + index, from + index + all.length, step);
    }
    at = to + 1;
  }
}

/**
 * @param limit - most bytes of output; what is beyond is left out.
 * @returns the decoded runs, or undefined when there are none; `full` = the limit was reached.
 */
export function decodeRuns(bytes: Uint8Array, limit: number): (Decoded & { readonly full: boolean }) | undefined {
  const writer: Writer = { out: new Uint8Array(0), length: 0, limit, full: false, segments: createSegments() };
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
  if (writer.length === 0 && !writer.full) return undefined;
  return { bytes: writer.out.subarray(0, writer.length), segments: writer.segments, full: writer.full };
}
