import { createHash, randomBytes } from 'node:crypto';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Peer } from './peer.ts';
import type { Scenario } from './scenario.ts';
import { chunk, leave, seeOff, simple } from './scenarios-http1.ts';

const TEXT = Buffer.from(JSON.stringify({ words: 'the quick brown fox '.repeat(4000), n: 1 }));
const NOISE = randomBytes(1_500_000);

/** A body posted and a body answered, both with a length, compared byte for byte. */
function exchange(name: string, lines: readonly string[], up: Buffer, down: Buffer): Scenario {
  return {
    name,
    client: async (agent, stage) => {
      await agent.send(stage.head('POST', '/body', ...lines, `Content-Length: ${up.length}`));
      await agent.send(up);
      await agent.until('\r\n\r\n');
      await agent.bytes(down.length);
      await leave(agent);
    },
    origin: async (server) => {
      await server.until('\r\n\r\n');
      await server.bytes(up.length);
      const fields = [...lines, `Content-Length: ${down.length}`].map((line) => `${line}\r\n`).join('');
      await server.send(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
      await server.send(down);
      await seeOff(server);
    },
  };
}

function compressed(): Scenario[] {
  const codings: [string, Buffer][] = [
    ['gzip', gzipSync(TEXT)],
    ['br', brotliCompressSync(TEXT)],
    ['zstd', zstdCompressSync(TEXT)],
    ['deflate', deflateSync(TEXT)],
    ['deflate (raw)', deflateRawSync(TEXT)],
    ['gzip (cut off)', gzipSync(TEXT).subarray(0, 200)],
    ['gzip (it is not)', TEXT],
    ['gzip, br', brotliCompressSync(gzipSync(TEXT))],
    ['x-unheard-of', NOISE.subarray(0, 5000)],
  ];
  return codings.map(([label, body]) =>
    exchange(
      `compressed: ${label}`,
      ['Content-Type: application/json', `Content-Encoding: ${label.split(' (')[0]}`],
      body,
      body,
    ),
  );
}

const bodies: Scenario[] = [
  exchange(
    'binary: 1.5 MB of noise both ways',
    ['Content-Type: application/octet-stream'],
    NOISE,
    Buffer.from(NOISE).reverse(),
  ),
  exchange(
    'malformed JSON',
    ['Content-Type: application/json'],
    Buffer.from('{"a": [1, 2, {"b":'),
    Buffer.from('}{"\\ud800"\0\xff', 'latin1'),
  ),
  exchange(
    'malformed UTF-8 labelled as text',
    ['Content-Type: text/plain; charset=utf-8'],
    Buffer.from([0xc3, 0x28, 0xff, 0xfe]),
    Buffer.from([0xed, 0xa0, 0x80]),
  ),
  exchange(
    'a bomb: 20 MB of zeros in 20 KB',
    ['Content-Encoding: gzip'],
    gzipSync(Buffer.alloc(20 << 20)),
    gzipSync(Buffer.alloc(20 << 20)),
  ),
];

const odd: Scenario[] = [
  simple(
    'head: order, case, duplicates, spaces and bytes above 0x7f as they came',
    (stage) =>
      stage.head(
        'GET',
        '/odd?q=\xe4&;=&%zz',
        'x-b:1',
        'X-A:   2  ',
        'x-b: 3',
        'X-Latin: \xe9\xff',
        'Empty:',
        'USER-agent: odd/1 (x; y)',
      ),
    'HTTP/1.1 299 Odd Reason, really! \xe4\r\nZ: 1\r\na:2\r\nZ:\t3 \r\nX-Latin: \xfc\r\nEmpty:\r\nContent-Length: 2\r\n\r\nok',
  ),
  simple(
    'head: empty reason phrase',
    (stage) => stage.head('GET', '/'),
    'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok',
  ),
  simple(
    'head: an unknown method',
    (stage) => stage.head('FOOBAR', '/x'),
    'HTTP/1.1 501 No\r\nContent-Length: 2\r\n\r\nok',
  ),
  simple(
    'head: 900 fields',
    (stage) => stage.head('GET', '/many', ...Array.from({ length: 900 }, (_, i) => `X-Field-${i}: value ${i}`)),
    `HTTP/1.1 200 OK\r\n${Array.from({ length: 900 }, (_, i) => `x-out-${i}: v${i}\r\n`).join('')}Content-Length: 2\r\n\r\nok`,
  ),
  simple(
    'head: 200 KB',
    (stage) => stage.head('GET', '/wide', `Cookie: ${'c'.repeat(200_000)}`),
    `HTTP/1.1 200 OK\r\nSet-Cookie: ${'s'.repeat(200_000)}\r\nContent-Length: 2\r\n\r\nok`,
  ),
  simple(
    'head: a traceparent is neither added nor changed',
    (stage) =>
      stage.head(
        'GET',
        '/',
        'traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-00',
        'Via: 1.0 fred',
        'X-Forwarded-For: 1.2.3.4',
      ),
    'HTTP/1.1 200 OK\r\nVia: 1.1 x\r\nContent-Length: 2\r\n\r\nok',
  ),
];

const sse: Scenario = {
  name: 'SSE: 200 events, each read before the next is sent',
  client: async (agent, stage) => {
    await agent.send(stage.head('GET', '/events', 'Accept: text/event-stream'));
    await agent.until('\r\n\r\n');
    for (let i = 0; i < 200; i++) {
      await agent.until(`data: {"n":${i}}\n\n`);
      stage.signal(`read ${i}`);
    }
    await agent.ended();
    agent.fin();
  },
  origin: async (server, stage) => {
    await server.until('\r\n\r\n');
    await server.send(
      'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
    );
    for (let i = 0; i < 200; i++) {
      await server.send(chunk(`event: tick\nid: ${i}\ndata: {"n":${i}}\n\n`));
      await stage.wait(`read ${i}`);
    }
    await server.send('0\r\n\r\n');
    server.fin();
    await server.ended();
  },
};

const closeDelimited: Scenario = {
  name: 'SSE: HTTP/1.0 and no length, read piece by piece until the end',
  client: async (agent, stage) => {
    await agent.send(stage.head('GET', '/old'));
    for (let i = 0; i < 20; i++) {
      await agent.until(`data: ${i}\r\n\r\n`);
      stage.signal(`read ${i}`);
    }
    await agent.ended();
    agent.fin();
  },
  origin: async (server, stage) => {
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
    for (let i = 0; i < 20; i++) {
      await server.send(`data: ${i}\r\n\r\n`);
      await stage.wait(`read ${i}`);
    }
    server.fin();
    await server.ended();
  },
};

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

/** One WebSocket frame (RFC 6455 §5.2); a fixed mask keeps the captures comparable. */
export function frame(
  opcode: number,
  payload: Buffer,
  options: { fin?: boolean; rsv1?: boolean; mask?: boolean } = {},
): Buffer {
  const first = (options.fin === false ? 0 : 0x80) | (options.rsv1 === true ? 0x40 : 0) | opcode;
  const flag = options.mask === true ? 0x80 : 0;
  const head =
    payload.length < 126
      ? Buffer.from([first, flag | payload.length])
      : Buffer.from([first, flag | 126, payload.length >> 8, payload.length & 0xff]);
  if (options.mask !== true) return Buffer.concat([head, payload]);
  const mask = Buffer.from([0x11, 0x22, 0x33, 0x44]);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i & 3] as number))]);
}

