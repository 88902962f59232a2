import type { Found } from '../model/scan.ts';
import type { BodyFormat } from './body-format.ts';
import { JsonText } from './json-place.ts';
import { cutsFor } from './label.ts';

/** Bytes at hand, and what of them goes on. */
export interface Going {
  readonly bytes: Buffer;
  /** What is before it has gone on. */
  readonly from: number;
  /** As far as they go on now; a place that goes beyond it goes on whole. */
  readonly until: number;
  /** They begin with the text. */
  readonly whole: boolean;
  readonly format: BodyFormat;
  /** A label takes as many bytes as what it stands for. */
  readonly fixed: boolean;
}

export interface Rewritten {
  readonly bytes: Buffer;
  /** What is before it has gone on now. */
  readonly end: number;
  /** Labels there are in it. */
  readonly replaced: number;
}

/** What goes on, with labels in place of what was found; overlapping places are one. A copy. Linear in the bytes at hand. */
export function rewritten({ bytes, from, until, whole, format, fixed }: Going, found: readonly Found[]): Rewritten {
  const json = new JsonText(bytes, whole);
  const places = merged(found);
  const parts: Buffer[] = [];
  let at = from;
  for (const { start, end, label } of places) {
    // A label may have taken more than its place: a number goes as a whole.
    if (end <= at) continue;
    for (const cut of cutsFor({ bytes, start: Math.max(start, at), end, floor: at, json }, label, format, fixed)) {
      const gone = Math.max(0, at - cut.start);
      parts.push(bytes.subarray(at, cut.start), fixed ? cut.text.subarray(gone) : cut.text);
      at = Math.max(at, cut.end);
    }
  }
  const end = Math.max(at, until);
  parts.push(bytes.subarray(at, end));
  return { bytes: Buffer.concat(parts), end, replaced: places.length };
}

/** Overlapping places are one. */
function merged(places: readonly Found[]): readonly Found[] {
  const out: Found[] = [];
  for (const place of places) {
    const last = out.at(-1);
    if (last === undefined || place.start >= last.end) out.push(place);
    else if (place.end > last.end) out[out.length - 1] = { ...last, end: place.end };
  }
  return out;
}
