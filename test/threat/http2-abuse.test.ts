import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, before, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { type Http2House, openHttp2House } from '../e2e/harness.ts';
import { http2Client, openStream } from '../support/http2.ts';
import { AGENT_FIELDS, HOSTS } from '../support/lanes.ts';
import { connectThrough, secure } from '../support/origins.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const SETTINGS = frame(4, 0, 0);
/** HPACK of `:method GET`, `:scheme https`, `:path /` and a literal `:authority`. */
function hpack(authority: string): Buffer {
  return Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x41, authority.length]), Buffer.from(authority)]);
}

describe('threat E10: HTTP/2 floods through interception', { timeout: 100_000 }, () => {
  let house: Http2House;
  let ca: string;
  before(async () => {
    house = await openHttp2House();
    ca = await house.weir.ca();
  });
  after(() => house?.close());

  const tls = async (): Promise<TLSSocket> => {
    const { socket } = await connectThrough(house.weir.port, `${HOSTS.intercepted}:443`, AGENT_FIELDS);
    return secure(socket, { servername: HOSTS.intercepted, ca, alpn: ['h2'] });
  };

  const stillWell = async (): Promise<void> => {
    house.origin.handle = (stream) => {
      stream.respond([':status', '200'] as never);
      stream.end('well');
    };
    const session = await http2Client(await tls(), HOSTS.intercepted);
    const stream = openStream(session, HOSTS.intercepted, 'GET', '/well', [], true);
    let text = '';
    for await (const part of stream) text += String(part);
    session.destroy();
    assert.equal(text, 'well');
  };

  /** Sends raw frames until the other side ends the connection or `limit` bytes are out. */
  const flood = async (first: Buffer, repeat: Buffer, limit: number): Promise<{ sent: number; closed: boolean }> => {
    const socket = await tls();
    let closed = false;
    socket.on('close', () => {
      closed = true;
    });
    socket.on('end', () => {
      closed = true;
    });
    socket.resume();
    socket.write(Buffer.concat([PREFACE, SETTINGS, first]));
    const block = Buffer.concat(Array.from({ length: 200 }, () => repeat));
    let sent = 0;
    while (!closed && sent < limit) {
      sent += block.length;
      if (!socket.write(block)) {
        await Promise.race([
          new Promise((resolve) => socket.once('drain', resolve)),
          new Promise((resolve) => socket.once('close', resolve)),
          new Promise((resolve) => setTimeout(resolve, 1000)),
        ]);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    socket.destroy();
    return { sent, closed };
  };

  it('CONTINUATION flood: the connection is ended, memory stays', async () => {
    const before = await house.weir.rss();
    const first = frame(1, 0, 1, hpack(HOSTS.intercepted));
    const literal = Buffer.concat([
      Buffer.from([0, 4]),
      Buffer.from('x-no'),
      Buffer.from([127, 129, 1]),
      Buffer.alloc(256, 0x61),
    ]);
    const { closed, sent } = await flood(first, frame(9, 0, 1, literal), 50 << 20);
    assert.ok(closed, `still open after ${sent} bytes of CONTINUATION`);
    assert.ok((await house.weir.rss()) - before < 120);
    await stillWell();
  });

  it('SETTINGS flood and PING flood: ended or answered, memory stays', async () => {
    const before = await house.weir.rss();
    await flood(Buffer.alloc(0), SETTINGS, 2 << 20);
    await flood(Buffer.alloc(0), frame(6, 0, 0, Buffer.alloc(8)), 4 << 20);
    assert.ok((await house.weir.rss()) - before < 150);
    await stillWell();
  });

  it('rapid reset: 5000 opened and cancelled streams', async () => {
    const before = await house.weir.rss();
    house.origin.handle = () => undefined;
    const session = connect(`https://${HOSTS.intercepted}`, { createConnection: tlsOnce(await tls()) });
    let over = false;
    session.on('error', () => {
      over = true;
    });
    session.on('close', () => {
      over = true;
    });
    for (let i = 0; i < 5000 && !over; i++) {
      const stream = session.request({ ':path': `/reset/${i}` });
      stream.on('error', () => undefined);
      stream.close(8);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    session.destroy();
    assert.ok((await house.weir.rss()) - before < 200, 'memory after a rapid reset');
    await stillWell();
  });

  it('a field section above the limit is refused, the session or stream ends', async () => {
    const session = await http2Client(await tls(), HOSTS.intercepted);
    session.on('error', () => undefined);
    const fields = Array.from({ length: 1200 }, (_, i) => [`x-${i}`, 'y']).flat();
    const stream = openStream(session, HOSTS.intercepted, 'GET', '/many', fields, true);
    stream.on('error', () => undefined);
    const status = await new Promise<number>((resolve) => {
      stream.on('response', (headers) => resolve(Number(headers[':status'])));
      stream.on('close', () => resolve(0));
      session.on('close', () => resolve(0));
    });
    assert.ok(status === 0 || status === 431, `answered ${status}`);
    session.destroy();
    await stillWell();
  });

  for (const [what, fields] of [
    ['CR LF in a value', ['x-a', 'b\r\nGET /smuggled HTTP/1.1']],
    ['an upper-case name', ['X-Upper', 'b']],
    ['a connection field', ['connection', 'keep-alive']],
    ['transfer-encoding', ['transfer-encoding', 'chunked']],
  ] as const) {
    it(`malformed field: ${what} never reaches the origin`, async () => {
      house.origin.logs.length = 0;
      const socket = await tls();
      socket.resume();
      const [name, value] = fields;
      const literal = Buffer.concat([
        Buffer.from([0, name.length]),
        Buffer.from(name),
        Buffer.from([value.length]),
        Buffer.from(value, 'latin1'),
      ]);
      socket.write(
        Buffer.concat([PREFACE, SETTINGS, frame(1, 5, 1, Buffer.concat([hpack(HOSTS.intercepted), literal]))]),
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      socket.destroy();
      assert.equal(JSON.stringify(house.origin.logs).includes(name), false, JSON.stringify(house.origin.logs));
      await stillWell();
    });
  }

  it('the collector survived it all', () => {
    assert.doesNotMatch(house.weir.logs(), /uncaught|unhandled|TypeError|RangeError|recorder-died/i);
  });
});

function tlsOnce(socket: TLSSocket): () => TLSSocket {
  return () => socket;
}
