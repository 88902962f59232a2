import { globText } from '../model/glob.ts';
import { createContext, type Evaluation, evaluate } from './cel.ts';
import type { CelFacts } from './cel-context.ts';
import { type Action, enforces, type Policy, type PolicySet } from './policy.ts';

/** What policies see of a request. `attrs` holds Strathon's names and ours (strathon-compat §1.2). */
export interface PolicyFacts extends CelFacts {
  readonly agent: string;
}

/** What a decision depends on beside the request; asked only for a policy that matches and is next to decide. */
export interface Doors {
  /** Seconds to wait; 0 = admitted, and the next policy is asked. */
  throttled(policy: Policy): number;
  /** A person has approved this; the next policy is asked. */
  approved(policy: Policy): boolean;
}

export interface DecideOptions {
  /**
   * `not-applicable` (default): a policy that reads an attribute this request does not have is reported and passed over.
   * `block`: such a policy blocks when its action stops requests (Strathon's egress proxy; strathon-compat §6.10).
   */
  readonly onAbsent?: 'not-applicable' | 'block';
  /** Status of a throttle, 429; 403 is what Strathon's proxy answers. */
  readonly throttleStatus?: 403 | 429;
}

/** What the agent is answered when the request is stopped; the words are made elsewhere. */
export interface PolicyAnswer {
  readonly status: 403 | 429;
  /** `X-Strathon-Block-Reason` (strathon-compat §1.3). */
  readonly blockReason: 'policy' | 'policy-throttle' | 'policy-approval-required' | 'policy-steer-unenforceable';
  /** `action` of the body. */
  readonly action: 'block' | 'throttle' | 'require_approval' | 'steer';
  /** `action_config.message`. */
  readonly message?: string;
  /** Seconds, for `Retry-After`. */
  readonly retryAfter?: number;
  /** What to do instead. Served inside a 403: a made-up 200 would be taken for the server's word (§6.10). */
  readonly replacement?: string;
  readonly approval?: { readonly timeoutSeconds: number; readonly approversRequired: number };
}

/** A policy that could not be evaluated, and why; holds no value of the request. */
export interface PolicyError {
  readonly policy: Policy;
  readonly reason: string;
  /** The attribute that is not set, where the policy names it. */
  readonly attribute?: string;
}

/** What the policies think of a request, mode-free. */
export interface Decision {
  /** `none`: no policy has anything to say. `allow` ends the asking in both postures. */
  readonly disposition: 'none' | 'allow' | 'redact' | 'block';
  /** Name of the policy that decided, or `_default_deny`, `_fail_closed`, `_fail_closed_unloaded` (§1.3). */
  readonly decidedBy?: string;
  /** The policy itself; undefined for the synthetic names, except the policy whose error closed the door. */
  readonly policy?: Policy;
  /** Set when the disposition is block. */
  readonly answer?: PolicyAnswer;
  /** Everything that matched, in order: those that decide, those that only record, and those that came too late. */
  readonly matched: readonly Policy[];
  /** Shadow policies that would have matched. */
  readonly shadowMatched: readonly Policy[];
  /** Errors, shadow policies' included. */
  readonly errors: readonly PolicyError[];
  /** Policies that read what this request does not have. */
  readonly notApplicable: readonly PolicyError[];
}

type Deciding = Pick<Decision, 'disposition' | 'decidedBy' | 'policy' | 'answer'>;

const BLOCK: PolicyAnswer = { status: 403, blockReason: 'policy', action: 'block' };
const DEFAULT_DENY: Deciding = { disposition: 'block', decidedBy: '_default_deny', answer: BLOCK };

/** When no policies could be loaded since the start: fail closed (strathon-compat §6.9). The mode still caps it. */
export const UNLOADED: Decision = {
  disposition: 'block',
  decidedBy: '_fail_closed_unloaded',
  answer: BLOCK,
  matched: [],
  shadowMatched: [],
  errors: [],
  notApplicable: [],
};

/**
 * Asks every policy, in order. The first that matches and has something to decide decides; `log` and `alert` never do, a throttle that
 * admits and an approval that was given pass on (strathon-compat §1.5 SDK column, §6.4, §6.10). An error in a policy that stops
 * requests closes the door where it stands in the order. Pure but for the doors.
 */
