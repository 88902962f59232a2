import type { Finding } from '../model/finding.ts';
import { DAY, HOUR, quietFinding } from './baseline-words.ts';

/** How an agent is heard of in this process. Times epoch ms. */
export interface Hearing {
  readonly since: number;
  last: number;
  /** Longest pause so far. */
  longest: number;
  told: boolean;
}

/** Far longer than ever: this many times the longest pause. */
const FACTOR = 4;
/** Nothing is said about an agent watched for less: it has not shown its nights. */
const WATCHED = DAY;

export function newHearing(now: number): Hearing {
  return { since: now, last: now, longest: 0, told: false };
}

/** A sign of life; on the hot path. */
export function hear(hearing: Hearing, now: number): void {
  const pause = now - hearing.last;
  if (pause > hearing.longest) hearing.longest = pause;
  if (pause > 0) hearing.last = now;
  hearing.told = false;
}

/** An agent that fell silent may have found another way out (product.md §6). Told once per silence. */
export function silence(agent: string, hearing: Hearing, now: number): Finding | undefined {
  if (hearing.told || hearing.last - hearing.since < WATCHED) return undefined;
  const quiet = now - hearing.last;
  if (quiet < HOUR || quiet < hearing.longest * FACTOR) return undefined;
  hearing.told = true;
  return quietFinding(agent, quiet, hearing.longest);
}
