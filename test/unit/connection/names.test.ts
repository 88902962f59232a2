import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leafName, readableAlpn } from '../../../src/connection/interception.ts';
import { incompatible, rejectsCertificate } from '../../../src/connection/tls.ts';
import type { TlsFacts } from '../../../src/model/connection.ts';

const facts = (sni: string | undefined, alpn: string[] = []): TlsFacts => ({
  ...(sni === undefined ? {} : { sni }),
  alpn,
  ja4: '',
  version: '1.3',
  ech: false,
});

test('the leaf is for the SNI when it is a name, else for the authority', () => {
  const table: [string | undefined, string][] = [
    [undefined, 'host.test'],
    ['', 'host.test'],
    ['API.Example.com', 'api.example.com'],
    ['api.example.com.', 'api.example.com'],
    ['a_b.example.com', 'a_b.example.com'],
    ['*.example.com', 'host.test'],
    ['192.0.2.1', 'host.test'],
    ['::1', 'host.test'],
    ['a..b', 'host.test'],
    ['-a.test', 'host.test'],
    ['a.test\u0000.evil.test', 'host.test'],
    ['b\u00fccher.test', 'host.test'],
    [`${'a'.repeat(64)}.test`, 'host.test'],
    [`${'a.'.repeat(130)}test`, 'host.test'],
    ['__proto__', '__proto__'],
  ];
  for (const [sni, expected] of table) assert.equal(leafName(facts(sni), 'host.test'), expected, JSON.stringify(sni));
});

test('the readable part of an offer keeps the client’s order', () => {
  assert.deepEqual(readableAlpn(facts('a', ['http/1.1', 'acme-tls/1', 'h2'])), ['http/1.1', 'h2']);
  assert.deepEqual(readableAlpn(facts('a', ['h3'])), []);
});

test('which handshake errors are a rejection, which an incompatibility', () => {
  for (const code of [
    'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
    'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
    'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
    'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED',
    'ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE',
  ])
    assert.ok(rejectsCertificate(code), code);
  for (const code of ['ECONNRESET', 'closed', 'ERR_SSL_NO_SHARED_CIPHER', 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR'])
    assert.ok(!rejectsCertificate(code), code);
  assert.ok(incompatible('ERR_SSL_NO_SHARED_CIPHER'));
  assert.ok(incompatible('ERR_SSL_UNSUPPORTED_PROTOCOL'));
  assert.ok(!incompatible('ECONNRESET'));
});
