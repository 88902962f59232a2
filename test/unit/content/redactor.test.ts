import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ENCODERS as LAYERS, quotedPrintable } from '../scan/encoders.ts';
import { librarySources } from '../scan/library.ts';
import { AWS, cut, GITHUB, pem, pieces, play, realScan } from './filter-support.ts';

const ENCODERS: Readonly<Record<string, (text: string) => string>> = {
  ...LAYERS,
  'UTF-16': (secret) => `${[...secret].join('\0')}\0`,
  'quoted-printable': (secret) => quotedPrintable(`${'.'.repeat(60)} ${secret}`),
  'quoted-printable in the middle': (secret) => `${'.'.repeat(30)} ${secret.slice(0, 9)}=\r\n${secret.slice(9)}`,
};
const text = { contentType: 'text/plain' };
const json = { contentType: 'application/json' };
const cuts = fc.array(fc.nat(1 << 20), { maxLength: 12 });
const library = librarySources();
const told = new Set(
  library
    .filter(({ kind, severity }) => kind === 'credential' && ['high', 'critical'].includes(severity))
    .map(({ id }) => id),
);

/** No credential of ours is left to be found, plain or encoded. */
function assertGone(output: Buffer, secrets: readonly string[]): void {
  for (const secret of secrets) assert.ok(!output.includes(secret), 'a secret is left');
  const left = realScan()
    .scan('request', output)
    .found.map(({ rule }) => rule);
  assert.deepEqual(
    left.filter((rule) => /^(?:aws-access-key|github-pat|rsa-private-key)$/.test(rule)),
    [],
  );
}

for (const fixed of [false, true]) {
  test(`however a body is cut, every pattern gives the same output${fixed ? ' of the same length' : ''}`, async () => {
    const failures: string[] = [];
    const options = fixed ? { ...text, length: 1 << 21 } : text;
    for (const { id, examples } of library) {
      const body = Buffer.from(`see: ${examples.join(' ;\n')} ;\nend\n`);
      const whole = await play(options, [body]);
      if (told.has(id) && whole.replaced < 1) failures.push(`${id} is left`);
      if (fixed && whole.bytes.length !== body.length) failures.push(`${id} has another length`);
      for (const size of fixed ? [9] : [1, 2, 3, 7, 64]) {
        const cutUp = await play(options, pieces(body, size));
        if (!cutUp.bytes.equals(whole.bytes) || cutUp.replaced !== whole.replaced) failures.push(`${id} by ${size}`);
      }
    }
    assert.deepEqual(failures, []);
  });
}

test('however a body is cut, what is encoded gives the same output', async () => {
  const failures: string[] = [];
  for (const secret of [AWS, GITHUB]) {
    for (const [name, encode] of Object.entries(ENCODERS)) {
      const body = Buffer.from(`some words before: ${encode(`note ${secret} end`)}, and behind; ${encode(secret)}\n`);
      const whole = await play(text, [body]);
      for (const size of [1, 2, 3, 5, 16, 50]) {
        const cutUp = await play(text, pieces(body, size));
        if (!cutUp.bytes.equals(whole.bytes)) failures.push(`${name} by ${size}`);
      }
      if (whole.replaced === 0) failures.push(`${name}: not replaced`);
      assertGone(whole.bytes, [secret, encode(secret)]);
    }
  }
  assert.deepEqual(failures, []);
});

// In JSON a soft line break is an escape that nothing tells of by itself.
const names = Object.keys(LAYERS);
const filler = fc.constantFrom(
  ' ',
  '\n',
  '"',
  ', ',
  '/',
  '-',
  '=',
  '0',
  '12 34 ',
  'x',
  '{"a":',
  'é',
  '@',
  '.',
  'QUJD',
  '%41',
  '\\u0041',
  '\\',
  '&amp;',
  'AKIA',
  'ghp_',
  'password=',
  'YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=',
);
const planted = fc.oneof(
  fc.constantFrom(AWS, GITHUB, pem(5)),
  fc
    .tuple(fc.constantFrom(...names), fc.constantFrom(AWS, GITHUB))
    .map(([name, secret]) => (LAYERS[name] as (value: string) => string)(`key ${secret} end`)),
);
const mixture = fc
  .array(fc.oneof({ arbitrary: filler, weight: 4 }, { arbitrary: planted.map((one) => ` ${one} `), weight: 1 }), {
    maxLength: 14,
  })
  .map((parts) => parts.join(''));

test('any mixture gives the same output, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(mixture, cuts, async (mixed, at) => {
      const body = Buffer.from(mixed);
      const whole = await play(text, [body]);
      const cutUp = await play(text, cut(body, at));
      assert.equal(cutUp.bytes.toString('latin1'), whole.bytes.toString('latin1'));
      assertGone(cutUp.bytes, [AWS, GITHUB]);
    }),
    { numRuns: 300 },
  );
});

const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(
      fc.string(),
      mixture,
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom(4111111111111111, 378282246310005),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.string(), mixture), tie('value'), { maxKeys: 4 }),
  ),
})).value;

test('JSON stays JSON, and nothing planted is left', async () => {
  await fc.assert(
    fc.asyncProperty(value, fc.constantFrom(undefined, 1, 2), cuts, async (content, indent, at) => {
      const body = Buffer.from(JSON.stringify(content, undefined, indent));
      for (const options of [json, { ...json, length: 1 << 21 }]) {
        const { bytes } = await play(options, cut(body, at));
        assert.doesNotThrow(() => JSON.parse(bytes.toString()), bytes.toString());
        if (options === json) assertGone(bytes, [AWS, GITHUB]);
        else assert.equal(bytes.length, body.length);
      }
    }),
    { numRuns: 300 },
  );
});

test('clean text passes as the bytes it came in', async () => {
  const word = fc.constantFrom(
    'hello',
    'wor',
    'ld ',
    'the key to',
    ' success ',
    'pass',
    'word',
    '\n\n',
    'data: ',
    '{"x":1}',
    'é',
    'YWJj',
    '%20',
    '&lt;',
    '12',
    '-----',
    'BEGIN',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 40 }), cuts, async (words, at) => {
      const body = Buffer.from(words.join(''));
      const { bytes, replaced } = await play(text, cut(body, at));
      assert.deepEqual(bytes, body);
      assert.equal(replaced, 0);
    }),
    { numRuns: 300 },
  );
});

test('any bytes pass as they came', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), cuts, async (some, at) => {
      const body = Buffer.from(some);
      assert.deepEqual((await play({ contentType: 'application/octet-stream' }, cut(body, at))).bytes, body);
    }),
    { numRuns: 100 },
  );
});
