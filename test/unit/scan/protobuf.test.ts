import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createEngine } from '../../../src/scan/engine.ts';
import { scanLayers } from '../../../src/scan/layers.ts';
import { fromProtobuf } from '../../../src/scan/protobuf.ts';
import { pattern } from './library.ts';

const SECRET = `ac${'me'}-k3J9xQ2mZ7pLr5Tn8Vb1`;
const engine = createEngine([
  pattern({ id: 'acme', expression: '(?<![a-z])acme-[A-Za-z0-9]{20}(?![A-Za-z0-9])', keywords: ['acme-'] }),
]);

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 128))];
}
const field = (number: number, content: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(content.length)]), content]);
const frame = (message: Uint8Array): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};
/** So long that its length is the letter `d`. */
const text = Buffer.from(`${SECRET} ${'x'.repeat(74)}`);

test('a string is found whatever its length is as a letter, nested, framed by gRPC or not, at its place', () => {
  const flat = Buffer.concat([field(1, Buffer.from('abc')), field(2, text), Buffer.from([0x18, 0x07])]);
  const nested = field(3, Buffer.concat([Buffer.from([0x08, 0x96, 0x01]), field(1, field(2, text))]));
  for (const body of [
    flat,
    nested,
    frame(flat),
    Buffer.concat([frame(field(1, Buffer.from('first'))), frame(nested)]),
  ]) {
    const { matches } = scanLayers(engine, body);
    assert.equal(matches.length, 1, body.toString('latin1'));
    assert.equal(body.subarray(matches[0]?.start, matches[0]?.end).toString(), SECRET);
    assert.deepEqual(matches[0]?.encodings, ['protobuf']);
  }
});

test('what an encoding hides in it is found too', () => {
  const body = frame(field(1, Buffer.from(Buffer.from(`{"a": "${SECRET}"} ${'x'.repeat(40)}`).toString('base64'))));
  assert.equal(scanLayers(engine, body).matches.length, 1);
});

test('text is no message, and neither is what is broken', () => {
  for (const other of [`\n${'words and words '.repeat(20)}`, '\u0000\u0000\u0000\u0001\u0000', '\n', `${text}`])
    assert.equal(fromProtobuf(Buffer.from(other)), undefined, JSON.stringify(other));
});

test('every run of bytes ends, with places inside it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 31 }), (bytes, first) => {
      bytes[0] = first;
      const decoded = fromProtobuf(bytes);
      assert.ok(decoded === undefined || decoded.bytes.length <= bytes.length * 3);
    }),
    { numRuns: 2000 },
  );
});
