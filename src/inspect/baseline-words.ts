import { hostPort } from '../model/destination.ts';
import type { Disposition, Finding, Severity } from '../model/finding.ts';

/** Milliseconds. */
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
/** Hosts a digest names before it only counts. */
const LISTED = 20;

/** A length of time for people. */
export function span(ms: number): string {
  if (ms < HOUR) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} days`;
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
  return finding('not-in-baseline', severity, disposition, `${hostPort(host, port)} is not in ${agent}'s baseline`);
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

export function bytesOutInDayFinding(host: string, bytes: number, most: number): Finding {
  const usual = `this agent has never sent more than ${most} bytes there in a day`;
  return finding('bytes-out', 'medium', 'flag', `${bytes} bytes sent to ${host} in one day: ${usual}`);
}

export function generatedFinding(host: string): Finding {
  return finding('generated-name', 'low', 'flag', `${host} looks computed rather than chosen: it may carry data`);
}

export function quietFinding(agent: string, quiet: number, longest: number): Finding {
  const message = `${agent} has been quiet for ${span(quiet)}, far longer than ever (${span(longest)}): it may have found another way out`;
  return finding('silence', 'low', 'flag', message);
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
