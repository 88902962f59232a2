import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import tls from 'node:tls';
import fc from 'fast-check';
import { type ClientHello, createClientHelloParser } from '../../../src/codec/client-hello.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const parse = (...pieces: Uint8Array[]): ReturnType<ReturnType<typeof createClientHelloParser>['push']> => {
  const parser = createClientHelloParser(sha256);
  for (const piece of pieces.slice(0, -1)) {
    const result = parser.push(piece);
    if (result !== 'more') return result;
  }
  return parser.push(pieces.at(-1) as Uint8Array);
};
const hello = (...pieces: Uint8Array[]): ClientHello => {
  const result = parse(...pieces);
  assert.ok(typeof result === 'object', `expected a ClientHello, got ${String(result)}`);
  return result;
};

const u16 = (...values: number[]): Buffer => Buffer.from(values.flatMap((value) => [value >> 8, value & 255]));
const vec8 = (data: Buffer): Buffer => Buffer.concat([Buffer.from([data.length]), data]);
const vec16 = (data: Buffer): Buffer => Buffer.concat([u16(data.length), data]);
const ext = (type: number, data: Buffer = Buffer.alloc(0)): Buffer => Buffer.concat([u16(type), vec16(data)]);
const sni = (name: string): Buffer => ext(0, vec16(Buffer.concat([Buffer.from([0]), vec16(Buffer.from(name))])));
const alpn = (...names: (string | Buffer)[]): Buffer =>
  ext(0x10, vec16(Buffer.concat(names.map((name) => vec8(Buffer.from(name as string))))));

interface Shape {
  version?: number;
  ciphers: number[];
  extensions?: Buffer[];
}
const message = (shape: Shape): Buffer => {
  const body = Buffer.concat([
    u16(shape.version ?? 0x0303),
    Buffer.alloc(32, 7),
    vec8(Buffer.alloc(32, 9)),
    vec16(u16(...shape.ciphers)),
    vec8(Buffer.from([0])),
    shape.extensions === undefined ? Buffer.alloc(0) : vec16(Buffer.concat(shape.extensions)),
  ]);
  return Buffer.concat([Buffer.from([1, body.length >> 16, (body.length >> 8) & 255, body.length & 255]), body]);
};
const records = (data: Buffer, size = 16_384): Buffer => {
  const out: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) out.push(Buffer.from([22, 3, 1]), vec16(data.subarray(at, at + size)));
  return Buffer.concat(out);
};

const CIPHERS = [
  0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f,
  0x0035,
];
const SIGNATURES = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
/** The Chrome ClientHello of JA4's technical details, GREASE at both ends as Chrome sends it. */
const chrome = (): Buffer =>
  message({
    ciphers: [0x2a2a, ...CIPHERS],
    extensions: [
      ext(0x6a6a),
      ext(0x001b, Buffer.from([2, 0, 2])),
      sni('example.com'),
      ext(0x0033, Buffer.alloc(4)),
      alpn('h2', 'http/1.1'),
      ext(0x4469, Buffer.alloc(3)),
      ext(0x0017),
      ext(0x002d, Buffer.from([1, 1])),
      ext(0x000d, vec16(u16(...SIGNATURES))),
      ext(0x0005, Buffer.alloc(5)),
      ext(0x0023),
      ext(0x0012),
      ext(0x002b, vec8(u16(0xdada, 0x0304, 0x0303))),
      ext(0xff01, Buffer.from([0])),
      ext(0x000b, Buffer.from([1, 0])),
      ext(0x000a, vec16(u16(0x9a9a, 0x001d, 0x0017))),
      ext(0x0015, Buffer.alloc(20)),
      ext(0xfafa),
    ],
  });

