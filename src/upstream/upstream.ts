import type { Socket } from 'node:net';
import type { Destination } from '../model/destination.ts';
import type { Link, Permit, Secured, Upstream, UpstreamTls } from '../model/ports.ts';
import { dialAddresses } from './happy-eyeballs.ts';
import { bypass, type Parent, parseParent } from './parent.ts';
import { dialThroughParent, isHttp } from './parent-dial.ts';
import { type LookupAll, operatorMap, resolveDestination } from './resolve.ts';
import { createTlsClient } from './secure.ts';

export interface UpstreamOptions {
  /** `upstream.resolve`: name or `*.name` → `host[:port]`. */
  readonly resolve: Readonly<Record<string, string>>;
  /** Parent proxy, credentials in the URL. */
  readonly proxy?: { readonly url: string } | undefined;
  /** NO_PROXY entries: destinations that skip the parent. */
  readonly noProxy: readonly string[];
  /** PEM roots besides system and bundled ones. */
  readonly ca: readonly string[] | undefined;
  /** Limit for TCP (and the parent's handshake), and again for TLS, ms; 0 = none. */
  readonly connectMs: number;
  /** TCP keep-alive idle time, ms. 30 s finds dead peers long before NATs forget them (product.md §3.2). */
  readonly keepAliveMs?: number;
  /** Replaces `dns.lookup` (tests). */
  readonly lookup?: LookupAll;
}

/**
 * The only place that opens upstream sockets. One socket per call, never pooled, never resolving a name again after the
 * permit was minted. Knows nothing of Weir's own listeners. Throws an Error for options that mean nothing.
 */
export function createUpstream(options: UpstreamOptions): Upstream {
  const operator = operatorMap(options.resolve);
  const parent = options.proxy === undefined ? undefined : parseParent(options.proxy.url);
  const direct = bypass(options.noProxy);
  const tls = createTlsClient({ ca: options.ca, handshakeMs: options.connectMs });
  const { connectMs, lookup, keepAliveMs = 30_000 } = options;

  async function dial(permit: Permit): Promise<Link> {
    const { destination } = permit;
    const startedAt = performance.now();
    if (permit.delegated && parent !== undefined) {
      const socket = await dialThroughParent({ parent, destination, connectMs, keepAliveMs, lookup, tls });
      return linkOf(socket, startedAt, true, isHttp(parent) && destination.scheme === 'http' ? parent : undefined);
    }
    const port = permit.port ?? destination.port;
    const socket = await dialAddresses({ addresses: permit.addresses, port, connectMs, keepAliveMs });
    return linkOf(socket, startedAt, false, undefined);
  }

  async function secure(link: Link, destination: Destination, wanted: UpstreamTls): Promise<Secured> {
    const { host, port } = destination;
    const result = await tls(link.socket as Socket, { host, port, ...wanted });
    if (!('socket' in result)) return result;
    const { socket, tlsMs } = result;
    const version = socket.getProtocol() ?? 'unknown';
    const cipher = socket.getCipher().name;
    const alpn = socket.alpnProtocol;
    const facts = typeof alpn === 'string' ? { version, cipher, alpn } : { version, cipher };
    return { link: { ...link, socket, timings: { ...link.timings, tlsMs }, tls: facts } };
  }

  return {
    resolve(destination) {
      const viaParent = parent !== undefined && !direct(destination);
      return resolveDestination(destination, operator, viaParent, lookup);
    },
    dial,
    secure,
  };
}

function linkOf(socket: Socket, startedAt: number, delegated: boolean, absolute: Parent | undefined): Link {
  const link: Link = {
    socket,
    peer: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    timings: { connectMs: performance.now() - startedAt },
    delegated,
  };
  if (absolute === undefined) return link;
  const { authorization } = absolute;
  return { ...link, absoluteForm: authorization === undefined ? {} : { proxyAuthorization: authorization } };
}
