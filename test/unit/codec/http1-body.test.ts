import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BodyFramer } from '../../../src/codec/http1-body.ts';

function frame(parts: readonly Buffer[], response = false) {
  let payload = '';
  const framer = new BodyFramer(response, (slice) => {
    payload += slice.toString('latin1');
  });
  framer.start('chunked', 0);
  let taken = 0;
  for (const part of parts) {
    if (framer.done || framer.error !== undefined) break;
    taken += framer.push(part, 0);
  }
  return { done: framer.done, error: framer.error, payload, counted: framer.payload, taken };
}

describe('BodyFramer', () => {
  it('a length: takes exactly that, in any number of pieces', () => {
    const framer = new BodyFramer(false);
    framer.start('length', 5);
    assert.equal(framer.push(Buffer.from('abc'), 0), 3);
    assert.equal(framer.push(Buffer.from('..defg'), 2), 4);
    assert.equal(framer.done, true);
    assert.equal(framer.payload, 5);
    assert.equal(framer.push(Buffer.from('x'), 0), 0);
  });

  it('until the end: only the end ends it', () => {
    const framer = new BodyFramer(true);
    framer.start('until-close', 0);
    assert.equal(framer.push(Buffer.from('abc'), 0), 3);
    assert.equal(framer.done, false);
    assert.equal(framer.finish(), true);
    framer.start('length', 1);
    assert.equal(framer.finish(), false);
  });

  it('chunked: extensions, leading zeros, trailers, and where the next message begins, however cut', () => {
    const body = '5;a=b;c="q\\"u;o"\r\nhello\r\n000A\r\n0123456789\r\n0;last\r\nT: v\r\nU:\r\n\r\n';
    const text = `${body}GET / next`;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 10 }), (points) => {
        const edges = [0, ...points.sort((a, b) => a - b), text.length];
        const parts = edges.slice(1).map((edge, i) => Buffer.from(text.slice(edges[i], edge), 'latin1'));
        const got = frame(parts);
        assert.deepEqual(got, {
          done: true,
          error: undefined,
          payload: 'hello0123456789',
          counted: 15,
          taken: body.length,
        });
      }),
    );
  });

  const broken: readonly string[] = [
    '\r\n',
    'g\r\n',
    ' 5\r\nhello\r\n',
    '5 \r\nhello\r\n',
    '0x5\r\nhello\r\n',
    '-1\r\n',
    '5\nhello\r\n',
    '5\rXhello\r\n',
    '5\r\nhelloX\r\n',
    '5\r\nhello\n',
    '5;\r\nhello\r\n',
    '5;=x\r\n',
    '5;a=\r\n',
    '5;a="\r\n"\r\n',
    '5;a\n\r\n',
    'fffffffffffffffff\r\n',
    '20000000000001\r\n',
    `5;${'a'.repeat(17_000)}\r\n`,
    '0\r\n T: v\r\n\r\n',
    '0\r\nT : v\r\n\r\n',
    '0\r\nT: v\n\r\n',
    '0\r\nT\r\n\r\n',
    '0\r\nT: \0\r\n\r\n',
    '0\r\n\rX',
  ];
  for (const text of broken) {
    it(`refuses ${JSON.stringify(text.slice(0, 30))}`, () => {
      const got = frame([Buffer.from(text, 'latin1')]);
      assert.notEqual(got.error, undefined);
      assert.equal(got.done, false);
    });
  }

  it('a response may pad its chunk sizes', () => {
    assert.equal(frame([Buffer.from('2 \t\r\nok\r\n0  \r\n\r\n')], true).done, true);
    assert.notEqual(frame([Buffer.from('2 2\r\nok')], true).error, undefined);
  });
});
