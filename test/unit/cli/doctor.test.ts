import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { rootCertificates } from 'node:tls';
import { clockCheck } from '../../../src/cli/doctor-clock.ts';
import { BUNDLE_VARIABLES } from '../../../src/cli/env.ts';
import { createAuthority } from '../../../src/connection/authority.ts';
import type { StatusReport } from '../../../src/model/admin.ts';
import { REPORT } from '../admin/fake.ts';
import { fakeCollector, tempDir, weir } from './world.ts';

const root = tempDir();
after(() => rmSync(root, { recursive: true, force: true }));

interface Seen {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly message: string;
  readonly next?: string;
}
interface Told {
  readonly checks: readonly Seen[];
  readonly unseen: readonly string[];
  readonly coverage: readonly { readonly program: string; readonly ignores: string; readonly fix: string }[];
}

/** Runs `weir doctor --json`; whatever is not ok must say what to do, in every test. */
async function doctor(stateDir: string, env: NodeJS.ProcessEnv = {}, config?: string): Promise<Told> {
  const all: NodeJS.ProcessEnv = { HOME: root, WEIR_STATE_DIR: stateDir, ...env };
  if (config !== undefined) {
    all['WEIR_CONFIG'] = join(stateDir, 'weir.yaml');
    writeFileSync(all['WEIR_CONFIG'], config, { mode: 0o600 });
  }
  const ran = await weir(['doctor', '--json'], all);
  const told = JSON.parse(ran.out) as Told;
  for (const { name, state, message, next } of told.checks)
    assert.ok(state === 'ok' || (next !== undefined && next !== ''), `${name}: ${message}`);
  assert.equal(ran.code, told.checks.some(({ state }) => state === 'fail') ? 4 : 0, ran.err);
  return told;
}
const of = ({ checks }: Told, name: string): string[] =>
  checks.filter((check) => check.name === name).map(({ state, message }) => `${state} ${message}`);
const fresh = (): string => mkdtempSync(join(root, 'state-'));
async function listening(server: Server): Promise<number> {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  return (server.address() as { port: number }).port;
}

