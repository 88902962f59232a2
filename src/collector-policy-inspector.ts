import { raiseFlags, wantsRedaction } from './inspect/leak-rules.ts';
import type { Exchange } from './model/exchange.ts';
import type { Disposition, Finding, FindingPolicy, Severity } from './model/finding.ts';
import type { Inspector } from './model/ports.ts';
import type { Attributes } from './policy/cel-context.ts';
import { type Decision, type Doors, decide, type PolicyError, UNLOADED } from './policy/decide.ts';
import { decideEarly } from './policy/early.ts';
import { factsOf } from './policy/facts.ts';
import type { Policy, PolicySet } from './policy/policy.ts';

/** What happened to a policy, for `weir policy list`. */
export interface Tally {
  matched(policy: Policy): void;
  shadowMatched(policy: Policy): void;
  failed(error: PolicyError): void;
  notApplicable(error: PolicyError): void;
}

export interface PolicyStage {
  /** The policies of this set of stages; undefined = a receiver is configured and nothing was ever loaded: fail closed. */
  readonly set: PolicySet | undefined;
  readonly onAbsent: 'not-applicable' | 'block';
  readonly throttleStatus: 403 | 429;
  readonly tally: Tally;
  /** Seconds to wait; takes a token. */
  throttled(policy: Policy, agent: string): number;
  approved(policy: Policy, exchange: Exchange): boolean;
  /** A person will have to approve this. */
  asked(policy: Policy, exchange: Exchange): void;
  /** An `alert` matched. */
  alerted?(policy: Policy, exchange: Exchange): void;
  /** What an exchange does not hold itself. */
  more(exchange: Exchange, facts: { readonly protocol?: string }): Attributes;
  /** The set without policies on what is said in LLM calls, and whether a request is such a call: those are asked later. */
  readonly unsaid?: PolicySet | undefined;
  saidLater?(exchange: Exchange): boolean;
  /** TLS inside this CONNECT is to be read. */
  readsTls(exchange: Exchange): boolean;
}

const NONE: readonly Finding[] = [];
const PLAIN_PORT = 80;

/**
 * Policies in the traffic's way (product.md §8). A request is asked once, after every other inspector and the baseline. So is a
 * CONNECT whose content stays closed; one that is going to be read is stopped only by what no request inside could change, and
 * asked for good when it turns out to stay closed.
 */
export function policyInspectors(stage: PolicyStage): readonly Inspector[] {
  /** CONNECTs that were asked already: a second look at them, by what they turned out to carry, counts nothing twice. */
  const seen = new WeakSet<Exchange>();
  return [
    {
      id: 'policy',
      phase: 'policy',
      inspect(exchange) {
        if (willRead(stage, exchange)) return early(stage, exchange);
        if (exchange.kind === 'connect') seen.add(exchange);
        const findings = asked(stage, exchange, {}, isUnderWay(exchange));
        if (wantsRedaction(findings)) raiseFlags(exchange.findings);
        return findings;
      },
    },
    {
      id: 'policy',
      phase: 'tls',
      inspect(exchange, { tls, protocol }) {
        if (exchange.kind === 'exchange') return NONE;
        if (tls === undefined ? isRead(protocol ?? '') : stage.readsTls(exchange)) return NONE;
        const known = new Set(exchange.findings.map(({ rule }) => rule));
        const found = asked(stage, exchange, protocol === undefined ? {} : { protocol }, seen.has(exchange));
        return found.filter(({ rule }) => !known.has(rule));
      },
    },
  ];
}

function willRead(stage: PolicyStage, exchange: Exchange): boolean {
  return exchange.kind === 'connect' && (exchange.destination.port === PLAIN_PORT || stage.readsTls(exchange));
}

/** Nothing yet, or exchanges that are asked one by one. */
function isRead(protocol: string): boolean {
  return protocol === '' || protocol === 'silence' || protocol === 'http/1.1' || protocol === 'h2';
}

/** @param again it was admitted before: nothing is counted, and no token is taken for it */
function asked(
  stage: PolicyStage,
  exchange: Exchange,
  facts: { readonly protocol?: string },
  again: boolean,
): readonly Finding[] {
  const set = stage.saidLater?.(exchange) ? stage.unsaid : stage.set;
  if (set === undefined) return findingsOf(UNLOADED);
  if (set.policies.length === 0 && set.defaultAction === 'allow') return NONE;
  const { agent } = exchange.identity;
  const doors: Doors = {
    throttled: (policy) => (again ? 0 : stage.throttled(policy, agent)),
    approved: (policy) => stage.approved(policy, exchange),
  };
  const seen = factsOf(exchange, exchange.startedAt, stage.more(exchange, facts));
  const { onAbsent, throttleStatus } = stage;
  const decision = decide(set, seen, doors, { onAbsent, throttleStatus });
  if (!again) tallied(stage, exchange, decision);
  return findingsOf(decision);
}

