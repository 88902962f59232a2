import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fullReserve } from '../../../src/model/scan.ts';
import { compilePattern } from '../../../src/scan/compile.ts';
import { createEngine } from '../../../src/scan/engine.ts';
import { scanLayers } from '../../../src/scan/layers.ts';
import { isPlaceholder } from '../../../src/scan/placeholder.ts';
import { bytes, librarySources, pattern } from './library.ts';

const library = createEngine(librarySources().map(compilePattern));

function found(engine: ReturnType<typeof createEngine>, text: string): string[] {
  return engine
    .scan(bytes(text))
    .matches.map((match) => `${match.pattern.id}=${Buffer.from(bytes(text)).toString('utf8', match.start, match.end)}`);
}

test('the secret is the group, its place is in bytes', () => {
  const engine = createEngine([
    pattern({
      case: 'ignore',
      expression: 'secret["\']?\\s{0,3}[:=]\\s{0,3}["\'](?<secret>[^"\']{6,60})["\']',
      keywords: ['secret'],
    }),
  ]);
  const text = 'é "Secret": "tr0ub4dor&3"';
  const [match] = engine.scan(bytes(text)).matches;
  assert.deepEqual([match?.start, match?.end], [14, 25]);
  assert.deepEqual(found(engine, text), ['test-key=tr0ub4dor&3']);
});

test('validator refuses, confirm only marks', () => {
  const card = { kind: 'financial', trigger: 'digits', expression: '(?<![0-9])[0-9]{4}(?:[ -]?[0-9]{4}){3}(?![0-9])' };
  const number = `4${'1'.repeat(15)}`;
  const strict = createEngine([pattern({ ...card, validator: 'card' })]);
  assert.equal(strict.scan(bytes(number)).matches[0]?.verified, true);
  assert.deepEqual(strict.scan(bytes(number.replace(/1$/, '2'))).matches, []);
  const marked = createEngine([pattern({ ...card, confirm: 'card' })]);
  assert.equal(marked.scan(bytes(number)).matches[0]?.verified, true);
  assert.equal(marked.scan(bytes(number.replace(/1$/, '2'))).matches[0]?.verified, false);
});

test('a number is no part of a longer one, and e-mail addresses are found by their @', () => {
  const engine = createEngine([
    pattern({
      id: 'ssn',
      kind: 'pii',
      trigger: 'digits',
      validator: 'us-ssn',
      expression: '\\b[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}\\b',
    }),
    pattern({
      id: 'mail',
      kind: 'pii',
      trigger: 'at',
      expression: '(?<![\\w.+-])[\\w.+-]{1,64}@[\\w-]{1,63}(?:\\.[\\w-]{1,63}){1,4}\\b',
    }),
  ]);
  assert.deepEqual(found(engine, 'at 1763600012345, 456-78-9012; 4567890121 a.b+c@mail.example.org.'), [
    'ssn=456-78-9012',
    'mail=a.b+c@mail.example.org',
  ]);
  assert.deepEqual(found(engine, '456789012'), ['ssn=456789012']);
  assert.deepEqual(found(engine, '@ a@ @b.c'), []);
});

test('entropy and fillers', () => {
  const engine = createEngine([
    pattern({ entropy: 3, expression: 'token=(?<secret>[A-Za-z0-9<>_${}*]{8,60})', keywords: ['token='] }),
  ]);
  assert.deepEqual(found(engine, 'token=aaabbbaaabbb token=<YOUR_TOKEN> token=${TOKEN_OF_BUILD} token=k3J9xQ2mZ7pL'), [
    'test-key=k3J9xQ2mZ7pL',
  ]);
});

test('only obvious fillers are placeholders', () => {
  for (const filler of [
    '<YOUR_KEY>',
    'sk-<your key>',
    'xxxxxxxxxxxx',
    'sk-xxxx-xxxx',
    '${VAR}',
    '$API_KEY',
    '{{ secrets.KEY }}',
    '****',
    '%TOKEN%',
    'your_api_key_here',
    'YOUR-TOKEN',
    'YourApiKeyHere',
    'changeme',
    'sk-abc123...',
    'REDACTED',
    '[API KEY]',
    '•••••••',
  ]) {
    assert.ok(isPlaceholder(Buffer.from(filler).toString('latin1'), ['sk-']), filler);
  }
  for (const secret of [
    'AK' + 'IAIOSFODNN7EXAMPLE',
    'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    'hunter2hunter2',
    'correct-horse-battery',
    'Summer2024!',
    'sk-test1234567890abcdef',
    '1234567890',
    'abcabcabc',
  ]) {
    assert.ok(!isPlaceholder(secret, ['sk-', 'AK' + 'IA']), secret);
  }
});

