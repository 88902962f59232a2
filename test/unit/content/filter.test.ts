import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as zlib from 'node:zlib';
import { filterBody } from '../../../src/content/filter.ts';
import type { PartScanPort } from '../../../src/model/scan.ts';
import { AWS, filterOptions, pieces, play, realScan } from './filter-support.ts';

const LABEL = '[AWS ACCESS KEY ID_REDACTED]';
const text = `{"a": "key ${AWS} x", "b": [1, 2]}`;
const redacted = text.replace(AWS, LABEL);

const CODINGS: readonly (readonly [string, (bytes: Buffer) => Buffer, (bytes: Buffer) => Buffer])[] = [
  ['gzip', zlib.gzipSync, zlib.gunzipSync],
  ['x-gzip', zlib.gzipSync, zlib.gunzipSync],
  ['deflate', zlib.deflateSync, zlib.inflateSync],
  ['deflate', zlib.deflateRawSync, zlib.inflateRawSync],
  ['br', zlib.brotliCompressSync, zlib.brotliDecompressSync],
  ['zstd', zlib.zstdCompressSync, zlib.zstdDecompressSync],
  [
    'gzip, br',
    (bytes) => zlib.brotliCompressSync(zlib.gzipSync(bytes)),
    (bytes) => zlib.gunzipSync(zlib.brotliDecompressSync(bytes)),
  ],
];

test('the shape follows from length, encoding and type', async () => {
  const rows: [Parameters<typeof play>[0], string][] = [
    [{ length: 5000 }, 'whole'],
    [{ length: 1 << 20 }, 'whole'],
    [{ length: (1 << 20) + 1 }, 'same'],
    [{}, 'free'],
    [{ length: 5000, contentType: 'text/event-stream' }, 'same'],
    [{ contentType: 'application/grpc+proto' }, 'same'],
    [{ contentType: 'image/png' }, 'same'],
    [{ contentType: undefined }, 'same'],
    [{ contentType: 'application/vnd.api+json; charset=utf-8' }, 'free'],
    [{ length: 5000, contentEncoding: 'gzip' }, 'whole'],
    [{ length: 1 << 24, contentEncoding: 'gzip' }, 'free'],
    [{ contentEncoding: 'identity' }, 'free'],
    [{ contentEncoding: 'unheard-of' }, 'same'],
  ];
  for (const [options, shape] of rows) assert.equal((await play(options, [])).shape, shape, JSON.stringify(options));
});

test('a body held whole comes in one piece, once it is complete', async () => {
  const { bytes, chunks, replaced, scanned } = await play({ length: text.length }, pieces(Buffer.from(text), 4));
  assert.equal(bytes.toString(), redacted);
  assert.equal(chunks.length, 1);
  assert.equal(replaced, 1);
  assert.deepEqual(
    scanned.found.map(({ found, count, offset }) => [found.rule, count, offset]),
    [['aws-access-key', 1, text.indexOf(AWS)]],
  );
});

for (const [name, encode, decode] of CODINGS) {
  test(`undone and made again: ${name}${encode === zlib.deflateRawSync ? ' without its head' : ''}`, async () => {
    const clean = encode(Buffer.from('{"a": "nothing"}'));
    for (const length of [undefined, 4000]) {
      for (const size of [1, 7, 4096]) {
        const one = await play({ contentEncoding: name, length }, pieces(encode(Buffer.from(text)), size));
        assert.equal(decode(one.bytes).toString(), redacted);
        assert.equal(one.replaced, 1);
        const other = await play({ contentEncoding: name, length }, pieces(clean, size));
        assert.equal(decode(other.bytes).toString(), '{"a": "nothing"}');
        if (length !== undefined) assert.deepEqual(other.bytes, clean);
      }
    }
  });
}

test('an encoded stream stays live: what was given is readable before more comes', async () => {
  const gunzip = zlib.createGunzip();
  const read: string[] = [];
  gunzip.on('data', (chunk: Buffer) => read.push(chunk.toString()));
  const source = zlib.createGzip();
  const filter = filterBody({
    ...filterOptions({ contentEncoding: 'gzip', contentType: 'text/event-stream', what: 'response' }),
    out: {
      data: (payload) => gunzip.write(payload),
      drained: () => undefined,
      end: () => undefined,
      stop: () => undefined,
    },
  });
  source.on('data', (chunk: Buffer) => filter.write(chunk));
  for (const event of ['data: {"n":1}\n\n', 'data: {"n":2}\n\n', 'data: {"n":3}\n\n']) {
    const seen = new Promise((resolve) => gunzip.once('data', resolve));
    source.write(event);
    source.flush(zlib.constants.Z_SYNC_FLUSH);
    await seen;
    assert.equal(read.at(-1), event);
  }
  filter.abandon();
  source.destroy();
  gunzip.destroy();
});

