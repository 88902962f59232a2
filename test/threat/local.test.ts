import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { StatusReport } from '../../src/model/admin.ts';
import { createAuthority } from '../support/certs.ts';
import { witness } from '../support/fortress.ts';
import { secure } from '../support/origins.ts';
import { ask, tunnel } from '../support/watched.ts';
import { cleanEnv, eventually } from '../support/weir.ts';

const BIN = process.env['WEIR_TEST_BIN'] ?? fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Bare {
  readonly pid: number;
  readonly output: () => string;
  /** Undefined when it has ended. */
  status(): Promise<StatusReport | undefined>;
  stop(): Promise<number | null>;
}

/** `weir start` as a person starts it: own working directory, umask and node flags. */
async function startBare(options: {
  readonly args: readonly string[];
  readonly stateDir: string;
  readonly cwd?: string;
  readonly umask?: string;
  readonly nodeFlags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}): Promise<Bare> {
  const words = [process.execPath, ...(options.nodeFlags ?? ['--disable-sigusr1']), BIN, 'start', ...options.args];
  const child: ChildProcess = spawn(
    '/bin/sh',
    ['-c', `umask ${options.umask ?? '022'}; exec "$@"`, 'sh', ...words, '--state-dir', options.stateDir],
    { cwd: options.cwd ?? tmpdir(), env: cleanEnv(options.env), stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  const add = (bytes: Buffer): void => {
    output += bytes.toString();
  };
  child.stdout?.on('data', add);
  child.stderr?.on('data', add);
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const status = (): Promise<StatusReport | undefined> =>
    new Promise((resolve) => {
      const sent = request({ socketPath: join(options.stateDir, 'weir.sock'), path: '/status' }, (response) => {
        let text = '';
        response.on('data', (part: Buffer) => {
          text += part.toString();
        });
        response.on('end', () => resolve(response.statusCode === 200 ? (JSON.parse(text) as StatusReport) : undefined));
      });
      sent.on('error', () => resolve(undefined));
      sent.end();
    });
  let gone = false;
  void exited.then(() => {
    gone = true;
  });
  await eventually(async () => gone || (await status()) !== undefined, 'start or end', 15_000);
  return {
    pid: child.pid ?? -1,
    output: () => output,
    status,
    stop: async () => {
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), 8000);
      const code = await exited;
      clearTimeout(hard);
      return code;
    },
  };
}