test('overlapping matches are one, named after the more severe, and injections stand apart', () => {
  const engine = createEngine([
    pattern({
      id: 'loose',
      severity: 'medium',
      category: 'generic',
      expression: 'token=[a-z0-9-]{8,40}',
      keywords: ['token='],
    }),
    pattern({ id: 'exact', severity: 'critical', expression: 'acme-[a-z0-9]{8}', keywords: ['acme-'] }),
    pattern({
      id: 'phrase',
      kind: 'injection',
      case: 'ignore',
      expression: 'send the token=[a-z0-9-]{1,40}',
      keywords: ['send the'],
    }),
  ]);
  assert.deepEqual(found(engine, 'SEND the token=acme-abcd1234-tail'), [
    'phrase=SEND the token=acme-abcd1234-tail',
    'exact=token=acme-abcd1234-tail',
  ]);
  assert.deepEqual(found(engine, 'acme-abcd1234 acme-abcd1234'), ['exact=acme-abcd1234', 'exact=acme-abcd1234']);
});

test('exact keywords stay exact beside ones without case', () => {
  const engine = createEngine([
    pattern({ id: 'exact', expression: '(?<=Key_)[a-z]{4}', keywords: ['Key_'] }),
    pattern({ id: 'any', case: 'ignore', expression: 'ignore all', keywords: ['ignore all'] }),
  ]);
  assert.deepEqual(found(engine, 'Key_abcd KEY_abcd key_abcd IGNORE All'), ['exact=abcd', 'any=IGNORE All']);
});

test('a boundary sees through escapes of raw JSON and URLs', () => {
  const engine = createEngine([pattern({ expression: '(?<![A-Za-z0-9])key_[a-z]{4}(?![a-z])', keywords: ['key_'] })]);
  for (const before of ['', ' ', '\\n', '\\t', '\\u003d', '\\x3D', '%3D', '%0a', '='])
    assert.equal(found(engine, `x${before}`.slice(before ? 0 : 1).concat('key_abcd')).length, 1, before);
  for (const before of ['n', 'D', '3D', 'u003d', 'monkey', '%3G', '\\q', 'é3d'])
    assert.equal(found(engine, `${before}key_abcd`).length, 0, before);
});

test('a boundary shared by all branches sees through escapes, others stay as written', () => {
  const same = createEngine([
    pattern({ expression: '(?<![a-z])key_[a-z]{4}|(?<![a-z])tok_[a-z]{4}', keywords: ['key_', 'tok_'] }),
  ]);
  assert.equal(found(same, 'x\\nkey_abcd\\ntok_abcd').length, 2);
  assert.equal(found(same, 'nkey_abcd ntok_abcd').length, 0);
  const mixed = createEngine([
    pattern({ expression: '(?<![a-z])key_[a-z]{4}|(?<![0-9a-z])tok_[a-z]{4}', keywords: ['key_', 'tok_'] }),
  ]);
  assert.equal(found(mixed, '1key_abcd').length, 1);
  assert.equal(found(mixed, '1tok_abcd').length, 0);
});

test('every pattern can be compiled without regard to case, for host names', () => {
  for (const one of librarySources()) {
    const engine = createEngine([compilePattern({ ...one, ignoreCase: true, skipPlaceholders: false })]);
    if (one.validator !== undefined || one.entropy > 0) continue;
    for (const example of one.examples)
      assert.ok(engine.scan(bytes(example.toLowerCase())).matches.length > 0, `${one.id}: ${example}`);
  }
});

test('a budget that runs out leaves the rest unscanned', () => {
  const engine = createEngine([pattern({ expression: 'key_[a-z]{8}', keywords: ['key_'] })]);
  const text = bytes(`key_abcdefgh${' '.repeat(200_000)}key_abcdefgh`);
  let left = 100_000;
  const budget = {
    take: (units: number): boolean => {
      left -= units;
      return left > 0;
    },
  };
  const part = engine.scan(text, budget);
  assert.deepEqual([part.matches.length, part.unscanned], [1, true]);
  assert.ok(part.units < 150_000, `${part.units} units`);
  assert.deepEqual([engine.scan(text).matches.length, engine.scan(text).unscanned], [2, false]);
  const scanner = engine.scanner({ take: () => false });
  scanner.push(text);
  scanner.push(text);
  assert.equal(scanner.end().unscanned, true);
  assert.equal(scanner.settled, text.length);
});

