import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redactor } from '../../../src/content/redactor.ts';
import { SplitMessages, splitFinds } from '../../../src/content/split.ts';
import { Window } from '../../../src/content/window.ts';
import { fakeScan, windowOptions } from './support.ts';

/** As `fakeScan` finds it, cut up. */
const [A, B, C] = ['SECRE', 'T-abcdefgh', 'ijklmnop'];

const BODIES: readonly [string, string, number][] = [
  ['members of an object', JSON.stringify({ x: 'zz', a: A, b: B, c: C.slice(0, 4), n: 1, e: C.slice(4) }), 4],
  ['an array', JSON.stringify({ list: [A, B, C] }), 3],
  ['objects of an array', JSON.stringify([1, 2, 3].map((i) => ({ index: i, data: [A, B, C][i - 1] }))), 3],
  ['behind what is no part', JSON.stringify({ note: 'a text of several words', a: A, b: 'and, more', c: B }), 2],
  ['a form', `x=1&a=${A}&b=${B}${C}`, 2],
];

for (const [name, body, parts] of BODIES) {
  test(`a secret cut into ${name}`, () => {
    // What is looked for has no end, so that every value more is a longer one.
    const one = splitFinds(Buffer.from(body), fakeScan()).at(-1);
    assert.equal(one?.place, `in ${parts} values (split)`);
    assert.equal(one?.offset, body.indexOf(A));
    const window = new Window(windowOptions());
    window.push(Buffer.from(body));
    assert.deepEqual(window.finish().found.at(-1)?.place, one?.place);
  });
}

test('nothing of responses, of long bodies, of broken ones, of values that lie elsewhere', () => {
  const body = Buffer.from(JSON.stringify({ a: A, b: B }));
  const window = new Window(windowOptions({ what: 'response' }));
  window.push(body);
  assert.deepEqual(window.finish().found, []);
  for (const other of [
    JSON.stringify({ a: A, b: B, pad: 'x y '.repeat(3000) }),
    `{"a":"${A}","b":"${B}"`,
    JSON.stringify({ a: { a: A }, b: { b: B } }),
    JSON.stringify({ a: `x${A}`, b: B }),
  ]) {
    assert.deepEqual(splitFinds(Buffer.from(other), fakeScan()), [], other.slice(0, 60));
  }
});

function say(split: SplitMessages, text: string): (string | undefined)[] {
  const bytes = Buffer.from(text);
  split.add(bytes.subarray(0, 3));
  split.add(bytes.subarray(3));
  return split.end().map(({ place }) => place);
}

test('a secret cut into messages, as they are and as values of one key, is known with its last one', () => {
  for (const write of [String, (part: string) => JSON.stringify({ type: 'chunk', data: part })]) {
    const split = new SplitMessages(fakeScan());
    assert.deepEqual(say(split, '{"type":"hello","words":"a text of words"}'), []);
    assert.deepEqual(say(split, write(A)), []);
    assert.deepEqual(say(split, write(B)), ['in 2 messages (split)']);
    assert.deepEqual(say(split, 'x y'), []);
    assert.deepEqual(say(split, write(C)), ['in 3 messages (split)']);
  }
});

test('messages without end: what is kept of them is bounded, and a secret among them is found', () => {
  const split = new SplitMessages(fakeScan());
  for (let i = 0; i < 3000; i++) assert.deepEqual(say(split, `tick-${i}`), []);
  assert.deepEqual(say(split, A), []);
  assert.deepEqual(say(split, 'x'.repeat(100_000)), []);
  assert.deepEqual(say(split, B), ['in 2 messages (split)']);
  for (let i = 0; i < 10; i++) say(split, '99');
  assert.deepEqual(say(split, C), [], 'too far from where it began');
});

test('a body that is held: what was cut up stops it before anything of it goes, or passes untouched', () => {
  const body = Buffer.from(JSON.stringify({ a: A, b: B }));
  for (const act of ['stop', 'replace'] as const) {
    const given: Buffer[] = [];
    let stopped = false;
    const scan = fakeScan();
    const redactor = new Redactor({
      ...windowOptions({ scan }),
      scan: {
        ...scan,
        part: (what, bytes) => ({ ...scan.scan(what, bytes), settled: 0, begun: 0, worth: 0, sure: 0, block: 0 }),
      },
      decodeRatio: 100,
      holdMs: 0,
      act: () => act,
      onUnscanned: () => 'pass',
      format: 'json',
      fixed: false,
      patient: true,
      data: (payload) => given.push(payload),
      stopped: () => {
        stopped = true;
      },
      onFailed: () => 'pass',
    });
    redactor.write(body.subarray(0, 9));
    redactor.write(body.subarray(9));
    redactor.end();
    assert.equal(stopped, act === 'stop');
    assert.equal(Buffer.concat(given).toString(), act === 'stop' ? '' : body.toString());
    assert.deepEqual(
      redactor.scanned.found.map(({ place, apart }) => [place, apart]),
      [['in 2 values (split)', true]],
    );
  }
});
