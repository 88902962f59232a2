import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePattern } from '../../../src/scan/compile.ts';
import { createEngine, type Engine } from '../../../src/scan/engine.ts';
import { scanLayers } from '../../../src/scan/layers.ts';
import type { PatternEntry } from '../../../src/scan/pattern.ts';
import type { ScanResult } from '../../../src/scan/scanner.ts';
import { wasmOf } from '../../../src/scan/wasm-memory.ts';
import { librarySources, source } from './library.ts';

/** The plain engine is the oracle of the WebAssembly one: the same matches, the same limits at the same place, the same `settled`. */
const sources = librarySources();
const compiled = sources.map(compilePattern);
const examplesOf = (one: PatternEntry): readonly string[] => [...one.examples, ...one.counterExamples];
const everything = sources.flatMap(examplesOf);

interface Pair {
  readonly fast: Engine;
  readonly plain: Engine;
}

function pairOf(patterns: typeof compiled, options: { readonly candidates?: number } = {}): Pair {
  return { fast: createEngine(patterns, options), plain: createEngine(patterns, { ...options, plain: true }) };
}

function told({ matches, cause, units }: ScanResult): unknown {
  const all = matches.map(({ pattern, start, end, verified, encodings, bytes }) => {
    return [pattern.id, start, end, verified, encodings.join(), bytes];
  });
  return [all, cause, units];
}

/** Examples, whole and mutated, between bytes that make up other traffic. */
function texts(samples: readonly string[]): fc.Arbitrary<Uint8Array> {
  const sample = fc.constantFrom(...samples).map((text) => new TextEncoder().encode(text));
  const part = fc.tuple(sample, fc.nat(60), fc.nat(60)).map(([one, from, length]) => one.slice(from, from + length));
  const changed = fc.tuple(sample, fc.nat(), fc.nat(255)).map(([one, at, byte]) => {
    const copy = one.slice();
    if (copy.length > 0) copy[at % copy.length] = byte;
    return copy;
  });
  const cased = sample.map((one) => one.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte)));
  const filler = fc
    .constantFrom(' ', '\\n', '"', '\\u003d', '%3D', '/', '=', '12', '4111', 'A', '{"a":', 'é', '别', '@', '.', '\0')
    .map((text) => new TextEncoder().encode(text));
  const noise = fc.uint8Array({ maxLength: 40 });
  return fc
    .array(fc.oneof({ arbitrary: sample, weight: 2 }, part, changed, cased, { arbitrary: filler, weight: 2 }, noise), {
      maxLength: 14,
    })
    .map((parts) => Buffer.concat(parts));
}