const MEGABYTE = 1 << 20;
const long = (part: string): Uint8Array => bytes(part.repeat(Math.ceil(MEGABYTE / part.length)));
const HOSTILE: readonly (readonly [string, Uint8Array])[] = [
  ['AKIA', long('AK' + 'IA')],
  ['AKIA with a boundary', long('AK' + 'IA ')],
  ['eyJ', long('eyJ')],
  ['eyJ runs', long(`.eyJ${'a'.repeat(300)}`)],
  ['token heads', long('eyJhbGciOiJIUzI1NiJ9.eyJh ')],
  ['sk-ant-', long('sk-ant-')],
  ['key blocks', long('-----BEGIN PRIVATE KEY-----')],
  ['key block without end', bytes(`-----BEGIN PRIVATE KEY-----${'A'.repeat(MEGABYTE)}`)],
  ['dashes', long('-')],
  ['base64', bytes(randomBytes(786_432).toString('base64'))],
  ['random', randomBytes(MEGABYTE)],
  ['zeros', new Uint8Array(MEGABYTE)],
  ['digits', long('7')],
  ['numbers', long('123-45-6789 4111 1111 ')],
  ['at signs', long('@')],
  ['addresses without end', long('a@b')],
  ['password=', long('password=')],
  ['api_key="abcdefgh",', long('api_key="abcdefgh",')],
  ['brackets', long('[')],
  [
    'every keyword',
    long(
      librarySources()
        .flatMap((one) => one.keywords)
        .join(''),
    ),
  ],
];

for (const [name, text] of HOSTILE) {
  test(`hostile input ends in bounded steps: ${name}`, () => {
    const { units, unscanned } = library.scan(text);
    // One unit a byte for reading, three for expressions and a million beside, for each of three kinds of trigger.
    const most = text.length * (1 + 3 * 3) + 3_500_000;
    assert.ok(units <= most, `${units} units, unscanned ${unscanned}`);
    const scanner = library.scanner();
    for (let at = 0; at < text.length; at += 1400) scanner.push(text.subarray(at, at + 1400));
    const pieces = scanner.end();
    assert.ok(pieces.units <= most * 2, `in pieces ${pieces.units} units`);
    assert.equal(pieces.unscanned, unscanned);
  });
}

test('more steps than allowed: said, not hidden', () => {
  const engine = createEngine([pattern({ expression: 'key_[a-z]{8}', keywords: ['key_'] })], { candidates: 10 });
  const result = engine.scan(long('key_abcdefgh,'));
  assert.ok(result.matches.length > 0 && result.matches.length < 1000);
  assert.deepEqual([result.unscanned, result.cause], [true, 'candidates']);
});

test('what one text of a body costs too much is missing for the next, and layers share it', () => {
  const engine = createEngine([pattern({ expression: 'key_[a-z]{8}', keywords: ['key_'] })], { candidates: 40 });
  const text = bytes('key_abcdefgh,'.repeat(10));
  const reserve = fullReserve();
  const counts = Array.from({ length: 5 }, () => engine.scan(text, undefined, reserve).matches.length);
  assert.equal(counts[0], 10);
  assert.ok((counts.at(-1) ?? 10) < 10, `${counts.join()} found`);
  assert.equal(engine.scan(text).unscanned, false, 'by itself it is cheap enough');
  const other = fullReserve();
  const encoded = bytes(Buffer.from(text).toString('base64'));
  const layered = Array.from({ length: 5 }, () => scanLayers(engine, encoded, { reserve: other }).cause);
  assert.deepEqual([layered[0], layered.at(-1)], [undefined, 'candidates']);
});

test('numbers and tokens of ordinary traffic do not reach the limit', () => {
  const engine = createEngine([
    pattern({
      id: 'card',
      kind: 'financial',
      trigger: 'digits',
      validator: 'card',
      expression: '(?<![0-9])[0-9]{4}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}(?![0-9])',
    }),
    pattern({
      id: 'bsn',
      kind: 'pii',
      trigger: 'digits',
      validator: 'nl-bsn',
      expression: '(?<![0-9])[0-9]{9}(?![0-9])',
    }),
    pattern({
      id: 'mail',
      kind: 'pii',
      trigger: 'at',
      expression: '(?<![\\w.+-])[\\w.+-]{1,64}@[\\w-]{1,63}(?:\\.[\\w-]{1,63}){1,4}',
    }),
  ]);
  const rows = Array.from(
    { length: 12_000 },
    (_, i) =>
      `{"name":"an ordinary row of a table","seen":"2026-05-06T07:08:09Z","id":${176360000000 + i * 7919},"n":${123456789 + i},"p":0.${'73'.repeat(8)}${i % 3 === 0 ? `,"m":"user${i}@mail.example.org"` : ''}}`,
  );
  const { unscanned, matches } = engine.scan(bytes(rows.join()));
  assert.equal(unscanned, false);
  assert.ok(matches.length >= 4000);
});