function conversation(deflate: boolean): Buffer[] {
  const pack = (text: string): Buffer =>
    deflate ? deflateRawSync(Buffer.from(text), { finishFlush: 2 }).subarray(0, -4) : Buffer.from(text);
  const text = pack('{"role":"user","content":"hello"}'.repeat(20));
  return [
    frame(1, text, { rsv1: deflate, mask: true }),
    frame(2, NOISE.subarray(0, 40_000), { mask: true }),
    frame(1, text.subarray(0, 9), { fin: false, rsv1: deflate, mask: true }),
    frame(9, Buffer.from('ping between fragments'), { mask: true }),
    frame(0, text.subarray(9, 12), { fin: false, mask: true }),
    frame(0, text.subarray(12), { mask: true }),
    frame(1, Buffer.alloc(0), { mask: true }),
  ];
}

function webSocket(deflate: boolean): Scenario {
  const frames = conversation(deflate);
  const goodbye = Buffer.from([0x0f, 0xa1, ...Buffer.from('bye')]);
  const extension = deflate ? ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'] : [];
  return {
    name: `WebSocket: text, binary, fragmented, ping, close${deflate ? ', permessage-deflate' : ''}`,
    client: async (agent, stage) => {
      await agent.send(
        stage.head(
          'GET',
          '/ws',
          'Upgrade: websocket',
          'Connection: Upgrade',
          `Sec-WebSocket-Key: ${KEY}`,
          'Sec-WebSocket-Version: 13',
          ...extension,
        ),
      );
      await agent.until('\r\n\r\n');
      for (const part of frames) {
        await agent.send(part);
        await agent.bytes(frame(2, part).length);
      }
      await agent.send(frame(8, goodbye, { mask: true }));
      await agent.bytes(frame(8, goodbye).length);
      await leave(agent);
    },
    origin: async (server) => {
      await server.until('\r\n\r\n');
      const agreed = deflate ? 'Sec-WebSocket-Extensions: permessage-deflate\r\n' : '';
      await server.send(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: upgrade\r\n${agreed}Sec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
      );
      for (const part of frames) {
        await server.bytes(part.length);
        await server.send(frame(2, part));
      }
      await server.bytes(frame(8, goodbye, { mask: true }).length);
      await server.send(frame(8, goodbye));
      await seeOff(server);
    },
  };
}

