import type { AgentIndex } from './baseline-index.ts';
import { entries } from './baseline-index.ts';
import { DAY, HOUR, span } from './baseline-words.ts';

/** When learning ends (`baseline:` of the configuration). */
export interface Readiness {
  readonly readyAfterRequests: number;
  readonly readyAfterHours: number;
  readonly learningMaxDays: number;
}

const MONTHS: readonly string[] = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** Enough requests and long enough without a new destination. */
export function isSettled(index: AgentIndex, r: Readiness, now: number): boolean {
  return index.requests >= r.readyAfterRequests && now - index.lastNewAt >= r.readyAfterHours * HOUR;
}

/** Learning has a ceiling, or an agent could learn for ever (threat model O10). */
export function isOverdue(index: AgentIndex, r: Readiness, now: number): boolean {
  return now - index.firstSeen >= r.learningMaxDays * DAY;
}

/** The state, stated (product.md §6): what is known, and when and why it changes. */
export function sentence(index: AgentIndex, r: Readiness, now: number): string {
  const known = `${count(index.requests, 'request')}, ${count(index.known, 'destination')}`;
  const last = index.known === 0 ? '' : `, last new one ${ago(now - index.lastNewAt)}`;
  if (index.locked) return `${index.agent}: locked, ${known}; nothing new is learned`;
  if (index.state === 'learning') {
    const rule = `ready after ${count(r.readyAfterRequests, 'request')} and ${r.readyAfterHours} h without a new one`;
    return `${index.agent}: learning, ${known}${last}; ${rule}, at the latest on ${day(index.firstSeen + r.learningMaxDays * DAY)}`;
  }
  const rate = newPerDay(index, now);
  const diverse = rate >= 1 && !isSettled(index, r, now) && isOverdue(index, r, now);
  if (diverse) return `${index.agent}: ready, diverse: about ${rate} new a day, ${known}${last}`;
  return `${index.agent}: ready, ${known}${last}`;
}

function newPerDay(index: AgentIndex, now: number): number {
  const days = Math.min(7, Math.max(1, (now - index.firstSeen) / DAY));
  let fresh = 0;
  for (const entry of entries(index)) {
    if (entry.status === 'learned' && entry.firstSeen > now - days * DAY) fresh++;
  }
  return Math.round(fresh / days);
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

function ago(ms: number): string {
  return ms < 60_000 ? 'just now' : `${span(ms)} ago`;
}

/** `27 Nov`, UTC like every time Weir writes. */
function day(at: number): string {
  const date = new Date(at);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}
