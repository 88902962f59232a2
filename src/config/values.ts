import { isIP } from 'node:net';
import { compileHostPattern } from '../model/glob.ts';

/** `host:port` taken apart. `host` has no brackets. Port 0 = chosen by the system. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where a rule points: a host glob or a `@category`, narrowed by port, method and path. Empty lists do not narrow. */
export interface DestinationRule {
  /** Lower-case host, host glob (`*.example.org`), IP literal, CIDR or `@category`. */
  readonly host: string;
  readonly ports: readonly number[];
  readonly methods: readonly string[];
  readonly paths: readonly string[];
  readonly mode?: 'monitor' | 'redact' | 'enforce' | undefined;
}

/** The agent name rule of product.md §4. Safe as a file name part, a metric label and a SQL value. */
export const AGENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
/** An `agents:` key: a name, or a glob made of the same characters and `*`. */
export const AGENT_KEY = /^[A-Za-z0-9*][A-Za-z0-9._*-]{0,62}$/;

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const METHOD = /^[A-Z][A-Z-]{0,31}$/;

/** Parses `host:port`; an IPv6 host must be in brackets. Throws Error with a sentence for people. */
export function parseHostPort(text: string): HostPort {
  const example = '(like 127.0.0.1:8080 or "[::1]:8080")';
  if (isIP(text) === 6) throw new Error(`an IPv6 address goes in brackets and needs a port: "${bracketed(text)}"`);
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (!match) throw new Error(`must be host:port ${example}`);
  const host = match[1] ?? match[2] ?? '';
  const port = Number(match[3]);
  if (port > 65535) throw new Error(`port ${port} is not in 0–65535`);
  if (match[1] !== undefined && isIP(host) !== 6) throw new Error(`"[${host}]" is not an IPv6 address`);
  if (host === '' || host === '*')
    throw new Error(`has no address: write 0.0.0.0:${port} or "[::]:${port}" to listen everywhere`);
  if (isIP(host) === 0 && !isHostName(host.toLowerCase())) throw new Error(`"${host}" is not a host name or address`);
  return { host: host.toLowerCase(), port };
}

/** `::1:8080` is an address too, but what was meant is `::1` and a port. */
function bracketed(text: string): string {
  const colon = text.lastIndexOf(':');
  const port = text.slice(colon + 1);
  return isIP(text.slice(0, colon)) === 6 && /^\d{2,5}$/.test(port)
    ? `[${text.slice(0, colon)}]:${port}`
    : `[${text}]:8080`;
}

function isHostName(host: string): boolean {
  if (host.length === 0 || host.length > 253) return false;
  // A name whose last label is numeric would be read as an IPv4 address by resolvers (WHATWG URL §3.5).
  const labels = host.split('.');
  return labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '');
}

/** Checks a CIDR (`10.0.0.0/8`, `fd00::/8`); a bare address means that one address. Returns the written form with its length. */
export function parseCidr(text: string): string {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) throw new Error('must be a CIDR like 10.0.0.0/8 or fd00::/8');
  const bits = family === 4 ? 32 : 128;
  if (length === undefined) return `${address}/${bits}`;
  if (!/^\d{1,3}$/.test(length) || Number(length) > bits)
    throw new Error(`/${length} is not a prefix length of IPv${family} (0–${bits})`);
  return text;
}

/** Checks a host pattern: `*`, exact name, glob (`*.example.org`, excludes the apex), IP literal, CIDR, or `@category`. Canonical form. */
export function parseHostGlob(text: string): string {
  if (text.startsWith('@')) {
    if (!/^@[a-z][a-z0-9-]*$/.test(text)) throw new Error(`"${text}" is not a category name like @paste`);
    return text;
  }
  if (text.includes('/')) return parseCidr(text);
  const pattern = compileHostPattern(text);
  if (pattern.form === 'exact') return pattern.host;
  if (pattern.form === 'below') return `*.${pattern.suffix}`;
  return pattern.form === 'glob' ? pattern.glob : '*';
}

/** Reads the short form `[METHOD ]host[:port][/path]` of a destination rule. Throws Error with a sentence for people. */
export function parseDestination(text: string): DestinationRule {
  let rest = text.trim();
  if (/^[a-z]+:\/\//i.test(rest)) throw new Error(`"${text}" is a URL; write host, host:port or host/path`);
  const methods: string[] = [];
  const space = rest.indexOf(' ');
  if (space > 0) {
    methods.push(parseMethod(rest.slice(0, space)));
    rest = rest.slice(space + 1).trim();
  }
  const paths: string[] = [];
  const slash = rest.indexOf('/');
  const isCidr = slash > 0 && isIP(rest.slice(0, slash)) !== 0 && /^\d+$/.test(rest.slice(slash + 1));
  if (slash > 0 && !isCidr) {
    paths.push(rest.slice(slash));
    rest = rest.slice(0, slash);
  }
  const ports: number[] = [];
  const port = isIP(rest) === 6 ? null : /:(\d{1,5})$/.exec(rest);
  if (port) {
    ports.push(parsePort(Number(port[1])));
    rest = rest.slice(0, port.index);
  }
  return { host: parseHostGlob(rest), ports, methods, paths };
}

/** An HTTP method in capitals. */
export function parseMethod(text: string): string {
  if (!METHOD.test(text)) throw new Error(`"${text}" is not an HTTP method (in capitals, like POST)`);
  return text;
}

function parsePort(port: number): number {
  if (port < 1 || port > 65535) throw new Error(`port ${port} is not in 1–65535`);
  return port;
}

/** True for 127/8, ::1 and `localhost`: reachable from this machine only. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || host === 'localhost' || /^::ffff:127\./.test(host);
}

/** An https URL, or http to loopback; anything secret would otherwise cross the network in clear. */
export function parseSecureUrl(text: string): string {
  const url = parseHttpUrl(text);
  const { protocol, hostname } = new URL(url);
  if (protocol === 'http:' && !isLoopback(hostname.replace(/^\[|\]$/g, '')))
    throw new Error('must be https, or http on loopback: it would cross the network unprotected');
  return url;
}

/** An http or https URL. */
export function parseHttpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw new Error('must be an http:// or https:// URL');
  return text;
}

/** A parent proxy: http, https, socks, socks4, socks5, socks5h. */
export function parseProxyUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^(https?|socks(4a?|5h?)?):$/.test(url.protocol))
    throw new Error('must be inherit, none, or a URL like http://proxy.example:3128 or socks5://127.0.0.1:1080');
  return text;
}
