import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Leaf } from './certs.ts';
import { gitBackend, makeRepository } from './git-origin.ts';
import { anthropic, openAi } from './llm.ts';
import { listening } from './origins.ts';
import { registry } from './registry.ts';

/** What real clients talk to: echo, SSE, WebSocket, LLM, git and npm stand-ins, plain and TLS (HTTP/1.1 and HTTP/2). */
export interface ClientOrigin {
  readonly plainPort: number;
  readonly tlsPort: number;
  close(): Promise<void>;
}

interface Request extends IncomingMessage {
  readonly authority?: string;
}

async function route(root: string, request: Request, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://origin.invalid');
  const host = request.authority ?? request.headers.host ?? '';
  if (url.pathname === '/v1/chat/completions') return openAi(request, response);
  if (url.pathname === '/v1/messages') return anthropic(request, response);
  if (url.pathname.startsWith('/npm/')) return registry(url.pathname.slice(4), `https://${host}/npm`, response);
  if (url.pathname.startsWith('/git/')) {
    return gitBackend(root, url.pathname.slice(4), url.search.slice(1), request, response);
  }
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  response.writeHead(200, { 'content-type': 'application/json', 'x-standin': 'yes' });
  const seen = { method: request.method, path: request.url, host, body: Buffer.concat(parts).toString('utf8') };
  response.end(
    JSON.stringify({ ...seen, proxyHeaders: Object.keys(request.headers).filter((n) => n.startsWith('proxy-')) }),
  );
}

/** Echoes every message, greets first. */
function echoSockets(): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: { threshold: 0 } });
  server.on('connection', (socket) => {
    socket.send('welcome');
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  return (request, socket, head) =>
    server.handleUpgrade(request, socket, head, (ws) => server.emit('connection', ws, request));
}

/** Starts the stand-ins. */
export async function clientOrigin(leaf: Leaf): Promise<ClientOrigin> {
  const root = await mkdtemp(join(tmpdir(), 'weir-git-'));
  await makeRepository(root);
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    route(root, request, response).catch(() => response.destroy());
  };
  const plain = createServer(handler);
  const tls = createSecureServer({ key: leaf.key, cert: leaf.cert, allowHTTP1: true }, handler as never);
  const sockets = new Set<Duplex>();
  const upgrade = echoSockets();
  for (const server of [plain, tls] as unknown as Server[]) {
    server.on('upgrade', upgrade);
    server.on('connection', (socket: Duplex) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    });
    server.on('tlsClientError', () => undefined);
    server.on('sessionError', () => undefined);
  }
  const [plainPort, tlsPort] = await Promise.all([listening(plain), listening(tls as unknown as Server)]);
  return {
    plainPort,
    tlsPort,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      plain.close();
      tls.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}
