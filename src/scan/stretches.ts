import { addSegment, type Encoding, type Segments } from './offsets.ts';

/** Printable bytes in a row that are worth a look. */
const LEAST_STRETCH = 12;
/** Bytes that decide whether a run is text. */
export const START = 24;
/** Printable ASCII, tab and line ends. */
export const PRINTABLE = new Uint8Array(256).fill(1, 32, 127);
for (const byte of [9, 10, 13]) PRINTABLE[byte] = 1;

/** Value of a base64 or base64url character. */
export const SIX_BITS = new Uint8Array(256);
[...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].forEach((letter, value) => {
  SIX_BITS[letter.charCodeAt(0)] = value;
});
SIX_BITS['-'.charCodeAt(0)] = 62;
SIX_BITS['_'.charCodeAt(0)] = 63;

/** Where short runs are decoded, one at a time. */
const SHORT = 2048;
const short = new Uint8Array(SHORT);

/**
 * What letters of base64 or base64url decode to, the bits of an unfinished group dropped. Short ones without the strings that Node's
 * decoder wants: these cost more than the decoding.
 * @returns valid until the next call.
 */
export function fromBase64(bytes: Uint8Array, from: number, to: number): Uint8Array {
  if (to - from > SHORT) {
    return Buffer.from(
      Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + from, to - from).toString('latin1'),
      'base64',
    );
  }
  let value = 0;
  let bits = 0;
  let length = 0;
  for (let at = from; at < to; at++) {
    value = ((value << 6) | (SIX_BITS[bytes[at] as number] as number)) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    short[length++] = value >>> bits;
  }
  return short.subarray(0, length);
}

/** Collects decoded text. */
export interface Writer {
  out: Uint8Array;
  length: number;
  readonly limit: number;
  full: boolean;
  readonly segments: Segments;
}

/** What one run decodes to: `units` bytes of output for so many of the source from `from` on. */
export interface Source {
  readonly from: number;
  readonly to: number;
  readonly units: readonly [out: number, source: number];
  readonly encoding: Encoding;
}

function room(writer: Writer, bytes: number): boolean {
  writer.full ||= writer.length + bytes > writer.limit;
  if (writer.full) return false;
  if (writer.length + bytes > writer.out.length) {
    const larger = new Uint8Array(Math.max(4096, (writer.length + bytes) * 2));
    larger.set(writer.out.subarray(0, writer.length));
    writer.out = larger;
  }
  return true;
}

/** The byte between two stretches belongs to the end of the first. */
export function close(writer: Writer, source: number): void {
  if (!room(writer, 1)) return;
  addSegment(writer.segments, writer.length, [source, source], [1, 1]);
  writer.out[writer.length++] = 10;
}

/** Bytes `from`..`to` of what a run decoded to; `from` is at a unit. */
export function keep(writer: Writer, decoded: Uint8Array, from: number, to: number, source: Source): void {
  if (!room(writer, to - from)) return;
  const [out, unit] = source.units;
  addSegment(
    writer.segments,
    writer.length,
    [source.from + (from / out) * unit, source.to],
    source.units,
    source.encoding,
  );
  writer.out.set(decoded.subarray(from, to), writer.length);
  writer.length += to - from;
}

/** UTF-8 without control characters, as far as the first bytes tell. */
export function isText(decoded: Uint8Array): boolean {
  let expected = 0;
  for (let i = 0; i < START && i < decoded.length; i++) {
    const byte = decoded[i] as number;
    if (expected > 0) {
      if ((byte & 0xc0) !== 0x80) return false;
      expected--;
    } else if (byte >= 0xc2 && byte <= 0xf4) expected = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
    else if (PRINTABLE[byte] === 0) return false;
  }
  return true;
}

/** Keeps what is text of a decoded run. */
export function keepText(writer: Writer, decoded: Uint8Array, source: Source): void {
  if (isText(decoded)) {
    keep(writer, decoded, 0, decoded.length, source);
    close(writer, source.to);
    return;
  }
  const unit = source.units[0];
  for (let at = LEAST_STRETCH - 1; at < decoded.length; at += LEAST_STRETCH) {
    if (PRINTABLE[decoded[at] as number] === 0) continue;
    let from = at;
    while (from > 0 && PRINTABLE[decoded[from - 1] as number] === 1) from--;
    while (at < decoded.length && PRINTABLE[decoded[at] as number] === 1) at++;
    if (at - from < LEAST_STRETCH) continue;
    keep(writer, decoded, Math.floor(from / unit) * unit, at, source);
    close(writer, source.to);
  }
}
