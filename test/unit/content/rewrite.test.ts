import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonText } from '../../../src/content/json-place.ts';
import { rewritten } from '../../../src/content/rewrite.ts';
import type { Found } from '../../../src/model/scan.ts';

const LABEL = '[X_REDACTED]';
const found = (start: number, end: number): Found => ({ start, end, label: 'X' }) as Found;

function asJson(text: string, places: readonly (readonly [number, number])[]): string {
  const bytes = Buffer.from(text);
  const going = { bytes, from: 0, until: bytes.length, whole: true, format: 'json', fixed: false } as const;
  const all = places.map(([start, end]) => found(start, end));
  return rewritten(going, all).bytes.toString();
}

test('a number goes as a whole, once, however much is found in it', () => {
  const number = `${'1'.repeat(16)}.${'2'.repeat(16)}`;
  const out = asJson(`{"a":${number},"b":1}`, [
    [5, 21],
    [22, 38],
  ]);
  assert.deepEqual(JSON.parse(out), { a: LABEL, b: 1 });
});

test('overlapping places are one, and counted so', () => {
  const bytes = Buffer.from('{"a":"0123456789"}');
  const going = { bytes, from: 0, until: bytes.length, whole: true, format: 'json', fixed: false } as const;
  const { bytes: out, end, replaced } = rewritten(going, [found(6, 10), found(8, 12), found(14, 16)]);
  assert.equal(out.toString(), `{"a":"${LABEL}67${LABEL}"}`);
  assert.equal(end, bytes.length);
  assert.equal(replaced, 2);
});

/** Numbers that look like chance and are the same each time. */
function* chance(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    yield state >> 8;
  }
}

test('a text that is read once gives the same parts as one that is read anew for every place', () => {
  const random = chance(7);
  const next = (below: number): number => (random.next().value as number) % below;
  const tokens = [
    '"',
    '"',
    '\\',
    '\\"',
    '\\u00e9',
    '\\\\',
    'a',
    'secret',
    '\n',
    ':',
    ',',
    '{',
    '}',
    '12345678',
    'data: ',
    ' ',
  ];
  for (let n = 0; n < 3000; n++) {
    const text = Array.from({ length: 4 + next(40) }, () => tokens[next(tokens.length)]).join('');
    const bytes = Buffer.from(text);
    for (const whole of [true, false]) {
      const once = new JsonText(bytes, whole);
      for (let at = next(4); at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + next(8));
        const floor = Math.max(0, at - next(3));
        const anew = new JsonText(bytes, whole).parts(at, end, floor);
        assert.deepEqual(once.parts(at, end, floor), anew, `${JSON.stringify(text)} ${at} ${end}`);
        at = end + next(6);
      }
    }
  }
});

test('a text full of places is not read again for each of them', () => {
  const one = '"0123456789abcdef"';
  const texts = [`[${Array<string>(4000).fill(one).join(',')}]`, `["${'0123456789abcdef\\n'.repeat(4000)}"]`];
  for (const text of texts) {
    let reads = 0;
    const bytes = new Proxy(Buffer.from(text), {
      get: (target, name) => {
        if (typeof name === 'string' && /^\d+$/.test(name)) reads++;
        return Reflect.get(target, name, target) as unknown;
      },
    });
    const json = new JsonText(bytes, true);
    for (let at = text.indexOf('0'); at >= 0; at = text.indexOf('0', at + 1)) json.parts(at, at + 16, at);
    assert.ok(reads < 8 * text.length, `${reads} of ${text.length}`);
  }
});
