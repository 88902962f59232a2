import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { printable } from '../../../src/model/printable.ts';

test('plain text stays as it is', () => {
  assert.equal(printable('GET /a?b=c'), 'GET /a?b=c');
  assert.equal(printable(''), '');
  assert.equal(printable('Straße 東京 🙂'), 'Straße 東京 🙂');
});

test('what cannot be seen becomes visible', () => {
  assert.equal(printable('a\u202eb'), 'a<U+202E>b');
  assert.equal(printable('\u001b[31mred'), '<U+001B>[31mred');
  assert.equal(printable('one\r\ntwo'), 'one<U+000D><U+000A>two');
  assert.equal(printable('zero\u200bwidth\ufeff'), 'zero<U+200B>width<U+FEFF>');
  assert.equal(printable('\u{e0041}'), '<U+E0041>');
  assert.equal(printable('x\ud800y'), 'x<U+D800>y');
});

test('too long is cut and says so', () => {
  assert.equal(printable('abcdef', 4), 'abc…');
  assert.equal(printable('ab\u202ecdef', 6), 'ab…');
  assert.equal(printable('abc🙂d', 5), 'abc…');
});

test('any input gives one bounded line without control characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.integer({ min: 1, max: 300 }), (text, max) => {
      const shown = printable(text, max);
      assert.ok(shown.length <= max);
      assert.doesNotMatch(shown, /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b-\u200f]/);
      assert.ok(shown.isWellFormed());
    }),
  );
});