/** Counts a decision and tells who must know of it. */
export function tallied(stage: PolicyStage, exchange: Exchange, decision: Decision): void {
  count(stage.tally, decision);
  if (stage.alerted !== undefined) {
    for (const policy of decision.matched) if (policy.action === 'alert') stage.alerted(policy, exchange);
  }
  if (decision.answer?.action === 'require_approval' && decision.policy !== undefined) {
    stage.asked(decision.policy, exchange);
  }
}

function count(tally: Tally, decision: Decision): void {
  for (const policy of decision.matched) tally.matched(policy);
  for (const policy of decision.shadowMatched) tally.shadowMatched(policy);
  for (const error of decision.errors) tally.failed(error);
  for (const error of decision.notApplicable) tally.notApplicable(error);
}

function early(stage: PolicyStage, exchange: Exchange): readonly Finding[] {
  const { set, tally } = stage;
  if (set === undefined) return findingsOf(UNLOADED);
  const decision = decideEarly(set, factsOf(exchange, exchange.startedAt, stage.more(exchange, {})));
  if (decision === undefined) return NONE;
  if (!isUnderWay(exchange)) count(tally, decision);
  return findingsOf(decision);
}

function isUnderWay({ kind, sentMono, status }: Exchange): boolean {
  return kind === 'tunnel' || sentMono !== undefined || status !== undefined;
}

/** Finding rules of policies begin with this: no policy can be called like a rule of ours. */
export const POLICY_RULE = 'policy:';

/** A decision as findings: the one that decides, those that only record, and what shadows would have done. */
export function findingsOf(decision: Decision): readonly Finding[] {
  const findings: Finding[] = [];
  const { decidedBy, disposition } = decision;
  if (decidedBy !== undefined && (disposition === 'block' || disposition === 'redact'))
    findings.push(deciding(decision));
  for (const policy of decision.matched) {
    if (policy.action === 'log') findings.push(recorded(policy, 'allow', 'info', 'matches'));
    else if (policy.action === 'alert') findings.push(recorded(policy, 'flag', 'medium', 'raises an alert'));
  }
  for (const policy of decision.shadowMatched) {
    const finding = recorded(policy, 'allow', 'info', `(shadow) would ${WOULD[policy.action]}`);
    findings.push({ ...finding, policy: { ...naming(policy), shadow: true } });
  }
  return findings;
}

function deciding({ decidedBy, policy, disposition, answer, errors, notApplicable }: Decision): Finding {
  const name = decidedBy as string;
  const own = policy !== undefined && policy.name === name ? policy : undefined;
  const named: FindingPolicy = {
    id: own?.id ?? name,
    name,
    action: answer?.action ?? 'redact',
    ...(answer === undefined ? {} : { status: answer.status }),
    ...(answer?.replacement === undefined ? {} : { replacement: answer.replacement }),
  };
  const broken = [...errors, ...notApplicable].find((error) => error.policy === policy);
  return {
    inspector: 'policy',
    rule: `${POLICY_RULE}${name}`,
    severity: 'high',
    disposition: disposition === 'redact' ? 'redact' : 'block',
    message: messageOf(name, answer, broken),
    ...(answer === undefined ? {} : { blockReason: answer.blockReason }),
    ...(answer?.retryAfter === undefined ? {} : { retryAfter: answer.retryAfter }),
    policy: named,
  };
}

function messageOf(name: string, answer: Decision['answer'], broken: PolicyError | undefined): string {
  if (name === '_default_deny') return 'no policy allows this request';
  if (name === '_fail_closed_unloaded') return 'the policies have not been loaded yet';
  if (name === '_fail_closed')
    return `policy ${JSON.stringify(broken?.policy.name ?? '')} could not be evaluated: ${broken?.reason ?? 'an error'}`;
  if (answer?.message !== undefined) return answer.message;
  if (answer === undefined) return `policy ${JSON.stringify(name)} takes out what patterns find`;
  if (answer.retryAfter !== undefined)
    return `policy ${JSON.stringify(name)} allows no more for ${answer.retryAfter} s`;
  return `policy ${JSON.stringify(name)} ${SAYS[answer.action]}`;
}

const SAYS = {
  block: 'does not allow this',
  throttle: 'allows no more for now',
  require_approval: 'asks for the approval of a person',
  steer: 'asks to do something else',
} as const;

const WOULD: Readonly<Record<Policy['action'], string>> = {
  log: 'record this',
  alert: 'raise an alert',
  redact: 'redact',
  block: 'block',
  throttle: 'throttle',
  steer: 'steer',
  require_approval: 'ask for approval',
  allow: 'allow',
};

function naming({ id, name, action }: Policy): FindingPolicy {
  return { id, name, action };
}

function recorded(policy: Policy, disposition: Disposition, severity: Severity, text: string): Finding {
  return {
    inspector: 'policy',
    rule: `${POLICY_RULE}${policy.name}`,
    severity,
    disposition,
    message: `policy ${JSON.stringify(policy.name)} ${text}`,
    policy: naming(policy),
  };
}
