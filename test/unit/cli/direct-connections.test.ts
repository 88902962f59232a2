import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { endianness, networkInterfaces } from 'node:os';
import { afterEach, describe, it } from 'node:test';
import { canWatchDirect, type DirectConnection, watchDirect } from '../../../src/cli/direct-connections.ts';
import { type FakeProcess, fakeProc, line } from './fake-proc.ts';

const ROOT = 4_000_001;
const none = (): boolean => false;
const short = ({ program, pid, address, port, protocol, count }: DirectConnection) =>
  `${program} ${pid} ${protocol} ${address} ${port} ×${count}`;

// 140.82.112.4:22, 10.0.0.9:443, 127.0.0.1:8080; a local address with an ephemeral port.
const SSH = '0470528C:0016';
const PLAIN = '0900000A:01BB';
const LOOPBACK = '0100007F:1F90';
const LOCAL = '020200C0:C001';

async function until(what: string, met: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!met()) {
    assert.ok(Date.now() < end, `waited for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('watchDirect, on a made-up /proc', { skip: endianness() === 'LE' ? false : 'lines are little-endian' }, () => {
  let fake: ReturnType<typeof fakeProc>;
  afterEach(() => fake.end());
  const start = (processes: readonly FakeProcess[], more: Partial<Parameters<typeof watchDirect>[0]> = {}) => {
    fake = fakeProc();
    for (const one of processes) fake.put(one);
    const found: string[] = [];
    const onFound = (one: DirectConnection): void => void found.push(short(one));
    const watch = watchDirect({ rootPid: ROOT, ours: none, everyMs: 60_000, proc: fake.proc, onFound, ...more });
    return { found, stop: () => watch.stop().map(short).sort() };
  };

  it('reports the program of a grandchild, and nothing that is loopback, ours, unconnected or somebody else’s', () => {
    const { found, stop } = start(
      [
        {
          pid: ROOT,
          children: { [ROOT]: [ROOT + 1], [ROOT + 50]: [ROOT + 2] },
          sockets: [10, 13, 14, 15, 16, 17],
          net: {
            tcp: [
              line(LOCAL, SSH, 11),
              line('0100007F:C002', LOOPBACK, 10),
              line(LOCAL, PLAIN, 13),
              line(LOCAL, SSH, 14, '02'),
              line('00000000:0BB8', '00000000:0000', 15, '0A'),
              line('020200C0:0BB8', SSH, 16),
              line(LOCAL, SSH, 999),
              line(LOCAL, SSH, 0, '06'),
            ],
            udp: [line('00000000:D000', '00000000:0000', 17, '07')],
          },
        },
        { pid: ROOT + 1, parent: ROOT, comm: 'sh', children: { [ROOT + 1]: [ROOT + 3] } },
        { pid: ROOT + 2, parent: ROOT, comm: 'MainThread', exe: '/opt/bin/node' },
        { pid: ROOT + 3, parent: ROOT + 1, comm: 'ssh', sockets: [11] },
      ],
      { ours: (address, port) => address === '10.0.0.9' && port === 443 },
    );
    assert.deepEqual(stop(), [`ssh ${ROOT + 3} tcp 140.82.112.4 22 ×1`]);
    assert.deepEqual(found, [`ssh ${ROOT + 3} tcp 140.82.112.4 22 ×1`]);
    assert.deepEqual(stop(), [`ssh ${ROOT + 3} tcp 140.82.112.4 22 ×1`], 'a second stop changes nothing');
  });

  it('reads IPv6, IPv4-mapped and UDP; children of threads; Node by the name of its file; names printable', () => {
    const six = 'B80D0120000000000000000001000000:01BB';
    const mapped = '0000000000000000FFFF00000470528C:01BB';
    const mappedLoopback = '0000000000000000FFFF00000100007F:1F90';
    const loopback = '00000000000000000000000001000000:1F90';
    const local6 = 'B80D0120000000000000000002000000:C001';
    const { stop } = start([
      {
        pid: ROOT,
        comm: 'MainThread',
        exe: '/opt/bin/node',
        children: { [ROOT + 50]: [ROOT + 1] },
        sockets: [1, 2, 3, 4],
        net: {
          tcp6: [
            line(local6, six, 1),
            line(local6, mapped, 2),
            line(local6, mappedLoopback, 3),
            line(local6, loopback, 4),
          ],
          udp: [line(LOCAL, '08080808:0035', 5)],
        },
      },
      { pid: ROOT + 1, comm: 'e\u001b[2Jvil', sockets: [5] },
    ]);
    assert.deepEqual(stop(), [
      `e<U+001B>[2Jvil ${ROOT + 1} udp 8.8.8.8 53 ×1`,
      `node ${ROOT} tcp 140.82.112.4 443 ×1`,
      `node ${ROOT} tcp 2001:db8::1 443 ×1`,
    ]);
  });

  it('counts distinct sockets, tells once, and outlives a vanishing process', async () => {
    const with_ = (...inodes: number[]): FakeProcess => ({
      pid: ROOT,
      comm: 'curl',
      sockets: inodes,
      net: { tcp: inodes.map((inode) => line(LOCAL, SSH, inode)) },
    });
    const { found, stop } = start([with_(1, 2)], { everyMs: 1 });
    await until('the first', () => found.length > 0);
    fake.put(with_(2, 3));
    assert.deepEqual(stop(), [`curl ${ROOT} tcp 140.82.112.4 22 ×3`]);
    assert.deepEqual(found, [`curl ${ROOT} tcp 140.82.112.4 22 ×1`]);
  });

  it('stays quiet when files are missing, broken or the callbacks throw', () => {
    const broken = start([{ pid: ROOT, net: { tcp: ['garbage', '   0: zz', '', ': : :'], udp6: [] } }]);
    assert.deepEqual(broken.stop(), []);
    fake.end();
    assert.deepEqual(start([]).stop(), []);
    fake.end();
    const one: FakeProcess = { pid: ROOT, sockets: [1, 2], net: { tcp: [line(LOCAL, SSH, 1), line(LOCAL, PLAIN, 2)] } };
    const fail = (): never => {
      throw new Error('no');
    };
    assert.equal(start([one], { onFound: fail }).stop().length, 2);
    fake.end();
    assert.deepEqual(start([one], { ours: fail }).stop(), []);
  });

  it('asks every network namespace of the tree', () => {
    const { stop } = start([
      { pid: ROOT, children: { [ROOT]: [ROOT + 1] }, sockets: [1], net: { tcp: [line(LOCAL, SSH, 1)] } },
      { pid: ROOT + 1, namespace: '2', sockets: [3], net: { tcp: [line(LOCAL, PLAIN, 3)] }, comm: 'jailed' },
    ]);
    assert.deepEqual(stop(), [`jailed ${ROOT + 1} tcp 10.0.0.9 443 ×1`, `thing ${ROOT} tcp 140.82.112.4 22 ×1`]);
  });

  it('finds what another thread opened while the first one slept', async () => {
    const net = { tcp: [line(LOCAL, SSH, 1), line(LOCAL, PLAIN, 2)] };
    const { found } = start([{ pid: ROOT, sockets: [1], net }], { everyMs: 1 });
    await until('the first', () => found.length > 0);
    fake.put({ pid: ROOT, sockets: [2], net });
    await until('the second', () => found.length > 1);
  });

  it('asks again for what was not connected yet, and for the next peer of a UDP socket', async () => {
    const all: FakeProcess = { pid: ROOT, sockets: [1, 2, 3, 4] };
    const unix = ['0000000000000000: 00000003 00000000 00000000 0001 03 4'];
    const { found, stop } = start(
      [{ ...all, net: { tcp: [line(LOCAL, SSH, 2, '02')], udp: [line(LOCAL, '08080808:0035', 3)], unix } }],
      { everyMs: 1 },
    );
    await until('the UDP socket', () => found.length > 0);
    fake.put({
      ...all,
      net: { tcp: [line(LOCAL, PLAIN, 1), line(LOCAL, SSH, 2)], udp: [line(LOCAL, SSH, 3)], unix: [] },
    });
    await until('all of them', () => found.length > 3);
    assert.deepEqual(stop(), [
      `thing ${ROOT} tcp 10.0.0.9 443 ×1`,
      `thing ${ROOT} tcp 140.82.112.4 22 ×1`,
      `thing ${ROOT} udp 140.82.112.4 22 ×1`,
      `thing ${ROOT} udp 8.8.8.8 53 ×1`,
    ]);
  });

  it('tells processes that lost their parent by session, group and mark, and leaves neighbours alone', () => {
    const [runner, shell] = [ROOT - 1, ROOT - 2];
    const net = { tcp: [1, 2, 3, 4, 5, 6, 7].map((inode) => line(LOCAL, SSH, inode)) };
    const inGroup = { group: runner, session: shell };
    const { stop } = start(
      [
        { pid: 1, parent: 0, session: 1, start: 0 },
        { pid: shell, parent: 1, session: shell, start: 50 },
        { pid: runner, parent: shell, ...inGroup, start: 90 },
        { pid: ROOT, parent: runner, ...inGroup, net },
        // Orphan in the root's group; its child; a daemon that holds the mark.
        {
          pid: ROOT + 1,
          parent: 1,
          ...inGroup,
          start: 101,
          comm: 'orphan',
          sockets: [1],
          children: { [ROOT + 1]: [ROOT + 2] },
        },
        { pid: ROOT + 2, parent: ROOT + 1, comm: 'grandchild', sockets: [2] },
        {
          pid: ROOT + 3,
          parent: 1,
          environ: 'A=b\0HTTP_PROXY=http://x:x@127.0.0.1:45123\0',
          comm: 'daemon',
          sockets: [3],
        },
        // A pipeline's other end, a program that was there before, an unrelated one, the collector.
        { pid: ROOT + 4, parent: shell, ...inGroup, comm: 'tee', sockets: [4] },
        { pid: ROOT + 5, parent: 1, ...inGroup, start: 99, comm: 'older', sockets: [5] },
        { pid: ROOT + 6, parent: 1, comm: 'browser', sockets: [6] },
        { pid: ROOT + 7, parent: runner, comm: 'collector', sockets: [7] },
      ],
      { mark: '@127.0.0.1:45123' },
    );
    const seen = [`daemon ${ROOT + 3}`, `grandchild ${ROOT + 2}`, `orphan ${ROOT + 1}`];
    assert.deepEqual(
      stop(),
      seen.map((who) => `${who} tcp 140.82.112.4 22 ×1`),
    );
  });

  it('remembers a member whose session goes on without it', async () => {
    const net = { tcp: [line(LOCAL, SSH, 1), line(LOCAL, PLAIN, 9)] };
    const { found, stop } = start(
      [
        { pid: ROOT, children: { [ROOT]: [ROOT + 1] }, net, sockets: [9] },
        { pid: ROOT + 1, parent: ROOT },
      ],
      { everyMs: 1 },
    );
    await until('a first sample', () => found.length > 0);
    fake.put({ pid: ROOT + 2, parent: 1, group: ROOT + 1, session: ROOT + 1, comm: 'left', sockets: [1] });
    fake.remove(ROOT + 1);
    fake.remove(ROOT);
    assert.deepEqual(stop()[0], `left ${ROOT + 2} tcp 140.82.112.4 22 ×1`);
  });
});

const outward = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find(({ internal, family }) => !internal && family === 'IPv4')?.address;

/** Connects to each `address port` pair, says so, and holds the connections until one of them is closed. */
const CLIENT = `
  const [, ...targets] = process.argv;
  let left = targets.length;
  const sockets = targets.map((target) => {
    const [host, port] = target.split(' ');
    return require('node:net').connect({ host, port: Number(port) }, () => --left === 0 && console.log('connected'));
  });
  for (const socket of sockets) socket.on('error', () => {}).on('close', () => process.exit()).resume();
`;

describe('watchDirect, on real processes', { skip: canWatchDirect ? false : 'no readable /proc' }, () => {
  async function listener(host: string) {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined).resume());
    }).listen(0, host);
    await once(server, 'listening');
    const end = (): void => {
      server.close();
      for (const socket of sockets) socket.destroy();
    };
    return { end, port: (server.address() as { port: number }).port };
  }

  const needsAddress = {
    skip: outward === undefined ? 'this machine has only loopback' : false,
    timeout: 60_000,
  };

  /** Runs the client below a shell, watches the shell until something is seen, and lets the client go. */
  async function watched(script: string, detached: boolean) {
    const host = outward as string;
    const [direct, ours, local] = await Promise.all([listener(host), listener(host), listener('127.0.0.1')]);
    const targets = [`${host} ${direct.port}`, `${host} ${ours.port}`, `127.0.0.1 ${local.port}`];
    const child = spawn('/bin/sh', ['-c', script, process.execPath, ...targets], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { CLIENT },
      detached,
    });
    child.on('error', () => undefined);
    const ended = once(child, 'close');
    const told: DirectConnection[] = [];
    const watch = watchDirect({
      rootPid: child.pid as number,
      ours: (address, port) => address === host && port === ours.port,
      onFound: (one) => void told.push(one),
    });
    try {
      await once(child.stdout, 'data');
      await until('the connection is seen', () => told.length > 0);
      const all = watch.stop();
      assert.deepEqual(told, all);
      assert.deepEqual(
        all.map(({ program, address, port, protocol, count }) => [program, address, port, protocol, count]),
        [['node', host, direct.port, 'tcp', 1]],
      );
      assert.notEqual(all[0]?.pid, child.pid);
      assert.ok(Math.abs((all[0]?.firstSeenAt ?? 0) - Date.now()) < 60_000);
    } finally {
      watch.stop();
      for (const { end } of [direct, ours, local]) end();
      await ended;
    }
  }

  // The `&& true` keeps the shell: else it would become the client.
  it('sees a direct connection of a grandchild; not loopback, not ours', needsAddress, () =>
    watched('"$0" -e "$CLIENT" "$@" && true', false),
  );

  it('sees one of a program whose parent has gone before the first look', needsAddress, () =>
    watched('"$0" -e "$CLIENT" "$@" &', true),
  );
});
