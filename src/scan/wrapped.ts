import { addSegment, createSegments, type Decoded, type Segments } from './offsets.ts';
import { PRINTABLE } from './stretches.ts';

/**
 * Texts in a wrapping that is none of their alphabet: UTF-16, where every second byte is zero, and quoted-printable (RFC 2045 §6.7),
 * whose lines are broken at 76 characters. Both are known by a pair of bytes, so that what has none costs one search for them.
 */
interface Writer {
  out: Uint8Array;
  length: number;
  readonly segments: Segments;
}

const LINE_END = 10;
const EQUALS = 0x3d;
const RETURN = 13;

function room(writer: Writer, more: number): void {
  if (writer.length + more <= writer.out.length) return;
  const larger = new Uint8Array(Math.max(4096, (writer.length + more) * 2));
  larger.set(writer.out.subarray(0, writer.length));
  writer.out = larger;
}

/** A line end, so that nothing matches across two stretches. */
function close(writer: Writer, source: number): void {
  room(writer, 1);
  addSegment(writer.segments, writer.length, [source, source], [1, 1]);
  writer.out[writer.length++] = LINE_END;
}

function decoded(writer: Writer): Decoded | undefined {
  if (writer.length === 0) return undefined;
  return { bytes: writer.out.subarray(0, writer.length), segments: writer.segments };
}

function view(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Characters in a row that are worth a look. */
const LEAST_WIDE = 8;

function wide(writer: Writer, bytes: Uint8Array, from: number, characters: number, at: 0 | 1): void {
  room(writer, characters);
  addSegment(writer.segments, writer.length, [from, from + characters * 2], [1, 2], 'utf-16');
  for (let i = 0; i < characters; i++) writer.out[writer.length++] = bytes[from + 2 * i + at] as number;
  close(writer, from + characters * 2);
}

/** Characters of printable ASCII from a place on, each beside a zero: `at` = 0 when it stands before it. */
function run(bytes: Uint8Array, from: number, at: 0 | 1): number {
  let end = from;
  while (end + 1 < bytes.length && bytes[end + 1 - at] === 0 && PRINTABLE[bytes[end + at] as number] === 1) end += 2;
  return (end - from) / 2;
}

/** Printable ASCII in UTF-16, in either byte order; undefined when there is none. */
export function fromUtf16(bytes: Uint8Array): Decoded | undefined {
  const all = view(bytes);
  let zero = all.indexOf(0);
  if (zero < 0) return undefined;
  const writer: Writer = { out: new Uint8Array(0), length: 0, segments: createSegments() };
  while (zero >= 0) {
    // Which order it is only the first character could tell: with a letter of something else in front both read as text.
    const little = zero > 0 ? run(bytes, zero - 1, 0) : 0;
    const big = run(bytes, zero, 1);
    if (little >= LEAST_WIDE) wide(writer, bytes, zero - 1, little, 0);
    if (big >= LEAST_WIDE) wide(writer, bytes, zero, big, 1);
    let next = Math.max(zero + 1, zero - 1 + 2 * little, zero + 2 * big);
    while (bytes[next] === 0 && bytes[next + 1] === 0) next++;
    zero = all.indexOf(0, next);
  }
  return decoded(writer);
}

/** Text around a broken line that is read again. */
const AROUND = 512;

/** Length of the soft line break at a place: 0 = none is there. */
function softBreak(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== EQUALS) return 0;
  if (bytes[at + 1] === LINE_END) return 2;
  return bytes[at + 1] === RETURN && bytes[at + 2] === LINE_END ? 3 : 0;
}

function digit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 48 && byte <= 57) return byte - 48;
  // Upper case only (RFC 2045 §6.7 (1)): lower case stands in assignments.
  return byte >= 65 && byte <= 70 ? byte - 55 : -1;
}

function unfold(writer: Writer, bytes: Uint8Array, from: number, to: number): void {
  let done = from;
  const copy = (end: number): void => {
    if (end <= done) return;
    room(writer, end - done);
    addSegment(writer.segments, writer.length, [done, end], [1, 1]);
    writer.out.set(bytes.subarray(done, end), writer.length);
    writer.length += end - done;
  };
  for (let at = from; at < to; at++) {
    if (bytes[at] !== EQUALS) continue;
    const soft = softBreak(bytes, at);
    const high = digit(bytes[at + 1]);
    const low = digit(bytes[at + 2]);
    if (soft === 0 && (high < 0 || low < 0)) continue;
    copy(at);
    done = at + (soft || 3);
    addSegment(writer.segments, writer.length, [at, done], [soft === 0 ? 1 : 0, done - at], 'quoted-printable');
    if (soft === 0) {
      room(writer, 1);
      writer.out[writer.length++] = high * 16 + low;
    }
    at = done - 1;
  }
  copy(to);
  close(writer, to);
}

/** As the head of a part names it. They begin with rare letters, which is what such a search takes its time from. */
const NAMES = ['quoted-printable', 'Quoted-Printable'].map((name) => Buffer.from(name));
/** Lines looked at for a soft break where no head names the encoding: in such a text nearly every line ends in one. */
const LINES = 32;

/** Equals signs stand in every text, so that a search for those at a line end costs more than all the rest. */
function mayBeFolded(all: Buffer): boolean {
  let at = -1;
  for (let line = 0; line < LINES; line++) {
    at = all.indexOf(LINE_END, at + 1);
    if (at < 0) return false;
    if (all[at - 1] === EQUALS || (all[at - 1] === RETURN && all[at - 2] === EQUALS)) return true;
  }
  return NAMES.some((name) => all.includes(name));
}

const SOFT_BREAKS = [Buffer.from('=\n'), Buffer.from('=\r\n')];

/** Text around soft line breaks, with them and `=XX` undone; undefined when there is no such line break. */
export function fromQuotedPrintable(bytes: Uint8Array): Decoded | undefined {
  const all = view(bytes);
  if (!mayBeFolded(all)) return undefined;
  const writer: Writer = { out: new Uint8Array(0), length: 0, segments: createSegments() };
  const places = SOFT_BREAKS.map((soft) => all.indexOf(soft));
  // Each is looked for from where it was found: an equals sign stands in every line of code, and a search costs to be called.
  const next = (from: number): number => {
    let first = -1;
    SOFT_BREAKS.forEach((soft, i) => {
      if ((places[i] as number) >= 0 && (places[i] as number) < from) places[i] = all.indexOf(soft, from);
      const place = places[i] as number;
      if (place >= 0 && (first < 0 || place < first)) first = place;
    });
    return first;
  };
  for (let at = next(0); at >= 0; ) {
    const from = Math.max(0, at - AROUND);
    let to = at + AROUND;
    for (at = next(at + 1); at >= 0 && at - AROUND <= to; at = next(at + 1)) to = at + AROUND;
    unfold(writer, bytes, from, Math.min(bytes.length, to));
  }
  return decoded(writer);
}
