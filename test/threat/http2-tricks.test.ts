import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { type Fortress, linesOf, openFortress, refusals } from '../support/fortress.ts';
import { type Http2Origin, http2Client, http2Origin, openStream } from '../support/http2.ts';
import { secure } from '../support/origins.ts';
import { tunnel } from '../support/watched.ts';
import { eventually } from '../support/weir.ts';

const HOST = 'h2.test';
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEADERS = 1;
const END_BOTH = 5;

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK strings without Huffman coding (RFC 7541 §5.2), shorter than 127 bytes. */
const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')]);
/** Literal fields without indexing (RFC 7541 §6.2.2). */
const literals = (fields: readonly (readonly [string, string])[]): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));

/** Regular fields whose presence makes the whole request malformed (RFC 9113 §8.2.2). */
const WHOLE = new Set(['te', 'upgrade', 'proxy-connection', 'content-length']);

const GOOD: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/good'],
  [':authority', HOST],
];
const but = (name: string, value: string | undefined): readonly (readonly [string, string])[] =>
  GOOD.flatMap((field) => (field[0] !== name ? [field] : value === undefined ? [] : [[name, value] as const]));

describe('E10: HTTP/2 requests that mean something else to the next reader', () => {
  let fortress: Fortress;
  let origin: Http2Origin;
  before(async () => {
    fortress = await openFortress({ intercept: { only: [HOST] } }, async (later, authority) => {
      origin = await http2Origin(authority.issue([HOST]));
      later(origin.close);
      return {
        resolve: { [HOST]: `127.0.0.1:${origin.port}` },
        config: { agents: { strict: { mode: 'enforce', allowed_domains: [HOST] } } },
      };
    });
    origin.handle = (stream, raw) => {
      stream.respond([':status', '200'] as never);
      if (!raw.includes('/hold')) stream.end('well');
    };
  });
  after(() => fortress?.close());

  const tls = async (agent: string): Promise<TLSSocket> => {
    const { socket, head } = await tunnel(fortress.weir.port, agent, `${HOST}:443`);
    assert.match(head, /^HTTP\/1\.1 200 /);
    return secure(socket, { servername: HOST, ca: await fortress.weir.ca(), alpn: ['h2'] });
  };

  const answered = (
    session: Awaited<ReturnType<typeof http2Client>>,
    fields: readonly string[],
    end = true,
  ): Promise<string> =>
    new Promise((resolve) => {
      const stream = session.request([...fields] as never, { endStream: end });
      stream.on('response', (headers) => {
        resolve(String(headers[':status']));
        stream.close();
      });
      stream.on('error', () => undefined);
      stream.once('close', () => resolve(`reset ${stream.rstCode}`));
    });

  const stillWell = async (): Promise<void> => {
    const session = await http2Client(await tls('well'), HOST);
    const stream = openStream(session, HOST, 'GET', '/well', [], true);
    assert.equal((await once(stream, 'response'))[0][':status'], 200);
    session.destroy();
  };

  for (const [what, fields] of [
    ['two :path', [...GOOD, [':path', '/evil']]],
    ['two :authority', [...GOOD, [':authority', 'evil.test']]],
    ['two :method', [...GOOD, [':method', 'POST']]],
    ['a pseudo-header after a regular field', [...GOOD, ['x-a', 'b'], [':path', '/evil']]],
    ['an unknown pseudo-header', [...GOOD, [':evil', 'x']]],
    [':status in a request', [...GOOD, [':status', '200']]],
    ['no :method', but(':method', undefined)],
    ['no :path', but(':path', undefined)],
    ['no :scheme', but(':scheme', undefined)],
    ['an empty :path', but(':path', '')],
    ['CR LF in :path', but(':path', '/evil HTTP/1.1\r\nHost: x\r\n\r\nGET /smuggled')],
    ['NUL in :path', but(':path', '/evil\0')],
    ['a space in :path', but(':path', '/evil HTTP/1.1')],
    ['CR LF in :method', but(':method', 'GET /evil HTTP/1.1\r\nX: y')],
    ['a space in :method', but(':method', 'GET /evil')],
    ['CR LF in :authority', but(':authority', `${HOST}\r\nX-Evil: 1`)],
    ['user information in :authority', but(':authority', `evil@${HOST}`)],
    ['LF in a value', [...GOOD, ['x-a', 'b\nevil: 1']]],
    ['NUL in a value', [...GOOD, ['x-a', 'b\0evil']]],
    ['a colon in a name', [...GOOD, ['x:evil', 'b']]],
    ['a space in a name', [...GOOD, ['x evil', 'b']]],
    ['an empty name', [...GOOD, ['', 'evil']]],
    ['te: gzip', [...GOOD, ['te', 'gzip, evil']]],
    ['upgrade', [...GOOD, ['upgrade', 'evil']]],
    ['proxy-connection', [...GOOD, ['proxy-connection', 'evil']]],
    ['a length that is no number', [...GOOD, ['content-length', '1evil']]],
    ['a length without a body', [...GOOD, ['content-length', '5']]],
  ] as readonly (readonly [string, readonly (readonly [string, string])[]])[]) {
    it(`${what}: nothing of it reaches the upstream in enforce`, async () => {
      origin.logs.length = 0;
      const socket = await tls('strict');
      let ended = false;
      socket.on('close', () => {
        ended = true;
      });
      socket.resume();
      socket.write(Buffer.concat([PREFACE, frame(4, 0, 0), frame(HEADERS, END_BOTH, 1, literals(fields))]));
      // A second, honest request behind it says when the first has been dealt with.
      socket.write(frame(HEADERS, END_BOTH, 3, literals(but(':path', '/behind'))));
      await eventually(() => ended || JSON.stringify(origin.logs).includes('/behind'), 'the request behind it');
      socket.destroy();
      // nghttp2 leaves out a regular field that has no valid form and lets the rest go on.
      const refused = fields.every(([name]) => name.startsWith(':') || WHOLE.has(name));
      assert.doesNotMatch(JSON.stringify(origin.logs), refused ? /evil|smuggled|"\/good"/ : /evil|smuggled/);
      await stillWell();
    });
  }

  it('a header bomb of indexed fields (RFC 7541 §7.3) is refused, and memory stays', async () => {
    const rss = await fortress.weir.rss();
    const socket = await tls('bomber');
    let ended = false;
    socket.on('close', () => {
      ended = true;
    });
    socket.resume();
    socket.write(Buffer.concat([PREFACE, frame(4, 0, 0)]));
    // One field of 4,000 bytes into the dynamic table (index 62), then sixteen thousand references to it: 64 MB a request.
    const big = Buffer.concat([
      Buffer.from([0x40]),
      text('x-bomb'),
      Buffer.from([0x7f, 0x80 | ((4000 - 127) & 0x7f), (4000 - 127) >> 7]),
      Buffer.alloc(4000, 'b'),
    ]);
    const references = Buffer.alloc(16_000 - big.length, 0xbe);
    for (let stream = 1; stream < 100 && !ended; stream += 2) {
      const block = stream === 1 ? Buffer.concat([literals(GOOD), big]) : Buffer.concat([literals(GOOD), references]);
      socket.write(frame(HEADERS, END_BOTH, stream, block));
    }
    await new Promise((resolve) => setTimeout(resolve, 1500));
    socket.destroy();
    const bombs = origin.logs.filter((log) => JSON.stringify(log).split('x-bomb').length > 2);
    assert.equal(bombs.length, 0, 'no bomb is passed on');
    const memory = (await fortress.weir.rss()) - rss;
    assert.ok(memory < 150, `${memory.toFixed(0)} MiB more`);
    await stillWell();
  });

  for (const [what, pseudo] of [
    [
      'an unknown extended CONNECT',
      [':method', 'CONNECT', ':protocol', 'odd', ':scheme', 'https', ':path', '/hold', ':authority', HOST],
    ],
    [
      'CONNECT-UDP',
      [':method', 'CONNECT', ':protocol', 'connect-udp', ':scheme', 'https', ':path', '/hold', ':authority', HOST],
    ],
    ['CONNECT to elsewhere', [':method', 'CONNECT', ':authority', 'far.test:443']],
    ['CONNECT to the same host', [':method', 'CONNECT', ':authority', `${HOST}:443`]],
  ] as const) {
    it(`${what} is an opaque tunnel inside the session: recorded in monitor, refused in enforce`, async () => {
      const agent = what.toLowerCase().replaceAll(' ', '-');
      const free = await http2Client(await tls(agent), HOST);
      assert.equal(await answered(free, pseudo, false), '200');
      free.destroy();
      const [line] = await linesOf(fortress.weir, 1, (one) => one.agent === agent && one.kind === 'exchange');
      assert.equal(line?.would, 'block');
      assert.ok(line?.rules.includes('opaque-protocol'), JSON.stringify(line));
      const seen = origin.logs.length;
      const strict = await http2Client(await tls('strict'), HOST);
      assert.equal(await answered(strict, pseudo, false), '403');
      strict.destroy();
      assert.equal(origin.logs.length, seen);
    });
  }

  it('WebSocket over HTTP/2 (RFC 8441) passes in enforce', async () => {
    const session = await http2Client(await tls('strict'), HOST);
    const pseudo = [
      ':method',
      'CONNECT',
      ':protocol',
      'websocket',
      ':scheme',
      'https',
      ':path',
      '/hold',
      ':authority',
      HOST,
    ];
    assert.equal(await answered(session, pseudo, false), '200');
    session.destroy();
  });

  it('floods are counted, and the process has nothing to say about them', async () => {
    const socket = await tls('flooder');
    const closed = once(socket, 'close');
    socket.once('end', () => socket.destroy());
    socket.resume();
    socket.write(Buffer.concat([PREFACE, frame(4, 0, 0), frame(HEADERS, 1, 1, literals(GOOD))]));
    for (let i = 0; i < 2000 && !socket.destroyed; i++) socket.write(frame(9, 0, 1, Buffer.alloc(1000)));
    await closed;
    await eventually(async () => ((await refusals(fortress.weir))['bad-request'] ?? 0) > 0, 'the flood is counted');
    assert.doesNotMatch(fortress.weir.logs(), /uncaught|unhandled|TypeError|RangeError/i);
    await stillWell();
  });
});
