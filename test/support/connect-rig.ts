import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo, type Socket } from 'node:net';
import tls from 'node:tls';
import { type Authority, createAuthority } from '../../src/connection/authority.ts';
import { createExceptions, type Exceptions } from '../../src/connection/exceptions.ts';
import { createListener, type Listener, type ListenerOptions } from '../../src/connection/listener.ts';
import type { Relay } from '../../src/model/ports.ts';
import { FakeCorridor, fakeHttp1, fakeSplice, RELAY_LIMITS } from './fake-connect-corridor.ts';

/** A listener on a free loopback port with a fake corridor behind it. */
export interface Rig {
  readonly corridor: FakeCorridor;
  readonly listener: Listener;
  readonly port: number;
  readonly authority: Authority;
  readonly exceptions: Exceptions;
  /** What a test may change while it runs. */
  readonly knobs: { wants: boolean; pass: boolean; unverifiable: 'splice' | 'block' };
  /** Opens a raw connection to the proxy. */
  dial(): Promise<Socket>;
  /** CONNECT, read to the end of its answer's head; rejects when that is not 200. */
  tunnel(authority: string, head?: string): Promise<Socket>;
}

/** HTTP/2 for tests: answers every stream with the corridor's refusal, or the upstream's body over a new upstream session. */
const fakeHttp2: Relay = (agent, { corridor, connection, link }) => {
  const session = http2.performServerHandshake(agent);
  const upstream =
    link === undefined ? undefined : http2.connect('https://upstream', { createConnection: () => link.socket });
  upstream?.on('error', () => {});
  session.on('error', () => {});
  session.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const authority = String(headers[':authority']);
    const request = {
      method: String(headers[':method']),
      scheme: 'https',
      authority,
      target: '/',
      protocol: '2',
      fields: [],
    } as const;
    const exchange = corridor.open(connection, request, 'exchange');
    const checked = corridor.check(exchange);
    stream.once('close', () => corridor.close(exchange, { outcome: 'forwarded' }));
    if (!checked.forward || upstream === undefined) {
      stream.respond({ ':status': checked.forward ? 502 : checked.answer.status });
      stream.end(checked.forward ? '' : checked.answer.body);
      return;
    }
    const up = upstream.request({ ':path': String(headers[':path']) });
    up.on('error', () => stream.close());
    up.once('response', (response) => stream.respond({ ':status': response[':status'] ?? 0 }));
    up.pipe(stream);
  });
  session.once('close', () => {
    upstream?.close();
    link?.socket.destroy();
    corridor.connectionClosed(connection, 'http2');
  });
};

type Overrides = Partial<Omit<ListenerOptions, 'limits'>> & { limits?: Partial<ListenerOptions['limits']> };

export async function createRig(overrides: Overrides = {}): Promise<Rig> {
  const corridor = new FakeCorridor();
  const authority = createAuthority({ ephemeral: true });
  const exceptions = createExceptions();
  const knobs: Rig['knobs'] = { wants: false, pass: true, unverifiable: 'splice' };
  const { limits, ...rest } = overrides;
  const listener = createListener({
    listen: [{ address: '127.0.0.1', port: 0 }],
    limits: {
      connections: 10_000,
      connectionsPerAgent: 2000,
      headMs: 60_000,
      clientHelloMs: 10_000,
      headBytes: 262_144,
      headers: 1000,
      ...limits,
    },
    corridor,
    relays: { http1: fakeHttp1, http2: fakeHttp2, splice: fakeSplice },
    relayLimits: RELAY_LIMITS,
    interception: {
      wants: () => knobs.wants,
      authority,
      exceptions,
      onUnverifiable: () => knobs.unverifiable,
      exceptionsApply: () => knobs.pass,
    },
    log: () => {},
    ...rest,
  });
  const [bound] = await listener.start();
  const port = bound?.port ?? 0;
  const dial = async (): Promise<Socket> => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  const tunnel = async (target: string, head = ''): Promise<Socket> => {
    const socket = await dial();
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${head}\r\n`);
    const answer = await readHead(socket);
    if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(answer);
    return socket;
  };
  return { corridor, listener, port, authority, exceptions, knobs, dial, tunnel };
}

/** Reads up to and including the blank line; what follows is put back. */
export async function readHead(socket: Socket): Promise<string> {
  let bytes: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) bytes = Buffer.concat([bytes, chunk]);
    const at = bytes.indexOf('\r\n\r\n');
    if (at !== -1) {
      if (bytes.length > at + 4) socket.unshift(bytes.subarray(at + 4));
      return bytes.toString('latin1', 0, at + 4);
    }
    if (socket.readableEnded || socket.destroyed) return bytes.toString('latin1');
    await Promise.race([once(socket, 'readable'), once(socket, 'end'), once(socket, 'close')]);
  }
}

/** Everything until the other side ends; then the socket is closed. */
export async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  if (!socket.destroyed) await Promise.race([once(socket, 'end'), once(socket, 'close')]).catch(() => {});
  socket.destroy();
  return text;
}

export async function listening(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** TLS over an established tunnel. */
export async function secure(socket: Socket, options: tls.ConnectionOptions): Promise<tls.TLSSocket> {
  const secured = tls.connect({ socket, ...options });
  secured.on('error', () => {});
  await Promise.race([
    once(secured, 'secureConnect'),
    once(secured, 'close').then(() => Promise.reject(new Error('closed'))),
  ]);
  return secured;
}

/** An HTTPS origin for both protocols that says which one it was spoken to, and the SNI. */
export function httpsOrigin(leaf: { key: string; cert: string }): http2.Http2SecureServer {
  const server = http2.createSecureServer({ ...leaf, allowHTTP1: true }, (request, response) => {
    const socket = request.stream?.session?.socket ?? request.socket;
    response.end(`origin ${request.httpVersion} ${(socket as tls.TLSSocket).servername || 'no-sni'} ${request.url}`);
  });
  server.on('tlsClientError', () => {});
  server.on('sessionError', () => {});
  return server;
}

export function httpOrigin(): http.Server {
  return http.createServer((request, response) => response.end(`origin ${request.url}`));
}
