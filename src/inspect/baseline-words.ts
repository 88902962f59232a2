import type { Disposition, Finding, Severity } from '../model/finding.ts';
import type { AgentIndex } from './baseline-index.ts';
import { entries } from './baseline-index.ts';

export interface Readiness {
  readonly readyAfterRequests: number;
  readonly readyAfterHours: number;
  readonly learningMaxDays: number;
}

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
const MONTHS: readonly string[] = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** Hosts a digest names before it only counts. */
const LISTED = 20;

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
  if (ms < 60_000) return 'just now';
  if (ms < HOUR) return `${Math.floor(ms / 60_000)} min ago`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h ago`;
  return `${Math.floor(ms / DAY)} days ago`;
}

/** `27 Nov`, UTC like every time Weir writes. */
function day(at: number): string {
  const date = new Date(at);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

function finding(rule: string, severity: Severity, disposition: Disposition, message: string): Finding {
  const base = { inspector: 'baseline', rule, severity, disposition, message };
  return disposition === 'block' ? { ...base, blockReason: 'baseline' } : base;
}

/** Wording shared with tools that search for it. Graded at close by what left. */
export function firstSeenFinding(host: string): Finding {
  return finding('first-seen', 'info', 'flag', `this agent reached a destination it has never connected to (${host})`);
}

const SIBLING = ', beside others of ';

/** A new name under a registrable domain the agent knows: lesser news. */
export function siblingFinding(host: string, domain: string): Finding {
  return finding(
    'first-seen',
    'info',
    'flag',
    `this agent reached a destination it has never connected to (${host}${SIBLING}${domain})`,
  );
}

export function isSibling(finding: Finding): boolean {
  return finding.message.includes(SIBLING);
}

/** `baseline.on_unknown: block`, and every repeat while an agent is locked. High when it blocks, so that it never teaches. */
export function unknownFinding(agent: string, host: string, port: number, disposition: 'flag' | 'block'): Finding {
  const severity = disposition === 'block' ? 'high' : 'low';
  return finding('not-in-baseline', severity, disposition, `${host}:${port} is not in ${agent}'s baseline`);
}

/** First contact where unknown destinations are blocked. */
export function blockedContact(host: string): Finding {
  return finding('first-seen', 'high', 'block', `this agent tried a destination it has never connected to (${host})`);
}

export function newPortFinding(host: string, port: number): Finding {
  return finding('new-port', 'low', 'flag', `this agent knows ${host}, but has never used port ${port} there`);
}

export function newMethodFinding(host: string, method: string): Finding {
  return finding('new-method', 'info', 'flag', `this agent has never used ${method} at ${host}`);
}

export function floodFinding(agent: string, bound: number): Finding {
  return finding(
    'destination-flood',
    'medium',
    'flag',
    `${agent} has reached more than ${bound} destinations; further ones are counted by domain`,
  );
}

export function agentFinding(agent: string): Finding {
  return finding('agent-first-seen', 'low', 'flag', `first appearance of ${agent}, a name nobody configured`);
}

export function bytesOutFinding(host: string, bytes: number, usual: number): Finding {
  return finding(
    'bytes-out',
    'medium',
    'flag',
    `${bytes} bytes sent to ${host} at once, far beyond the ${usual} bytes usual for this agent`,
  );
}

/** The hour's first contacts beyond the twentieth, in one finding. */
export function digestFinding(hosts: readonly string[], total: number): Finding {
  const listed = hosts.slice(0, LISTED).join(', ');
  const more = total > LISTED ? ` and ${total - LISTED} more` : '';
  return finding(
    'first-seen-digest',
    'medium',
    'flag',
    `this agent reached ${total} more destinations it has never connected to within an hour (${listed}${more})`,
  );
}
