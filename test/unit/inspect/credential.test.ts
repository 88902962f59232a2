import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { createFingerprints } from '../../../src/inspect/credential.ts';

let hashed = 0;
const hmac = (text: string) => {
  hashed++;
  return createHmac('sha256', 'key').update(text).digest('hex').slice(0, 16);
};
const of = createFingerprints(hmac);
const bearer = (token: string) => of(['Host', 'x', 'Authorization', `Bearer ${token}`], '/');
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (claims: object, signature = 'c2ln') => `${part({ alg: 'RS256' })}.${part(claims)}.${signature}`;
const KEY = `sk-proj-${'a1B2'.repeat(8)}`;

test('the same key has one fingerprint wherever it stands, another key another', () => {
  const fingerprint = bearer(KEY);
  assert.match(fingerprint ?? '', /^[0-9a-f]{16}$/);
  assert.equal(of(['X-API-Key', KEY], '/'), fingerprint);
  assert.equal(of(['api-key', KEY], '/'), fingerprint);
  assert.equal(of(['x-goog-api-key', KEY], '/'), fingerprint);
  assert.equal(of([], `/v1?x=monkey=1&key=${KEY}&y`), fingerprint);
  assert.equal(of(['Authorization', `Basic ${Buffer.from(`${KEY}:`).toString('base64')}`], '/'), fingerprint);
  assert.notEqual(bearer(`${KEY}x`), fingerprint);
  assert.notEqual(of(['Authorization', `Basic ${Buffer.from('user:pass').toString('base64')}`], '/'), undefined);
});

test('nothing to judge: no credential, and those that rotate', () => {
  assert.equal(of(['Host', 'x', 'Accept', '*/*'], '/?q=1'), undefined);
  for (const token of [
    'ya29.a0AfH6SMBx',
    `ghs_${'a'.repeat(36)}`,
    `sk-ant-oat01-${'a'.repeat(30)}`,
    'f'.repeat(40),
    '123e4567-e89b-12d3-a456-426614174000',
    '',
  ]) {
    assert.equal(bearer(token), undefined, token);
  }
  assert.equal(
    of(['Authorization', `Basic ${Buffer.from(`x-access-token:ghs_${'a'.repeat(36)}`).toString('base64')}`], '/'),
    undefined,
  );
  assert.equal(of(['Authorization', 'Negotiate YII'], '/'), undefined);
  assert.equal(of(['Authorization', 'Bearer'], '/'), undefined);
  assert.equal(of(['x-api-key', 'k'.repeat(20_000)], '/'), undefined);
  assert.equal(of([], '/v1?monkey=1'), undefined);
});

test('a JWT counts by issuer and subject', () => {
  const one = bearer(jwt({ iss: 'https://issuer.example', sub: 'agent-1', exp: 1 }));
  assert.ok(one);
  assert.equal(bearer(jwt({ iss: 'https://issuer.example', sub: 'agent-1', exp: 2 }, 'b3RoZXI')), one);
  assert.notEqual(bearer(jwt({ iss: 'https://issuer.example', sub: 'agent-2' })), one);
  assert.equal(bearer(jwt({ aud: 'x' })), undefined);
  assert.equal(bearer('eyJhbGciOiJ9.bm90IGpzb24.c2ln'), undefined);
});

test('AWS signatures count by access key, not by signature', () => {
  const sign = (key: string, signature: string) =>
    of(
      [
        'authorization',
        `AWS4-HMAC-SHA256 Credential=${key}/20261120/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=${signature}`,
      ],
      '/',
    );
  const one = sign('AKIAEXAMPLEEXAMPLE01', 'aa');
  assert.ok(one);
  assert.equal(sign('AKIAEXAMPLEEXAMPLE01', 'bb'), one);
  assert.notEqual(sign('AKIAEXAMPLEEXAMPLE02', 'aa'), one);
  assert.equal(sign('ASIAEXAMPLEEXAMPLE01', 'aa'), undefined);
  assert.equal(of([], '/b/k?X-Amz-Credential=AKIAEXAMPLEEXAMPLE01%2F20261120&X-Amz-Date=1'), one);
});

test('a credential is hashed once, and memory is bounded', () => {
  bearer(KEY);
  const before = hashed;
  for (let i = 0; i < 100; i++) bearer(KEY);
  assert.equal(hashed, before);
  for (let i = 0; i < 3000; i++) of(['x-api-key', `key-${i}-abcdefghijklmnop`], '/');
  assert.equal(hashed, before + 3000);
  assert.ok(bearer(KEY));
});
