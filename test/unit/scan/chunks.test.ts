import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePattern } from '../../../src/scan/compile.ts';
import { createEngine, type Engine } from '../../../src/scan/engine.ts';
import type { PatternEntry } from '../../../src/scan/pattern.ts';
import type { Match } from '../../../src/scan/resolve.ts';
import { librarySources, source } from './library.ts';

const own: PatternEntry[] = [
  source({ id: 'mid', expression: '(?<![0-9])[0-9]{8,11}:AA[a-z]{5,30}(?![a-z])', keywords: [':AA'] }),
  source({ id: 'behind', expression: '(?<=/hook/[0-9]{3,9}/)[a-z0-9]{8,40}', keywords: ['/hook/'] }),
  source({
    id: 'grouped',
    case: 'ignore',
    entropy: 2,
    expression: 'pass(?:word|wd)["\']?\\s{0,3}[:=]\\s{0,3}["\'](?<secret>[^"\'\\n]{6,60})["\']',
    keywords: ['password', 'passwd'],
  }),
  source({
    id: 'block',
    expression: '-----BEGIN KEY-----[^-]{0,3000}(?:-----END KEY-----)?',
    keywords: ['-----BEGIN'],
  }),
  source({ id: 'lazy', expression: 'from[\\s\\S]{0,80}?until', keywords: ['from'] }),
  source({
    id: 'ssn',
    kind: 'pii',
    trigger: 'digits',
    validator: 'us-ssn',
    expression: '(?<![0-9-])[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}(?![0-9-])',
  }),
  source({
    id: 'iban',
    kind: 'financial',
    trigger: 'digits',
    validator: 'iban',
    expression: '\\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\\b',
  }),
  source({
    id: 'mail',
    kind: 'pii',
    trigger: 'at',
    expression: '(?<![A-Za-z0-9._-])[A-Za-z0-9._-]{1,40}@[a-z0-9-]{1,30}\\.[a-z]{2,10}\\b',
  }),
];
const texts = new Map([
  ['mid', ['123456789:AAabcdefgh', '1:AAa']],
  ['behind', ['/hook/12345/abcd1234efgh']],
  ['grouped', ['"PASSWORD": "s3cr3t-x9"', "passwd='<password>'"]],
  ['block', ['-----BEGIN KEY-----MIIabc\nd\n-----END KEY-----', '-----BEGIN KEY-----']],
  ['lazy', ['from here until there until', 'from from until']],
  ['ssn', ['456-78-9012', '456789012', '4567890123', '000-12-1234']],
  ['iban', ['DE89 3704 0044 0532 0130 00', 'GB82WEST12345698765432', 'DE00370400440532013000']],
  ['mail', ['me.too@example.org', '@@', 'x@y.zz@a.bc']],
]);
const examples = (one: PatternEntry): readonly string[] =>
  texts.get(one.id) ?? [...one.examples, ...one.counterExamples];
const all = [...own, ...librarySources()];

function told(matches: readonly Match[]): string[] {
  return matches.map((match) => `${match.pattern.id} ${match.start}-${match.end} ${match.verified}`);
}

/** Whole examples, parts of them, and what stands between. */
function textOf(samples: readonly string[]): fc.Arbitrary<string> {
  const sample = fc.constantFrom(...samples);
  const part = fc.tuple(sample, fc.nat(60), fc.nat(60)).map(([one, from, length]) => one.slice(from, from + length));
  const filler = fc.constantFrom(' ', '\n', '"', ',', '/', '-', '=', '0', '12', 'x', '{"a":', 'é', '@', '.');
  return fc
    .array(fc.oneof({ arbitrary: sample, weight: 2 }, part, filler), { maxLength: 12 })
    .map((parts) => parts.join(''));
}

