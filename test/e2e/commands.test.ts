import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { LogLine, StatusReport } from '../../src/model/admin.ts';
import { https, plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { type CommandOptions, command, type Ran, startCommand } from '../support/command.ts';
import { echoOrigin } from '../support/echo-origin.ts';
import { cleanEnv, eventually, startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

/** This process's own trust would show in what the commands say of the shell. */
const NO_BUNDLES = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => /CERT|_CA_|CAINFO|ROOTS|cafile/i.test(name))
    .map((name) => [name, '']),
);

interface World {
  readonly weir: Weir;
  /** Runs a command against the collector's state directory. */
  weirDo(args: readonly string[], options?: CommandOptions): Promise<Ran>;
  json<T>(...args: string[]): Promise<T>;
  close(): Promise<void>;
}

function openWorld(more: Record<string, unknown> = {}): Promise<World> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const [origin, tls] = await Promise.all([
      echoOrigin(),
      echoOrigin({ tls: upstream.authority.issue(['*.read.example']) }),
    ]);
    later(origin.close);
    later(tls.close);
    const weir = await startWeir({
      config: {
        upstream: {
          resolve: { '*.test': `127.0.0.1:${origin.port}`, '*.example': `127.0.0.1:${tls.port}` },
          ca_file: upstream.caFile,
        },
        ...more,
      },
    });
    later(weir.stop);
    const weirDo: World['weirDo'] = (args, options = {}) => {
      const env = { HOME: weir.stateDir, ...NO_BUNDLES, ...options.env };
      return command([...args, '--state-dir', weir.stateDir], { ...options, env });
    };
    return {
      weir,
      weirDo,
      json: async <T>(...args: string[]): Promise<T> => {
        const { stdout, stderr } = await weirDo([...args, '--json']);
        assert.equal(stderr, '', args.join(' '));
        return JSON.parse(stdout) as T;
      },
    };
  });
}

describe('commands: no collector is running', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
    await plain(world.weir, 'http://once.test/', { agent: 'worker' });
    await world.weir.records('the request', (line) => line.agent === 'worker');
    world.weir.kill('SIGTERM');
    await world.weir.exited;
  });
  after(() => world?.close());

  it('what needs one says so with exit code 3 and what to type', async () => {
    const commands = ['status', 'verify', 'env', 'logs', 'baseline lock worker', 'mode', 'mode worker stop'];
    for (const text of commands) {
      const { code, stdout, stderr } = await world.weirDo(text.split(' '));
      assert.deepEqual([code, stdout], [3, ''], text);
      assert.equal(stderr, `weir: no collector is running with ${world.weir.stateDir}. Start one: weir start\n`);
    }
  });

  it('what does not need one works: query, baseline show, policy suggest, ca, env --unset, check, doctor, help', async () => {
    const rows = await world.weirDo(['query', '--json', 'SELECT agent, host FROM exchanges']);
    assert.deepEqual(JSON.parse(rows.stdout), [{ agent: 'worker', host: 'once.test' }]);
    const learned = await world.weirDo(['baseline', 'show']);
    assert.match(learned.stdout, /^worker: 1 requests, 1 destination\n.*\nonce\.test:80 +learned +1 /);
    const suggested = await world.weirDo(['policy', 'suggest']);
    assert.match(suggested.stdout, /^ {6}# - once\.test:80 +# seen once — review; 1 request, /m);
    const shown = await world.weirDo(['ca', 'show']);
    assert.match(shown.stdout, /^subject {6}O=Weir, CN=Weir local CA/);
    const exported = await world.weirDo(['ca', 'export']);
    assert.equal(new X509Certificate(exported.stdout).ca, true);
    const before = new X509Certificate(exported.stdout).fingerprint256;
    assert.equal((await world.weirDo(['ca', 'rotate', '--yes'])).code, 0);
    assert.notEqual(new X509Certificate((await world.weirDo(['ca', 'export'])).stdout).fingerprint256, before);
    const unset = await world.weirDo(['env', '--unset'], { env: { SSL_CERT_FILE: '/etc/own.pem' } });
    assert.match(
      unset.stdout,
      /^unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy NO_PROXY no_proxy NODE_USE_ENV_PROXY GIT_HTTP_PROXY_AUTHMETHOD\n$/,
    );
    assert.equal((await world.weirDo(['check'])).code, 0);
    const doctor = await world.weirDo(['doctor']);
    assert.equal(doctor.code, 0, doctor.stdout);
    assert.match(doctor.stdout, /^warn +collector +none is running with this state directory\n +weir start$/m);
    assert.equal((await world.weirDo(['help'])).code, 0);
  });

  it('wrong usage is exit code 2', async () => {
    for (const text of [
      'nonsense',
      'status --jsn',
      'query',
      'logs --since yesterday',
      'mode full',
      'env --agent ../x',
      'purge',
      'baseline accept a',
    ]) {
      const { code, stdout, stderr } = await world.weirDo(text.split(' '));
      assert.deepEqual([code, stdout], [2, ''], `${text}: ${stderr}`);
      assert.match(stderr, /^weir: /, text);
    }
  });
});

