import { compileHostPattern, matchPattern } from '../model/glob.ts';

/** Party an exchange with a shared host is about (`github.com/acme`), or undefined. Never carries a token. */
export type TenantOf = (host: string, method: string, target: string) => string | undefined;

interface Rule {
  readonly matches: (host: string) => boolean;
  readonly suffix: string | undefined;
  readonly prefix: string;
  readonly first: number;
  readonly count: number;
  readonly whole: boolean;
  readonly scoped: boolean;
  readonly decode: boolean;
  readonly keepCase: boolean;
  readonly until: string | undefined;
  readonly methods: readonly string[];
  readonly except: ReadonlySet<string>;
  readonly before: string;
  readonly after: string;
}

const NONE: readonly Rule[] = [];
const CACHE = 4096;
/** A party's name longer than this is none. */
const MAX = 128;

/** Compiles parsed `patterns/tenants.yaml` (its head describes the form). Throws Error naming the entry that is wrong. */
export function compileTenants(data: unknown): TenantOf {
  const list = (data as { tenants?: unknown } | null)?.tenants;
  if (!Array.isArray(list)) throw new Error('the tenants file has no list "tenants"');
  const rules = list.map((entry: unknown, i) => compile(entry, i + 1));
  const cache = new Map<string, readonly Rule[]>();
  return (host, method, target) => {
    let mine = cache.get(host);
    if (mine === undefined) {
      mine = rules.filter((rule) => rule.matches(host));
      if (mine.length === 0) mine = NONE;
      if (cache.size >= CACHE) cache.clear();
      cache.set(host, mine);
    }
    for (const rule of mine) {
      const party = partyOf(rule, host, method, target);
      if (party !== undefined) return rule.before + party + rule.after;
    }
    return undefined;
  };
}

const KEYS: ReadonlySet<string> = new Set(
  'hosts as prefix suffix segment segments whole scoped decode case until methods except'.split(' '),
);

function compile(entry: unknown, number: number): Rule {
  const e = entry as Record<string, unknown>;
  const fail = (what: string) => new Error(`tenants.yaml, entry ${number}: ${what}`);
  if (typeof entry !== 'object' || entry === null) throw fail('is not a mapping');
  for (const key of Object.keys(e)) if (!KEYS.has(key)) throw fail(`unknown key "${key}"`);
  const hosts = e['hosts'];
  const as = e['as'];
  if (!Array.isArray(hosts) || hosts.length === 0) throw fail('needs hosts');
  if (typeof as !== 'string') throw fail('needs "as"');
  const patterns = hosts.map((host) => compileHostPattern(String(host)));
  const hole = as.indexOf('{}');
  const text = (key: string): string | undefined => (typeof e[key] === 'string' ? (e[key] as string) : undefined);
  const strings = (key: string): string[] => (Array.isArray(e[key]) ? (e[key] as unknown[]).map(String) : []);
  return {
    matches: (host) => patterns.some((pattern) => matchPattern(pattern, host)),
    suffix: text('suffix'),
    prefix: text('prefix') ?? '/',
    first: typeof e['segment'] === 'number' ? e['segment'] : 1,
    count: typeof e['segments'] === 'number' ? e['segments'] : 1,
    whole: e['whole'] === true,
    scoped: e['scoped'] === true,
    decode: e['decode'] === true,
    keepCase: e['case'] === 'keep',
    until: text('until'),
    methods: strings('methods'),
    except: new Set(strings('except')),
    before: hole < 0 ? as : as.slice(0, hole),
    after: hole < 0 ? '' : as.slice(hole + 2),
  };
}

function partyOf(rule: Rule, host: string, method: string, target: string): string | undefined {
  if (rule.methods.length > 0 && !rule.methods.includes(method)) return undefined;
  if (rule.suffix !== undefined) {
    const end = host.indexOf(rule.suffix);
    return end > 0 ? accept(rule, host.slice(0, end)) : undefined;
  }
  // A CONNECT shows no path.
  if (!target.startsWith(rule.prefix)) return undefined;
  if (rule.whole) return '';
  const found = segments(rule, target);
  return found === undefined ? undefined : accept(rule, found);
}

/** The wanted path segments after the prefix, decoded when the rule says so. */
function segments(rule: Rule, target: string): string | undefined {
  let start = rule.prefix.length;
  for (let skip = 1; skip < rule.first; skip++) {
    start = target.indexOf('/', start) + 1;
    if (start === 0) return undefined;
  }
  let end = start;
  for (let left = rule.count; end < target.length; end++) {
    const c = target.charCodeAt(end);
    if (c === 0x3f || c === 0x23 /* ? # */) break;
    if (c === 0x2f && --left === 0) break;
  }
  let found = target.slice(start, end);
  if (rule.decode && found.includes('%')) {
    try {
      found = decodeURIComponent(found);
    } catch {
      return undefined;
    }
    // `group%2Fproject` names the group; `@scope%2Fname` is one package.
    if (!(rule.scoped && found.startsWith('@'))) found = found.split('/', 1)[0] as string;
  }
  if (rule.scoped && found.startsWith('@') && !found.includes('/')) {
    const next = target.slice(end + 1).split(/[/?#]/, 1)[0];
    if (next !== undefined && next !== '' && target.charCodeAt(end) === 0x2f) found += `/${next}`;
  }
  return found;
}

function accept(rule: Rule, found: string): string | undefined {
  let party = found;
  if (rule.until !== undefined) {
    const cut = party.indexOf(rule.until);
    // Without the mark the rest may be the secret itself.
    if (cut < 0) return undefined;
    party = party.slice(0, cut);
  }
  if (!rule.keepCase) party = party.toLowerCase();
  if (party === '' || party.length > MAX || rule.except.has(party) || !isName(party)) return undefined;
  return party.endsWith('.git') ? party.slice(0, -4) : party;
}

/** Letters, digits and the few signs names have; anything else is an accident or an attack. */
function isName(party: string): boolean {
  for (let i = 0; i < party.length; i++) {
    const c = party.charCodeAt(i);
    const ok = (c >= 0x2d && c <= 0x39) || c === 0x40 || c === 0x5f || (c | 0x20) >= 0x61;
    if (!ok || c > 0x7a) return false;
  }
  return true;
}
