import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { type TapOptions, tapBody } from '../../../src/content/tap.ts';
import { ENCODERS, rawDeflate } from '../../support/scan-origin.ts';
import { fakeScan, windowOptions } from './support.ts';

const TEXT = Buffer.from(`${'a quiet line\n'.repeat(2000)}SECRET-abc`);

function options(contentEncoding: string | undefined, change: Partial<TapOptions> = {}): TapOptions {
  return {
    ...windowOptions(),
    contentEncoding,
    decodedBytes: 64 << 20,
    decodeRatio: 100,
    decodeDepth: 3,
    ...change,
  };
}

/** Bytes that do not compress. */
function noise(length: number): Buffer {
  let state = 1;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    }),
  );
}

async function scanned(tapOptions: TapOptions, body: Buffer, step = 1000) {
  const tap = tapBody(tapOptions);
  for (let at = 0; at < body.length; at += step) {
    const chunk = Buffer.from(body.subarray(at, at + step));
    tap.push(chunk);
    chunk.fill(0);
  }
  return tap.finish();
}

for (const [name, encode] of [...ENCODERS, ['deflate', rawDeflate] as const]) {
  test(`${name} is undone on a copy, however it is cut`, async () => {
    for (const step of [1, 7, 1000, 1 << 20]) {
      const { found, unscanned } = await scanned(options(name), encode(TEXT), step);
      assert.deepEqual(
        found.map((one) => one.found.rule),
        ['secret-abc'],
      );
      assert.equal(unscanned, undefined);
    }
  });
}

test('encodings inside one another, in any case, with identity', async () => {
  const body = brotliCompressSync(gzipSync(TEXT));
  const { found, unscanned } = await scanned(options('GZIP, identity ,br'), body);
  assert.equal(found.length, 1);
  assert.equal(unscanned, undefined);
});

test('a body that was cut is read as far as it goes', async () => {
  const body = gzipSync(Buffer.concat([TEXT, noise(200_000)]));
  const { found, unscanned } = await scanned(options('gzip'), body.subarray(0, body.length - 500));
  assert.equal(found.length, 1);
  assert.equal(unscanned, undefined);
});

test('without an encoding the answer is there at once', () => {
  const tap = tapBody(options(undefined));
  tap.push(TEXT);
  const result = tap.finish();
  assert.ok(!(result instanceof Promise));
  assert.equal(result.found.length, 1);
  assert.equal(tap.finish(), result, 'the same each time');
  tap.push(Buffer.from('SECRET-late'));
});

test('what is not looked at says why and from where', async () => {
  const zeros = gzipSync(Buffer.alloc(4 << 20));
  const cases: [string, TapOptions, Buffer][] = [
    ['unknown-encoding', options('sauce'), Buffer.from('x')],
    ['decode-depth', options('gzip, gzip', { decodeDepth: 1 }), gzipSync(gzipSync(TEXT))],
    ['broken-encoding', options('gzip'), Buffer.from('this is not gzip')],
    ['decode-ratio', options('gzip'), zeros],
    ['decoded-bytes', options('gzip', { decodedBytes: 1000, decodeRatio: 1e9 }), zeros],
  ];
  for (const [cause, tapOptions, body] of cases) {
    const { unscanned } = await scanned(tapOptions, body);
    assert.equal(unscanned?.cause, cause);
  }
});

test('a body that never came is not unscanned', async () => {
  for (const encoding of ['sauce', 'gzip', undefined]) {
    assert.deepEqual(await tapBody(options(encoding)).finish(), { found: [] });
  }
});

test('faster than the decoder: given up, and what was read counts', async () => {
  const tap = tapBody(options('gzip'));
  const body = gzipSync(Buffer.concat([Buffer.from('SECRET-abc '), Buffer.alloc(6 << 20)]), { level: 0 });
  for (let at = 0; at < body.length; at += 65_536) tap.push(body.subarray(at, at + 65_536));
  const { unscanned } = await tap.finish();
  assert.equal(unscanned?.cause, 'decoder-behind');
});

test('a scanner that throws is thrown to whoever asks, never into the air', async () => {
  const fake = fakeScan();
  const scan: typeof fake = {
    ...fake,
    scan: () => {
      throw new Error('broken table');
    },
  };
  const plain = tapBody(options(undefined, { scan }));
  plain.push(Buffer.from('x'));
  assert.throws(() => plain.finish(), /broken table/);
  for (const size of [10, 1 << 20]) {
    await assert.rejects(async () => scanned(options('gzip', { scan }), gzipSync(noise(size)), 65_536), /broken table/);
  }
});
