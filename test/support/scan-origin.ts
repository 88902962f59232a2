import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerResponse, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import * as ws from 'ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Leaf } from './certs.ts';
import { listening } from './origins.ts';

/** Begins a WebSocket message whose rest is what the origin is to answer. */
export const SAY = 'say ';

/** Content encodings by name, as an origin or an agent writes them. */
export const ENCODERS: ReadonlyMap<string, (bytes: Uint8Array) => Buffer> = new Map([
  ['gzip', (bytes) => gzipSync(bytes)],
  ['br', (bytes) => brotliCompressSync(bytes)],
  ['zstd', (bytes) => zstdCompressSync(bytes)],
  ['deflate', (bytes) => deflateSync(bytes)],
]);

/** Raw deflate under the name `deflate`, as many programs write it. */
export const rawDeflate = (bytes: Uint8Array): Buffer => deflateRawSync(bytes);

/** An origin that keeps what it got and answers what the test says, over HTTP/1.1 and HTTP/2. */
export interface ScanOrigin {
  readonly plainPort: number;
  readonly tlsPort: number;
  /** Bodies that arrived, by path without query. */
  readonly bodies: Map<string, Buffer>;
  /** WebSocket messages that arrived; each is echoed, or what stands behind {@link SAY} is said instead, without its `|`. */
  readonly messages: readonly string[];
  /** How WebSockets ended. */
  readonly closes: readonly (readonly [code: number, reason: string])[];
  /** Connections accepted. */
  accepted(): number;
  /** The answer to a path from now on: its body in these pieces, with these fields. */
  answer(path: string, pieces: readonly Uint8Array[], fields?: Readonly<Record<string, string>>): void;
  close(): Promise<void>;
}

interface Prepared {
  readonly pieces: readonly Uint8Array[];
  readonly fields: Readonly<Record<string, string>>;
}

/** What ws has beside its types: reading and writing of a WebSocket on any stream, once a handshake is made. */
interface Inner {
  readonly PerMessageDeflate: new (
    options: object,
    isServer: boolean,
  ) => { accept(offers: readonly object[]): unknown };
  readonly WebSocket: new (
    address: null,
    protocols: undefined,
    options: object,
  ) => WebSocket & { _extensions: object; setSocket(stream: Duplex, head: Buffer, options: object): void };
}

/** A WebSocket on a stream of HTTP/2 (RFC 8441 §5). */
function overHttp2(stream: ServerHttp2Stream): WebSocket {
  const { PerMessageDeflate, WebSocket: Made } = ws as unknown as Inner;
  const deflate = new PerMessageDeflate({ threshold: 0 }, true);
  deflate.accept([{}]);
  stream.respond({ ':status': 200, 'sec-websocket-extensions': 'permessage-deflate' });
  const socket = new Made(null, undefined, {});
  socket._extensions = { 'permessage-deflate': deflate };
  socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 0, skipUTF8Validation: false });
  return socket;
}

/** Starts it, plain and with TLS (`h2` and `http/1.1`). */
export async function scanOrigin(leaf: Leaf): Promise<ScanOrigin> {
  const bodies = new Map<string, Buffer>();
  const answers = new Map<string, Prepared>();
  const messages: string[] = [];
  const closes: [number, string][] = [];
  const open = new Set<Socket>();
  let accepted = 0;
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('error', () => undefined);
    request.on('end', () => {
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      bodies.set(path, Buffer.concat(parts));
      const { pieces, fields } = answers.get(path) ?? { pieces: [Buffer.from('hello')], fields: {} };
      response.writeHead(200, { 'content-type': 'text/plain', ...fields });
      const next = (i: number): void => {
        if (i >= pieces.length) response.end();
        else response.write(pieces[i], () => setImmediate(() => next(i + 1)));
      };
      next(0);
    });
  };
  const plain = createServer({ keepAliveTimeout: 30_000 }, handle);
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: { threshold: 0 } });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      const text = Buffer.from(data as Buffer).toString('latin1');
      messages.push(text);
      // What the other side is to say, in pieces so that only one side says it.
      const said = text.startsWith(SAY) ? Buffer.from(text.slice(SAY.length).replaceAll('|', '')) : data;
      socket.send(said as Buffer, { binary: isBinary });
    });
    socket.on('close', (code, reason) => closes.push([code, reason.toString()]));
  });
  const tls = createSecureServer(
    { key: leaf.key, cert: leaf.cert, allowHTTP1: true, settings: { enableConnectProtocol: true } },
    handle as never,
  );
  tls.on('connect', (_request: unknown, { stream }: Http2ServerResponse) =>
    sockets.emit('connection', overHttp2(stream as ServerHttp2Stream)),
  );
  for (const server of [plain, tls]) {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit('connection', ws, request)),
    );
  }
  for (const server of [plain, tls]) {
    server.on('connection', (socket: Socket) => {
      accepted++;
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    });
  }
  tls.on('sessionError', () => undefined);
  const [plainPort, tlsPort] = await Promise.all([listening(plain), listening(tls as never)]);
  return {
    plainPort,
    tlsPort,
    bodies,
    messages,
    closes,
    accepted: () => accepted,
    answer: (path, pieces, fields = {}) => void answers.set(path, { pieces, fields }),
    close: async () => {
      for (const socket of open) socket.destroy();
      plain.close();
      tls.close();
    },
  };
}
