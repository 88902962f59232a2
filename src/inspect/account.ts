import { type AccountKind, type AccountStat, type AccountUse, accountUses } from '../model/account.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { BaselineState } from '../model/record.ts';

/** Whose account a request uses: tenant, fingerprint of the credential it carries. */
interface Account {
  readonly tenant?: string | undefined;
  readonly credentialFp?: string | undefined;
}

export interface AccountsOptions {
  /** Key an agent learns under. */
  readonly asOne: (agent: string) => string;
  readonly onUnknown: 'flag' | 'block';
  /** `limits.destinations_per_agent`: places remembered per agent. */
  readonly placesPerAgent: number;
  /** Name a host is kept under: the one its rows have. */
  readonly shown: (host: string) => string;
}

/** Credentials and tenants per agent, learned like hosts (product.md §6 "Whose account?"). In memory, sync. */
export interface Accounts {
  load(stats: Iterable<AccountStat>): void;
  /** What is known of the agent, by kind, place and value. */
  export(agent: string): readonly AccountStat[];
  /** Forgets everything and takes this instead (after rows were erased). */
  replace(stats: Iterable<AccountStat>): void;
  /** Nothing while learning; afterwards what this agent has never used at a place where it has used something else. */
  observe(exchange: Exchange, account: Account, state: BaselineState): readonly Finding[];
  /** Called at close for exchanges that teach. */
  teach(exchange: Exchange, account: Account, state: BaselineState): void;
  /**
   * A person said that what is used there is right: what was reported is known, else the next new one is (a rotation).
   * What became known, for the store.
   */
  accept(agent: string, place: string): readonly AccountStat[];
  /** Without `place`: everything of the agent. */
  forget(agent: string, place?: string): void;
}

/** More values than this at one place are rotation (or a crowd): no longer judged. */
const MANY = 32;
const NONE: readonly Finding[] = [];

type Seen = Pick<AccountStat, 'firstSeen' | 'lastSeen' | 'count'>;

interface Place {
  readonly kind: AccountKind;
  readonly place: string;
  readonly known: Map<string, Seen>;
  /** Reported and not learned since, with the time (epoch ms). */
  readonly told: Map<string, number>;
  /** An announced rotation: the next new value is right. */
  expecting: boolean;
}
/** By kind and place; the kind is one of ours and a space is in no host. */
type Places = Map<string, Place>;

export function createAccounts(options: AccountsOptions): Accounts {
  return new Memory(options);
}

class Memory implements Accounts {
  readonly #options: AccountsOptions;
  readonly #agents: Map<string, Places> = new Map();

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  load(stats: Iterable<AccountStat>): void {
    for (const stat of stats) {
      const values = this.#place(this.#options.asOne(stat.agent), stat)?.known;
      if (values === undefined || values.size > MANY) continue;
      const seen = values.get(stat.value) ?? stat;
      const firstSeen = Math.min(seen.firstSeen, stat.firstSeen);
      const lastSeen = Math.max(seen.lastSeen, stat.lastSeen);
      values.set(stat.value, { firstSeen, lastSeen, count: Math.max(seen.count, stat.count) });
    }
  }

  export(agent: string): readonly AccountStat[] {
    const key = this.#options.asOne(agent);
    const stats: AccountStat[] = [];
    for (const { kind, place, known } of this.#agents.get(key)?.values() ?? []) {
      for (const [value, { firstSeen, lastSeen, count }] of known)
        stats.push({ agent: key, place, kind, value, firstSeen, lastSeen, count });
    }
    return stats.sort((a, b) => order(a.kind, b.kind) || order(a.place, b.place) || order(a.value, b.value));
  }

  replace(stats: Iterable<AccountStat>): void {
    this.#agents.clear();
    this.load(stats);
  }

