import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { LogLine } from '../../src/model/admin.ts';
import { createAuthority } from '../support/certs.ts';
import { command } from '../support/command.ts';
import {
  environmentOf,
  has,
  node,
  openPlace,
  printed,
  type RunPlace,
  type SimpleOrigin,
  simpleOrigin,
} from '../support/runs.ts';
import { cleanEnv, eventually, startWeir } from '../support/weir.ts';

/** product.md §9, as it stands there. */
const PROXY = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'];
const BUNDLE =
  'NODE_EXTRA_CA_CERTS SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE AWS_CA_BUNDLE GIT_SSL_CAINFO PIP_CERT npm_config_cafile YARN_HTTPS_CA_FILE_PATH CARGO_HTTP_CAINFO DENO_CERT NIX_SSL_CERT_FILE BUNDLE_SSL_CA_CERT HTTPLIB2_CA_CERTS CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE CODEX_CA_CERTIFICATE GRPC_DEFAULT_SSL_ROOTS_FILE_PATH'.split(
    ' ',
  );
const PRINT_ENV = 'console.log(JSON.stringify(process.env))';

let place: RunPlace;
let plain: SimpleOrigin;
let secure: SimpleOrigin;
const authority = createAuthority();

before(async () => {
  plain = await simpleOrigin();
  secure = await simpleOrigin(authority.issue(['origin.test']));
  place = await openPlace({
    upstream: { resolve: { 'plain.test': `127.0.0.1:${plain.port}`, 'origin.test': `127.0.0.1:${secure.port}` } },
  });
  writeFileSync(join(place.directory, 'corporate.pem'), authority.cert);
});

after(async () => {
  await place.close();
  await plain.close();
  await secure.close();
});

/** This environment without the variables Weir sets, so that what a run adds can be told. */
function bare(): Record<string, string> {
  const unset = Object.fromEntries(
    [...BUNDLE, 'NODE_USE_ENV_PROXY', 'GIT_HTTP_PROXY_AUTHMETHOD', 'JAVA_TOOL_OPTIONS'].map((name) => [name, '']),
  );
  return unset;
}

test('the environment of the command is exactly the documented list over what was there', async () => {
  const extra = { ...bare(), WEIR_MODE: 'monitor', STRATHON_API_KEY: 'k', STRATHON_OTHER: 'stays', KEPT: 'yes' };
  const run = place.run(node(PRINT_ENV), { env: extra, flags: ['--agent', 'researcher'] });
  const env = await printed<Record<string, string>>(run);
  const url = env['HTTP_PROXY'] ?? '';
  assert.match(url, /^http:\/\/researcher:x@127\.0\.0\.1:\d+$/);
  const expected: Record<string, string> = { ...cleanEnv(extra) };
  delete expected['WEIR_MODE'];
  delete expected['STRATHON_API_KEY'];
  for (const name of PROXY) expected[name] = url;
  for (const name of ['NO_PROXY', 'no_proxy']) expected[name] = 'localhost,127.0.0.1,::1';
  const bundle = env['SSL_CERT_FILE'] ?? '';
  for (const name of BUNDLE) expected[name] = bundle;
  expected['NODE_USE_ENV_PROXY'] = '1';
  expected['GIT_HTTP_PROXY_AUTHMETHOD'] = 'basic';
  assert.deepEqual(env, expected);
  assert.match(bundle, new RegExp(`^${join(place.stateDir, 'public')}/run-[0-9A-Z]{26}\\.pem$`));
  assert.ok(!existsSync(bundle), 'the bundle goes with the run');
});

test('the bundle holds the system’s, the inherited and our roots, and everybody may read it', async () => {
  const program = `import { readFileSync, statSync } from 'node:fs';
    import { X509Certificate } from 'node:crypto';
    const file = process.env.SSL_CERT_FILE;
    const all = readFileSync(file, 'utf8').match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g);
    console.log(JSON.stringify({ mode: statSync(file).mode & 0o777, count: all.length, unique: new Set(all).size, text: all.join('\\n'), last: new X509Certificate(all.at(-1)).subject }));`;
  const env = {
    ...bare(),
    REQUESTS_CA_BUNDLE: join(place.directory, 'corporate.pem'),
    SSL_CERT_FILE: '/nonexistent.pem',
  };
  const seen = await printed<{ mode: number; count: number; unique: number; text: string; last: string }>(
    place.run(node(program), { env }),
  );
  assert.equal(seen.mode, 0o644);
  assert.ok(seen.count > 20, `${seen.count} roots`);
  assert.equal(seen.unique, seen.count);
  assert.ok(seen.text.includes(authority.cert.trim()));
  assert.match(seen.last, /Weir/);
});

