import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { filterBody } from '../../../src/content/filter.ts';
import { messageEnds } from '../../../src/content/message-ends.ts';
import { AWS, cut, filterOptions } from './filter-support.ts';

const framed = (message: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};
const KINDS = {
  'application/grpc+proto': framed,
  'application/x-ndjson': (message: Buffer) => Buffer.concat([message, Buffer.from('\n')]),
} as const;
const cuts = fc.array(fc.nat(1 << 16), { maxLength: 12 });

test('the last end in what came is found, however it comes', () => {
  const message = fc.oneof(
    fc.constant(Buffer.alloc(0)),
    fc.string({ maxLength: 300 }).map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), cuts, (messages, at) => {
      for (const [type, written] of Object.entries(KINDS)) {
        const parts = messages.map((one) => written(Buffer.from(one.filter((byte) => byte !== 10))));
        const ends = parts.map((_, i) => Buffer.concat(parts.slice(0, i + 1)).length);
        const finder = messageEnds(type);
        let from = 0;
        for (const piece of cut(Buffer.concat(parts), at)) {
          const to = from + piece.length;
          const last = ends.filter((end) => end > from && end <= to).at(-1);
          assert.deepEqual(finder?.of(piece), last === undefined ? [] : [last - from]);
          from = to;
        }
      }
    }),
  );
});

test('one text has no messages', () => {
  for (const type of ['application/json', 'text/plain', 'application/grpc-web-text', 'application/octet-stream'])
    assert.equal(messageEnds(type), undefined);
});

test('at the end of a message nothing waits, and a secret there carries its label', () => {
  for (const [type, written] of Object.entries(KINDS)) {
    for (const what of ['request', 'response'] as const) {
      const given: Buffer[] = [];
      const filter = filterBody({
        ...filterOptions({ contentType: type, what }),
        out: {
          data: (payload) => given.push(payload),
          drained: () => undefined,
          end: () => undefined,
          stop: () => undefined,
        },
      });
      const texts = ['{"id":17}', 'the password', 'step 42', `see ${AWS.slice(0, 9)}`, `see ${AWS}`];
      for (const [i, text] of texts.entries()) {
        const message = written(Buffer.from(text));
        filter.write(Buffer.from(message));
        const all = Buffer.concat(texts.slice(0, i + 1).map((one) => written(Buffer.from(one))));
        if (i < 4) assert.deepEqual(Buffer.concat(given), all, text);
      }
      const all = Buffer.concat(given).toString();
      assert.ok(!all.includes(AWS) && all.includes('[AWS'), all);
      filter.end();
    }
  }
});
