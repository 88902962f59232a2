import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Windows } from '../../../src/inspect/windows.ts';

const MINUTE = 60_000;

test('what is stored goes on in another life, with another clock', () => {
  let now = 5_000;
  const before = new Windows(() => now);
  before.add('a', undefined, 10, MINUTE);
  before.add('a', 'x.example:443', 10, MINUTE);
  now += 20_000;
  before.add('b', undefined, 3, MINUTE);
  const stored = before.stored(MINUTE, 1_000_000);
  assert.deepEqual(stored, [
    ['a', null, 980_000, 10],
    ['b', null, 1_000_000, 3],
    ['a', 'x.example:443', 980_000, 10],
  ]);
  let later = 7;
  const after = new Windows(() => later);
  after.restore(stored, 1_010_000);
  assert.deepEqual(after.of('a', undefined, MINUTE), { sum: 10, leftMs: 30_000 });
  assert.deepEqual(after.of('a', 'x.example:443', MINUTE), { sum: 10, leftMs: 30_000 });
  later += 30_000;
  assert.equal(after.add('a', undefined, 1, MINUTE), 1, 'it was over');
  assert.equal(after.of('b', undefined, MINUTE).sum, 3);
});

test('what is over is not stored; a clock that was set back opens no window in the future', () => {
  const now = 0;
  const windows = new Windows(() => now);
  windows.restore([['a', null, 9_000, 5]], 1_000);
  assert.deepEqual(windows.of('a', undefined, MINUTE), { sum: 5, leftMs: MINUTE });
  assert.deepEqual(windows.stored(0, 1_000), []);
});

test('destinations an agent invents push out no sum of an agent', () => {
  const windows = new Windows(() => 0);
  windows.add('a', undefined, 7, MINUTE);
  for (let i = 0; i < 30_000; i++) windows.add('a', `h${i}.example:443`, 1, MINUTE);
  assert.equal(windows.of('a', undefined, MINUTE).sum, 7);
  assert.equal(windows.of('a', 'h29999.example:443', MINUTE).sum, 1);
  assert.ok(windows.stored(MINUTE, 0).length <= 10_001);
});

test('it says whether something was counted', () => {
  const windows = new Windows(() => 0);
  assert.equal(windows.changed(), false);
  windows.add('a', undefined, 1, MINUTE);
  assert.deepEqual([windows.changed(), windows.changed()], [true, false]);
});
