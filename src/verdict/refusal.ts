import type { Answer } from '../model/answer.ts';
import { hostPort } from '../model/destination.ts';
import type { Finding, Mode } from '../model/finding.ts';
import { printable } from '../model/printable.ts';
import { answer } from './answer.ts';

export interface RefusalFacts {
  /** The finding that decides (`deciding`). */
  readonly finding: Finding;
  readonly destination: { readonly host: string; readonly port: number };
  readonly agent: string;
  readonly mode: Mode;
  /** What people quote (`refOf`). */
  readonly ref: string;
  /** 403 unless the finding or the reason asks for another one. */
  readonly status?: number;
  /** Display names of the patterns found, for `credential-leak`. */
  readonly patterns?: readonly string[];
}

/** The body every refusal has; `error`, `action` and `patterns` are Strathon's keys (strathon-compat §1.3, §6.13). */
export interface RefusalBody {
  readonly error: string;
  readonly action: string;
  readonly patterns?: readonly string[];
  readonly rule: string;
  readonly reason: string;
  readonly destination: string;
  readonly agent: string;
  readonly mode: Mode;
  /** What the agent is to do instead, in the words of a policy (`steer`). */
  readonly replacement?: string;
  readonly next: string;
  readonly ref: string;
}

/** Host names reach a language model through this text: enough to recognise one, too little for a paragraph. */
const HOST_MAX = 80;
const AGENT_MAX = 63;

const ACTIONS: ReadonlyMap<string, string> = new Map([
  ['policy-throttle', 'throttle'],
  ['rate-limit', 'throttle'],
  ['data-budget', 'throttle'],
  ['policy-approval-required', 'require_approval'],
  ['policy-steer-unenforceable', 'steer'],
]);

/** The answer to a blocked exchange (product.md §7 "A block must be read"). */
export function refusal(facts: RefusalFacts): Answer {
  const { finding, ref } = facts;
  const header = finding.blockReason ?? 'policy';
  const rule = printable(finding.rule, 100);
  const agent = printable(facts.agent, AGENT_MAX);
  const host = shown(facts.destination.host);
  const reason = reasonOf(finding, host, agent);
  const body: RefusalBody = {
    error: errorOf(header, facts, rule, reason),
    action: ACTIONS.get(header) ?? 'block',
    ...(facts.patterns === undefined ? {} : { patterns: facts.patterns.map((name) => printable(name, 100)) }),
    rule,
    reason,
    destination: hostPort(host, facts.destination.port),
    agent,
    mode: facts.mode,
    ...(finding.policy?.replacement === undefined ? {} : { replacement: printable(finding.policy.replacement, 500) }),
    next: nextOf(header, rule, host, agent, ref),
    ref,
  };
  const extra: [string, string][] = [['x-strathon-block-reason', printable(header, 60)]];
  if (isThrottle(header)) extra.push(['retry-after', String(finding.retryAfter ?? 60)]);
  return answer(statusOf(facts, header), `Blocked by Weir: ${reason} (ref ${ref})`, body, ref, extra);
}

function statusOf(facts: RefusalFacts, header: string): number {
  if (facts.status !== undefined) return facts.status;
  if (facts.finding.absolute !== undefined) return facts.finding.absolute.status;
  if (facts.finding.policy?.status !== undefined) return facts.finding.policy.status;
  return isThrottle(header) ? 429 : 403;
}

function isThrottle(header: string): boolean {
  return header === 'policy-throttle' || header === 'rate-limit' || header === 'data-budget';
}

function errorOf(header: string, facts: RefusalFacts, rule: string, reason: string): string {
  if (header === 'credential-leak') return 'Blocked by Strathon: credentials detected in request body';
  if (header === 'policy' || header.startsWith('policy-')) {
    return `Blocked by policy: ${facts.finding.policy === undefined ? rule : printable(facts.finding.policy.name, 200)}`;
  }
  return `Blocked by Weir: ${reason}`;
}

/** What happened, in words that fit a status line. The known rules have fixed words, so that no input shapes the sentence. */
function reasonOf(finding: Finding, host: string, agent: string): string {
  switch (finding.rule) {
    case 'destination-not-allowed':
      return `${host} is not allowed for ${agent}`;
    case 'destination-blocked':
      return `${host} is on a block list`;
    case 'first-seen':
    case 'not-in-baseline':
      return `${host} is not in the baseline of ${agent}`;
    case 'name-mismatch':
      return `the names in the request do not agree with ${host}`;
    case 'opaque-protocol':
      return `the tunnel to ${host} carries a protocol Weir cannot read`;
    case 'data-in-name':
      return 'the host name looks like data on its way out';
    case 'internal-address':
    case 'metadata-address':
    case 'dns-rebinding':
      return `${host} leads to an address that is not public`;
    case 'self-target':
      return 'the target is Weir itself';
    case 'inspector-failed':
      return 'the request could not be inspected';
    default:
      return printable(finding.message, 120);
  }
}

/** One sentence for the agent: what to do instead of trying again. */
function nextOf(header: string, rule: string, host: string, agent: string, ref: string): string {
  const tell = `tell the user: weir policy explain ${ref}`;
  if (header === 'policy-approval-required') {
    return `A person has to approve this. Do not look for another way; tell the user: weir approve ${ref}, then try once more.`;
  }
  if (header === 'policy-steer-unenforceable') {
    return `A policy wants you to do something else: see replacement, else ask the user. Do not repeat this request; ${tell}`;
  }
  if (isThrottle(header)) return `Too many requests. Wait as long as Retry-After says, then go on; ${tell}`;
  if (header === 'credential-leak') {
    return `The request carries a secret that must not leave. Do not send it again in any form; ${tell}`;
  }
  switch (rule) {
    case 'destination-not-allowed':
      return `This destination is not on ${agent}'s list. Do not retry or look for another way; ${tell}`;
    case 'destination-blocked':
      return `This destination is on a block list. Do not retry or look for another way; ${tell}`;
    case 'first-seen':
    case 'not-in-baseline':
      return `${agent} has never used this destination. Do not retry or look for another way; tell the user: weir baseline accept ${agent} ${host}`;
    case 'self-target':
      return 'This address is the proxy itself, not a server. Use the address of the server you want to reach.';
    default:
      return `Do not retry or look for another way; ${tell}`;
  }
}

function shown(host: string): string {
  return printable(host, HOST_MAX);
}
