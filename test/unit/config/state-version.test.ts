import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { markState, refuseNewerState, StateError } from '../../../src/config/state-version.ts';

const made: string[] = [];
after(() => made.forEach((dir) => void rmSync(dir, { recursive: true, force: true })));
function temp(): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-version-'));
  made.push(dir);
  return dir;
}
const silent = (message: string): void => assert.fail(message);

test('written once, for the owner only, and known from then on', () => {
  const dir = temp();
  assert.equal(refuseNewerState(dir), 'absent');
  markState(dir, silent);
  const file = join(dir, 'version');
  assert.equal(readFileSync(file, 'utf8'), '1\n');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(refuseNewerState(dir), 'known');
  const { mtimeMs } = statSync(file);
  markState(dir, silent);
  assert.equal(statSync(file).mtimeMs, mtimeMs);
});

test('a higher number is refused with both versions and what to do, and stays', () => {
  const dir = temp();
  writeFileSync(join(dir, 'version'), '2\n');
  for (const ask of [() => refuseNewerState(dir), () => markState(dir, silent)])
    assert.throws(ask, (error: StateError) => {
      assert.ok(error instanceof StateError);
      assert.equal(error.code, 'state-newer');
      assert.ok(error.message.startsWith(dir), error.message);
      assert.match(
        error.message,
        /was used by a newer Weir \(state version 2, this one knows 1\): use the newer weir, or another directory with --state-dir$/,
      );
      return true;
    });
  assert.equal(readFileSync(join(dir, 'version'), 'utf8'), '2\n');
});

test('a damaged file counts as ours, is said once and mended', () => {
  for (const damage of ['', 'two', '-2', '2.5', '0', '1e9', '99999999999999999999', '2\n3', '\u0000']) {
    const dir = temp();
    const file = join(dir, 'version');
    writeFileSync(file, damage);
    chmodSync(file, 0o644);
    const warnings: string[] = [];
    markState(dir, (message) => warnings.push(message));
    assert.equal(warnings.length, 1, JSON.stringify(damage));
    assert.match(warnings[0] ?? '', /version is damaged: taken as state version 1$/);
    assert.equal(readFileSync(file, 'utf8'), '1\n');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    markState(dir, silent);
  }
});

test('what stands in the way of the file stops nobody', () => {
  const dir = temp();
  mkdirSync(join(dir, 'version'));
  const warnings: string[] = [];
  markState(dir, (message) => warnings.push(message));
  assert.equal(warnings.length, 2);
  assert.match(warnings[1] ?? '', /cannot be written \(/);
  assert.equal(refuseNewerState(join(dir, 'no', 'such')), 'absent');
});
