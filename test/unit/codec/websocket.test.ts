import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type WebSocketFrame, WebSocketReader } from '../../../src/codec/websocket.ts';

/** One frame on the wire, written independently of the reader. */
function encode(
  opcode: number,
  payload: Buffer,
  options: { fin?: boolean; rsv1?: boolean; mask?: number } = {},
): Buffer {
  const { fin = true, rsv1 = false, mask } = options;
  const head = [(fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode];
  const masked = mask === undefined ? 0 : 0x80;
  if (payload.length < 126) head.push(masked | payload.length);
  else if (payload.length < 65536) head.push(masked | 126, payload.length >> 8, payload.length & 255);
  else head.push(masked | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (payload.length >>> shift) & 255));
  if (mask === undefined) return Buffer.concat([Buffer.from(head), payload]);
  const key = Buffer.alloc(4);
  key.writeUInt32BE(mask);
  return Buffer.concat([Buffer.from(head), key, payload.map((byte, i) => byte ^ (key[i & 3] as number)) as Buffer]);
}

function read(
  bytes: Buffer,
  size: number,
  maxPayload = 1 << 20,
): { frames: WebSocketFrame[]; reader: WebSocketReader } {
  const frames: WebSocketFrame[] = [];
  const reader = new WebSocketReader(maxPayload, (frame) => frames.push(frame));
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  return { frames, reader };
}

describe('WebSocketReader', () => {
  it('reads every frame, masked or not, however the bytes are cut', () => {
    const frames = fc.array(
      fc.record({
        opcode: fc.constantFrom(0, 1, 2),
        payload: fc.oneof(fc.uint8Array({ maxLength: 140 }), fc.constant(new Uint8Array(70_000).fill(7))),
        fin: fc.boolean(),
        rsv1: fc.boolean(),
        mask: fc.option(fc.nat(), { nil: undefined }),
      }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(frames, fc.integer({ min: 1, max: 5000 }), (sent, size) => {
        const bytes = Buffer.concat(
          sent.map(({ opcode, payload, fin, rsv1, mask }) =>
            encode(opcode, Buffer.from(payload), { fin, rsv1, ...(mask === undefined ? {} : { mask }) }),
          ),
        );
        const { frames: got, reader } = read(bytes, size);
        assert.equal(reader.broken, false);
        assert.equal(got.length, sent.length);
        for (const [i, frame] of got.entries()) {
          const expected = sent[i];
          assert.equal(frame.opcode, expected?.opcode);
          assert.equal(frame.fin, expected?.fin);
          assert.equal(frame.compressed, expected?.rsv1);
          assert.ok(frame.payload.equals(Buffer.from(expected?.payload ?? [])));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps no more than the cap and still finds the next frame', () => {
    const bytes = Buffer.concat([
      encode(2, Buffer.alloc(5000, 1), { mask: 0x01020304 }),
      encode(9, Buffer.from('ping')),
    ]);
    const { frames } = read(bytes, 700, 1000);
    assert.deepEqual(
      frames.map(({ length, payload }) => [length, payload.length]),
      [
        [5000, 1000],
        [4, 4],
      ],
    );
    assert.equal(frames[1]?.payload.toString(), 'ping');
  });

  it('stops at what is no frame', () => {
    for (const bytes of [
      [0x83, 0x00],
      [0x8b, 0x00],
      [0x09, 0x00],
      [0x88, 0x7e, 1, 0],
      [0x82, 0xff, ...Array(8).fill(0xff), 0, 0, 0, 0],
    ]) {
      const { frames, reader } = read(Buffer.from(bytes), 100);
      assert.equal(reader.broken, true);
      assert.equal(frames.length, 0);
    }
  });

  it('does not see the bytes it was given change', () => {
    const bytes = encode(1, Buffer.from('text'), { mask: 0xa0b0c0d0 });
    const before = Buffer.from(bytes);
    read(bytes, 3);
    assert.ok(bytes.equals(before));
  });
});
