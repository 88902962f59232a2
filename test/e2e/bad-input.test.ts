import assert from 'node:assert/strict';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectTo, https, plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { type CommandOptions, command, type Ran } from '../support/command.ts';
import { type EchoOrigin, echoOrigin } from '../support/echo-origin.ts';
import { dial, listening, readHead } from '../support/origins.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

const isRoot = process.getuid?.() === 0;
/** An unprivileged user for what root may do anyway. */
const NOBODY = 65_534;

describe('bad input: what keeps Weir from starting is said with place and next step', () => {
  let dir: string;
  let n = 0;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'weir-bad-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  /** `weir start` with this configuration text; must end by itself. */
  const start = async (
    text: string,
    options: CommandOptions & { stateDir?: string; mode?: number } = {},
  ): Promise<Ran> => {
    const file = join(dir, 'weir.yaml');
    await writeFile(file, text);
    await chmod(file, options.mode ?? 0o600);
    const stateDir = options.stateDir ?? join(dir, `s${n++}`);
    return command(['start', '--config', file, '--state-dir', stateDir], { env: { HOME: dir }, ...options });
  };
  const refused = async (text: string, code: number, message: RegExp): Promise<void> => {
    const ran = await start(text);
    assert.match(ran.stderr, message);
    assert.equal(ran.code, code, ran.stderr);
    assert.equal(ran.stdout, '');
    assert.doesNotMatch(ran.stderr, /\n +at |Error:/, 'no stack');
  };

  const FORMS: readonly [string, string, RegExp][] = [
    [
      'an unknown key',
      'mode: monitor\nbaselines: {}',
      /^weir: unknown key "baselines" in ~\/weir\.yaml:2 — did you mean "baseline"\?\n$/,
    ],
    [
      'a key in the wrong place',
      'retention_days: 3',
      /^weir: unknown key "retention_days" in ~\/weir\.yaml:1 — it belongs under "store"\n$/,
    ],
    [
      'a mode that is none',
      'mode: enforced',
      /^weir: mode in ~\/weir\.yaml:1: must be monitor, redact or enforce, not "enforced" — did you mean enforce\?\n$/,
    ],
    ['no port', 'listen: localhost', /^weir: listen in ~\/weir\.yaml:1: must be host:port \(like 127\.0\.0\.1:8080/],
    ['IPv6 without brackets', 'listen: "::1:8080"', /"\[::1\]:8080"\n$/],
    ['an address that is none', 'listen: 300.1.1.1:80', /"300\.1\.1\.1" is not a host name or address/],
    ['a port that is none', 'listen: 127.0.0.1:99999', /port 99999 is not in 0–65535/],
    ['an agent with a path for a name', 'agents: {"../x": {}}', /is not an agent name or glob/],
    [
      '__proto__ as a key',
      'agents:\n  __proto__: {mode: enforce}',
      /^weir: ~\/weir\.yaml:2: the key "__proto__" is not allowed\n$/,
    ],
    ['a wildcard over everybody', 'destinations: {allowed: ["*.com"]}', /"\*\.com" would match everybody's names/],
    [
      'a key twice',
      'mode: monitor\nmode: enforce',
      /weir\.yaml:2: the same key stands twice|weir\.yaml:\d: the same key stands twice/,
    ],
    ['no YAML', 'mode: [', /^weir: ~\/weir\.yaml:\d+: is not YAML/],
    ['not a map', '- mode', /^weir: ~\/weir\.yaml: must be a map of keys/],
    [
      'aliases that multiply',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
        .split('')
        .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefg'[i]}`).join(',')}]`)
        .join('\n')}`,
      /is not usable YAML/,
    ],
    ['nesting without end', `a: ${'['.repeat(5000)}`, /nested deeper than 64/],
  ];
  for (const [name, text, message] of FORMS) it(`configuration: ${name}`, () => refused(text, 2, message));

  it('configuration: every mistake is named at once', async () => {
    const { stderr, code } = await start('modes: monitor\nlisten: nowhere\nlimits: {connections: -1}');
    assert.equal(code, 2);
    assert.equal(stderr.split('\n').filter((line) => line.startsWith('weir: ')).length, 3, stderr);
  });

  it('configuration: too large, missing, writable by others', async () => {
    assert.match((await start(`# ${'x'.repeat(1_100_000)}`)).stderr, /is larger than 1048576 bytes/);
    const gone = await command(['start', '--config', join(dir, 'gone.yaml')], { env: { HOME: dir } });
    assert.deepEqual([gone.code, gone.stderr], [2, 'weir: ~/gone.yaml: there is no such file\n']);
    const open = await start('mode: monitor', { mode: 0o666 });
    assert.equal(open.code, 2);
    assert.match(open.stderr, /^weir: ~\/weir\.yaml: can be changed by other users; make it yours: chmod go-w /);
    if (isRoot) {
      const file = join(dir, 'group.yaml');
      await writeFile(file, 'mode: monitor', { mode: 0o660 });
      await chmod(file, 0o660);
      await chown(file, 0, NOBODY);
      const group = await command(['check', '--config', file], { env: { HOME: dir } });
      assert.match(group.stderr, /can be changed by other users/);
    }
    const shared = join(dir, 'shared');
    await mkdir(shared);
    await writeFile(join(shared, 'weir.yaml'), 'mode: monitor', { mode: 0o600 });
    await chmod(shared, 0o777);
    const inShared = await command(['check', '--config', join(shared, 'weir.yaml')], { env: { HOME: dir } });
    assert.match(inShared.stderr, /its directory can be changed by other users, who could replace it/);
  });

  it('flags and variables are read like the file', async () => {
    const flag = await command(['start', '--mode', 'strict', '--state-dir', join(dir, 'f')], { env: { HOME: dir } });
    assert.deepEqual(
      [flag.code, flag.stderr],
      [2, 'weir: mode in --mode: must be monitor, redact or enforce, not "strict"\n'],
    );
    const variable = await command(['start', '--state-dir', join(dir, 'f')], {
      env: { HOME: dir, WEIR_MODE: 'strict' },
    });
    assert.match(variable.stderr, /^weir: mode in WEIR_MODE: must be monitor, redact or enforce/);
    const unknown = await command(['start', '--no-such'], { env: { HOME: dir } });
    assert.deepEqual([unknown.code, unknown.stderr.split('\n')[0]], [2, "weir: unknown option '--no-such'"]);
  });

  it('a weir.yaml in the working directory is nobody’s configuration', async () => {
    const project = join(dir, 'project');
    await mkdir(project);
    await writeFile(join(project, 'weir.yaml'), 'mode: enforce\nbogus: 1', { mode: 0o600 });
    const checked = await command(['check'], { cwd: project, env: { HOME: dir } });
    assert.deepEqual([checked.code, checked.stdout], [0, 'no file, defaults only: no mistakes\n']);
    const own = join(dir, '.config', 'weir');
    await mkdir(own, { recursive: true });
    await writeFile(join(own, 'weir.yaml'), 'mode: redact', { mode: 0o600 });
    const found = await command(['check', '--json'], { cwd: project, env: { HOME: dir } });
    assert.equal((JSON.parse(found.stdout) as { mode: string }).mode, 'redact', 'the one of the home directory is');
    await rm(own, { recursive: true });
  });

  it('a listener others can reach says who may use it', async () => {
    const { code, stderr } = await start('listen: 0.0.0.0:8123');
    assert.equal(code, 2);
    assert.equal(
      stderr,
      'weir: 0.0.0.0:8123 can be reached by everyone who reaches this machine, and no agent has a token.\n' +
        '      Say who may use it: allow_from: [10.0.0.0/8]   or   allow_from: local-networks   or give every agent a token.\n',
    );
    await refused(
      'listen: 0.0.0.0:0\nagents: {a: {token: long-enough-token}}',
      2,
      /who gives no name needs no token \(identify: required closes that\)/,
    );
    await refused(
      'listen: 192.0.2.1:0\nallow_from: [10.0.0.0/8]',
      1,
      /^weir: this machine has no address 192\.0\.2\.1; change listen/,
    );
  });

  it('a port in use: by which program, and which one is free', async () => {
    const server = createServer();
    const port = await listening(server);
    try {
      const { code, stderr } = await start(`listen: 127.0.0.1:${port}`);
      assert.equal(code, 1);
      const pattern = `^weir: port ${port} is in use by node\\S* \\(pid ${process.pid}\\)\\. Take another: weir start --listen 127\\.0\\.0\\.1:\\d+\\n$`;
      assert.match(stderr, new RegExp(pattern));
    } finally {
      server.close();
    }
  });

  it('a seed that cannot be read or is no export: start and check say so', async () => {
    const files: readonly [string, string | undefined, RegExp][] = [
      ['gone.json', undefined, /^weir: baseline\.seed \S+gone\.json cannot be read \(ENOENT\)\n$/],
      [
        'junk.json',
        '{"agent":',
        /^weir: baseline\.seed \S+junk\.json: this is no JSON\. One is made by: weir baseline export/,
      ],
      ['other.json', '{"agent": "a"}', /^weir: baseline\.seed \S+other\.json: this is no file of weir baseline export/],
      [
        'half.json',
        '{"weirBaseline": 1, "agent": "a", "destinations": [{"host": "a.test", "port": 443}, {"host": "b.test"}]}',
        /^weir: baseline\.seed \S+half\.json: destination 2 of the exported baseline has no host and port/,
      ],
    ];
    for (const [name, text, message] of files) {
      if (text !== undefined) await writeFile(join(dir, name), text);
      await refused(`listen: 127.0.0.1:0\nbaseline: {seed: ${name}}`, 1, message);
      const checked = await command(['check', '--config', join(dir, 'weir.yaml')], { env: { HOME: dir } });
      assert.match(checked.stderr, message);
      assert.equal(checked.code, 4);
    }
  });

  it('certificates that are none', async () => {
    await writeFile(join(dir, 'junk.pem'), 'junk');
    const base = 'listen: 127.0.0.1:0\n';
    await refused(
      `${base}upstream: {ca_file: gone.pem}`,
      1,
      /^weir: upstream\.ca_file \S+gone\.pem cannot be read \(ENOENT\)\n$/,
    );
    await refused(
      `${base}upstream: {ca_file: junk.pem}`,
      1,
      /^weir: upstream\.ca_file \S+junk\.pem holds no certificate/,
    );
    const listen = (tls: string) => `listen: {address: "127.0.0.1:0", tls: ${tls}}`;
    await refused(
      listen('{cert: gone.pem, key: gone.pem}'),
      1,
      /^weir: listen 127\.0\.0\.1:0: tls\.cert \S+gone\.pem cannot be read \(ENOENT\)/,
    );
    await refused(listen('{cert: junk.pem, key: junk.pem}'), 1, /are no certificate and its key/);
  });

  it('a state directory that is damaged, not ours, not writable or taken', async () => {
    const good = join(dir, 'good');
    await mkdir(good);
    const weir = await startWeir({ stateDir: good });
    try {
      const second = await command(['start', '--listen', '127.0.0.1:0', '--state-dir', good], { env: { HOME: dir } });
      assert.equal(second.code, 1);
      assert.match(
        second.stderr,
        new RegExp(
          `^weir: another collector \\(pid ${weir.pid}\\) is running with this state directory: \\S+weir\\.sock answers\\.`,
        ),
      );
      assert.match(second.stderr, /See it: weir status {3}or take another: weir start --state-dir <dir>/);
      assert.equal((await weir.status()).pid, weir.pid, 'the first one is unharmed');
    } finally {
      await weir.stop();
    }
    const damage = async (name: string, change: (copy: string) => Promise<unknown>): Promise<Ran> => {
      const copy = join(dir, name);
      await cp(good, copy, { recursive: true });
      await chmod(copy, 0o700);
      await change(copy);
      return start('listen: 127.0.0.1:0', { stateDir: copy });
    };
    const key = await damage('bad-key', (copy) => writeFile(join(copy, 'private', 'hash.key'), 'x'));
    assert.match(key.stderr, /hash\.key is damaged \(1 bytes, 32 expected\)\. Move it away; hashes start anew\.\n$/);
    const ca = await damage('bad-ca', (copy) => writeFile(join(copy, 'private', 'ca.key'), 'junk', { mode: 0o600 }));
    assert.equal(ca.code, 1);
    assert.match(ca.stderr, /Put the right files back, or make a new CA: weir ca rotate\n$/);
    const rotated = await command(['ca', 'rotate', '--yes', '--state-dir', join(dir, 'bad-ca')], {
      env: { HOME: dir },
    });
    assert.equal(rotated.code, 0, rotated.stderr);
    const cured = await startWeir({ stateDir: join(dir, 'bad-ca') });
    assert.match(rotated.stdout, /^fingerprint {2}([0-9A-F]{2}:){31}/m);
    await cured.stop();
    const taken = await start('listen: 127.0.0.1:0', { stateDir: join(dir, 'weir.yaml') });
    assert.match(
      taken.stderr,
      /^weir: state directory \S+weir\.yaml cannot be written \(EEXIST\)\. Use --state-dir with a directory of yours/,
    );
    const nowhere = await start('listen: 127.0.0.1:0', { stateDir: '/proc/weir' });
    assert.deepEqual([nowhere.code, /cannot be written/.test(nowhere.stderr)], [1, true]);
  });

  it('a state directory of somebody else', { skip: !isRoot && 'only root can make one' }, async () => {
    const foreign = join(dir, 'foreign');
    await mkdir(foreign, { mode: 0o755 });
    await chown(foreign, 12_345, 12_345);
    const { code, stderr } = await start('listen: 127.0.0.1:0', { stateDir: foreign });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^weir: state directory \S+foreign belongs to uid 12345\. Use --state-dir, or: sudo chown -R 0 \S+foreign\n$/,
    );
  });
});

