import { once } from 'node:events';
import { type ClientRequestArgs, type IncomingMessage, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { connectTo, credentials } from './agent.ts';
import { dial, secure } from './origins.ts';
import type { ParityOrigin } from './parity-origin.ts';

/** How an agent speaks. `sse` and `grpc` are what flows over `http1` and `http2`; `sealed` is HTTP/1.1 in TLS that is not read. */
export type Protocol = 'plain' | 'http1' | 'http2' | 'ws' | 'wss' | 'sse' | 'grpc' | 'sealed' | 'tunnel';

/** One thing an agent does. */
export interface Asked {
  readonly host: string;
  /** Absent = the protocol's own. */
  readonly port?: number;
  /** In the ClientHello; absent = the host. */
  readonly servername?: string;
  readonly method: string;
  /** Begins with the tag. */
  readonly target: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly body?: readonly Buffer[];
  /** The length is declared. */
  readonly sized: boolean;
  readonly trailers?: Readonly<Record<string, string>>;
  /** WebSocket messages, one by one; bytes of a tunnel. */
  readonly messages: readonly string[];
  readonly agent: string;
}

/** What an agent saw. Without what every HTTP server says by itself (date, connection). */
export interface Seen {
  status: number;
  fields: Readonly<Record<string, string>>;
  body: Buffer;
  trailers: Readonly<Record<string, string>>;
  messages: string[];
  /** Close code of a WebSocket. */
  close?: number;
  /** The answer broke off. */
  broken: boolean;
}

/** A way from an agent to the origin: straight, or through a Weir. */
export interface Lane {
  readonly name: string;
  readonly origin: ParityOrigin;
  /** Certificate to trust. */
  readonly ca: string;
  /** That of the origin itself. */
  readonly originCa: string;
  /** Port of the Weir; absent = straight. */
  readonly proxy?: number;
}

const HOP = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding', 'sec-websocket-accept']);
const PATIENCE_MS = 15_000;

function seen(): Seen {
  return { status: 0, fields: {}, body: Buffer.alloc(0), trailers: {}, messages: [], broken: false };
}

function shown(fields: NodeJS.Dict<string | string[]>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!HOP.has(name) && !name.startsWith(':')) out[name] = String(value);
  }
  return out;
}

/** As Host and `:authority` name it. */
const authority = ({ host, port }: Asked): string => (port === undefined ? host : `${host}:${port}`);

/** A socket on which the origin (or Weir in its place) is spoken to. */
async function reach(lane: Lane, { host, port, agent, servername = host }: Asked, protocol: Protocol): Promise<Socket> {
  const { origin, proxy } = lane;
  const ca = protocol === 'sealed' ? lane.originCa : lane.ca;
  const alpn = [protocol === 'http2' || protocol === 'grpc' ? 'h2' : 'http/1.1'];
  const encrypted = protocol !== 'plain' && protocol !== 'ws';
  if (proxy === undefined) {
    if (!encrypted) return dial(origin.plainPort);
    const socket = await dial(alpn[0] === 'h2' ? origin.h2Port : origin.tlsPort);
    return secure(socket, { servername, ca, alpn });
  }
  if (protocol === 'plain') return dial(proxy);
  const ask = { agent };
  const { socket, answer } = await connectTo({ port: proxy }, `${host}:${port ?? (encrypted ? 443 : 80)}`, ask);
  if (answer.status !== 200) throw new Refused(answer.status, answer.headers, answer.body);
  if (encrypted) return secure(socket, { servername, ca, alpn });
  return socket;
}

/** A CONNECT was refused: that is what the agent saw. */
class Refused extends Error {
  readonly seen: Seen;
  constructor(status: number, fields: Readonly<Record<string, string>>, body: string) {
    super(`CONNECT was refused: ${status}`);
    this.seen = { ...seen(), status, fields, body: Buffer.from(body) };
  }
}

/** Does it, and says what the agent saw. */
export async function exchange(lane: Lane, protocol: Protocol, asked: Asked): Promise<Seen> {
  try {
    if (protocol === 'tunnel') return await bytes(lane, asked);
    const socket = await reach(lane, asked, protocol);
    try {
      if (protocol === 'http2' || protocol === 'grpc') return await overHttp2(socket, asked);
      if (protocol === 'ws' || protocol === 'wss') return await webSocket(socket, asked);
      return await overHttp1(socket, asked, protocol === 'plain' && lane.proxy !== undefined);
    } finally {
      socket.destroy();
    }
  } catch (error) {
    if (error instanceof Refused) return error.seen;
    throw error;
  }
}

