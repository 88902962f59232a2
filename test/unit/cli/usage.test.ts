import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { humanLine } from '../../../src/cli/logger.ts';
import { startFailure } from '../../../src/cli/start-failure.ts';
import { bytes, span, table } from '../../../src/cli/table.ts';
import { parseTime } from '../../../src/cli/time.ts';
import { defaultConfig } from '../../../src/config/load.ts';
import { tempDir, weir } from './world.ts';

const dir = tempDir();
after(() => rmSync(dir, { recursive: true, force: true }));
const env = { HOME: dir };
const root = join(import.meta.dirname, '../../..');

const COMMANDS = [
  'start',
  'run',
  'status',
  'verify',
  'env',
  'logs',
  'report',
  'query',
  'baseline',
  'policy',
  'replay',
  'approve',
  'mode',
  'ca',
  'patterns',
  'check',
  'demo',
  'doctor',
  'purge',
  'init',
];

test('help lists the commands that are there, and the exit codes', async () => {
  const { code, out } = await weir(['help'], env);
  assert.equal(code, 0);
  const listed = [...out.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1]);
  assert.deepEqual(listed, [...COMMANDS, 'help']);
  assert.match(
    out,
    /Exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 no collector running, 4 something was found\./,
  );
});

test('start documents the flags of the contract', async () => {
  const { out } = await weir(['help', 'start'], env);
  for (const flag of ['--config', '--mode', '--listen', '--intercept', '--agent', '--state-dir', '--admin'])
    assert.ok(out.includes(`${flag} <`), flag);
});

test('what is not built is not claimed', async () => {
  const { out } = await weir(['help'], env);
  assert.doesNotMatch(out, /receipt|mcp|jail/);
});

const USAGE: readonly (readonly [readonly string[], number, RegExp])[] = [
  [['stats'], 2, /^weir: unknown command 'stats'\n {6}\(Did you mean status\?\)\n {6}See: weir help\n$/],
  [['status', '--jsn'], 2, /^weir: unknown option '--jsn'\n {6}\(Did you mean --json\?\)/],
  [['query'], 2, /^weir: missing required argument 'sql'/],
  [['query', ' '], 2, /^weir: there is no SQL to run\n$/],
  [['status'], 3, /^weir: no collector is running with .*\. Start one: weir start\n$/],
  [['logs', '--since', 'yesterday'], 2, /Write 7d, 2h, 30m or a date/],
  [['logs', '-n', '0'], 2, /Write a whole number of at least 1/],
  [
    ['start', '--mode', 'enforced'],
    2,
    /^weir: mode in --mode: must be monitor, redact or enforce, not "enforced" — did you mean enforce\?\n$/,
  ],
  [
    ['start', '--listen', '0.0.0.0:8080'],
    2,
    /^weir: 0\.0\.0\.0:8080 can be reached by everyone .* no agent has a token\.\n {6}Say who may use it: allow_from/,
  ],
  [['start', '--config', '/nonexistent/weir.yaml'], 2, /there is no such file/],
  [['verify', '--proxy', 'nonsense'], 2, /is not a proxy URL/],
  [['verify', '--proxy', 'http://127.0.0.1:1'], 4, /^$/],
];
for (const [args, code, pattern] of USAGE) {
  test(`weir ${args.join(' ')} ends with ${code}`, async () => {
    const ran = await weir(args, env);
    assert.match(ran.err, pattern);
    assert.equal(ran.code, code);
  });
}

test('check names every mistake and ends with 4, or with 0', async () => {
  const file = join(dir, 'weir.yaml');
  writeFileSync(file, 'mode: x\nfoo: 1\n', { mode: 0o600 });
  const bad = await weir(['check', '--config', file], env);
  assert.equal(bad.code, 4);
  assert.equal(bad.err.trimEnd().split('\n').length, 2);
  const json = await weir(['check', '--json', '--config', file], env);
  assert.equal((JSON.parse(json.out) as { problems: unknown[] }).problems.length, 2);
  writeFileSync(file, 'mode: enforce\n', { mode: 0o600 });
  const good = await weir(['check', '--config', file], env);
  assert.deepEqual([good.code, good.err], [0, '']);
  assert.match(good.out, /: no mistakes\n$/);
});

test('doctor finds what commonly goes wrong and ends with 4', async () => {
  const ran = await weir(['doctor', '--json'], {
    HOME: dir,
    HTTP_PROXY: 'http://researcher@127.0.0.1:8080',
    NO_PROXY: 'localhost,[::1]',
    SSL_CERT_FILE: '/nonexistent.pem',
    NODE_OPTIONS: '--inspect',
  });
  assert.equal(ran.code, 4);
  const { checks, unseen } = JSON.parse(ran.out) as { checks: { name: string; state: string }[]; unseen: string[] };
  const state = (name: string) => checks.find((check) => check.name === name)?.state;
  assert.deepEqual(['HTTP_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'NODE_OPTIONS', 'collector'].map(state), [
    'warn',
    'fail',
    'fail',
    'fail',
    'warn',
  ]);
  assert.ok(unseen.length > 0);
});

