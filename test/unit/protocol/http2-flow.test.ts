import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream, Settings } from 'node:http2';
import { after, test } from 'node:test';
import { heldBytes } from '../../../src/protocol/http2-window.ts';
import { createAuthority } from '../../support/certs.ts';
import { type H2Proxy, type H2ProxyOptions, h2Proxy } from '../../support/h2-proxy.ts';
import { type Http2Origin, http2Client, http2Origin, openStream } from '../../support/http2.ts';
import { connectThrough, secure } from '../../support/origins.ts';

const HOST = 'read.test';
const MIB = 1_048_576;
const authority = createAuthority();
const closers: (() => unknown)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

async function stand(
  options: Partial<H2ProxyOptions> = {},
): Promise<{ origin: Http2Origin; proxy: H2Proxy; session: ClientHttp2Session }> {
  const origin = await http2Origin(authority.issue([HOST]));
  const proxy = await h2Proxy({ authority, host: HOST, originPort: origin.port, ...options });
  const { socket } = await connectThrough(proxy.port, `${HOST}:443`, '');
  const tls = await secure(socket, { servername: HOST, ca: authority.cert, alpn: ['h2'] });
  const session = await http2Client(tls, HOST);
  closers.push(
    () => origin.close(),
    proxy.close,
    () => session.destroy(),
  );
  return { origin, proxy, session };
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(what);
}

/** Unlike `once`, not rejected by the 'error' before it. */
function closedStream(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => stream.once('close', () => resolve()));
}

/** Writes until nothing more is taken for half a second; resolves with the bytes taken. */
async function pushUntilStuck(stream: ClientHttp2Stream | ServerHttp2Stream): Promise<number> {
  const chunk = Buffer.alloc(16_384, 'x');
  let taken = 0;
  let last = Date.now();
  let stop = false;
  const write = (): void => {
    stream.write(chunk, () => {
      taken += chunk.length;
      last = Date.now();
      if (!stop && !stream.destroyed) write();
    });
  };
  write();
  while (Date.now() - last < 500) await new Promise((resolve) => setTimeout(resolve, 50));
  stop = true;
  return taken;
}

test('an origin that reads nothing holds the agent back', async () => {
  const { origin, session } = await stand();
  origin.handle = (stream) => {
    // The origin's own log listener reads; a paused stream does not.
    stream.pause();
    stream.respond([':status', '200'] as never);
  };
  const stream = openStream(session, HOST, 'POST', '/', [], false);
  stream.on('error', () => undefined);
  await once(stream, 'response');
  const taken = await pushUntilStuck(stream);
  assert.ok(taken > 65_536 && taken < 4 * MIB, `agent could push ${taken}`);
  stream.close(8);
});

test('an agent that reads nothing holds the origin back; what is held is measured and given back', async () => {
  const { origin, session, proxy } = await stand();
  let taken = 0;
  origin.handle = (stream) => {
    stream.respond([':status', '200'] as never);
    void pushUntilStuck(stream).then((bytes) => {
      taken = bytes;
    });
  };
  const stream = openStream(session, HOST, 'GET', '/', [], true);
  stream.on('error', () => undefined);
  await once(stream, 'response');
  await eventually('the origin is held back', () => taken > 0);
  assert.ok(taken < 6 * MIB, `origin could push ${taken}`);
  await eventually('held bytes are measured', () => heldBytes() > 0);
  stream.resume();
  stream.close(8);
  session.close();
  await eventually('held bytes are given back', () => heldBytes() === 0);
  await eventually('the exchange is closed', () => proxy.corridor.closed.length === 1);
});

test('a bulk download widens the window, a stalled reader narrows it again', async () => {
  const { origin, session } = await stand();
  const windows: number[] = [];
  origin.handle = (stream) => {
    const note = (settings: Settings): void => void windows.push(settings.initialWindowSize ?? 0);
    windows.push(stream.session?.remoteSettings.initialWindowSize ?? 0);
    stream.session?.on('remoteSettings', note);
    stream.respond([':status', '200'] as never);
    const chunk = Buffer.alloc(65_536);
    let left = 96 * MIB;
    const write = (): void => {
      while (left > 0 && !stream.destroyed) {
        left -= chunk.length;
        if (!stream.write(chunk)) {
          stream.once('drain', write);
          return;
        }
      }
      stream.end();
    };
    write();
  };
  const stream = openStream(session, HOST, 'GET', '/', [], true);
  stream.on('error', () => undefined);
  let got = 0;
  stream.on('data', (chunk: Buffer) => {
    got += chunk.length;
    if (got > 48 * MIB && got < 60 * MIB) stream.pause();
  });
  await eventually('the window has grown', () => windows.includes(8 * MIB));
  assert.equal(windows[0], MIB);
  await eventually('the reader has stalled and the window is cut', () => windows.at(-1) === MIB);
  stream.removeAllListeners('data');
  stream.resume();
  await closedStream(stream);
});

test('200 streams at once, each with a body both ways', async () => {
  const { origin, session, proxy } = await stand();
  origin.handle = (stream) => {
    stream.respond([':status', '200'] as never);
    stream.pipe(stream);
  };
  const bodies = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const stream = openStream(session, HOST, 'POST', `/${i}`, [], false);
      const sent = Buffer.alloc(20_000, `${i};`);
      stream.end(sent);
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      await closedStream(stream);
      return Buffer.concat(chunks).equals(sent);
    }),
  );
  assert.ok(bodies.every(Boolean));
  await eventually('all closed', () => proxy.corridor.closed.length === 200);
  assert.ok(proxy.corridor.closed.every(({ outcome }) => outcome === 'forwarded'));
  assert.ok(
    proxy.corridor.closed.every(
      ({ exchange }) => exchange.requestBytes === 20_000 && exchange.responseBytes === 20_000,
    ),
  );
  assert.equal(origin.sessions(), 1);
});

test('the stream limit is announced, and the upstream one when it is lower', async () => {
  const { session } = await stand({ limits: { streamsPerConnection: 7 } });
  assert.equal(session.remoteSettings.maxConcurrentStreams, 7);
  assert.equal(session.remoteSettings.enableConnectProtocol, true, 'as the origin says, in the first SETTINGS');
});

test('under memory pressure new streams are refused, running ones go on', async () => {
  const { origin, session, proxy } = await stand({ limits: { heldBytes: 1 } });
  // The sum is the thread's: what the tests before held must have been measured away.
  await eventually('nothing is held', () => heldBytes() === 0);
  origin.handle = (stream) => {
    stream.respond([':status', '200'] as never);
    stream.end(Buffer.alloc(8 * MIB));
  };
  const first = openStream(session, HOST, 'GET', '/', [], true);
  first.on('error', () => undefined);
  await once(first, 'response');
  await eventually('bytes are held', () => heldBytes() > 1);
  const second = openStream(session, HOST, 'GET', '/', [], true);
  second.on('error', () => undefined);
  await closedStream(second);
  assert.equal(second.rstCode, 7);
  assert.deepEqual(proxy.corridor.rejected, [{ code: 'limit-reached', detail: 'limits.held_bytes' }]);
  first.resume();
  await closedStream(first);
  assert.equal(first.rstCode, 0);
  assert.equal(proxy.corridor.closed[0]?.outcome, 'forwarded');
});