  observe(exchange: Exchange, account: Account, state: BaselineState): readonly Finding[] {
    if (state === 'learning' || (account.tenant === undefined && account.credentialFp === undefined)) return NONE;
    const { agent } = exchange.identity;
    const places = this.#agents.get(this.#options.asOne(agent));
    if (places === undefined) return NONE;
    const findings: Finding[] = [];
    for (const use of this.#uses(exchange, account)) {
      const place = places.get(keyOf(use));
      if (place !== undefined && this.#isNews(place, use.value, exchange.startedAt))
        findings.push(this.#news(agent, use, place));
    }
    return findings;
  }

  teach(exchange: Exchange, account: Account, state: BaselineState): void {
    if (account.tenant === undefined && account.credentialFp === undefined) return;
    if (state === 'locked') return;
    const key = this.#options.asOne(exchange.identity.agent);
    // Where unknown is blocked only a person adds to what is known; of a place nothing is known of the first one counts.
    const closed = state === 'ready' && this.#options.onUnknown === 'block';
    for (const use of this.#uses(exchange, account)) this.#learn(key, use, exchange.startedAt, closed);
  }

  accept(agent: string, place: string): readonly AccountStat[] {
    const key = this.#options.asOne(agent);
    const places = this.#agents.get(key);
    const accepted: AccountStat[] = [];
    for (const kind of ['credential', 'tenant'] as const) {
      const found = places?.get(keyOf({ kind, place }));
      if (found === undefined) continue;
      if (found.told.size === 0) found.expecting = true;
      for (const [value, at] of found.told) {
        const seen = { firstSeen: at, lastSeen: at, count: 0 };
        found.known.set(value, seen);
        accepted.push({ agent: key, place, kind, value, ...seen });
      }
      found.told.clear();
    }
    return accepted;
  }

  forget(agent: string, place?: string): void {
    const key = this.#options.asOne(agent);
    if (place === undefined) this.#agents.delete(key);
    else for (const kind of ['credential', 'tenant'] as const) this.#agents.get(key)?.delete(keyOf({ kind, place }));
  }

  #uses({ destination, request }: Exchange, account: Account): AccountUse[] {
    const host = this.#options.shown(destination.host);
    return accountUses({ host, method: request.method, target: request.target, ...account });
  }

  #learn(agent: string, use: AccountUse, at: number, closed: boolean): void {
    const place = this.#place(agent, use);
    if (place === undefined) return;
    const { known, told } = place;
    const seen = known.get(use.value);
    if (seen === undefined && (known.size > MANY || (closed && known.size > 0))) return;
    const { firstSeen, lastSeen, count } = seen ?? { firstSeen: at, lastSeen: at, count: 0 };
    known.set(use.value, {
      firstSeen: Math.min(firstSeen, at),
      lastSeen: Math.max(lastSeen, at),
      count: count + 1,
    });
    told.delete(use.value);
  }

  /** The place, made when there is none and room for one. */
  #place(agent: string, { kind, place }: AccountUse): Place | undefined {
    let places = this.#agents.get(agent);
    if (places === undefined) {
      places = new Map();
      this.#agents.set(agent, places);
    }
    const key = keyOf({ kind, place });
    let found = places.get(key);
    if (found === undefined && places.size < this.#options.placesPerAgent) {
      found = { kind, place, known: new Map(), told: new Map(), expecting: false };
      places.set(key, found);
    }
    return found;
  }

  #isNews(place: Place, value: string, at: number): boolean {
    if (place.known.size === 0 || place.known.size > MANY || place.known.has(value)) return false;
    if (place.expecting) {
      place.expecting = false;
      place.known.set(value, { firstSeen: at, lastSeen: at, count: 0 });
      return false;
    }
    if (this.#options.onUnknown === 'block') return true;
    if (place.told.has(value)) return false;
    if (place.told.size <= MANY) place.told.set(value, at);
    return true;
  }

  #news(agent: string, { kind, place, value }: AccountUse, { known }: Place): Finding {
    const message =
      kind === 'credential'
        ? `${agent} used a credential it has never used with ${place}`
        : `${agent} wrote to ${value}, it has only written to ${[...known.keys()].slice(0, 3).join(', ')}`;
    const base = { inspector: 'account', rule: `${kind}-first-seen`, message } as const;
    if (this.#options.onUnknown === 'flag') return { ...base, severity: 'medium', disposition: 'flag' };
    return { ...base, severity: 'high', disposition: 'block', blockReason: 'baseline' };
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function keyOf({ kind, place }: { readonly kind: AccountKind; readonly place: string }): string {
  return `${kind} ${place}`;
}
