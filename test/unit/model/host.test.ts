import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { kindOf, normaliseHost, parseAuthority } from '../../../src/model/host.ts';

const accepted: readonly (readonly [string, string, 'name' | 'ipv4' | 'ipv6'])[] = [
  ['example.org', 'example.org', 'name'],
  ['EXAMPLE.org', 'example.org', 'name'],
  ['example.org.', 'example.org', 'name'],
  ['localhost', 'localhost', 'name'],
  ['_dmarc.example.org', '_dmarc.example.org', 'name'],
  ['my_bucket.example.org', 'my_bucket.example.org', 'name'],
  ['-a.example.org', '-a.example.org', 'name'],
  ['bücher.example', 'xn--bcher-kva.example', 'name'],
  // The same name as UTF-8 octets read as latin1, as node:http gives them.
  [Buffer.from('bücher.example').toString('latin1'), 'xn--bcher-kva.example', 'name'],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example', 'name'],
  ['allowed。example', 'allowed.example', 'name'],
  ['ａllowed.example', 'allowed.example', 'name'],
  ['al\u00adlowed.example', 'allowed.example', 'name'],
  ['example%2eorg', 'example.org', 'name'],
  ['%65xample.org', 'example.org', 'name'],
  ['allowed.com.evil', 'allowed.com.evil', 'name'],
  ['__proto__', '__proto__', 'name'],
  ['constructor', 'constructor', 'name'],
  ['0xname.example', '0xname.example', 'name'],
  ['127.0.0.1', '127.0.0.1', 'ipv4'],
  ['127.0.0.1.', '127.0.0.1', 'ipv4'],
  ['2130706433', '127.0.0.1', 'ipv4'],
  ['0x7f.1', '127.0.0.1', 'ipv4'],
  ['0X7F000001', '127.0.0.1', 'ipv4'],
  ['0177.0.0.1', '127.0.0.1', 'ipv4'],
  ['127.1', '127.0.0.1', 'ipv4'],
  ['0', '0.0.0.0', 'ipv4'],
  ['４.4.4.4', '4.4.4.4', 'ipv4'],
  ['%31.1', '1.0.0.1', 'ipv4'],
  ['[::1]', '::1', 'ipv6'],
  ['::1', '::1', 'ipv6'],
  ['[0:0:0:0:0:0:0:1]', '::1', 'ipv6'],
  ['[2001:DB8::A]', '2001:db8::a', 'ipv6'],
  ['[::ffff:10.0.0.1]', '10.0.0.1', 'ipv4'],
  ['::ffff:a00:1', '10.0.0.1', 'ipv4'],
  ['[::10.0.0.1]', '::a00:1', 'ipv6'],
];

const refused = [
  '',
  '.',
  '..',
  '.a',
  'a..b',
  'a..',
  'allowed.com@evil',
  'a b',
  'a\tb',
  'a\nb',
  'a\r\nHost: evil',
  'a\0b',
  'a/b',
  'a\\b',
  'a?b',
  'a#b',
  'a|b',
  'a<b',
  'a^b',
  'a*b',
  "a'b",
  'a$b',
  'a;b',
  'a%',
  'a%2',
  'a%252eb',
  'a%00b',
  'a%20b',
  'a%2fb',
  'a%40b',
  '256.1.1.1',
  '1.2.3.4.5',
  '1.2.3.08',
  'name.123',
  'name.0x1',
  '4294967296',
  '[::1',
  '::1]',
  '[]',
  '[::]x',
  '[1.2.3.4]',
  '[fe80::1%25eth0]',
  'fe80::1%eth0',
  '[::g]',
  ':::',
  '1::2::3',
  '[v1.a:b]',
  `${'a'.repeat(64)}.example`,
  `${'a.'.repeat(127)}example`,
  'a'.repeat(3000),
  'a\u007fb',
];

test('the table of accepted hosts', () => {
  for (const [raw, host, kind] of accepted) {
    assert.deepEqual(normaliseHost(raw), { host, kind }, JSON.stringify(raw));
    assert.equal(kindOf(host), kind);
  }
});

test('the table of refused hosts', () => {
  for (const raw of refused) assert.ok('error' in normaliseHost(raw), JSON.stringify(raw));
});

test('authorities: ports, brackets, user information', () => {
  const ok = (raw: string, port: number | undefined, host: string, expected: number) => {
    const got = parseAuthority(raw, port);
    assert.ok(!('error' in got), raw);
    assert.deepEqual([got.host, got.port], [host, expected], raw);
  };
  ok('example.org', 80, 'example.org', 80);
  ok('Example.org:8080', 80, 'example.org', 8080);
  ok('example.org:', 80, 'example.org', 80);
  ok('example.org:00443', 80, 'example.org', 443);
  ok('[::1]:8080', 80, '::1', 8080);
  ok('[::1]', 80, '::1', 80);
  ok('127.1:443', undefined, '127.0.0.1', 443);
  for (const raw of [
    'example.org',
    'example.org:0',
    'example.org:65536',
    'example.org:-1',
    'example.org:8a',
    'example.org:123456',
    ':443',
    'user@example.org:443',
    'allowed.com@evil:443',
    'allowed.com:443@evil',
    '::1:443',
    '[::1]443:1',
    '[::1:443',
    'a:1:2',
    'a: 1',
  ]) {
    assert.ok('error' in parseAuthority(raw), raw);
  }
  assert.ok('error' in parseAuthority('::1', 80), 'an unbracketed IPv6 authority is ambiguous');
});

const hostish = fc.oneof(
  fc.domain(),
  fc.ipV4Extended(),
  fc.ipV6(),
  fc.string({ unit: fc.constantFrom(...'aB0x9._-%2e[]:@/\\ \u00fc。ａ1'.split('')), maxLength: 24 }),
  fc.string({ unit: 'binary', maxLength: 12 }),
);

test('property: idempotent, and nothing but normal characters comes out', () => {
  fc.assert(
    fc.property(hostish, (raw) => {
      const once = normaliseHost(raw);
      if ('error' in once) return;
      assert.deepEqual(normaliseHost(once.host), once);
      assert.match(once.host, /^[a-z0-9._:-]{1,253}$/);
      assert.equal(kindOf(once.host), once.kind);
    }),
    { numRuns: 3000 },
  );
});

test('property: what is accepted, the WHATWG URL parser accepts, and as the same host', () => {
  fc.assert(
    fc.property(hostish, (raw) => {
      const ours = normaliseHost(raw);
      if ('error' in ours) return;
      const bracketed = raw.includes(':') && !raw.startsWith('[') ? `[${raw}]` : raw;
      const theirs =
        URL.parse(`http://${bracketed}/`) ?? URL.parse(`http://${Buffer.from(raw, 'latin1').toString('utf8')}/`);
      assert.ok(theirs, `accepted ${JSON.stringify(raw)}, refused by URL`);
      assert.equal(theirs.username, '');
      const host = theirs.hostname.replace(/\.$/, '').replace(/^\[|\]$/g, '');
      if (ours.kind === 'ipv4' && host.includes(':')) assert.match(host, /^::ffff:/);
      else if (![...raw].some((c) => c > '\x7f')) assert.equal(ours.host, host);
    }),
    { numRuns: 3000 },
  );
});

test('property: an authority splits where its host and port were joined', () => {
  fc.assert(
    fc.property(fc.oneof(fc.domain(), fc.ipV4()), fc.integer({ min: 1, max: 65535 }), (host, port) => {
      const normal = normaliseHost(host);
      if ('error' in normal) return;
      assert.deepEqual(parseAuthority(`${host}:${port}`), { ...normal, port });
    }),
  );
});
