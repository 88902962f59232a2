import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fingerprintOf, isShrink, loosened, loosenedText } from '../../../src/policy/compare.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';

type Row = Record<string, unknown>;
const block = (name: string, more: Row = {}): Row => ({
  name,
  match_expression: `attrs["server.address"] == "${name}"`,
  ...more,
});
const set = (rows: readonly Row[], fallback?: string) =>
  parsePolicies(
    { policies: rows, ...(fallback === undefined ? {} : { intervention_default_action: fallback }) },
    { name: 'r', kind: 'receiver' },
  ).set;

const BEFORE = [block('a'), block('b'), block('c')];
const compared = (after: readonly Row[]) => {
  const found = loosened(set(BEFORE), set(after));
  return [found.lost, isShrink(found)];
};

test('what no longer stops is lost, however that came about', () => {
  assert.deepEqual(compared(BEFORE), [[], false]);
  assert.deepEqual(compared([...BEFORE, block('d')]), [[], false]);
  assert.deepEqual(compared([block('a'), block('b')]), [['c'], false]);
  assert.deepEqual(compared([block('a'), block('b', { enabled: false }), block('c', { shadow: true })]), [
    ['b', 'c'],
    true,
  ]);
  assert.deepEqual(compared([block('a', { action: 'log' }), block('b'), block('c')]), [['a'], false]);
  assert.deepEqual(compared([block('a', { match_expression: 'false' }), block('b'), block('c')]), [['a'], false]);
  assert.deepEqual(compared([]), [['a', 'b', 'c'], true]);
  const over = { name: 'open', match_expression: 'true', action: 'allow', priority: 1 };
  assert.deepEqual(compared([over, ...BEFORE]), [['a', 'b', 'c'], true]);
});

test('a default that opens is much more', () => {
  const found = loosened(set(BEFORE, 'block'), set(BEFORE));
  assert.deepEqual([found.opened, isShrink(found)], [true, true]);
  assert.equal(loosenedText(found), 'what no policy decides was blocked and is allowed now');
  assert.equal(isShrink(loosened(set([]), set([]))), false);
});

test('counters and unknown columns are no change, everything that decides is', () => {
  const same = fingerprintOf(set(BEFORE));
  assert.equal(fingerprintOf(set(BEFORE.map((row) => ({ ...row, match_count: 7, new_column: 1 })))), same);
  for (const more of [
    { priority: 1 },
    { action: 'alert' },
    { shadow: true },
    { applies_to: ['get'] },
    { agents: ['x'] },
  ])
    assert.notEqual(fingerprintOf(set([block('a', more), block('b'), block('c')])), same);
});