describe('JA4', () => {
  test('is the published value for the published Chrome ClientHello', () => {
    const { facts } = hello(records(chrome()));
    assert.equal(facts.ja4, 't13d1516h2_8daaf6152771_e5627efa2ab1');
    assert.deepEqual(facts, {
      sni: 'example.com',
      alpn: ['h2', 'http/1.1'],
      ja4: 't13d1516h2_8daaf6152771_e5627efa2ab1',
      version: '1.3',
      ech: false,
    });
  });

  test('the hashed strings are the ones of the technical details', () => {
    const texts: string[] = [];
    const parser = createClientHelloParser((text) => {
      texts.push(text);
      return sha256(text);
    });
    parser.push(records(chrome()));
    assert.deepEqual(texts, [
      '002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9',
      '0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_0403,0804,0401,0503,0805,0501,0806,0601',
    ]);
  });

  test('without extensions, ciphers or ALPN', () => {
    assert.equal(hello(records(message({ ciphers: [] }))).facts.ja4, 't12i000000_000000000000_000000000000');
    const { facts } = hello(records(message({ version: 0x0301, ciphers: [0x002f], extensions: [ext(0x0017)] })));
    assert.equal(facts.ja4, `t10i010100_${sha256('002f').slice(0, 12)}_${sha256('0017').slice(0, 12)}`);
    assert.equal(facts.version, '1.0');
  });

  test('ALPN marks: single characters, and hex when not alphanumeric', () => {
    const mark = (name: Buffer): string => {
      const { facts } = hello(records(message({ ciphers: [1], extensions: [alpn(name)] })));
      return facts.ja4.slice(8, 10);
    };
    assert.equal(mark(Buffer.from('h2')), 'h2');
    assert.equal(mark(Buffer.from('http/1.1')), 'h1');
    assert.equal(mark(Buffer.from('x')), 'xx');
    assert.equal(mark(Buffer.from([0xab])), 'ab');
    assert.equal(mark(Buffer.from([0xab, 0xcd])), 'ad');
    assert.equal(mark(Buffer.from([0x30, 0xab])), '3b');
    assert.equal(mark(Buffer.from([0x30, 0x31, 0xab, 0xcd])), '3d');
    assert.equal(mark(Buffer.from([0x30, 0xab, 0xcd, 0x31])), '01');
  });

  test('counts are capped at 99', () => {
    const ciphers = Array.from({ length: 120 }, (_, index) => 0x0100 + index);
    assert.match(hello(records(message({ ciphers }))).facts.ja4, /^t12i990000_/);
  });
});

describe('ClientHello parser', () => {
  test('takes any cut into segments and records', () => {
    const whole = hello(records(chrome()));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 700 }), (record, segment) => {
        const bytes = records(chrome(), record);
        const pieces: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += segment) pieces.push(bytes.subarray(at, at + segment));
        const result = hello(...pieces);
        assert.deepEqual(result.facts, whole.facts);
        assert.equal(result.length, bytes.length);
      }),
      { numRuns: 200 },
    );
  });

  test('length ends with the last record used', () => {
    const bytes = records(chrome());
    assert.equal(hello(Buffer.concat([bytes, Buffer.from([20, 3, 3, 0, 1, 1])])).length, bytes.length);
  });

  test('every proper prefix is "more"', () => {
    const bytes = records(chrome(), 100);
    for (let end = 1; end < bytes.length; end++) assert.equal(parse(bytes.subarray(0, end)), 'more', `prefix ${end}`);
  });

  test('what cannot be a ClientHello is not-tls', () => {
    assert.equal(parse(Buffer.from('GET / HTTP/1.1\r\n')), 'not-tls');
    assert.equal(parse(Buffer.from([22, 2])), 'not-tls', 'record version');
    assert.equal(parse(Buffer.from([22, 3, 1, 0, 0])), 'not-tls', 'empty record');
    assert.equal(parse(Buffer.from([22, 3, 1, 0x50, 0])), 'not-tls', 'record too long');
    assert.equal(parse(Buffer.from([22, 3, 1, 0, 4, 2])), 'not-tls', 'ServerHello');
    assert.equal(parse(Buffer.from([22, 3, 1, 0, 4, 1, 1, 0, 1])), 'not-tls', 'larger than 64 KiB');
    assert.equal(parse(Buffer.concat([records(chrome(), 50).subarray(0, 55), Buffer.from([23, 3, 3])])), 'not-tls');
    const lying = message({ ciphers: [1], extensions: [ext(5)] });
    lying[lying.length - 1] = 9;
    assert.equal(parse(records(lying)), 'not-tls', 'extension longer than its block');
  });

  test('ECH, GREASE names and broken extensions are read without harm', () => {
    const extensions = [
      ext(0xfe0d, Buffer.alloc(10)),
      alpn(Buffer.from([0x1a, 0x1a]), 'http/1.1'),
      ext(0, Buffer.from([0, 9, 0])),
    ];
    const { facts } = hello(records(message({ ciphers: [1], extensions })));
    assert.equal(facts.ech, true);
    assert.deepEqual(facts.alpn, ['http/1.1']);
    assert.equal(facts.sni, undefined);
  });

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { minLength: 1, maxLength: 5 }), (pieces) => {
        parse(Buffer.from([22, 3, 1, 0, 60, 1, 0, 0, 56]), ...pieces);
      }),
    );
    fc.assert(
      fc.property(fc.nat(400), fc.nat(255), (at, value) => {
        const bytes = records(chrome());
        bytes[at % bytes.length] = value;
        parse(bytes);
      }),
      { numRuns: 500 },
    );
  });
});

