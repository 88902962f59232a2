import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePattern, compilePatterns } from '../../../src/scan/compile.ts';
import { createEngine } from '../../../src/scan/engine.ts';
import { bytes, librarySources } from './library.ts';

const sources = librarySources();

for (const source of sources) {
  test(`pattern ${source.id} finds its examples and none of its counter-examples`, () => {
    const engine = createEngine([compilePattern(source)]);
    for (const example of source.examples) {
      const { matches, unscanned } = engine.scan(bytes(example));
      assert.ok(matches.length > 0, `not found: ${example}`);
      assert.equal(unscanned, false);
    }
    for (const counter of source.counterExamples) {
      assert.deepEqual(engine.scan(bytes(counter)).matches.length, 0, `found: ${counter}`);
    }
  });
}

test('the library compiles as a whole and its ids are unique', () => {
  assert.equal(compilePatterns(sources).length, sources.length);
});

test('all examples are found by one engine with all patterns, in one text', () => {
  const engine = createEngine(compilePatterns(sources));
  const examples = sources.flatMap((source) => source.examples);
  for (const example of examples) {
    assert.ok(engine.scan(bytes(`"note": "see ",\n${example}\n, "end": 1`)).matches.length > 0, example);
  }
});