function sameInPieces({ fast, plain }: Pair, bytes: Uint8Array, cuts: readonly number[]): void {
  const [one, other] = [fast.scanner(), plain.scanner()];
  let from = 0;
  for (const cut of [...cuts.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    for (const scanner of [one, other]) {
      const chunk = Uint8Array.from(bytes.subarray(from, cut));
      scanner.push(chunk);
      chunk.fill(0x41);
    }
    from = cut;
    assert.equal(one.settled, other.settled, `settled at ${cut}`);
    assert.deepEqual(told(one.result()), told(other.result()));
  }
  assert.deepEqual(told(one.end()), told(other.end()));
}

test('the module runs here: what follows compares two engines', () => {
  assert.notEqual(wasmOf(), undefined);
});

const whole = pairOf(compiled);

test('every example and counter-example, alone and with all patterns', () => {
  for (const [i, entry] of sources.entries()) {
    const alone = pairOf([compiled[i] as (typeof compiled)[number]]);
    for (const text of examplesOf(entry)) {
      const bytes = new TextEncoder().encode(text);
      for (const { fast, plain } of [alone, whole]) assert.deepEqual(told(fast.scan(bytes)), told(plain.scan(bytes)));
      sameInPieces(alone, bytes, [1, 3, bytes.length >> 1]);
    }
  }
});

for (const [i, entry] of sources.entries()) {
  test(`any cut gives what the plain engine gives: ${entry.id}`, () => {
    const pair = pairOf([compiled[i] as (typeof compiled)[number]]);
    fc.assert(
      fc.property(texts(examplesOf(entry)), fc.array(fc.nat(), { maxLength: 8 }), (bytes, cuts) => {
        sameInPieces(pair, bytes, cuts);
      }),
      { numRuns: 25 },
    );
  });
}

const own = [
  source({ id: 'behind', trigger: 'digits', expression: '(?<=[0-9]{2,5}-)[a-z]{8,12}(?![a-z])' }),
  source({ id: 'after', trigger: 'digits', expression: '[a-z]{0,9}[0-9]{3}[a-z]{2,4}(?![a-z])' }),
  source({
    id: 'word',
    expression: '(?<![a-z])long-keyword-of-Its-own[a-z0-9]{4}',
    keywords: ['long-keyword-of-Its-own'],
  }),
  source({
    id: 'case',
    case: 'ignore',
    expression: '@x_[\\[a]y-long=[a-z]{3}',
    keywords: ['@x_[y-long=', '@x_ay-long='],
  }),
  source({ id: 'hook', expression: '(?<=/hook/[0-9]{3,9}/)[a-z0-9]{8,40}', keywords: ['/hook/'] }),
  source({ id: 'mail', trigger: 'at', expression: '(?<![a-z.])[a-z.]{1,20}@[a-z]{1,9}\\.[a-z]{2,5}' }),
];

test('patterns of other forms: digits and keywords in look-behinds, exact and folded keywords side by side', () => {
  const pair = pairOf(own.map(compilePattern));
  const samples = [
    ...['12-abcdefgh', '123456-abcdefgh', 'ab123cd', '1-abcdefghi', 'abcdefghi999zz', '99-', '00-aaaaaaaaaaaaa'],
    ...[
      'long-keyword-of-Its-owna1b2',
      'LONG-keyword-of-its-own1234',
      '@X_[Y-LONG=abc',
      '@x_{y-long=abc',
      '`x_ay-long=abc',
    ],
    ...['/hook/1234/abcd1234', '/hook/1/abcdefgh', 'me.too@example.org', '@@a.bc'],
  ];
  fc.assert(
    fc.property(texts(samples), fc.array(fc.nat(), { maxLength: 8 }), (bytes, cuts) => sameInPieces(pair, bytes, cuts)),
    { numRuns: 1500 },
  );
  assert.ok(pair.fast.scan(new TextEncoder().encode(samples.join(' '))).matches.length >= 5);
});

test('all patterns at once: random and mutated texts, whole, decoded and in pieces', () => {
  fc.assert(
    fc.property(texts(everything), fc.array(fc.nat(), { maxLength: 10 }), (bytes, cuts) => {
      assert.deepEqual(told(whole.fast.scan(bytes)), told(whole.plain.scan(bytes)));
      assert.deepEqual(told(scanLayers(whole.fast, bytes)), told(scanLayers(whole.plain, bytes)));
      sameInPieces(whole, bytes, cuts);
    }),
    { numRuns: 400 },
  );
});

test('the limit of steps is hit at the same place', () => {
  const pair = pairOf(compiled, { candidates: 0.5 });
  fc.assert(
    fc.property(texts(everything), fc.array(fc.nat(), { maxLength: 6 }), (bytes, cuts) => {
      assert.deepEqual(told(pair.fast.scan(bytes)), told(pair.plain.scan(bytes)));
      sameInPieces(pair, bytes, cuts);
    }),
    { numRuns: 200 },
  );
});

test('blocks of 64 KiB, and more keywords in one than the list of hits holds', () => {
  const long = Buffer.from(everything.join('\n'));
  assert.ok(long.length > 100_000);
  const full = ['password', '12 ', 'ghp_', 'eyJ.', '4111 '].map((one) => Buffer.alloc(200_000, one));
  for (const bytes of [long, ...full]) {
    assert.deepEqual(told(whole.fast.scan(bytes)), told(whole.plain.scan(bytes)));
    sameInPieces(whole, bytes, [7, 65_536, 100_000]);
  }
});
