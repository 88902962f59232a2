import assert from 'node:assert/strict';
import { test } from 'node:test';
import { http3Inspector, withoutHttp3 } from '../../../src/inspect/alt-svc.ts';
import type { Exchange } from '../../../src/model/exchange.ts';

const of = (...values: string[]): string[] => [
  'Content-Type',
  'text/plain',
  ...values.flatMap((value) => ['Alt-Svc', value]),
];
const left = (...values: string[]): [number, string][] | undefined => {
  const found = withoutHttp3(of(...values));
  return found === undefined ? undefined : [...found];
};

test('HTTP/3 and its drafts go, everything else stays as it is', () => {
  assert.deepEqual(left('h3=":443"; ma=86400'), [[1, 'clear']]);
  assert.deepEqual(left('h3=":443"; ma=86400, h3-29=":443"; ma=86400'), [[1, 'clear']]);
  assert.deepEqual(left('h3=":443", h2="alt.example:443"; ma=60'), [[1, 'h2="alt.example:443"; ma=60']]);
  assert.deepEqual(left('h2=":443"', 'h3=":443"'), [[2, 'clear']]);
  assert.deepEqual(left('h2="h3=,x:443"'), undefined);
  for (const value of ['clear', '', 'h2=":443"', 'h30=":443"', 'xh3=":443"'])
    assert.equal(left(value), undefined, value);
  assert.equal(withoutHttp3([]), undefined);
});

test('told once per connection', () => {
  const inspector = http3Inspector();
  const exchange = (connection: object, ...values: string[]): Exchange =>
    ({ connection, destination: { host: 'a.test', port: 443 }, responseFields: of(...values) }) as unknown as Exchange;
  const one = {};
  assert.deepEqual(inspector.inspect(exchange(one, 'h2=":443"'), {}), []);
  assert.deepEqual(
    inspector.inspect(exchange(one, 'h3=":443"'), {}).map(({ rule, disposition }) => [rule, disposition]),
    [['http3-advertised', 'allow']],
  );
  assert.deepEqual(inspector.inspect(exchange(one, 'h3=":443"'), {}), []);
  assert.equal(inspector.inspect(exchange({}, 'h3=":443"'), {}).length, 1);
});