function overHttp1(socket: Socket, asked: Asked, absolute: boolean): Promise<Seen> {
  const { method, target, fields, body, sized, trailers, agent } = asked;
  const host = authority(asked);
  const got = seen();
  const headers: Record<string, string> = { host, ...(absolute ? credentials({ agent }) : {}), ...fields };
  const length = Buffer.concat(body ?? []).length;
  if (body !== undefined)
    Object.assign(headers, sized ? { 'content-length': String(length) } : { 'transfer-encoding': 'chunked' });
  if (trailers !== undefined) headers['trailer'] = Object.keys(trailers).join(', ');
  return new Promise((resolve, reject) => {
    const path = absolute ? `http://${host}${target}` : target;
    const options: ClientRequestArgs = {
      createConnection: () => socket as never,
      path,
      method,
      headers,
      timeout: PATIENCE_MS,
    };
    const sent = request(options);
    const parts: Buffer[] = [];
    const done = (broken: boolean): void => resolve({ ...got, body: Buffer.concat(parts), broken });
    sent.on('response', (response: IncomingMessage) => {
      got.status = response.statusCode ?? 0;
      got.fields = shown(response.headers);
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', () => done(true));
      response.on('end', () => {
        got.trailers = shown(response.trailers);
        done(!response.complete);
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer for ${target}`)));
    // Refused while it was still being written: the answer is read all the same.
    sent.on('error', (error) => (got.status === 0 ? setTimeout(() => reject(error), 100) : undefined));
    for (const part of body ?? []) sent.write(part);
    if (trailers !== undefined) sent.addTrailers(trailers);
    sent.end();
  });
}

function overHttp2(socket: Socket, asked: Asked): Promise<Seen> {
  const { method, target, fields, body, sized, trailers } = asked;
  const host = authority(asked);
  const got = seen();
  const session = connectHttp2(`https://${host}`, { createConnection: () => socket });
  session.on('error', () => undefined);
  const length = Buffer.concat(body ?? []).length;
  const all = {
    ':method': method,
    ':path': target,
    ...fields,
    ...(sized && body !== undefined ? { 'content-length': String(length) } : {}),
  };
  const stream = session.request(all, { endStream: body === undefined, waitForTrailers: trailers !== undefined });
  const parts: Buffer[] = [];
  return new Promise<Seen>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer for ${target}`)), PATIENCE_MS);
    stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
    stream.on('response', (headers) => {
      got.status = Number(headers[':status']);
      got.fields = shown(headers as NodeJS.Dict<string>);
    });
    stream.on('trailers', (headers) => {
      got.trailers = shown(headers as NodeJS.Dict<string>);
    });
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('error', () => undefined);
    stream.on('close', () => {
      clearTimeout(timer);
      resolve({ ...got, body: Buffer.concat(parts), broken: stream.rstCode !== 0 });
    });
    for (const part of body ?? []) stream.write(part);
    if (body !== undefined) stream.end();
  }).finally(() => session.destroy());
}

async function webSocket(socket: Socket, asked: Asked): Promise<Seen> {
  const { target, fields, messages } = asked;
  const host = authority(asked);
  const got = seen();
  const client = new WebSocket(`ws://${host}${target}`, {
    createConnection: () => socket,
    headers: fields,
    perMessageDeflate: false,
    handshakeTimeout: PATIENCE_MS,
  });
  client.on('error', () => undefined);
  client.on('upgrade', (response) => {
    got.status = response.statusCode ?? 0;
    got.fields = shown(response.headers);
  });
  const refused = once(client, 'unexpected-response') as Promise<[unknown, IncomingMessage]>;
  refused.catch(() => undefined);
  const opened = await Promise.race([once(client, 'open').then(() => undefined), refused]);
  if (opened !== undefined) {
    const [, response] = opened;
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    return { ...got, status: response.statusCode ?? 0, fields: shown(response.headers), body: Buffer.concat(parts) };
  }
  const closed = once(client, 'close') as Promise<[number]>;
  for (const text of messages) {
    const answer = once(client, 'message').then(([data]) => String(data));
    answer.catch(() => undefined);
    client.send(text);
    const said = await Promise.race([answer, closed.then(() => undefined)]);
    if (said === undefined) break;
    got.messages.push(said);
  }
  if (client.readyState === WebSocket.OPEN) client.close(1000, 'done');
  const [code] = await closed;
  return { ...got, close: code };
}

/** Bytes that are neither TLS nor HTTP, echoed. */
async function bytes({ proxy, origin }: Lane, { host, port, agent, messages }: Asked): Promise<Seen> {
  const got = seen();
  let socket: Socket;
  if (proxy === undefined) {
    socket = await dial(origin.tcpPort);
    got.status = 200;
  } else {
    const reached = await connectTo({ port: proxy }, `${host}:${port ?? 9999}`, { agent });
    socket = reached.socket;
    got.status = reached.answer.status;
    got.fields = shown(reached.answer.headers);
    got.body = Buffer.from(reached.answer.body);
  }
  try {
    if (got.status !== 200) return got;
    const parts: Buffer[] = [];
    const ended = new Promise<void>((resolve) => socket.on('close', () => resolve()).on('end', () => resolve()));
    socket.on('data', (part: Buffer) => parts.push(part));
    for (const text of messages) socket.write(text);
    const all = messages.join('').length;
    while (Buffer.concat(parts).length < all) {
      const more = await Promise.race([
        ended.then(() => false),
        new Promise((resolve) => socket.once('data', () => resolve(true))),
      ]);
      if (more === false) break;
    }
    const echoed = Buffer.concat(parts);
    return { ...got, body: echoed, broken: echoed.length < all };
  } finally {
    socket.destroy();
  }
}