test('stopped: nothing of the secret goes on, nor what is behind it', async () => {
  for (const contentEncoding of [undefined, 'gzip']) {
    for (const length of [undefined, 1000]) {
      const body = Buffer.from(`first ${AWS} last ${'x'.repeat(500)}`);
      const coded = contentEncoding === undefined ? body : zlib.gzipSync(body);
      const options = { contentType: 'text/plain', contentEncoding, length, act: () => 'stop' as const } as const;
      const { bytes, stopped, scanned } = await play(options, pieces(coded, 5));
      assert.deepEqual(stopped, {});
      assert.equal(scanned.found[0]?.found.rule, 'aws-access-key');
      if (contentEncoding === undefined) assert.equal(bytes.toString(), length === undefined ? 'first ' : '');
      else assert.ok(!bytes.includes(AWS.slice(0, 8)));
    }
  }
});

test('a stopped event stream ends with whole events and one that says so', async () => {
  const events = `data: {"n":1}\n\ndata: {"n":"${AWS}"}\n\ndata: {"n":3}\n\n`;
  for (const contentEncoding of [undefined, 'br']) {
    const coded = contentEncoding === undefined ? Buffer.from(events) : zlib.brotliCompressSync(events);
    const options = {
      contentType: 'text/event-stream',
      what: 'response',
      contentEncoding,
      act: () => 'stop' as const,
    } as const;
    const { bytes, stopped } = await play(options, [coded]);
    const all = Buffer.concat([bytes, stopped?.forward ?? Buffer.alloc(0)]);
    const seen = contentEncoding === undefined ? all.toString() : zlib.brotliDecompressSync(all).toString();
    assert.match(seen, /^data: \{"n":1\}\n\n\n\nevent: error\ndata: \{"type":"error".*AWS Access Key ID.*\}\n\n$/);
  }
});

test('what cannot be read is asked about: it passes as it came, or not at all', async () => {
  const broken = Buffer.concat([
    zlib.gzipSync(Buffer.alloc(9000, 'abc ')).subarray(0, 30),
    Buffer.from('no more of it'.repeat(9)),
  ]);
  const bomb = zlib.gzipSync(Buffer.alloc(8 << 20));
  const rows: [string, Parameters<typeof play>[0], Buffer, string][] = [
    ['unknown', { contentEncoding: 'compress' }, Buffer.from(text), 'unknown-encoding'],
    ['deep', { contentEncoding: 'gzip, gzip, gzip, gzip' }, Buffer.from(text), 'decode-depth'],
    ['no gzip', { contentEncoding: 'gzip' }, Buffer.from(text), 'broken-encoding'],
    ['broken', { contentEncoding: 'gzip', length: 400 }, broken, 'broken-encoding'],
    ['bomb', { contentEncoding: 'gzip', length: bomb.length }, bomb, 'decode-ratio'],
    [
      'long',
      { contentEncoding: 'gzip', length: bomb.length, decodeRatio: 1e9, decodedBytes: 1 << 20 },
      bomb,
      'decoded-bytes',
    ],
    ['budget', { budget: { left: () => false, spend: () => undefined } }, Buffer.from(text), 'cpu-budget'],
  ];
  for (const [name, options, body, cause] of rows) {
    for (const size of [16, 1 << 20]) {
      const passed = await play(options, pieces(body, size));
      assert.deepEqual(passed.bytes, body, name);
      assert.equal(passed.scanned.unscanned?.cause, cause, name);
      const stopped = await play({ ...options, onUnscanned: () => 'stop' }, pieces(body, size));
      assert.deepEqual(stopped.stopped, {}, name);
      assert.equal(stopped.scanned.unscanned?.cause, cause, name);
      assert.equal(stopped.bytes.length, 0, name);
    }
  }
});

test('bombs in a stream pass unread, decoded and encoded again', async () => {
  const bomb = zlib.gzipSync(Buffer.alloc(4 << 20));
  const { bytes, scanned } = await play({ contentEncoding: 'gzip' }, pieces(bomb, 512));
  assert.equal(zlib.gunzipSync(bytes).length, 4 << 20);
  assert.equal(scanned.unscanned?.cause, 'decode-ratio');
});

test('as much is looked at as is to be', async () => {
  const body = Buffer.from(`${AWS} ${'. '.repeat(500)} ${AWS} end`);
  for (const size of [1, 64, 5000]) {
    const { bytes, scanned, replaced } = await play({ contentType: 'text/plain', scanBytes: 100 }, pieces(body, size));
    assert.equal(bytes.toString(), body.toString().replace(AWS, LABEL));
    assert.equal(replaced, 1);
    assert.deepEqual(scanned.unscanned, { cause: 'scan-bytes', offset: 100 });
  }
});

