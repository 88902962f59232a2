import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { Leaf } from './certs.ts';
import { Peer } from './peer.ts';

/** A server that records and obeys: each accepted connection becomes a `Peer` handed out in order of arrival. */
export interface RawOrigin {
  readonly port: number;
  /** Connections accepted so far (TCP, before any TLS). */
  readonly accepted: () => number;
  /** The next connection, accepted already or yet to come (10 s). */
  next(): Promise<Peer>;
  /** Drops waiting connections nobody asked for. */
  forget(): void;
  close(): Promise<void>;
}

export interface RawOriginOptions {
  /** Speak TLS; the captures are then of the bytes inside. */
  readonly tls?: Leaf;
  readonly alpn?: readonly string[];
  readonly host?: string;
}

export function listening(server: Server, host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, () => {
      server.removeListener('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Starts a raw origin on an ephemeral loopback port. */
export async function rawOrigin(options: RawOriginOptions = {}): Promise<RawOrigin> {
  const waiting: Peer[] = [];
  const wanted: ((peer: Peer) => void)[] = [];
  const sockets = new Set<Socket>();
  let accepted = 0;
  const track = (socket: Socket): void => {
    accepted++;
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const hand = (peer: Peer): void => {
    const taker = wanted.shift();
    if (taker === undefined) waiting.push(peer);
    else taker(peer);
  };
  const server = options.tls === undefined ? plainServer(track, hand) : tlsServer(options, options.tls, track, hand);
  const port = await listening(server, options.host);
  return {
    port,
    accepted: () => accepted,
    next: () => waiting.shift() ?? arrival(wanted),
    forget: () => {
      for (const peer of waiting.splice(0)) peer.destroy();
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  } as RawOrigin;
}

function arrival(wanted: ((peer: Peer) => void)[]): Promise<Peer> {
  return new Promise((resolve, reject) => {
    const take = (peer: Peer): void => {
      clearTimeout(timer);
      resolve(peer);
    };
    const timer = setTimeout(() => {
      wanted.splice(wanted.indexOf(take), 1);
      reject(new Error('no connection reached the origin within 10 s'));
    }, 10_000);
    wanted.push(take);
  });
}

function plainServer(track: (socket: Socket) => void, hand: (peer: Peer) => void): Server {
  return createServer({ allowHalfOpen: true }, (socket) => {
    track(socket);
    hand(new Peer(socket, socket));
  });
}

function tlsServer(
  options: RawOriginOptions,
  leaf: Leaf,
  track: (socket: Socket) => void,
  hand: (peer: Peer) => void,
): Server {
  const raws = new Map<string, Socket>();
  const server = createTlsServer({
    key: leaf.key,
    cert: leaf.cert,
    ALPNProtocols: [...(options.alpn ?? ['http/1.1'])],
    allowHalfOpen: true,
    // A half-open handshake would be waited for, for two minutes.
    handshakeTimeout: 3000,
  } as object);
  server.on('connection', (socket: Socket) => {
    track(socket);
    const key = `${socket.remoteAddress} ${socket.remotePort}`;
    raws.set(key, socket);
    socket.on('close', () => raws.delete(key));
  });
  server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy());
  server.on('secureConnection', (socket: TLSSocket) => {
    const raw = raws.get(`${socket.remoteAddress} ${socket.remotePort}`);
    socket.on('error', () => undefined);
    if (raw === undefined) socket.destroy();
    else hand(new Peer(socket, raw));
  });
  return server;
}

/** Opens a TCP connection to loopback (half-open allowed, no Nagle). */
export function dial(port: number, host = '127.0.0.1'): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

/** Sends CONNECT and reads the answer's head. The socket is left paused with nothing unread lost. */
export async function connectThrough(
  proxyPort: number,
  authority: string,
  fields: string,
): Promise<{ readonly socket: Socket; readonly head: string }> {
  const socket = await dial(proxyPort);
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n`);
  const head = await readHead(socket);
  return { socket, head };
}

/** Reads one HTTP head off a socket, byte-exact: what follows it is unshifted. */
export function readHead(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const finish = (act: () => void): void => {
      clearTimeout(timer);
      socket.removeListener('readable', onReadable);
      socket.removeListener('end', onEnd);
      socket.removeListener('close', onEnd);
      act();
    };
    const onEnd = (): void => finish(() => resolve(seen.toString('latin1')));
    const onReadable = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
        seen = Buffer.concat([seen, chunk]);
        const at = seen.indexOf('\r\n\r\n');
        if (at < 0) continue;
        if (at + 4 < seen.length) socket.unshift(seen.subarray(at + 4));
        finish(() => resolve(seen.subarray(0, at + 4).toString('latin1')));
        return;
      }
    };
    const timer = setTimeout(
      () => finish(() => reject(new Error(`no complete head: ${seen.toString('latin1')}`))),
      10_000,
    );
    socket.on('readable', onReadable);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
  });
}

export interface ClientTls {
  readonly servername: string;
  readonly ca: string | readonly string[];
  readonly alpn?: readonly string[];
}

/** TLS over an open socket, verified. */
export function secure(socket: Socket, options: ClientTls): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const tls = tlsConnect({
      socket,
      servername: options.servername,
      ca: typeof options.ca === 'string' ? options.ca : [...options.ca],
      ALPNProtocols: [...(options.alpn ?? ['http/1.1'])],
    });
    tls.allowHalfOpen = true;
    tls.once('error', reject);
    tls.once('secureConnect', () => {
      tls.removeListener('error', reject);
      tls.on('error', () => undefined);
      resolve(tls);
    });
  });
}
