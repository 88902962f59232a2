import assert from 'node:assert/strict';
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { StatusReport } from '../../src/model/admin.ts';
import { assemble } from '../support/assemble.ts';
import { cleanEnv, eventually } from '../support/weir.ts';

/**
 * Threats O1 and O2 where the network does the enforcing: an agent's network namespace whose only neighbour is Weir, a
 * namespace that plays the outside world, and Weir in one between them. Nothing is made in the machine's own namespace.
 */
const BIN = process.env['WEIR_TEST_BIN'] ?? fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url));
const [AGENT, WEIR, OUTSIDE] = ['a', 'w', 'o'].map((role) => `weir-${role}${process.pid}`) as [string, string, string];
const PROXY = 'http://researcher:x@10.231.1.1:8080';
const SERVER = '10.231.2.2';
const SERVER6 = 'fd23:1:2::2';
const NAMED = ['--target', `${SERVER}:443`, '--target-udp', `${SERVER}:443`, '--dns-server', SERVER];
const WAYS = ['direct TCP', 'UDP/443', 'DNS', 'IPv6'];

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' });

/** Why this cannot run here, or false. */
function lacking(): string | false {
  if (process.platform !== 'linux') return 'network namespaces are Linux';
  if (process.getuid?.() !== 0) return 'making network namespaces takes root';
  try {
    ip('netns', 'add', `${AGENT}-try`);
    ip('netns', 'del', `${AGENT}-try`);
    return false;
  } catch (error) {
    return `ip netns does not work here: ${String((error as Error).message).split('\n')[0]}`;
  }
}

const skip = lacking();
const hasIpv6 = existsSync('/proc/net/if_inet6');

/** TCP and DNS over both families, datagrams on 443: everything a way around could find. */
const WORLD = `
import dgram from 'node:dgram';
import http from 'node:http';
import net from 'node:net';
const hosts = ['0.0.0.0', ...(process.argv[1] === '6' ? ['::'] : [])];
const reply = (question) => { const r = Buffer.from(question); r.writeUInt16BE(0x8183, 2); return r; };
const up = [];
for (const host of hosts) {
  const on = { host, ipv6Only: true };
  for (const port of [80, 443]) {
    const server = http.createServer((request, response) => response.end('the outside, ' + request.socket.remoteAddress));
    up.push(new Promise((done) => server.listen({ ...on, port }, done)));
  }
  const dns = net.createServer((socket) => {
    socket.on('error', () => {});
    let asked = Buffer.alloc(0);
    socket.on('data', (part) => {
      asked = Buffer.concat([asked, part]);
      if (asked.length > 13) socket.write(Buffer.concat([asked.subarray(0, 2), reply(asked.subarray(2))]));
    });
  });
  up.push(new Promise((done) => dns.listen({ ...on, port: 53 }, done)));
  for (const [port, answer] of [[53, reply], [443, () => Buffer.from('negotiate')]]) {
    const socket = dgram.createSocket({ type: host === '::' ? 'udp6' : 'udp4', ipv6Only: host === '::' });
    socket.on('message', (message, from) => socket.send(answer(message), from.port, from.address));
    up.push(new Promise((done) => socket.bind(port, host, done)));
  }
}
await Promise.all(up);
console.log('ready');
setInterval(() => {}, 1 << 30);`;

/** GET through the proxy, or directly. */
const GET = `
import http from 'node:http';
const [proxied, url] = process.argv.slice(1);
const { hostname } = new URL(url);
const to = proxied === 'direct' ? { host: hostname, timeout: 4000 } : { timeout: 4000, host: '10.231.1.1', port: 8080, path: url, headers: { host: hostname,
  'proxy-authorization': 'Basic ' + Buffer.from('researcher:x').toString('base64') } };
http.get(to, async (response) => console.log(await new Response(response).text()))
  .on('timeout', function () { this.destroy(Object.assign(new Error('silence'), { code: 'SILENCE' })); })
  .on('error', (error) => { console.log(error.code); process.exitCode = 9; });`;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function inside(namespace: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const line = ['netns', 'exec', namespace, process.execPath, ...args];
    execFile('ip', line, { env: cleanEnv(), timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
  });
}

interface Verified {
  readonly through: boolean;
  readonly contained: boolean;
  readonly told: string;
  readonly ways: readonly { readonly name: string; readonly state: string; readonly detail: string }[];
}

interface House {
  readonly stateDir: string;
  /** A state directory without a collector: what an agent's place has. */
  readonly elsewhere: string;
  status(): Promise<StatusReport>;
  restart(): Promise<void>;
  close(): Promise<void>;
}

