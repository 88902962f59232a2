import type { Found } from '../model/scan.ts';
import { merged } from './held.ts';
import { cutsFor } from './label.ts';

/**
 * A message with labels in place of what was found. JSON stays JSON.
 * @param fixed - as long as it was: binary messages may say their own lengths inside.
 * @param isClean - nothing is found in these bytes by themselves.
 */
export function replaceFound(
  text: Buffer,
  places: readonly Found[],
  fixed: boolean,
  isClean: (bytes: Buffer) => boolean,
): Buffer {
  const clean = (from: number, to: number): boolean => isClean(text.subarray(from, to));
  const parts: Buffer[] = [];
  let at = 0;
  for (const { start, end, label } of merged(places)) {
    const place = { bytes: text, start: Math.max(start, at), end, floor: at, whole: true, clean };
    for (const cut of cutsFor(place, label, 'json', fixed)) {
      parts.push(text.subarray(at, cut.start), cut.text);
      at = cut.end;
    }
  }
  parts.push(text.subarray(at));
  return Buffer.concat(parts);
}
