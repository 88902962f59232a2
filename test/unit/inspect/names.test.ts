import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NamesOptions, namesInspectors } from '../../../src/inspect/names.ts';
import type { TlsFacts } from '../../../src/model/connection.ts';
import { exchangeTo, type Made } from './support.ts';

const strict: NamesOptions = { onEch: 'flag', authorityAllowed: () => false, expected: () => false };
const request = (authority: string, made: Made) =>
  namesInspectors(strict)[0]
    ?.inspect(exchangeTo(authority, made), {})
    .map((f) => `${f.rule}/${f.disposition}`);
const tls = (authority: string, facts: Partial<TlsFacts>, options: Partial<NamesOptions> = {}) =>
  namesInspectors({ ...strict, ...options })[1]
    ?.inspect(exchangeTo(authority, { kind: 'connect' }), {
      tls: { alpn: [], ja4: '', version: '1.3', ech: false, ...facts },
      protocol: 'tls',
    })
    .map((f) => `${f.rule}/${f.disposition}`);
const opaque = (authority: string, protocol: string, options: Partial<NamesOptions> = {}) =>
  namesInspectors({ ...strict, ...options })[1]
    ?.inspect(exchangeTo(authority, { kind: 'connect' }), { protocol })
    .map((f) => f.rule);

const MISMATCH = ['name-mismatch/block'];

test('Host and the authority', () => {
  for (const hostField of ['example.org', 'EXAMPLE.org', 'example.org:443', 'example.org.', 'example.org:8443']) {
    assert.deepEqual(request('example.org', { hostField }), [], hostField);
  }
  assert.deepEqual(request('example.org', {}), []);
  assert.deepEqual(request('[::1]:80', { hostField: '[::1]:80' }), []);
  for (const hostField of [
    'evil.example',
    'example.org.evil',
    'example.org:443@evil',
    'example.org:x',
    '',
    'a b',
    'www.example.org',
  ]) {
    assert.deepEqual(request('example.org', { hostField }), MISMATCH, hostField);
  }
});

test('an upgrade counts when it has happened, a CONNECT when it is asked', () => {
  const judged = (
    made: Made & { readonly status?: number; readonly upgrade?: string; readonly protocol?: '1.1' | '2' },
  ) => {
    const { upgrade, protocol = '1.1', status } = made;
    const exchange = exchangeTo('example.org', made);
    const asked = { ...exchange.request, protocol, ...(upgrade === undefined ? {} : { upgrade }) };
    const seen = { ...exchange, request: asked, ...(status === undefined ? {} : { status }) };
    return namesInspectors(strict)[0]
      ?.inspect(seen, {})
      .map((f) => f.rule);
  };
  const OPAQUE = ['opaque-protocol'];
  assert.deepEqual(judged({ upgrade: 'h2c' }), []);
  assert.deepEqual(judged({ upgrade: 'h2c', status: 101 }), OPAQUE, 'read again when lists have changed');
  assert.deepEqual(judged({ upgrade: 'websocket', status: 101 }), []);
  assert.deepEqual(judged({ method: 'CONNECT' }), OPAQUE);
  assert.deepEqual(judged({ method: 'CONNECT', upgrade: 'websocket' }), OPAQUE);
  assert.deepEqual(judged({ method: 'CONNECT', upgrade: 'websocket', protocol: '2' }), []);
  assert.deepEqual(judged({ method: 'CONNECT', upgrade: 'connect-udp', protocol: '2' }), OPAQUE);
  const switching = (protocol: string, options: Partial<NamesOptions> = {}) =>
    namesInspectors({ ...strict, ...options })[1]
      ?.inspect(exchangeTo('example.org'), { protocol })
      .map((f) => f.rule);
  for (const to of ['h2c', 'h2', 'http/2.0', 'websocket, h2c', '']) assert.deepEqual(switching(to), OPAQUE, to);
  assert.deepEqual(switching('websocket'), []);
  assert.deepEqual(switching('h2c', { expected: () => true }), []);
});

test('a request inside a tunnel is for the host the tunnel was opened to', () => {
  const inside = (host: string): Made => ({ connection: { authority: { scheme: 'tcp', host, port: 443 } } });
  assert.deepEqual(request('example.org', inside('example.org')), []);
  assert.deepEqual(request('example.org', inside('allowed.example')), MISMATCH);
});

test('SNI and the authority', () => {
  assert.deepEqual(tls('example.org', { sni: 'example.org' }), []);
  assert.deepEqual(tls('example.org', { sni: 'Example.ORG' }), []);
  assert.deepEqual(tls('example.org', { sni: 'evil.example' }), MISMATCH);
  assert.deepEqual(tls('example.org', {}), MISMATCH);
  assert.deepEqual(tls('example.org', {}, { expected: () => true }), []);
  assert.deepEqual(tls('203.0.113.1', {}), []);
  assert.deepEqual(tls('[2001:db8::1]', {}), []);
  assert.deepEqual(tls('203.0.113.1', { sni: 'example.org' }), MISMATCH);
});

test('Encrypted Client Hello is flagged where the authority is allowed, refused elsewhere', () => {
  const ech = { ech: true, sni: 'public.example' };
  assert.deepEqual(tls('example.org', ech), MISMATCH);
  assert.deepEqual(tls('example.org', ech, { authorityAllowed: () => true }), ['name-mismatch/flag']);
  assert.deepEqual(tls('example.org', ech, { authorityAllowed: () => true, onEch: 'block' }), MISMATCH);
  assert.deepEqual(tls('example.org', ech, { authorityAllowed: () => true, onEch: 'allow' }), []);
  assert.deepEqual(tls('example.org', ech, { onEch: 'allow' }), MISMATCH);
});

test('opaque protocols', () => {
  for (const protocol of ['ssh', 'unknown', 'server-first', 'h2c']) {
    assert.deepEqual(opaque('example.org:22', protocol), ['opaque-protocol'], protocol);
    assert.deepEqual(opaque('example.org:22', protocol, { expected: (_, p) => p === protocol }), [], protocol);
  }
  for (const protocol of ['', 'http/1.1', 'h2', 'websocket'])
    assert.deepEqual(opaque('example.org:80', protocol), [], protocol);
  assert.deepEqual(opaque('example.org:443', 'http/1.1'), ['opaque-protocol']);
  assert.deepEqual(opaque('example.org:443', 'tls'), ['opaque-protocol'], 'a ClientHello that never ended');
  assert.deepEqual(opaque('example.org:443', ''), []);
});