function makeNamespaces(): void {
  for (const name of [AGENT, WEIR, OUTSIDE]) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  // Both ends are born inside: the machine's own namespace never sees an interface.
  for (const [net, here, far] of [
    ['1', WEIR, AGENT],
    ['2', WEIR, OUTSIDE],
  ] as const) {
    ip('-n', here, 'link', 'add', `v${net}`, 'type', 'veth', 'peer', 'name', 'v0', 'netns', far);
    for (const [name, link, last] of [
      [here, `v${net}`, '1'],
      [far, 'v0', '2'],
    ] as const) {
      ip('-n', name, 'addr', 'add', `10.231.${net}.${last}/24`, 'dev', link);
      if (hasIpv6) ip('-n', name, '-6', 'addr', 'add', `fd23:1:${net}::${last}/64`, 'dev', link, 'nodad');
      ip('-n', name, 'link', 'set', link, 'up');
    }
  }
}

function removeNamespaces(): void {
  // `name (id: 0)` by line.
  const made = new Set(
    ip('netns', 'list')
      .split('\n')
      .map((line) => line.split(' ')[0]),
  );
  for (const name of [AGENT, WEIR, OUTSIDE]) if (made.has(name)) ip('netns', 'del', name);
}

function start(namespace: string, args: readonly string[]): { child: ChildProcess; output: () => string } {
  // `ip netns exec` becomes the program: the child's pid is the program's.
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, ...args], {
    env: cleanEnv(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (text += part.toString()));
  return { child, output: () => text };
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const hard = setTimeout(() => child.kill('SIGKILL'), 8000);
  await gone;
  clearTimeout(hard);
}

function openHouse(): Promise<House> {
  return assemble(async (later) => {
    process.once('exit', removeNamespaces);
    later(() => process.removeListener('exit', removeNamespaces));
    later(removeNamespaces);
    makeNamespaces();
    const world = start(OUTSIDE, ['--input-type=module', '-e', WORLD, hasIpv6 ? '6' : '4']);
    later(() => ended(world.child, 'SIGKILL'));
    await eventually(
      () => {
        assert.equal(world.child.exitCode, null, world.output());
        return world.output().includes('ready');
      },
      'the outside is up',
      15_000,
    );
    const [stateDir, elsewhere] = [
      await mkdtemp(join(tmpdir(), 'weir-contain-')),
      await mkdtemp(join(tmpdir(), 'weir-else-')),
    ];
    later(() => Promise.all([stateDir, elsewhere].map((dir) => rm(dir, { recursive: true, force: true }))));
    const config = join(stateDir, 'weir-test.yaml');
    const listen = 'listen: 10.231.1.1:8080\nallow_from: [10.231.1.0/24]\ntelemetry: { endpoint: none }\n';
    await writeFile(config, listen, { mode: 0o600 });
    const status = async (): Promise<StatusReport | undefined> => {
      const { code, stdout } = await inside(WEIR, [BIN, 'status', '--json', '--state-dir', stateDir]);
      return code === 0 ? (JSON.parse(stdout) as StatusReport) : undefined;
    };
    let weir: ReturnType<typeof start> | undefined;
    later(() => weir && ended(weir.child, 'SIGTERM'));
    const boot = async (): Promise<void> => {
      const args = [BIN, 'start', '--config', config, '--state-dir', stateDir];
      weir = start(WEIR, args);
      const { output } = weir;
      const up = async (): Promise<boolean> => ((await status())?.listeners.length ?? 0) > 0;
      await eventually(up, 'weir is up', 20_000).catch((error: Error) => {
        throw new Error(`${error.message}\n${output()}`);
      });
    };
    await boot();
    return {
      stateDir,
      elsewhere,
      status: async () => (await status()) ?? assert.fail('no status'),
      restart: async () => {
        if (weir) await ended(weir.child, 'SIGTERM');
        await boot();
      },
    };
  });
}

async function verify(
  namespace: string,
  stateDir: string,
  ...more: string[]
): Promise<Verified & { readonly code: number }> {
  const args = ['verify', '--containment', '--json', '--proxy', PROXY, '--state-dir', stateDir, ...more];
  const { code, stdout, stderr } = await inside(namespace, [BIN, ...args]);
  assert.ok(stdout.startsWith('{'), `${code} ${stderr}`);
  return { code, ...(JSON.parse(stdout) as Verified) };
}

const states = ({ ways }: Verified): (readonly [string, string])[] => ways.map(({ name, state }) => [name, state]);
const all = (state: string): [string, string][] => WAYS.map((name) => [name, state]);

