import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Server } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Leaf } from './certs.ts';
import { listening } from './origins.ts';

/** One request as the origin saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** An origin that answers everything and remembers it; plain, or TLS with HTTP/1.1 and HTTP/2. */
export interface EchoOrigin {
  readonly port: number;
  readonly seen: Seen[];
  /** TCP connections accepted since the start. */
  readonly connections: () => number;
  close(): Promise<void>;
}

export interface EchoOptions {
  readonly tls?: Leaf;
  readonly host?: string;
  /** PEM of an authority whose client certificates are demanded. */
  readonly clientCa?: string;
}

/**
 * `/status/503` answers that, `/hang` answers with a head and never ends, anything else `{path, body}`. An upgrade to
 * websocket is accepted and its bytes come back as they are.
 */
export async function echoOrigin(options: EchoOptions = {}): Promise<EchoOrigin> {
  const seen: Seen[] = [];
  const sockets = new Set<Duplex>();
  let connections = 0;
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response, seen).catch(() => response.destroy());
  };
  const server =
    options.tls === undefined
      ? createServer(handler)
      : (createSecureServer(
          {
            ...options.tls,
            allowHTTP1: true,
            ...(options.clientCa === undefined
              ? {}
              : { ca: options.clientCa, requestCert: true, rejectUnauthorized: true }),
          },
          handler as never,
        ) as unknown as Server);
  server.on('connection', (socket: Duplex) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => undefined);
  server.on('sessionError', () => undefined);
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    seen.push(seenOf(request, ''));
    socket.on('error', () => undefined);
    socket.write(`${accepted(request)}\r\n\r\n`);
    socket.pipe(socket);
  });
  const port = await listening(server as Server, options.host);
  return {
    port,
    seen,
    connections: () => connections,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** RFC 6455 §4.2.2. */
function accepted(request: IncomingMessage): string {
  const key = `${String(request.headers['sec-websocket-key'])}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}`;
}

function seenOf(request: IncomingMessage, body: string): Seen {
  const host = (request as { authority?: string }).authority ?? request.headers.host ?? '';
  return { method: request.method ?? '', path: request.url ?? '', host, headers: { ...request.headers }, body };
}

async function answer(request: IncomingMessage, response: ServerResponse, seen: Seen[]): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts).toString('utf8');
  seen.push(seenOf(request, body));
  const { pathname } = new URL(request.url ?? '/', 'http://origin.invalid');
  const status = /^\/status\/(\d{3})$/.exec(pathname);
  response.writeHead(status === null ? 200 : Number(status[1]), { 'content-type': 'application/json' });
  if (pathname === '/hang') {
    response.write('{"waiting":true}\n');
    return;
  }
  response.end(JSON.stringify({ path: request.url, length: body.length }));
}
