import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadPatterns, parsePatterns, patternsOrNone } from '../../../src/record/patterns.ts';
import { librarySources } from '../scan/library.ts';

const FILE = new URL('../../../patterns/redaction.json', import.meta.url).pathname;
const patterns = loadPatterns(FILE);
const entries = new Map(librarySources().map((entry) => [entry.id, entry]));

for (const pattern of patterns) {
  test(`pattern ${pattern.id}`, () => {
    const expression = new RegExp(pattern.expression);
    assert.ok(!expression.test(''), 'matches the empty string');
    const entry = entries.get(pattern.id);
    assert.ok(entry);
    for (const example of entry.examples) {
      assert.match(example, expression);
      assert.ok(
        pattern.keywords.some((keyword) => example.includes(keyword)),
        `no keyword in ${example}`,
      );
    }
    for (const counter of entry.counterExamples) assert.doesNotMatch(counter, expression);
  });
}

test('the library has at least 25 issuers and unique ids', () => {
  assert.ok(patterns.length >= 25);
  assert.equal(new Set(patterns.map((pattern) => pattern.id)).size, patterns.length);
});

test('only what a form alone tells is used for records', () => {
  const ids = new Set(patterns.map((pattern) => pattern.id));
  for (const { id, kind, ignoreCase, entropy, trigger } of entries.values()) {
    const alone = kind === 'credential' && !ignoreCase && entropy === 0 && trigger === 'keywords';
    assert.equal(ids.has(id), alone, id);
  }
});

test('an entry is checked', () => {
  const good = { id: 'x-key', expression: 'x_[a-z]{1,9}', keywords: ['x_a'], label: 'X' };
  const one = (change: object) => JSON.stringify({ patterns: [{ ...good, ...change }] });
  assert.deepEqual(parsePatterns(one({}), 'f.json'), [good]);
  assert.throws(() => parsePatterns(one({ expression: '' }), 'f.json'), /f\.json: x-key: expression/);
  assert.throws(() => parsePatterns(one({ label: 1 }), 'f.json'), /f\.json: x-key: label/);
  assert.throws(() => parsePatterns(one({ keywords: [] }), 'f.json'), /f\.json: x-key: keywords/);
  assert.throws(() => parsePatterns(one({ keywords: ['ab'] }), 'f.json'), /3 characters or more/);
  assert.throws(() => parsePatterns(one({ id: 5 }), 'f.json'), /f\.json: entry 1: id/);
  assert.throws(() => parsePatterns('{"patterns":[3]}', 'f.json'), /f\.json: entry 1 must be a map/);
});

test('a file that cannot be used is a problem with its name', () => {
  assert.throws(() => parsePatterns('{"patterns": [', 'f.json'), /f\.json/);
  assert.throws(() => parsePatterns('{"a": 1}', 'f.json'), /f\.json: must have a list "patterns"/);
  const problems: string[] = [];
  assert.deepEqual(patternsOrNone('/nowhere/patterns.json', problems), []);
  assert.match(problems.join(), /patterns cannot be loaded, URLs are kept without path: .*nowhere/);
});
