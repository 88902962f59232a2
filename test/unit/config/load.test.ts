import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { defaultConfig, loadConfig } from '../../../src/config/load.ts';
import { ConfigError } from '../../../src/config/problem.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-load-'));
after(() => rmSync(dir, { recursive: true, force: true }));

function place(name: string, text: string, mode = 0o600): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function fails(options: Parameters<typeof loadConfig>[0], pattern: RegExp): void {
  assert.throws(
    () => loadConfig(options),
    (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, pattern);
      return true;
    },
  );
}

test('the defaults are those of the contract', () => {
  const config = defaultConfig();
  assert.equal(config.mode, 'monitor');
  assert.deepEqual(
    config.listen.map((entry) => `${entry.host} ${entry.port}`),
    ['127.0.0.1 8080', '::1 8080'],
  );
  assert.equal(config.intercept, 'none');
  assert.equal(config.identify, 'optional');
  assert.equal(config.limits.head_bytes, 262_144);
  assert.equal(config.store.max_bytes, 2_147_483_648);
  assert.equal(config.telemetry.journal.max_bytes, 8_589_934_592);
  assert.equal(config.agents.size, 0);
  assert.equal(config.upstream.proxy, 'inherit');
});

test('flags win over variables, variables over the file, the file over defaults', () => {
  const file = place('p.yaml', 'mode: redact\nagent: from-file\nlisten: 127.0.0.1:1111\nidentify: required\n');
  const env = { HOME: dir, WEIR_CONFIG: file, WEIR_MODE: 'enforce', WEIR_AGENT: 'from-env' };
  const { config } = loadConfig({ env, flags: { agent: 'from-flag' } });
  assert.equal(config.agent, 'from-flag');
  assert.equal(config.mode, 'enforce');
  assert.equal(config.listen[0]?.port, 1111);
  assert.equal(config.identify, 'required');
  assert.equal(config.intercept, 'none');
});

test('flags and variables understand lists and short forms', () => {
  const env = { HOME: dir, WEIR_LISTEN: '127.0.0.1:1, [::1]:2', WEIR_INTERCEPT: 'only:@llm,api.example.org' };
  const { config } = loadConfig({ env, flags: { admin: '127.0.0.1:3' } });
  assert.deepEqual(
    config.listen.map((entry) => entry.port),
    [1, 2],
  );
  assert.deepEqual(config.intercept, { only: ['@llm', 'api.example.org'] });
  assert.deepEqual(config.admin.listen, { host: '127.0.0.1', port: 3 });
});

test('a wrong flag or variable is named as such', () => {
  fails({ env: { HOME: dir, WEIR_MODE: 'x' } }, /^mode in WEIR_MODE: /);
  fails({ env: { HOME: dir }, flags: { listen: ['nowhere'] } }, /^listen\[0\] in --listen: /);
});

test('a variable that means nothing is said, those of Kubernetes are not', () => {
  const env = { HOME: dir, WEIR_MOED: 'enforce', WEIR_SERVICE_HOST: '10.0.0.1', WEIR_PORT_8080_TCP: 'x' };
  assert.deepEqual(
    loadConfig({ env }).warnings.map((text) => text.split(' ')[0]),
    ['WEIR_MOED'],
  );
});

test('the working directory is never read (W10)', () => {
  place('weir.yaml', 'mode: enforce');
  const loaded = loadConfig({ env: { HOME: join(dir, 'nobody') }, cwd: dir });
  assert.equal(loaded.file, undefined);
  assert.equal(loaded.config.mode, 'monitor');
});

test('XDG directories are used when absolute, ignored when relative', () => {
  mkdirSync(join(dir, 'xdg/weir'), { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, 'xdg/weir/weir.yaml'), 'agent: xdg', { mode: 0o600 });
  const env = { HOME: join(dir, 'h'), XDG_CONFIG_HOME: join(dir, 'xdg'), XDG_STATE_HOME: join(dir, 'state') };
  const { config, file } = loadConfig({ env });
  assert.equal(file, join(dir, 'xdg/weir/weir.yaml'));
  assert.equal(config.agent, 'xdg');
  assert.equal(config.state_dir, join(dir, 'state/weir'));
  const relative = loadConfig({
    env: { HOME: join(dir, 'h'), XDG_CONFIG_HOME: 'xdg', XDG_STATE_HOME: 'state' },
    cwd: dir,
  });
  assert.equal(relative.file, undefined);
  assert.equal(relative.config.state_dir, join(dir, 'h/.local/state/weir'));
});

test('paths are relative to the file, ~ is home, the store is in the state directory', () => {
  const file = place('r.yaml', 'state_dir: ~/s\nupstream: {ca_file: roots.pem}\npolicies: {files: [p/a.yaml]}\n');
  const { config } = loadConfig({ env: { HOME: '/home/u' }, flags: { config: file } });
  assert.equal(config.state_dir, '/home/u/s');
  assert.equal(config.store.path, '/home/u/s/weir.duckdb');
  assert.equal(config.upstream.ca_file, join(dir, 'roots.pem'));
  assert.deepEqual(config.policies.files, [join(dir, 'p/a.yaml')]);
});

