import { parseAddress } from '../model/cidr.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';

/** True when dialling `address:port` would reach one of our own sockets. `address` is a canonical IP literal. */
export type IsSelf = (address: string, port: number) => boolean;

const NONE: readonly Finding[] = [];
const SELF: readonly Finding[] = [
  {
    inspector: 'self',
    rule: 'self-target',
    severity: 'high',
    disposition: 'block',
    message: 'the target is Weir itself',
    blockReason: 'self-target',
    absolute: { status: 508 },
  },
];

/** Weir never proxies to itself, in any mode (product.md §4): literals before anything is resolved, names once they are. */
export function selfInspectors(isSelf: IsSelf): readonly Inspector[] {
  return [
    {
      id: 'self',
      phase: 'request',
      inspect({ destination }) {
        const last = destination.host.charCodeAt(destination.host.length - 1);
        const literal = (last >= 0x30 && last <= 0x39) || destination.host.includes(':');
        return literal && isSelf(destination.host, destination.port) ? SELF : NONE;
      },
    },
    {
      id: 'self',
      phase: 'address',
      inspect(exchange: Exchange, { resolved }) {
        if (resolved === undefined) return NONE;
        const port = resolved.port ?? exchange.destination.port;
        for (const address of resolved.addresses) if (isSelf(address, port)) return SELF;
        return NONE;
      },
    },
  ];
}

/**
 * Compiles the set of our sockets. `listening` are bound addresses (`0.0.0.0` and `::` = all); `interfaces` gives this
 * machine's own addresses and is asked only when a port matches a wildcard listener.
 */
export function createIsSelf(
  listening: Iterable<{ readonly address: string; readonly port: number }>,
  interfaces: () => Iterable<string>,
): IsSelf {
  const ports = new Map<number, Set<string>>();
  for (const { address, port } of listening) {
    const key = canonical(address);
    if (key === undefined) continue;
    const bound = ports.get(port) ?? new Set();
    bound.add(key);
    ports.set(port, bound);
  }
  return (address, port) => {
    const bound = ports.get(port);
    if (bound === undefined) return false;
    const target = canonical(address);
    if (target === undefined) return false;
    // Connecting to the unspecified address reaches this machine (Linux, macOS).
    if (target === UNSPECIFIED_4 || target === UNSPECIFIED_6) return true;
    if (bound.has(target)) return true;
    const wildcard = bound.has(UNSPECIFIED_6) || (bound.has(UNSPECIFIED_4) && target.startsWith('4:'));
    if (!wildcard) return false;
    if (isLoopback(target)) return true;
    for (const own of interfaces()) if (canonical(own) === target) return true;
    return false;
  };
}

const UNSPECIFIED_4 = '4:0';
const UNSPECIFIED_6 = '6:0,0,0,0';

function canonical(address: string): string | undefined {
  const parsed = parseAddress(address);
  if (parsed === undefined) return undefined;
  return parsed.four ? `4:${parsed.words[3]}` : `6:${parsed.words.join()}`;
}

function isLoopback(key: string): boolean {
  return key === '6:0,0,0,1' || (key.startsWith('4:') && Number(key.slice(2)) >>> 24 === 127);
}
