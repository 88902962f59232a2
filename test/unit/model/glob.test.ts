import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isPublicSuffix, registrableDomain } from '../../../src/model/domain.ts';
import { compileHosts, globText, matchHost } from '../../../src/model/glob.ts';

test('host patterns: exact, wildcard without the apex, globs inside labels', () => {
  const yes: [string, string][] = [
    ['example.org', 'example.org'],
    ['EXAMPLE.org.', 'example.org'],
    ['*.example.org', 'a.example.org'],
    ['*.example.org', 'a.b.example.org'],
    ['api-*.example.org', 'api-eu.example.org'],
    ['*.api-*.example.org', 'x.y.api-eu.example.org'],
    ['s3.*.amazonaws.com', 's3.eu-west-1.amazonaws.com'],
    ['*', 'anything.example'],
    ['[::1]', '::1'],
    ['127.1', '127.0.0.1'],
    ['bücher.example', 'xn--bcher-kva.example'],
  ];
  const no: [string, string][] = [
    ['example.org', 'a.example.org'],
    ['*.example.org', 'example.org'],
    ['*.example.org', 'evilexample.org'],
    ['*.example.org', 'example.org.evil'],
    ['api-*.example.org', 'api-a.b.example.org'],
    ['s3.*.amazonaws.com', 's3.amazonaws.com'],
    ['example.org', 'example.org.evil'],
  ];
  for (const [pattern, host] of yes) {
    assert.ok(matchHost(pattern, host), `${pattern} ~ ${host}`);
    assert.ok(compileHosts([pattern]).has(host), `set ${pattern} ~ ${host}`);
  }
  for (const [pattern, host] of no) {
    assert.ok(!matchHost(pattern, host), `${pattern} !~ ${host}`);
    assert.ok(!compileHosts([pattern]).has(host), `set ${pattern} !~ ${host}`);
  }
});

test('patterns over names nobody owns are refused', () => {
  for (const pattern of [
    '*.com',
    '*.co.uk',
    '*.*',
    '*.*.com',
    'api-*.com',
    'a.*',
    '*x',
    '',
    '*.',
    '*.1.2.3.4',
    'a b',
    '*.a..b',
  ]) {
    assert.throws(() => matchHost(pattern, 'x'), Error, pattern);
  }
});

test('names from prototypes are names', () => {
  const set = compileHosts(['example.org']);
  for (const host of ['__proto__', 'constructor', 'toString']) assert.equal(set.has(host), false);
  assert.equal(compileHosts(['__proto__']).has('__proto__'), true);
  assert.equal(compileHosts([]).empty, true);
});

test('property: globText agrees with a regular expression', () => {
  const unit = fc.constantFrom('a', 'b', '.', '*');
  fc.assert(
    fc.property(
      fc.string({ unit, maxLength: 10 }),
      fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 12 }),
      (glob, text) => {
        const source = glob.split('*').map((part) => part.replaceAll('.', '\\.'));
        assert.equal(globText(glob, text), new RegExp(`^${source.join('.*')}$`).test(text));
        assert.equal(globText(glob, text, '.'), new RegExp(`^${source.join('[^.]*')}$`).test(text));
      },
    ),
    { numRuns: 3000 },
  );
});

test('registrable domains', () => {
  const table: [string, string][] = [
    ['example.org', 'example.org'],
    ['a.b.example.org', 'example.org'],
    ['a.example.co.uk', 'example.co.uk'],
    ['x.github.io', 'x.github.io'],
    ['a.x.github.io', 'x.github.io'],
    ['bucket.s3.eu-west-1.amazonaws.com', 'bucket.s3.eu-west-1.amazonaws.com'],
    ['localhost', 'localhost'],
    ['10.0.0.1', '10.0.0.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['github.io', 'github.io'],
    ['co.uk', 'co.uk'],
  ];
  for (const [host, domain] of table) assert.equal(registrableDomain(host), domain, host);
  assert.ok(
    isPublicSuffix('com') &&
      isPublicSuffix('com.au') &&
      !isPublicSuffix('example.com') &&
      !isPublicSuffix('co.example'),
  );
});
