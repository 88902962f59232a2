import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, describe, test } from 'node:test';
import { caCommand } from '../../../src/cli/ca.ts';
import { type Step, type StoreWorld, trustStore } from '../../../src/cli/ca-store.ts';
import { onlyHosts } from '../../../src/cli/ca-trust.ts';
import { type CliError, createCli, type World } from '../../../src/cli/context.ts';
import { createAuthority } from '../../../src/connection/authority.ts';
import type { CaFacts } from '../../../src/model/admin.ts';
import { https } from '../../support/agent.ts';
import { createAuthority as createTestAuthority } from '../../support/certs.ts';
import { clientOrigin } from '../../support/client-origin.ts';
import { GIT_ENV } from '../../support/git-origin.ts';
import { cleanEnv, eventually, startWeir } from '../../support/weir.ts';
import { fakeCollector } from './world.ts';

const made: string[] = [];
after(() => made.forEach((dir) => void rmSync(dir, { recursive: true, force: true })));
function temp(): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-trust-'));
  made.push(dir);
  return dir;
}

const DEBIAN = '/usr/local/share/ca-certificates';
const FEDORA = '/etc/pki/ca-trust/source/anchors';
const ARCH = '/etc/ca-certificates/trust-source/anchors';
const SUSE = '/etc/pki/trust/anchors';

/** A machine under a directory of its own; what it was told to run stands in `ran`. */
function machine(anchors: string, programs: readonly string[], code = 0, platform: NodeJS.Platform = 'linux') {
  const root = temp();
  mkdirSync(join(root, anchors), { recursive: true });
  const ran: string[] = [];
  const world: StoreWorld = {
    platform,
    root,
    home: '/home/ada',
    has: (program) => programs.includes(program),
    run: (command) => {
      ran.push(command.join(' '));
      return Promise.resolve({ code, output: code === 0 ? '' : 'it is broken\n' });
    },
  };
  return { world, ran, directory: join(root, anchors), files: () => readdirSync(join(root, anchors)).sort() };
}

interface Ran {
  readonly out: string;
  readonly err: string;
  readonly error: CliError | undefined;
}

