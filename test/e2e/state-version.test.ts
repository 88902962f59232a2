import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { command } from '../support/command.ts';
import { startWeir } from '../support/weir.ts';

function temp(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-state-version-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Everything below a directory, with its content. */
function contents(dir: string): Map<string, string> {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();
  return new Map(
    names.map((name) => {
      const path = join(dir, name);
      return [name, statSync(path).isFile() ? readFileSync(path, 'latin1') : ''];
    }),
  );
}

describe('the version of a state directory', { timeout: 60_000 }, () => {
  const SENTENCE =
    /^weir: \S+ was used by a newer Weir \(state version 2, this one knows 1\): use the newer weir, or another directory with\s+--state-dir\n$/;

  it('a newer one is refused by every command that would touch it, and nothing in it changes', async (t) => {
    const scratch = temp(t);
    const stateDir = join(scratch, 'state');
    for (const dir of ['', 'private', 'journal']) mkdirSync(join(stateDir, dir), { mode: 0o755 });
    writeFileSync(join(stateDir, 'version'), '2\n');
    writeFileSync(join(stateDir, 'weir.duckdb'), 'of the future');
    writeFileSync(join(stateDir, 'exceptions.json'), '{"version":2}');
    writeFileSync(join(stateDir, 'private', 'last-mode'), 'monitor\n');
    const before = contents(stateDir);
    const proof = join(scratch, 'ran');
    const at = ['--state-dir', stateDir];
    const env = { HOME: scratch };
    for (const args of [
      ['start', ...at, '--listen', '127.0.0.1:0', '--mode', 'enforce'],
      ['run', ...at, '--', process.execPath, '-e', `require('fs').writeFileSync(${JSON.stringify(proof)}, '')`],
      ['query', ...at, 'SELECT 1'],
      ['report', ...at],
      ['ca', 'rotate', '--yes', ...at],
      ['purge', '--all', '--yes', ...at],
    ]) {
      const { code, stdout, stderr } = await command(args, { env });
      assert.equal(code, 1, `${args[0]}: ${stderr}`);
      assert.match(stderr, SENTENCE, args[0]);
      assert.equal(stdout, '');
      assert.deepEqual(contents(stateDir), before, args[0]);
      assert.equal(statSync(stateDir).mode & 0o777, 0o755, 'not even its mode');
    }
    assert.ok(!existsSync(proof), 'the command was not run');
  });

  it('is written by the first start, also into a directory of before; a damaged one is said and taken as ours', async (t) => {
    const stateDir = temp(t);
    const file = join(stateDir, 'version');
    await (await startWeir({ stateDir })).stop();
    assert.equal(readFileSync(file, 'utf8'), '1\n');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    writeFileSync(file, 'garbage');
    const weir = await startWeir({ stateDir });
    await weir.stop();
    assert.match(weir.logs(), /version is damaged: taken as state version 1/);
    assert.equal(readFileSync(file, 'utf8'), '1\n');
  });
});
