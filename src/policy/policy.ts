import type { Compiled } from './cel.ts';

/** Strathon's seven (strathon-compat §1.4) and `redact`. */
export const ACTIONS = ['log', 'alert', 'redact', 'block', 'throttle', 'steer', 'require_approval', 'allow'] as const;
export type Action = (typeof ACTIONS)[number];

/** `action_config`, with Strathon's defaults (strathon-compat §1.4). */
export interface ActionConfig {
  /** What the agent is told: block, throttle, require_approval. */
  readonly message?: string;
  /** What the agent should do instead: steer. */
  readonly replacement?: string;
  /** Who is told: alert, require_approval. */
  readonly webhookUrl?: string;
  /** Calls in `windowSeconds`; a throttle without both lets nothing through. */
  readonly maxCalls?: number;
  readonly windowSeconds?: number;
  readonly scope: 'agent' | 'global';
  /** How long an approval is waited for, seconds. */
  readonly timeoutSeconds: number;
  readonly approversRequired: number;
}

export interface Policy {
  /** Unique in its set: the id of the row, or the name. */
  readonly id: string;
  readonly name: string;
  readonly description?: string;
  readonly compiled: Compiled;
  readonly action: Action;
  readonly config: ActionConfig;
  /** Dot segments of `http.post`; empty = all. */
  readonly appliesTo: readonly string[];
  /** Agent names or globs; empty = all. */
  readonly agents: readonly string[];
  readonly enabled: boolean;
  readonly priority: number;
  /** Evaluated and recorded, never decides. */
  readonly shadow: boolean;
  /** `policies.yaml:12`, for people. */
  readonly where: string;
}

/** Policies that belong together, in the order they are asked: priority descending, then name. */
export interface PolicySet {
  readonly policies: readonly Policy[];
  /** What happens to a request that no policy decides. */
  readonly defaultAction: 'allow' | 'block';
}

/** A policy that stops a request, so that an error in it must not let the request through (strathon-compat §1.5). */
export function enforces(action: Action): boolean {
  return STOPPING.has(action);
}

const STOPPING: ReadonlySet<Action> = new Set<Action>(['redact', 'block', 'throttle', 'require_approval']);

/**
 * Puts policies of several sources into one set. Equal priority goes by name, byte by byte; then by where they were written.
 * One source that denies by default is enough.
 */
export function createSet(parts: readonly PolicySet[]): PolicySet {
  const policies = parts.flatMap((part) => part.policies);
  const order = [...policies].sort(
    (a, b) => b.priority - a.priority || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const seen = new Map<string, number>();
  return {
    policies: order.map((policy) => {
      const count = (seen.get(policy.id) ?? 0) + 1;
      seen.set(policy.id, count);
      return count === 1 ? policy : { ...policy, id: `${policy.id}#${count}` };
    }),
    defaultAction: parts.some((part) => part.defaultAction === 'block') ? 'block' : 'allow',
  };
}
