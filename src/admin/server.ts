import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { AdminHandlers, LogLine } from '../model/admin.ts';
import { hostPort } from '../model/destination.ts';
import { printable } from '../model/printable.ts';
import { bodyRefusal, browserRefusal, hostAllowed, tokenMatches } from './guard.ts';
import { ACTOR_HEADER, AdminError, SOCKET_NAME } from './protocol.ts';
import { logQuery, ROUTES } from './routes.ts';
import { streamRun } from './runs.ts';
import { listenUnix } from './socket.ts';
import { loadToken } from './token.ts';

export interface AdminServerOptions {
  readonly handlers: AdminHandlers;
  /** Absolute; must exist. */
  readonly stateDir: string;
  /** TCP address of the token-protected API. */
  readonly admin?: { readonly host: string; readonly port: number } | undefined;
  /** TCP address of /healthz, /readyz and /metrics. */
  readonly health?: { readonly host: string; readonly port: number } | undefined;
}

export interface AdminServer {
  /** Binds everything or nothing. Rejects with AdminError. */
  start(): Promise<void>;
  /** `host:port` bound by TCP, ports resolved. */
  adminAddress(): string | undefined;
  healthAddress(): string | undefined;
  /** Closes listeners and streams, removes the socket. Idempotent. */
  stop(): Promise<void>;
}

/** Which door a request came through decides what it may ask. */
type Door = 'unix' | 'admin' | 'health';

/** A baseline import is the largest thing anybody sends. */
const MAX_BODY = 16 * 1024 * 1024;
/** A reader of `logs -f` that is this far behind loses lines, and is told how many. */
const MAX_BEHIND = 1024 * 1024;

/** HTTP for the command line over `state_dir/weir.sock`, and over TCP where the configuration names it. */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  const { handlers, stateDir } = options;
  const servers = new Map<Door, Server>();
  let token = '';
  const path = join(stateDir, SOCKET_NAME);

  const make = (door: Door): Server => {
    const server = createServer({ requestTimeout: 30_000 }, (request, response) => {
      request.on('error', () => response.destroy());
      response.on('error', () => request.destroy());
      serve(door, request, response).catch((error: unknown) => fail(response, error));
    });
    server.on('clientError', (_, socket) => socket.destroy());
    // A failed accept (EMFILE) is not the end of the collector; failures to bind are reported by who binds.
    server.on('error', () => undefined);
    server.maxConnections = 256;
    servers.set(door, server);
    return server;
  };

  const serve = async (door: Door, request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const port = door === 'unix' ? 0 : ((servers.get(door)?.address() as AddressInfo | null)?.port ?? 0);
    const refusal = refuse(door, request, port, options, token);
    if (refusal) return send(response, refusal.status, { error: refusal.message });
    const url = new URL(request.url ?? '/', 'http://weir');
    if (request.method === 'GET' && (await serveHealth(handlers, url.pathname, response))) return undefined;
    if (door === 'health') return send(response, 404, { error: 'only /healthz, /readyz and /metrics are here' });
    if (request.method === 'GET' && url.pathname === '/logs/stream')
      return stream(handlers, url.searchParams, response);
    // Whoever opens a run chooses its agent: that is for the user of this machine, not for holders of the token.
    if (door === 'unix' && request.method === 'POST' && url.pathname === '/runs')
      return streamRun(handlers, await readBody(request), response);
    const route = ROUTES.get(`${request.method} ${url.pathname}`);
    if (!route) return send(response, 404, { error: 'there is no such admin call' });
    const body = request.method === 'POST' ? await readBody(request) : {};
    const claimed = request.headers[ACTOR_HEADER];
    const actor =
      door === 'unix'
        ? printable(typeof claimed === 'string' ? claimed : 'local', 64)
        : `token ${request.socket.remoteAddress ?? ''}`;
    send(response, 200, (await route(handlers, { query: url.searchParams, body, actor })) ?? {});
    return undefined;
  };

  return {
    start: async () => {
      try {
        await listenUnix(make('unix'), path);
        if (options.admin) {
          token = loadToken(stateDir);
          await listenTcp(make('admin'), options.admin, 'admin.listen');
        }
        if (options.health) await listenTcp(make('health'), options.health, 'health.listen');
      } catch (error) {
        await closeAll(servers);
        throw error;
      }
    },
    adminAddress: () => addressOf(servers.get('admin')),
    healthAddress: () => addressOf(servers.get('health')),
    stop: () => closeAll(servers),
  };
}

