import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyFramer } from '../../../src/codec/http1-body.ts';
import { Tee } from '../../../src/protocol/http1-tee.ts';

function listening(tee: Tee): string[] {
  const heard: string[] = [];
  tee.tap = { push: (payload) => heard.push(Buffer.from(payload).toString()), end: () => heard.push('END') };
  return heard;
}

test('payload without chunk framing, after it was written on', () => {
  const tee = new Tee();
  const framer = new BodyFramer(false, tee.note);
  tee.reset();
  framer.start('chunked', 0);
  const heard = listening(tee);
  framer.push(Buffer.from('3;x=y\r\nabc\r\n2\r\nde'), 0);
  assert.deepEqual(heard, [], 'nothing before it is written');
  tee.written(framer.done);
  assert.deepEqual(heard, ['abc', 'de']);
  framer.push(Buffer.from('\r\n0\r\nTrailer: x\r\n\r\n'), 0);
  tee.written(framer.done);
  assert.deepEqual(heard, ['abc', 'de', 'END']);
});

test('what came before there was a tap is heard too', () => {
  const tee = new Tee();
  const framer = new BodyFramer(false, tee.note);
  tee.reset();
  framer.start('length', 6);
  framer.push(Buffer.from('abc'), 0);
  const heard = listening(tee);
  tee.written(false);
  framer.push(Buffer.from('def'), 0);
  tee.written(true);
  assert.deepEqual(heard, ['abc', 'def', 'END']);
});

test('nothing of one message is heard with the next, and a body nobody wants is not kept', () => {
  const tee = new Tee();
  tee.reset();
  tee.note(Buffer.from('of the last one'));
  tee.reset();
  const heard = listening(tee);
  tee.written(false);
  assert.deepEqual(heard, []);
  tee.reset();
  tee.written(false);
  tee.note(Buffer.from('unwanted'));
  const late = listening(tee);
  tee.written(true);
  assert.deepEqual(late, ['END']);
});
