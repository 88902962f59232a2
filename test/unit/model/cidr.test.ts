import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileCidrs, parseAddress, parseCidr } from '../../../src/model/cidr.ts';

test('ranges hold their addresses and no others', () => {
  const table: [string, string, boolean][] = [
    ['10.0.0.0/8', '10.255.1.2', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['0.0.0.0/0', '8.8.8.8', true],
    ['0.0.0.0/0', '::1', false],
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.1', '10.0.0.2', false],
    ['128.0.0.0/1', '200.0.0.1', true],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['fd00::/8', 'fd12::1', true],
    ['fd00::/8', 'fe80::1', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['::1', '0:0:0:0:0:0:0:1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['local-networks', '192.168.1.1', true],
    ['local-networks', '::1', true],
    ['local-networks', '8.8.8.8', false],
    ['10.0.0.0/8', 'not an address', false],
  ];
  for (const [range, address, inside] of table)
    assert.equal(compileCidrs([range])(address), inside, `${range} ${address}`);
  assert.equal(compileCidrs([])('10.0.0.1'), false);
});

test('what is no CIDR is refused', () => {
  for (const text of [
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0/8',
    '010.0.0.1',
    '1.2.3.4.5',
    '::1::',
    'a',
    '',
    ':',
    '1:2:3:4:5:6:7:8:9',
    '::1.2.3',
    '1.2.3.4::',
  ]) {
    assert.equal(parseCidr(text), undefined, text);
  }
  assert.throws(() => compileCidrs(['x']), /not a CIDR/);
});

test('property: agrees with node:net', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(address, address, fc.nat(128), (base, other, length) => {
      const family = isIP(base) === 6 ? 'ipv6' : 'ipv4';
      const bits = family === 'ipv4' ? length % 33 : length;
      // node:net and this room differ on IPv4-mapped addresses only; they are in the table above.
      if (parseAddress(base)?.four !== (family === 'ipv4')) return;
      const list = new BlockList();
      list.addSubnet(base, bits, family);
      const test = compileCidrs([`${base}/${bits}`]);
      if (parseAddress(other)?.four === (isIP(other) === 4)) {
        assert.equal(test(other), (isIP(other) === 6 ? 'ipv6' : 'ipv4') === family && list.check(other, family));
      }
      assert.equal(test(base), true);
    }),
    { numRuns: 1000 },
  );
});

test('property: every address node accepts is read, every other string is not', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: fc.constantFrom(...'01f:.a'), maxLength: 20 })),
      (text) => {
        assert.equal(parseAddress(text) !== undefined, isIP(text) !== 0, text);
      },
    ),
    { numRuns: 3000 },
  );
});
