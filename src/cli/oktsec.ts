import { parseHostGlob, parseHostPort } from '../config/values.ts';

/** What an Oktsec file says in Weir's words. */
export interface Imported {
  /** As `weir.yaml` has it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What has no counterpart, or another one than one would think; one sentence each, with the key it is about. */
  readonly remarks: readonly string[];
}

type Map = Readonly<Record<string, unknown>>;

const AGENT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const MAX_AGENTS = 1000;

/** Oktsec's names of what its rules find, ours beside them. */
const CATEGORIES: ReadonlyMap<string, string> = new Map([
  ['credential', 'credential'],
  ['credentials', 'credential'],
  ['credential-leak', 'credential'],
  ['secret', 'credential'],
  ['secrets', 'credential'],
  ['pii', 'pii'],
  ['financial', 'financial'],
  ['prompt-injection', 'injection'],
  ['indirect-injection', 'injection'],
  ['injection', 'injection'],
]);

/** Keys that say something Weir does another way, or not at all. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['max_body_size', 'bodies are read whole; a bound is body.scan_bytes'],
  ['auth_methods', 'names and tokens come in Proxy-Authorization: agents.<name>.token'],
  ['scope', 'private addresses are refused everywhere; those that may be reached stand in destinations.internal'],
  ['tool_restrictions', 'tools are not restricted by Weir'],
  ['integrations', 'presets are not known here; write their hosts to allowed_domains'],
]);

/** Reads the `forward_proxy` and `agents.*.egress` blocks of a parsed Oktsec file. Throws Error when there are none. */
export function importOktsec(input: unknown): Imported {
  const root = mapOf(input);
  const remarks: string[] = [];
  const proxy = mapOf(root?.['forward_proxy']);
  const named = Object.entries(mapOf(root?.['agents']) ?? {}).slice(0, MAX_AGENTS);
  const agents = named.flatMap(([name, agent]): [string, Map][] => {
    const egress = mapOf(mapOf(agent)?.['egress']);
    if (egress === undefined) return [];
    if (!AGENT.test(name)) {
      remarks.push(`agents.${name}: is no agent name here: letters, digits, . _ -, at most 63`);
      return [];
    }
    return [[name, agentOf(name, egress, proxy ?? {}, remarks)]];
  });
  if (proxy === undefined && agents.length === 0)
    throw new Error('there is no forward_proxy and no agents.<name>.egress in it: this is no Oktsec configuration');
  return {
    config: {
      ...(proxy === undefined ? {} : proxyOf(proxy, remarks)),
      ...(agents.length === 0 ? {} : { agents: Object.fromEntries(agents) }),
    },
    remarks,
  };
}

function proxyOf(proxy: Map, remarks: string[]): Map {
  const allowed = domains('forward_proxy.allowed_domains', proxy['allowed_domains'], remarks);
  const blocked = domains('forward_proxy.blocked_domains', proxy['blocked_domains'], remarks);
  others('forward_proxy', proxy, PROXY_KEYS, remarks);
  if (proxy['enabled'] === false) remarks.push('forward_proxy.enabled: false there; Weir listens when it is started');
  const lists = { ...(allowed.length === 0 ? {} : { allowed }), ...(blocked.length === 0 ? {} : { blocked }) };
  return {
    ...listenOf(proxy, remarks),
    ...(proxy['require_auth'] === true ? { identify: 'required' } : {}),
    ...(Object.keys(lists).length === 0 ? {} : { destinations: lists }),
  };
}

const PROXY_KEYS: ReadonlySet<string> = new Set([
  'enabled',
  'port',
  'bind',
  'allowed_domains',
  'blocked_domains',
  'scan_requests',
  'scan_responses',
  'require_auth',
]);
const EGRESS_KEYS: ReadonlySet<string> = new Set([
  'allowed_domains',
  'blocked_domains',
  'blocked_categories',
  'scan_requests',
  'scan_responses',
  'rate_limit',
  'rate_window',
]);

function listenOf({ port, bind }: Map, remarks: string[]): Map {
  if (port === undefined && bind === undefined) return {};
  const host = typeof bind === 'string' && bind !== '' ? bind : '127.0.0.1';
  const text = `${host.includes(':') ? `[${host}]` : host}:${port ?? 8083}`;
  try {
    parseHostPort(text);
    return { listen: text };
  } catch (error) {
    remarks.push(`forward_proxy.port: ${(error as Error).message}`);
    return {};
  }
}

function agentOf(name: string, egress: Map, proxy: Map, remarks: string[]): Map {
  const at = `agents.${name}.egress`;
  const allowed = domains(`${at}.allowed_domains`, egress['allowed_domains'], remarks);
  const blocked = domains(`${at}.blocked_domains`, egress['blocked_domains'], remarks);
  const categories = categoriesOf(`${at}.blocked_categories`, egress['blocked_categories'], remarks);
  others(at, egress, EGRESS_KEYS, remarks);
  // Absent inherits there.
  const scans = (key: 'scan_requests' | 'scan_responses'): boolean => {
    const value = egress[key] ?? proxy[key];
    return typeof value === 'boolean' ? value : key === 'scan_requests';
  };
  const limit = egress['rate_limit'];
  const window = egress['rate_window'];
  return {
    ...(allowed.length === 0 ? {} : { allowed_domains: allowed }),
    ...(blocked.length === 0 ? {} : { blocked_domains: blocked }),
    ...(categories.length === 0 ? {} : { blocked_categories: categories }),
    ...(isCount(limit) && limit > 0
      ? { rate_limit: limit, rate_window: isCount(window) && window > 0 ? window : 60 }
      : {}),
    scan: { requests: scans('scan_requests'), responses: scans('scan_responses') },
  };
}

function domains(key: string, value: unknown, remarks: string[]): string[] {
  return texts(key, value, remarks).flatMap((text) => {
    try {
      return [parseHostGlob(text)];
    } catch (error) {
      remarks.push(`${key}: ${(error as Error).message}`);
      return [];
    }
  });
}

function categoriesOf(key: string, value: unknown, remarks: string[]): string[] {
  const found = texts(key, value, remarks).flatMap((text) => {
    const ours = CATEGORIES.get(text.toLowerCase());
    if (ours === undefined) remarks.push(`${key}: ${JSON.stringify(text)} has no counterpart (weir patterns list)`);
    return ours === undefined ? [] : [ours];
  });
  return [...new Set(found)];
}

function texts(key: string, value: unknown, remarks: string[]): string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value as string[];
  remarks.push(`${key}: must be a list of texts; left out`);
  return [];
}

function others(at: string, map: Map, known: ReadonlySet<string>, remarks: string[]): void {
  for (const key of Object.keys(map)) {
    if (!known.has(key)) remarks.push(`${at}.${key}: ${ELSEWHERE.get(key) ?? 'has no counterpart'}`);
  }
}

function mapOf(value: unknown): Map | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Map) : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}
