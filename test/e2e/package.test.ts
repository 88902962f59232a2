import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { cleanEnv, eventually } from '../support/weir.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
// A socket path holds 107 bytes, so not inside the (long) package directory.
const dir = mkdtempSync(join(tmpdir(), 'weir-pack-'));
const installed = join(dir, 'package');
const bin = join(installed, 'dist/cli/bin.js');
const stateDir = join(dir, 'state');
const children: ChildProcess[] = [];
let listed: string[] = [];

before(async () => {
  await run('npm', ['run', '-s', 'build'], { cwd: root, env: cleanEnv(), timeout: 180_000 });
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', dir], {
    cwd: root,
    env: cleanEnv(),
  });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  assert.ok(packed);
  listed = packed.files.map((file) => file.path);
  await run('tar', ['-xzf', join(dir, packed.filename), '-C', dir]);
  // What an install would put there; without a registry the checkout's own dependencies are the same versions.
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'));
});
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function weir(...args: string[]) {
  return run(process.execPath, [bin, ...args, '--state-dir', stateDir], {
    cwd: dir,
    env: cleanEnv({ HOME: dir }),
    timeout: 20_000,
  });
}

test('the package holds what it needs and nothing of the workshop', () => {
  for (const path of [
    'package.json',
    'README.md',
    'LICENSE',
    'dist/cli/bin.js',
    'dist/index.js',
    'dist/index.d.ts',
    'otel-collector.yaml',
  ])
    assert.ok(listed.includes(path), path);
  assert.ok(listed.some((path) => path.startsWith('patterns/')));
  assert.deepEqual(
    listed.filter((path) => /^(src|test|\.github|\.ci)\/|\.ts$(?<!\.d\.ts)|tsconfig/.test(path)),
    [],
  );
  assert.equal(statSync(bin).mode & 0o111, 0o111);
  assert.match(readFileSync(bin, 'utf8'), /^#!\/usr\/bin\/env node\n/);
});

test('publint has nothing to say', async () => {
  const { stdout } = await run(
    process.execPath,
    [join(root, 'node_modules/publint/src/cli.js'), 'run', installed, '--strict', '--level', 'warning'],
    { env: cleanEnv() },
  );
  assert.match(stdout, /All good!/);
});

test('installed elsewhere it says its version and starts, answers and ends', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.equal((await weir('--version')).stdout.trim(), version);
  const child = spawn(process.execPath, [bin, 'start', '--listen', '127.0.0.1:0', '--state-dir', stateDir], {
    cwd: dir,
    env: cleanEnv({ HOME: dir, OTEL_SDK_DISABLED: 'true' }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let [out, err] = ['', ''];
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const gone = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await eventually(
    () => /listening on 127\.0\.0\.1:\d+/.test(err) || (child.exitCode !== null && Promise.reject(new Error(err))),
    'weir start says where it listens',
    15_000,
  );
  assert.ok(existsSync(join(stateDir, 'weir.sock')));
  const status = JSON.parse((await weir('status', '--json')).stdout) as { pid: number; mode: string; version: string };
  assert.deepEqual([status.pid, status.mode, status.version], [child.pid, 'monitor', version]);
  const verified = JSON.parse(
    (await weir('verify', '--agent', 'researcher', '--json').catch((error: { stdout: string }) => error)).stdout,
  ) as { answers: { through: boolean; agent: string }[] };
  assert.deepEqual([verified.answers[0]?.through, verified.answers[0]?.agent], [true, 'researcher']);
  child.kill('SIGTERM');
  assert.equal(await gone, 0);
  assert.equal(out, '', 'stdout is nobody’s log');
  assert.equal(existsSync(join(stateDir, 'weir.sock')), false);
});
