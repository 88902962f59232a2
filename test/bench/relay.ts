import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createServer as createTls, type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { Connection } from '../../src/model/connection.ts';
import type { Exchange } from '../../src/model/exchange.ts';
import type { Corridor, Link, RelayContext, RelayLimits } from '../../src/model/ports.ts';
import { relayHttp1 } from '../../src/protocol/http1.ts';
import { relayHttp2 } from '../../src/protocol/http2.ts';
import { readHead } from '../support/origins.ts';
import type { RelayTask } from './plan.ts';

/** The yardsticks: a raw splice, a TLS-to-TLS pipe, and our own relay under a corridor that judges and records nothing. */
const task = JSON.parse(process.argv[2] ?? '{}') as RelayTask;
const key = readFileSync(task.keyFile);
const cert = readFileSync(task.certFile);
const ca = readFileSync(task.caFile);

const LIMITS: RelayLimits = {
  headBytes: 262_144,
  headers: 1000,
  headMs: 60_000,
  keepaliveMs: 75_000,
  tunnelIdleMs: 0,
  streamsPerConnection: 250,
  heldBytes: 268_435_456,
};
const REFUSAL = { status: 502, reason: 'bench', headers: [['content-length', '0']] as const, body: '' };
const FORWARD = { forward: true } as const;
const RULING = { mode: 'monitor', verdict: 'allow', action: 'forward', would: 'none' } as const;

function linkOf(socket: Socket): Link {
  return { socket, peer: { address: '127.0.0.1', port: task.upstreamPort }, timings: {}, delegated: false };
}

function dial(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: task.upstreamPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}

function dialTls(alpn: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({
      port: task.upstreamPort,
      host: '127.0.0.1',
      servername: task.host,
      ca,
      ALPNProtocols: [alpn],
    });
    socket.setNoDelay(true);
    socket.once('error', reject);
    socket.once('secureConnect', () => resolve(socket));
  });
}

const nothing: Corridor = {
  ready: Promise.resolve(),
  connection: (facts) => ({ ...facts, id: 'c', openedAt: 0, visibility: 'plaintext', exchanges: 0 }),
  connectionClosed: () => undefined,
  open: (connection, request, kind): Exchange => ({
    kind,
    id: 'e',
    traceId: '',
    spanId: '',
    connection,
    startedAt: 0,
    startedMono: 0,
    request,
    destination: { scheme: 'http', host: task.host, port: 80 },
    identity: { agent: 'default', by: 'default' },
    findings: [],
    ruling: RULING,
    firstSeen: false,
    requestBytes: 0,
    responseBytes: 0,
  }),
  openTunnel: (exchange) => exchange,
  check: () => FORWARD,
  checkTls: () => FORWARD,
  reach: async () => ({ link: linkOf(await dial()) }),
  secure: async () => ({ failed: 'handshake', detail: 'bench' }),
  failure: () => REFUSAL,
  reject: () => REFUSAL,
  close: () => undefined,
  content: () => undefined,
  filter: () => undefined,
  checkResponse: () => ({ forward: true }),
  checkTrailers: () => undefined,
  onDrain: () => undefined,
  onRevoked: () => undefined,
};

function contextOf(link?: Link): RelayContext {
  const connection: Connection = nothing.connection({
    client: { address: '127.0.0.1', port: 1 },
    via: link === undefined ? 'absolute-form' : 'connect',
  });
  const common = { corridor: nothing, connection, limits: LIMITS };
  if (link === undefined) return { ...common, scheme: 'http' };
  connection.authority = { scheme: 'https', host: task.host, port: 443 };
  return { ...common, scheme: 'https', link };
}

function join(a: Socket, b: Socket): void {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
    one.pipe(other);
  }
}

/** CONNECT in front, TLS with the leaf, upstream TLS first: what interception does, and nothing else. */
function intercepting(alpn: string, relay: (agent: Socket, link: Link) => void): void {
  const links = new Map<number, Link>();
  const tls = createTls({ key, cert, ALPNProtocols: [alpn] }, (socket) => {
    const link = links.get(socket.remotePort ?? 0);
    links.delete(socket.remotePort ?? 0);
    socket.on('error', () => undefined);
    if (link !== undefined) relay(socket, link);
  });
  tls.on('tlsClientError', () => undefined);
  const server = createServer({ noDelay: true, allowHalfOpen: true }, async (socket) => {
    socket.on('error', () => undefined);
    await readHead(socket);
    links.set(socket.remotePort ?? 0, linkOf(await dialTls(alpn)));
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    tls.emit('connection', socket);
  });
  announce(server);
}

function announce(server: ReturnType<typeof createServer>): void {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
    console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
  });
}

if (task.kind === 'splice') {
  announce(
    createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      join(socket, connect({ port: task.upstreamPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true }));
    }),
  );
} else if (task.kind === 'http1') {
  announce(createServer({ noDelay: true, allowHalfOpen: true }, (socket) => relayHttp1(socket, contextOf())));
} else if (task.kind === 'pipe') intercepting('http/1.1', (agent, link) => join(agent, link.socket as Socket));
else if (task.kind === 'http1-tls') intercepting('http/1.1', (agent, link) => relayHttp1(agent, contextOf(link)));
else intercepting('h2', (agent, link) => relayHttp2(agent, contextOf(link)));