interface World {
  readonly weir: Weir;
  readonly origin: EchoOrigin;
  readonly ca: string;
  close(): Promise<void>;
}

function openWorld(more: Record<string, unknown> = {}): Promise<World> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const origin = await echoOrigin();
    later(origin.close);
    const tls = await echoOrigin({ tls: upstream.authority.issue(['*.read.example']) });
    later(tls.close);
    const resolve = {
      '*.test': `127.0.0.1:${origin.port}`,
      constructor: `127.0.0.1:${origin.port}`,
      '*.example': `127.0.0.1:${tls.port}`,
    };
    const weir = await startWeir({
      config: { intercept: { only: ['*.read.example'] }, upstream: { resolve, ca_file: upstream.caFile }, ...more },
    });
    later(weir.stop);
    return { weir, origin, ca: await weir.ca() };
  });
}

describe('bad input: from the network', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
  });
  after(() => world?.close());

  /** The head of the answer to raw bytes, or '' when there is none. */
  const raw = async (bytes: string | Buffer): Promise<string> => {
    const socket = await dial(world.weir.port);
    socket.write(bytes);
    const head = await readHead(socket);
    socket.destroy();
    return head;
  };

  it('a request nobody can read is answered, counted and dials nothing', async () => {
    const dialled = world.origin.connections();
    for (const [bytes, status] of [
      ['CONNECT nohost HTTP/1.1\r\nHost: nohost\r\n\r\n', 400],
      ['CONNECT a.test:0 HTTP/1.1\r\nHost: a.test:0\r\n\r\n', 400],
      ['CONNECT a.test:99999 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
      ['CONNECT [::1 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
      ['CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
      ['CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', 400],
      ['GET http:///nothing HTTP/1.1\r\nHost: a.test\r\n\r\n', 400],
      ['GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n', 400],
      ['GET /origin-form HTTP/1.1\r\n\r\n', 400],
      ['GET http://a.test/ HTTP/1.1\nHost: a.test\n\n', 400],
      ['GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
      ['GET http://a.test/ HTTP/3.0\r\nHost: a.test\r\n\r\n', 400],
      [Buffer.from([0, 1, 2, 3, 13, 10, 13, 10]), 400],
      [`GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nX: ${'x'.repeat(300_000)}\r\n\r\n`, 431],
      [Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]), 400],
    ] as const) {
      const head = await raw(bytes as string);
      const shown = JSON.stringify(bytes.toString().slice(0, 60));
      assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} Weir: `), shown);
    }
    assert.equal(world.origin.connections(), dialled, 'nothing was dialled');
    const { limitsReached } = await world.weir.status();
    assert.ok((limitsReached['bad-request'] ?? 0) >= 5, JSON.stringify(limitsReached));
    const [line] = await world.weir.records(
      'a finding of no exchange',
      (one) => one.kind === 'finding' && one.rules.includes('ambiguous-framing'),
    );
    assert.ok(line?.message);
  });

  it('HTTP/2 to the proxy itself is told to speak HTTP/1.1', async () => {
    const socket = await dial(world.weir.port);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    // SETTINGS, then GOAWAY with HTTP_1_1_REQUIRED.
    assert.equal(answer[3], 4);
    assert.equal(answer.at(-1), 0x0d);
    socket.destroy();
  });

  it('__proto__, constructor and ../x are names like any other', async () => {
    const { weir, ca } = world;
    const socket = await dial(weir.port);
    socket.write(
      'GET http://constructor/__proto__/../x?constructor=1 HTTP/1.1\r\nHost: constructor\r\n__proto__: {"polluted":1}\r\nconstructor: x\r\nConnection: close\r\n\r\n',
    );
    assert.match(await readHead(socket), /^HTTP\/1\.1 200 /);
    for (const agent of ['constructor', 'toString', '__proto__', '../../etc/passwd', 'hasOwnProperty']) {
      assert.equal((await plain(weir, 'http://names.test/', { agent })).status, 200, agent);
    }
    const inside = { constructor: 'x', __proto__: 'y' } as Record<string, string>;
    assert.equal(
      (await https(weir, 'https://constructor.read.example/toString', { agent: 'valueOf', ca, fields: inside })).status,
      200,
    );
    const last = world.origin.seen.find(({ host }) => host === 'constructor');
    assert.equal(last?.path, '/__proto__/../x?constructor=1', 'forwarded as it came');
    const { agents } = await weir.status();
    const names = agents.map(({ agent }) => agent);
    for (const name of ['constructor', 'toString', 'hasOwnProperty', 'valueOf', 'default'])
      assert.ok(names.includes(name), name);
    const rows = await weir.query(
      "SELECT agent, count(*)::INT AS n FROM destinations WHERE agent IN ('constructor', 'toString', 'hasOwnProperty') GROUP BY agent ORDER BY agent",
    );
    assert.deepEqual(
      rows,
      ['constructor', 'hasOwnProperty', 'toString'].map((agent) => ({ agent, n: 1 })),
    );
    assert.equal((await weir.cli(['baseline', 'show', 'constructor'])).code, 0);
    assert.equal((await weir.cli(['mode', 'constructor', 'stop'])).code, 0);
    assert.equal((await plain(weir, 'http://names.test/', { agent: 'constructor' })).status, 403);
    assert.equal((await plain(weir, 'http://names.test/', { agent: 'toString' })).status, 200);
  });

  it('requests to Weir itself are answered 508 in monitor too', async () => {
    const { weir } = world;
    for (const host of [
      '127.0.0.1',
      'localhost',
      '0.0.0.0',
      '127.1',
      '2130706433',
      '0x7f000001',
      '[::ffff:127.0.0.1]',
    ]) {
      const answer = await plain(weir, `http://${host}:${weir.port}/`, { agent: 'looper', fields: { host: 'x' } });
      assert.equal(answer.status, 508, `${host}: ${answer.body}`);
      assert.equal(answer.headers['x-strathon-block-reason'], 'self-target');
    }
    const { socket, answer } = await connectTo(weir, `127.0.0.1:${weir.port}`, { agent: 'looper' });
    socket.destroy();
    assert.equal(answer.status, 508);
    const [line] = await weir.records('the finding', (one) => one.rules.includes('self-target'));
    assert.equal(line?.action, 'block');
  });
});

