import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicies } from '../../../src/policy/parse.ts';
import type { Policy } from '../../../src/policy/policy.ts';
import { createThrottle } from '../../../src/policy/throttle.ts';

function throttle(action_config: object, name = 'p'): Policy {
  const rows = [{ name, action: 'throttle', match_expression: 'true', action_config }];
  const [policy] = parsePolicies(rows, { name: 'r', kind: 'receiver' }).set.policies;
  assert.ok(policy);
  return policy;
}

test('a bucket starts full, holds max_calls and refills evenly', () => {
  const { take } = createThrottle();
  const policy = throttle({ max_calls: 3, window_seconds: 60 });
  assert.deepEqual(
    [0, 0, 0].map(() => take(policy, 'a', 1000)),
    [0, 0, 0],
  );
  assert.equal(take(policy, 'a', 1000), 20);
  assert.equal(take(policy, 'a', 11_000), 10);
  assert.equal(take(policy, 'a', 21_000), 0);
  assert.equal(take(policy, 'a', 21_000), 20);
  // Never more than max_calls, however long the rest.
  assert.deepEqual(
    [0, 0, 0, 0].map(() => take(policy, 'a', 10_000_000)),
    [0, 0, 0, 20],
  );
});

test('by agent, or for all; by policy', () => {
  const { take } = createThrottle();
  const own = throttle({ max_calls: 1, window_seconds: 10 });
  const shared = throttle({ max_calls: 1, window_seconds: 10, scope: 'global' }, 'q');
  assert.deepEqual([take(own, 'a', 0), take(own, 'b', 0), take(own, 'a', 0)], [0, 0, 10]);
  assert.deepEqual([take(shared, 'a', 0), take(shared, 'b', 0)], [0, 10]);
});

test('a throttle that does not say how many lets nothing through', () => {
  const { take } = createThrottle();
  assert.equal(take(throttle({}), 'a', 0), 60);
  assert.equal(take(throttle({ max_calls: 5 }), 'a', 0), 60);
});

test('rest does not refill a bucket whose window is longer', () => {
  const { take } = createThrottle();
  const policy = throttle({ max_calls: 1, window_seconds: 3600 });
  assert.equal(take(policy, 'a', 0), 0);
  assert.equal(take(policy, 'a', 301_000), 3299);
});

test('a clock that steps back neither gives nor takes', () => {
  const { take } = createThrottle();
  const policy = throttle({ max_calls: 1, window_seconds: 10 });
  assert.equal(take(policy, 'a', 100_000), 0);
  assert.equal(take(policy, 'a', 0), 10);
  assert.equal(take(policy, 'a', 10_000), 0);
});

test('agents without number do not fill the memory', () => {
  const { take } = createThrottle();
  const policy = throttle({ max_calls: 1, window_seconds: 3600 });
  for (let i = 0; i < 30_000; i++) take(policy, `agent-${i}`, 0);
  // The newest is remembered, the oldest made room.
  assert.equal(take(policy, 'agent-29999', 0), 3600);
  assert.equal(take(policy, 'agent-0', 0), 0);
});

test('asking takes nothing', () => {
  const { take, ask } = createThrottle();
  const policy = throttle({ max_calls: 2, window_seconds: 60 });
  assert.deepEqual([ask(policy, 'a', 0), ask(policy, 'a', 0), ask(policy, 'a', 0)], [0, 0, 0]);
  assert.deepEqual(
    [take(policy, 'a', 0), take(policy, 'a', 0), ask(policy, 'a', 0), take(policy, 'a', 0)],
    [0, 0, 30, 30],
  );
  assert.equal(ask(policy, 'a', 30_000), 0);
});
