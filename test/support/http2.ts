import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2Session,
  type Http2Stream,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Leaf } from './certs.ts';

/** What one side of one HTTP/2 stream received, in order. Consecutive DATA is one entry: frame sizes are hop by hop (RFC 9113 §5.2). */
export type StreamLog = (readonly [kind: string, ...detail: unknown[]])[];

const END_STREAM = 0x1;

/** Settings wide enough that no default of Node's decides a test. */
export const WIDE = {
  maxHeaderListPairs: 2000,
  maxSendHeaderBlockLength: 1 << 20,
  settings: { maxHeaderListSize: 1 << 20, enableConnectProtocol: true, initialWindowSize: 1 << 20 },
} as const;

/** Records everything a stream receives, and how it closed. */
export function recordStream(stream: Http2Stream, log: StreamLog): Promise<void> {
  stream.on('data', (bytes: Buffer) => {
    const last = log.at(-1);
    if (last?.[0] === 'data') log[log.length - 1] = ['data', Buffer.concat([last[1] as Buffer, bytes])];
    else log.push(['data', bytes]);
  });
  stream.on('trailers', (_fields, flags: number, raw: string[]) =>
    log.push(['trailers', [...raw], flags & END_STREAM]),
  );
  stream.on('headers', (_fields, _flags, raw: string[]) => log.push(['informational', [...raw]]));
  stream.on('response', (_fields, flags: number, raw: string[]) =>
    log.push(['response', [...raw], flags & END_STREAM]),
  );
  stream.on('end', () => log.push(['end']));
  stream.on('error', () => undefined);
  return new Promise((resolve) => {
    stream.once('close', () => {
      log.push(['close', stream.rstCode]);
      resolve();
    });
  });
}

export type StreamHandler = (stream: ServerHttp2Stream, raw: readonly string[], log: StreamLog) => void;

export interface Http2Origin {
  readonly port: number;
  /** What answers the next streams. */
  handle: StreamHandler;
  /** One log per stream, in order of arrival; cleared by the caller. */
  readonly logs: StreamLog[];
  /** Resolves when every recorded stream has closed. */
  settled(): Promise<void>;
  readonly sessions: () => number;
  close(): Promise<void>;
}

/** An HTTP/2 origin (ALPN h2 only, or cleartext with prior knowledge) that records every stream. */
export async function http2Origin(leaf?: Leaf): Promise<Http2Origin> {
  const settings = { ...WIDE, streamResetBurst: 5000 };
  const server: Http2Server | Http2SecureServer =
    leaf === undefined
      ? createServer(settings as ServerOptions)
      : createSecureServer({ key: leaf.key, cert: leaf.cert, ...settings } as SecureServerOptions);
  const open = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  let sessions = 0;
  let closing: Promise<void>[] = [];
  const origin: Http2Origin = {
    port: 0,
    handle: (stream) => stream.respond([':status', '200'] as never, { endStream: true }),
    logs: [],
    settled: async () => {
      await Promise.all(closing);
      closing = [];
    },
    sessions: () => sessions,
    close: () =>
      new Promise((resolve) => {
        for (const session of open) session.destroy();
        // A session that nghttp2 has given up can leave its socket open; the server would wait for it for ever.
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
  server.on('session', (session: ServerHttp2Session) => {
    sessions++;
    open.add(session);
    session.on('error', () => undefined);
    session.on('close', () => open.delete(session));
  });
  server.on('tlsClientError', () => undefined);
  server.on('stream', (stream: ServerHttp2Stream, _fields: object, flags: number, raw: string[]) => {
    const log: StreamLog = [['request', [...raw], flags & END_STREAM]];
    origin.logs.push(log);
    closing.push(recordStream(stream, log));
    origin.handle(stream, raw, log);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(origin, { port: (server.address() as AddressInfo).port });
}

/** An HTTP/2 client session over an open socket; a secured one must have agreed on h2. */
export async function http2Client(socket: Socket | TLSSocket, host: string): Promise<ClientHttp2Session> {
  if ('alpnProtocol' in socket && socket.alpnProtocol !== 'h2')
    throw new Error(`the other side chose ${String(socket.alpnProtocol)}, not h2`);
  const scheme = 'alpnProtocol' in socket ? 'https' : 'http';
  const session = connect(`${scheme}://${host}`, { createConnection: () => socket, ...WIDE } as object);
  session.on('error', () => undefined);
  await settingsOf(session);
  return session;
}

function settingsOf(session: Http2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no SETTINGS within 10 s')), 10_000);
    session.once('remoteSettings', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** `https`, or `http` on a cleartext session. */
export function schemeOf(session: ClientHttp2Session): string {
  return session.encrypted === true ? 'https' : 'http';
}

/** Opens a stream with fields in exactly this order. */
export function openStream(
  session: ClientHttp2Session,
  host: string,
  method: string,
  path: string,
  fields: readonly string[] = [],
  endStream = false,
  waitForTrailers = false,
): ClientHttp2Stream {
  const pseudo = [':method', method, ':authority', host, ':scheme', schemeOf(session), ':path', path];
  return session.request([...pseudo, ...fields] as never, { endStream, waitForTrailers });
}

export const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
