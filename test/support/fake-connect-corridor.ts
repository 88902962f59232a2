import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Answer } from '../../src/model/answer.ts';
import type { Connection, TlsFacts } from '../../src/model/connection.ts';
import type { ErrorCode } from '../../src/model/error.ts';
import type { Exchange, RequestFacts } from '../../src/model/exchange.ts';
import { fieldOf } from '../../src/model/fields.ts';
import type { Checked, CloseFacts, Corridor, Link, Reach, Relay, RelayLimits, Splice } from '../../src/model/ports.ts';

export const RELAY_LIMITS: RelayLimits = {
  headBytes: 262_144,
  headers: 1000,
  headMs: 60_000,
  keepaliveMs: 75_000,
  tunnelIdleMs: 0,
  streamsPerConnection: 250,
  heldBytes: 1 << 28,
};

export function answerOf(status: number, reason: string, body = `{"error":"${status}"}`): Answer {
  const headers = [
    ['content-type', 'application/json'],
    ['content-length', String(Buffer.byteLength(body))],
  ] as const;
  return { status, reason, headers, body };
}

export interface Closed {
  readonly exchange: Exchange;
  readonly facts: CloseFacts;
}

/** A corridor whose judgements are functions a test sets; everything that passes through is kept. */
export class FakeCorridor implements Corridor {
  ready: Promise<void> = Promise.resolve();
  readonly opened: Exchange[] = [];
  readonly closed: Closed[] = [];
  readonly rejected: { connection: Connection; code: ErrorCode; detail: string | undefined }[] = [];
  readonly ended: { connection: Connection; reason: string }[] = [];
  readonly tlsChecks: { facts: TlsFacts | undefined; protocol: string }[] = [];
  readonly links: Link[] = [];
  readonly revokers: Map<string, () => void> = new Map();
  connections = 0;
  /** Where every destination really is. */
  target: { port: number; host?: string } = { port: 0 };
  /** Roots for `secure`. */
  ca: string | undefined;
  onCheck: (exchange: Exchange) => Answer | undefined = () => undefined;
  onCheckTls: (connect: Exchange, facts: TlsFacts | undefined, protocol: string) => Answer | undefined = () =>
    undefined;
  onReach: (exchange: Exchange) => Promise<Answer | undefined> | undefined = () => undefined;
  #ids = 0;
  #over: Set<Connection> = new Set();
  #waiting: (() => void)[] = [];

  connection(facts: Parameters<Corridor['connection']>[0]): Connection {
    this.connections++;
    return {
      id: `c${++this.#ids}`,
      openedAt: Date.now(),
      visibility: facts.via === 'connect' ? 'tunnel' : 'plaintext',
      exchanges: 0,
      ...facts,
    };
  }

