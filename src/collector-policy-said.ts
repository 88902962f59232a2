import { findingsOf, type PolicyStage, tallied } from './collector-policy-inspector.ts';
import type { Exchange } from './model/exchange.ts';
import type { Finding } from './model/finding.ts';
import type { LlmContent } from './model/llm.ts';
import type { Attributes, AttributeValue } from './policy/cel-context.ts';
import { decide } from './policy/decide.ts';
import { factsOf } from './policy/facts.ts';
import type { Policy, PolicySet } from './policy/policy.ts';
import { SAID_IN_ANSWER, SAID_IN_REQUEST } from './policy/vocabulary.ts';

/** What is said in a call of an LLM API, for policies: raw, whatever is exported (product.md §8). */
export interface Said extends LlmContent {
  readonly model?: string;
  readonly provider: string;
  readonly operation: string;
}

/** Policies that read what is said in a call. They are asked when it is known, and can only stop: what may pass was decided by the head. */
export interface SaidPolicies {
  /** Some read the prompt, so that the request must wait where they may stop it. */
  readonly readPrompts: boolean;
  /** What they think of what is known when the body of this direction has ended. */
  judge(exchange: Exchange, direction: 'request' | 'response', said: Said): readonly Finding[];
}

function readsSaid({ compiled }: Policy): boolean {
  return readsAnswer(compiled.reads) || [...SAID_IN_REQUEST].some((name) => compiled.reads.has(name));
}

const readsAnswer = (reads: ReadonlySet<string>): boolean => reads.has(SAID_IN_ANSWER);

/** The same set without the policies that wait for what is said. */
export function withoutSaid(set: PolicySet): PolicySet {
  return { ...set, policies: set.policies.filter((policy) => !readsSaid(policy)) };
}

/** Policies that are asked when what is said is known, by what they wait for. */
export function saidSets(set: PolicySet): Readonly<Record<'request' | 'response', PolicySet>> {
  const all = set.policies.filter(readsSaid);
  return {
    request: setOf(all.filter(({ compiled }) => !readsAnswer(compiled.reads))),
    response: setOf(all.filter(({ compiled }) => readsAnswer(compiled.reads))),
  };
}

/** Undefined when no policy reads what is said. */
export function saidPolicies(stage: PolicyStage): SaidPolicies | undefined {
  const sets = stage.set === undefined ? undefined : saidSets(stage.set);
  if (sets === undefined || sets.request.policies.length + sets.response.policies.length === 0) return undefined;
  return {
    readPrompts: sets.request.policies.length > 0,
    judge(exchange, direction, said) {
      const set = sets[direction];
      if (set.policies.length === 0) return [];
      const facts = factsOf(exchange, exchange.startedAt, withSaid(stage.more(exchange, {}), said));
      const doors = {
        throttled: (policy: Policy) => stage.throttled(policy, exchange.identity.agent),
        approved: (policy: Policy) => stage.approved(policy, exchange),
      };
      const { onAbsent, throttleStatus } = stage;
      const decision = decide(set, facts, doors, { onAbsent, throttleStatus });
      tallied(stage, exchange, decision);
      return findingsOf(decision);
    },
  };
}

/** What no policy of these decides goes on. */
function setOf(policies: readonly Policy[]): PolicySet {
  return { policies, defaultAction: 'allow' };
}

function withSaid(more: Attributes, said: Said): Attributes {
  const own = new Map<string, AttributeValue>([
    ['gen_ai.provider.name', said.provider],
    ['gen_ai.operation.name', said.operation],
  ]);
  if (said.model !== undefined) own.set('gen_ai.request.model', said.model);
  if (said.prompt !== undefined) own.set('gen_ai.prompt', said.prompt.map(({ text }) => text).join('\n'));
  if (said.completion !== undefined) own.set('gen_ai.completion', said.completion);
  return { get: (key) => own.get(key) ?? more.get(key), keys: () => new Set([...own.keys(), ...more.keys()]) };
}