test('a port in use is worded with who uses it and a free one', { skip: process.platform !== 'linux' }, async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as { port: number };
  const error = Object.assign(new Error('x'), { code: 'EADDRINUSE', port, address: '127.0.0.1', syscall: 'listen' });
  const worded = (await startFailure(error, defaultConfig())) as Error;
  taken.close();
  const match = new RegExp(
    `^port ${port} is in use by (\\S+) \\(pid ${process.pid}\\)\\. Take another: weir start --listen 127\\.0\\.0\\.1:(\\d+)$`,
  ).exec(worded.message);
  assert.ok(match, worded.message);
  assert.ok(Number(match[2]) > port);
});

/** A Node that is too old, when this machine's PATH has one. */
function oldNode(): string | undefined {
  const { status, stdout } = spawnSync(
    '/usr/bin/env',
    ['-i', `PATH=${outsidePath()}`, 'node', '-p', 'process.versions.node'],
    { encoding: 'utf8' },
  );
  return status === 0 && Number(stdout.split('.')[0]) < 24 ? stdout.trim() : undefined;
}
function outsidePath(): string {
  return (process.env['PATH'] ?? '')
    .split(':')
    .filter((part) => !part.includes('node_modules'))
    .join(':');
}

test('an old Node gets one sentence, not a stack trace', { skip: oldNode() === undefined }, () => {
  // As the build leaves it: types stripped, specifiers rewritten.
  const source = readFileSync(join(root, 'src/cli/bin.ts'), 'utf8');
  const plain = stripTypeScriptTypes(source).replace("'./main.ts'", "'./main.js'");
  mkdirSync(join(dir, 'dist/cli'), { recursive: true });
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  writeFileSync(join(dir, 'dist/cli/bin.js'), plain);
  const ran = spawnSync(
    '/usr/bin/env',
    ['-i', `PATH=${outsidePath()}`, 'node', join(dir, 'dist/cli/bin.js'), 'status'],
    { encoding: 'utf8' },
  );
  assert.equal(ran.status, 1);
  assert.match(ran.stderr, /^weir: this is Node \d+\.\d+\.\d+\. Node 24 or newer is needed: .*\n$/);
  mkdirSync(join(dir, 'src/cli'), { recursive: true });
  writeFileSync(join(dir, 'src/cli/main.ts'), '');
  const checkout = spawnSync(
    '/usr/bin/env',
    ['-i', `PATH=${outsidePath()}`, 'node', join(dir, 'dist/cli/bin.js'), 'status'],
    { encoding: 'utf8' },
  );
  assert.match(checkout.stderr, /In this checkout run it as: npm run -s weir -- status\n$/);
});

test('the entry says its version, and SIGUSR1 opens no debugger', () => {
  const out = execFileSync(process.execPath, [join(root, 'src/cli/bin.ts'), '--version'], { encoding: 'utf8' });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.equal(out.trim(), version);
});

test('start refuses to run with a debugger port open', () => {
  const ran = spawnSync(
    process.execPath,
    ['--inspect=127.0.0.1:0', join(root, 'src/cli/bin.ts'), 'start', '--state-dir', dir],
    { encoding: 'utf8', timeout: 15_000 },
  );
  assert.equal(ran.status, 1);
  assert.match(ran.stderr, /weir: a debugger port is open on this process/);
});

test('tables, sizes and spans read well', () => {
  const rows = [
    { a: 'x', n: 1 },
    { a: 'longer\u001b', n: 1000 },
  ];
  assert.equal(
    table(rows, [
      { name: 'A', cell: (row) => row.a },
      { name: 'N', cell: (row) => row.n, right: true },
    ]),
    'A                  N\nx                  1\nlonger<U+001B>  1000',
  );
  assert.deepEqual([0, 999, 1000, 3_100_000, 99_960, 123_456_789].map(bytes), [
    '0 B',
    '999 B',
    '1.0 KB',
    '3.1 MB',
    '100 KB',
    '123 MB',
  ]);
  assert.deepEqual([0, 89_000, 4 * 60_000, 2 * 3_600_000, 3 * 86_400_000].map(span), [
    '0 s',
    '89 s',
    '4 min',
    '2 h 0 min',
    '3 d 0 h',
  ]);
  assert.equal(parseTime('2h', 7_200_000), 0);
});

test('a log line for people is one line whatever it carries', () => {
  const text = humanLine(
    JSON.stringify({ level: 40, time: 0, msg: 'a\nb', host: 'x\u001b[0m', err: { message: 'no' } }),
    false,
  );
  assert.match(text, /^\d\d:\d\d:\d\d WARN {2}a<U\+000A>b {2}host=x<U\+001B>\[0m err=no\n$/);
});
