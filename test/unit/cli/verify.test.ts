import assert from 'node:assert/strict';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { type AskProxy, type Control, type ProbeTargets, probeAll } from '../../../src/cli/containment.ts';
import { askThrough, verifyThrough } from '../../../src/cli/verify-request.ts';
import { REPORT } from '../admin/fake.ts';
import { fakeCollector, tempDir, weir } from './world.ts';

const closers: (() => void)[] = [];
after(() => closers.forEach((close) => void close()));

const ANSWER = {
  through: 'weir',
  agent: 'researcher',
  identified_by: 'claim',
  visibility: 'plaintext',
  mode: 'monitor',
  containment: 'cooperative',
};

/** A proxy that answers like Weir with interception off, or like something else. */
async function proxy(http: string, connect: (socket: Socket, request: IncomingMessage) => void) {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers['proxy-authorization']}`);
    response.end(http);
  });
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => undefined);
    seen.push(`CONNECT ${request.url} ${request.headers['proxy-authorization']}`);
    connect(socket, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { port, seen, target: { host: '127.0.0.1', port, user: 'researcher', password: 'x' } };
}

function refusal(socket: Socket): void {
  const body = JSON.stringify(ANSWER);
  socket.write(`HTTP/1.1 403 Weir\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 10)}`);
  setImmediate(() => socket.write(body.slice(10)));
}

test('both requests name the agent and read the answer, in one piece or several', async () => {
  const { target, seen } = await proxy(JSON.stringify(ANSWER), refusal);
  const expected = { ...ANSWER, through: true };
  assert.deepEqual(await verifyThrough(target, 'http'), { scheme: 'http', ...expected });
  assert.deepEqual(await verifyThrough(target, 'https'), { scheme: 'https', ...expected });
  const basic = `Basic ${Buffer.from('researcher:x').toString('base64')}`;
  assert.deepEqual(seen, [`GET http://verify.weir.invalid/ ${basic}`, `CONNECT verify.weir.invalid:443 ${basic}`]);
});

test('the command prints what was said and ends with 0, or 4 when something else answers', async () => {
  const env = { HOME: tempDir() };
  const good = await proxy(JSON.stringify(ANSWER), refusal);
  const passed = await weir(['verify', '--proxy', `http://researcher:x@127.0.0.1:${good.port}`], env);
  assert.equal(passed.code, 0, passed.err);
  assert.match(
    passed.out,
    /^http {2}through {2}agent researcher \(claim\), plaintext, monitor, cooperative\nhttps through /,
  );
  const other = await proxy('<html>router login</html>', (socket) =>
    socket.end('HTTP/1.1 403 no\r\ncontent-length: 0\r\n\r\n'),
  );
  const failed = await weir(['verify', '--proxy', `http://127.0.0.1:${other.port}`], env);
  assert.equal(failed.code, 4);
  assert.match(
    failed.out,
    /http {2}failed {2}the answer did not come from Weir\nhttps failed {2}the proxy refused: 403 no/,
  );
});

test('HTTP_PROXY is used where no collector runs', async () => {
  const { port } = await proxy(JSON.stringify(ANSWER), refusal);
  const ran = await weir(['verify', '--json'], { HOME: tempDir(), HTTP_PROXY: `http://me:x@127.0.0.1:${port}` });
  assert.equal((JSON.parse(ran.out) as { through: boolean }).through, true);
  assert.equal((await weir(['verify'], { HOME: tempDir() })).code, 3);
});

function udp(answer: boolean, code = 3): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  // A resolver's NXDOMAIN is the question with QR and RCODE 3 set (RFC 1035 §4.1.1).
  socket.on('message', (message, from) => {
    if (!answer) return;
    const reply = Buffer.from(message);
    reply.writeUInt16BE(0x8180 + code, 2);
    socket.send(reply, from.port, from.address);
  });
  closers.push(() => socket.close());
  return new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(socket)));
}

const at = (socket: { address(): unknown }): string => `127.0.0.1:${(socket.address() as AddressInfo).port}`;

