import type { Found } from '../model/scan.ts';
import type { Held } from './held.ts';
import { cutsFor } from './label.ts';
import type { RedactorOptions } from './redactor-contract.ts';

/** Takes what waits up to `limit`, or the end of a place that goes beyond it, with labels in place of what is found there. */
export function rewritten(
  held: Held,
  { format, fixed, scan, what }: RedactorOptions,
  places: readonly Found[],
  limit: number,
): Buffer {
  const { base } = held;
  const bytes = held.until(held.end);
  const clean = (from: number, to: number): boolean => scan.scan(what, bytes.subarray(from, to)).found.length === 0;
  const parts: Buffer[] = [];
  let at = held.gone - base;
  for (const { start, end, label } of places) {
    const place = { bytes, start: Math.max(start, at), end, floor: at, whole: held.begins, clean };
    for (const cut of cutsFor(place, label, format, fixed)) {
      const gone = Math.max(0, at - cut.start);
      parts.push(Buffer.from(bytes.subarray(at, cut.start)), fixed ? cut.text.subarray(gone) : cut.text);
      at = Math.max(at, cut.end);
    }
  }
  const end = Math.max(at, limit - base);
  parts.push(Buffer.from(bytes.subarray(at, end)));
  held.gone = end + base;
  return Buffer.concat(parts);
}
