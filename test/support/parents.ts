import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Leaf } from './certs.ts';
import { listening } from './origins.ts';

/** What a parent proxy was asked for. */
export interface Asked {
  /** `CONNECT`, the method of an absolute-form request, `socks4` or `socks5`. */
  readonly how: string;
  /** `host:port` as asked, or the absolute URL. */
  readonly target: string;
  /** Proxy-Authorization, or `user:password` of SOCKS. */
  readonly credentials?: string;
}

/** A parent proxy under test control; every name leads to the port `route` gives. */
export interface ParentProxy {
  readonly port: number;
  readonly asked: Asked[];
  /** `ok`, an HTTP status to refuse with, or `hang`. */
  behave(how: 'ok' | 'hang' | number): void;
  close(): Promise<void>;
}

export interface ParentOptions {
  readonly route: (host: string) => number;
  readonly tls?: Leaf;
}

function tracked(server: Server): Set<Duplex> {
  const sockets = new Set<Duplex>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  return sockets;
}

function join(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}

/** Absolute-form, CONNECT and upgrades, over HTTP or HTTPS. */
export async function httpParent(options: ParentOptions): Promise<ParentProxy> {
  const asked: Asked[] = [];
  let behaviour: 'ok' | 'hang' | number = 'ok';
  const note = (message: IncomingMessage, how: string): void => {
    const credentials = message.headers['proxy-authorization'];
    asked.push({ how, target: message.url ?? '', ...(credentials === undefined ? {} : { credentials }) });
  };
  const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
    note(message, message.method ?? '');
    if (behaviour === 'hang') return;
    if (typeof behaviour === 'number') {
      response.writeHead(behaviour).end();
      return;
    }
    const url = new URL(message.url ?? '');
    const { 'proxy-authorization': _, ...headers } = message.headers;
    const onward = request({
      host: '127.0.0.1',
      port: options.route(url.hostname),
      method: message.method,
      path: `${url.pathname}${url.search}`,
      headers,
    });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    message.pipe(onward);
  };
  const server = (options.tls === undefined
    ? createHttpServer(onRequest)
    : createHttpsServer(options.tls, onRequest)) as unknown as Server;
  const sockets = tracked(server);
  server.on('tlsClientError', () => undefined);
  server.on('connect', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    note(message, 'CONNECT');
    socket.on('error', () => undefined);
    if (behaviour === 'hang') return;
    if (typeof behaviour === 'number') {
      socket.end(`HTTP/1.1 ${behaviour} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const host = (message.url ?? '').replace(/:\d+$/, '');
    const onward = connect(options.route(host), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      if (head.length > 0) onward.write(head);
      join(socket, onward);
    });
    onward.on('error', () => socket.destroy());
  });
  server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    note(message, 'UPGRADE');
    const url = new URL(message.url ?? '');
    const onward = connect(options.route(url.hostname), '127.0.0.1', () => {
      const lines: string[] = [];
      for (let i = 0; i < message.rawHeaders.length; i += 2) {
        lines.push(`${message.rawHeaders[i]}: ${message.rawHeaders[i + 1]}`);
      }
      onward.write(`${message.method} ${url.pathname} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      if (head.length > 0) onward.write(head);
      join(socket, onward);
    });
    onward.on('error', () => socket.destroy());
  });
  const port = await listening(server);
  return {
    port,
    asked,
    behave: (how) => {
      behaviour = how;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Buffers a socket until `count` bytes are there and takes them. */
function reader(socket: Socket): (count: number) => Promise<Buffer> {
  let held = Buffer.alloc(0);
  let wake: (() => void) | undefined;
  const onData = (part: Buffer): void => {
    held = Buffer.concat([held, part]);
    wake?.();
  };
  socket.on('data', onData);
  return async (count) => {
    if (count === 0) {
      socket.off('data', onData);
      socket.pause();
      const rest = held;
      held = Buffer.alloc(0);
      return rest;
    }
    while (held.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const part = held.subarray(0, count);
    held = held.subarray(count);
    return part;
  };
}

type Take = (count: number) => Promise<Buffer>;

async function text(take: Take): Promise<string> {
  let out = '';
  for (;;) {
    const byte = (await take(1))[0] as number;
    if (byte === 0) return out;
    out += String.fromCharCode(byte);
  }
}

/** SOCKS 4a: version, command, port, 0.0.0.x, user id, name. */
async function socks4(socket: Socket, take: Take): Promise<Asked> {
  const head = await take(7);
  const port = head.readUInt16BE(1);
  const address = head.subarray(3, 7);
  const user = await text(take);
  const named = address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3] !== 0;
  const host = named ? await text(take) : [...address].join('.');
  socket.write(Buffer.from([0, 90, 0, 0, 0, 0, 0, 0]));
  return { how: 'socks4', target: `${host}:${port}`, ...(user === '' ? {} : { credentials: user }) };
}

/** SOCKS 5 (RFC 1928) with or without user and password (RFC 1929). */
async function socks5(socket: Socket, take: Take): Promise<Asked> {
  const methods = await take((await take(1))[0] as number);
  let credentials: string | undefined;
  if (methods.includes(2)) {
    socket.write(Buffer.from([5, 2]));
    await take(1);
    const user = await take((await take(1))[0] as number);
    const password = await take((await take(1))[0] as number);
    credentials = `${user.toString()}:${password.toString()}`;
    socket.write(Buffer.from([1, 0]));
  } else socket.write(Buffer.from([5, 0]));
  const [, , , kind] = await take(4);
  let host: string;
  if (kind === 3) host = (await take((await take(1))[0] as number)).toString();
  else host = [...(await take(kind === 4 ? 16 : 4))].join('.');
  const port = (await take(2)).readUInt16BE(0);
  socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
  return { how: 'socks5', target: `${host}:${port}`, ...(credentials === undefined ? {} : { credentials }) };
}

/** SOCKS 4a and 5 on one port. */
export async function socksParent(options: ParentOptions): Promise<ParentProxy> {
  const asked: Asked[] = [];
  const serve = async (socket: Socket): Promise<void> => {
    const take = reader(socket);
    const version = (await take(1))[0];
    const one = version === 4 ? await socks4(socket, take) : await socks5(socket, take);
    asked.push(one);
    const onward = connect(options.route(one.target.replace(/:\d+$/, '')), '127.0.0.1');
    onward.on('error', () => socket.destroy());
    const rest = await take(0);
    if (rest.length > 0) onward.write(rest);
    join(socket, onward);
  };
  const server = createServer((socket) => void serve(socket).catch(() => socket.destroy()));
  const sockets = tracked(server);
  const port = await listening(server);
  return {
    port,
    asked,
    behave: () => undefined,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