test('a named file must exist and be a regular file', () => {
  fails({ env: { HOME: dir }, flags: { config: join(dir, 'none.yaml') } }, /none\.yaml: there is no such file$/);
  fails({ env: { HOME: dir }, flags: { config: dir } }, /is not a regular file|EISDIR/);
});

test('a file or directory that others can change is refused', { skip: process.platform === 'win32' }, () => {
  const open = place('open.yaml', 'mode: monitor', 0o606);
  fails({ env: { HOME: dir }, flags: { config: open } }, /can be changed by other users; make it yours: chmod go-w /);
  const shared = join(dir, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o777);
  writeFileSync(join(shared, 'weir.yaml'), 'mode: monitor', { mode: 0o600 });
  const config = join(shared, 'weir.yaml');
  fails({ env: { HOME: dir }, flags: { config } }, /its directory can be changed by other users/);
  // A link does not hide where the file really is.
  symlinkSync(config, join(dir, 'link.yaml'));
  fails({ env: { HOME: dir }, flags: { config: join(dir, 'link.yaml') } }, /its directory can be changed/);
  chmodSync(shared, 0o1777);
  assert.equal(loadConfig({ env: { HOME: dir }, flags: { config } }).config.mode, 'monitor');
});

test('agents_dir is merged; a name twice is refused; errors name that file', () => {
  mkdirSync(join(dir, 'agents'), { mode: 0o700 });
  writeFileSync(join(dir, 'agents/coder.yaml'), 'mode: enforce\nallowed_domains: ["*.example.org"]\n', { mode: 0o600 });
  writeFileSync(join(dir, 'agents/README'), 'not an agent', { mode: 0o600 });
  const file = place('d.yaml', 'agents_dir: agents\nagents:\n  researcher: {mode: monitor}\n');
  const { config } = loadConfig({ env: { HOME: dir }, flags: { config: file } });
  assert.deepEqual([...config.agents.keys()], ['researcher', 'coder']);
  assert.equal(config.agents.get('coder')?.mode, 'enforce');
  place('d.yaml', 'agents_dir: agents\nagents: {coder: {}}\n');
  fails(
    { env: { HOME: dir }, flags: { config: file } },
    /agent coder is defined in .*coder\.yaml and in .*d\.yaml; keep one/,
  );
  place('d.yaml', 'agents_dir: agents\n');
  writeFileSync(join(dir, 'agents/coder.yaml'), 'mode: enforce\ntokn: x\n');
  fails({ env: { HOME: dir }, flags: { config: file } }, /coder\.yaml:2 — did you mean "token"\?/);
});

test('token_file fills token, and its mistakes are named without the token', () => {
  place('tok', 'a-long-secret\nsecond line\n');
  const file = place('t.yaml', 'agents: {a: {token_file: tok}}');
  assert.equal(
    loadConfig({ env: { HOME: dir }, flags: { config: file } }).config.agents.get('a')?.token,
    'a-long-secret',
  );
  place('tok', 'short\n');
  fails(
    { env: { HOME: dir }, flags: { config: file } },
    /agents\.a\.token_file in .*t\.yaml:1: the first line must be a token of at least 8/,
  );
  place('t.yaml', 'agents: {a: {token: long-enough-1, token_file: tok}}');
  fails({ env: { HOME: dir }, flags: { config: file } }, /token and token_file are both given/);
});

const OPEN =
  /^0\.0\.0\.0:8080 can be reached by everyone who reaches this machine, and no agent has a token\.\nSay who may use it: allow_from: \[10\.0\.0\.0\/8\] {3}or {3}allow_from: local-networks {3}or give every agent a token\.$/;

test('a listener that others reach needs a say about who may use it', () => {
  const load = (text: string) => {
    const file = place('l.yaml', `listen: 0.0.0.0:8080\n${text}`);
    return { env: { HOME: dir }, flags: { config: file } };
  };
  fails(load(''), OPEN);
  fails(load('agents: {a: {}}'), OPEN);
  fails(load('agents: {a: {token: long-enough-1}, b: {}}'), /, and b has no token\.\n/);
  fails(load('agents: {a: {token: long-enough-1}}'), /who gives no name needs no token/);
  for (const good of [
    'allow_from: local-networks',
    'allow_from: [10.0.0.0/8]',
    'identify: required\nagents: {a: {token: long-enough-1}}',
    'agents: {a: {token: long-enough-1}, default: {token: long-enough-2}}',
  ])
    assert.equal(loadConfig(load(good)).config.listen[0]?.host, '0.0.0.0', good);
  const tls = place('l.yaml', 'listen: {address: "0.0.0.0:1", tls: {cert: c, key: k, client_ca: a}}');
  assert.equal(
    loadConfig({ env: { HOME: dir }, flags: { config: tls } }).config.listen[0]?.tls?.client_ca,
    join(dir, 'a'),
  );
  const noClientCa = place('l.yaml', 'listen: {address: "0.0.0.0:1", tls: {cert: c, key: k}}');
  fails({ env: { HOME: dir }, flags: { config: noClientCa } }, /^0\.0\.0\.0:1 can be reached/);
});
