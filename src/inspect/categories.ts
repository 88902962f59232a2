import { kindOf, normaliseHost } from '../model/host.ts';

/** One category of destinations (`@paste`), from `patterns/destinations.yaml`. */
export interface Category {
  readonly name: string;
  /** For people: “paste site”. */
  readonly label: string;
  /** Flagged even while learning; enters a baseline only by `accept` (product.md §6). */
  readonly risky: boolean;
}

export interface Categories {
  /** Names that may follow `@`. */
  readonly names: ReadonlySet<string>;
  /** Categories of a normalised host; the same array for the same host while it is cached. */
  of(host: string): readonly Category[];
  /** First risky category of a host. */
  risky(host: string): Category | undefined;
}

const NONE: readonly Category[] = [];
const CACHE = 4096;
/** Not a list of hosts but a form: an address instead of a name. Loopback is this machine and no category. */
const IP_LITERAL: Category = { name: 'ip-literal', label: 'bare IP address', risky: true };

/**
 * Compiles parsed `destinations.yaml`: `{categories: {name: {label, risky, source, date, hosts: [...]}}}`. A listed host stands
 * for itself and every name below it. Throws Error naming the entry that is wrong.
 */
export function compileCategories(data: unknown): Categories {
  const hosts = new Map<string, Category[]>();
  const names = new Set<string>([IP_LITERAL.name]);
  for (const [name, entry] of Object.entries(record(record(data, 'the file')['categories'], 'categories'))) {
    const fields = record(entry, `category ${name}`);
    if (typeof fields['source'] !== 'string' || typeof fields['date'] !== 'string') {
      throw new Error(`category ${name} needs a source and a date`);
    }
    const label = typeof fields['label'] === 'string' ? fields['label'] : name;
    const category: Category = { name, label, risky: fields['risky'] === true };
    names.add(name);
    if (!Array.isArray(fields['hosts'])) throw new Error(`category ${name} needs a list of hosts`);
    for (const text of fields['hosts']) {
      const normal = normaliseHost(String(text));
      if ('error' in normal) throw new Error(`category ${name}: "${text}": ${normal.error}`);
      const known = hosts.get(normal.host);
      if (known === undefined) hosts.set(normal.host, [category]);
      else known.push(category);
    }
  }
  return memoised(names, hosts);
}

function memoised(names: ReadonlySet<string>, hosts: ReadonlyMap<string, readonly Category[]>): Categories {
  const cache = new Map<string, readonly Category[]>();
  const of = (host: string): readonly Category[] => {
    const cached = cache.get(host);
    if (cached !== undefined) return cached;
    const found = lookup(hosts, host);
    if (cache.size >= CACHE) cache.clear();
    cache.set(host, found);
    return found;
  };
  return {
    names,
    of,
    risky(host) {
      for (const category of of(host)) if (category.risky) return category;
      return undefined;
    },
  };
}

function lookup(hosts: ReadonlyMap<string, readonly Category[]>, host: string): readonly Category[] {
  const found: Category[] = [];
  for (let name = host; name !== ''; ) {
    for (const category of hosts.get(name) ?? NONE) if (!found.includes(category)) found.push(category);
    const dot = name.indexOf('.');
    name = dot < 0 ? '' : name.slice(dot + 1);
  }
  if (kindOf(host) !== 'name' && !host.startsWith('127.') && host !== '::1') found.push(IP_LITERAL);
  return found.length === 0 ? NONE : found;
}

function record(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${where} is not a mapping`);
  return value as Readonly<Record<string, unknown>>;
}