describe('bad input: limits', () => {
  it('connections_per_agent: the newest is refused, others go on, and it is counted', async () => {
    const world = await openWorld({
      limits: { connections_per_agent: 3 },
      listen: ['127.0.0.1:0', { address: '127.0.0.1:0', agent: 'bound' }],
    });
    const { weir } = world;
    try {
      const open: Socket[] = [];
      for (let i = 0; i < 3; i++) open.push((await connectTo(weir, 'a.test:80', { agent: 'greedy' })).socket);
      const refused = await plain(weir, 'http://a.test/', { agent: 'greedy' });
      assert.equal(refused.status, 503);
      assert.equal(refused.headers['retry-after'], '1');
      assert.equal((JSON.parse(refused.body) as { error: string }).error, 'limit-reached');
      assert.equal((await plain(weir, 'http://a.test/', { agent: 'modest' })).status, 200);
      const { limitsReached, agents } = await weir.status();
      assert.equal(limitsReached['limit-connections-per-agent'], 1);
      assert.equal(agents.find(({ agent }) => agent === 'greedy')?.connections, 3);
      open[0]?.destroy();
      await eventually(
        async () => (await plain(weir, 'http://a.test/', { agent: 'greedy' })).status === 200,
        'a place is free again',
      );
      for (const socket of open) socket.destroy();

      const { listeners } = await weir.status();
      const port = Number(listeners[1]?.address.split(':').at(-1));
      const idle = await Promise.all(Array.from({ length: 3 }, () => dial(port)));
      await eventually(
        async () => (await plain({ port }, 'http://a.test/')).status === 503,
        'a bound port counts before a word is said',
      );
      assert.equal((await plain(weir, 'http://a.test/', { agent: 'modest' })).status, 200);
      for (const socket of idle) socket.destroy();
    } finally {
      await world.close();
    }
  });

  it('connections: the newest is refused with 503 and counted', async () => {
    const world = await openWorld({ limits: { connections: 5 } });
    const { weir } = world;
    try {
      const idle = await Promise.all(Array.from({ length: 5 }, () => dial(weir.port)));
      await eventually(async () => (await plain(weir, 'http://a.test/')).status === 503, 'full');
      const { limitsReached } = await weir.status();
      assert.ok((limitsReached['connections'] ?? 0) >= 1);
      const metrics = await weir.admin('/metrics');
      assert.equal(metrics.status, 200);
      for (const socket of idle) socket.destroy();
      await eventually(async () => (await plain(weir, 'http://a.test/')).status === 200, 'free again');
    } finally {
      await world.close();
    }
  });

  it('a thousand idle connections cost little and nobody is slowed', async () => {
    const world = await openWorld();
    const { weir } = world;
    try {
      await plain(weir, 'http://a.test/');
      const before = await weir.rss();
      const idle: Socket[] = [];
      for (let i = 0; i < 10; i++)
        idle.push(...(await Promise.all(Array.from({ length: 100 }, () => dial(weir.port)))));
      const half = (
        await Promise.all(Array.from({ length: 200 }, () => connectTo(weir, 'a.test:80', { agent: 'idler' })))
      ).map(({ socket }) => socket);
      assert.equal((await plain(weir, 'http://a.test/')).status, 200);
      const grown = (await weir.rss()) - before;
      assert.ok(grown < 100, `${grown.toFixed(0)} MiB for 1200 connections`);
      for (const socket of [...idle, ...half]) socket.destroy();
      await eventually(async () => (await weir.status()).connections <= 1, 'all are gone');
    } finally {
      await world.close();
    }
  });

  it('a head that does not end is answered 408', async () => {
    const world = await openWorld({ limits: { head_ms: 300 } });
    try {
      for (const start of ['GET http://a.test/ HTTP/1.1\r\nHost:', 'CONNECT a.test:443 HT']) {
        const socket = await dial(world.weir.port);
        socket.write(start);
        assert.match(await readHead(socket), /^HTTP\/1\.1 408 Weir: /, start);
        socket.destroy();
      }
    } finally {
      await world.close();
    }
  });

  it('allow_from: loopback may always use a listener of the whole machine; the listeners of others are found', async () => {
    const world = await openWorld({ listen: ['127.0.0.1:0', '0.0.0.0:0'], allow_from: ['192.0.2.0/24'] });
    try {
      const { listeners } = await world.weir.status();
      const port = Number(listeners[1]?.address.split(':').at(-1));
      assert.equal((await plain({ port }, 'http://a.test/')).status, 200);
      const state = await readFile(join(world.weir.stateDir, 'weir-test.yaml'), 'utf8');
      assert.match(state, /192\.0\.2\.0/);
    } finally {
      await world.close();
    }
  });
});
