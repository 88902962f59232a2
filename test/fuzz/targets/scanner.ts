import assert from 'node:assert/strict';
import type { Scanned } from '../../../src/model/scan.ts';
import { builtInScanning } from '../../support/judged.ts';
import { ENCODERS } from '../../unit/scan/encoders.ts';
import { librarySources } from '../../unit/scan/library.ts';
import { pick, type Target } from '../fuzz.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. */
export const SECRETS: readonly (readonly [rule: string, secret: string])[] = [
  ['github-pat', ['ghp', 'aR7xK2mQ9vT4wZ8bN3cJ6fH1dL5gY0sEpU2i'].join('_')],
  ['aws-access-key', ['AK', 'IA', 'Q7ZP2MW8XK4TN9VB'].join('')],
];

const scanning = builtInScanning();

/** Messages as agents write them, and every example of the library. */
export function messages(): Buffer[] {
  const examples = librarySources().flatMap(({ examples, counterExamples }) => [...examples, ...counterExamples]);
  const shapes = [
    (text: string) => JSON.stringify({ model: 'm', messages: [{ role: 'user', content: text }], n: 12.5e3, ok: true }),
    (text: string) => `data: ${JSON.stringify({ delta: { text } })}\n\ndata: [DONE]\n\n`,
    (text: string) => `a=1&note=${encodeURIComponent(text)}&b=2`,
    (text: string) => `--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n${text}\r\n--b--\r\n`,
    (text: string) => `<html><body><p hidden>${text}</p><!-- ${text} --></body></html>`,
    (text: string) => `key: ${text}\nlist:\n  - 'a'\n`,
    (text: string) => `{"id": 4111111111111111, "text": "caf\\u00e9 \\"${text.replaceAll('"', "'")}\\""}`,
  ];
  return [
    ...examples.map((text) => Buffer.from(text)),
    ...shapes.map((shape) => Buffer.from(shape(SECRETS[0]?.[1] ?? ''))),
  ];
}

function assertOrderly({ found }: Scanned, bytes: Buffer): void {
  let before = 0;
  for (const { start, end, bytes: length, fingerprint } of found) {
    assert.ok(start >= before && start < end && end <= bytes.length, `${start}-${end} of ${bytes.length}`);
    assert.ok(length > 0 && /^[0-9a-f]{16}$/.test(fingerprint));
    before = start;
  }
}

/** Codings stand around anything; tricks with Unicode are for plain letters. */
function isCoding(trick: string): boolean {
  return /base|hex|0x|percent|\\|JSON|entities/i.test(trick);
}

export const targets: readonly Target[] = [
  {
    name: 'scanner',
    seeds: messages,
    check(input, random) {
      const what = pick(random, ['request', 'response'] as const);
      const copy = Buffer.from(input);
      const scanned = scanning.scan(what, input);
      assertOrderly(scanned, input);
      assert.ok(copy.equals(input), 'the text was changed');
      assert.deepEqual(scanning.scan(what, input), scanned);
    },
  },
  {
    name: 'scanner-encoded',
    seeds: messages,
    check(input, random) {
      const [rule, secret] = pick(random, SECRETS);
      let hidden = `, ${secret} `;
      const tricks: string[] = [];
      for (let depth = 1 + Math.floor(random() * 2); depth > 0; depth--) {
        const trick = pick(random, Object.keys(ENCODERS));
        tricks.push(trick);
        hidden = (ENCODERS[trick] as (text: string) => string)(hidden);
      }
      // Between lines, so that what stands around says nothing else of it.
      const start = Math.min(input.length, 2_000) + 2;
      const text = Buffer.concat([input.subarray(0, 2_000), Buffer.from(`\n\n${hidden}\n\n`), input.subarray(2_000)]);
      const scanned = scanning.scan('request', text);
      assertOrderly(scanned, text);
      if ((tricks.length === 1 || isCoding(tricks.at(-1) ?? '')) && scanned.unscanned === undefined) {
        assert.ok(
          // A block of a key around it is told instead, and covers it.
          scanned.found.some((found) => found.start < start + hidden.length && found.end > start),
          `${rule} as ${tricks} is not found`,
        );
      }
    },
  },
];
