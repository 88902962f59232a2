import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { line, REPORT } from '../admin/fake.ts';
import { fakeCollector, tempDir, weir } from './world.ts';

const dir = tempDir();
const env = { HOME: dir, WEIR_STATE_DIR: dir };
const learned = {
  agent: 'researcher',
  firstSeen: 0,
  lastSeen: 0,
  requests: 412,
  lastNewAt: 0,
  locked: false,
  destinations: [
    {
      host: 'api.example.org',
      port: 443,
      firstSeen: 0,
      lastSeen: 0,
      count: 5,
      requestBytes: 10,
      responseBytes: 20,
      methods: ['GET'],
      status: 'learned' as const,
    },
  ],
};
const evil = 'evil\u001b[2J\u202emoc.example\nfake line';
const lastCall = (): unknown => collector.calls.at(-1)?.[1];
let collector: Awaited<ReturnType<typeof fakeCollector>>;
before(async () => {
  collector = await fakeCollector(dir, {
    baselines: () => Promise.resolve([learned]),
    logs: () =>
      Promise.resolve([
        line({
          method: 'GET',
          destination: 'api.example.org:443',
          path: '/v1',
          status: 200,
          requestBytes: 0,
          responseBytes: 3100,
          durationMs: 12.4,
        }),
        line({ method: 'POST', destination: evil, status: 403, action: 'block', message: `never seen: ${evil}` }),
        line({ kind: 'finding', rules: ['agent-first-seen'], would: 'block' }),
      ]),
  });
});
after(async () => {
  await collector.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('status shows the report, as text and as JSON', async () => {
  const human = await weir(['status'], env);
  assert.equal(human.code, 0, human.err);
  for (const part of [
    'monitor · cooperative · not verified yet: weir verify',
    '127.0.0.1:8080',
    'researcher: learning, 412 requests',
    '3.1 MB',
    'duckdb',
    'exported 411',
  ])
    assert.ok(human.out.includes(part), `${part} in\n${human.out}`);
  assert.deepEqual(JSON.parse((await weir(['--json', 'status'], env)).out), REPORT);
  assert.deepEqual(JSON.parse((await weir(['status', '--json'], env)).out), REPORT);
});

test('text from the network is shown, never obeyed', async () => {
  const { out } = await weir(['logs'], env);
  assert.equal(out.trimEnd().split('\n').length, 3);
  assert.doesNotMatch(out, /[\u001b\u202e]/u);
  assert.match(out, /evil<U\+001B>\[2J<U\+202E>moc\.example<U\+000A>fake line/);
  assert.match(out, /blocked/);
  assert.match(out, /GET {6}api\.example\.org:443\/v1 {2}200 {2}↑0 B ↓3\.1 KB {2}12 ms/);
  assert.match(out, /would block {2}\[agent-first-seen\]/);
});

test('logs --json is one object per line', async () => {
  const lines = (await weir(['logs', '--json'], env)).out.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((text) => (JSON.parse(text) as { kind: string }).kind),
    ['exchange', 'exchange', 'finding'],
  );
});

test('env prints what product.md §9 sets', async () => {
  const { out } = await weir(['env', '--agent', 'researcher'], env);
  assert.match(out, /^export HTTP_PROXY=http:\/\/researcher:x@127\.0\.0\.1:8080$/m);
  assert.match(out, /^export https_proxy=http:\/\/researcher:x@127\.0\.0\.1:8080$/m);
  assert.match(out, /^export NO_PROXY=localhost,127\.0\.0\.1,::1$/m);
  assert.match(out, /^export GIT_HTTP_PROXY_AUTHMETHOD=basic$/m);
  assert.match(out, /^export NODE_EXTRA_CA_CERTS=\/state\/public\/ca-bundle\.pem$/m);
  const set = new Map(
    out
      .trim()
      .split('\n')
      .map((text) => text.replace(/^export /, '').split('=') as [string, string]),
  );
  const names = async (more: Record<string, string>): Promise<string[]> =>
    (await weir(['env', '--unset'], { ...env, ...more })).out.trim().split(' ').slice(1);
  const always = [...set.keys()].filter((name) => !/CA|CERT|ROOTS|cafile/.test(name));
  assert.deepEqual(await names({ SSL_CERT_FILE: '/etc/own.pem' }), always, 'a bundle of somebody else stays');
  const stateDir = join(dir, 'state');
  const ours = { WEIR_STATE_DIR: stateDir, SSL_CERT_FILE: join(stateDir, 'public', 'bundle.pem') };
  assert.deepEqual(await names(ours), [...always, 'SSL_CERT_FILE']);
  const docker = await weir(['env', '--docker'], env);
  assert.match(docker.out, /^HTTPS_PROXY=http:\/\/default:x@host\.docker\.internal:8080$/m);
  assert.match(docker.out, /^SSL_CERT_FILE=\/etc\/weir\/bundle\.pem$/m);
  assert.match(docker.err, /-v \/state\/public:\/etc\/weir:ro/);
  const bad = await weir(['env', '--agent', '../x'], env);
  assert.equal(bad.code, 2);
  assert.match(bad.err, /^weir: "\.\.\/x" is not an agent name/);
});

test('mode: raising prints the preflight and proceeds without a terminal', async () => {
  const raised = await weir(['mode', 'enforce'], env);
  assert.equal(raised.code, 0);
  assert.match(raised.err, /monitor → enforce: of 412 requests in the last 7 d 0 h, 2 would have been stopped\./);
  assert.match(raised.err, /2 × researcher → example\.org \(destination-not-allowed\)/);
  assert.match(raised.err, /enforce is cooperative here/);
  assert.equal(raised.out, 'enforce for everybody.\n');
  assert.deepEqual(collector.calls.at(-1)?.slice(0, 3), ['mode', undefined, 'enforce']);
  const stopped = await weir(['mode', 'researcher', 'stop'], env);
  assert.equal(stopped.err, '');
  assert.deepEqual(collector.calls.at(-1)?.slice(0, 3), ['mode', 'researcher', 'stop']);
  const wrong = await weir(['mode', 'researcher', 'off'], env);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /"off" is not a mode\. Use one of: monitor, redact, enforce, stop, resume/);
  assert.equal((await weir(['mode'], env)).out, 'monitor\n');
});

test('baseline verbs, export and import', async () => {
  assert.match((await weir(['baseline', 'show'], env)).out, /api\.example\.org:443 {2}learned/);
  await weir(['baseline', 'accept', 'researcher', 'a.example', 'b.example:8443'], env);
  const asked = lastCall() as { verb: string; destinations: string[]; actor: string };
  assert.deepEqual([asked.verb, asked.destinations], ['accept', ['a.example', 'b.example:8443']]);
  assert.match(asked.actor, /^cli /);
  await weir(['baseline', 'lock', 'researcher', '--off'], env);
  assert.equal((lastCall() as { verb: string }).verb, 'unlock');
  const file = join(dir, 'export.json');
  assert.equal((await weir(['baseline', 'export', 'researcher', file], env)).code, 0);
  const { weirBaseline, exportedAt, ...rest } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  assert.deepEqual([weirBaseline, typeof exportedAt, rest], [1, 'string', learned]);
  await weir(['baseline', 'import', 'coder', file], env);
  const imported = lastCall() as { verb: string; agent: string; document: { agent: string } };
  assert.deepEqual([imported.verb, imported.agent, imported.document.agent], ['import', 'coder', 'coder']);
  writeFileSync(file, '{"destinations":[{"host":1}]}');
  assert.match((await weir(['baseline', 'import', 'coder', file], env)).err, /is not an exported baseline/);
});

test('purge asks for a narrowing and for --yes without a terminal', async () => {
  assert.match((await weir(['purge'], env)).err, /say what to erase/);
  assert.match((await weir(['purge', '--all'], env)).err, /without a terminal add --yes/);
  assert.match((await weir(['purge', '--all', '--host', 'x', '--yes'], env)).err, /--all does not go with/);
  assert.equal((await weir(['purge', '--host', 'x.example', '--yes'], env)).out, '3 rows are gone.\n');
  assert.deepEqual(collector.calls.at(-1)?.slice(0, 2), ['purge', { host: 'x.example' }]);
  await weir(['purge', '--all', '--yes'], env);
  assert.deepEqual(collector.calls.at(-1)?.slice(0, 2), ['purge', {}]);
});

test('ca show and export', async () => {
  assert.match((await weir(['ca', 'show'], env)).out, /fingerprint {2}AA:BB/);
  assert.equal((await weir(['ca', 'export'], env)).out, '-----BEGIN CERTIFICATE-----\n');
});

test('a broken configuration does not keep a named state directory from being reached', async () => {
  const file = join(dir, 'broken.yaml');
  writeFileSync(file, 'mode: x', { mode: 0o600 });
  const ran = await weir(['status', '--config', file], env);
  assert.equal(ran.code, 0);
  assert.match(ran.err, /^weir: the configuration has errors/);
  assert.equal((await weir(['status', '--config', file], { HOME: dir })).code, 2);
});