test('--watch-localhost empties NO_PROXY, --all-proxy sets ALL_PROXY, --intercept none leaves trust alone', async () => {
  const flags = ['--watch-localhost', '--all-proxy', '--intercept', 'none'];
  const run = place.run(node(PRINT_ENV), { env: { ...bare(), SSL_CERT_FILE: '/mine.pem' }, flags });
  const env = await printed<Record<string, string>>(run);
  assert.equal(env['NO_PROXY'], '');
  assert.equal(env['no_proxy'], '');
  assert.equal(env['ALL_PROXY'], env['HTTPS_PROXY']);
  assert.equal(env['all_proxy'], env['HTTPS_PROXY']);
  assert.equal(env['SSL_CERT_FILE'], '/mine.pem');
  assert.equal(env['GIT_SSL_CAINFO'], '');
  assert.match(run.stderr(), /^weir {2}node → 127\.0\.0\.1:\d+ · monitor · cooperative · TLS is not read/);
});

test('an inherited ALL_PROXY does not lead past Weir', async () => {
  const env = { ...bare(), ALL_PROXY: 'http://127.0.0.1:9' };
  const seen = await printed<Record<string, string>>(place.run(node(PRINT_ENV), { env }));
  assert.equal(seen['ALL_PROXY'], seen['HTTPS_PROXY']);
  assert.equal(seen['all_proxy'], undefined);
});

test('exit status, stdin and stdout are the command’s', async () => {
  const program = 'for await (const part of process.stdin) process.stdout.write(part); process.exitCode = 3';
  const run = place.run(node(program), { input: 'through and through' });
  const { code, stdout, stderr } = await run.ended;
  assert.equal(code, 3);
  assert.equal(stdout, 'through and through');
  assert.match(stderr, /exit 3/);
});

test('a command that is not there or not executable ends like in a shell, and starts no collector', async () => {
  const other = await openPlace();
  try {
    const missing = await other.run(['no-such-command-here']).ended;
    assert.equal(missing.code, 127);
    assert.match(missing.stderr, /^weir: "no-such-command-here" is not there/);
    const file = join(other.directory, 'plain.txt');
    writeFileSync(file, 'x', { mode: 0o644 });
    const denied = await other.run([file]).ended;
    assert.equal(denied.code, 126);
    assert.match(denied.stderr, /cannot be executed: permission denied/);
    const nothing = await command(['run', '--state-dir', other.stateDir]);
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr, /say which command to run: weir run -- /);
    assert.ok(!existsSync(join(other.stateDir, 'weir.sock')));
    const interpreter = join(other.directory, 'script');
    writeFileSync(interpreter, '#!/no/such/interpreter\n', { mode: 0o755 });
    assert.equal((await other.run([interpreter]).ended).code, 127);
  } finally {
    await other.close();
  }
});

test('a wrong configuration is said before the command starts', async () => {
  const wrong = await openPlace({ nonsense: 1 });
  try {
    const { code, stderr, stdout } = await wrong.run(node('console.log(1)')).ended;
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /nonsense/);
  } finally {
    await wrong.close();
  }
});

test('SIGTERM and SIGHUP are passed on; the signal that ended the command ends the run', async () => {
  const wait = 'console.log("up"); setInterval(() => {}, 1000)';
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
    const run = place.run(node(wait));
    await eventually(() => run.stdout().includes('up'), 'the command is up', 30_000);
    run.kill(signal);
    const ended = await run.ended;
    assert.equal(ended.signal, signal);
    assert.match(ended.stderr, new RegExp(signal));
  }
  const polite = 'process.on("SIGTERM", () => process.exit(9)); console.log("up"); setInterval(() => {}, 1000)';
  const run = place.run(node(polite));
  await eventually(() => run.stdout().includes('up'), 'the command is up', 30_000);
  run.kill('SIGTERM');
  assert.equal((await run.ended).code, 9);
});

test('TLS is read with a CA of this run, upstream trust is what the command would have had', {
  skip: !has('curl', '-V') && 'no curl',
}, async () => {
  const env = { ...bare(), CURL_CA_BUNDLE: join(place.directory, 'corporate.pem') };
  const run = place.run(['curl', '-sS', 'https://origin.test/secret?q=1'], { env, flags: ['--agent', 'tls'] });
  const { stdout, stderr } = await run.ended;
  assert.equal(stdout, 'hello from /secret?q=1', stderr);
  const lines = (await place.admin('/logs?limit=500&agent=tls')) as LogLine[];
  assert.ok(
    lines.some((line) => JSON.stringify(line).includes('/secret')),
    JSON.stringify(lines),
  );
});

test('Java reads proxy and trust store from JAVA_TOOL_OPTIONS', {
  skip: !has('java', '-version') && 'no java',
}, async () => {
  const source = join(place.directory, 'Fetch.java');
  writeFileSync(
    source,
    `public class Fetch { public static void main(String[] a) throws Exception {
      System.out.print(new String(new java.net.URL("https://origin.test/from-java").openStream().readAllBytes())); } }`,
  );
  const env = { ...bare(), SSL_CERT_FILE: join(place.directory, 'corporate.pem'), JAVA_TOOL_OPTIONS: '-Dmine=1' };
  const { stdout, stderr } = await place.run(['java', source], { env, flags: ['--java'] }).ended;
  assert.equal(stdout, 'hello from /from-java', stderr);
  assert.match(stderr, /-Dmine=1 -Dhttp\.proxyHost=127\.0\.0\.1/);
});

