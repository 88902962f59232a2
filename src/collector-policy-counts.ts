import type { Tally } from './collector-policy-inspector.ts';
import type { Policy } from './policy/policy.ts';

export interface PolicyCount {
  matches: number;
  shadowMatches: number;
  errors: number;
  notApplicable: number;
  /** Epoch ms of the last match, shadow matches included. */
  lastAt?: number;
}

/** Per policy id and expression since the start; a policy that is written anew begins at nothing. */
export class PolicyCounts implements Tally {
  readonly #counts: Map<string, PolicyCount> = new Map();
  readonly #warn: (policy: Policy, reason: string) => void;
  readonly #warned: Set<string> = new Set();

  /** @param warn told once per policy and kind of error */
  constructor(warn: (policy: Policy, reason: string) => void) {
    this.#warn = warn;
  }

  of(policy: Policy): PolicyCount {
    const key = keyOf(policy);
    let count = this.#counts.get(key);
    if (count === undefined) {
      count = { matches: 0, shadowMatches: 0, errors: 0, notApplicable: 0 };
      this.#counts.set(key, count);
    }
    return count;
  }

  matched(policy: Policy): void {
    const count = this.of(policy);
    count.matches++;
    count.lastAt = Date.now();
  }

  shadowMatched(policy: Policy): void {
    const count = this.of(policy);
    count.shadowMatches++;
    count.lastAt = Date.now();
  }

  failed({ policy, reason }: Parameters<Tally['failed']>[0]): void {
    this.of(policy).errors++;
    this.#say(policy, reason);
  }

  notApplicable({ policy, attribute, reason }: Parameters<Tally['notApplicable']>[0]): void {
    this.of(policy).notApplicable++;
    this.#say(policy, attribute === undefined ? reason : `not applicable where ${attribute} is not set`);
  }

  /** Forgets what no set has any more. */
  keep(policies: readonly Policy[]): void {
    const known = new Set(policies.map(keyOf));
    for (const key of this.#counts.keys()) if (!known.has(key)) this.#counts.delete(key);
  }

  #say(policy: Policy, reason: string): void {
    const key = `${keyOf(policy)}\n${reason}`;
    if (this.#warned.has(key) || this.#warned.size > 1000) return;
    this.#warned.add(key);
    this.#warn(policy, reason);
  }
}

function keyOf({ id, compiled }: Policy): string {
  return `${id}\n${compiled.source}`;
}
