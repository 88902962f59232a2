import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createServer as createTls, type TLSSocket } from 'node:tls';
import type { Destination } from '../../src/model/destination.ts';
import type { Link, RelayContext, RelayLimits, Upstream } from '../../src/model/ports.ts';
import { relayHttp2 } from '../../src/protocol/http2.ts';
import { createUpstream } from '../../src/upstream/upstream.ts';
import type { Authority } from './certs.ts';
import { type FakeCorridor, fakeCorridor } from './fake-h2-corridor.ts';
import { readHead } from './origins.ts';

export const LIMITS: RelayLimits = {
  headBytes: 262_144,
  headers: 1_000,
  headMs: 10_000,
  keepaliveMs: 75_000,
  tunnelIdleMs: 0,
  streamsPerConnection: 250,
  heldBytes: 268_435_456,
};

export interface H2Proxy {
  readonly port: number;
  readonly corridor: FakeCorridor;
  /** Sockets of both sides still open. */
  openSockets(): number;
  close(): void;
}

export interface H2ProxyOptions {
  readonly authority: Authority;
  readonly host: string;
  readonly originPort: number;
  readonly limits?: Partial<RelayLimits>;
  /** No upstream is dialled before the first allowed stream. */
  readonly linkless?: boolean;
}

/** CONNECT, TLS with the host's own leaf, then `relayHttp2` under a corridor that only remembers: the room without the house. */
export async function h2Proxy(options: H2ProxyOptions): Promise<H2Proxy> {
  const { authority, host, originPort } = options;
  const corridor = fakeCorridor();
  const upstream = createUpstream({ resolve: {}, noProxy: [], ca: [authority.cert], connectMs: 5_000 });
  const sockets = new Set<Socket>();
  const track = <T extends Socket>(socket: T): T => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  const destination: Destination = { scheme: 'https', host, port: 443 };
  corridor.reachWith = async () => ({ link: await reach(upstream, destination, originPort, track) });
  const links = new Map<string, Link | undefined>();
  // Half-open accepted sockets: a client's FIN inside the handshake is noticed by the time-out only.
  const tls = createTls(
    { ...authority.issue([host]), ALPNProtocols: ['h2'], handshakeTimeout: 500 },
    (socket: TLSSocket) => {
      const key = String(socket.remotePort);
      const link = links.get(key);
      links.delete(key);
      const connection = corridor.connection({ client: { address: '127.0.0.1', port: 1 }, via: 'connect' });
      connection.authority = destination;
      const context: RelayContext = {
        corridor,
        connection,
        limits: { ...LIMITS, ...options.limits },
        scheme: 'https',
        ...(link === undefined ? {} : { link }),
      };
      relayHttp2(track(socket), context);
    },
  );
  tls.on('tlsClientError', (_error, socket) => socket.destroy());
  const server = createServer({ noDelay: true, allowHalfOpen: true }, async (socket) => {
    track(socket);
    await readHead(socket);
    if (socket.destroyed) return;
    const link = options.linkless === true ? undefined : await reach(upstream, destination, originPort, track);
    const key = String(socket.remotePort);
    links.set(key, link);
    // An agent that leaves before its TLS is done never gets to the relay.
    socket.once('close', () => {
      if (links.delete(key)) link?.socket.destroy();
    });
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    tls.emit('connection', socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    corridor,
    openSockets: () => sockets.size,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

async function reach(
  upstream: Upstream,
  destination: Destination,
  port: number,
  track: (socket: Socket) => Socket,
): Promise<Link> {
  const link = await upstream.dial({ brand: 'permit', destination, addresses: ['127.0.0.1'], port, delegated: false });
  const secured = await upstream.secure(link, destination, { servername: destination.host, alpn: ['h2'] });
  if ('failed' in secured) throw new Error(secured.detail);
  track(secured.link.socket as Socket);
  return secured.link;
}
