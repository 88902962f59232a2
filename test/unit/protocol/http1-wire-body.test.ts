import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyFramer } from '../../../src/codec/http1-body.ts';
import { WireBody } from '../../../src/protocol/http1-wire-body.ts';

/** What becomes of a chunked body read in these pieces by a filter that holds back `hold` bytes. */
function through(pieces: readonly string[], hold: number): string {
  const body = new WireBody({ chunked: true, trailerBytes: 0, trailers: () => undefined });
  const slices: Buffer[] = [];
  const framer = new BodyFramer(true, (slice) => slices.push(slice));
  framer.start('chunked', 0);
  let held = Buffer.alloc(0);
  const out: Buffer[] = [];
  for (const piece of pieces) {
    const raw = Buffer.from(piece);
    framer.push(raw, 0);
    body.raw(raw);
    for (const slice of slices.splice(0)) {
      body.payload(slice);
      held = Buffer.concat([held, slice]);
      const going = held.subarray(0, Math.max(0, held.length - hold));
      held = held.subarray(going.length);
      out.push(...body.give(going));
    }
  }
  assert.ok(framer.done);
  out.push(...body.give(held), ...body.finish([]));
  return Buffer.concat(out).toString();
}

test('every way of cutting a body in three, whatever is held back: the same bytes', () => {
  const payload = '\r\n0\r\n\r\n5\r\n\r\n\r\n\r\n';
  const size = payload.length.toString(16);
  const message = `4;a="b"\r\n\r\n0\r\r\n${size}\r\n${payload}\r\n1\r\nx\r\n0;z\r\nX-T:  y \r\n\r\n`;
  for (const hold of [0, 1, 3, 1000]) {
    for (let i = 1; i < message.length - 1; i++) {
      for (let j = i + 1; j < message.length; j++) {
        const pieces = [message.slice(0, i), message.slice(i, j), message.slice(j)];
        assert.equal(through(pieces, hold), message, `${hold} held, cut at ${i} and ${j}`);
      }
    }
  }
});

test('byte by byte', () => {
  const message = '3\r\n\r\n0\r\n2\r\n\r\n\r\n0\r\n\r\n';
  for (const hold of [0, 1, 2]) assert.equal(through([...message], hold), message);
});