/** One `weir ca …` against a machine of ours; with `answer` on a terminal where that is typed. */
async function ca(args: readonly string[], stateDir: string, world: StoreWorld, answer?: string): Promise<Ran> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let [out, err] = ['', ''];
  stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  if (answer !== undefined) for (const stream of [stdin, stderr]) Object.assign(stream, { isTTY: true });
  stdin.end(answer);
  const env = { HOME: stateDir, WEIR_STATE_DIR: stateDir };
  const cli = createCli(
    { env, stdin, stdout, stderr, cwd: '/' } as unknown as World,
    '0',
    () => ({}),
    () => undefined,
  );
  const command = caCommand(cli, world);
  for (const one of [command, ...command.commands])
    one.exitOverride().configureOutput({ writeErr: (text) => void stderr.write(text) });
  let error: CliError | undefined;
  await command.parseAsync([...args], { from: 'user' }).catch((thrown: CliError) => {
    error = thrown;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return { out, err, error };
}

function kept(): { readonly stateDir: string; readonly pem: string } {
  const stateDir = temp();
  return { stateDir, pem: createAuthority({ dir: stateDir, ephemeral: false }).certPem };
}

const fileOf = (pem: string, suffix: string): string =>
  `weir-${new X509Certificate(pem).fingerprint256.replaceAll(':', '').slice(0, 16).toLowerCase()}${suffix}`;

describe('weir ca trust', () => {
  const SYSTEMS: [string, string, string, string[]][] = [
    [DEBIAN, 'update-ca-certificates', '.crt', ['update-ca-certificates', 'update-ca-certificates --fresh']],
    [FEDORA, 'update-ca-trust', '.pem', ['update-ca-trust extract', 'update-ca-trust extract']],
    [ARCH, 'update-ca-trust', '.crt', ['update-ca-trust', 'update-ca-trust']],
    [SUSE, 'update-ca-certificates', '.pem', ['update-ca-certificates', 'update-ca-certificates']],
  ];
  for (const [anchors, program, suffix, commands] of SYSTEMS) {
    test(`${anchors}: the file comes, untrust takes it and nothing else`, async () => {
      const { stateDir, pem } = kept();
      const { world, ran, files, directory } = machine(anchors, [program]);
      writeFileSync(join(directory, 'corporate.crt'), pem);
      const trusted = await ca(['trust', '--yes'], stateDir, world);
      assert.equal(trusted.error, undefined);
      assert.match(trusted.err, /every program .* will believe Weir’s CA, for every host/);
      const file = fileOf(pem, suffix);
      assert.deepEqual(files(), ['corporate.crt', file].sort());
      assert.equal(readFileSync(join(directory, file), 'utf8'), pem);
      assert.match((await ca(['show'], stateDir, world)).out, new RegExp(`trusted {6}.*${file} \\(every host\\)`));
      assert.equal((await ca(['untrust'], stateDir, world)).error, undefined);
      assert.deepEqual(files(), ['corporate.crt'], 'the same certificate, put there by somebody else, stays');
      assert.deepEqual(ran, commands);
      assert.doesNotMatch((await ca(['show'], stateDir, world)).out, /trusted/);
      assert.match((await ca(['untrust'], stateDir, world)).out, /put nothing/);
    });
  }

  test('macOS: the user’s keychain, by command', async () => {
    const { stateDir, pem } = kept();
    const { world, ran } = machine('x', [], 0, 'darwin');
    await ca(['trust', '--yes'], stateDir, world);
    await ca(['untrust'], stateDir, world);
    const login = '/home/ada/Library/Keychains/login.keychain-db';
    const sha1 = new X509Certificate(pem).fingerprint.replaceAll(':', '');
    assert.deepEqual(ran, [
      `security add-trusted-cert -r trustRoot -k ${login} ${stateDir}/public/ca.pem`,
      `security delete-certificate -Z ${sha1} -t ${login}`,
    ]);
  });

  test('for every host it asks, and without a terminal it wants --yes', async () => {
    const { stateDir } = kept();
    const { world, files } = machine(DEBIAN, ['update-ca-certificates']);
    const silent = await ca(['trust'], stateDir, world);
    assert.deepEqual([silent.error?.exit, files()], [2, []]);
    assert.match(silent.error?.message ?? '', /--yes, or --only HOST/);
    const no = await ca(['trust'], stateDir, world, 'n\n');
    assert.deepEqual([no.error?.message, files()], ['nothing was changed.', []]);
    assert.match(no.err, /Whoever gets its key .*ca\.key.* can then read and change all they send/s);
    assert.equal((await ca(['trust'], stateDir, world, 'y\n')).error, undefined);
    assert.equal(files().length, 1);
  });

  test('--only installs a limited root, keeps what is sent along, and takes the place of what was there', async () => {
    const { stateDir, pem } = kept();
    const { world, files, directory, ran } = machine(DEBIAN, ['update-ca-certificates']);
    await ca(['trust', '--yes'], stateDir, world);
    const { error, out } = await ca(['trust', '--only', 'github.com,*.Example.org'], stateDir, world);
    assert.equal(error, undefined);
    assert.match(out, /trusted for github\.com, example\.org and the names below, for nothing else/);
    const [file = '', ...more] = files();
    assert.deepEqual(more, [], 'the unlimited one is gone');
    const root = new X509Certificate(readFileSync(join(directory, file)));
    assert.notEqual(root.fingerprint256, new X509Certificate(pem).fingerprint256);
    const cross = new X509Certificate(readFileSync(join(stateDir, 'public/ca-cross.pem')));
    assert.ok(cross.verify(root.publicKey));
    assert.ok(cross.publicKey.equals(new X509Certificate(pem).publicKey));
    assert.match((await ca(['show'], stateDir, world)).out, /\(only github\.com, example\.org\)/);
    const before = ran.length;
    await ca(['trust', '--only', 'github.com,example.org'], stateDir, world);
    assert.deepEqual([files(), ran.length], [[file], before], 'the same again changes nothing');
    await ca(['untrust'], stateDir, world);
    assert.deepEqual(files(), []);
    assert.ok(!existsSync(join(stateDir, 'public/ca-cross.pem')));
    assert.ok(existsSync(join(stateDir, 'public/ca.pem')));
  });

  test('after a rotation it says what still trusts the old CA; trusting again replaces it', async () => {
    const { stateDir } = kept();
    const { world, files } = machine(DEBIAN, ['update-ca-certificates']);
    await ca(['trust', '--only', 'github.com'], stateDir, world);
    const [old] = files();
    const { err } = await ca(['rotate', '--yes'], stateDir, world);
    assert.match(err, /still trusts the old one: weir ca trust again, or weir ca untrust/);
    await ca(['trust', '--only', 'github.com'], stateDir, world);
    assert.equal(files().length, 1);
    assert.notDeepEqual(files(), [old]);
  });

  test('a file that somebody else changed, or a list that names other files, takes nothing away', async () => {
    const { stateDir, pem } = kept();
    const { world, files, directory } = machine(DEBIAN, ['update-ca-certificates']);
    await ca(['trust', '--yes'], stateDir, world);
    const [file = ''] = files();
    writeFileSync(join(directory, file), 'theirs now');
    const { out } = await ca(['untrust'], stateDir, world);
    assert.match(out, /is not what weir ca trust put there; it was left alone/);
    assert.deepEqual(files(), [file]);
    const corporate = join(directory, 'corporate.crt');
    writeFileSync(corporate, pem);
    const { fingerprint256, fingerprint } = new X509Certificate(pem);
    const list = join(stateDir, 'private/trusted.json');
    writeFileSync(list, JSON.stringify([{ fingerprint: fingerprint256, sha1: fingerprint, file: corporate }]));
    await ca(['untrust'], stateDir, world);
    assert.ok(existsSync(corporate));
    writeFileSync(list, '{');
    assert.match((await ca(['untrust'], stateDir, world)).error?.message ?? '', /trusted\.json cannot be read/);
  });

  test('without the rights it prints what to type, and finds it again afterwards', async () => {
    const { stateDir, pem } = kept();
    const { world, files, directory, ran } = machine(DEBIAN, ['update-ca-certificates']);
    const file = join(directory, fileOf(pem, '.crt'));
    const { error } = await asNobody(stateDir, directory, () => ca(['trust', '--yes'], stateDir, world));
    const source = join(stateDir, 'public/ca.pem');
    assert.deepEqual((error?.message ?? '').split('\n').slice(1), [
      `  sudo install -m 0644 ${source} ${file}`,
      '  sudo update-ca-certificates',
      'and then once more, so that clients that refused the CA are read again: weir ca trust --yes',
    ]);
    assert.deepEqual([files(), ran], [[], []]);
    writeFileSync(file, pem);
    const untrusted = await asNobody(stateDir, directory, () => ca(['untrust'], stateDir, world));
    assert.deepEqual((untrusted.error?.message ?? '').split('\n').slice(1), [
      `  sudo rm ${file}`,
      '  sudo update-ca-certificates --fresh',
    ]);
    rmSync(file);
    assert.equal((await ca(['untrust'], stateDir, world)).error, undefined);
    assert.match((await ca(['untrust'], stateDir, world)).out, /put nothing/);
  });

  test('it refuses a CA in memory, a machine without a store, a failing program and wrong hosts', async () => {
    const { stateDir, pem } = kept();
    const none = machine('x', []);
    assert.match((await ca(['trust', '--yes'], stateDir, none.world)).error?.message ?? '', /weir ca export/);
    const broken = machine(DEBIAN, ['update-ca-certificates'], 1);
    const failed = await ca(['trust', '--only', 'a.test'], stateDir, broken.world);
    assert.match(failed.error?.message ?? '', /update-ca-certificates failed \(1\): it is broken/);
    for (const wrong of ['@llm', 'com', '*.com', '*', '10.0.0.0/8', 'a b', ''])
      assert.equal((await ca(['trust', '--only', wrong], stateDir, none.world)).error?.name, 'CommanderError', wrong);
    const facts = {
      pem,
      certificatePath: '',
      bundlePath: '',
      fingerprint: '',
      subject: '',
      notBefore: 0,
      notAfter: 0,
      key: '',
    };
    const collector = await fakeCollector(stateDir, { ca: () => Promise.resolve({ ...facts, ephemeral: true }) });
    try {
      const { world, files } = machine(DEBIAN, ['update-ca-certificates']);
      const refused = await ca(['trust', '--only', 'a.test'], stateDir, world);
      assert.match(refused.error?.message ?? '', /lives in memory only .* weir start/s);
      assert.deepEqual(files(), []);
    } finally {
      await collector.stop();
    }
  });
});

describe('clients that had refused the CA', () => {
  const rows = [
    { kind: 'client', agent: 'a', subject: 't13d', reason: 'ALERT_UNKNOWN_CA' },
    { kind: 'host', agent: 'a', subject: 'mtls.test', reason: 'client-certificate-required' },
  ].map((row) => ({ ...row, since: Date.now(), until: Date.now() + 3_600_000 }));

  test('without a collector the next one reads them; hosts stay as they were', async () => {
    const { stateDir } = kept();
    const file = join(stateDir, 'exceptions.json');
    writeFileSync(file, JSON.stringify({ version: 1, exceptions: rows }));
    const { world } = machine(DEBIAN, ['update-ca-certificates']);
    const { out, err } = await ca(['trust', '--only', 'a.test'], stateDir, world);
    assert.match(out, /Clients that had refused it are read again: 1\n/);
    assert.equal(err, '');
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')).exceptions, rows.slice(1));
    assert.doesNotMatch((await ca(['trust', '--only', 'a.test'], stateDir, world)).out, /refused/);
  });

  test('a collector that does not understand is no failure, and said', async () => {
    const { stateDir, pem } = kept();
    const collector = await fakeCollector(stateDir, {
      ca: () => Promise.resolve({ pem } as CaFacts),
      caTrusted: () => Promise.reject(new Error('no such thing')),
    });
    try {
      const { world, files } = machine(DEBIAN, ['update-ca-certificates']);
      const { error, err } = await ca(['trust', '--only', 'a.test'], stateDir, world);
      assert.equal(error, undefined);
      assert.equal(files().length, 1);
      assert.match(err, /are not read yet \(no such thing\)\. Tell the collector: weir ca trust --only a\.test/);
    } finally {
      await collector.stop();
    }
  });

  test('a running collector reads them from then on', { timeout: 60_000 }, async () => {
    const upstream = createTestAuthority();
    const origin = await clientOrigin(upstream.issue(['good.test']));
    const ca_file = join(temp(), 'upstream.pem');
    writeFileSync(ca_file, upstream.cert);
    const resolve = { '*.test': `127.0.0.1:${origin.tlsPort}` };
    const weir = await startWeir({ config: { intercept: 'all', upstream: { resolve, ca_file } } });
    try {
      const pinned = { agent: 'pinned', ca: upstream.cert };
      // Node closes without an alert: three times in a row is a no.
      for (let i = 0; i < 3; i++) await assert.rejects(https(weir, 'https://good.test/', pinned));
      assert.equal((await https(weir, 'https://good.test/', pinned)).status, 200, 'left alone');
      const { world } = machine(DEBIAN, ['update-ca-certificates']);
      const { out, error } = await ca(['trust', '--only', 'good.test'], weir.stateDir, world);
      assert.equal(error, undefined);
      assert.match(out, /read again: 1\n/);
      assert.deepEqual((await weir.status()).exceptions, []);
      const reading = await https(weir, 'https://good.test/', { agent: 'pinned', ca: await weir.ca() });
      assert.equal(reading.status, 200, 'what it meets now is our certificate');
      const audit = await eventually(async () => {
        const rows = await weir.query("SELECT message FROM audit WHERE rule = 'ca-trust'");
        return rows.length > 0 && rows;
      }, 'the audit row');
      assert.deepEqual(audit, [{ message: 'the CA is trusted by this machine; clients that had refused it: 1' }]);
    } finally {
      await weir.stop();
      await origin.close();
    }
  });
});

/** As a user who may write the state directory and not the store. */
async function asNobody<T>(stateDir: string, store: string, work: () => Promise<T>): Promise<T> {
  for (const path of [join(store, '../../../..'), store]) chmodSync(path, 0o555);
  const root = process.geteuid?.() === 0;
  try {
    if (root) {
      for (const path of ['', 'public', 'private', ...readdirSync(stateDir, { recursive: true }).map(String)])
        chownSync(join(stateDir, path), 65_534, 65_534);
      process.seteuid?.(65_534);
    }
    return await work();
  } finally {
    if (root) process.seteuid?.(0);
    chmodSync(store, 0o755);
  }
}

test('hosts of --only: names and addresses, each once, a name with those below it', () => {
  assert.deepEqual(onlyHosts('github.com, *.Example.ORG,example.org,10.0.0.1,2001:DB8::7'), [
    'github.com',
    'example.org',
    '10.0.0.1',
    '2001:db8::7',
  ]);
});

test('steps: nothing where the certificate is already there', () => {
  const { stateDir, pem } = kept();
  const { world } = machine(DEBIAN, ['update-ca-certificates']);
  const store = trustStore(world);
  assert.ok(store);
  const { fingerprint256: fingerprint, fingerprint: sha1 } = new X509Certificate(pem);
  const file = store.file(fingerprint) ?? '';
  const entry = { fingerprint, sha1, file };
  const source = join(stateDir, 'ca.pem');
  const expected: Step[] = [{ put: file, source }, { run: ['update-ca-certificates'] }];
  assert.deepEqual([store.add(entry, source), store.drop([entry])], [expected, []]);
  writeFileSync(file, pem);
  assert.deepEqual(store.add(entry, source), []);
});

function exitOf(command: string, args: readonly string[], env: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    execFile(command, [...args], { env, timeout: 20_000 }, (error) =>
      resolve(error === null ? 0 : typeof error.code === 'number' ? error.code : -1),
    );
  });
}

