import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseExpression } from '../../../src/scan/expression.ts';
import { type Landmark, landmarkOf, misses } from '../../../src/scan/landmark.ts';
import { bytes, librarySources } from './library.ts';

function landmark(source: string, ignoreCase = false): Landmark | undefined {
  return landmarkOf(parseExpression(source, ignoreCase));
}

test('no match is missed, whatever the expression, and however much of it is there', () => {
  const gap = fc.constantFrom(
    '[ab]{0,9}',
    '(?:[ab]{1,3}[-\n]{1,2}){0,4}',
    '(?:[ab]{1,3}(?:[-\n]|1b{1,2}|cc){1,2}){0,4}',
    '[^c]{2,12}?',
  );
  const word = fc.constantFrom('c', '(?:abc|cab|b1-)', 'a{1,2}b1', '(?=c)cab?1', 'ab?c?(?:ab|bb)', '[a1](?:b-|c)1');
  const expression = fc
    .tuple(fc.constantFrom('', 'a', '(?:ab|abc)-', '(?<!1)b{1,3}'), gap, word, gap, word)
    .map((parts) => parts.join(''));
  const texts = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', '-', '\n'), maxLength: 30 });
  fc.assert(
    fc.property(expression, texts, fc.nat(30), (source, text, cut) => {
      const mark = landmark(source);
      if (mark === undefined) return;
      for (let at = 0; at < text.length; at++) {
        const sticky = new RegExp(source, 'y');
        sticky.lastIndex = at;
        if (!sticky.test(text)) continue;
        assert.ok(!misses(mark, bytes(text), at, text.length), `${source} at ${at}`);
        assert.ok(!misses(mark, bytes(text), at, Math.min(cut, text.length)), `${source} at ${at}, cut`);
      }
    }),
    { numRuns: 5000 },
  );
});

test('no example of the library is missed', () => {
  let marked = 0;
  for (const source of librarySources()) {
    const mark = landmark(source.expression, source.ignoreCase);
    if (mark === undefined) continue;
    marked++;
    const expression = new RegExp(source.expression, source.ignoreCase ? 'gi' : 'g');
    for (const text of source.examples.filter((one) => /^[\x00-\x7f]*$/.test(one))) {
      for (const { index } of text.matchAll(expression)) {
        assert.ok(!misses(mark, bytes(text), index, text.length), `${source.id}: ${text}`);
      }
    }
  }
  assert.ok(marked > 50, `${marked} have one`);
});

test('what has no second word is refused at the first byte that ends the gap', () => {
  const mark = landmark('(?:tell|show) (?:[a-z]{1,9}[ ,]{1,3}){0,4}(?:your|the) (?:[a-z]{1,9} ){0,2}secrets', true);
  assert.ok(mark);
  const refused = (text: string): boolean => misses(mark, bytes(text), 0, text.length);
  assert.ok(refused('tell me what you think.'));
  assert.ok(refused('show it (the secrets)'));
  assert.ok(!refused('TELL me your secrets'));
  assert.ok(!refused('tell me your sec'), 'the rest may still come');
});

test('a password in a URL has its @ before the path', () => {
  const source = librarySources().find(({ id }) => id === 'url-credentials');
  const mark = landmark(source?.expression ?? '', true);
  assert.ok(mark);
  assert.ok(misses(mark, bytes('https://api.example/items/5?a=b@c'), 0, 32));
  assert.ok(!misses(mark, bytes('https://user:'.concat('passw@host/')), 0, 24));
});