/** Ports this process listens on (Linux). */
function listeningPorts(pid: number): number[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  return ['tcp', 'tcp6'].flatMap((family) =>
    readFileSync(`/proc/${pid}/net/${family}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((cells) => cells[3] === '0A' && inodes.has(cells[9] ?? ''))
      .map((cells) => Number.parseInt((cells[1] ?? '').split(':')[1] ?? '', 16)),
  );
}

let scratch = '';
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'weir-local-'));
});
after(() => rm(scratch, { recursive: true, force: true }));

describe('W6: no debugger by signal', { skip: process.platform === 'linux' ? false : 'reads /proc' }, () => {
  for (const [how, nodeFlags] of [
    ['as npm start does', undefined],
    ['as the bare command, without the flag', []],
  ] as const) {
    it(`SIGUSR1 opens no port (${how})`, async () => {
      const start = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } })
        .scripts.start;
      assert.match(start, /^node --disable-sigusr1 /);
      const weir = await startBare({
        args: ['--listen', '127.0.0.1:0'],
        stateDir: join(scratch, `usr1-${nodeFlags?.length ?? 1}`),
        ...(nodeFlags === undefined ? {} : { nodeFlags }),
      });
      try {
        const before = listeningPorts(weir.pid);
        assert.equal(before.length, 1);
        for (let i = 0; i < 3; i++) {
          process.kill(weir.pid, 'SIGUSR1');
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
        assert.deepEqual(listeningPorts(weir.pid), before);
        assert.doesNotMatch(weir.output(), /Debugger listening/);
        assert.ok((await weir.status()) !== undefined, 'still alive');
      } finally {
        await weir.stop();
      }
    });
  }
});

describe('W10: configuration is the operator’s, not the repository’s', () => {
  it('files in the working directory are not read', async () => {
    const cwd = join(scratch, 'repository');
    await mkdir(cwd);
    for (const name of ['weir.yaml', 'weir.yml', '.weir.yaml', 'weir.json', '.env', 'weir.config.js']) {
      await writeFile(
        join(cwd, name),
        name === '.env' ? 'WEIR_MODE=enforce\n' : 'mode: enforce\nlisten: 127.0.0.1:1\n',
      );
    }
    const weir = await startBare({
      args: ['--listen', '127.0.0.1:0'],
      stateDir: join(scratch, 'cwd'),
      cwd,
      env: { XDG_CONFIG_HOME: join(scratch, 'no-config') },
    });
    try {
      const status = await weir.status();
      assert.equal(status?.mode, 'monitor', weir.output());
      assert.equal(status?.configFile, undefined);
    } finally {
      await weir.stop();
    }
  });

  for (const [what, prepare] of [
    ['a file others may write', async (file: string) => chmod(file, 0o666)],
    [
      'a file a group of others may write',
      async (file: string) => {
        await chown(file, process.getuid?.() ?? 0, 54_321);
        await chmod(file, 0o660);
      },
    ],
    ['a directory others may write', async (file: string) => chmod(join(file, '..'), 0o777)],
  ] as const) {
    // Only root may give a file to a group it is not in.
    const skip = what.includes('group') && process.getuid?.() !== 0;
    it(`${what} is refused, with the reason`, { skip }, async () => {
      const directory = join(scratch, what.replaceAll(' ', '-'));
      await mkdir(directory, { mode: 0o700 });
      const file = join(directory, 'weir.yaml');
      await writeFile(file, 'mode: enforce\n', { mode: 0o600 });
      await prepare(file);
      const weir = await startBare({
        args: ['--config', file, '--listen', '127.0.0.1:0'],
        stateDir: join(directory, 'state'),
      });
      const started = await weir.status();
      const code = await weir.stop();
      assert.equal(started, undefined);
      assert.notEqual(code, 0);
      assert.match(weir.output(), /writ|chmod/i);
    });
  }

  it('an address others reach is refused without a way to say who they are', async () => {
    const weir = await startBare({ args: ['--listen', '0.0.0.0:0'], stateDir: join(scratch, 'open') });
    const started = await weir.status();
    const code = await weir.stop();
    assert.equal(started, undefined);
    assert.notEqual(code, 0);
    assert.match(weir.output(), /allow_from/);
  });
});

describe('P10, W3: what other users of the machine can read', () => {
  it('nothing but public/, whatever the umask', async () => {
    const authority = createAuthority();
    const plain = await witness();
    const tls = await witness(authority.issue(['read.test']));
    const directory = join(scratch, 'modes');
    await mkdir(directory, { mode: 0o700 });
    const ca = join(directory, 'upstream.pem');
    await writeFile(ca, authority.cert, { mode: 0o600 });
    const file = join(directory, 'weir.yaml');
    const resolve = `{"plain.test": "127.0.0.1:${plain.port}", "read.test": "127.0.0.1:${tls.port}"}`;
    await writeFile(
      file,
      `intercept: all\nadmin: {listen: "127.0.0.1:0"}\ntelemetry: {endpoint: none}\nupstream: {ca_file: ${ca}, resolve: ${resolve}}\n`,
      { mode: 0o600 },
    );
    const stateDir = join(directory, 'state');
    const weir = await startBare({ args: ['--config', file, '--listen', '127.0.0.1:0'], stateDir, umask: '000' });
    try {
      const status = await weir.status();
      assert.ok(status !== undefined, weir.output());
      const port = Number(/:(\d+)$/.exec(status.listeners[0]?.address ?? '')?.[1]);
      assert.match(await ask(port, 'modes', 'http://plain.test/'), /^HTTP\/1\.1 200 /);
      const { socket } = await tunnel(port, 'modes', 'read.test:443');
      const inside = await secure(socket, {
        servername: 'read.test',
        ca: readFileSync(join(stateDir, 'ca.pem'), 'utf8'),
      });
      inside.write('GET / HTTP/1.1\r\nHost: read.test\r\nConnection: close\r\n\r\n');
      await new Promise((resolve) => inside.once('data', resolve));
      inside.destroy();
      await new Promise((resolve) => setTimeout(resolve, 800));
      const prepared = await new Promise<number>((resolve) => {
        const options = { socketPath: join(stateDir, 'weir.sock'), path: '/query/prepare', method: 'POST' };
        const sent = request({ ...options, headers: { 'content-type': 'application/json' } }, (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode ?? 0));
        });
        sent.end('{}');
      });
      assert.equal(prepared, 200);
      check(stateDir);
    } finally {
      await weir.stop();
      await Promise.all([plain.close(), tls.close()]);
    }
    check(stateDir);
  });
});

/** Every file and directory below is its owner's alone, but for `public/` and the copy of the certificate. */
function check(stateDir: string): void {
  const all = ['', ...readdirSync(stateDir, { recursive: true }).map(String)];
  assert.ok(all.length > 8, all.join());
  const bad: string[] = [];
  for (const name of all) {
    const path = join(stateDir, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    const mode = stat.mode & 0o777;
    const open = name === 'ca.pem' || name === 'public' || name.startsWith('public/');
    if (open ? (mode & 0o022) !== 0 : (mode & 0o077) !== 0)
      bad.push(`${mode.toString(8)} ${relative(stateDir, path) || '.'}`);
  }
  assert.deepEqual(bad, []);
  const keys = all.filter((name) => {
    const path = join(stateDir, name);
    return (
      statSync(path, { throwIfNoEntry: false })?.isFile() === true && /PRIVATE KEY/.test(readFileSync(path, 'latin1'))
    );
  });
  assert.ok(
    keys.every((name) => name.startsWith('private/')),
    keys.join(),
  );
}
