import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { generatedNameInspector } from '../../../src/inspect/generated-name.ts';
import { shapeOf } from '../../../src/inspect/name-shape.ts';
import type { Finding } from '../../../src/model/finding.ts';
import { BENIGN_HOSTS } from '../../support/benign-hosts.ts';
import { exchangeTo } from './support.ts';

const inspector = generatedNameInspector({ expected: () => false, shownHost: (host) => host });

function judge(host: string): Finding | undefined {
  return inspector.inspect(exchangeTo(host), {})[0];
}

/** Bytes that look random and are the same in every run. */
function noise(length: number, seed: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash('sha256').update(`${seed} ${i}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

function base32(bytes: Buffer): string {
  let bits = '';
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0');
  return (bits.match(/.{1,5}/g) ?? [])
    .map((five) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(five.padEnd(5, '0'), 2)])
    .join('');
}

const TEXTS = [
  'root:x:0:0:root:/root:/bin/bash daemon:x:1:1',
  '{"user":"maria","role":"admin","plan":"team"}',
  'the quick brown fox jumps over the lazy dog, twice',
  'DB_HOST=10.0.0.5 DB_USER=app DB_NAME=orders_prod',
];

/** What tools that send data in look-ups make: payload, encoding, cut into labels, with and without a counter. */
function planted(): string[] {
  const payloads = [...TEXTS.map((text) => Buffer.from(text)), ...[20, 24, 32, 40, 64].map((n) => noise(n, n))];
  const encodings = [
    (bytes: Buffer) => bytes.toString('hex'),
    base32,
    (bytes: Buffer) => bytes.toString('base64url').toLowerCase().replaceAll('_', '-'),
  ];
  const names: string[] = [];
  for (const payload of payloads) {
    for (const encode of encodings) {
      const text = encode(payload).slice(0, 180);
      for (const size of [6, 16, 30, 63]) {
        const labels = (text.match(new RegExp(`.{1,${size}}`, 'g')) ?? []).map((one) => one.replace(/^-|-$/g, 'z'));
        names.push(`${labels.join('.')}.evil.example`, `7.${labels.join('.')}.t1.collect-stats.net`);
      }
    }
  }
  return names.filter((name) => name.length <= 253);
}

/** Two well-known ways to make domains: a linear congruential generator over letters, and hexadecimal digests. */
function algorithmic(): string[] {
  const names: string[] = [];
  for (let seed = 1; seed <= 60; seed++) {
    let state = seed * 7919;
    let label = '';
    for (let i = 0; i < 12 + (seed % 8); i++) {
      state = (state * 1103515245 + 12345) % 2147483648;
      label += String.fromCharCode(97 + Math.floor((state / 2147483648) * 26));
    }
    names.push(`${label}.${['com', 'net', 'info', 'biz', 'top'][seed % 5]}`);
    names.push(`${noise(8, seed).toString('hex')}.ru`);
  }
  return names;
}

test('names of everyday traffic are never blocked, and hardly ever a word', (t) => {
  assert.ok(new Set(BENIGN_HOSTS).size >= 150, `${BENIGN_HOSTS.length} hosts`);
  const said = BENIGN_HOSTS.flatMap((host) => judge(host) ?? []);
  t.diagnostic(
    `${BENIGN_HOSTS.length} hosts, ${said.length} flagged: ${said.map(({ message }) => message).join('; ')}`,
  );
  assert.deepEqual(
    said.filter(({ disposition }) => disposition === 'block'),
    [],
  );
  assert.ok(said.length <= BENIGN_HOSTS.length * 0.02, said.map(({ message }) => message).join('\n'));
});

test('data carried in names is found, and stopped where there is much of it', (t) => {
  const names = planted();
  assert.ok(names.length > 150);
  const found = names.filter((name) => judge(name)?.rule === 'data-in-name');
  const stopped = found.filter((name) => judge(name)?.disposition === 'block');
  t.diagnostic(`${names.length} names: ${found.length} found, ${stopped.length} of them stopped`);
  assert.ok(found.length >= names.length * 0.95, names.filter((name) => !found.includes(name)).join('\n'));
  assert.ok(stopped.length >= names.length * 0.5);
});

test('domains made by algorithms are found', (t) => {
  const names = algorithmic();
  const found = names.filter((name) => judge(name)?.rule === 'generated-domain');
  t.diagnostic(`${found.length} of ${names.length}`);
  assert.ok(found.length >= names.length * 0.9, names.filter((name) => !found.includes(name)).join('\n'));
  for (const name of found) assert.equal(judge(name)?.disposition, 'flag');
});

test('what it says: rule, severity, disposition, reason, never an address', () => {
  const hex = noise(40, 1).toString('hex');
  const carrier = `${hex.slice(0, 40)}.${hex.slice(40)}.evil.example`;
  assert.deepEqual(judge(carrier), {
    inspector: 'generated-name',
    rule: 'data-in-name',
    severity: 'high',
    disposition: 'block',
    message: `the name ${carrier} has 80 computed characters: looking it up may send data`,
    blockReason: 'data-in-name',
  });
  const notable = judge(`${hex.slice(0, 40)}.evil.example`);
  assert.deepEqual([notable?.severity, notable?.disposition, notable?.blockReason], ['medium', 'flag', undefined]);
  for (const host of ['10.1.2.3', '[2001:db8:1234:5678:9abc:def0:1234:5678]', 'localhost'])
    assert.equal(judge(host), undefined);
});

test('a destination somebody named is not news, whatever it is called', () => {
  const quiet = generatedNameInspector({ expected: () => true, shownHost: (host) => host });
  const hex = noise(40, 1).toString('hex');
  assert.deepEqual(quiet.inspect(exchangeTo(`${hex.slice(0, 40)}.${hex.slice(40)}.evil.example`), {}), []);
});

test('the answer for a host stays the same after thousands of others', () => {
  const name = `${noise(20, 2).toString('hex')}.evil.example`;
  const before = judge(name);
  assert.ok(before);
  for (let i = 0; i < 5000; i++) judge(`h${i}.example.org`);
  assert.deepEqual(judge(name), before);
});

test('shapes: parts are counted by hyphen and label, numbers and internationalised labels are not', () => {
  const table: [string, number, boolean, boolean][] = [
    ['www.example.com', 0, false, false],
    ['4f3c2b1a9e8d7c6b.example.com', 16, false, false],
    ['api-4f3c2b1a9e8d-v2.example.com', 12, false, false],
    ['20261120-123456789012.example.com', 0, false, false],
    ['xn--n8jaaaaai5bhf7as8fsfk3jnknefdde3f1.example', 0, false, false],
    ['4f3c2b1a9e8d7c6b5a4f3c2b1a9e8d7c.vercel.app', 0, false, true],
    ['xkqzvjwpbtrgh.com', 0, true, false],
    ['a1b2.c3d4.e5f6.a7b8.c9d0.e1f2.example.com', 24, false, false],
  ];
  for (const [host, computed, domain, platform] of table)
    assert.deepEqual(shapeOf(host), { computed, domain, platform }, host);
});