describe('containment: an agent whose only neighbour is Weir', { skip, timeout: 240_000 }, () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house?.close());

  it('the agent reaches the outside through Weir and by no other way', async () => {
    const url = `http://${SERVER}/`;
    const through = await inside(AGENT, ['--input-type=module', '-e', GET, 'proxy', url]);
    assert.equal(through.stdout, 'the outside, 10.231.2.1\n', 'the outside sees Weir, not the agent');
    const direct = await inside(AGENT, ['--input-type=module', '-e', GET, 'direct', url]);
    assert.deepEqual([direct.code, direct.stdout], [9, 'ENETUNREACH\n']);
  });

  it('without a route nothing has to be named; without the socket the collector is not told', async () => {
    const result = await verify(AGENT, house.elsewhere);
    assert.deepEqual([result.code, result.contained, result.told], [0, true, 'nobody'], JSON.stringify(result.ways));
    assert.deepEqual(states(result), all('closed'));
    const { containment, verified } = await house.status();
    assert.deepEqual([containment, verified], ['cooperative', false], 'an agent cannot make this claim');
  });

  it('a name that has no address here says nothing about its server', async () => {
    const name = 'server.example:443';
    const result = await verify(AGENT, house.elsewhere, '--target', name, '--target-udp', name);
    assert.equal(result.code, 4);
    assert.deepEqual(states(result).slice(0, 2), all('undecided').slice(0, 2), JSON.stringify(result.ways));
  });

  it('from Weir’s own place every way is open: exit 4 and each is named, in the words for people too', async () => {
    const six = hasIpv6 ? ['--target6', `[${SERVER6}]:443`] : [];
    const result = await verify(WEIR, house.elsewhere, ...NAMED, ...six);
    assert.deepEqual([result.code, result.contained], [4, false]);
    assert.deepEqual(states(result).slice(0, hasIpv6 ? 4 : 3), all('open').slice(0, hasIpv6 ? 4 : 3));
    const args = [BIN, 'verify', '--containment', '--proxy', PROXY, '--state-dir', house.elsewhere, ...NAMED];
    const { stdout } = await inside(WEIR, args);
    assert.match(
      stdout,
      /containment: cooperative\. A program here can leave without the proxy: direct TCP, UDP\/443, DNS/,
    );
    assert.match(stdout, /10\.231\.2\.2:443 was reached directly/);
  });

  describe('with a route to Weir’s machine that leads no further', () => {
    before(() => {
      ip('-n', AGENT, 'route', 'add', 'default', 'via', '10.231.1.1');
      if (hasIpv6) ip('-n', AGENT, '-6', 'route', 'add', 'default', 'via', 'fd23:1:1::1');
    });
    after(() => {
      ip('-n', AGENT, 'route', 'del', 'default');
      if (hasIpv6) ip('-n', AGENT, '-6', 'route', 'del', 'default');
    });

    it('silence where nobody is known to answer proves nothing', async () => {
      for (const named of [[], ['--target', '10.231.2.77:443', '--dns-server', '10.231.2.77']]) {
        const result = await verify(AGENT, house.elsewhere, ...named, '--timeout', '500');
        assert.deepEqual([result.code, result.contained], [4, false]);
        assert.deepEqual(states(result).slice(0, 3), all('undecided').slice(0, 3), JSON.stringify(result.ways));
      }
    });

    it('a server that answers through Weir and not here does; Weir’s user may tell the collector', async () => {
      const six = hasIpv6 ? ['--target6', `[${SERVER6}]:443`] : [];
      const result = await verify(AGENT, house.stateDir, ...NAMED, ...six, '--timeout', '1000');
      assert.deepEqual([result.code, result.contained, result.told], [0, true, 'collector'], JSON.stringify(result));
      assert.deepEqual(states(result), all('closed'));
      assert.match(result.ways[0]?.detail ?? '', /through Weir it answers/);
      assert.match(result.ways[2]?.detail ?? '', /through Weir it answers/);
      const { containment, verified } = await house.status();
      assert.deepEqual([containment, verified], ['network', true]);
    });
  });

  it('one cable around Weir is found, and takes the claim back', async () => {
    assert.equal((await house.status()).containment, 'network');
    ip('-n', AGENT, 'link', 'add', 'around', 'type', 'veth', 'peer', 'name', 'around', 'netns', OUTSIDE);
    for (const [name, last] of [
      [AGENT, '1'],
      [OUTSIDE, '2'],
    ] as const) {
      ip('-n', name, 'addr', 'add', `10.231.3.${last}/24`, 'dev', 'around');
      ip('-n', name, 'link', 'set', 'around', 'up');
    }
    const around = ['--target', '10.231.3.2:443', '--target-udp', '10.231.3.2:443', '--dns-server', '10.231.3.2'];
    try {
      const result = await verify(AGENT, house.stateDir, ...around);
      assert.equal(result.code, 4);
      assert.deepEqual(states(result), [...all('open').slice(0, 3), ['IPv6', 'closed']]);
      assert.equal((await house.status()).containment, 'cooperative');
    } finally {
      ip('-n', AGENT, 'link', 'del', 'around');
    }
    assert.deepEqual(states(await verify(AGENT, house.stateDir)), all('closed'));
    assert.equal((await house.status()).containment, 'network');
  });

  it('a proof does not outlive the process it was given to', async () => {
    await house.restart();
    const { containment, verified } = await house.status();
    assert.deepEqual([containment, verified], ['cooperative', false]);
  });
});