/** curl here is OpenSSL, git on Debian is GnuTLS: each finds the way through the cross certificate by itself. */
describe('a limited root with real clients', { timeout: 60_000 }, async () => {
  const lacks = async (tool: string): Promise<string | false> =>
    (await exitOf(tool, ['--version'], cleanEnv())) === 0 ? false : `${tool} is not installed`;
  for (const tool of ['curl', 'git'] as const) {
    test(tool, { skip: await lacks(tool) }, async () => {
      const upstream = createTestAuthority();
      const origin = await clientOrigin(upstream.issue(['good.test', 'sub.good.test', 'other.test']));
      const ca_file = join(temp(), 'upstream.pem');
      writeFileSync(ca_file, upstream.cert);
      const resolve = { '*.test': `127.0.0.1:${origin.tlsPort}` };
      const weir = await startWeir({ config: { intercept: 'all', upstream: { resolve, ca_file } } });
      const store = machine(DEBIAN, ['update-ca-certificates']);
      let agents = 0;
      const reaches = async (host: string, roots: string): Promise<boolean> => {
        // A new agent each time: one that once refused us is tunnelled from then on, and would meet the upstream's own certificate.
        const own = {
          GIT_SSL_CAINFO: roots,
          GIT_HTTP_PROXY_AUTHMETHOD: 'basic',
          https_proxy: weir.proxyUrl(`a${++agents}`),
        };
        const env = cleanEnv({ ...GIT_ENV, ...own });
        if (tool === 'git') return (await exitOf('git', ['ls-remote', `https://${host}/git/tiny.git`], env)) === 0;
        return (await exitOf('curl', ['-sS', '-o', '/dev/null', '--cacert', roots, `https://${host}/`], env)) === 0;
      };
      try {
        assert.equal((await ca(['trust', '--only', 'good.test'], weir.stateDir, store.world)).error, undefined);
        const limited = join(store.directory, store.files()[0] ?? '');
        await eventually(() => reaches('good.test', limited), 'the cross certificate is sent along', 15_000);
        assert.ok(await reaches('sub.good.test', limited));
        assert.equal(await reaches('other.test', limited), false, 'outside its limit it vouches for nothing');
        for (const host of ['good.test', 'other.test']) assert.ok(await reaches(host, weir.caFile), host);
        const both = join(temp(), 'both.pem');
        writeFileSync(both, readFileSync(limited, 'utf8') + (await weir.ca()));
        for (const host of ['good.test', 'other.test'])
          assert.ok(await reaches(host, both), `${host}, both roots known`);
        await ca(['untrust'], weir.stateDir, store.world);
        await eventually(async () => !(await reaches('good.test', limited)), 'nothing vouches for it any more', 15_000);
      } finally {
        await weir.stop();
        await origin.close();
      }
    });
  }
});
