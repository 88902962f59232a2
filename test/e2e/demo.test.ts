import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { command, startCommand } from '../support/command.ts';
import { onTerminal } from '../support/pty.ts';
import { cleanEnv, eventually } from '../support/weir.ts';

const BIN = process.env['WEIR_TEST_BIN'] ?? fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url));
/** The demo's own limit is below a minute; it is not this test that measures it. */
const timeout = 90_000;
const TITLES = [
  'Weir learns what is normal',
  'A host it has never seen',
  'A known host, somebody else’s key',
  'What would be blocked',
  'The same, enforced',
];

const has = (program: string, ...args: readonly string[]): boolean => spawnSync(program, args).status === 0;
const namespaces = has('unshare', '-rn', 'ip', 'link', 'set', 'lo', 'up');
const terminal = has('python3', '-c', 'import pty');

interface Place {
  /** Empty but for what the demo has there. */
  readonly tmp: string;
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
  /** Files and processes of a demo that ran here. */
  left(): { readonly files: string[]; readonly processes: string[] };
}

function place(t: TestContext): Place {
  const dir = mkdtempSync(join(tmpdir(), 'wd-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const [tmp, home] = [mkdtempSync(join(dir, 't')), mkdtempSync(join(dir, 'h'))];
  return {
    tmp,
    home,
    env: { TMPDIR: tmp, HOME: home, XDG_CACHE_HOME: home, XDG_STATE_HOME: '', XDG_CONFIG_HOME: '' },
    left: () => ({ files: readdirSync(tmp), processes: processesOf(tmp) }),
  };
}

/** `<pid> <command line>` of those that name the directory. */
function processesOf(directory: string): string[] {
  return commandLines().filter((line) => line.includes(directory));
}

function commandLines(): string[] {
  if (process.platform !== 'linux')
    return spawnSync('ps', ['-A', '-o', 'pid=,args='], { encoding: 'utf8' }).stdout.split('\n');
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => {
    try {
      return `${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`;
    } catch {
      // It has ended meanwhile.
      return '';
    }
  });
}

/** The collector of a demo that runs now. */
function collectorPid(directory: string): number {
  return Number.parseInt(processesOf(directory).find((line) => line.includes('--state-dir')) ?? '', 10);
}

const NOTHING = { files: [], processes: [] };
const headings = (text: string): string[] => [...text.matchAll(/^\d {2}(.+)$/gm)].map(([, title = '']) => title);
/** As if continued lines had not been broken. */
const flat = (text: string): string => text.replaceAll(/\s+/g, ' ');

function isStory(stdout: string): void {
  assert.deepEqual(headings(stdout), TITLES);
  const told = flat(stdout);
  for (const words of [
    /researcher: learning, 8 requests, 3 destinations/,
    /researcher: ready, 48 requests, 3 destinations/,
    /files-drop\.example:80\/in\/notes\.tar 200 ↑48\.0 KB .*\[this agent reached a destination it has never connected to/,
    /\[researcher used a credential it has never used with llm\.example\]/,
    /paste\.example:80\/new 200 .* would block \[paste\.example is on a block list\]/,
    /paste\.example got all 2\.0 KB/,
    /of 51 requests in the last .*, 1 would have been stopped\./,
    /researcher: enforce, was monitor/,
    /monitor block forward 200 [0-9A-Z]{10}/,
  ])
    assert.match(told, words);
  const ref = /HTTP\/1\.1 403 Blocked by Weir: .* \(ref ([0-9A-Z]{10})\) \{"error":/.exec(told)?.[1];
  assert.ok(ref);
  assert.match(told, new RegExp(`"next":"[^}]*","ref":"${ref}"\\}`));
  assert.match(told, new RegExp(`enforce block block 403 ${ref}`));
  for (const next of ['weir run -- <your agent>', 'weir report', 'README.md']) assert.ok(stdout.includes(next), next);
  assert.doesNotMatch(stdout, /demo-key|Bearer/i);
}

describe('weir demo', { timeout: 6 * timeout }, () => {
  it('tells its story whatever the environment says, and leaves nothing', async (t) => {
    const { env, home, left } = place(t);
    const dead = 'http://127.0.0.1:9';
    const { code, stdout, stderr } = await command(['demo'], {
      timeout,
      cwd: home,
      env: {
        ...env,
        WEIR_CONFIG: '/nonexistent/weir.yaml',
        WEIR_STATE_DIR: '/nonexistent/state',
        WEIR_MODE: 'enforce',
        OTEL_EXPORTER_OTLP_ENDPOINT: dead,
        HTTP_PROXY: dead,
        HTTPS_PROXY: dead,
        http_proxy: dead,
        NODE_USE_ENV_PROXY: '1',
      },
    });
    assert.deepEqual([stderr, code], ['', 0]);
    isStory(stdout);
    assert.doesNotMatch(stdout, /\u001b/u);
    const lines = stdout.trimEnd().split('\n');
    assert.ok(lines.length <= 75, `${lines.length} lines`);
    assert.deepEqual(
      lines.filter((line) => line.length > 100),
      [],
    );
    assert.deepEqual(left(), NOTHING);
    // Compiled code, as of every command; no state, no configuration.
    assert.deepEqual(readdirSync(home), ['weir']);
  });

  it('gives its steps as data', async (t) => {
    const { env, left } = place(t);
    const { code, stdout, stderr } = await command(['demo', '--json'], { timeout, env });
    assert.deepEqual([stderr, code], ['', 0]);
    const { ok, seconds, steps } = JSON.parse(stdout) as {
      ok: boolean;
      seconds: number;
      steps: { title: string; parts: { command?: string; recorded?: { rules: string[]; action: string } }[] }[];
    };
    assert.deepEqual([ok, seconds < 60], [true, true]);
    assert.deepEqual(
      steps.map(({ title }) => title),
      TITLES,
    );
    const recorded = steps.map(({ parts }) => parts.find((part) => part.recorded !== undefined)?.recorded);
    assert.deepEqual(
      recorded.map((line) => line?.action),
      [undefined, 'forward', 'forward', 'forward', 'block'],
    );
    for (const [step, rule] of [
      'first-seen',
      'credential-first-seen',
      'destination-blocked',
      'destination-blocked',
    ].entries())
      assert.ok(recorded[step + 1]?.rules.includes(rule), rule);
    assert.ok(steps.every(({ parts }) => parts.some((part) => part.command?.startsWith('weir '))));
    assert.doesNotMatch(stdout, /\\u001b|demo-key/);
    assert.deepEqual(left(), NOTHING);
  });

  it('works with no network but loopback', {
    skip: !namespaces && 'needs unshare, ip and unprivileged network namespaces',
  }, async (t) => {
    const { env, left } = place(t);
    const inNamespace = ['unshare', '-rn', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
    const [program = '', ...args] = [...inNamespace, process.execPath, BIN, 'demo'];
    const child = spawn(program, args, { env: cleanEnv(env), stdio: ['ignore', 'pipe', 'inherit'] });
    const hard = setTimeout(() => child.kill('SIGKILL'), timeout);
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    clearTimeout(hard);
    assert.equal(code, 0);
    isStory(stdout);
    assert.deepEqual(left(), NOTHING);
  });

  it('has colour on a terminal, and ends with Ctrl-C like any command', {
    skip: !terminal && 'needs python3 for a pseudo terminal',
  }, async (t) => {
    const { env, left } = place(t);
    const argv = [process.execPath, BIN, 'demo'];
    const { output, status } = await onTerminal(argv, [{ expect: '\u001b[1m1  Weir learns' }, { send: '\u0003' }], env);
    assert.equal(status, 'signal 2');
    assert.doesNotMatch(output, /did not happen|weir: /);
    assert.deepEqual(left(), NOTHING);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    it(`leaves nothing behind when ${signal} comes, at whatever moment`, async (t) => {
      const { env, tmp, left } = place(t);
      for (const moment of ['directory', 'collector', 'story'] as const) {
        const running = startCommand(['demo'], { timeout, env });
        await eventually(
          () => {
            if (moment === 'directory') return readdirSync(tmp).length > 0;
            if (moment === 'collector') return !Number.isNaN(collectorPid(tmp));
            return running.stdout().includes(TITLES[1] ?? '');
          },
          moment,
          timeout,
        );
        running.kill(signal);
        const { code, stderr } = await running.ended;
        assert.deepEqual([code, stderr], [null, ''], moment);
        assert.deepEqual(left(), NOTHING, moment);
      }
    });

  it('leaves nothing behind when its reader goes away', async (t) => {
    const { env, tmp, left } = place(t);
    const child = spawn(process.execPath, [BIN, 'demo'], { env: cleanEnv(env), stdio: ['ignore', 'pipe', 'inherit'] });
    const hard = setTimeout(() => child.kill('SIGKILL'), timeout);
    const gone = once(child, 'exit');
    await once(child.stdout, 'data');
    child.stdout.destroy();
    const [code] = (await gone) as [number | null];
    clearTimeout(hard);
    assert.equal(code, 0);
    // The collector was ended by force; the system may take a moment.
    await eventually(() => processesOf(tmp).length === 0, 'the end of the collector');
    assert.deepEqual(left(), NOTHING);
  });

  it('has a directory for its owner only, and says which step did not happen', async (t) => {
    const { env, tmp, left } = place(t);
    const running = startCommand(['demo'], { timeout, env });
    const pid = await eventually(() => collectorPid(tmp) || undefined, 'the collector', timeout);
    const [name = ''] = readdirSync(tmp);
    assert.equal(statSync(join(tmp, name)).mode & 0o777, 0o700);
    const file = join(tmp, name, 'weir.yaml');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(readFileSync(file, 'utf8'), /"listen": "127\.0\.0\.1:0"/);
    await eventually(() => headings(running.stdout()).length > 0, 'the first step', timeout);
    process.kill(pid, 'SIGKILL');
    const { code, stdout, stderr } = await running.ended;
    assert.equal(code, 1);
    const step = headings(stdout).length;
    assert.ok(stderr.startsWith(`weir: step ${step} of 5 (${TITLES[step - 1]}) did not happen: `), stderr);
    assert.doesNotMatch(stdout, /Now yours/);
    assert.deepEqual(left(), NOTHING);
  });

  it('says as data and as a sentence that nothing could be started', async (t) => {
    const { env, tmp } = place(t);
    rmSync(tmp, { recursive: true });
    const { code, stdout, stderr } = await command(['demo', '--json'], { timeout, env });
    assert.equal(code, 1);
    assert.match(stderr, /^weir: the start of the collector did not happen: .*ENOENT/);
    const { ok, error, steps } = JSON.parse(stdout) as { ok: boolean; error: string; steps: unknown[] };
    assert.deepEqual([ok, steps], [false, []]);
    assert.match(error, /^the start of the collector did not happen/);
    assert.equal(existsSync(tmp), false);
  });
});
