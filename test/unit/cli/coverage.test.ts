import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type CoverageOptions, coverage } from '../../../src/cli/coverage.ts';
import { PROGRAMS } from '../../../src/cli/coverage-programs.ts';

const root = mkdtempSync(join(tmpdir(), 'weir-coverage-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** A PATH directory with these programs; each is a script of that text. */
function path(programs: Readonly<Record<string, string>>, mode = 0o755): string {
  const directory = mkdtempSync(join(root, 'bin-'));
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(directory, name), text);
    chmodSync(join(directory, name), mode);
  }
  return directory;
}
const found = (directory: string, options: CoverageOptions = {}) =>
  coverage({ PATH: directory }, { platform: 'linux', version: () => undefined, ...options });
const names = (directory: string, options: CoverageOptions = {}) =>
  found(directory, options).map(({ program, ignores }) => `${program} ${ignores}`);

test('only what is found on PATH is named, and only programs', () => {
  assert.deepEqual(names(path({})), []);
  assert.deepEqual(names(path({ curl: '', git: '', npm: '', ssh: '', psql: '', java: '' })), [
    'ssh proxy',
    'psql proxy',
    'java proxy-and-ca',
  ]);
  assert.deepEqual(names(path({ ssh: '' }, 0o644)), [], 'not executable');
  const directory = path({});
  mkdirSync(join(directory, 'ssh'));
  assert.deepEqual(names(directory), [], 'a directory');
  assert.deepEqual(names(`${directory}::relative:${path({ ssh: '' })}`), ['ssh proxy'], 'in a later directory');
  assert.deepEqual(coverage({}), []);
});

test('Go and .NET ignore the CA on macOS only', () => {
  const directory = path({ gh: '', terraform: '', dotnet: '' });
  assert.deepEqual(names(directory), []);
  assert.deepEqual(names(directory, { platform: 'darwin' }), ['dotnet ca', 'gh ca', 'terraform ca']);
  assert.match(found(directory, { platform: 'darwin' })[1]?.fix ?? '', /^weir ca trust --only/);
});

test('Node by its version; of one that does not say nothing is said', () => {
  const directory = path({ node: '' });
  const fix = (version: string | undefined) => found(directory, { version: () => version })[0]?.fix;
  assert.equal(fix(undefined), undefined);
  assert.equal(fix('no idea'), undefined);
  for (const old of ['v20.11.1\n', 'v22.20.0', 'v23.11.0']) assert.match(fix(old) ?? '', /goes direct whatever/, old);
  assert.match(fix('v24.4.9') ?? '', /only fetch/);
  for (const young of ['v22.21.0', 'v24.5.0', 'v26.0.0']) assert.match(fix(young) ?? '', /^http2\.connect/, young);
});

test('the version is asked of the program itself, not of a shell, and not for long', { timeout: 30_000 }, () => {
  const ask = (text: string) => coverage({ PATH: `${path({ node: text })}:/usr/bin:/bin` }).find(isNode)?.fix;
  const isNode = ({ program }: { program: string }): boolean => program === 'node';
  assert.match(ask('#!/bin/sh\n[ "$*" = --version ] && echo v18.20.0\n') ?? '', /^18\.20\.0 goes direct/);
  assert.equal(ask('#!/bin/sh\nexec sleep 600\n'), undefined);
  assert.equal(ask('no program at all'), undefined);
});

test('fixes hold the proxy and the bundle', () => {
  const directory = path({ ssh: '', svn: '', wget: '', chromium: '' });
  const fixes = found(directory, { proxy: '127.0.0.1:41235', bundle: '/s/public/bundle.pem' }).map(({ fix }) => fix);
  assert.match(fixes[0] ?? '', /ProxyCommand nc -X connect -x 127\.0\.0\.1:41235 %h %p/);
  assert.match(fixes[1] ?? '', /http-proxy-port = 41235, ssl-authority-files = \/s\/public\/bundle\.pem/);
  assert.match(fixes[2] ?? '', /ca_certificate = \/s\/public\/bundle\.pem/);
  assert.match(fixes[3] ?? '', /-i \/s\/public\/ca\.pem$/);
});

test('the table is short, without doubles, and every fix is one printable line', () => {
  assert.ok(PROGRAMS.length <= 40);
  const all = PROGRAMS.flatMap((program) => program.names);
  assert.equal(new Set(all).size, all.length);
  const directory = path(Object.fromEntries(all.map((name) => [name, ''])));
  const listed = found(directory, { platform: 'darwin', version: () => 'v20.0.0' });
  assert.deepEqual(
    listed.map(({ program }) => program),
    all,
  );
  for (const { program, fix } of listed) assert.match(fix, /^[^\n]{5,200}$/, program);
});
