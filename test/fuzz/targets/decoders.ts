import assert from 'node:assert/strict';
import { tapBody } from '../../../src/content/tap.ts';
import type { BodyScanned } from '../../../src/model/scan.ts';
import { ENCODERS } from '../../support/scan-origin.ts';
import { fakeScan, windowOptions } from '../../unit/content/support.ts';
import { pieces, seeded, type Target } from '../fuzz.ts';

const DECODED = 1 << 20;

/** What a body holds according to its Content-Encoding. */
async function read(parts: readonly Buffer[], contentEncoding: string): Promise<readonly [BodyScanned, number]> {
  const scan = fakeScan();
  const options = {
    ...windowOptions({ scan }),
    contentEncoding,
    decodedBytes: DECODED,
    decodeRatio: 100,
    decodeDepth: 3,
  };
  const tap = tapBody(options);
  for (const part of parts) tap.push(part);
  return [await tap.finish(), scan.texts.reduce((sum, text) => sum + text.length, 0)];
}

const payloads = (): Buffer[] => {
  const random = seeded(9);
  const noise = Buffer.from(Array.from({ length: 3_000 }, () => Math.floor(random() * 256)));
  return [
    Buffer.from('{"k": "SECRET-abc"}'),
    Buffer.alloc(0),
    Buffer.concat([noise, Buffer.from(' SECRET-abc')]),
    Buffer.from(`${'words and words '.repeat(400)} SECRET-abc`),
    Buffer.alloc(300_000, 'x'),
  ];
};

/** Whatever the bytes are: an answer within the limits, and the same one for honest bytes however they come. */
export const targets: readonly Target[] = ['gzip', 'br', 'zstd', 'deflate', 'gzip, br'].map((encoding) => {
  const names = encoding.split(', ');
  const encode = (payload: Buffer): Buffer =>
    names.reduce((bytes, name) => (ENCODERS.get(name) as (bytes: Uint8Array) => Buffer)(bytes), payload);
  const honest = payloads().map((payload) => [encode(payload), payload.includes('SECRET-abc')] as const);
  return {
    name: `decode-${names.join('-')}`,
    slow: true,
    seeds: () => honest.map(([bytes]) => bytes),
    async check(input, random) {
      const [scanned, looked] = await read(pieces(input, random), encoding);
      // Windows overlap: some bytes are looked at twice.
      assert.ok(looked <= DECODED * 1.5, `${looked} bytes looked at`);
      const known = honest.find(([bytes]) => bytes.equals(input));
      if (known === undefined) return;
      assert.equal(scanned.unscanned, undefined);
      assert.equal(scanned.found.length, known[1] ? 1 : 0);
    },
  };
});
