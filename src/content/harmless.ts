import type { Found } from '../model/scan.ts';
import type { Held } from './held.ts';
import type { RedactorOptions } from './redactor-contract.ts';

/** How far what waits may go when its body breaks off there: all, but for what may begin something that stops a body. */
export function harmless(held: Held, options: Pick<RedactorOptions, 'act' | 'scan' | 'what'>): number {
  const { scan, what, act } = options;
  const { base, end, gone } = held;
  const stops = (found: Found): boolean => act(found) === 'stop';
  const bytes = held.until(end);
  // What is whole without an end is told, and stops it.
  if (scan.scan(what, bytes).found.some((one) => one.end + base > gone && stops(one))) return end;
  return Math.min(scan.part(what, bytes, stops).worth + base, end);
}