describe('doctor: the shell', () => {
  it('finds proxy variables that lead nowhere, one line for each place', async () => {
    const [alive, dead] = [createServer((socket) => socket.destroy()), createServer()];
    const port = await listening(alive);
    const gone = await listening(dead);
    await new Promise((resolve) => dead.close(resolve));
    const proxies = {
      HTTP_PROXY: `http://a:x@127.0.0.1:${gone}`,
      HTTPS_PROXY: `http://a:hidden@127.0.0.1:${gone}`,
      http_proxy: `http://a:x@127.0.0.1:${port}`,
      ALL_PROXY: `socks5://127.0.0.1:${gone}`,
    };
    const told = await doctor(fresh(), { ...proxies, NODE_USE_ENV_PROXY: '1' });
    alive.close();
    assert.deepEqual(of(told, 'proxy'), [
      `fail HTTP_PROXY, HTTPS_PROXY, ALL_PROXY lead to 127.0.0.1:${gone}, where nothing accepts: programs will fail`,
    ]);
    assert.doesNotMatch(JSON.stringify(told), /hidden/);
  });

  it('takes a proxy variable without a scheme for no URL', async () => {
    for (const text of ['127.0.0.1:8080', 'localhost:8080', 'weir', 'http://'])
      assert.match(
        of(await doctor(fresh(), { HTTPS_PROXY: text }), 'HTTPS_PROXY')[0] ?? '',
        /^fail is not a URL/,
        text,
      );
  });

  it('says who is left out of a half-set environment', async () => {
    const server = createServer((socket) => socket.destroy());
    const url = `http://a:x@127.0.0.1:${await listening(server)}`;
    const half = await doctor(fresh(), { HTTP_PROXY: url, HTTPS_PROXY: url });
    assert.match(of(half, 'http_proxy')[0] ?? '', /^warn .*curl/);
    assert.match(of(half, 'NODE_USE_ENV_PROXY')[0] ?? '', /^warn .*Node/);
    const whole = await doctor(fresh(), {
      HTTP_PROXY: url,
      HTTPS_PROXY: url,
      http_proxy: url,
      NODE_USE_ENV_PROXY: '1',
    });
    server.close();
    assert.deepEqual(
      [...of(whole, 'http_proxy'), ...of(whole, 'NODE_USE_ENV_PROXY'), ...of(whole, 'proxy')],
      [`ok ${url.replace('a:x@', '')} as a`],
    );
  });

  it('looks into every bundle a variable names, one line for each file', async () => {
    const empty = join(root, 'empty.pem');
    writeFileSync(empty, 'nothing\n');
    const told = await doctor(fresh(), {
      NODE_EXTRA_CA_CERTS: '/nonexistent-dir/a.pem',
      CURL_CA_BUNDLE: '/nonexistent-dir/a.pem',
      CODEX_CA_CERTIFICATE: '/nonexistent-dir/a.pem',
      SSL_CERT_FILE: root,
      PIP_CERT: empty,
    });
    assert.deepEqual(of(told, 'NODE_EXTRA_CA_CERTS'), [
      'fail /nonexistent-dir/a.pem (and 2 more variables) does not exist: TLS will fail',
    ]);
    assert.deepEqual(of(told, 'CURL_CA_BUNDLE'), []);
    assert.deepEqual(of(told, 'SSL_CERT_FILE'), [`fail ${root} is not a file: TLS will fail`]);
    assert.deepEqual(of(told, 'PIP_CERT'), [`fail ${empty} holds no certificate: TLS will fail`]);
  });

  it('names what cannot be seen, with the programs on PATH', async () => {
    const bin = mkdtempSync(join(root, 'bin-'));
    for (const name of ['ssh', 'scp', 'wget']) writeFileSync(join(bin, name), '', { mode: 0o755 });
    const plain = await doctor(fresh(), { PATH: bin });
    assert.deepEqual(
      plain.coverage.map(({ program }) => program),
      ['ssh', 'scp'],
      'nothing is intercepted: nobody has to trust the CA',
    );
    const read = await doctor(fresh(), { PATH: bin }, 'intercept: all\n');
    assert.deepEqual(
      read.coverage.map(({ program, ignores }) => `${program} ${ignores}`),
      ['ssh proxy', 'scp proxy', 'wget ca'],
    );
    assert.ok(plain.unseen.some((text) => text.includes('verify --containment')));
    const human = await weir(['doctor'], { HOME: root, WEIR_STATE_DIR: fresh(), PATH: bin });
    assert.match(
      human.out,
      /What cannot be seen from here:\n(?: {2}.*\n)+ {2}ssh, scp: not through Weir\n {6}in ~\/\.ssh/,
    );
  });
});

