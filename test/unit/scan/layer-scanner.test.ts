import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createEngine } from '../../../src/scan/engine.ts';
import { LayerScanner } from '../../../src/scan/layer-scanner.ts';
import { bytes, pattern } from './library.ts';

const SECRET = `ac${'me'}-k3J9xQ2mZ7pLr5Tn8Vb1`;
const engine = createEngine([
  pattern({ id: 'acme', expression: '(?<![a-z])acme-[A-Za-z0-9]{20}(?![A-Za-z0-9])', keywords: ['acme-'] }),
]);
const encoded = Buffer.from(`{"key":"${SECRET}"}`).toString('base64');

function scan(text: Uint8Array, cuts: readonly number[]): unknown {
  const scanner = new LayerScanner(engine);
  let from = 0;
  for (const cut of [...cuts.map((one) => one % (text.length + 1)).sort((a, b) => a - b), text.length]) {
    const chunk = Uint8Array.from(text.subarray(from, cut));
    scanner.push(chunk);
    chunk.fill(0x20);
    from = cut;
  }
  const { matches, unscanned } = scanner.end();
  return { matches: matches.map((match) => [match.start, match.end, match.encodings.join()]), unscanned };
}

test('encoded secrets are found wherever blocks end, and any cut gives the same', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(200_000), fc.integer({ min: 73_600, max: 73_800 })), { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 6 }),
      (places, cuts) => {
        const text = new Uint8Array(200_200).fill(0x20);
        const apart = places
          .toSorted((a, b) => a - b)
          .filter((place, i, all) => i === 0 || place - (all[i - 1] as number) > 100);
        for (const place of apart) text.set(bytes(encoded), place);
        const whole = scan(text, []) as { matches: [number, number, string][] };
        assert.equal(whole.matches.length, apart.length);
        whole.matches.forEach(([start, end, encodings], i) => {
          assert.ok(start >= (apart[i] as number) && end <= (apart[i] as number) + encoded.length);
          assert.equal(encodings, 'base64');
        });
        assert.deepEqual(scan(text, cuts), whole);
      },
    ),
    { numRuns: 60 },
  );
});

test('plain and encoded in one stream, and nothing twice', () => {
  const text = bytes(`${SECRET} ${'.'.repeat(70_000)} ${encoded} ${SECRET}`);
  const { matches } = scan(text, [10, 66_000]) as { matches: [number, number, string][] };
  assert.deepEqual(
    matches.map((match) => match[2]),
    ['', 'base64', ''],
  );
});

test('limits are said and end the work', () => {
  const scanner = new LayerScanner(engine, { budget: { take: () => false } });
  scanner.push(bytes(encoded.repeat(3000)));
  scanner.push(bytes(encoded));
  const { unscanned, matches } = scanner.end();
  assert.deepEqual([unscanned, matches.length], [true, 0]);
});
