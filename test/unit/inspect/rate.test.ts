import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asking, counting, rateInspector } from '../../../src/inspect/rate.ts';
import { Windows } from '../../../src/inspect/windows.ts';
import { exchangeTo, type Made } from './support.ts';

function fixture() {
  const clock = { now: 0 };
  const inspector = rateInspector({
    limitOf: (agent) => (agent === 'free' ? undefined : { limit: agent === 'none' ? 0 : 3, windowSeconds: 60 }),
    counts: counting(new Windows(() => clock.now)),
  });
  return { clock, over: (made: Made = {}) => inspector.inspect(exchangeTo('a.example', made), {}).length === 1 };
}

test('beyond the limit every request is over it, until the window ends; agents do not share', () => {
  const { clock, over } = fixture();
  assert.deepEqual([over(), over(), over(), over(), over()], [false, false, false, true, true]);
  assert.equal(over({ agent: 'coder' }), false);
  clock.now = 60_000;
  assert.equal(over(), false);
  for (let i = 0; i < 10; i++) assert.equal(over({ agent: 'free' }) || over({ agent: 'none' }), false);
});

test('the first request inside a CONNECT is the CONNECT', () => {
  const { over } = fixture();
  const inside = (exchanges: number): Made => ({ connection: { via: 'connect', exchanges } });
  assert.equal(over({ kind: 'connect' }), false);
  for (let i = 0; i < 10; i++) assert.equal(over(inside(2)), false);
  assert.deepEqual([over(inside(3)), over(inside(4)), over(inside(5))], [false, false, true]);
});

test('per destination beside the agent’s own limit', () => {
  const inspector = rateInspector({
    limitOf: () => ({ limit: 5, perDestination: 2, windowSeconds: 60 }),
    counts: counting(new Windows(() => 0)),
  });
  const to = (host: string) => inspector.inspect(exchangeTo(host), {}).map(({ message }) => message);
  assert.deepEqual([to('a.example'), to('a.example'), to('b.example')], [[], [], []]);
  assert.match(String(to('a.example')[0]), /more than 2 requests to a\.example:443 in 60 s/);
  assert.deepEqual(to('b.example'), []);
  assert.match(String(to('c.example')[0]), /more than 5 requests in 60 s/);
});

test('what is counted outlives the inspector, and is asked about without being counted', () => {
  const windows = new Windows(() => 0);
  const limitOf = () => ({ limit: 2, windowSeconds: 60 });
  const over = (counts: ReturnType<typeof asking>) =>
    rateInspector({ limitOf, counts }).inspect(exchangeTo('a.example'), {}).length === 1;
  for (let i = 0; i < 5; i++) assert.equal(over(asking(windows)), false);
  assert.deepEqual([over(counting(windows)), over(counting(windows))], [false, false]);
  assert.equal(over(asking(windows)), true);
  assert.equal(over(counting(windows)), true);
});