  connectionClosed(connection: Connection, reason: string): void {
    if (this.#over.has(connection)) return;
    this.#over.add(connection);
    this.ended.push({ connection, reason });
    this.#changed();
  }

  open(connection: Connection, request: RequestFacts, kind: 'exchange' | 'connect'): Exchange {
    const { host, port } = split(request.authority, request.scheme);
    const user = Buffer.from(fieldOf(request.fields, 'proxy-authorization')?.slice(6) ?? '', 'base64').toString();
    const identity = { agent: user.split(':')[0] || connection.listenerAgent || 'default', by: 'claim' } as const;
    const exchange: Exchange = {
      kind,
      id: `x${++this.#ids}`,
      traceId: 't',
      spanId: 's',
      connection,
      startedAt: Date.now(),
      startedMono: performance.now(),
      request,
      destination: { scheme: request.scheme, host, port },
      identity,
      findings: [],
      ruling: { mode: 'monitor', verdict: 'allow', action: 'forward', would: 'none' },
      firstSeen: false,
      requestBytes: 0,
      responseBytes: 0,
    };
    connection.identity ??= identity;
    if (kind === 'connect') connection.authority = exchange.destination;
    this.opened.push(exchange);
    return exchange;
  }

  openTunnel(connect: Exchange): Exchange {
    const tunnel: Exchange = { ...connect, kind: 'tunnel' };
    this.opened.push(tunnel);
    return tunnel;
  }

  check(exchange: Exchange): Checked {
    return checked(this.onCheck(exchange));
  }

  checkTls(connect: Exchange, facts: TlsFacts | undefined, protocol: string): Checked {
    this.tlsChecks.push({ facts, protocol });
    return checked(this.onCheckTls(connect, facts, protocol));
  }

  async reach(exchange: Exchange): Promise<Reach> {
    const answer = await this.onReach(exchange);
    if (answer !== undefined) return { answer };
    const { port, host = '127.0.0.1' } = this.target;
    const socket = net.connect({ port, host, allowHalfOpen: true, noDelay: true });
    try {
      await once(socket, 'connect');
    } catch {
      return { answer: this.failure(exchange, 'connect-refused') };
    }
    const link: Link = { socket, peer: { address: host, port }, timings: { connectMs: 1 }, delegated: false };
    this.links.push(link);
    return { link };
  }

  secure(
    _exchange: Exchange,
    link: Link,
    want: { servername: string; alpn: readonly string[] },
  ): ReturnType<Corridor['secure']> {
    return new Promise((resolve) => {
      const socket = tls.connect({
        socket: link.socket as net.Socket,
        ...(net.isIP(want.servername) === 0 ? { servername: want.servername } : { host: want.servername }),
        ...(want.alpn.length === 0 ? {} : { ALPNProtocols: [...want.alpn] }),
        ...(this.ca === undefined ? {} : { ca: this.ca }),
      });
      socket.on('error', (error: NodeJS.ErrnoException) => {
        const unverifiable = (socket.authorizationError as unknown) != null;
        resolve({ failed: unverifiable ? 'unverifiable' : 'handshake', detail: error.message });
      });
      socket.once('secureConnect', () => {
        const alpn = socket.alpnProtocol || undefined;
        const secured = {
          ...link,
          socket,
          tls: { version: '1.3', cipher: 'x', ...(alpn === undefined ? {} : { alpn }) },
        };
        this.links.push(secured);
        resolve({ link: secured });
      });
    });
  }

  failure(_exchange: Exchange, code: ErrorCode, detail?: string): Answer {
    return answerOf(502, `Weir: ${code}`, JSON.stringify({ error: code, detail }));
  }

  reject(connection: Connection, code: ErrorCode, detail?: string): Answer {
    this.rejected.push({ connection, code, detail });
    this.#changed();
    return answerOf(code === 'limit-reached' ? 503 : code === 'head-timeout' ? 408 : 400, `Weir: ${code}`);
  }

  close(exchange: Exchange, facts: CloseFacts): void {
    if (this.closed.some((entry) => entry.exchange === exchange)) throw new Error(`closed twice: ${exchange.kind}`);
    this.closed.push({ exchange, facts });
    this.#changed();
  }

  content(): undefined {}
  filter(): undefined {}
  checkTrailers(): undefined {}
  checkResponse(): Checked {
    return { forward: true };
  }

  onDrain(): void {}
  onRevoked(exchange: Exchange, revoke: () => void): void {
    this.revokers.set(exchange.id, revoke);
  }

  /** Waits until `met` is true; checked whenever something is closed or rejected. */
  async until(met: () => boolean, what = 'the corridor'): Promise<void> {
    const deadline = Date.now() + 8_000;
    while (!met()) {
      if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Every exchange opened was closed, every connection ended. */
  settled(): boolean {
    return this.opened.length === this.closed.length && this.ended.length === this.connections;
  }

  closing(kind: Exchange['kind']): CloseFacts | undefined {
    return this.closed.find((entry) => entry.exchange.kind === kind)?.facts;
  }

  #changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function checked(answer: Answer | undefined): Checked {
  return answer === undefined ? { forward: true } : { forward: false, answer };
}

function split(authority: string, scheme: string): { host: string; port: number } {
  const at = authority.lastIndexOf(':');
  if (at === -1) return { host: authority, port: scheme === 'https' ? 443 : 80 };
  return {
    host: authority
      .slice(0, at)
      .replace(/^\[|\]$/g, '')
      .toLowerCase(),
    port: Number(authority.slice(at + 1)),
  };
}

/** Half-closing pipe with counters: the smallest thing that keeps the splice contract. */
export const fakeSplice: Splice = (agent, link, tunnel, { corridor, firstBytes }) => {
  if (firstBytes !== undefined) link.socket.write(firstBytes);
  join(agent, link.socket, (bytes) => {
    tunnel.requestBytes += bytes;
  });
  join(link.socket, agent, (bytes) => {
    tunnel.responseBytes += bytes;
  });
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    agent.destroy();
    link.socket.destroy();
    corridor.close(tunnel, { outcome: 'forwarded' });
    corridor.connectionClosed(tunnel.connection, 'spliced');
  };
  agent.once('close', end);
  link.socket.once('close', end);
};

function join(from: Duplex, to: Duplex, count: (bytes: number) => void): void {
  from.on('data', (chunk: Buffer) => {
    count(chunk.length);
    to.write(chunk);
  });
  from.on('end', () => to.end());
  if (from.readableEnded) to.end();
}

/** One request, one exchange: answered by Weir when refused, else piped to the link (or a fresh one). */
export const fakeHttp1: Relay = (agent, context) => {
  const { corridor, connection, firstBytes } = context;
  let head = firstBytes ?? Buffer.alloc(0);
  let exchange: Exchange | undefined;
  let over = false;
  const end = (facts: CloseFacts): void => {
    if (over) return;
    over = true;
    if (exchange !== undefined) corridor.close(exchange, facts);
    context.link?.socket.destroy();
    corridor.connectionClosed(connection, 'http1');
  };
  agent.on('error', () => {});
  agent.once('close', () => end({ outcome: 'forwarded' }));
  agent.once('end', () => {
    if (exchange === undefined) agent.destroy();
  });
  const onHead = async (): Promise<void> => {
    const at = head.indexOf('\r\n\r\n');
    if (at === -1) return;
    agent.off('data', onData);
    const [line = '', ...rest] = head.toString('latin1', 0, at).split('\r\n');
    const [method = '', target = ''] = line.split(' ');
    const fields = rest.flatMap((field) => [
      field.slice(0, field.indexOf(':')),
      field.slice(field.indexOf(':') + 1).trim(),
    ]);
    const absolute = /^https?:\/\/([^/]+)/.exec(target)?.[1];
    const authority = connection.authority;
    const named =
      authority === undefined ? (absolute ?? fieldOf(fields, 'host') ?? '') : `${authority.host}:${authority.port}`;
    exchange = corridor.open(
      connection,
      { method, scheme: context.scheme, authority: named, target, protocol: '1.1', fields },
      'exchange',
    );
    const verdict = corridor.check(exchange);
    const reached = verdict.forward
      ? context.link === undefined
        ? await corridor.reach(exchange)
        : { link: context.link }
      : { answer: verdict.answer };
    if ('answer' in reached) {
      const { status, reason, body } = reached.answer;
      agent.end(`HTTP/1.1 ${status} ${reason}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
      agent.resume();
      return;
    }
    reached.link.socket.on('error', () => {});
    reached.link.socket.write(head);
    join(agent, reached.link.socket, () => {});
    join(reached.link.socket, agent, () => {});
    agent.once('close', () => reached.link.socket.destroy());
    reached.link.socket.once('close', () => agent.end());
  };
  const onData = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    void onHead();
  };
  agent.on('data', onData);
  void onHead();
};
