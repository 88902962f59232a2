import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { patternSources } from '../../../src/collector-sources.ts';
import { compilePattern } from '../../../src/scan/compile.ts';
import { programOf } from '../../../src/scan/pattern.ts';
import { generated, PATTERNS } from '../../support/built-in-patterns.ts';

for (const [name, text] of generated()) {
  test(`patterns/${name} is what the YAML beside it says`, () => {
    assert.deepEqual(
      JSON.parse(readFileSync(join(PATTERNS, name), 'utf8')),
      JSON.parse(text),
      `patterns/${name} is older than the YAML it is made from; type: npm run build:patterns`,
    );
  });
}

test('a built-in pattern is laid out as the lint would lay it out, and has the same program', () => {
  const sources = patternSources([], []);
  assert.ok(sources.length > 300);
  for (const source of sources) {
    assert.ok(source.layout);
    const { layout: _layout, ...bare } = source;
    const [known, linted] = [compilePattern(source), compilePattern(bare)];
    assert.deepEqual({ ...known, program: 0 }, { ...linted, program: 0 });
    const { matcher: _known, ...gate } = programOf(known);
    const { matcher: _linted, ...expected } = programOf(linted);
    assert.deepEqual(gate, expected);
    assert.equal(programOf(known), programOf(known), 'made once');
  }
});
