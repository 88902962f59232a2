import { llmApiOf } from './collector-calls.ts';
import type { Approvals } from './collector-policy-approvals.ts';
import type { PolicyCounts } from './collector-policy-counts.ts';
import { moreOf } from './collector-policy-facts.ts';
import type { PolicyStage } from './collector-policy-inspector.ts';
import type { Config } from './config/schema.ts';
import type { Exchange } from './model/exchange.ts';
import type { LiveExchange } from './pipeline/live.ts';
import type { Policy } from './policy/policy.ts';
import type { Throttle } from './policy/throttle.ts';

interface Parts extends Pick<PolicyStage, 'set' | 'unsaid' | 'readsTls'> {
  readonly settings: Config['policies'];
  readonly counts: PolicyCounts;
  readonly approvals: Approvals;
  readonly throttle: Throttle;
  readonly environment: string | undefined;
  /** Some policies read what is said in LLM calls. */
  readonly hasSaid: () => boolean;
  /** A block of this exchange would be one. */
  readonly stops: (exchange: Exchange) => boolean;
  readonly tell: (policy: Policy, exchange: Exchange) => void;
}

/** What one set of stages asks its policies by. */
export function policyStage(parts: Parts): PolicyStage {
  const { settings, counts, approvals, throttle, environment, set, unsaid, readsTls } = parts;
  return {
    set,
    unsaid,
    readsTls,
    onAbsent: settings.on_absent,
    throttleStatus: settings.throttle_status,
    tally: counts,
    throttled: (policy, agent) => throttle.take(policy, agent, performance.now()),
    approved: (policy, exchange) => approvals.approved(policy, exchange),
    asked(policy, exchange) {
      approvals.want(policy, exchange);
      // Nobody has to approve what monitor lets pass.
      if (parts.stops(exchange)) parts.tell(policy, exchange);
    },
    alerted: parts.tell,
    more: (exchange, { protocol }) => moreOf(exchange as LiveExchange, environment, protocol),
    saidLater: (exchange) => parts.hasSaid() && llmApiOf(exchange) !== undefined,
  };
}

/** The same without a trace: no token is taken, nothing is counted, nobody is told. */
export function asking({ alerted: _, ...stage }: PolicyStage, throttle: Throttle | undefined): PolicyStage {
  const nothing = (): void => undefined;
  return {
    ...stage,
    tally: { matched: nothing, shadowMatched: nothing, failed: nothing, notApplicable: nothing },
    throttled: (policy, agent) => throttle?.ask(policy, agent, performance.now()) ?? 0,
    asked: nothing,
  };
}