describe('doctor: clock and files', () => {
  it('a clock before 2026, and one that went back behind the state directory’s files', () => {
    assert.equal(clockCheck(Date.UTC(2025, 11, 31), undefined).state, 'fail');
    const now = Date.UTC(2026, 10, 20);
    const dir = fresh();
    assert.equal(clockCheck(now, join(dir, 'gone')).state, 'ok');
    for (const [minutes, state] of [
      [4, 'ok'],
      [6, 'warn'],
    ] as const) {
      const at = new Date(now + minutes * 60_000);
      writeFileSync(join(dir, 'weir.duckdb'), '');
      utimesSync(join(dir, 'weir.duckdb'), at, at);
      assert.equal(clockCheck(now, dir).state, state, `${minutes} minutes`);
    }
  });

  it('state directory and secrets that others can read', async () => {
    const dir = fresh();
    assert.match(of(await doctor(dir), 'state')[0] ?? '', /^ok /);
    mkdirSync(join(dir, 'private'), { mode: 0o700 });
    writeFileSync(join(dir, 'private', 'ca.key'), '', { mode: 0o644 });
    writeFileSync(join(dir, 'token'), 'long-enough\n', { mode: 0o644 });
    const config = `agents: {a: {token_file: ${dir}/token}}\n`;
    const told = await doctor(dir, {}, config);
    assert.deepEqual(of(told, 'state'), [`fail ${dir}/private/ca.key can be read by other users`]);
    assert.deepEqual(of(told, 'permissions'), [`warn ${dir}/token holds a secret and can be read by other users`]);
    chmodSync(join(dir, 'private', 'ca.key'), 0o600);
    chmodSync(join(dir, 'token'), 0o600);
    chmodSync(dir, 0o755);
    const after_ = await doctor(dir, {}, config);
    assert.deepEqual(of(after_, 'state'), [`fail ${dir} can be read by other users`]);
    assert.deepEqual(of(after_, 'permissions'), []);
  });

  it('policies: none, readable, missing, not a file, a receiver', async () => {
    const dir = fresh();
    assert.match(of(await doctor(dir), 'policies')[0] ?? '', /^ok none are configured/);
    writeFileSync(join(dir, 'good.yaml'), '');
    const told = await doctor(
      dir,
      {},
      `policies: {files: [good.yaml, gone.yaml, .], receiver: "https://p.example/x"}\n`,
    );
    assert.deepEqual(of(told, 'policies'), [
      `ok ${dir}/good.yaml`,
      `fail ${dir}/gone.yaml does not exist`,
      `fail ${dir} is not a file`,
      'warn pulled from https://p.example, and STRATHON_API_KEY is not set in this shell',
    ]);
    const keyed = await doctor(dir, { STRATHON_API_KEY: 'k' }, 'policies: {receiver: "https://p.example/x"}\n');
    assert.deepEqual(of(keyed, 'policies'), ['ok pulled from https://p.example']);
  });

  it('a broken configuration is one failure among the checks of the shell', async () => {
    const told = await doctor(fresh(), { SSL_CERT_FILE: '/nonexistent.pem' }, 'mode: x\nfoo: 1\n');
    assert.match(of(told, 'config')[0] ?? '', /^fail 2 mistakes: mode in /);
    assert.equal(of(told, 'SSL_CERT_FILE').length, 1);
    assert.deepEqual(of(told, 'state'), []);
  });
});

