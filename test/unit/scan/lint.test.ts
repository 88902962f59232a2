import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePatterns } from '../../../src/scan/compile.ts';
import { lintPattern } from '../../../src/scan/lint.ts';
import { assembleExample, readPattern, readPatterns } from '../../../src/scan/read.ts';
import { pattern, source } from './library.ts';

const REFUSED: readonly (readonly [expression: string, says: RegExp])[] = [
  ['key_.*x', /gap without end/],
  ['key_[a-z]+', /gap without end/],
  ['key_[a-z]{3,}', /gap without end/],
  ['(?=[a-z]*)key_[a-z]', /gap without end/],
  ['key_(?:a{1,9}){1,9}', /gaps overlap or nest/],
  ['key_(?:a|a){20}', /gaps overlap or nest/],
  ['key_[a-z]{0,90}[a-z0-9]{0,90}x', /gaps overlap or nest/],
  ['key_.{0,200}x.{0,200}y', /gaps overlap or nest/],
  ['key_(?:[a-z]{0,3}){1,9}', /can be empty/],
  ['key_(?:ab){1,900}', /repeats a group more than/],
  ['key_[a-z]{30000}', /longest match is 30004 bytes/],
  ['(?:key_a)?', /matches the empty string/],
  ['[a-z]{8}', /without any of its keywords/],
  ['(?:key_|tok_)[a-z]{8}', /without any of its keywords/],
  ['.{0,90}key_[a-z]{8}', /varies by at most/],
  ['(?<=[a-z]{1,300})key_a', /looks back/],
  ['key_a(?=.{2500})', /looks ahead/],
  ['(key_)\\1', /\\1 is not one of the escapes/],
  ['key_a$', /no meaning in a stream/],
  ['(?i:key_a)', /unknown \(\?/],
  ['key_[à-é]', /stay in ASCII/],
  ['key_[^é]', /negated class/],
  ['key_\\p{L}', /\\p is not one/],
  ['key_(a', /not closed/],
  ['key_a)', /one \) too many/],
  ['key_[a', /class is not closed/],
  ['key_a{3,1}', /goes down/],
  ['key_\\b{2}', /is repeated/],
  ['key_(?<secret>a)(?<secret>b)', /more than one group/],
];

for (const [expression, says] of REFUSED) {
  test(`refused: ${expression}`, () => {
    assert.throws(
      () => lintPattern(source({ expression, keywords: ['key_'] })),
      (error: Error) => {
        assert.match(error.message, /^test\.yaml: test-key: expression: /);
        assert.match(error.message, says);
        return true;
      },
    );
  });
}

test('accepted: gaps that end at what they cannot contain', () => {
  for (const expression of [
    'key_[^"]{0,200}"',
    'key_.{0,60}x.{0,60}y',
    'key_(?:[A-Z0-9]{1,12} ){0,3}END',
    '(?<![a-z])key_(?:live|test)_[a-z0-9]{8,90}(?![a-z0-9])',
  ]) {
    lintPattern(source({ expression, keywords: ['key_'] }));
  }
});

test('a keyword no match needs is refused', () => {
  assert.throws(
    () => lintPattern(source({ expression: 'key_[a-z]', keywords: ['key_', 'tok_'] })),
    /no match needs the keyword tok_/,
  );
});

test('measures and places', () => {
  const one = lintPattern(source({ expression: '(?<![0-9])[0-9]{8,11}:AA[a-z]{5,30}', keywords: [':AA'] }));
  assert.deepEqual([one.measures.min, one.measures.max, one.measures.before, one.measures.ways], [16, 44, 1, 1]);
  assert.deepEqual(one.places, [[8, 11]]);
  const behind = lintPattern(source({ expression: '(?<=/hook/[0-9]{3,9}/)[a-z]{8}', keywords: ['/hook/'] }));
  assert.deepEqual(behind.places, [[-16, -10]]);
  const digits = lintPattern(source({ trigger: 'digits', expression: '[0-9]{3}-?[0-9]{2}|[A-Z][0-9]{9}' }));
  assert.deepEqual(digits.places, [[0, 1]]);
  assert.equal(digits.runs, (1 << 3) | (1 << 5) | (1 << 9));
});

test('entries are checked for shape', () => {
  const good = { ...source({ expression: 'key_a', keywords: ['key_'] }) };
  assert.equal(good.kind, 'credential');
  const bad: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ severity: 'huge' }, /test-key: severity must be one of info/],
    [{ kind: 'x' }, /kind must be one of/],
    [{ colour: 1 }, /unknown key colour/],
    [{ keywords: ['ab'] }, /3 bytes or more/],
    [{ keywords: [] }, /keywords must have at least 1/],
    [{ trigger: 'digits', keywords: ['abc'] }, /exclude each other/],
    [{ entropy: 9 }, /entropy must be a number from 0 to 8/],
    [{ max: 0 }, /max must be/],
    [{ case: 'upper' }, /case must be one of/],
    [{ placeholders: 'x' }, /placeholders must be one of/],
    [{ home: 'x.com' }, /home must be a list/],
    [{ examples: [] }, /examples must have at least 1/],
    [{ label: '' }, /label must be a non-empty string/],
    [{ expression: 'a'.repeat(5000) }, /longer than 4096/],
  ];
  for (const [change, says] of bad) {
    assert.throws(() => source({ expression: 'key_a', keywords: ['key_'], ...change }), says);
  }
  assert.throws(() => readPattern('x', 'f.yaml', 2), /f\.yaml: entry 3 must be a map/);
  assert.throws(() => readPattern({ name: 'x' }, 'f.yaml', 0), /f\.yaml: entry 1: id/);
  assert.throws(() => readPattern({ id: 'Bad Id' }, 'f.yaml', 0), /lower-case words/);
  assert.throws(() => readPatterns({}, 'f.yaml'), /list "patterns"/);
  assert.throws(() => readPatterns(null, 'f.yaml'), /list "patterns"/);
});

test('kinds follow categories, and fillers count except for credentials', () => {
  const kindOf = (change: Record<string, unknown>): string =>
    source({ expression: 'key_a', keywords: ['key_'], ...change }).kind;
  assert.equal(kindOf({ category: 'cloud' }), 'credential');
  assert.equal(kindOf({ category: 'pii' }), 'pii');
  assert.equal(kindOf({ category: 'jailbreak', kind: 'injection' }), 'injection');
  assert.equal(source({ category: 'pii', expression: 'key_a', keywords: ['key_'] }).skipPlaceholders, false);
});

test('compiling names what is wrong', () => {
  assert.throws(
    () => pattern({ expression: 'key_a', keywords: ['key_'], validator: 'lun' }),
    /test-key: validator: lun is not known; known are luhn/,
  );
  assert.throws(
    () => pattern({ expression: 'key_abc', keywords: ['key_'], max: 5 }),
    /longest match is 7 bytes, more than 5/,
  );
  const one = source({ expression: 'key_a', keywords: ['key_'] });
  assert.throws(() => compilePatterns([one, one]), /test-key: already defined in test\.yaml/);
});

test('examples are assembled', () => {
  assert.equal(assembleExample('a{{}}b{{aK3*2}}{{**3}}'), 'abaK3aK3***');
});
