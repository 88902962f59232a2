import type { Finding } from '../model/finding.ts';
import type { AgentStat } from '../model/record.ts';
import { DAY, HOUR, quietFinding } from './baseline-words.ts';

/** How an agent is heard of. Times epoch ms. */
export interface Hearing {
  /** First sign of life, of former process lives too. */
  since: number;
  last: number;
  /** Since when this process listens. */
  listening: number;
  /** Longest pause so far. */
  longest: number;
  told: boolean;
}

/** Far longer than ever: this many times the longest pause. */
const FACTOR = 4;
/** Nothing is said about an agent watched for less: it has not shown its nights. */
const WATCHED = DAY;
/** Pauses of former lives are taken to be no longer than this: then a job that comes once a month is not silent in between. */
const PAUSE_MAX = 8 * DAY;

export function newHearing(now: number): Hearing {
  return { since: now, last: now, listening: now, longest: 0, told: false };
}

/** A sign of life; on the hot path. */
export function hear(hearing: Hearing, now: number): void {
  // While Weir was down nobody could be heard.
  const pause = now - Math.max(hearing.last, hearing.listening);
  if (pause > hearing.longest) hearing.longest = pause;
  if (now > hearing.last) hearing.last = now;
  hearing.told = false;
}

/** Goes on from what is stored of former lives, so that a silence does not begin anew with every start. */
export function recall(hearing: Hearing, stat: AgentStat, now: number): void {
  hearing.since = Math.min(hearing.since, stat.firstSeen);
  hearing.last = Math.max(hearing.last, stat.lastSeen);
  hearing.longest = Math.max(hearing.longest, Math.min(longestGap(stat), PAUSE_MAX));
  hearing.listening = now;
  // As long again as it takes to be told: a former life has told it, or was not there to hear.
  hearing.told = now - hearing.last >= 2 * patience(hearing);
}

/** No pause was longer than the longest time without any known sign of life. */
function longestGap({ firstSeen, lastSeen, destinations }: AgentStat): number {
  const signs = [lastSeen];
  for (const stat of destinations) signs.push(stat.firstSeen, stat.lastSeen);
  let longest = 0;
  let before = firstSeen;
  for (const sign of signs.sort((a, b) => a - b)) {
    // Imported destinations have dates of another place.
    if (sign < firstSeen || sign > lastSeen) continue;
    longest = Math.max(longest, sign - before);
    before = sign;
  }
  return longest;
}

/** Whoever rests at night may rest at the weekend, too: until a week is over nobody knows. */
const NIGHT = 6 * HOUR;
const WEEK = 8 * DAY;
const LONG_WEEKEND = 4 * DAY;

function patience({ longest, since, last }: Hearing): number {
  const unknown = longest >= NIGHT && last - since < WEEK ? LONG_WEEKEND : HOUR;
  return Math.max(unknown, longest * FACTOR);
}

/** An agent that fell silent may have found another way out (product.md §6). Told once per silence. */
export function silence(agent: string, hearing: Hearing, now: number): Finding | undefined {
  const { last, longest, listening } = hearing;
  if (hearing.told || last - hearing.since < WATCHED) return undefined;
  const quiet = now - last;
  // It may speak up when Weir is there again.
  if (quiet < patience(hearing) || now - listening < Math.max(HOUR, Math.min(longest, DAY / 2))) return undefined;
  hearing.told = true;
  return quietFinding(agent, quiet, longest);
}
