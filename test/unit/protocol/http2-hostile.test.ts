import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, createSecureServer, type ServerHttp2Session, sensitiveHeaders } from 'node:http2';
import { after, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { hasRequest } from '../../../src/protocol/http2-gate.ts';
import { createAuthority } from '../../support/certs.ts';
import { type H2Proxy, type H2ProxyOptions, h2Proxy } from '../../support/h2-proxy.ts';
import { type Http2Origin, http2Client, http2Origin, openStream } from '../../support/http2.ts';
import { connectThrough, secure } from '../../support/origins.ts';

const HOST = 'read.test';
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const authority = createAuthority();
const closers: (() => unknown)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

async function stand(options: Partial<H2ProxyOptions> = {}): Promise<{ origin: Http2Origin; proxy: H2Proxy }> {
  const origin = await http2Origin(authority.issue([HOST]));
  const proxy = await h2Proxy({ authority, host: HOST, originPort: origin.port, ...options });
  closers.push(() => origin.close(), proxy.close);
  return { origin, proxy };
}

async function tlsTo(proxy: H2Proxy): Promise<TLSSocket> {
  const { socket } = await connectThrough(proxy.port, `${HOST}:443`, '');
  const tls = await secure(socket, { servername: HOST, ca: authority.cert, alpn: ['h2'] });
  tls.allowHalfOpen = false;
  closers.push(() => tls.destroy());
  return tls;
}

async function agent(proxy: H2Proxy): Promise<ClientHttp2Session> {
  return http2Client(await tlsTo(proxy), HOST);
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(what);
}

function status(session: ClientHttp2Session, fields: string[] = []): Promise<string> {
  return new Promise((resolve) => {
    const stream = openStream(session, HOST, 'GET', '/', fields, true);
    let seen = '';
    stream.on('response', (headers) => {
      seen = String(headers[':status']);
    });
    stream.on('error', () => undefined).resume();
    stream.once('close', () => resolve(seen === '' ? `reset ${stream.rstCode}` : seen));
  });
}

/** After whatever happened: nothing is left of it, and a new agent is served. */
async function recovers({ proxy }: { proxy: H2Proxy }): Promise<void> {
  await eventually(`both sockets gone (${proxy.openSockets()})`, () => proxy.openSockets() === 0);
  await eventually('every exchange closed', () => proxy.corridor.unclosed.size === 0);
  const session = await agent(proxy);
  assert.equal(await status(session), '200');
  session.destroy();
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

test('rapid reset ends the agent’s session, is recorded, and harms nobody else', async () => {
  const place = await stand();
  const session = await agent(place.proxy);
  const other = await agent(place.proxy);
  // Judged by what the relay does: a Node client that floods like this may miss the end of its own connection.
  const over = (): boolean => place.proxy.corridor.connectionsClosed.length > 0;
  for (let round = 0; round < 400 && !over(); round++) {
    const streams = Array.from({ length: 50 }, () => openStream(session, HOST, 'GET', '/', [], true));
    for (const stream of streams) stream.on('error', () => undefined);
    // In the same turn Node would send neither HEADERS nor RST_STREAM.
    await new Promise((resolve) => setImmediate(resolve));
    for (const stream of streams) stream.close(8);
  }
  await eventually('the session is ended', over);
  assert.equal(place.proxy.corridor.rejected[0]?.code, 'bad-request');
  session.destroy();
  assert.equal(await status(other), '200');
  other.destroy();
  await recovers(place);
});

test('a CONTINUATION flood ends the session', async () => {
  const place = await stand();
  const tls = await tlsTo(place.proxy);
  const closed = once(tls, 'close');
  tls.resume();
  tls.write(Buffer.concat([PREFACE, frame(4, 0, 0, Buffer.alloc(0))]));
  // HEADERS without END_HEADERS, then CONTINUATION without end (RFC 9113 §6.10).
  tls.write(frame(1, 1, 1, Buffer.from([0x82])));
  for (let i = 0; i < 1_000 && !tls.destroyed; i++) tls.write(frame(9, 0, 1, Buffer.alloc(1_000)));
  await closed;
  assert.equal(place.proxy.corridor.opened.length, 0);
  await recovers(place);
});

test('more fields or larger heads than the limits are refused for that stream', async () => {
  const place = await stand({ limits: { headers: 100, headBytes: 32_768 } });
  const session = await agent(place.proxy);
  const many = Array.from({ length: 300 }, (_, i) => [`x-${i}`, 'v']).flat();
  assert.match(await status(session, many), /^reset (11|7|1)$/);
  assert.match(await status(session, ['x-large', 'v'.repeat(60_000)]), /^reset (11|7|1)$/);
  assert.equal(await status(session), '200');
  assert.equal(place.origin.logs.length, 1);
  session.destroy();
  await recovers(place);
});

test('a large head within the limits passes', async () => {
  const place = await stand();
  const session = await agent(place.proxy);
  assert.equal(await status(session, ['x-large', 'v'.repeat(60_000), 'x-more', 'w'.repeat(40_000)]), '200');
  assert.ok(String(place.origin.logs[0]?.[0]?.[1]).includes('v'.repeat(60_000)));
  session.destroy();
});

test('not HTTP/2 at all, nothing at all, and a client that leaves at once', async () => {
  const place = await stand({ limits: { headMs: 300 } });
  const garbage = await tlsTo(place.proxy);
  const closed = once(garbage.resume(), 'close');
  garbage.write('GET / HTTP/1.1\r\nHost: read.test\r\n\r\n'.repeat(10));
  await closed;
  const silent = await tlsTo(place.proxy);
  await once(silent.resume(), 'close');
  assert.ok(place.proxy.corridor.rejected.some(({ code }) => code === 'head-timeout'));
  const gone = await tlsTo(place.proxy);
  gone.destroy();
  const half = await tlsTo(place.proxy);
  half.resume().end();
  await once(half, 'close');
  await recovers(place);
  assert.ok(
    place.proxy.corridor.connectionsClosed.length >= 3,
    'the one that left inside the TLS handshake never came to the relay',
  );
});

test('an agent that vanishes in the middle: the origin sees CANCEL, both sockets go', async () => {
  const place = await stand();
  place.origin.handle = (stream) => {
    stream.respond([':status', '200'] as never);
    stream.write('part');
  };
  const tls = await tlsTo(place.proxy);
  const session = await http2Client(tls, HOST);
  const stream = openStream(session, HOST, 'POST', '/', [], false);
  stream.on('error', () => undefined);
  stream.write('some');
  await once(stream, 'data');
  tls.destroy();
  await place.origin.settled();
  assert.deepEqual(place.origin.logs[0]?.at(-1), ['close', 8]);
  await eventually('closed', () => place.proxy.corridor.closed.length === 1);
  assert.equal(place.proxy.corridor.closed[0]?.outcome, 'client-gone');
  place.origin.handle = (next) => next.respond([':status', '200'] as never, { endStream: true });
  await recovers(place);
});

test('GOAWAY by the origin: mirrored, running streams finish, the connection ends', async () => {
  const place = await stand();
  let finish = (): void => undefined;
  place.origin.handle = (stream) => {
    stream.respond([':status', '200'] as never);
    stream.write('part');
    finish = () => stream.end('rest');
    stream.session?.close();
  };
  const session = await agent(place.proxy);
  const stream = openStream(session, HOST, 'GET', '/', [], true);
  let body = '';
  stream.on('data', (chunk: Buffer) => {
    body += chunk.toString();
  });
  const [code] = (await once(session, 'goaway')) as [number];
  assert.equal(code, 0);
  finish();
  await once(session, 'close');
  assert.equal(body, 'partrest');
  assert.equal(place.proxy.corridor.closed[0]?.outcome, 'forwarded');
  place.origin.handle = (next) => next.respond([':status', '200'] as never, { endStream: true });
  await recovers(place);
});

test('GOAWAY with an error by the origin: the agent gets its code', async () => {
  const place = await stand();
  place.origin.handle = (stream) => {
    (stream.session as ServerHttp2Session).destroy(new Error('scripted'), 11);
  };
  const session = await agent(place.proxy);
  const stream = openStream(session, HOST, 'GET', '/', [], true);
  stream.on('error', () => undefined);
  const [code] = (await once(session, 'goaway')) as [number];
  assert.equal(code, 11);
  if (!session.destroyed) await new Promise((resolve) => session.once('close', resolve));
  await eventually('closed', () => place.proxy.corridor.closed.length === 1);
  assert.equal(place.proxy.corridor.closed[0]?.outcome, 'failed');
});

test('an idle origin that leaves takes the agent’s connection along', async () => {
  const place = await stand();
  const sessions: ServerHttp2Session[] = [];
  place.origin.handle = (stream) => {
    sessions.push(stream.session as ServerHttp2Session);
    stream.respond([':status', '200'] as never, { endStream: true });
  };
  const session = await agent(place.proxy);
  assert.equal(await status(session), '200');
  sessions[0]?.close();
  await once(session, 'close');
  place.origin.handle = (next) => next.respond([':status', '200'] as never, { endStream: true });
  await recovers(place);
});

test('server push is refused on the agent’s behalf', async () => {
  const place = await stand();
  let allowed: boolean | undefined;
  place.origin.handle = (stream) => {
    allowed = stream.pushAllowed;
    stream.respond([':status', '200'] as never, { endStream: true });
  };
  const session = await agent(place.proxy);
  assert.equal(await status(session), '200');
  assert.equal(allowed, false);
  session.destroy();
});

test('never-indexed fields stay never-indexed', async () => {
  const leaf = authority.issue([HOST]);
  const server = createSecureServer({ key: leaf.key, cert: leaf.cert });
  let marked: unknown;
  server.on('stream', (stream, headers) => {
    marked = (headers as { [sensitiveHeaders]?: string[] })[sensitiveHeaders];
    const fields = [':status', '200', 'set-cookie', 'a=1'] as string[] & { [sensitiveHeaders]?: string[] };
    fields[sensitiveHeaders] = ['set-cookie'];
    stream.respond(fields as never, { endStream: true });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await h2Proxy({ authority, host: HOST, originPort: (server.address() as { port: number }).port });
  closers.push(() => server.close(), proxy.close);
  const session = await agent(proxy);
  const fields = [':method', 'GET', ':authority', HOST, ':scheme', 'https', ':path', '/', 'authorization', 'secret'];
  (fields as string[] & { [sensitiveHeaders]?: string[] })[sensitiveHeaders] = ['authorization'];
  const stream = session.request(fields as never, { endStream: true });
  const [headers] = (await once(stream, 'response')) as [{ [sensitiveHeaders]?: string[] }];
  assert.deepEqual(marked, ['authorization']);
  assert.deepEqual(headers[sensitiveHeaders], ['set-cookie']);
  session.destroy();
});

test('the gate knows a request from mere beginnings', () => {
  const settings = frame(4, 0, 0, Buffer.alloc(18));
  const update = frame(8, 0, 0, Buffer.alloc(4));
  const headers = frame(1, 5, 1, Buffer.from([0x82]));
  assert.equal(hasRequest(PREFACE), false);
  assert.equal(hasRequest(Buffer.concat([PREFACE, settings, update])), false);
  const all = Buffer.concat([PREFACE, settings, update, headers]);
  for (let cut = 0; cut <= all.length; cut++) {
    assert.equal(
      hasRequest(all.subarray(0, cut)),
      cut >= PREFACE.length + settings.length + update.length + 9,
      String(cut),
    );
  }
});
