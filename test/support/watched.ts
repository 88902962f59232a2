import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { WebSocketServer } from 'ws';
import type { Leaf } from './certs.ts';
import { connectThrough, dial, listening } from './origins.ts';
import { type OtlpReceiver, startOtlpReceiver } from './otlp-receiver.ts';
import { Peer } from './peer.ts';

/**
 * An origin that does what the path says: `/ok`, `/echo`, `/status/404`, `/reset` (before a head), `/close` (before a
 * head), `/short` (body cut), `/broken` (no HTTP), `/hang`, `/redirect?to=`,
 * `/switch` (101 to whatever was asked); WebSocket upgrades echo.
 */
export interface ObedientOrigin {
  readonly plainPort: number;
  readonly tlsPort: number;
  /** Requests seen, as `METHOD path`. */
  readonly seen: string[];
  /** Header blocks seen, raw. */
  readonly heads: (readonly string[])[];
  close(): Promise<void>;
}

function obey(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://origin.invalid');
  const [, what = '', detail = ''] = url.pathname.split('/');
  const { socket } = request;
  request.on('error', () => undefined);
  if (what === 'reset') socket.resetAndDestroy();
  else if (what === 'close') socket.destroy();
  else if (what === 'broken') socket.end('this is no HTTP\r\n\r\n');
  else if (what === 'short') {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789', () => socket.destroy());
  } else if (what === 'hang') request.resume();
  else if (what === 'stream') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: 1\n\n');
  } else if (what === 'redirect') {
    response.writeHead(302, { location: url.searchParams.get('to') ?? '/' }).end();
  } else {
    const status = what === 'status' ? Number(detail) : 200;
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = what === 'echo' ? Buffer.concat(parts) : Buffer.from('hello');
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length });
      response.end(body);
    });
  }
}

/** Starts the obedient origin, plain and (HTTP/1.1 only) TLS. */
export async function obedientOrigin(leaf: Leaf): Promise<ObedientOrigin> {
  const seen: string[] = [];
  const heads: (readonly string[])[] = [];
  const http = createHttp({ keepAliveTimeout: 30_000 }, (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    heads.push(request.rawHeaders);
    obey(request, response);
  });
  const sockets = new WebSocketServer({ noServer: true });
  sockets.on('connection', (socket) =>
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
  );
  http.on('upgrade', (request, socket, head) => {
    seen.push(`${request.method} ${request.url}`);
    heads.push(request.rawHeaders);
    if (request.url === '/switch') {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
      );
      socket.once('data', () => socket.end('some answer'));
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit('connection', ws, request));
  });
  const tls = createTls({ key: leaf.key, cert: leaf.cert, ALPNProtocols: ['http/1.1'] }, (socket) =>
    http.emit('connection', socket),
  );
  const open = new Set<Socket>();
  const track = (socket: Socket): void => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => open.delete(socket));
  };
  http.on('connection', track);
  tls.on('connection', track);
  tls.on('tlsClientError', () => undefined);
  const [plainPort, tlsPort] = await Promise.all([listening(http), listening(tls)]);
  return {
    plainPort,
    tlsPort,
    seen,
    heads,
    close: async () => {
      for (const socket of open) socket.destroy();
      for (const server of [http, tls] as Server[]) server.close();
    },
  };
}

/** A loopback port nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A port whose accept queue is full: its host drops every further SYN, as a silent firewall does (Linux). */
export async function blackHole(): Promise<{ readonly port: number; close(): void }> {
  const program = `const s = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(s.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [printed] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(printed.toString());
  const fillers = Array.from({ length: 4 }, () => connect({ host: '127.0.0.1', port }).on('error', () => {}));
  await new Promise((resolve) => setTimeout(resolve, 100));
  return {
    port,
    close() {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGKILL');
    },
  };
}

/** `Proxy-Authorization` line (with CRLF) that claims an agent name. */
export function claim(agent: string, password = 'x'): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`${agent}:${password}`).toString('base64')}\r\n`;
}

export const peerOf = (socket: Socket): Peer => new Peer(socket, socket);

/** Sends text and collects everything until the other side ends. */
export async function converse(port: number, text: string): Promise<string> {
  const peer = peerOf(await dial(port));
  await peer.send(text);
  await peer.ended();
  peer.destroy();
  return peer.received.toString('latin1');
}

/** One absolute-form request on a connection of its own; resolves with everything that came back. */
export function ask(
  port: number,
  agent: string,
  url: string,
  more: { readonly method?: string; readonly fields?: string; readonly body?: string } = {},
): Promise<string> {
  const { host } = new URL(url.replace(/^(\w+:\/\/)[^/@]*@/, '$1'));
  const body = more.body ?? '';
  const length = body === '' ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  return converse(
    port,
    `${more.method ?? 'GET'} ${url} HTTP/1.1\r\nHost: ${host}\r\n${claim(agent)}${length}${more.fields ?? ''}Connection: close\r\n\r\n${body}`,
  );
}

/** A CONNECT as this agent; the head of the answer and the socket behind it. */
export function tunnel(port: number, agent: string, authority: string, fields = ''): ReturnType<typeof connectThrough> {
  return connectThrough(port, authority, claim(agent) + fields);
}

/** A receiver that is closed and opened again on the same port: an outage. */
export interface Outage {
  readonly receiver: () => OtlpReceiver;
  down(): Promise<void>;
  up(): Promise<OtlpReceiver>;
}

/** Wraps a receiver so that it can go away (port refused) and come back; everything received over its lives is kept. */
export async function outage(): Promise<
  Outage & { readonly port: number; readonly spanIds: () => string[]; close(): Promise<void> }
> {
  let current = await startOtlpReceiver();
  const { port } = current;
  const former: string[] = [];
  let isUp = true;
  const down = async (): Promise<void> => {
    if (!isUp) return;
    isUp = false;
    former.push(...current.spans.map((span) => span.spanId));
    current.spans.length = 0;
    await current.close();
  };
  return {
    port,
    receiver: () => current,
    spanIds: () => [...former, ...current.spans.map((span) => span.spanId)],
    down,
    async up() {
      current = await startOtlpReceiver(port);
      isUp = true;
      return current;
    },
    close: down,
  };
}