describe('commands: a fresh collector with defaults', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
  });
  after(() => world?.close());

  it('verify passes out of the box, says who it takes us for and what this shell trusts', async () => {
    const before = await world.json<StatusReport>('status');
    assert.equal(before.verified, false);
    const { code, stdout } = await world.weirDo(['verify']);
    assert.equal(code, 0, stdout);
    assert.equal(
      stdout,
      'http  through  agent default (default), plaintext, monitor, cooperative\n' +
        'https through  agent default (default), intercepted, monitor, cooperative\n' +
        'this shell: no proxy variable leads here; no TLS is intercepted, so nothing has to trust Weir’s CA\n',
    );
    assert.equal((await world.json<StatusReport>('status')).verified, true);
    const named = await world.json<{ through: boolean; answers: Record<string, unknown>[] }>(
      'verify',
      '--agent',
      'worker',
    );
    assert.equal(named.through, true);
    assert.deepEqual(named.answers[0], {
      scheme: 'http',
      through: true,
      agent: 'worker',
      identified_by: 'claim',
      visibility: 'plaintext',
      mode: 'monitor',
      containment: 'cooperative',
    });
  });

  it('one curl proves path and identity', async () => {
    const answer = await shell(`curl -s -x ${world.weir.proxyUrl('worker')} http://verify.weir.invalid/`);
    assert.deepEqual(JSON.parse(answer.stdout), {
      through: 'weir',
      agent: 'worker',
      identified_by: 'claim',
      visibility: 'plaintext',
      mode: 'monitor',
      containment: 'cooperative',
    });
  });

  it('verify through something else fails with 4', async () => {
    const other = await echoOrigin();
    try {
      const { code, stdout } = await world.weirDo(['verify', '--proxy', `http://worker:x@127.0.0.1:${other.port}`]);
      assert.equal(code, 4);
      assert.match(stdout, /^http +failed +the answer did not come from Weir$/m);
      const gone = await world.weirDo(['verify', '--proxy', 'http://127.0.0.1:1']);
      assert.deepEqual([gone.code, /nothing listens on 127\.0\.0\.1:1/.test(gone.stdout)], [4, true]);
    } finally {
      await other.close();
    }
  });
});