function refuse(
  door: Door,
  request: IncomingMessage,
  port: number,
  options: AdminServerOptions,
  token: string,
): { status: number; message: string } | undefined {
  if (door === 'unix') return bodyRefusal(request.method, request.headers);
  const browser = browserRefusal(request.headers);
  if (browser) return browser;
  // Probes and Prometheus use service names on a network address; on loopback a name can only be a rebound one.
  const loopback = /^(127\.|::1$|localhost$)/.test(options.health?.host ?? '');
  if ((door === 'admin' || loopback) && !hostAllowed(request.headers.host, port))
    return { status: 421, message: 'the Host is not an address of this listener' };
  if (door === 'health') return undefined;
  if (!tokenMatches(request.headers.authorization, token))
    return { status: 401, message: 'send Authorization: Bearer <state_dir/private/admin.token>' };
  return bodyRefusal(request.method, request.headers);
}

async function serveHealth(handlers: AdminHandlers, path: string, response: ServerResponse): Promise<boolean> {
  if (path === '/healthz') {
    response.setHeader('x-weir-pid', process.pid);
    send(response, 200, { ok: true });
    return true;
  }
  if (path === '/readyz') {
    const readiness = handlers.ready();
    send(response, readiness.ok ? 200 : 503, readiness);
    return true;
  }
  if (path !== '/metrics') return false;
  const text = await handlers.metrics();
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
  return true;
}

function send(response: ServerResponse, status: number, value: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  const headers = { 'content-type': 'application/json', 'content-length': body.length, 'cache-control': 'no-store' };
  // An unread body would be taken for the next request.
  response.writeHead(status, status >= 400 ? { ...headers, connection: 'close' } : headers).end(body);
}

function fail(response: ServerResponse, error: unknown): void {
  const bad = error instanceof AdminError && error.code === 'bad-request';
  send(response, bad ? 400 : 500, { error: error instanceof Error ? error.message : 'unknown failure' });
}

async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new AdminError('bad-request', `the body is larger than ${MAX_BODY} bytes`);
    chunks.push(chunk);
  }
  if (size === 0) return {};
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through to the same answer as JSON of another kind.
  }
  throw new AdminError('bad-request', 'the body must be a JSON object');
}

function stream(handlers: AdminHandlers, query: URLSearchParams, response: ServerResponse): void {
  const { agent, blocked } = logQuery(query);
  let missed = 0;
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  response.flushHeaders();
  const stop = handlers.subscribe((line: LogLine) => {
    if (agent !== undefined && line.agent !== agent) return;
    if (blocked && line.action !== 'block' && line.would !== 'block') return;
    if (response.writableLength > MAX_BEHIND) {
      missed++;
      return;
    }
    if (missed > 0) response.write(`${JSON.stringify({ missed })}\n`);
    missed = 0;
    response.write(`${JSON.stringify(line)}\n`);
  });
  response.on('close', stop);
}

function listenTcp(server: Server, at: { host: string; port: number }, key: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const name = hostPort(at.host, at.port);
      if (error.code === 'EADDRINUSE')
        reject(new AdminError('address-in-use', `${name} (${key}) is in use`, { cause: error }));
      else reject(new AdminError('failed', `${name} (${key}) cannot be used: ${error.code}`, { cause: error }));
    };
    server.once('error', failed);
    server.listen(at.port, at.host, () => {
      server.removeListener('error', failed);
      resolve();
    });
  });
}

function addressOf(server: Server | undefined): string | undefined {
  const address = server?.address();
  return typeof address === 'object' && address !== null ? hostPort(address.address, address.port) : undefined;
}

async function closeAll(servers: Map<Door, Server>): Promise<void> {
  const all = [...servers.values()];
  servers.clear();
  await Promise.all(
    all.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    ),
  );
}
