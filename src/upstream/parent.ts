import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Destination } from '../model/destination.ts';

type ParentKind = 'http' | 'https' | 'socks4' | 'socks5';

/** A parent proxy, parsed. `user` and `password` must never reach an error, a log or a record. */
export interface Parent {
  readonly kind: ParentKind;
  readonly host: string;
  readonly port: number;
  readonly user?: string;
  readonly password?: string;
  /** Value of Proxy-Authorization, for HTTP(S) parents with credentials. */
  readonly authorization?: string;
}

const KINDS = new Map<string, { kind: ParentKind; port: number }>([
  ['http:', { kind: 'http', port: 80 }],
  ['https:', { kind: 'https', port: 443 }],
  ['socks:', { kind: 'socks5', port: 1080 }],
  ['socks5:', { kind: 'socks5', port: 1080 }],
  ['socks5h:', { kind: 'socks5', port: 1080 }],
  // The package sends names in SOCKS4a form in either case.
  ['socks4:', { kind: 'socks4', port: 1080 }],
  ['socks4a:', { kind: 'socks4', port: 1080 }],
]);

/**
 * Parses the URL of a parent proxy (`http`, `https`, `socks`, `socks4`, `socks4a`, `socks5`, `socks5h`).
 * Throws an Error that does not repeat the URL: it may hold a password.
 */
export function parseParent(url: string): Parent {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const known = parsed === undefined ? undefined : KINDS.get(parsed.protocol);
  if (parsed === undefined || known === undefined || parsed.hostname === '') {
    throw new Error('upstream.proxy: not an http, https, socks4 or socks5 URL');
  }
  const host = parsed.hostname.startsWith('[') ? parsed.hostname.slice(1, -1) : parsed.hostname;
  const port = parsed.port === '' ? known.port : Number(parsed.port);
  if (parsed.username === '' && parsed.password === '') return { kind: known.kind, host, port };
  const user = decode(parsed.username);
  const password = decode(parsed.password);
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  return { kind: known.kind, host, port, user, password, authorization };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

interface NameRule {
  readonly suffix: string;
  readonly port?: number;
}

/**
 * Compiles NO_PROXY entries: `*`, `name` and `.name` (both also match sub-domains, as curl and Go do), `*.name`,
 * an IP literal, a CIDR, each name or literal with an optional `:port`. An entry that means nothing is ignored.
 */
export function bypass(entries: readonly string[]): (destination: Destination) => boolean {
  const names: NameRule[] = [];
  const ranges = new BlockList();
  let all = false;
  for (const raw of entries) {
    const entry = raw.trim().toLowerCase();
    if (entry === '*') all = true;
    else if (entry !== '' && !addRange(ranges, entry)) addName(names, entry);
  }
  return ({ host, port }) => {
    if (all) return true;
    const family = isIP(host);
    if (family !== 0 && ranges.check(host, family === 6 ? 'ipv6' : 'ipv4')) return true;
    for (const rule of names) {
      if (rule.port !== undefined && rule.port !== port) continue;
      if (host === rule.suffix || (family === 0 && host.endsWith(`.${rule.suffix}`))) return true;
    }
    return false;
  };
}

function addRange(ranges: BlockList, entry: string): boolean {
  const plain = entry.startsWith('[') && entry.endsWith(']') ? entry.slice(1, -1) : entry;
  const slash = plain.indexOf('/');
  const address = slash === -1 ? plain : plain.slice(0, slash);
  const family = isIP(address);
  if (family === 0) return false;
  const type = family === 6 ? 'ipv6' : 'ipv4';
  if (slash === -1) {
    ranges.addAddress(address, type);
    return true;
  }
  const bits = plain.slice(slash + 1);
  if (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32)) {
    ranges.addSubnet(address, Number(bits), type);
  }
  return true;
}

function addName(names: NameRule[], entry: string): void {
  const match = /^(?:\[([^\]]+)\]|([^:[\]/]+))(?::(\d{1,5}))?$/.exec(entry);
  if (match === null) return;
  const literal = match[1];
  if (literal !== undefined && !isIPv6(literal)) return;
  const suffix = literal ?? (match[2] as string).replace(/^\*?\./, '').replace(/\.$/, '');
  if (suffix === '') return;
  names.push(match[3] === undefined ? { suffix } : { suffix, port: Number(match[3]) });
}

/**
 * The parent proxy of Weir's own environment, for `upstream.proxy: inherit`: HTTPS_PROXY, then HTTP_PROXY, then
 * ALL_PROXY, lower case first as curl does (a value without scheme is an HTTP proxy), and NO_PROXY, to which loopback is
 * added: a parent's loopback is never what an agent means.
 */
export function inheritedProxy(env: NodeJS.ProcessEnv): { proxy?: { url: string }; noProxy: string[] } {
  const value = read(env, 'https_proxy') ?? read(env, 'http_proxy') ?? read(env, 'all_proxy');
  const noProxy = (read(env, 'no_proxy') ?? '').split(/[\s,]+/).filter((entry) => entry !== '');
  noProxy.push(...LOOPBACK);
  if (value === undefined) return { noProxy };
  return { proxy: { url: value.includes('://') ? value : `http://${value}` }, noProxy };
}

/** NO_PROXY entries for this machine. */
export const LOOPBACK: readonly string[] = ['localhost', '127.0.0.0/8', '::1'];

function read(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = (env[name] ?? env[name.toUpperCase()] ?? '').trim();
  return value === '' ? undefined : value;
}