/** A POSIX shell line with nothing inherited that steers a client. */
function shell(line: string, env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn('sh', ['-c', line], {
      env: cleanEnv({ ...NO_BUNDLES, ...env }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (part: Buffer) => {
      stdout += part.toString('utf8');
    });
    child.stderr.on('data', (part: Buffer) => {
      stderr += part.toString('utf8');
    });
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

describe('commands: a collector that reads', () => {
  let world: World;
  before(async () => {
    world = await openWorld({ intercept: 'all', agents: { worker: {} }, destinations: { blocked: ['no.test'] } });
    const ca = await world.weir.ca();
    await plain(world.weir, 'http://yes.test/a', { agent: 'worker' });
    await plain(world.weir, 'http://no.test/b', { agent: 'worker' });
    await https(world.weir, 'https://x.read.example/c', { agent: 'other', ca });
    await world.weir.records('all', (line) => line.path === '/c');
  });
  after(() => world?.close());

  it('env: eval "$(weir env)" and curl works for http and https; --unset takes it back', async () => {
    const bin = process.env['WEIR_TEST_BIN'] ?? join(import.meta.dirname, '../../src/cli/bin.ts');
    const weir = `"${process.execPath}" "${bin}"`;
    const dir = `--state-dir "${world.weir.stateDir}"`;
    const line = [
      `eval "$(${weir} env --agent worker ${dir})"`,
      'curl -s -o /dev/null -w "%{http_code} " http://env.test/http',
      'curl -s -o /dev/null -w "%{http_code} " https://env.read.example/https',
      `${weir} verify ${dir} | tail -1`,
      `eval "$(${weir} env --unset ${dir})"`,
      // npm's own npm_config_noproxy is not ours.
      'env | grep -v ^npm_ | grep -ciE "proxy=|bundle.pem" || true',
    ].join('; ');
    const { stdout, stderr } = await shell(line);
    assert.equal(stdout, '200 200 this shell: its programs come through here and trust Weir’s CA\n0\n', stderr);
    const seen = await world.weir.records(
      'both',
      (one) => one.destination?.startsWith('env.') === true && one.path === '/https',
    );
    assert.deepEqual([seen[0]?.agent, seen[0]?.visibility], ['worker', 'intercepted']);
  });

  it('env: every variable, --json and --docker', async () => {
    const vars = await world.json<Record<string, string>>('env', '--agent', 'worker');
    assert.equal(vars['HTTPS_PROXY'], `http://worker:x@127.0.0.1:${world.weir.port}`);
    assert.equal(vars['NO_PROXY'], 'localhost,127.0.0.1,::1');
    const bundle = join(world.weir.stateDir, 'public', 'bundle.pem');
    for (const name of [
      'NODE_EXTRA_CA_CERTS',
      'SSL_CERT_FILE',
      'REQUESTS_CA_BUNDLE',
      'CURL_CA_BUNDLE',
      'GIT_SSL_CAINFO',
      'npm_config_cafile',
    ]) {
      assert.equal(vars[name], bundle, name);
    }
    assert.ok((await readFile(bundle, 'utf8')).includes((await world.weir.ca()).trim()));
    const docker = await world.weirDo(['env', '--docker', '--agent', 'worker']);
    assert.match(
      docker.stdout,
      new RegExp(`^HTTP_PROXY=http://worker:x@host\\.docker\\.internal:${world.weir.port}$`, 'm'),
    );
    assert.match(docker.stdout, /^SSL_CERT_FILE=\/etc\/weir\/bundle\.pem$/m);
    assert.match(docker.stderr, /mount the bundle's directory into the container: -v /);
  });

  it('verify says when this shell does not trust what will be shown to it', async () => {
    const bare = await world.weirDo(['verify']);
    assert.equal(bare.code, 0, 'the path works');
    assert.match(
      bare.stdout,
      /\nthis shell: no proxy variable leads here; no variable of it names a bundle with Weir’s CA: eval "\$\(weir env\)"\n$/,
    );
    const half = await world.weirDo(['verify'], {
      env: { CURL_CA_BUNDLE: join(world.weir.stateDir, 'public', 'bundle.pem'), SSL_CERT_FILE: '/dev/null' },
    });
    assert.match(half.stdout, /SSL_CERT_FILE name bundles without Weir’s CA/);
  });

  it('status', async () => {
    const report = await world.json<StatusReport>('status');
    assert.deepEqual([report.mode, report.pid, report.interception], ['monitor', world.weir.pid, 'all']);
    const worker = report.agents.find(({ agent }) => agent === 'worker');
    assert.ok((worker?.requests ?? 0) >= 2);
    assert.equal(worker?.wouldBlock, 1);
    const { code, stdout } = await world.weirDo(['status']);
    assert.equal(code, 0);
    assert.match(
      stdout,
      new RegExp(`^weir \\S+ {2}pid ${world.weir.pid} {2}up \\d+ s\n {2}mode +monitor · cooperative`),
    );
    assert.match(stdout, /^ {2}listens +127\.0\.0\.1:\d+$/m);
    assert.match(stdout, /^AGENT +BY +MODE +BASELINE +REQUESTS/m);
    assert.match(stdout, /^worker +claim +monitor +learning +\d+ /m);
    assert.match(stdout, /^ {2}worker: learning, \d+ requests?, \d+ destinations?/m);
    assert.match(stdout, /^started \d+, open 0, /m);
    assert.doesNotMatch(stdout, /\u001b/, 'no colour without a terminal');
  });

  it('logs: filters, --json and what would be blocked', async () => {
    const lines = async (...args: string[]): Promise<LogLine[]> =>
      (await world.weirDo(['logs', '--json', ...args])).stdout
        .trimEnd()
        .split('\n')
        .filter(Boolean)
        .map((text) => JSON.parse(text) as LogLine);
    const blocked = await lines('--blocked');
    assert.deepEqual(
      blocked.map(({ destination, would }) => [destination, would]),
      [['no.test:80', 'block']],
    );
    assert.ok((await lines('--agent', 'other')).every(({ agent }) => agent === 'other'));
    assert.equal((await lines('-n', '1')).length, 1);
    assert.equal((await lines('--since', '1h')).length >= 3, true);
    const human = await world.weirDo(['logs', '--agent', 'worker', '--blocked']);
    assert.match(
      human.stdout,
      /^\d\d:\d\d:\d\d {2}worker +GET +no\.test:80\/b {2}200 .* {2}would block {2}\[no\.test is on a block list\]\n$/,
    );
  });

  it('logs -f goes on with what happens now and ends on SIGINT', async () => {
    const following = startCommand([
      'logs',
      '-f',
      '--json',
      '-n',
      '1',
      '--agent',
      'worker',
      '--state-dir',
      world.weir.stateDir,
    ]);
    await eventually(() => following.stdout().includes('\n'), 'what was');
    await eventually(async () => {
      await plain(world.weir, 'http://live.test/now', { agent: 'worker' });
      await plain(world.weir, 'http://live.test/hidden', { agent: 'other' });
      return following.stdout().includes('/now');
    }, 'what happens');
    following.kill('SIGINT');
    const { code, stdout } = await following.ended;
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /hidden/);
  });

  it('query: table, json, csv, limit, standard input, errors', async () => {
    const sql =
      "SELECT host, count(*)::INT AS n FROM exchanges WHERE host IN ('yes.test', 'no.test') GROUP BY host ORDER BY host";
    assert.deepEqual(await world.json('query', sql), [
      { host: 'no.test', n: 1 },
      { host: 'yes.test', n: 1 },
    ]);
    assert.equal(
      (await world.weirDo(['query', '--format', 'csv', sql])).stdout.replaceAll('\r', ''),
      'host,n\nno.test,1\nyes.test,1\n',
    );
    assert.match((await world.weirDo(['query', sql])).stdout, /^host +n\n─+ +─+\nno\.test +1\nyes\.test +1\n$/);
    assert.match((await world.weirDo(['query', '-', '-n', '1'], { input: sql })).stdout, /no\.test +1/);
    const wrong = await world.weirDo(['query', 'SELECT nothing FROM nowhere']);
    assert.deepEqual([wrong.code, wrong.stdout], [1, '']);
    assert.match(wrong.stderr, /^weir: .*nowhere/);
    for (const table of ['connections', 'exchanges', 'findings', 'destinations', 'agents', 'audit']) {
      assert.equal((await world.weirDo(['query', `SELECT count(*) FROM ${table}`])).code, 0, table);
    }
  });

  it('ca: show, export to a file, rotate', async () => {
    const facts = await world.json<{ fingerprint: string; pem: string; certificatePath: string }>('ca', 'show');
    assert.equal(new X509Certificate(facts.pem).fingerprint256, facts.fingerprint);
    const file = join(world.weir.stateDir, 'exported.pem');
    assert.equal((await world.weirDo(['ca', 'export', file])).code, 0);
    assert.equal(await readFile(file, 'utf8'), facts.pem);
    const rotated = await world.json<{ fingerprint: string }>('ca', 'rotate', '--yes');
    assert.notEqual(rotated.fingerprint, facts.fingerprint);
    const old = https(world.weir, 'https://x.read.example/old', { agent: 'rotating', ca: facts.pem });
    await assert.rejects(old, /certificate|verify/);
    const fresh = await https(world.weir, 'https://x.read.example/new', {
      agent: 'rotating',
      ca: await world.weir.ca(),
    });
    assert.equal(fresh.status, 200);
    const audit = await world.weir.query("SELECT rule FROM audit WHERE rule = 'ca-rotate'");
    assert.equal(audit.length, 1);
  });

  it('check: every mistake with its line, --json, --reference, --schema', async () => {
    const file = join(world.weir.stateDir, 'checked.yaml');
    await writeFile(file, 'mode: montior\nintercept: all\nlimit: {}\n', { mode: 0o600 });
    const { code, stderr } = await world.weirDo(['check', '--config', file]);
    assert.equal(code, 4);
    assert.match(
      stderr,
      /^weir: mode in ~\/checked\.yaml:1: .* did you mean monitor\?\nweir: unknown key "limit" in ~\/checked\.yaml:3 — did you mean "limits"\?\n$/,
    );
    const found = JSON.parse((await world.weirDo(['check', '--config', file, '--json'])).stdout) as {
      ok: boolean;
      problems: { key: string }[];
    };
    assert.deepEqual([found.ok, found.problems.map(({ key }) => key)], [false, ['mode', 'limit']]);
    await writeFile(file, 'intercept: {only: ["@nonsense"]}\nupstream: {ca_file: gone.pem}\n', { mode: 0o600 });
    const deeper = await world.weirDo(['check', '--config', file]);
    assert.equal(deeper.code, 4);
    assert.match(deeper.stderr, /@nonsense is no category/);
    assert.match(deeper.stderr, /gone\.pem cannot be read/);
    assert.match((await world.weirDo(['check', '--reference'])).stdout, /baseline\.ready_after_requests/);
    assert.equal(typeof JSON.parse((await world.weirDo(['check', '--schema'])).stdout), 'object');
  });

  it('doctor: human and --json, 4 when something fails', async () => {
    const { code, stdout } = await world.weirDo(['doctor']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, new RegExp(`^ok +collector +running, pid ${world.weir.pid}, monitor, cooperative$`, 'm'));
    assert.match(stdout, /^What cannot be seen from here:$/m);
    const sick = await world.weirDo(['doctor', '--json'], { env: { HTTPS_PROXY: 'nonsense', NO_PROXY: '*' } });
    assert.equal(sick.code, 4);
    const { checks } = JSON.parse(sick.stdout) as { checks: { name: string; state: string }[] };
    assert.ok(checks.some(({ name, state }) => name === 'NO_PROXY' && state === 'fail'));
  });

  it('mode: shown, and lowered with a warning', async () => {
    assert.match((await world.weirDo(['mode'])).stdout, /^monitor\n/);
    const raised = await world.weirDo(['mode', 'worker', 'enforce', '--json']);
    assert.deepEqual(JSON.parse(raised.stdout), { message: 'worker: enforce, was monitor', lowered: false });
    const lowered = await world.json<{ lowered: boolean }>('mode', 'worker', 'monitor');
    assert.equal(lowered.lowered, true);
  });

  it('baseline: show as JSON', async () => {
    const stats = await world.json<{ agent: string; destinations: { host: string }[] }[]>('baseline', 'show', 'worker');
    assert.equal(stats[0]?.agent, 'worker');
    assert.ok(stats[0]?.destinations.some(({ host }) => host === 'yes.test'));
    const all = await world.weirDo(['baseline', 'show']);
    assert.match(all.stdout, /^worker: learning, /m);
  });

  it('purge erases rows, memory and journal of an agent, and is audited', async () => {
    await plain(world.weir, 'http://erase-me.test/secret-path', { agent: 'forgotten' });
    await world.weir.records('the row', (line) => line.agent === 'forgotten');
    const { code, stdout } = await world.weirDo(['purge', '--agent', 'forgotten', '--yes']);
    assert.equal(code, 0);
    assert.match(stdout, /^\d+ rows and \d+ journal records erased/);
    const tables = ['exchanges', 'findings', 'destinations', 'agents', 'connections'];
    for (const table of tables) {
      assert.deepEqual(
        await world.weir.query(`SELECT count(*)::INT AS n FROM ${table} WHERE agent = 'forgotten'`),
        [{ n: 0 }],
        table,
      );
    }
    const shown = await world.json<unknown[]>('baseline', 'show', 'forgotten');
    assert.deepEqual(shown, [], 'what was learned is forgotten too');
    assert.equal((await world.json<unknown[]>('baseline', 'show', 'worker')).length, 1, 'others stay');
    const asked = await world.weirDo(['purge', '--agent', 'worker']);
    assert.deepEqual([asked.code, asked.stderr], [2, 'weir: this erases for good; without a terminal add --yes\n']);
    const audit = await world.weir.query("SELECT message FROM audit WHERE rule = 'purge'");
    assert.equal(audit.length, 1);
  });

  it('output into a pipe that closes is a normal end', async () => {
    const bin = process.env['WEIR_TEST_BIN'] ?? join(import.meta.dirname, '../../src/cli/bin.ts');
    const line = `"${process.execPath}" "${bin}" logs --state-dir "${world.weir.stateDir}" | head -1`;
    const { code, stderr } = await shell(line);
    assert.deepEqual([code, stderr], [0, '']);
  });
});
