import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { assembleExample, loadPatterns, parsePatterns } from '../../../src/record/patterns.ts';

const patterns = loadPatterns(new URL('../../../patterns', import.meta.url).pathname);

for (const pattern of patterns) {
  test(`pattern ${pattern.id}`, () => {
    const expression = new RegExp(pattern.expression);
    for (const example of pattern.examples) {
      assert.match(example, expression);
      assert.ok(
        pattern.keywords.some((keyword) => example.includes(keyword)),
        `no keyword in ${example}`,
      );
    }
    for (const counter of pattern.counterExamples) assert.doesNotMatch(counter, expression);
  });
}

test('the library has at least 25 issuers and unique ids', () => {
  assert.ok(patterns.length >= 25);
  assert.equal(new Set(patterns.map((pattern) => pattern.id)).size, patterns.length);
});

test('examples are assembled', () => {
  assert.equal(assembleExample('a{{}}b{{c*3}}'), 'abccc');
  assert.equal(assembleExample('{{aK3*2}}{{**4}}'), 'aK3aK3****');
});

test('errors name file and id', () => {
  const good = {
    id: 'x-key',
    name: 'X',
    severity: 'high',
    category: 'token',
    expression: 'x_[a-z]+',
    keywords: ['x_a'],
    label: 'X',
    examples: ['x_a'],
    counter_examples: ['y'],
    reference: 'https://example.com',
  };
  const bad = (change: object) => JSON.stringify({ patterns: [{ ...good, ...change }] });
  assert.equal(parsePatterns(JSON.stringify({ patterns: [good] }), 'f.yaml').length, 1);
  for (const change of [
    { kind: 'pii' },
    { category: 'financial' },
    { case: 'ignore' },
    { entropy: 3 },
    { trigger: 'digits' },
  ]) {
    assert.deepEqual(parsePatterns(bad(change), 'f.yaml'), [], 'only the scanner uses it');
  }
  assert.equal(parsePatterns(bad({ home: ['x.com'], confirm: 'github-crc', kind: 'credential' }), 'f.yaml').length, 1);
  assert.throws(() => parsePatterns(bad({ severity: 'huge' }), 'f.yaml'), /f\.yaml: x-key: severity/);
  assert.throws(() => parsePatterns(bad({ expression: '(' }), 'f.yaml'), /f\.yaml: x-key: expression/);
  assert.throws(() => parsePatterns(bad({ expression: 'a*' }), 'f.yaml'), /empty string/);
  assert.throws(() => parsePatterns(bad({ colour: 'red' }), 'f.yaml'), /unknown key colour/);
  assert.throws(() => parsePatterns('patterns: [', 'f.yaml'), /f\.yaml/);
  assert.throws(() => parsePatterns('a: 1', 'f.yaml'), /list "patterns"/);
  const directory = mkdtempSync(join(tmpdir(), 'weir-patterns-'));
  try {
    writeFileSync(join(directory, 'a.yaml'), JSON.stringify({ patterns: [good] }));
    writeFileSync(join(directory, 'b.yaml'), JSON.stringify({ patterns: [good] }));
    assert.throws(() => loadPatterns(directory), /b\.yaml: x-key: already defined in a\.yaml/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
