import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest } from 'node:http2';
import { createServer as createTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Leaf } from './certs.ts';
import { listening } from './origins.ts';

/** What an origin is to say. */
export interface Said {
  readonly fields?: Readonly<Record<string, string>>;
  readonly pieces?: readonly Buffer[];
  readonly trailers?: Readonly<Record<string, string>>;
}

/** What an origin received of one exchange. Fields in order, as they came. */
export interface Received {
  readonly target: string;
  readonly fields: readonly string[];
  body: Buffer;
  trailers: readonly string[];
  /** The request was ended properly, so that it looked whole. */
  complete: boolean;
  readonly messages: string[];
  close?: number;
}

/** HTTP/1.1, HTTP/2, WebSocket and plain TCP, plain and with TLS; everything received is kept under the first part of its path. */
export interface ParityOrigin {
  readonly plainPort: number;
  readonly tlsPort: number;
  /** HTTP/2 only, with TLS. */
  readonly h2Port: number;
  /** Echoes bytes. */
  readonly tcpPort: number;
  readonly received: ReadonlyMap<string, Received>;
  /** Bytes that came over plain TCP. */
  readonly bytes: () => Buffer;
  /** Connections accepted, of any kind. */
  accepted(): number;
  answer(tag: string, said: Said): void;
  close(): void;
}

const tagOf = (target: string): string => target.split(/[/?]/, 2)[1] ?? '';

export async function parityOrigin(leaf: Leaf): Promise<ParityOrigin> {
  const received = new Map<string, Received>();
  const answers = new Map<string, Said>();
  const open = new Set<Socket>();
  const bytes: Buffer[] = [];
  let accepted = 0;
  const begin = (request: IncomingMessage): Received => {
    const { url = '', rawHeaders } = request;
    const got: Received = {
      target: url,
      fields: [...rawHeaders],
      body: Buffer.alloc(0),
      trailers: [],
      complete: false,
      messages: [],
    };
    received.set(tagOf(url), got);
    return got;
  };
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const got = begin(request);
    const parts: Buffer[] = [];
    const keep = (): void => {
      got.body = Buffer.concat(parts);
    };
    request.on('data', (part: Buffer) => {
      parts.push(part);
      keep();
    });
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('end', () => {
      // Over HTTP/2 a reset ends the readable side too.
      const { stream, aborted } = request as unknown as Http2ServerRequest;
      if (stream !== undefined && (aborted || stream.rstCode !== 0)) return;
      got.complete = true;
      got.trailers = [...request.rawTrailers];
      const { fields = {}, pieces = [Buffer.from('hello')], trailers } = answers.get(tagOf(got.target)) ?? {};
      const named = trailers === undefined || stream !== undefined ? {} : { trailer: Object.keys(trailers).join(', ') };
      response.writeHead(200, { 'content-type': 'text/plain', ...named, ...fields });
      const next = (i: number): void => {
        if (i < pieces.length) {
          response.write(pieces[i], () => setImmediate(() => next(i + 1)));
          return;
        }
        if (trailers !== undefined) response.addTrailers(trailers);
        response.end();
      };
      next(0);
    });
  };
  const plain = createServer({ keepAliveTimeout: 30_000 }, handle);
  const tls = createSecureServer(
    { key: leaf.key, cert: leaf.cert, allowHTTP1: true, ALPNProtocols: ['http/1.1'] },
    handle as never,
  );
  const h2 = createSecureServer({ key: leaf.key, cert: leaf.cert }, handle as never);
  const sockets = new WebSocketServer({ noServer: true });
  const tcp = createTcp((socket) => {
    socket.on('data', (part: Buffer) => {
      bytes.push(part);
      socket.write(part);
    });
    socket.on('end', () => socket.end());
  });
  for (const server of [plain, tls]) {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      sockets.handleUpgrade(request, socket, head, (client) => {
        const got = begin(request);
        got.complete = true;
        const said = answers.get(tagOf(got.target))?.pieces?.[0]?.toString('latin1');
        client.on('message', (data) => {
          const text = Buffer.from(data as Buffer).toString('latin1');
          got.messages.push(text);
          client.send(said ?? text);
        });
        client.on('error', () => undefined);
        client.on('close', (code) => {
          got.close = code;
        });
      }),
    );
  }
  for (const server of [plain, tls, h2, tcp]) {
    server.on('connection', (socket: Socket) => {
      accepted++;
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    });
  }
  for (const server of [tls, h2]) server.on('sessionError', () => undefined);
  const [plainPort, tlsPort, h2Port, tcpPort] = await Promise.all(
    [plain, tls as never, h2 as never, tcp].map((server) => listening(server)),
  );
  return {
    plainPort: plainPort as number,
    tlsPort: tlsPort as number,
    h2Port: h2Port as number,
    tcpPort: tcpPort as number,
    received,
    bytes: () => Buffer.concat(bytes.splice(0)),
    accepted: () => accepted,
    answer: (tag, said) => void answers.set(tag, said),
    close: () => {
      for (const socket of open) socket.destroy();
      for (const server of [plain, tls, h2, tcp]) server.close();
    },
  };
}
