import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressInspector } from '../../../src/inspect/address.ts';
import { classOf } from '../../../src/inspect/address-class.ts';
import { exchangeTo } from './support.ts';

const rule = (host: string, ports: number[] = []) => ({ host, ports, methods: [], paths: [] });
const judge = (authority: string, addresses: string[], internal: ReturnType<typeof rule>[] = [], byOperator = false) =>
  addressInspector({ internal })
    .inspect(exchangeTo(authority), { resolved: { addresses, delegated: false, byOperator, dnsMs: 0 } })
    .map((f) => f.rule);

test('classes, embedded IPv4 unwrapped', () => {
  const table: [string, string][] = [
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['127.0.0.1', 'loopback'],
    ['::1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['172.31.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.0.1', 'private'],
    ['fd12::1', 'private'],
    ['169.254.1.1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['100.64.0.1', 'shared'],
    ['169.254.169.254', 'metadata'],
    ['100.100.100.200', 'metadata'],
    ['fd00:ec2::254', 'metadata'],
    ['0.0.0.0', 'unspecified'],
    ['::', 'unspecified'],
    ['224.0.0.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['255.255.255.255', 'reserved'],
    ['::ffff:169.254.169.254', 'metadata'],
    ['64:ff9b::a9fe:a9fe', 'metadata'],
    ['64:ff9b:1::a00:1', 'private'],
    ['64:ff9b::808:808', 'public'],
    ['2002:a00:1::1', 'private'],
    ['2002:808:808::1', 'public'],
    ['2001:0:1:2:3:4:f5ff:fffe', 'private'],
    ['::10.0.0.1', 'private'],
    ['2606:4700::5efe:a00:1', 'private'],
    ['nonsense', 'reserved'],
  ];
  for (const [address, kind] of table) assert.equal(classOf(address), kind, address);
});

test('every address is judged; public and private together is rebinding', () => {
  assert.deepEqual(judge('a.example', ['8.8.8.8', '2606:4700::1']), []);
  assert.deepEqual(judge('a.example', ['10.0.0.1']), ['internal-address']);
  assert.deepEqual(judge('127.0.0.1', ['127.0.0.1']), ['internal-address']);
  assert.deepEqual(judge('a.example', ['10.0.0.1', '169.254.169.254']), ['metadata-address']);
  assert.deepEqual(judge('a.example', ['8.8.8.8', '10.0.0.1']), ['dns-rebinding']);
  assert.deepEqual(judge('a.example', ['10.0.0.1'], [], true), []);
  assert.deepEqual(addressInspector({ internal: [] }).inspect(exchangeTo('a.example'), {}), []);
});

test('what the operator lists as internal may be reached; a range never opens metadata', () => {
  assert.deepEqual(judge('a.example', ['10.0.0.1'], [rule('10.0.0.0/8')]), []);
  assert.deepEqual(judge('a.example', ['10.0.0.1'], [rule('a.example')]), []);
  assert.deepEqual(judge('a.example', ['10.0.0.1'], [rule('*.example.org')]), ['internal-address']);
  assert.deepEqual(judge('a.example', ['10.0.0.1'], [rule('10.0.0.0/8', [80])]), ['internal-address']);
  assert.deepEqual(judge('a.example', ['10.0.0.1', '192.168.0.1'], [rule('10.0.0.0/8')]), ['internal-address']);
  assert.deepEqual(judge('a.example', ['169.254.169.254'], [rule('169.254.0.0/16')]), ['metadata-address']);
  assert.deepEqual(judge('169.254.169.254', ['169.254.169.254'], [rule('169.254.169.254')]), []);
  assert.deepEqual(judge('m.a.example', ['169.254.169.254'], [rule('*.a.example')]), ['metadata-address']);
  assert.throws(() => addressInspector({ internal: [rule('@paste')] }));
});