describe('doctor: the CA', () => {
  const dir = fresh();
  const ours = join(root, 'ours.pem');
  const old = join(root, 'old.pem');
  const foreign = join(root, 'foreign.pem');
  let pem = '';
  const facts = () => ({
    certificatePath: join(dir, 'ca.pem'),
    bundlePath: join(dir, 'public', 'bundle.pem'),
    pem,
    fingerprint: '',
    subject: '',
    notBefore: Date.now() - 1000,
    notAfter: Date.now() + 90 * 86_400_000,
    key: '',
  });
  const proxy = createServer((socket) => socket.destroy());
  let url = '';
  let report: StatusReport = REPORT;
  let ca = facts();
  let collector: Awaited<ReturnType<typeof fakeCollector>>;
  before(async () => {
    createAuthority({ dir, ephemeral: false });
    writeFileSync(old, readFileSync(join(dir, 'ca.pem')));
    createAuthority({ dir, ephemeral: false, renew: true });
    pem = readFileSync(join(dir, 'ca.pem'), 'utf8');
    writeFileSync(foreign, rootCertificates[0] ?? '');
    // Windows line ends and no end of line change nothing.
    writeFileSync(ours, `# roots\n${readFileSync(foreign, 'utf8')}\n${pem.trim().replaceAll('\n', '\r\n')}`);
    const port = await listening(proxy);
    url = `http://a:x@127.0.0.1:${port}`;
    report = { ...REPORT, interception: 'all', listeners: [{ address: `127.0.0.1:${port}`, tls: false }] };
    ca = facts();
    collector = await fakeCollector(dir, {
      status: () => Promise.resolve(report),
      ca: () => Promise.resolve(ca),
    });
  });
  after(async () => {
    await collector.stop();
    proxy.close();
  });
  const proxied = () => ({
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    http_proxy: url,
    https_proxy: url,
    NODE_USE_ENV_PROXY: '1',
  });

  it('everything in order', async () => {
    const env = Object.fromEntries(BUNDLE_VARIABLES.map((name) => [name, ours]));
    const told = await doctor(dir, { ...proxied(), ...env });
    assert.deepEqual(
      told.checks.filter(({ state, name }) => state === 'fail' || (state === 'warn' && name !== 'telemetry')),
      [],
    );
    assert.match(of(told, 'bundle')[0] ?? '', /^ok .*bundle\.pem holds the CA in use$/);
    assert.deepEqual(of(told, 'trust'), ['ok NODE_EXTRA_CA_CERTS, SSL_CERT_FILE and 15 more: hold Weir’s CA']);
    assert.match(of(told, 'listener')[0] ?? '', /^ok .* accepts$/);
  });

  it('a CA that was rotated away, a bundle without ours, no bundle at all', async () => {
    const env = { ...proxied(), SSL_CERT_FILE: old, PIP_CERT: foreign, CURL_CA_BUNDLE: ours };
    const states = of(await doctor(dir, env), 'trust');
    assert.match(states[0] ?? '', /^fail SSL_CERT_FILE: a CA of Weir that is not the one in use/);
    assert.match(states[1] ?? '', /^ok CURL_CA_BUNDLE: hold/);
    assert.match(states[2] ?? '', /^fail PIP_CERT: bundles without Weir’s CA/);
    assert.match(of(await doctor(dir, proxied()), 'trust')[0] ?? '', /^warn no variable names a bundle/);
    assert.deepEqual(of(await doctor(dir, { PIP_CERT: foreign }), 'trust'), [], 'no program of this shell comes here');
  });

  it('proxy variables that lead to something else', async () => {
    const other = createServer((socket) => socket.destroy());
    const elsewhere = `http://a:x@127.0.0.1:${await listening(other)}`;
    const told = await doctor(dir, { ...proxied(), ...{ HTTP_PROXY: elsewhere, HTTPS_PROXY: elsewhere } });
    assert.deepEqual(of(told, 'proxy'), [], 'one of them leads here');
    const all = Object.fromEntries(Object.keys(proxied()).map((name) => [name, elsewhere]));
    const away = await doctor(dir, { ...all, NODE_USE_ENV_PROXY: '1' });
    other.close();
    assert.match(of(away, 'proxy')[0] ?? '', /^warn HTTP_PROXY, HTTPS_PROXY and 2 more: not to this Weir/);
  });

  it('nothing is intercepted: nothing has to trust', async () => {
    report = { ...report, interception: 'none' };
    const told = await doctor(dir, { ...proxied(), PIP_CERT: foreign });
    report = { ...report, interception: 'all' };
    assert.deepEqual(of(told, 'trust'), ['ok no TLS is intercepted: nothing has to trust Weir’s CA']);
  });

  it('a CA of the future, one that has expired, one that soon will', async () => {
    const day = 86_400_000;
    for (const [notBefore, notAfter, expected] of [
      [day, 2 * day, /^fail is valid from .* in the future/],
      [-2 * day, -day, /^fail has expired/],
      [-day, 10.5 * day, /^warn valid for 10 days/],
    ] as const) {
      ca = { ...facts(), notBefore: Date.now() + notBefore, notAfter: Date.now() + notAfter };
      assert.match(of(await doctor(dir), 'CA')[0] ?? '', expected);
    }
    ca = facts();
  });

  it('a bundle on disk that is missing or another’s', async () => {
    ca = { ...facts(), bundlePath: join(root, 'gone.pem') };
    assert.match(of(await doctor(dir), 'bundle')[0] ?? '', /^fail .* does not exist$/);
    ca = { ...facts(), bundlePath: foreign };
    assert.match(of(await doctor(dir), 'bundle')[0] ?? '', /^fail .* holds another certificate than the CA$/);
    ca = facts();
  });

  it('what the collector says of itself comes with something to do', async () => {
    const before_ = report;
    report = {
      ...report,
      problems: [
        { code: 'x', severity: 'error', message: 'no room' },
        { code: 'y', severity: 'info', message: 'by the way', next: 'look' },
      ],
      listeners: [{ address: '127.0.0.1:1', tls: false }],
    };
    const told = await doctor(dir);
    report = before_;
    assert.deepEqual(of(told, 'collector').slice(1), ['fail no room', 'ok by the way']);
    assert.deepEqual(of(told, 'listener'), ['fail 127.0.0.1:1 does not accept']);
  });

  it('without a collector the stored one counts; what is no certificate is said', async () => {
    const alone = fresh();
    createAuthority({ dir: alone, ephemeral: false });
    const told = await doctor(alone);
    assert.match(of(told, 'CA')[0] ?? '', /^ok valid for 36\d days$/);
    assert.match(of(told, 'bundle')[0] ?? '', /^ok .* that is stored$/);
    writeFileSync(join(alone, 'ca.pem'), 'garbage');
    assert.match(of(await doctor(alone), 'CA')[0] ?? '', /^fail .* is not a certificate$/);
  });
});

