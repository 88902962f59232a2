/**
 * Where decoded bytes came from: segments of the output, each made of units (3 bytes of 4 characters, 1 byte of `%41`). What lies
 * inside a unit has the unit's place, so a mapped range always covers everything it was decoded from.
 */
const ENCODINGS = [
  '',
  'percent',
  'escape',
  'entity',
  'unicode',
  'base64',
  'base32',
  'hex',
  'utf-16',
  'quoted-printable',
  'protobuf',
] as const;
export type Encoding = Exclude<(typeof ENCODINGS)[number], ''>;

/** Six numbers per segment: first byte in the output, in the source, bytes per unit in each, end in the source, encoding. */
export interface Segments {
  list: Int32Array;
  /** Numbers in use. */
  length: number;
}
const STRIDE = 6;

/** Decoded bytes and their origin. The first segment begins at 0. */
export interface Decoded {
  readonly bytes: Uint8Array;
  readonly segments: Segments;
}

/** A range of the source and what was undone to read it. */
export interface Origin {
  readonly start: number;
  readonly end: number;
  readonly encodings: readonly Encoding[];
}

export function createSegments(): Segments {
  return { list: new Int32Array(STRIDE * 16), length: 0 };
}

/**
 * Adds a segment behind the others.
 * @param units - bytes of a unit in the output and in the source.
 * @param encoding - undefined: copied as it stands.
 */
export function addSegment(
  segments: Segments,
  out: number,
  source: readonly [from: number, to: number],
  units: readonly [out: number, source: number],
  encoding?: Encoding,
): void {
  pushSegment(segments, out, source[0], source[1], units[0], units[1], encodingCode(encoding ?? ''));
}

/** What segments know an encoding by; 0 = copied as it stands. */
export function encodingCode(encoding: (typeof ENCODINGS)[number]): number {
  return ENCODINGS.indexOf(encoding);
}

/** As `addSegment`, for where one is added every few bytes. */
export function pushSegment(
  segments: Segments,
  out: number,
  from: number,
  to: number,
  outUnit: number,
  sourceUnit: number,
  encoding: number,
): void {
  if (segments.length === segments.list.length) {
    const larger = new Int32Array(segments.list.length * 2);
    larger.set(segments.list);
    segments.list = larger;
  }
  const { list, length } = segments;
  list[length] = out;
  list[length + 1] = from;
  list[length + 2] = outUnit;
  list[length + 3] = sourceUnit;
  list[length + 4] = to;
  list[length + 5] = encoding;
  segments.length += STRIDE;
}

/** Index of the last segment that begins at or before a byte of the output. */
function at(segments: Segments, out: number): number {
  let low = 0;
  let high = segments.length / STRIDE - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((segments.list[middle * STRIDE] as number) <= out) low = middle;
    else high = middle - 1;
  }
  return low * STRIDE;
}

/**
 * A range of the output as range of the source, with the encodings it passed. It ends where the stretch ends that it begins in: what
 * is behind the line end between two stretches stands somewhere else, with anything in between.
 */
export function originOf({ segments }: Decoded, start: number, to: number): Origin {
  const { list } = segments;
  const value = (index: number): number => list[index] as number;
  const first = at(segments, start);
  let last = at(segments, Math.max(start, to - 1));
  let end = to;
  const encodings = new Set<Encoding>();
  for (let i = first; i <= last; i += STRIDE) {
    const encoding = ENCODINGS[value(i + 5)];
    if (encoding) encodings.add(encoding);
    else if (i > first && value(i + 1) === value(i + 4)) {
      end = value(i);
      last = i - STRIDE;
    }
  }
  const units = Math.floor((end - 1 - value(last)) / value(last + 2)) + 1;
  return {
    start: value(first + 1) + Math.floor((start - value(first)) / value(first + 2)) * value(first + 3),
    end: Math.min(value(last + 4), value(last + 1) + units * value(last + 3)),
    encodings: [...encodings],
  };
}
