import type { Exchange } from './model/exchange.ts';
import { refOf } from './model/ulid.ts';
import type { Policy } from './policy/policy.ts';

/** What a person said yes to: this agent, by this policy as it is written, this method, destination and path; the query is free. */
export interface Approval {
  readonly ref: string;
  readonly agent: string;
  readonly policy: string;
  /** `POST https://api.example.com/v1/send`, without the query: raw. */
  readonly request: string;
}

interface Wanted extends Approval {
  readonly key: string;
}

/** Requests that wait for somebody; beyond it the oldest goes. */
const MAX_WANTED = 10_000;
const MAX_OPEN = 10_000;

/**
 * Approvals of this process: they outlive a reload, not a restart. After one a ref is not known any more and the agent has to ask
 * again, which gives a new ref.
 */
export class Approvals {
  readonly #wanted: Map<string, Wanted> = new Map();
  /** Key → until (epoch ms). */
  readonly #open: Map<string, number> = new Map();

  /** Remembers what the ref of a refusal stands for. */
  want(policy: Policy, exchange: Exchange): void {
    const ref = refOf(exchange.id);
    const request = requestOf(exchange);
    const { agent } = exchange.identity;
    if (this.#wanted.size >= MAX_WANTED) this.#wanted.delete(this.#wanted.keys().next().value as string);
    this.#wanted.set(ref, { ref, agent, policy: policy.name, request, key: keyOf(policy, agent, request) });
  }

  approved(policy: Policy, exchange: Exchange): boolean {
    if (this.#open.size === 0) return false;
    const key = keyOf(policy, exchange.identity.agent, requestOf(exchange));
    const until = this.#open.get(key);
    if (until === undefined) return false;
    if (until > Date.now()) return true;
    this.#open.delete(key);
    return false;
  }

  /** Opens what this ref stands for; undefined when nobody here knows it. */
  approve(ref: string, until: number): Approval | undefined {
    const wanted = this.#wanted.get(ref.toUpperCase());
    if (wanted === undefined) return undefined;
    if (this.#open.size >= MAX_OPEN) this.#open.delete(this.#open.keys().next().value as string);
    this.#open.set(wanted.key, until);
    return wanted;
  }

  /** Approvals that are open now. */
  open(): number {
    const now = Date.now();
    return [...this.#open.values()].filter((until) => until > now).length;
  }
}

function keyOf(policy: Policy, agent: string, request: string): string {
  return JSON.stringify([policy.id, policy.compiled.source, agent, request]);
}

/** A query is left out: it carries what changes from try to try. A CONNECT, and its tunnel, is host and port. */
function requestOf({ kind, request, destination }: Exchange): string {
  const { scheme, host, port } = destination;
  if (kind !== 'exchange') return `CONNECT ${host}:${port}`;
  return `${request.method} ${scheme}://${host}:${port}${request.target.split('?', 1)[0]}`;
}
