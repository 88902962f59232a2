import assert from 'node:assert/strict';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { after, test } from 'node:test';
import { probeAll } from '../../../src/cli/containment.ts';
import { verifyThrough } from '../../../src/cli/verify-request.ts';
import { tempDir, weir } from './world.ts';

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

function udp(answer: boolean): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  // A resolver's NXDOMAIN is the question with QR and RCODE 3 set (RFC 1035 §4.1.1).
  socket.on('message', (message, from) => {
    if (!answer) return;
    const reply = Buffer.from(message);
    reply.writeUInt16BE(0x8183, 2);
    socket.send(reply, from.port, from.address);
  });
  closers.push(() => socket.close());
  return new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(socket)));
}

test('ways out: what answers is open, what a known server does not answer is closed', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  const at = (socket: { address(): unknown }): string => `127.0.0.1:${(socket.address() as AddressInfo).port}`;
  const [answering, silent] = [await udp(true), await udp(false)];
  const ways = async (target: string, dnsServer: string) => {
    const found = await probeAll({ target, target6: target, dnsServer, timeout: 300 });
    return Object.fromEntries(found.map((way) => [way.name, way.state]));
  };
  const open = await ways(at(server), at(answering));
  assert.deepEqual([open['direct TCP'], open['IPv6'], open['DNS']], ['open', 'open', 'open']);
  assert.equal((await ways(at(answering), at(answering)))['UDP/443'], 'open');
  assert.deepEqual(await ways(at(silent), at(silent)), {
    'direct TCP': 'closed',
    IPv6: 'closed',
    'UDP/443': 'closed',
    DNS: 'closed',
  });
});
