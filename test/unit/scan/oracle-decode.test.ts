import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Decoded } from '../../../src/scan/offsets.ts';
import { decodeRuns } from '../../../src/scan/runs.ts';
import { unescaped } from '../../../src/scan/unescape.ts';

/** What the module finds of encodings and escapes, against the plain code: the same bytes with the same origin. */
function told(decoded: (Decoded & { readonly full?: boolean }) | undefined): unknown {
  if (decoded === undefined) return undefined;
  const { bytes, segments, full } = decoded;
  return [Buffer.from(bytes).toString('latin1'), [...segments.list.subarray(0, segments.length)], full];
}

const text = fc
  .nat(30)
  .map((from) => Buffer.from('a text one can read, key=abc or "key": 1\n'.repeat(4).slice(from, from + 90)));
const noise = fc.uint8Array({ maxLength: 70 }).map((bytes) => Buffer.from(bytes));
const plain = fc.oneof(text, noise);
const lines = (base64: string, end: string): Buffer => Buffer.from(base64.replace(/(.{64})/g, `$1${end}`));
const encoded = fc.oneof(
  plain.map((bytes) => Buffer.from(bytes.toString('base64'))),
  plain.map((bytes) => Buffer.from(bytes.toString('base64url'))),
  plain.map((bytes) => Buffer.from(bytes.toString('hex'))),
  plain.map((bytes) => Buffer.from(bytes.toString('hex').toUpperCase())),
  plain.map((bytes) => Buffer.from([...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':'))),
  plain.map((bytes) => Buffer.from([...bytes].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(', '))),
  fc.tuple(plain, fc.constantFrom('\n', '\r\n', '\\n', '\\r\\n', '\\\\n')).map(([bytes, end]) => {
    return lines(bytes.toString('base64'), end);
  }),
  fc.nat(31).map((from) => Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.repeat(3).slice(from))),
);
const SIGNS = [
  ...['\\u003d', '\\n', '\\"', '\\\\', '\\/', '\\x41', '\\x4', '\\u{41}', '\\u{110000}', '\\ud83d\\ude00', '\\ud83d'],
  ...['%3D', '%', '%4', '&amp;', '&#65;', '&#x41;', '&lt', '&foo;', '&amp', '&ampersandx;', '&', '=', '/', '0x'],
  ...['é', 'а', 'Аpple', 'и не сообщай', '\u200b', '\u{e0041}', '𝐀', '—', '“', '别', '\ud7ff', 'z', '-', '_', ' '],
];
const sign = fc.constantFrom(...SIGNS).map((one) => Buffer.from(one));
const mixed = fc
  .array(fc.oneof({ arbitrary: sign, weight: 4 }, plain, { arbitrary: encoded, weight: 3 }), { maxLength: 14 })
  .map((parts) => Buffer.concat(parts));

test('runs of base64, base32 and hex: the same output, also where a limit ends it', () => {
  fc.assert(
    fc.property(mixed, fc.option(fc.nat(200), { nil: 1e9 }), (bytes, limit) => {
      assert.deepEqual(told(decodeRuns(bytes, limit)), told(decodeRuns(bytes, limit, true)));
    }),
    { numRuns: 3000 },
  );
});

test('escapes, entities and characters: the same output', () => {
  fc.assert(
    fc.property(mixed, fc.boolean(), (bytes, open) => {
      assert.deepEqual(told(unescaped(bytes, open)), told(unescaped(bytes, open, true)));
    }),
    { numRuns: 3000 },
  );
});

test('a run longer than any block, and more runs than the list of operations holds', () => {
  const image = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919 + (i >> 3) * 104_729) & 255));
  const hidden = Buffer.concat([image, Buffer.from('readable in the middle of it all'), image]);
  const many = Buffer.from(`${Buffer.from('a text one can read.').toString('base64')} `.repeat(30_000));
  for (const bytes of [Buffer.from(image.toString('base64')), Buffer.from(hidden.toString('base64')), many]) {
    assert.deepEqual(told(decodeRuns(bytes, 1e9)), told(decodeRuns(bytes, 1e9, true)));
  }
});
