import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EventStreamReader } from '../../../src/llm/event-stream-reader.ts';
import { SseReader } from '../../../src/llm/sse-reader.ts';
import { awsEvent, awsMessage } from './fixtures.ts';

type SseEvent = readonly [type: string, data: string, head: string | undefined];

function events(parts: readonly Uint8Array[]): SseEvent[] {
  const told: SseEvent[] = [];
  let data = '';
  const reader = new SseReader({
    data: (bytes) => {
      data += Buffer.from(bytes).toString('latin1');
    },
    event: (type, head) => {
      told.push([type, data, head]);
      data = '';
    },
  });
  for (const part of parts) reader.push(part);
  reader.end();
  return told;
}

const each = (text: string): SseEvent[] => events([Buffer.from(text, 'latin1')]);

test('server-sent events as the standard writes them', () => {
  assert.deepEqual(each('data: a\n\ndata:b\n\n'), [
    ['', 'a', 'a'],
    ['', 'b', 'b'],
  ]);
  assert.deepEqual(each('data:  a \n\n'), [['', ' a ', ' a ']]);
  assert.deepEqual(each('event: x\ndata: a\n\ndata: b\n\n'), [
    ['x', 'a', 'a'],
    ['', 'b', 'b'],
  ]);
  assert.deepEqual(each(': comment\nid: 7\nretry: 1\ndata: a\ndata: b\ndata\n\n')[0]?.[1], 'a\nb\n');
  assert.deepEqual(each('event: x\n\n: only a comment\n\n'), []);
  assert.deepEqual(
    each('\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\rdata: c\n\n').map(([, data]) => data),
    ['a', 'b', 'c'],
  );
  assert.deepEqual(each('event: x\r\ndata: a\r\ndata: b\r\n\r\n'), [['x', 'a\nb', 'a\nb']]);
  assert.deepEqual(each('dataset: a\n\ndat: b\n\n'), []);
  assert.deepEqual(each(`data: ${'x'.repeat(16)}\n\n`)[0]?.[2], 'x'.repeat(16));
  assert.deepEqual(each(`data: ${'x'.repeat(17)}\n\n`)[0]?.[2], undefined);
});

test('an event the stream ends in is told', () => {
  assert.deepEqual(each('data: [DONE]'), [['', '[DONE]', '[DONE]']]);
  assert.deepEqual(each('data: a\n'), [['', 'a', 'a']]);
});

test('events do not depend on how the bytes come', () => {
  const line = fc.constantFrom(
    'data: a',
    'data:',
    'data',
    'event: x',
    ': c',
    '',
    'data: a b',
    'id: 1',
    'x',
    ' data: a',
  );
  const eol = fc.constantFrom('\n', '\r\n', '\r');
  const text = fc
    .array(
      fc.tuple(line, eol).map((pair) => pair.join('')),
      { maxLength: 20 },
    )
    .map((lines) => lines.join(''));
  fc.assert(
    fc.property(text, (written) => {
      const bytes = Buffer.from(written, 'latin1');
      assert.deepEqual(events(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))), events([bytes]));
    }),
  );
});

interface Frames {
  readonly told: [string | undefined, string][];
  readonly broken: boolean;
  readonly open: boolean;
}

function frames(parts: readonly Uint8Array[]): Frames {
  const told: [string | undefined, string][] = [];
  let type: string | undefined;
  let payload = '';
  const reader = new EventStreamReader({
    headers: (headers) => {
      type = headers.get(':event-type');
      payload = '';
    },
    payload: (bytes) => {
      payload += Buffer.from(bytes).toString('utf8');
    },
    message: () => told.push([type, payload]),
  });
  for (const part of parts) reader.push(part);
  return { told, broken: reader.broken, open: reader.open };
}

const stream = Buffer.concat([awsEvent('a', { x: 1 }), awsMessage({}, 1), awsEvent('b', [])]);

test('an AWS event stream, in any pieces', () => {
  const told = [
    ['a', '{"x":1}'],
    [undefined, '1'],
    ['b', '[]'],
  ];
  for (let at = 0; at <= stream.length; at++) {
    assert.deepEqual(frames([stream.subarray(0, at), stream.subarray(at)]), { told, broken: false, open: false });
  }
  assert.equal(frames([stream.subarray(0, -1)]).open, true);
});

test('a bit that fell over is noticed wherever it stands', () => {
  for (let at = 0; at < stream.length; at++) {
    const bad = Buffer.from(stream);
    bad[at] = (bad[at] as number) ^ 0x10;
    const { broken, told } = frames([bad]);
    assert.ok(broken && told.length < 3, `byte ${at}`);
  }
});

test('lengths that cannot be are refused before anything is kept', () => {
  const prelude = Buffer.alloc(12, 0xff);
  assert.equal(frames([prelude]).broken, true);
  assert.equal(frames([Buffer.alloc(12)]).broken, true);
});
