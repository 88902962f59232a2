import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Answer } from '../../src/model/answer.ts';
import type { Connection } from '../../src/model/connection.ts';
import type { Destination } from '../../src/model/destination.ts';
import { ERRORS, type ErrorCode } from '../../src/model/error.ts';
import type { Exchange, RequestFacts } from '../../src/model/exchange.ts';
import type { Checked, CloseFacts, Corridor, Link, Reach, UpstreamTls } from '../../src/model/ports.ts';

/** What a transport told the corridor about one exchange. */
export interface Closed {
  readonly exchange: Exchange;
  readonly facts: CloseFacts;
}

/** Decisions of a test; everything is forwarded to 127.0.0.1 by default. */
export interface FakeOptions {
  readonly check?: (exchange: Exchange) => Checked;
  /** Instead of dialling 127.0.0.1 at the destination's port. */
  readonly reach?: (exchange: Exchange, tls?: UpstreamTls) => Promise<Reach>;
}

export interface FakeCorridor extends Corridor {
  readonly opened: Exchange[];
  readonly closed: Closed[];
  readonly rejected: { readonly code: ErrorCode; readonly detail: string | undefined }[];
  readonly connectionsClosed: { readonly connection: Connection; readonly reason: string }[];
  /** Links handed out. */
  readonly links: Link[];
  /** Begins revocation of everything registered for this exchange. */
  revoke(exchange: Exchange): void;
  /** Resolves when `count` exchanges are closed. */
  whenClosed(count: number): Promise<void>;
}

/** An answer as the corridor words it. */
export function answerOf(code: ErrorCode): Answer {
  const body = `{"error":"${code}"}`;
  const headers: [string, string][] = [
    ['content-type', 'application/json'],
    ['content-length', String(Buffer.byteLength(body))],
  ];
  return { status: ERRORS[code].status, reason: ERRORS[code].summary, headers, body };
}

let serial = 0;

function destinationOf(request: RequestFacts): Destination {
  const url = URL.parse(`http://${request.authority}`) ?? new URL('http://not.a.name');
  const port = url.port === '' ? (request.scheme === 'https' ? 443 : 80) : Number(url.port);
  return { scheme: request.scheme, host: url.hostname.replace(/^\[|\]$/g, ''), port };
}

export function fakeExchange(connection: Connection, request: RequestFacts, kind: Exchange['kind']): Exchange {
  serial += 1;
  return {
    kind,
    id: `exchange-${serial}`,
    traceId: '0'.repeat(32),
    spanId: '0'.repeat(16),
    connection,
    startedAt: Date.now(),
    startedMono: performance.now(),
    request,
    destination: destinationOf(request),
    identity: { agent: 'default', by: 'default' },
    findings: [],
    ruling: { mode: 'monitor', verdict: 'allow', action: 'forward', would: 'none' },
    firstSeen: false,
    requestBytes: 0,
    responseBytes: 0,
  };
}

/** An open TCP (or TLS) link to a port of 127.0.0.1. */
export async function dialLocal(port: number, secure?: UpstreamTls): Promise<Link> {
  const tcp = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
  await once(tcp, 'connect');
  let socket: Duplex = tcp;
  if (secure !== undefined) {
    socket = tls.connect({ socket: tcp, rejectUnauthorized: false, ALPNProtocols: [...secure.alpn] });
    await once(socket, 'secureConnect');
  }
  return { socket, peer: { address: '127.0.0.1', port }, timings: { connectMs: 1 }, delegated: false };
}

/** A corridor that remembers what transports told it and judges nothing unless asked to. */
export function createFakeCorridor(options: FakeOptions = {}): FakeCorridor {
  const revocations = new Map<Exchange, (() => void)[]>();
  const waiting: { count: number; resolve: () => void }[] = [];
  const corridor: FakeCorridor = {
    opened: [],
    closed: [],
    rejected: [],
    connectionsClosed: [],
    links: [],
    ready: Promise.resolve(),
    connection(facts) {
      serial += 1;
      return { ...facts, id: `connection-${serial}`, openedAt: Date.now(), visibility: 'plaintext', exchanges: 0 };
    },
    connectionClosed(connection, reason) {
      corridor.connectionsClosed.push({ connection, reason });
    },
    open(connection, request, kind) {
      const exchange = fakeExchange(connection, request, kind);
      connection.exchanges += 1;
      corridor.opened.push(exchange);
      return exchange;
    },
    openTunnel: (connect) => fakeExchange(connect.connection, connect.request, 'tunnel'),
    check: (exchange) => options.check?.(exchange) ?? { forward: true },
    checkTls: () => ({ forward: true }),
    async reach(exchange, secure) {
      if (options.reach !== undefined) return options.reach(exchange, secure);
      try {
        const link = await dialLocal(exchange.destination.port, secure);
        corridor.links.push(link);
        return { link };
      } catch {
        return { answer: answerOf('connect-refused') };
      }
    },
    secure: () => Promise.resolve({ failed: 'handshake', detail: 'not in this test' }),
    failure: (_exchange, code) => answerOf(code),
    reject(_connection, code, detail) {
      corridor.rejected.push({ code, detail });
      return answerOf(code);
    },
    close(exchange, facts) {
      revocations.delete(exchange);
      corridor.closed.push({ exchange, facts });
      for (const waiter of waiting.filter(({ count }) => corridor.closed.length >= count)) waiter.resolve();
    },
    content: () => undefined,
    filter: () => undefined,
    checkResponse: () => ({ forward: true }),
    checkTrailers: () => undefined,
    onDrain: () => undefined,
    onRevoked(exchange, revoke) {
      revocations.set(exchange, [...(revocations.get(exchange) ?? []), revoke]);
    },
    revoke(exchange) {
      for (const revoke of revocations.get(exchange) ?? []) revoke();
    },
    whenClosed(count) {
      if (corridor.closed.length >= count) return Promise.resolve();
      return new Promise((resolve) => waiting.push({ count, resolve }));
    },
  };
  return corridor;
}
