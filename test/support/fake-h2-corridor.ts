import type { Answer } from '../../src/model/answer.ts';
import type { Connection } from '../../src/model/connection.ts';
import { ERRORS, type ErrorCode } from '../../src/model/error.ts';
import type { Exchange, RequestFacts } from '../../src/model/exchange.ts';
import type { CloseFacts, Corridor, Reach, UpstreamTls } from '../../src/model/ports.ts';

export interface Closed extends CloseFacts {
  readonly exchange: Exchange;
}

/** A corridor that judges nothing unless told to, and remembers everything a transport told it. */
export interface FakeCorridor extends Corridor {
  readonly opened: Exchange[];
  readonly closed: Closed[];
  readonly rejected: { code: ErrorCode; detail: string | undefined }[];
  readonly reached: { exchange: Exchange; tls: UpstreamTls | undefined }[];
  readonly connectionsClosed: string[];
  /** Exchanges opened and not closed. */
  readonly unclosed: Set<Exchange>;
  refuse: (exchange: Exchange) => Answer | undefined;
  reachWith: (exchange: Exchange, tls: UpstreamTls | undefined) => Promise<Reach>;
  revoke(exchange: Exchange): void;
}

export function answerOf(status: number, body: string): Answer {
  return {
    status,
    reason: 'Answered',
    headers: [
      ['content-type', 'application/json'],
      ['content-length', String(Buffer.byteLength(body))],
    ],
    body,
  };
}

export function fakeCorridor(): FakeCorridor {
  const revocations = new Map<Exchange, () => void>();
  const corridor: FakeCorridor = {
    opened: [],
    closed: [],
    rejected: [],
    reached: [],
    connectionsClosed: [],
    unclosed: new Set(),
    refuse: () => undefined,
    reachWith: () => Promise.reject(new Error('reach was not expected')),
    revoke: (exchange) => revocations.get(exchange)?.(),
    ready: Promise.resolve(),
    connection: (facts) => fakeConnection(facts),
    connectionClosed: (_connection, reason) => void corridor.connectionsClosed.push(reason),
    open(connection, request) {
      const exchange = fakeExchange(connection, request);
      corridor.opened.push(exchange);
      corridor.unclosed.add(exchange);
      return exchange;
    },
    openTunnel: () => {
      throw new Error('no tunnel here');
    },
    check(exchange) {
      const answer = corridor.refuse(exchange);
      return answer === undefined ? { forward: true } : { forward: false, answer };
    },
    checkTls: () => ({ forward: true }),
    reach(exchange, tls) {
      corridor.reached.push({ exchange, tls });
      return corridor.reachWith(exchange, tls);
    },
    secure: () => Promise.reject(new Error('secure was not expected')),
    failure: (_exchange, code) => answerOf(ERRORS[code].status, JSON.stringify({ error: code })),
    reject(_connection, code, detail) {
      corridor.rejected.push({ code, detail });
      return answerOf(ERRORS[code].status, JSON.stringify({ error: code }));
    },
    close(exchange, facts) {
      if (!corridor.unclosed.delete(exchange)) throw new Error('closed twice');
      corridor.closed.push({ ...facts, exchange });
    },
    content: () => undefined,
    filter: () => undefined,
    checkResponse: () => ({ forward: true }),
    checkTrailers: () => undefined,
    onDrain: () => undefined,
    onRevoked: (exchange, revoke) => void revocations.set(exchange, revoke),
  };
  return corridor;
}

export function fakeConnection(facts: Parameters<Corridor['connection']>[0]): Connection {
  return {
    id: 'connection',
    openedAt: Date.now(),
    client: facts.client,
    via: facts.via,
    visibility: 'intercepted',
    exchanges: 0,
  };
}

function fakeExchange(connection: Connection, request: RequestFacts): Exchange {
  connection.exchanges++;
  return {
    kind: 'exchange',
    id: 'exchange',
    traceId: '0'.repeat(32),
    spanId: '0'.repeat(16),
    connection,
    startedAt: Date.now(),
    startedMono: performance.now(),
    request,
    destination: connection.authority ?? { scheme: 'https', host: 'unknown.test', port: 443 },
    identity: { agent: 'researcher', by: 'claim' },
    findings: [],
    ruling: { mode: 'monitor', verdict: 'allow', action: 'forward', would: 'none' },
    firstSeen: false,
    requestBytes: 0,
    responseBytes: 0,
  };
}
