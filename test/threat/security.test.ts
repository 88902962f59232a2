import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
const text = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');
/** `| id | attack | today | cannot | test |` */
const rows = text
  .split('\n')
  .filter((line) => /^\| [OEWP]\d+ \|/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, id = '', , today = '', , tests = '']) => ({ id, today, tests }));
const named = new Set(text.match(/test\/[\w./-]+\.test\.ts/g) ?? []);

test('every test that SECURITY.md names exists', () => {
  assert.deepEqual(
    [...named].filter((path) => !existsSync(join(ROOT, path))),
    [],
  );
});

test('every threat test is named in SECURITY.md', () => {
  const files = readdirSync(join(ROOT, 'test', 'threat')).filter((name) => name.endsWith('.test.ts'));
  const missing = files.map((name) => `test/threat/${name}`).filter((path) => !named.has(path));
  assert.deepEqual(missing, ['test/threat/security.test.ts']);
});

test('every row of the threat model is there once', () => {
  const numbers = (letter: string, last: number): string[] =>
    Array.from({ length: last }, (_, i) => `${letter}${i + 1}`);
  const expected = [...numbers('O', 17), ...numbers('E', 30), ...numbers('W', 25), ...numbers('P', 11)];
  assert.deepEqual(
    rows.map(({ id }) => id),
    expected,
  );
});

test('a row without a test claims nothing, a row with one says what', () => {
  for (const { id, today, tests } of rows) {
    assert.equal(/^(Not in this version|Nothing)/.test(today), tests === '–', `${id}: ${today} | ${tests}`);
  }
});

test('there is a way to report in private, and no address is made up', () => {
  assert.match(text, /Report a vulnerability/);
  assert.doesNotMatch(text, /[\w.]+@[\w-]+\.\w+/);
});
