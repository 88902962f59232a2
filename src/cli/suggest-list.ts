import type { AccountStat } from '../model/account.ts';
import { registrableDomain } from '../model/domain.ts';
import type { AgentStat } from '../model/record.ts';
import { type Doubt, doubtOf, type Place, placesOf } from './suggest-place.ts';
import type { Risky } from './suggest-risky.ts';
import type { FindingGroup, RowGroup } from './suggest-rows.ts';

/** A line of the list, with its evidence. */
export interface Entry {
  /** A host, or `*.` and a domain. */
  readonly host: string;
  readonly port: number;
  /** Empty = every method. */
  readonly methods: readonly string[];
  /** Empty = every path. */
  readonly paths: readonly string[];
  /** What it stands for: one destination, or the siblings a wildcard covers. */
  readonly places: readonly Place[];
  /** Tenants written to there. */
  readonly tenants: readonly string[];
}

/** The list the baseline of one agent implies, and what a person has to decide. */
export interface List {
  readonly agent: string;
  readonly entries: readonly Entry[];
  readonly doubts: readonly Doubt[];
  /** Private addresses that were reached, each with what was said. */
  readonly internal: readonly { readonly place: Place; readonly finding: FindingGroup }[];
  /** Tenants written to whose service is no host of the list. */
  readonly tenants: readonly string[];
}

export interface ListOptions {
  readonly groups: readonly RowGroup[];
  readonly findings: readonly FindingGroup[];
  readonly risky: Risky;
  /** One line for each host, nothing but names: no wildcard, no methods. */
  readonly names?: boolean;
}

/** Names below one domain before a wildcard is suggested. */
const SIBLINGS = 3;
/** More methods than these are no pattern. */
const FEW_METHODS = 4;
/** Methods a rule may be narrowed to; a method of its own is kept as `_OTHER` by a running collector. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Draws up the list of one agent. Pure; `groups` and `findings` are those of this agent. */
export function suggestList(stat: AgentStat, options: ListOptions): List {
  const places = placesOf(stat, options.groups, options.findings);
  const sure: Place[] = [];
  const doubts: Doubt[] = [];
  for (const place of places) {
    const doubt = doubtOf(place, options.risky, stat.locked);
    if (doubt === undefined) sure.push(place);
    else doubts.push(doubt);
  }
  const entries = options.names
    ? sure.map((place) => ({ ...entryOf(place), methods: [] })).sort(byName)
    : collapsed(sure, doubts, options.risky).sort(byName);
  const accounts = tenantsBy(stat.accounts ?? [], entries);
  return {
    agent: stat.agent,
    entries: entries.map((entry) => {
      const tenants = accounts.beside.get(entry) ?? [];
      return { ...entry, tenants, paths: options.names ? [] : tenantPaths(entry, tenants) };
    }),
    doubts: doubts.sort((a, b) => byName(a.place, b.place)),
    internal: places
      .flatMap((place) => {
        const finding = place.findings.find(({ rule }) => rule === 'internal-address');
        return finding === undefined ? [] : [{ place, finding }];
      })
      .sort((a, b) => byName(a.place, b.place)),
    tenants: accounts.elsewhere,
  };
}

function entryOf(place: Place): Entry {
  return { host: place.host, port: place.port, methods: narrowed([place]), paths: [], places: [place], tenants: [] };
}

/** Methods, where every byte was read and there are few: in a tunnel such a rule allows nothing. */
function narrowed(places: readonly Place[]): readonly string[] {
  const methods = [...new Set(places.flatMap((place) => place.methods))].sort();
  const known = places.every((place) => place.read && place.methods.length > 0);
  return known && methods.length <= FEW_METHODS && methods.every((method) => METHODS.has(method)) ? methods : [];
}

/** More owners than these are a crowd. */
const FEW_PATHS = 5;

/**
 * On a host that belongs to many parties: down to the owner in every path, where everything that was read stays with owners this agent
 * writes to. Whose path it is, is what an allow-list of hosts cannot see.
 */
