import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseExpression } from '../../../src/scan/expression.ts';
import { createMatcher, createRun, type Run } from '../../../src/scan/matcher.ts';
import { bytes, librarySources } from './library.ts';

function runOn(text: Uint8Array, end: number, final: boolean): Run {
  const run = createRun();
  Object.assign(run, { bytes: text, end, final, limit: 1_000_000 });
  return run;
}

/** Expressions of the accepted subset over a small alphabet, so that random texts match often. */
const atoms = fc.constantFrom(
  'a',
  'b',
  'ab',
  '[ab]',
  '[^a]',
  '\\d',
  '\\w',
  '.',
  '(?:a|bc)',
  '(?:a|ab)',
  '\\b',
  '(?!a)',
  '(?=b)',
);
const behinds = fc.constantFrom(
  '(?<=a)',
  '(?<!ab)',
  '(?<=a{1,2}b)',
  '(?<=(?:a|b)\\d{0,2})',
  '(?<![ab])',
  '(?<=\\bc)',
  '',
);
const counts = fc.constantFrom('', '', '{0,2}', '{1,3}', '?', '{2}', '{0,3}?', '{1,2}?');
const repeatable = (atom: string): boolean => !/^\\b|^\(\?[!=]/.test(atom);
const piece = fc
  .tuple(atoms, counts)
  .map(([atom, count]) => (repeatable(atom) ? (atom === 'ab' ? `(?:ab)${count}` : atom + count) : atom));
const sequence = fc.array(piece, { minLength: 1, maxLength: 4 }).map((items) => items.join(''));
const expression = fc
  .tuple(
    behinds,
    sequence,
    sequence,
    fc.constantFrom(
      '(?:[ab]{1,2}[-\\n]{1,2}){0,3}Y',
      'X(?:[ab]{1,2}(?:[-\\n]|1b{1,2}|cc){1,2}){0,3}Y',
      '(?:X|Y)',
      '(?:cX){1,2}Y',
      'X(?<secret>Y)',
      '(?:XY?){0,3}',
      'X|Y',
    ),
  )
  .map(
    ([behind, x, y, shape]) =>
      behind +
      shape
        .replace('XY?', `c${x}`)
        .replace('X', () => x)
        .replace('Y', () => y),
  );
const words = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', '-', '\n'), maxLength: 14 });

test('it matches what the JavaScript engine matches, with the same secret', () => {
  fc.assert(
    fc.property(expression, words, fc.nat(14), (source, text, at) => {
      const matcher = createMatcher(parseExpression(source, false));
      const run = runOn(bytes(text), text.length, true);
      const sticky = new RegExp(source, 'dy');
      sticky.lastIndex = Math.min(at, text.length);
      const expected = sticky.exec(text);
      assert.equal(
        matcher.match(run, sticky.lastIndex > 0 || expected === null ? Math.min(at, text.length) : 0),
        expected ? expected.index + expected[0].length : -1,
      );
      const secret = expected?.indices?.groups?.['secret'];
      if (expected && secret) assert.deepEqual([run.secretStart, run.secretEnd], [...secret]);
    }),
    { numRuns: 3000 },
  );
});

test('an answer on a part of the text holds for the whole, or is put off', () => {
  fc.assert(
    fc.property(expression, words, fc.nat(14), fc.nat(14), (source, text, at, cut) => {
      const matcher = createMatcher(parseExpression(source, false));
      const start = Math.min(at, text.length);
      const end = Math.max(start, Math.min(cut, text.length));
      const part = runOn(bytes(text), end, false);
      const answer = matcher.match(part, start);
      if (!part.hitEnd) assert.equal(answer, matcher.match(runOn(bytes(text), text.length, true), start));
    }),
    { numRuns: 3000 },
  );
});

test('without regard to case, and outside ASCII', () => {
  const matches = (source: string, text: string, ignoreCase = true): boolean =>
    createMatcher(parseExpression(source, ignoreCase)).match(runOn(bytes(text), bytes(text).length, true), 0) ===
    bytes(text).length;
  assert.ok(matches('früher[eé]s', 'FRÜHERÉS'));
  assert.ok(matches('früher', 'Früher'));
  assert.ok(!matches('früher', 'Früher', false));
  assert.ok(matches('игнорируй{1,2}', 'ИГНОРИРУЙЙ'));
  assert.ok(matches('忽略.{0,6}指令', '忽略以下指令'));
  assert.ok(matches('[^a]{2}', 'BC'));
  assert.ok(!matches('[^a]', 'A'));
  assert.ok(matches('\\x41\\u00e9', 'aÉ'));
});

test('an expression the lint would refuse still ends', () => {
  const run = runOn(bytes('a'.repeat(40)), 40, true);
  assert.equal(createMatcher(parseExpression('(?:a{1,20}){1,20}b', false)).match(run, 0), -1);
  assert.ok(run.steps > run.limit && run.steps < run.limit + 1000, `${run.steps} steps`);
});

test('every library expression agrees with the JavaScript engine on its examples', () => {
  for (const source of librarySources()) {
    const ascii = /^[\x00-\x7f]*$/;
    if (!ascii.test(source.expression)) continue;
    const matcher = createMatcher(parseExpression(source.expression, source.ignoreCase));
    const sticky = new RegExp(source.expression, source.ignoreCase ? 'yi' : 'y');
    for (const text of [...source.examples, ...source.counterExamples].filter((one) => ascii.test(one))) {
      for (let at = 0; at < text.length; at++) {
        sticky.lastIndex = at;
        const found = sticky.exec(text);
        const end = matcher.match(runOn(bytes(text), text.length, true), at);
        assert.equal(end, found ? at + found[0].length : -1, `${source.id} at ${at}`);
      }
    }
  }
});
