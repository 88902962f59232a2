import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compilePattern, compilePatterns } from '../../../src/scan/compile.ts';
import { createEngine } from '../../../src/scan/engine.ts';
import { STRATHON } from '../../support/strathon-ids.ts';
import { bytes, librarySources } from './library.ts';

const DIRECTORY = join(import.meta.dirname, '../../../patterns');
const sources = librarySources();
const byId = new Map(sources.map((source) => [source.id, source]));
const whole = createEngine(compilePatterns(sources));

for (const source of sources) {
  test(`pattern ${source.id} finds its examples and none of its counter-examples`, () => {
    const engine = createEngine([compilePattern(source)]);
    assert.ok(source.examples.length >= 3, 'three examples or more');
    assert.ok(source.counterExamples.length >= 3, 'three counter-examples or more');
    assert.equal(new Set(source.examples).size, source.examples.length, 'no example twice');
    for (const example of source.examples) {
      const { matches, unscanned } = engine.scan(bytes(example));
      assert.equal(matches.length, 1, `not found once: ${example}`);
      assert.equal(unscanned, false);
    }
    for (const counter of source.counterExamples) {
      assert.deepEqual(engine.scan(bytes(counter)).matches.length, 0, `found: ${counter}`);
    }
  });
}

test('with all patterns at once an example is found as what it is, and as nothing else', () => {
  for (const source of sources) {
    for (const example of source.examples) {
      const { matches } = whole.scan(bytes(example));
      assert.deepEqual(
        matches.map((match) => match.pattern.id),
        [source.id],
        example,
      );
    }
  }
});

test('all examples are found in the middle of a text, too', () => {
  for (const example of sources.flatMap((source) => source.examples)) {
    assert.ok(whole.scan(bytes(`"note": "see ",\n${example}\n, "end": 1`)).matches.length > 0, example);
  }
});

test('ids are unique and labels say what was there', () => {
  assert.equal(new Set(sources.map((source) => source.id)).size, sources.length);
  for (const { id, label, name } of sources) {
    assert.ok(label.length <= 64 && label === label.toUpperCase(), id);
    assert.ok(name.length <= 60, id);
  }
});

test('every reference is an address, every home a host or a wildcard', () => {
  for (const { id, reference, home } of sources) {
    assert.match(reference, /^https:\/\/[a-z0-9.-]+\/\S*$/, id);
    for (const host of home) assert.match(host, /^(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)+$/, `${id}: ${host}`);
  }
});

test('the 73 ids other programs know are there, under the names, severities and labels they know', () => {
  assert.equal(STRATHON.length, 73);
  for (const [id, name, severity, category] of STRATHON) {
    const source = byId.get(id);
    assert.ok(source, `${id} is missing`);
    assert.deepEqual(
      [source.name, source.severity, source.category, source.label],
      [name, severity, category, name.toUpperCase()],
    );
  }
});

test('every kind is there, and issuers in number', () => {
  const count = (kind: string): number => sources.filter((source) => source.kind === kind).length;
  assert.ok(count('credential') >= 250, `${count('credential')} credentials`);
  assert.ok(count('pii') >= 30, `${count('pii')} personal`);
  assert.ok(count('financial') >= 20, `${count('financial')} financial`);
  assert.ok(count('injection') >= 40, `${count('injection')} injections`);
});

test('the directory itself holds nothing any pattern finds', () => {
  for (const file of readdirSync(DIRECTORY)) {
    const content = readFileSync(join(DIRECTORY, file));
    const found = whole.scan(content).matches.map((match) => {
      const line = content.subarray(0, match.start).toString('latin1').split('\n').length;
      return `${file}:${line} ${match.pattern.id}`;
    });
    assert.deepEqual(found, []);
  }
});

test('every category of injected instructions has a pattern in English and in four more languages', () => {
  const injections = sources.filter((source) => source.kind === 'injection');
  const languageOf = (id: string): string => /-(de|es|fr|zh)(?:-hant)?$/.exec(id)?.[1] ?? 'en';
  const categories = new Set(injections.map(({ category }) => category));
  assert.ok(categories.size >= 11, [...categories].join(' '));
  for (const category of categories) {
    const languages = new Set(injections.filter((one) => one.category === category).map(({ id }) => languageOf(id)));
    assert.deepEqual([...languages].sort(), ['de', 'en', 'es', 'fr', 'zh'], category);
  }
});
