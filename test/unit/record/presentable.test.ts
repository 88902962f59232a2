import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ExchangeRecord, WeirRecord } from '../../../src/model/record.ts';
import { loadPatterns } from '../../../src/record/patterns.ts';
import { createPresentation } from '../../../src/record/presentable.ts';
import type { UrlDetail } from '../../../src/record/target.ts';
import { exchangeSample, fullSamples } from './samples.ts';

const patterns = loadPatterns(new URL('../../../patterns/redaction.json', import.meta.url).pathname);
const key = Buffer.alloc(32, 7);
const presenter = (url: UrlDetail = 'keys') => createPresentation({ patterns, key, url }).record;
const shown = (change: Partial<ExchangeRecord>, url: UrlDetail = 'keys') =>
  presenter(url)(exchangeSample(change)) as ExchangeRecord;
const TOKEN = `ghp_${'Zq7'.repeat(12)}`;
const HOSTED = `ghp_${'zq7'.repeat(12)}`;

/** Calls back for every string in a value with a function that replaces it in a deep copy. */
function everyString(value: unknown, path: string, visit: (path: string, replaced: (text: string) => unknown) => void) {
  if (typeof value === 'string') visit(path, (text) => text);
  else if (Array.isArray(value)) {
    value.forEach((item, i) => {
      everyString(item, `${path}[${i}]`, (at, replace) => visit(at, (text) => value.with(i, replace(text))));
    });
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      everyString(item, `${path}.${name}`, (at, replace) => visit(at, (text) => ({ ...value, [name]: replace(text) })));
    }
  }
}

test('a canary in any string field of any record kind never leaves', () => {
  const present = presenter();
  const aws = `AKIA${'Q7ZK'.repeat(4)}`;
  const carriers = [
    TOKEN,
    `prefix ${TOKEN} suffix`,
    `https://user:${TOKEN}@host/x`,
    encodeURIComponent(encodeURIComponent(`/${TOKEN}/`)).replace('ghp', '%67hp'),
    aws,
    `\u202e${aws}\r\n`,
  ];
  let fields = 0;
  for (const record of fullSamples()) {
    everyString(record, record.kind, (path, replaced) => {
      fields++;
      for (const carrier of carriers) {
        const out = JSON.stringify(present(replaced(carrier) as WeirRecord));
        assert.ok(!out.toLowerCase().includes(TOKEN.toLowerCase()), `${path}: ${out}`);
        assert.ok(!out.toLowerCase().includes(aws.toLowerCase()), `${path}: ${out}`);
        assert.ok(!out.includes('\u202e') && !out.includes('\\r'), `${path}: ${out}`);
      }
    });
  }
  assert.ok(fields > 70, `${fields} fields`);
});

test('what is harmless stays as it is', () => {
  for (const record of fullSamples()) assert.deepEqual(presenter()(record), record);
});

test('query values', () => {
  assert.equal(
    shown({ target: '/search?q=my+illness&page=2&lang=en&key=abc&v=1' }).target,
    '/search?q=…&page=2&lang=en&key=…&v=1',
  );
  assert.equal(shown({ target: '/?page=this-is-a-rather-long-value-for-a-page' }).target, '/?page=…');
  assert.equal(shown({ target: '/?justatoken' }).target, '/?…');
  assert.equal(shown({ target: `/?${TOKEN}=1` }).target, '/?…=…');
  assert.equal(shown({ target: '/a?b=#frag' }).target, '/a?b=#…');
  assert.equal(shown({ target: '/a#frag=secret' }).target, '/a#…');
  assert.equal(shown({ target: `/?${'a=&'.repeat(300)}page=2` }).target, `/?${Array(256).fill('a=').join('&')}…`);
  assert.equal(shown({ target: `/?q=${'x'.repeat(5000)}&page=2` }).target, '/?q=……');
  assert.equal(shown({ target: '/s?q=plain&token=hunter2' }, 'full').target, '/s?q=plain&token=…');
  assert.equal(shown({ target: `/s?q=x%20${TOKEN}` }, 'full').target, '/s?q=x [GITHUB PERSONAL ACCESS TOKEN_REDACTED]');
  assert.equal(shown({ target: '/private/path?q=1' }, 'host').target, '/');
});

test('paths', () => {
  assert.equal(shown({ target: `/repos/${TOKEN}/x` }).target, '/repos/[GITHUB PERSONAL ACCESS TOKEN_REDACTED]/x');
  assert.equal(
    shown({ target: `/bot123456789:AA${'h'.repeat(33)}/sendMessage` }).target,
    '/bot[TELEGRAM BOT TOKEN_REDACTED]/sendMessage',
  );
  assert.equal(
    shown({ target: `/services/T00000000/B00000000/${'x'.repeat(24)}` }).target,
    '/services/[SLACK INCOMING WEBHOOK_REDACTED]',
  );
  assert.equal(shown({ target: '/a%2Fb%20c/d' }).target, '/a%2Fb%20c/d');
  assert.equal(shown({ target: 'http://user:pass@host/x' }).target, 'http://host/x');
  assert.ok(shown({ target: `/${'a'.repeat(250_000)}` }).target.length <= 2000);
});

test('host labels keep equality, not the secret', () => {
  const first = shown({ host: `${HOSTED}.evil.com` }).host;
  assert.match(first, /^redacted-[0-9a-f]{6}\.evil\.com$/);
  assert.equal(shown({ host: `${HOSTED}.evil.com` }).host, first);
  assert.equal(shown({ sni: `${HOSTED}.evil.com` }).sni, first);
  assert.notEqual(shown({ host: `${HOSTED.replace('zq7', 'zq8')}.evil.com` }).host, first);
  const other = createPresentation({ patterns, key: Buffer.alloc(32, 8), url: 'keys' }).record;
  assert.notEqual((other(exchangeSample({ host: `${HOSTED}.evil.com` })) as ExchangeRecord).host, first);
  assert.equal(shown({ host: 'user:secret@api.example.com' }).host, 'api.example.com');
  const jwt = `eyj${'h'.repeat(20)}.eyj${'b'.repeat(40)}.${'s'.repeat(43)}.evil.com`;
  assert.doesNotMatch(shown({ host: jwt }).host, /hhhhh|bbbbb|sssss/);
  assert.equal(shown({ host: 'd111111abcdef8.cloudfront.net' }).host, 'd111111abcdef8.cloudfront.net');
  assert.equal(shown({ host: '2001:db8::1' }).host, '2001:db8::1');
});

test('the input record is not changed', () => {
  const record = exchangeSample({ target: `/${TOKEN}`, findings: [] });
  const copy = structuredClone(record);
  presenter()(record);
  assert.deepEqual(record, copy);
});

test('any text comes out bounded, printable, and does not throw', () => {
  const present = presenter();
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const out = present(
        exchangeSample({ target: `/${text}`, host: text, errorDetail: text, userAgent: text }),
      ) as ExchangeRecord;
      for (const value of [out.target, out.host, out.errorDetail as string, out.userAgent as string]) {
        assert.ok(value.length <= 2000);
        assert.doesNotMatch(value, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
      }
    }),
    { numRuns: 300 },
  );
});
