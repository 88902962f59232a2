import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { BaselineState } from '../model/record.ts';

/** Whose account a request uses: tenant written to, fingerprint of the credential it carries. */
export interface Account {
  readonly tenant?: string | undefined;
  readonly credentialFp?: string | undefined;
}

/** One remembered fact, as the store can give it back (`SELECT DISTINCT agent, host, tenant, credential_fp …`). */
export interface AccountRow extends Account {
  readonly agent: string;
  readonly host: string;
  /** The request changed something (only writes make a tenant known). */
  readonly wrote: boolean;
}

export interface AccountsOptions {
  /** Key an agent learns under. */
  readonly asOne: (agent: string) => string;
  readonly onUnknown: 'flag' | 'block';
  /** `limits.destinations_per_agent`: hosts (and services) remembered per agent. */
  readonly placesPerAgent: number;
}

/** Credentials and tenants per agent, learned like hosts (product.md §6 "Whose account?"). In memory, sync. */
export interface Accounts {
  load(rows: Iterable<AccountRow>): void;
  /** Nothing while learning; afterwards what this agent has never used at a place where it has used something else. */
  observe(exchange: Exchange, account: Account, state: BaselineState): readonly Finding[];
  /** Called at close for exchanges that teach. */
  teach(exchange: Exchange, account: Account, state: BaselineState): void;
}

/** More values than this at one place are rotation (or a crowd): no longer judged. */
const MANY = 32;
const NONE: readonly Finding[] = [];

interface Place {
  readonly known: Set<string>;
  /** Reported and not learned since. */
  readonly told: Set<string>;
}
type Places = Map<string, Place>;

export function createAccounts(options: AccountsOptions): Accounts {
  const credentials = new Map<string, Places>();
  const tenants = new Map<string, Places>();
  const learn = (all: Map<string, Places>, agent: string, where: string, value: string): void => {
    const place = placeOf(all, agent, where, options.placesPerAgent);
    if (place === undefined || place.known.size > MANY) return;
    place.known.add(value);
    place.told.delete(value);
  };
  const isNews = (all: Map<string, Places>, agent: string, where: string, value: string): Place | undefined => {
    const place = all.get(agent)?.get(where);
    if (place === undefined || place.known.size === 0 || place.known.size > MANY || place.known.has(value))
      return undefined;
    if (options.onUnknown === 'block') return place;
    if (place.told.has(value)) return undefined;
    if (place.told.size <= MANY) place.told.add(value);
    return place;
  };
  const remember = (key: string, host: string, { tenant, credentialFp }: Account, wrote: boolean): void => {
    if (credentialFp !== undefined) learn(credentials, key, host, credentialFp);
    if (tenant !== undefined && wrote) learn(tenants, key, serviceOf(tenant), tenant);
  };
  return {
    load(rows) {
      for (const row of rows) remember(options.asOne(row.agent), row.host, row, row.wrote);
    },
    observe(exchange, account, state) {
      const { tenant, credentialFp } = account;
      if (state === 'learning' || (tenant === undefined && credentialFp === undefined)) return NONE;
      const { agent } = exchange.identity;
      const key = options.asOne(agent);
      const { host } = exchange.destination;
      const findings: Finding[] = [];
      if (credentialFp !== undefined && isNews(credentials, key, host, credentialFp) !== undefined) {
        findings.push(
          news(options, 'credential-first-seen', `${agent} used a credential it has never used with ${host}`),
        );
      }
      if (tenant !== undefined && isWrite(exchange)) {
        const place = isNews(tenants, key, serviceOf(tenant), tenant);
        if (place !== undefined) {
          const known = [...place.known].slice(0, 3).join(', ');
          findings.push(
            news(options, 'tenant-first-seen', `${agent} wrote to ${tenant}, it has only written to ${known}`),
          );
        }
      }
      return findings.length === 0 ? NONE : findings;
    },
    teach(exchange, account, state) {
      if (state === 'locked' || (state === 'ready' && options.onUnknown === 'block')) return;
      remember(options.asOne(exchange.identity.agent), exchange.destination.host, account, isWrite(exchange));
    },
  };
}

function placeOf(all: Map<string, Places>, agent: string, where: string, bound: number): Place | undefined {
  let places = all.get(agent);
  if (places === undefined) {
    places = new Map();
    all.set(agent, places);
  }
  let place = places.get(where);
  if (place === undefined) {
    if (places.size >= bound) return undefined;
    place = { known: new Set(), told: new Set() };
    places.set(where, place);
  }
  return place;
}

function news({ onUnknown }: AccountsOptions, rule: string, message: string): Finding {
  const base = { inspector: 'account', rule, message } as const;
  if (onUnknown === 'flag') return { ...base, severity: 'medium', disposition: 'flag' };
  return { ...base, severity: 'high', disposition: 'block', blockReason: 'baseline' };
}

/** `github.com/acme` → `github.com`: one service answers under many hosts. */
function serviceOf(tenant: string): string {
  const slash = tenant.indexOf('/');
  return slash < 0 ? tenant : tenant.slice(0, slash);
}

/** A request that changes something. Git's fetch is a POST that reads. */
export function isWrite({ request }: Exchange): boolean {
  const { method } = request;
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'CONNECT') return false;
  return !(method === 'POST' && request.target.endsWith('/git-upload-pack'));
}
