import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Exchange } from '../../src/model/exchange.ts';
import type { RelayContext, RelayLimits } from '../../src/model/ports.ts';
import { relayHttp1 } from '../../src/protocol/http1.ts';
import { createAuthority } from './certs.ts';
import { createFakeCorridor, dialLocal, type FakeCorridor, type FakeOptions } from './fake-corridor.ts';
import type { Lane } from './lanes.ts';
import { dial, listening, type RawOrigin, rawOrigin, secure } from './origins.ts';
import { Peer } from './peer.ts';

export const LIMITS: RelayLimits = {
  headBytes: 262144,
  headers: 1000,
  headMs: 60_000,
  keepaliveMs: 75_000,
  tunnelIdleMs: 0,
  streamsPerConnection: 250,
  heldBytes: 268435456,
};

/** How agents meet the relay: at the proxy port, inside a CONNECT, inside an intercepted CONNECT. */
export type Way = 'plain' | 'link' | 'tls';

export interface House {
  readonly corridor: FakeCorridor;
  readonly origin: RawOrigin;
  readonly tlsOrigin: RawOrigin;
  /** Port where the relay takes connections of this way. */
  port(way: Way): number;
  /** A connection to the relay and the same straight to the origin, as lanes for scenarios. */
  lanes(way: Way): { readonly direct: Lane; readonly relayed: Lane };
  close(): Promise<void>;
}

const HOST = 'plain.test';
const AUTHORITY = createAuthority();

function lanesOf(way: Way, origin: RawOrigin, port: number): { readonly direct: Lane; readonly relayed: Lane } {
  const base = { host: HOST, origin, fields: '', target: (path: string) => path };
  const open = async (to: number): Promise<Peer> => {
    const socket = await dial(to);
    if (way !== 'tls') return new Peer(socket, socket);
    return new Peer(await secure(socket, { servername: HOST, ca: AUTHORITY.cert }), socket);
  };
  const direct: Lane = { ...base, name: way === 'tls' ? 'direct-tls' : 'direct', open: () => open(origin.port) };
  if (way !== 'plain') return { direct, relayed: { ...base, name: 'connect', open: () => open(port) } };
  const relayed: Lane = {
    ...base,
    name: 'plain',
    target: (path) => `http://${HOST}${path}`,
    fields: 'Proxy-Authorization: Basic eDp5\r\nproxy-connection: keep-alive\r\nX-Weir-Agent: me\r\n',
    open: () => open(port),
  };
  return { direct, relayed };
}

/** Starts raw origins and the HTTP/1 relay before them, in this process. `limits` change the relay's. */
export async function openHouse(options: FakeOptions = {}, limits: Partial<RelayLimits> = {}): Promise<House> {
  const leaf = AUTHORITY.issue([HOST]);
  const origin = await rawOrigin();
  const tlsOrigin = await rawOrigin({ tls: leaf });
  const byPort = async (exchange: Exchange) => {
    const link = await dialLocal(exchange.destination.port === 80 ? origin.port : exchange.destination.port);
    corridor.links.push(link);
    return { link };
  };
  const corridor: FakeCorridor = createFakeCorridor({ reach: byPort, ...options });
  const sockets = new Set<Socket>();
  const context = (agent: { readonly remotePort?: number | undefined }, way: Way): RelayContext => {
    const client = { address: '127.0.0.1', port: agent.remotePort ?? 0 };
    const connection = corridor.connection({ client, via: way === 'plain' ? 'absolute-form' : 'connect' });
    const scheme = way === 'tls' ? 'https' : 'http';
    if (way !== 'plain') connection.authority = { scheme, host: HOST, port: way === 'tls' ? 443 : 80 };
    return { corridor, connection, limits: { ...LIMITS, ...limits }, scheme };
  };
  const servers: Record<Way, Server> = {
    plain: createServer({ allowHalfOpen: true, noDelay: true }, (agent) => relayHttp1(agent, context(agent, 'plain'))),
    link: createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, async (agent) => {
      const link = await dialLocal(origin.port);
      relayHttp1(agent, { ...context(agent, 'link'), link });
    }),
    tls: createTlsServer({ key: leaf.key, cert: leaf.cert, allowHalfOpen: true } as object, async (agent) => {
      const link = await dialLocal(tlsOrigin.port, { servername: HOST, alpn: ['http/1.1'] });
      relayHttp1(agent, { ...context(agent, 'tls'), link });
    }),
  };
  const ports = new Map<Way, number>();
  for (const [way, server] of Object.entries(servers) as [Way, Server][]) {
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    });
    ports.set(way, await listening(server));
  }
  const port = (way: Way): number => ports.get(way) as number;
  return {
    corridor,
    origin,
    tlsOrigin,
    port,
    lanes: (way) => lanesOf(way, way === 'tls' ? tlsOrigin : origin, port(way)),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      for (const server of Object.values(servers)) server.close();
      for (const link of corridor.links) link.socket.destroy();
      await Promise.all([origin.close(), tlsOrigin.close()]);
    },
  };
}

/** An agent's connection to the relay. */
export async function agentTo(house: House, way: Way = 'plain'): Promise<Peer> {
  const socket = await dial(house.port(way));
  return new Peer(socket, socket);
}

/** A chunk (RFC 9112 §7.1). */
export function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

/** The payload of a chunked body that begins at `from`. */
export function unchunked(text: string, from = 0): string {
  let out = '';
  let at = from;
  for (;;) {
    const end = text.indexOf('\r\n', at);
    const size = Number.parseInt(text.slice(at, end), 16);
    if (!(size > 0)) return out;
    out += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