async function tcpServer(): Promise<Server> {
  const server = createTcpServer((socket) => socket.on('error', () => undefined).destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  return server;
}

/** States by name, nothing asked but loopback; `control` is what the proxy says of every server. */
async function ways(
  targets: ProbeTargets & Required<Pick<ProbeTargets, 'target' | 'target6' | 'dnsServer'>>,
  control: Control = 'answers',
): Promise<Record<string, string>> {
  const asked: AskProxy = () => Promise.resolve(control);
  const found = await probeAll({ timeout: 300, systemResolvers: [], ...targets }, asked);
  return Object.fromEntries(found.map((way) => [way.name, way.state]));
}

test('ways out: what answers is open', async () => {
  const [server, answering] = [await tcpServer(), await udp(true)];
  const to = at(server);
  const open = await ways({
    timeout: 5000,
    target: to,
    target6: to,
    targetUdp: at(answering),
    dnsServer: at(answering),
  });
  assert.deepEqual(open, { 'direct TCP': 'open', IPv6: 'open', 'UDP/443': 'open', DNS: 'open' });
  // A datagram that is answered is a way out also where the server was named for TCP only.
  assert.equal((await ways({ timeout: 5000, target: at(answering), target6: to, dnsServer: to }))['UDP/443'], 'open');
});

test('ways out: silence counts only from a server that answers elsewhere', async () => {
  const silent = at(await udp(false));
  const named = { target: silent, target6: silent, targetUdp: silent, dnsServer: silent };
  const closed = { 'direct TCP': 'closed', IPv6: 'closed', 'UDP/443': 'closed', DNS: 'closed' };
  assert.deepEqual(await ways(named, 'answers'), closed);
  assert.deepEqual(await ways(named, 'refused'), closed);
  const dead = { 'direct TCP': 'undecided', IPv6: 'undecided', 'UDP/443': 'closed', DNS: 'undecided' };
  assert.deepEqual(await ways(named, 'dead'), dead);
});

test('ways out: most servers are silent on UDP, so one named for TCP proves nothing about it', async () => {
  for (const target of [at(await tcpServer()), at(await udp(false))])
    assert.equal((await ways({ target, target6: target, dnsServer: target }))['UDP/443'], 'undecided');
});

test('ways out: DNS is open when any resolver answers, over UDP or TCP, whatever it says', async () => {
  const [silent, nxdomain] = [at(await udp(false)), at(await udp(true))];
  const dns = async (systemResolvers: readonly string[]): Promise<string | undefined> =>
    (await ways({ timeout: 1500, target: silent, target6: silent, dnsServer: silent, systemResolvers }))['DNS'];
  assert.equal(await dns([silent, nxdomain]), 'open');
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (question) => socket.write(question));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  assert.equal(await dns([at(server)]), 'open');
  // Docker's resolver in an internal network: it is there, on loopback, and resolves nothing outside.
  assert.equal(await dns([at(await udp(true, 2)), at(await udp(true, 5))]), 'closed');
});

test('targets are checked before anything is sent', async () => {
  for (const args of [
    ['--target', 'nowhere'],
    ['--target6', '::1:443'],
    ['--target-udp', 'a:b'],
    ['--dns-server', 'x y'],
  ]) {
    const ran = await weir(['verify', '--containment', ...args], { HOME: tempDir() });
    assert.equal(ran.code, 2, args.join(' '));
  }
});

test('the control asks through the proxy as the agent, and wants an answer where it sends something', async () => {
  const word = (line: string) => (socket: Socket) => void socket.write(`HTTP/1.1 ${line}\r\n\r\n`);
  const cases: [(socket: Socket) => void, Buffer | undefined, Control][] = [
    [word('200 OK'), undefined, 'answers'],
    [word('403 no'), undefined, 'refused'],
    [word('407 who'), undefined, 'refused'],
    [word('502 gone'), undefined, 'dead'],
    [(socket) => socket.destroy(), undefined, 'dead'],
    [(socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'), Buffer.from('?'), 'dead'],
    [
      (socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n') && socket.on('data', () => socket.end('!')),
      Buffer.from('?'),
      'answers',
    ],
  ];
  for (const [connect, send, expected] of cases) {
    const { target, seen } = await proxy('', connect);
    assert.equal(await askThrough(target, '192.0.2.7', 443, send), expected);
    const basic = Buffer.from('researcher:x').toString('base64');
    assert.deepEqual(seen, [`CONNECT 192.0.2.7:443 Basic ${basic}`]);
  }
});

test('the collector hears only of its own proxy', async () => {
  const dir = tempDir();
  const env = { HOME: dir, WEIR_STATE_DIR: dir };
  const { port } = await proxy(JSON.stringify(ANSWER), refusal);
  const args = ['verify', '--proxy', `http://me:x@127.0.0.1:${port}`];
  const heard = async (address: string): Promise<boolean> => {
    const status = { ...REPORT, listeners: [{ address, tls: false }] };
    const collector = await fakeCollector(dir, { status: () => Promise.resolve(status) });
    try {
      assert.equal((await weir(args, env)).code, 0);
      return collector.calls.some(([name]) => name === 'verified');
    } finally {
      await collector.stop();
    }
  };
  assert.equal(await heard(`127.0.0.1:${port + 1}`), false);
  assert.equal(await heard(`192.0.2.7:${port}`), false);
  assert.equal(await heard(`127.0.0.1:${port}`), true);
  assert.equal(await heard(`0.0.0.0:${port}`), true);
});
