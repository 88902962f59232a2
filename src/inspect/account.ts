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
  /** Forgets everything and takes this instead (after rows were erased). */
  replace(stats: Iterable<AccountStat>): void;
  /** Nothing while learning; afterwards what this agent has never used at a place where it has used something else. */
  observe(exchange: Exchange, account: Account, state: BaselineState): readonly Finding[];
  /** Called at close for exchanges that teach. */
  teach(exchange: Exchange, account: Account, state: BaselineState): void;
  /** A person said that what is used there is right: what was reported is known, and the next new one is (a rotation). */
  accept(agent: string, place: string): void;
  /** Without `place`: everything of the agent. */
  forget(agent: string, place?: string): void;
}

/** More values than this at one place are rotation (or a crowd): no longer judged. */
const MANY = 32;
const NONE: readonly Finding[] = [];

interface Place {
  readonly known: Set<string>;
  /** Reported and not learned since. */
  readonly told: Set<string>;
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
    for (const stat of stats) this.#learn(this.#options.asOne(stat.agent), stat);
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
      if (place !== undefined && this.#isNews(place, use.value)) findings.push(this.#news(agent, use, place));
    }
    return findings;
  }

  teach(exchange: Exchange, account: Account, state: BaselineState): void {
    if (account.tenant === undefined && account.credentialFp === undefined) return;
    if (state === 'locked' || (state === 'ready' && this.#options.onUnknown === 'block')) return;
    const key = this.#options.asOne(exchange.identity.agent);
    for (const use of this.#uses(exchange, account)) this.#learn(key, use);
  }

  accept(agent: string, place: string): void {
    const places = this.#agents.get(this.#options.asOne(agent));
    for (const kind of ['credential', 'tenant'] as const) {
      const found = places?.get(keyOf({ kind, place }));
      if (found === undefined) continue;
      if (found.told.size === 0) found.expecting = true;
      for (const value of found.told) found.known.add(value);
      found.told.clear();
    }
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

  #learn(agent: string, use: AccountUse): void {
    let places = this.#agents.get(agent);
    if (places === undefined) {
      places = new Map();
      this.#agents.set(agent, places);
    }
    const key = keyOf(use);
    let place = places.get(key);
    if (place === undefined) {
      if (places.size >= this.#options.placesPerAgent) return;
      place = { known: new Set(), told: new Set(), expecting: false };
      places.set(key, place);
    }
    if (place.known.size > MANY) return;
    place.known.add(use.value);
    place.told.delete(use.value);
  }

  #isNews(place: Place, value: string): boolean {
    if (place.known.size === 0 || place.known.size > MANY || place.known.has(value)) return false;
    if (place.expecting) {
      place.expecting = false;
      place.known.add(value);
      return false;
    }
    if (this.#options.onUnknown === 'block') return true;
    if (place.told.has(value)) return false;
    if (place.told.size <= MANY) place.told.add(value);
    return true;
  }

  #news(agent: string, { kind, place, value }: AccountUse, { known }: Place): Finding {
    const message =
      kind === 'credential'
        ? `${agent} used a credential it has never used with ${place}`
        : `${agent} wrote to ${value}, it has only written to ${[...known].slice(0, 3).join(', ')}`;
    const base = { inspector: 'account', rule: `${kind}-first-seen`, message } as const;
    if (this.#options.onUnknown === 'flag') return { ...base, severity: 'medium', disposition: 'flag' };
    return { ...base, severity: 'high', disposition: 'block', blockReason: 'baseline' };
  }
}

function keyOf({ kind, place }: { readonly kind: AccountKind; readonly place: string }): string {
  return `${kind} ${place}`;
}