function inPieces(engine: Engine, bytes: Uint8Array, cuts: readonly number[]): string[] {
  const scanner = engine.scanner();
  let from = 0;
  for (const cut of [...cuts.map((one) => one % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    // A copy that is overwritten afterwards: the scanner may not keep a view of it.
    const chunk = Uint8Array.from(bytes.subarray(from, cut));
    scanner.push(chunk);
    chunk.fill(0x41);
    from = cut;
  }
  return told(scanner.end().matches);
}

for (const one of all) {
  test(`any cut gives the same matches: ${one.id}`, () => {
    const engine = createEngine([compilePattern(one)]);
    fc.assert(
      fc.property(textOf(examples(one)), fc.array(fc.nat(), { maxLength: 8 }), (text, cuts) => {
        const bytes = new TextEncoder().encode(text);
        assert.deepEqual(inPieces(engine, bytes, cuts), told(engine.scan(bytes).matches));
      }),
      { numRuns: 60 },
    );
  });
}

test('all patterns at once, byte by byte', () => {
  const engine = createEngine(all.map(compilePattern));
  fc.assert(
    fc.property(textOf(all.flatMap(examples)), (text) => {
      const bytes = new TextEncoder().encode(text);
      const cuts = Array.from({ length: bytes.length }, (_, i) => i);
      assert.deepEqual(inPieces(engine, bytes, cuts), told(engine.scan(bytes).matches));
    }),
    { numRuns: 150 },
  );
});

test('the limit of steps is at the same place, however the stream is cut', () => {
  const engine = createEngine(own.map(compilePattern), { candidates: 0.2 });
  fc.assert(
    fc.property(textOf(own.flatMap(examples)), fc.array(fc.nat(), { maxLength: 8 }), (text, cuts) => {
      const bytes = new TextEncoder().encode(text);
      assert.deepEqual(inPieces(engine, bytes, cuts), told(engine.scan(bytes).matches));
    }),
    { numRuns: 300 },
  );
});

test('what starts before `settled` is known and stays', () => {
  const engine = createEngine(all.map(compilePattern));
  fc.assert(
    fc.property(textOf(all.flatMap(examples)), fc.array(fc.nat(), { maxLength: 6 }), (text, cuts) => {
      const bytes = new TextEncoder().encode(text);
      // Injections are merged among themselves: a longer one may still take in what stood before it.
      const data = (matches: readonly Match[]): string[] =>
        told(matches.filter((match) => match.pattern.kind !== 'injection'));
      const final = data(engine.scan(bytes).matches);
      const scanner = engine.scanner();
      let from = 0;
      for (const cut of cuts.map((one) => one % (bytes.length + 1)).sort((a, b) => a - b)) {
        scanner.push(bytes.subarray(from, cut));
        from = cut;
        const { settled } = scanner;
        assert.ok(settled <= cut);
        const known = data(scanner.result().matches.filter((match) => match.end <= settled));
        const later = final.filter((match) => Number(/ (\d+)-/.exec(match)?.[1]) < settled);
        for (const match of known) assert.ok(final.includes(match), `${match} was taken back`);
        for (const match of later) {
          const end = Number(/-(\d+) (?:true|false)$/.exec(match)?.[1]);
          if (end <= settled) assert.ok(known.includes(match), `${match} came late, settled ${settled}`);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('nothing is held back where nothing is open', () => {
  const scanner = createEngine(all.map(compilePattern)).scanner();
  scanner.push(new TextEncoder().encode('data: {"delta":"hello world"}\n\n'));
  assert.equal(scanner.settled, 31);
});

test('what stood before a long open candidate is still known when it closes', () => {
  const engine = createEngine([
    compilePattern(source({ expression: '(?<!xy)key=[A-Z]{4,4000};', keywords: ['key='] })),
  ]);
  for (const [before, count] of [
    ['xy', 0],
    ['yy', 1],
  ] as const) {
    const text = `${'-'.repeat(900)}${before}key=${'A'.repeat(3900)};`;
    const cuts = Array.from({ length: 60 }, (_, i) => i * 83);
    assert.equal(inPieces(engine, new TextEncoder().encode(text), cuts).length, count);
  }
});
