import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIsSelf, selfInspectors } from '../../../src/inspect/self.ts';
import { exchangeTo } from './support.ts';

const interfaces = () => ['127.0.0.1', '::1', '192.168.7.7', 'fe80::7%eth0'];

test('bound addresses, the unspecified address and every interface of a wildcard listener are us', () => {
  const narrow = createIsSelf([{ address: '127.0.0.1', port: 8080 }], interfaces);
  for (const a of ['127.0.0.1', '::ffff:127.0.0.1', '0.0.0.0', '::']) assert.ok(narrow(a, 8080), a);
  for (const a of ['127.0.0.2', '::1', '192.168.7.7', 'example.org']) assert.ok(!narrow(a, 8080), a);
  assert.ok(!narrow('127.0.0.1', 8081));
  const four = createIsSelf([{ address: '0.0.0.0', port: 8080 }], interfaces);
  for (const a of ['127.9.9.9', '192.168.7.7', '0.0.0.0']) assert.ok(four(a, 8080), a);
  for (const a of ['::1', '192.168.7.8', 'fe80::7']) assert.ok(!four(a, 8080), a);
  const six = createIsSelf([{ address: '::', port: 8080 }], interfaces);
  for (const a of ['::1', '127.0.0.1', '192.168.7.7', 'fe80::7']) assert.ok(six(a, 8080), a);
});

test('literals are caught before resolving, names after, and both are absolute', () => {
  const [request, address] = selfInspectors(createIsSelf([{ address: '127.0.0.1', port: 8080 }], interfaces));
  const found = request?.inspect(exchangeTo('127.1:8080'), {});
  assert.deepEqual(
    found?.map((f) => [f.rule, f.absolute]),
    [['self-target', { status: 508 }]],
  );
  assert.deepEqual(request?.inspect(exchangeTo('localhost:8080'), {}), []);
  const resolved = (addresses: string[], port?: number) => ({
    resolved: { addresses, delegated: false, byOperator: false, dnsMs: 0, ...(port === undefined ? {} : { port }) },
  });
  assert.equal(address?.inspect(exchangeTo('evil.example:8080'), resolved(['203.0.113.1', '127.0.0.1'])).length, 1);
  assert.equal(address?.inspect(exchangeTo('evil.example'), resolved(['127.0.0.1'], 8080)).length, 1);
  assert.equal(address?.inspect(exchangeTo('evil.example'), resolved(['127.0.0.1'])).length, 0);
  assert.equal(address?.inspect(exchangeTo('evil.example'), {}).length, 0);
});