function tenantPaths({ places, methods }: Entry, tenants: readonly string[]): readonly string[] {
  const [place, ...others] = places;
  if (tenants.length === 0 || methods.length === 0 || others.length > 0 || place?.heads === undefined) return [];
  const owners = new Set(tenants.map((tenant) => tenant.slice(tenant.lastIndexOf('/') + 1)));
  const paths = new Set<string>();
  for (const head of place.heads) {
    const segments = head.split('/').slice(1);
    const at = segments.findIndex((segment) => owners.has(segment));
    const kept = segments.slice(0, at + 1);
    if (at < 0 || !kept.every((segment) => /^[A-Za-z0-9._~-]+$/.test(segment))) return [];
    paths.add(`/${kept.join('/')}`);
  }
  return paths.size <= FEW_PATHS ? [...paths].sort() : [];
}

/** Siblings become one wildcard where one party owns the domain and nothing below it is to be distrusted. */
function collapsed(sure: readonly Place[], doubts: readonly Doubt[], risky: Risky): Entry[] {
  const families = new Map<string, Place[]>();
  for (const place of sure) {
    const key = `${registrableDomain(place.host)} ${place.port}`;
    const family = families.get(key);
    if (family === undefined) families.set(key, [place]);
    else family.push(place);
  }
  const entries: Entry[] = [];
  for (const family of families.values()) {
    const siblings = family.filter(({ host }) => host !== registrableDomain(host));
    const domain = siblings.length < SIBLINGS ? undefined : commonParent(siblings);
    const distrusted = (name: string): boolean =>
      risky.below(name) || doubts.some((doubt) => !doubt.harmless && doubt.place.host.endsWith(`.${name}`));
    if (domain === undefined || distrusted(domain)) entries.push(...family.map(entryOf));
    else {
      const covered = family.filter(({ host }) => host.endsWith(`.${domain}`)).sort(byName);
      entries.push(...family.filter((place) => !covered.includes(place)).map(entryOf));
      const [{ port } = { port: 0 }] = covered;
      entries.push({ host: `*.${domain}`, port, methods: narrowed(covered), paths: [], places: covered, tenants: [] });
    }
  }
  return entries;
}

/** The longest domain all of them are below. */
function commonParent(siblings: readonly Place[]): string {
  const parents = siblings.map(({ host }) => host.split('.').slice(1).reverse());
  const [first = []] = parents;
  let length = first.length;
  for (const labels of parents) while (length > 0 && !sameStart(first, labels, length)) length--;
  return first.slice(0, length).reverse().join('.');
}

function sameStart(a: readonly string[], b: readonly string[], length: number): boolean {
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** By domain, then by name: the order does not change with the traffic, so that two suggestions can be compared. */
function byName(a: { readonly host: string; readonly port: number }, b: typeof a): number {
  const key = ({ host }: typeof a): string => {
    const name = host.startsWith('*.') ? host.slice(2) : host;
    return `${registrableDomain(name)} ${host}`;
  };
  const [x, y] = [key(a), key(b)];
  if (x === y) return a.port - b.port;
  return x < y ? -1 : 1;
}

interface Tenants {
  readonly beside: ReadonlyMap<Entry, readonly string[]>;
  readonly elsewhere: readonly string[];
}

/** Tenants beside the host that is their service, else beside the hosts below it. */
function tenantsBy(accounts: readonly AccountStat[], entries: readonly Entry[]): Tenants {
  const beside = new Map<Entry, string[]>();
  const elsewhere: string[] = [];
  for (const { place, value } of accounts.filter(({ kind }) => kind === 'tenant').sort(byValue)) {
    const same = entries.filter(({ host }) => host === place);
    const hosts = same.length > 0 ? same : entries.filter(({ host }) => host.endsWith(`.${place}`));
    if (hosts.length === 0) elsewhere.push(value);
    for (const entry of hosts) beside.set(entry, [...(beside.get(entry) ?? []), value]);
  }
  return { beside, elsewhere };
}

function byValue(a: AccountStat, b: AccountStat): number {
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}
