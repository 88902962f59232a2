import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import type { Destination } from '../../../src/model/destination.ts';
import { WeirError } from '../../../src/model/error.ts';
import type { Permit } from '../../../src/model/ports.ts';
import { dialAddresses, interleave } from '../../../src/upstream/happy-eyeballs.ts';
import { createUpstream } from '../../../src/upstream/upstream.ts';

const servers: Server[] = [];
const sockets = new Set<Socket>();
after(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

async function listen(host: string, onSocket: (socket: Socket) => void = () => {}): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(0, host);
  await once(server, 'listening');
  servers.push(server);
  return (server.address() as { port: number }).port;
}

async function closedPort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

function permit(destination: Destination, addresses: string[], extra: Partial<Permit> = {}): Permit {
  return { brand: 'permit', destination, addresses, delegated: false, ...extra };
}

function upstream(connectMs = 2000): ReturnType<typeof createUpstream> {
  return createUpstream({
    resolve: {},
    noProxy: [],
    ca: undefined,
    connectMs,
    lookup: () => assert.fail('dial must not resolve'),
  });
}

test('families alternate from the first address on, order kept inside each', () => {
  assert.deepEqual(interleave(['1.1.1.1', '1.1.1.2', '1.1.1.3', '::1', '::2']), [
    '1.1.1.1',
    '::1',
    '1.1.1.2',
    '::2',
    '1.1.1.3',
  ]);
  assert.deepEqual(interleave(['::1', '::2', '1.1.1.1']), ['::1', '1.1.1.1', '::2']);
});

test('dials a judged address, half-open, with peer and timings, data intact', async () => {
  const port = await listen('127.0.0.1', (socket) => {
    socket.write('banner');
    socket.once('end', () => setImmediate(() => socket.end('after your FIN')));
    socket.resume();
  });
  const link = await upstream().dial(permit({ scheme: 'tcp', host: 'name.test', port: 1 }, ['127.0.0.1'], { port }));
  assert.deepEqual(link.peer, { address: '127.0.0.1', port });
  assert.equal(link.delegated, false);
  assert.equal(link.absoluteForm, undefined);
  assert.ok((link.timings.connectMs ?? -1) >= 0);
  // A banner that arrives before anybody reads must wait.
  await new Promise((resolve) => setTimeout(resolve, 20));
  const chunks: Buffer[] = [];
  link.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  link.socket.end('bye');
  await once(link.socket, 'end');
  assert.equal(Buffer.concat(chunks).toString(), 'bannerafter your FIN');
});

test('a refused address gives way to the next at once', async () => {
  const port = await listen('127.0.0.1');
  const link = await upstream().dial(
    permit({ scheme: 'tcp', host: 'name.test', port }, ['127.0.0.2', '127.0.0.3', '127.0.0.1']),
  );
  assert.equal(link.peer.address, '127.0.0.1');
  link.socket.destroy();
});

test('every address refused: connect-refused with all of them in the message', async () => {
  const port = await closedPort();
  const dialled = upstream().dial(permit({ scheme: 'tcp', host: 'name.test', port }, ['127.0.0.1', '127.0.0.2']));
  await assert.rejects(dialled, (error) => {
    assert.ok(error instanceof WeirError);
    assert.equal(error.code, 'connect-refused');
    assert.match(error.message, /127\.0\.0\.1:\d+ ECONNREFUSED/);
    assert.match(error.message, /127\.0\.0\.2:\d+ ECONNREFUSED/);
    return true;
  });
});

/** A port whose accept queue is full: its host drops every further SYN, as a silent firewall does (Linux). */
async function blackHole(address: string): Promise<{ port: number; close(): void }> {
  const program = `const s = require('node:net').createServer().listen({ port: 0, host: '${address}', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(s.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [printed] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(printed.toString());
  const fillers = Array.from({ length: 4 }, () => connect({ host: address, port }).on('error', () => {}));
  await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    port,
    close() {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGKILL');
    },
  };
}

test('a silent address is overtaken after the stagger, and times out when alone', async (t) => {
  if (process.platform !== 'linux') return t.skip('needs Linux backlog behaviour');
  const hole = await blackHole('127.0.0.9');
  t.after(() => hole.close());
  const server = createServer();
  server.listen(hole.port, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  const alone = dialAddresses({ addresses: ['127.0.0.9'], port: hole.port, connectMs: 150, keepAliveMs: 1000 });
  await assert.rejects(alone, (error) => {
    assert.ok(error instanceof WeirError);
    assert.equal(error.code, 'connect-timeout');
    assert.match(error.message, /127\.0\.0\.9:\d+ no answer in \d+ ms/);
    return true;
  });
  const addresses = ['127.0.0.9', '127.0.0.1'];
  const socket = await dialAddresses({ addresses, port: hole.port, connectMs: 5000, keepAliveMs: 1000 });
  assert.equal(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
});

test('nothing to dial is connect-failed', async () => {
  await assert.rejects(upstream().dial(permit({ scheme: 'tcp', host: 'x', port: 1 }, [])), { code: 'connect-failed' });
});

test('an upstream that resets before anybody listens does not crash', async () => {
  const port = await listen('127.0.0.1', (socket) => void setTimeout(() => socket.resetAndDestroy(), 20));
  const link = await upstream().dial(permit({ scheme: 'tcp', host: 'x', port }, ['127.0.0.1']));
  if (!link.socket.closed) await new Promise((resolve) => link.socket.once('close', resolve));
  assert.equal(link.socket.destroyed, true);
});
