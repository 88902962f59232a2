import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, isIPv6 } from 'node:net';
import type { Destination } from '../model/destination.ts';
import { WeirError } from '../model/error.ts';
import type { Resolved } from '../model/ports.ts';

/** The one form of `dns.lookup` that is used; tests pass their own. */
export type LookupAll = (
  hostname: string,
  options: { all: true; order: 'verbatim' },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

interface Target {
  readonly host: string;
  readonly port?: number;
}

/** `upstream.resolve`, parsed once. */
export interface OperatorMap {
  find(host: string): Target | undefined;
}

/**
 * Parses `upstream.resolve`: keys are a name, an IP literal or `*.name` (which excludes the apex); values are
 * `host`, `host:port`, `ip`, `ip:port`, `[ipv6]` or `[ipv6]:port`. Throws a plain Error naming the entry that is wrong.
 */
export function operatorMap(entries: Readonly<Record<string, string>>): OperatorMap {
  const exact = new Map<string, Target>();
  const wildcards = new Map<string, Target>();
  for (const [key, value] of Object.entries(entries)) {
    const name = plainName(key);
    const target = parseTarget(value);
    if (target === undefined || name === '') throw new Error(`upstream.resolve: ${key}: ${value} is not host[:port]`);
    if (name.startsWith('*.')) wildcards.set(name.slice(2), target);
    else exact.set(name, target);
  }
  return {
    find(host) {
      const found = exact.get(host);
      if (found !== undefined || wildcards.size === 0 || isIP(host) !== 0) return found;
      // The longest suffix is the most specific wildcard.
      for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
        const match = wildcards.get(host.slice(dot + 1));
        if (match !== undefined) return match;
      }
      return undefined;
    },
  };
}

function plainName(key: string): string {
  const name = key.toLowerCase();
  if (name.startsWith('[') && name.endsWith(']')) return canonicalIp(name.slice(1, -1)) ?? name;
  return canonicalIp(name) ?? (name.endsWith('.') ? name.slice(0, -1) : name);
}

function parseTarget(value: string): Target | undefined {
  const whole = canonicalIp(value);
  if (whole !== undefined) return { host: whole };
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s/@]+))(?::(\d{1,5}))?$/.exec(value);
  if (match === null) return undefined;
  const bracketed = match[1];
  if (bracketed !== undefined && !isIPv6(bracketed)) return undefined;
  const name = bracketed ?? (match[2] as string);
  const host = canonicalIp(name) ?? name.toLowerCase();
  if (match[3] === undefined) return { host };
  const port = Number(match[3]);
  return port >= 1 && port <= 65535 ? { host, port } : undefined;
}

/** The WHATWG spelling of an IP literal (`::0001` → `::1`), or undefined when it is none. */
export function canonicalIp(host: string): string | undefined {
  const family = isIP(host);
  if (family === 4) return host;
  if (family !== 6 || host.includes('%')) return family === 6 ? host : undefined;
  return new URL(`http://[${host}]/`).hostname.slice(1, -1);
}

/** All addresses of a name in the resolver's order. Rejects with WeirError('dns-failed'). */
export function lookupAll(host: string, lookup: LookupAll = systemLookup): Promise<string[]> {
  return new Promise((resolve, reject) => {
    lookup(host, { all: true, order: 'verbatim' }, (error, addresses) => {
      if (error === null && addresses.length > 0) {
        // getaddrinfo may repeat an address per socket type.
        resolve([...new Set(addresses.map((entry) => entry.address))]);
        return;
      }
      const code = error?.code ?? 'no address';
      reject(new WeirError('dns-failed', `${host}: ${code}`, error === null ? undefined : { cause: error }));
    });
  });
}

/**
 * Where a destination's bytes may go: `upstream.resolve` first (always dialled directly), then the parent proxy
 * (`delegated`; an IP literal is still listed so that the address guard judges it), then the literal itself, then DNS.
 */
export async function resolveDestination(
  destination: Destination,
  operator: OperatorMap,
  viaParent: boolean,
  lookup: LookupAll | undefined,
): Promise<Resolved> {
  const mapped = operator.find(destination.host);
  if (mapped !== undefined) {
    const startedAt = performance.now();
    const literal = canonicalIp(mapped.host);
    const addresses = literal === undefined ? await lookupAll(mapped.host, lookup) : [literal];
    const resolved = { addresses, delegated: false, byOperator: true, dnsMs: performance.now() - startedAt };
    return mapped.port === undefined ? resolved : { ...resolved, port: mapped.port };
  }
  const literal = canonicalIp(destination.host);
  if (viaParent || literal !== undefined) {
    return {
      addresses: literal === undefined ? [] : [literal],
      delegated: viaParent,
      byOperator: false,
      dnsMs: 0,
    };
  }
  const startedAt = performance.now();
  const addresses = await lookupAll(destination.host, lookup);
  return { addresses, delegated: false, byOperator: false, dnsMs: performance.now() - startedAt };
}