/** Records the first flight a real client sends to a loopback port. */
async function capture(start: (port: number) => { stop(): void }): Promise<ClientHello> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = start((server.address() as net.AddressInfo).port);
  try {
    const [socket] = (await once(server, 'connection')) as [net.Socket];
    socket.on('error', () => {});
    const parser = createClientHelloParser(sha256);
    for await (const chunk of socket) {
      const result = parser.push(chunk as Buffer);
      assert.notEqual(result, 'not-tls');
      if (typeof result === 'object') return result;
    }
    throw new Error('the client closed before its ClientHello was whole');
  } finally {
    client.stop();
    server.close();
  }
}

describe('real clients', () => {
  test('node:tls', async () => {
    const { facts } = await capture((port) => {
      const socket = tls.connect({
        port,
        host: '127.0.0.1',
        servername: 'node.test',
        ALPNProtocols: ['h2', 'http/1.1'],
      });
      socket.on('error', () => {});
      return { stop: () => socket.destroy() };
    });
    assert.equal(facts.sni, 'node.test');
    assert.equal(facts.version, '1.3');
    assert.deepEqual(facts.alpn, ['h2', 'http/1.1']);
    assert.match(facts.ja4, /^t13d\d\d\d\dh2_[0-9a-f]{12}_[0-9a-f]{12}$/);
  });

  test('node:tls limited to TLS 1.2, without SNI', async () => {
    const { facts } = await capture((port) => {
      const socket = tls.connect({ port, host: '127.0.0.1', maxVersion: 'TLSv1.2' });
      socket.on('error', () => {});
      return { stop: () => socket.destroy() };
    });
    assert.equal(facts.sni, undefined);
    assert.equal(facts.version, '1.2');
    assert.match(facts.ja4, /^t12i\d\d\d\d00_/);
  });

  for (const [name, args, expected] of [
    ['curl', (port: number) => ['-sk', '--max-time', '3', `https://localhost:${port}/`], /^t13d/],
    ['openssl', (port: number) => ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost'], /^t13d/],
  ] as const) {
    test(name, async (t) => {
      const present = await new Promise((resolve) => execFile(name, ['version'], (e) => resolve(e?.code !== 'ENOENT')));
      if (present !== true) return t.skip(`${name} is not installed`);
      const { facts } = await capture((port) => {
        const child = execFile(name, args(port), () => {});
        return { stop: () => child.kill() };
      });
      assert.equal(facts.sni, 'localhost');
      assert.match(facts.ja4, expected);
    });
  }
});