const firstByServer: Scenario = {
  name: 'WebSocket: frames in the same segment as the 101, the server ends first',
  client: async (agent, stage) => {
    await agent.send(
      stage.head(
        'GET',
        '/ws',
        'Connection: keep-alive, Upgrade',
        'Upgrade: websocket',
        `Sec-WebSocket-Key: ${KEY}`,
        'Sec-WebSocket-Version: 13',
      ),
    );
    await agent.ended();
    await agent.send(frame(8, Buffer.alloc(0), { mask: true }));
    agent.fin();
  },
  origin: async (server) => {
    await server.until('\r\n\r\n');
    const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`;
    await server.send(Buffer.concat([Buffer.from(head), frame(1, Buffer.from('at once'))]));
    server.fin();
    await server.ended();
  },
};

const opaqueUpgrade: Scenario = {
  name: 'Upgrade to an unknown protocol: opaque bytes both ways',
  client: async (agent, stage) => {
    await agent.send(stage.head('GET', '/raw', 'Connection: Upgrade', 'Upgrade: echo/7'));
    await agent.until('\r\n\r\n');
    await agent.send('GET / HTTP/1.1\r\nnot http: really\n\n\0\xff');
    await agent.until('\xff');
    await leave(agent);
  },
  origin: async (server) => {
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/7\r\n\r\n');
    await server.send(await server.until('\xff'));
    await seeOff(server);
  },
};

/** Pauses everywhere a clock of ours might run: before the answer, inside both bodies, between requests. */
export function slow(pauseMs: number): Scenario {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, pauseMs));
  const say = async (peer: Peer, ...parts: string[]): Promise<void> => {
    for (const part of parts) {
      await pause();
      await peer.send(part);
    }
  };
  return {
    name: `slow: pauses of ${pauseMs} ms everywhere`,
    client: async (agent, stage) => {
      await agent.send(stage.head('POST', '/slow', 'Transfer-Encoding: chunked'));
      await say(agent, chunk('one'), chunk('two'), '0\r\n\r\n');
      await agent.until('0\r\n\r\n');
      await pause();
      await agent.send(stage.head('GET', '/again'));
      await agent.until('again');
      await leave(agent);
    },
    origin: async (server) => {
      await server.until('0\r\n\r\n');
      await say(
        server,
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
        chunk('three'),
        chunk('four'),
        '0\r\n\r\n',
      );
      await server.until('\r\n\r\n');
      await server.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain');
      await seeOff(server);
    },
  };
}

/** Everything the peers' audit modes are known to break. */
export const PASSIVE: readonly Scenario[] = [
  ...compressed(),
  ...bodies,
  ...odd,
  sse,
  closeDelimited,
  webSocket(false),
  webSocket(true),
  firstByServer,
  opaqueUpgrade,
];