export function decide(set: PolicySet, facts: PolicyFacts, doors: Doors, options: DecideOptions = {}): Decision {
  const context = createContext(facts);
  const segments = `.${facts.name}.`;
  const matched: Policy[] = [];
  const shadowMatched: Policy[] = [];
  const errors: PolicyError[] = [];
  const notApplicable: PolicyError[] = [];
  let deciding: Deciding | undefined;
  for (const policy of set.policies) {
    if (!policy.enabled || !applies(policy, segments, facts.agent)) continue;
    const evaluation = evaluate(policy.compiled, context);
    if (evaluation.outcome === 'NO_MATCH') continue;
    if (evaluation.outcome === 'ERROR') {
      const absent = evaluation.failure.code === 'absent';
      (absent ? notApplicable : errors).push(errorOf(policy, evaluation));
      const strict = !absent || options.onAbsent === 'block';
      if (deciding === undefined && strict && !policy.shadow && enforces(policy.action)) deciding = failClosed(policy);
    } else if (policy.shadow) shadowMatched.push(policy);
    else {
      matched.push(policy);
      deciding ??= VERDICTS[policy.action](policy, doors, options);
    }
  }
  deciding ??= set.defaultAction === 'block' ? DEFAULT_DENY : { disposition: 'none' };
  return { ...deciding, matched, shadowMatched, errors, notApplicable };
}

/** `applies_to` names whole dot segments: `post` and `http` fit `http.post`, `pos` does not (§1.5). */
export function applies(policy: Policy, segments: string, agent: string): boolean {
  if (policy.appliesTo.length > 0 && !policy.appliesTo.some((token) => segments.includes(`.${token}.`))) return false;
  return policy.agents.length === 0 || policy.agents.some((glob) => globText(glob, agent));
}

function errorOf(policy: Policy, { failure }: Evaluation & { readonly outcome: 'ERROR' }): PolicyError {
  const { message, attribute } = failure;
  return attribute === undefined ? { policy, reason: message } : { policy, reason: message, attribute };
}

function failClosed(policy: Policy): Deciding {
  return { disposition: 'block', decidedBy: '_fail_closed', policy, answer: BLOCK };
}

/** What a policy says that matches and stops by itself (block, steer). */
export function stoppedBy(policy: Policy): Decision {
  const deciding = VERDICTS[policy.action](policy, CLOSED, {}) as Deciding;
  return { ...deciding, matched: [policy], shadowMatched: [], errors: [], notApplicable: [] };
}

const CLOSED: Doors = { throttled: () => 1, approved: () => false };

type Verdict = (policy: Policy, doors: Doors, options: DecideOptions) => Deciding | undefined;

/** What a match decides, by action; undefined = nothing, the next policy is asked. */
const VERDICTS: Readonly<Record<Action, Verdict>> = {
  log: () => undefined,
  alert: () => undefined,
  allow: (policy) => ({ disposition: 'allow', decidedBy: policy.name, policy }),
  redact: (policy) => ({ disposition: 'redact', decidedBy: policy.name, policy }),
  block: (policy) => blocked(policy, BLOCK),
  throttle(policy, doors, options) {
    const retryAfter = doors.throttled(policy);
    const status = options.throttleStatus ?? 429;
    const answer = { status, blockReason: 'policy-throttle', action: 'throttle', retryAfter } as const;
    return retryAfter === 0 ? undefined : blocked(policy, answer);
  },
  steer(policy) {
    const { replacement } = policy.config;
    const answer = { status: 403, blockReason: 'policy-steer-unenforceable', action: 'steer' } as const;
    return blocked(policy, replacement === undefined ? answer : { ...answer, replacement });
  },
  require_approval(policy, doors) {
    if (doors.approved(policy)) return undefined;
    const { timeoutSeconds, approversRequired } = policy.config;
    const approval = { timeoutSeconds, approversRequired };
    return blocked(policy, {
      status: 403,
      blockReason: 'policy-approval-required',
      action: 'require_approval',
      approval,
    });
  },
};

function blocked(policy: Policy, answer: PolicyAnswer): Deciding {
  const { message } = policy.config;
  return {
    disposition: 'block',
    decidedBy: policy.name,
    policy,
    answer: message === undefined ? answer : { ...answer, message },
  };
}