test('a scan that throws is asked about, also when a decoder calls', async () => {
  const failing: PartScanPort = {
    ...realScan(),
    part() {
      throw new Error('broken');
    },
  };
  for (const contentEncoding of [undefined, 'gzip']) {
    for (const length of [undefined, 500]) {
      const body = contentEncoding === undefined ? Buffer.from(text) : zlib.gzipSync(text);
      const errors: unknown[] = [];
      const options = { scan: failing, contentEncoding, length };
      const onFailed = (error: unknown): 'stop' => {
        errors.push(error);
        return 'stop';
      };
      const stopped = await play({ ...options, onFailed }, [body]);
      assert.deepEqual(stopped.stopped, {});
      assert.equal(stopped.bytes.length, 0);
      assert.equal(errors.length, 1);
      const passed = await play({ ...options, onFailed: () => 'pass' }, [body]);
      assert.equal((contentEncoding === undefined ? passed.bytes : zlib.gunzipSync(passed.bytes)).toString(), text);
    }
  }
});

test('a chunk costs what it and what waits cost, however long the body is', async () => {
  let most = 0;
  const counting: PartScanPort = {
    ...realScan(),
    part(what, bytes) {
      most = Math.max(most, bytes.length);
      return realScan().part(what, bytes);
    },
  };
  const body = Buffer.from(`${'some words of a long text, with {"json": true} in it.\n'.repeat(4000)}`);
  const { bytes } = await play({ scan: counting, contentType: 'text/plain' }, pieces(body, 200));
  assert.deepEqual(bytes, body);
  assert.ok(most < 1024 + 4096 + 200, `${most} bytes at once`);
});

test('an encoded stream is not taken faster than it can be worked on', () => {
  const coded = zlib.gzipSync(Buffer.from(Array.from({ length: 400_000 }, (_, i) => `${i * 7919} `).join('')), {
    level: 1,
  });
  const filter = filterBody({
    ...filterOptions({ contentEncoding: 'gzip', contentType: 'text/plain' }),
    out: { data: () => undefined, drained: () => undefined, end: () => undefined, stop: () => undefined },
  });
  assert.ok(coded.length > 1 << 20);
  assert.ok(pieces(coded, 1 << 16).some((piece) => !filter.write(piece)));
  filter.abandon();
});

test('what was found in a body that was broken off is told', async () => {
  for (const contentEncoding of [undefined, 'gzip', 'compress']) {
    for (const length of [undefined, 900_000]) {
      const told: unknown[] = [];
      const wanted = contentEncoding === 'compress' ? undefined : 'aws-access-key';
      const read = Promise.withResolvers<void>();
      const scan: PartScanPort = {
        ...realScan(),
        part(what, bytes) {
          setImmediate(read.resolve);
          return realScan().part(what, bytes);
        },
      };
      const filter = filterBody({
        ...filterOptions({ contentEncoding, length, contentType: 'text/plain', scan }),
        out: {
          data: () => undefined,
          drained: () => undefined,
          end: (scanned) => told.push(scanned.found[0]?.found.rule),
          stop: () => told.push('stopped'),
        },
      });
      const body = Buffer.from(`see ${AWS} and more`);
      filter.write(contentEncoding === 'gzip' ? zlib.gzipSync(body) : body);
      if (wanted !== undefined) await read.promise;
      filter.abandon();
      filter.abandon();
      filter.end();
      assert.deepEqual(told, [wanted]);
    }
  }
});

test('an empty body stays empty', async () => {
  for (const contentEncoding of [undefined, 'gzip', 'unheard-of']) {
    for (const length of [undefined, 0]) {
      const { bytes, scanned } = await play({ contentEncoding, length }, []);
      assert.equal(bytes.length, 0);
      assert.deepEqual(scanned, { found: [] });
    }
  }
});

/** Some hundred KiB of gzip members that are 256 MiB of blanks, behind a secret. */
function bomb(): Buffer {
  const blanks = zlib.gzipSync(Buffer.alloc(1 << 20, 0x20));
  return Buffer.concat([zlib.gzipSync(`{"a":"${AWS}","b":"`), ...Array<Buffer>(256).fill(blanks), zlib.gzipSync('"}')]);
}

test('a body with a secret that is more than is ever looked at is not held to its end', async () => {
  const bytes = bomb();
  const { chunks, scanned, stopped } = await play({ length: bytes.length, contentEncoding: 'gzip' }, [bytes]);
  assert.deepEqual([chunks.length, stopped, scanned.unscanned?.cause], [0, {}, 'decode-ratio']);
  const clean = bytes.subarray(zlib.gzipSync(`{"a":"${AWS}","b":"`).length);
  const passed = await play({ length: clean.length, contentEncoding: 'gzip' }, [clean]);
  assert.ok(passed.bytes.equals(clean), 'without one it goes on as it came');
});

test('a decoder does not run ahead of the encoder behind it', async () => {
  const bytes = bomb();
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const look = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }, 2);
  try {
    const { replaced, stopped } = await play({ contentEncoding: 'gzip' }, [bytes]);
    assert.deepEqual([replaced, stopped], [1, undefined]);
  } finally {
    clearInterval(look);
  }
  assert.ok(most < 100 << 20, `${most >> 20} MiB wait`);
});
