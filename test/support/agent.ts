import { request as httpRequest, type IncomingMessage } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { readHead, secure } from './origins.ts';

/** What came back, as an agent's HTTP library shows it. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  /** Names in lower case; the last one wins. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How one request is made. */
export interface Ask {
  /** Name in the proxy URL; absent = no credentials at all. */
  readonly agent?: string;
  /** Password beside the name; `x`, as documented, when absent. */
  readonly password?: string;
  readonly method?: string;
  readonly body?: string | Buffer;
  /** Further fields: on the request, and on the CONNECT for `connectTo`. */
  readonly fields?: Readonly<Record<string, string>>;
  readonly userAgent?: string;
  /** Loopback address to come from (any of 127/8 on Linux). */
  readonly from?: string;
}

/** Where the proxy is. */
export interface Proxy {
  readonly port: number;
  readonly host?: string;
}

/** `Basic user:password`, or nothing without an agent. */
export function credentials({ agent, password = 'x' }: Ask): Readonly<Record<string, string>> {
  if (agent === undefined) return {};
  return { 'proxy-authorization': `Basic ${Buffer.from(`${agent}:${password}`).toString('base64')}` };
}

function read(response: IncomingMessage): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (part: string) => {
      body += part;
    });
    response.on('error', reject);
    response.on('end', () => {
      const headers = Object.fromEntries(Object.entries(response.headers).map(([name, v]) => [name, String(v)]));
      resolve({ status: response.statusCode ?? 0, reason: response.statusMessage ?? '', headers, body });
    });
  });
}

/** One absolute-form request on a connection of its own. */
export function plain(proxy: Proxy, url: string, ask: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { host } = new URL(url);
    const headers: Record<string, string> = { host, ...credentials(ask), ...ask.fields };
    if (ask.userAgent !== undefined) headers['user-agent'] = ask.userAgent;
    if (ask.body !== undefined) headers['content-length'] = String(Buffer.byteLength(ask.body));
    const options = {
      host: proxy.host ?? '127.0.0.1',
      port: proxy.port,
      path: url,
      agent: false as const,
      ...(ask.from === undefined ? {} : { localAddress: ask.from }),
    };
    const sent = httpRequest({ ...options, method: ask.method ?? 'GET', headers, timeout: 20_000 });
    sent.on('response', (response) => read(response).then(resolve, reject));
    sent.on('timeout', () => sent.destroy(new Error(`no answer for ${url}`)));
    sent.on('error', reject);
    sent.end(ask.body);
  });
}

/** Opens a TCP connection to the proxy (half-open allowed, no Nagle). */
function reach(proxy: Proxy, from: string | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { port, host = '127.0.0.1' } = proxy;
    const local = from === undefined ? {} : { localAddress: from };
    const socket = connectTcp({ port, host, allowHalfOpen: true, noDelay: true, ...local });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject).on('error', () => undefined);
      resolve(socket);
    });
  });
}

/** A CONNECT and its answer; the body of a refusal is read too. */
export async function connectTo(
  proxy: Proxy,
  authority: string,
  ask: Ask = {},
): Promise<{ readonly socket: Socket; readonly answer: Answer }> {
  const socket = await reach(proxy, ask.from);
  const fields = { host: authority, ...credentials(ask), ...ask.fields } as Record<string, string>;
  if (ask.userAgent !== undefined) fields['user-agent'] = ask.userAgent;
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`CONNECT ${authority} HTTP/1.1\r\n${lines.join('')}\r\n`);
  const head = await readHead(socket);
  const [first = '', ...rest] = head.split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of rest) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const [, status = '0', ...reason] = first.split(' ');
  const answer = { status: Number(status), reason: reason.join(' '), headers, body: '' };
  if (answer.status < 300) return { socket, answer };
  return { socket, answer: { ...answer, body: await readBody(socket, Number(headers['content-length'] ?? 0)) } };
}

function readBody(socket: Socket, length: number): Promise<string> {
  return new Promise((resolve) => {
    let body = Buffer.alloc(0);
    const done = (): void => {
      socket.off('data', onData).off('close', done).off('end', done);
      resolve(body.toString('utf8'));
    };
    const onData = (part: Buffer): void => {
      body = Buffer.concat([body, part]);
      if (body.length >= length) done();
    };
    socket.on('data', onData).once('close', done).once('end', done);
  });
}

/** TLS through a CONNECT; rejects with the refused answer's status line when there is no tunnel. */
export async function throughTls(
  proxy: Proxy,
  host: string,
  ask: Ask & { readonly ca: string; readonly alpn?: readonly string[]; readonly port?: number },
): Promise<TLSSocket> {
  const { socket, answer } = await connectTo(proxy, `${host}:${ask.port ?? 443}`, ask);
  if (answer.status !== 200) {
    socket.destroy();
    throw new Error(`CONNECT ${host} was refused: ${answer.status} ${answer.reason}`);
  }
  return secure(socket, { servername: host, ca: ask.ca, ...(ask.alpn === undefined ? {} : { alpn: ask.alpn }) });
}

/** One HTTP/1.1 request on an open (TLS) stream that stays open afterwards. */
export function over(socket: Socket, host: string, path: string, ask: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = { host, ...ask.fields };
    if (ask.body !== undefined) headers['content-length'] = String(Buffer.byteLength(ask.body));
    const sent = httpRequest({ createConnection: () => socket, path, method: ask.method ?? 'GET', headers });
    sent.on('response', (response) => read(response).then(resolve, reject));
    sent.on('error', reject);
    sent.end(ask.body);
  });
}

/** One https request over HTTP/1.1 in a CONNECT of its own, verified against `ca`. */
export async function https(
  proxy: Proxy,
  url: string,
  ask: Ask & { readonly ca: string; readonly connectFields?: Readonly<Record<string, string>> },
): Promise<Answer> {
  const { hostname, port, pathname, search } = new URL(url);
  const { fields: _inner, ...outer } = ask;
  const socket = await throughTls(proxy, hostname, {
    ...outer,
    ...(ask.connectFields === undefined ? {} : { fields: ask.connectFields }),
    ...(port === '' ? {} : { port: Number(port) }),
  });
  try {
    return await over(socket, hostname, `${pathname}${search}`, ask);
  } finally {
    socket.destroy();
  }
}

/** An HTTP/2 session in a CONNECT of its own. */
export async function http2Through(
  proxy: Proxy,
  host: string,
  ask: Ask & { readonly ca: string },
): Promise<ClientHttp2Session> {
  const socket = await throughTls(proxy, host, { ...ask, alpn: ['h2'] });
  if (socket.alpnProtocol !== 'h2') throw new Error(`${host} chose ${String(socket.alpnProtocol)}`);
  const session = connectHttp2(`https://${host}`, { createConnection: () => socket });
  session.on('error', () => undefined);
  return session;
}

/** One request on an HTTP/2 session. */
export function over2(session: ClientHttp2Session, path: string, ask: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path, ':method': ask.method ?? 'GET', ...ask.fields });
    let body = '';
    let headers: Record<string, string> = {};
    stream.setEncoding('utf8');
    stream.on('response', (fields) => {
      headers = Object.fromEntries(Object.entries(fields).map(([name, v]) => [name, String(v)]));
    });
    stream.on('data', (part: string) => {
      body += part;
    });
    stream.on('end', () => resolve({ status: Number(headers[':status'] ?? 0), reason: '', headers, body }));
    stream.on('error', reject);
    stream.on('close', () => reject(new Error(`the stream closed with ${stream.rstCode}`)));
    stream.end(ask.body);
  });
}
