import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editFields, editHead, lengthValues, listFields } from '../../../src/codec/http1-edit.ts';

const HEAD = 'POST /a?k=v HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nx-odd:\t v w \r\nContent-Length: 3\r\n\r\n';
const edit = (change: Parameters<typeof editHead>[1]): string =>
  editHead(Buffer.from(HEAD, 'latin1'), change).toString('latin1');

test('nothing asked, nothing changed', () => {
  assert.equal(edit({}), HEAD);
});

test('target, values, lines gone and lines added; all else as it came', () => {
  const change = {
    target: '/b',
    values: new Map([
      [1, 'full'],
      [2, 'x'],
    ]),
    without: new Set(['content-length']),
    added: [['Transfer-Encoding', 'chunked']] as const,
  };
  assert.equal(
    edit(change),
    'POST /b HTTP/1.1\r\nHost: a\r\nX-Empty:full\r\nx-odd:\t x\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
});

test('what is put in cannot split a line', () => {
  const got = edit({ target: '/b HTTP/1.1\r\nX: y', values: new Map([[0, 'b\r\nX-More: \0\u0100z']]) });
  assert.ok(got.startsWith('POST /b_HTTP/1.1__X:_y HTTP/1.1\r\nHost: b__X-More: __z\r\n'), got);
  assert.equal(got.split('\r\n').length, HEAD.split('\r\n').length);
});

test('fields of a section, and every length of a head', () => {
  assert.deepEqual(listFields('\r\n'), []);
  assert.deepEqual(listFields('A: b\r\nC:\t d \r\n\r\n'), ['A', 'b', 'C', 'd']);
  assert.equal(editFields('\r\n', { added: [['A', 'b']] }), 'A: b\r\n\r\n');
  const lengths = lengthValues(['Content-Length', '1', 'X', 'y', 'content-length', '1'], 20);
  assert.deepEqual(
    [...lengths],
    [
      [0, '20'],
      [2, '20'],
    ],
  );
});
