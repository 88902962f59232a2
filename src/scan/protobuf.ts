import { addSegment, createSegments, type Decoded, type Segments } from './offsets.ts';
import { PRINTABLE } from './stretches.ts';

/**
 * Strings of protocol buffers, bare or framed by gRPC. The byte before each is its length: where that is a letter or a digit (a key of
 * 108 characters has an `l` in front), no boundary of a pattern holds. Only these strings are decoded, the others stand well as they are.
 */
interface Writer {
  out: Uint8Array;
  length: number;
  readonly segments: Segments;
}

const LEAST = 16;
const DEEPEST = 24;
/** Flag and length of a gRPC message. */
const PREFIX = 5;

/** The value of a varint at a place in `at[0]`, which moves behind it; -1 = there is none. */
function varint(bytes: Uint8Array, at: [number], to: number): number {
  let value = 0;
  for (let shift = 1; at[0] < to && shift <= 2 ** 63; shift *= 128) {
    const byte = bytes[at[0]++] as number;
    value += (byte & 0x7f) * shift;
    if (byte < 0x80) return value;
  }
  return -1;
}

function isText(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (PRINTABLE[bytes[i] as number] === 0 && (bytes[i] as number) < 0x80) return false;
  return true;
}

function isWord(byte: number): boolean {
  return (byte >= 48 && byte <= 57) || ((byte | 32) >= 97 && (byte | 32) <= 122);
}

/** Collects the strings between two places; false when these bytes are no message. */
function message(
  bytes: Uint8Array,
  from: number,
  to: number,
  depth: number,
  found: (from: number, to: number) => void,
): boolean {
  const at: [number] = [from];
  while (at[0] < to) {
    const tag = varint(bytes, at, to);
    if (tag < 8) return false;
    const wire = tag & 7;
    if (wire === 0) {
      if (varint(bytes, at, to) < 0) return false;
    } else if (wire === 1) at[0] += 8;
    else if (wire === 5) at[0] += 4;
    else if (wire === 2) {
      const length = varint(bytes, at, to);
      const end = at[0] + length;
      if (length < 0 || end > to) return false;
      if (isText(bytes, at[0], end)) {
        if (length >= LEAST && isWord(bytes[at[0] - 1] as number)) found(at[0], end);
      } else if (depth < DEEPEST) message(bytes, at[0], end, depth + 1, found);
      at[0] = end;
    } else return false;
  }
  return at[0] === to;
}

/** Undefined when the bytes are no protocol buffers, or nothing of them needs it. */
export function fromProtobuf(bytes: Uint8Array): Decoded | undefined {
  const first = bytes[0];
  // Text begins with neither; a line end may, and is then no message to its end.
  if (first === undefined || first >= 0x20 || bytes.length < LEAST) return undefined;
  const places: number[] = [];
  const found = (from: number, to: number): void => void places.push(from, to);
  if (first <= 1) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + PREFIX <= bytes.length && (bytes[at] as number) <= 1; ) {
      const length = view.getUint32(at + 1);
      const end = Math.min(bytes.length, at + PREFIX + length);
      if (bytes[at] === 0 && length > 0) message(bytes, at + PREFIX, end, 0, found);
      at = end;
    }
  } else if (!message(bytes, 0, bytes.length, 0, found)) return undefined;
  return places.length === 0 ? undefined : written(bytes, places);
}

function written(bytes: Uint8Array, places: readonly number[]): Decoded {
  let total = 0;
  for (let i = 0; i < places.length; i += 2) total += (places[i + 1] as number) - (places[i] as number) + 1;
  const writer: Writer = { out: new Uint8Array(total), length: 0, segments: createSegments() };
  for (let i = 0; i < places.length; i += 2) {
    const [from, to] = [places[i] as number, places[i + 1] as number];
    addSegment(writer.segments, writer.length, [from, to], [1, 1], 'protobuf');
    writer.out.set(bytes.subarray(from, to), writer.length);
    writer.length += to - from;
    // A line end, so that nothing matches across two strings.
    addSegment(writer.segments, writer.length, [to, to], [1, 1]);
    writer.out[writer.length++] = 10;
  }
  return { bytes: writer.out, segments: writer.segments };
}
