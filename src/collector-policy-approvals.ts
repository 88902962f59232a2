import { createHash } from 'node:crypto';
import type { Kept } from './collector-kept.ts';
import type { Exchange } from './model/exchange.ts';
import { refOf } from './model/ulid.ts';
import type { Policy } from './policy/policy.ts';

/** What a person said yes to: this agent, by this policy as it is written, this method, destination and path; the query is free. */
export interface Approval {
  readonly ref: string;
  readonly agent: string;
  readonly policy: string;
  /** `POST https://api.example.com/v1/send`, without the query: raw, the beginning of a long one. */
  readonly request: string;
}

interface Wanted extends Approval {
  readonly key: string;
}

/** An open approval as it is kept: what it is for is known by its hash, which also holds the policy as it is written. */
export interface KeptApproval {
  readonly key: string;
  /** Epoch ms. */
  readonly until: number;
  /** For people, without secrets. */
  readonly agent: string;
  readonly policy: string;
  readonly request: string;
}

/** Where approvals outlive the process. */
export interface ApprovalStore {
  readonly file: Kept<KeptApproval>;
  /** Keyed hash of the state directory: a path may hold a secret. */
  readonly hash: (text: string) => string;
  readonly shown: (text: string) => string;
}

/** Requests that wait for somebody; beyond it the oldest goes. */
const MAX_WANTED = 10_000;
const MAX_OPEN = 10_000;
/** A path may be as long as a head; ten thousand of them are not kept. */
const MAX_SHOWN = 1000;

/** Approvals: open ones outlive a reload and, with a store, a restart. A ref of before a restart is not known any more: the agent asks again and gets a new one. */
export class Approvals {
  readonly #wanted: Map<string, Wanted> = new Map();
  /** By the hash of its key. */
  readonly #open: Map<string, KeptApproval> = new Map();
  #store: ApprovalStore | undefined;

  /** From here on they are kept; what a former life kept is open again. */
  keep(store: ApprovalStore): void {
    this.#store = store;
    for (const approval of store.file.read(isKept)) this.#set(approval);
  }

  /** Remembers what the ref of a refusal stands for. */
  want(policy: Policy, exchange: Exchange): void {
    const ref = refOf(exchange.id);
    const request = requestOf(exchange);
    const { agent } = exchange.identity;
    if (this.#wanted.size >= MAX_WANTED) this.#wanted.delete(this.#wanted.keys().next().value as string);
    const key = keyOf(policy, agent, request);
    this.#wanted.set(ref, { ref, agent, policy: policy.name, request: request.slice(0, MAX_SHOWN), key });
  }

  approved(policy: Policy, exchange: Exchange): boolean {
    if (this.#open.size === 0) return false;
    const key = this.#hashed(keyOf(policy, exchange.identity.agent, requestOf(exchange)));
    const approval = this.#open.get(key);
    if (approval === undefined) return false;
    if (approval.until > Date.now()) return true;
    this.#open.delete(key);
    return false;
  }

  /** Opens what this ref stands for; undefined when nobody here knows it. */
  approve(ref: string, until: number): Approval | undefined {
    const wanted = this.#wanted.get(ref.toUpperCase());
    if (wanted === undefined) return undefined;
    const { agent, policy, request, key } = wanted;
    const shown = this.#store?.shown ?? String;
    this.#set({ key: this.#hashed(key), until, agent: shown(agent), policy, request: shown(request) });
    this.#store?.file.write(this.#current());
    return wanted;
  }

  /** Approvals that are open now. */
  open(): number {
    return this.#current().length;
  }

  #set(approval: KeptApproval): void {
    if (approval.until <= Date.now()) return;
    if (this.#open.size >= MAX_OPEN) this.#open.delete(this.#open.keys().next().value as string);
    this.#open.set(approval.key, approval);
  }

  #current(): KeptApproval[] {
    const now = Date.now();
    return [...this.#open.values()].filter(({ until }) => until > now);
  }

  #hashed(key: string): string {
    return this.#store?.hash(key) ?? key;
  }
}

function isKept(value: unknown): value is KeptApproval {
  if (typeof value !== 'object' || value === null) return false;
  const { key, until, agent, policy, request } = value as Record<string, unknown>;
  return Number.isFinite(until) && [key, agent, policy, request].every((text) => typeof text === 'string');
}

function keyOf(policy: Policy, agent: string, request: string): string {
  const text = JSON.stringify([policy.id, policy.compiled.source, agent, request]);
  return createHash('sha256').update(text).digest('base64');
}

/** A query is left out: it carries what changes from try to try. A CONNECT, and its tunnel, is host and port. */
function requestOf({ kind, request, destination }: Exchange): string {
  const { scheme, host, port } = destination;
  if (kind !== 'exchange') return `CONNECT ${host}:${port}`;
  return `${request.method} ${scheme}://${host}:${port}${request.target.split('?', 1)[0]}`;
}