describe('doctor: collector and telemetry', () => {
  it('something that owns the socket and does not answer', async () => {
    const dir = fresh();
    const mute = createServer((socket) => void socket.on('error', () => undefined));
    await new Promise((resolve) => mute.listen(join(dir, 'weir.sock'), () => resolve(undefined)));
    const told = await doctor(dir);
    mute.close();
    assert.match(of(told, 'collector')[0] ?? '', /^fail owns the state directory and does not answer/);
  });

  it('asks what the configuration or the variables mean, with the headers of the exporter', async () => {
    const asked: string[] = [];
    const server = createHttp((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers['x-key'] ?? '-'}`);
      request.resume();
      response.statusCode = request.headers['x-key'] === 'a b' ? 200 : 401;
      response.end('{}');
    });
    const base = `http://127.0.0.1:${await listening(server)}`;
    const dir = fresh();
    const config = `telemetry: {endpoint: "${base}"}\n`;
    const key = { OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20b,bad,=,y=%zz' };
    assert.deepEqual(of(await doctor(dir, key, config), 'telemetry'), [`ok goes to ${base}`]);
    assert.match(of(await doctor(dir, {}, config), 'telemetry')[0] ?? '', /^fail .* answers with 401/);
    const variable = { ...key, OTEL_EXPORTER_OTLP_ENDPOINT: `${base}/` };
    assert.deepEqual(of(await doctor(dir, variable, ''), 'telemetry'), [`ok goes to ${base}`]);
    const traces = { ...key, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${base}/custom` };
    assert.deepEqual(of(await doctor(dir, traces, ''), 'telemetry'), [`ok goes to ${base}`]);
    assert.deepEqual(asked, ['POST /v1/traces a b', 'POST /v1/traces -', 'POST /v1/traces a b', 'POST /custom a b']);
    await new Promise((resolve) => server.close(resolve));
    assert.match(
      of(await doctor(dir, {}, config), 'telemetry')[0] ?? '',
      /^fail .* does not answer OTLP \(ECONNREFUSED\)/,
    );
    assert.match(of(await doctor(dir, {}, 'telemetry: {endpoint: none}\n'), 'telemetry')[0] ?? '', /^ok .*none/);
  });

  it('of a running collector: what it says, asked where it can be', async () => {
    const dir = fresh();
    let telemetry: Partial<StatusReport> = {};
    const collector = await fakeCollector(dir, {
      status: () => Promise.resolve({ ...REPORT, listeners: [], ...telemetry }),
    });
    const consumer = { name: 'otlp-traces', exported: 1, journalled: 0, sampledOut: 0, dropped: {} };
    const told = async () => of(await doctor(dir), 'telemetry');
    assert.match((await told())[0] ?? '', /^warn spans go nowhere/);
    telemetry = { telemetry: { sentence: 'telemetry goes to x' }, consumers: [consumer] };
    assert.deepEqual(await told(), ['ok telemetry goes to x']);
    telemetry = { ...telemetry, consumers: [{ ...consumer, failing: 'ECONNREFUSED' }] };
    assert.deepEqual(await told(), ['fail otlp-traces: ECONNREFUSED; records wait in the journal']);
    telemetry = { telemetry: { sentence: 'x', endpoint: 'http://127.0.0.1:1' }, consumers: [consumer] };
    assert.match((await told())[0] ?? '', /^fail http:\/\/127\.0\.0\.1:1 does not answer OTLP/);
    await collector.stop();
  });
});