test('an inherited proxy is used upstream, an inherited NO_PROXY skips it', {
  skip: !has('curl', '-V') && 'no curl',
}, async () => {
  const parent = await simpleOrigin();
  try {
    const env = {
      ...bare(),
      HTTP_PROXY: `http://127.0.0.1:${parent.port}`,
      http_proxy: `http://127.0.0.1:${parent.port}`,
      NO_PROXY: 'plain.test',
    };
    const through = await place.run(['curl', '-sS', 'http://behind.invalid/a'], { env }).ended;
    assert.equal(through.stdout, 'hello from http://behind.invalid/a', through.stderr);
    const skipped = await place.run(['curl', '-sS', 'http://plain.test/b'], { env }).ended;
    assert.equal(skipped.stdout, 'hello from /b', skipped.stderr);
    assert.deepEqual(parent.asked, ['GET http://behind.invalid/a']);
  } finally {
    await parent.close();
  }
});

test('two agents at once are told apart by their ports', { skip: !has('curl', '-V') && 'no curl' }, async () => {
  const script = 'curl -sS --proxy "http://${HTTP_PROXY##*@}" "http://plain.test/$1"; sleep 1';
  const runs = ['one', 'two'].map((agent) =>
    place.run(['sh', '-c', script, 'sh', agent], { flags: ['--agent', agent] }),
  );
  await Promise.all(runs.map((run) => run.ended));
  for (const agent of ['one', 'two']) {
    const lines = (await place.admin(`/logs?limit=500&agent=${agent}`)) as LogLine[];
    const text = JSON.stringify(lines);
    assert.ok(text.includes(`/${agent}`), text);
    assert.ok(!text.includes(agent === 'one' ? '/two' : '/one'), text);
  }
});

test('the CA’s key is in no file, argument or environment', async () => {
  const run = place.run(node('console.log("up"); setInterval(() => {}, 1000)'));
  await eventually(() => run.stdout().includes('up'), 'the command is up', 30_000);
  const files = readdirSync(place.stateDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const entry of files) {
    const text = readFileSync(join(entry.parentPath, entry.name), 'latin1');
    assert.ok(!/BEGIN (EC )?PRIVATE KEY/.test(text), entry.name);
  }
  assert.ok(!existsSync(join(place.stateDir, 'private', 'ca.key')));
  for (const socket of ['weir.sock', 'keep.sock'] as const) {
    const pid = (await place.pid(socket)) ?? 0;
    if (process.platform !== 'linux') break;
    assert.ok(!/PRIVATE KEY/.test(await environmentOf(pid)));
    assert.ok(!/PRIVATE KEY/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')));
  }
  run.kill('SIGTERM');
  await run.ended;
});

test('the background collector knows nothing of the command’s secrets', {
  skip: process.platform !== 'linux' && 'needs procfs',
}, async () => {
  await place.left();
  const run = place.run(node('console.log("up"); setInterval(() => {}, 1000)'), {
    env: { AGENT_SECRET: 'abc', XDG_TEST: 'passed' },
  });
  await eventually(() => run.stdout().includes('up'), 'the command is up', 30_000);
  const environment = await environmentOf((await place.pid('weir.sock')) ?? 0);
  assert.ok(!environment.includes('AGENT_SECRET'));
  assert.ok(environment.includes('XDG_TEST=passed'));
  const log = join(place.stateDir, 'background.log');
  assert.equal(statSync(log).mode & 0o777, 0o600);
  run.kill('SIGTERM');
  await run.ended;
});

test('a running weir start serves runs with its own CA and settings', async () => {
  const weir = await startWeir({ config: { upstream: { resolve: { 'plain.test': `127.0.0.1:${plain.port}` } } } });
  try {
    const { stdout, code, stderr } = await weir.cli(['run', '--', ...node('console.log(process.env.SSL_CERT_FILE)')]);
    assert.equal(code, 0, stderr);
    assert.ok(stdout.startsWith(join(weir.stateDir, 'public', 'run-')), stdout);
    assert.ok(!existsSync(join(weir.stateDir, 'keep.sock')), 'no supervisor beside weir start');
  } finally {
    await weir.stop();
  }
});

test('without a writable state directory the run goes on in memory, says so, and leaves nothing', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'weir-scratch-'));
  try {
    writeFileSync(join(scratch, 'file'), '');
    const script = 'import { existsSync } from "node:fs"; console.log(process.env.SSL_CERT_FILE)';
    const stateDir = join(scratch, 'file', 'state');
    const { code, stdout, stderr } = await command(['run', '--state-dir', stateDir, '--', ...node(script)], {
      timeout: 60_000,
      env: bare(),
    });
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^weir: state directory .*\/file\/state cannot be used \(ENOTDIR\): this run is recorded in memory only/,
    );
    const used = /^(.*\/weir-run-[^/]+)\/public\/run-/.exec(stdout)?.[1] ?? '';
    assert.notEqual(used, '', stdout);
    assert.ok(!existsSync(used), `${used} is gone`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
