import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { createServer as createTls } from 'node:tls';
import type { Destination } from '../../../src/model/destination.ts';
import { WeirError } from '../../../src/model/error.ts';
import type { Link, Upstream } from '../../../src/model/ports.ts';
import { createUpstream } from '../../../src/upstream/upstream.ts';
import { createAuthority } from '../../support/certs.ts';

const authority = createAuthority();
const servers: Server[] = [];
const sockets = new Set<Socket>();
after(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

function track(socket: Socket): Socket {
  sockets.add(socket);
  return socket.on('error', () => {});
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return (server.address() as { port: number }).port;
}

function plain(onSocket: (socket: Socket) => void): Promise<number> {
  return listen(createServer({ allowHalfOpen: true }, (socket) => onSocket(track(socket))));
}

function upstream(url: string, connectMs = 3000): Upstream {
  return createUpstream({
    resolve: {},
    proxy: { url },
    noProxy: [],
    ca: [authority.cert],
    connectMs,
    lookup: (name, _options, callback) => {
      assert.equal(name, 'parent.test', 'only the parent itself is looked up');
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    },
  });
}

async function through(up: Upstream, destination: Destination): Promise<Link> {
  const resolved = await up.resolve(destination);
  assert.equal(resolved.delegated, true);
  return up.dial({ brand: 'permit', destination, addresses: resolved.addresses, delegated: true });
}

const ORIGIN: Destination = { scheme: 'tcp', host: 'origin.test', port: 4433 };

/** Reads as a late consumer would: some turns after the dial, with a plain 'data' listener. */
async function lateRead(socket: Duplex, length: number): Promise<string> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  let text = '';
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.length >= length) resolve(text);
    });
  });
}

async function failure(promise: Promise<unknown>, code: string): Promise<string> {
  const error = await promise.then(
    () => assert.fail('must fail'),
    (cause: unknown) => cause,
  );
  assert.ok(error instanceof WeirError, String(error));
  assert.equal(error.code, code);
  for (const text of [error.message, error.stack ?? '', JSON.stringify(error)]) {
    assert.ok(!text.includes('hunter2') && !text.includes(btoa('joe:hunter2')), 'no credential in the error');
  }
  return error.message;
}

test('CONNECT: exact request, leftovers put back, bytes both ways, half-close', async () => {
  let head = '';
  const port = await plain((socket) => {
    socket.once('data', (chunk: Buffer) => {
      head = chunk.toString('latin1');
      socket.write('HTTP/1.1 200 Connection established\r\nX-A: b\r\n\r');
      setTimeout(() => socket.write('\nSSH-2.0-early'), 10);
      socket.on('data', (more: Buffer) => socket.write(more));
      socket.on('end', () => socket.end('!'));
    });
  });
  const link = await through(upstream(`http://joe:hunter2@parent.test:${port}`), ORIGIN);
  assert.equal(
    head,
    `CONNECT origin.test:4433 HTTP/1.1\r\nHost: origin.test:4433\r\nProxy-Authorization: Basic ${btoa('joe:hunter2')}\r\n\r\n`,
  );
  assert.equal(link.delegated, true);
  assert.equal(link.absoluteForm, undefined);
  assert.deepEqual(link.peer, { address: '127.0.0.1', port });
  const read = lateRead(link.socket, 'SSH-2.0-earlyping!'.length);
  link.socket.end('ping');
  assert.equal(await read, 'SSH-2.0-earlyping!');
});

test('CONNECT: IPv6 literals in brackets; no credentials, no header', async () => {
  let head = '';
  const port = await plain((socket) => {
    socket.once('data', (chunk: Buffer) => {
      head = chunk.toString('latin1');
      socket.write('HTTP/1.0 200 \r\n\r\n');
    });
  });
  const link = await through(upstream(`http://127.0.0.1:${port}`), { scheme: 'https', host: '2001:db8::1', port: 443 });
  assert.equal(head, 'CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n');
  link.socket.destroy();
});

test('plain HTTP through an HTTP parent is absolute-form over a bare connection', async () => {
  const port = await plain((socket) => socket.resume());
  const destination: Destination = { scheme: 'http', host: 'origin.test', port: 80 };
  const withUser = await through(upstream(`http://joe:hunter2@parent.test:${port}`), destination);
  assert.deepEqual(withUser.absoluteForm, { proxyAuthorization: `Basic ${btoa('joe:hunter2')}` });
  withUser.socket.destroy();
  const without = await through(upstream(`http://parent.test:${port}`), destination);
  assert.deepEqual(without.absoluteForm, {});
  without.socket.destroy();
});

test('CONNECT refused, not HTTP, endless, closed, silent, unreachable', async () => {
  const answers: [string | undefined, string, RegExp][] = [
    ['HTTP/1.1 407 hunter2 please\r\nContent-Length: 0\r\n\r\n', 'upstream-proxy-failed', /answered 407 to CONNECT/],
    ['HTTP/1.1 502 Bad\r\n\r\n', 'upstream-proxy-failed', /502/],
    ['SSH-2.0-x\r\n\r\n', 'upstream-proxy-failed', /not HTTP/],
    [`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(70_000)}`, 'upstream-proxy-failed', /no end/],
    ['', 'upstream-proxy-failed', /closed before/],
    [undefined, 'connect-timeout', /no answer in time/],
  ];
  for (const [answer, code, detail] of answers) {
    let closed: Promise<unknown> | undefined;
    const port = await plain((socket) => {
      closed = new Promise((resolve) => socket.once('close', resolve));
      socket.once('data', () => {
        if (answer === '') socket.end();
        else if (answer !== undefined) socket.write(answer);
        socket.on('end', () => socket.destroy());
      });
    });
    const up = upstream(`http://joe:hunter2@parent.test:${port}`, answer === undefined ? 200 : 3000);
    assert.match(await failure(through(up, ORIGIN), code), detail);
    await closed;
  }
  const server = createServer();
  const port = await listen(server);
  servers.pop()?.close();
  await once(server, 'close');
  assert.match(
    await failure(through(upstream(`http://joe:hunter2@parent.test:${port}`), ORIGIN), 'upstream-proxy-failed'),
    /ECONNREFUSED/,
  );
});

test('an HTTPS parent: verified TLS, then CONNECT, then TLS to the origin inside', async () => {
  const origin = await listen(
    createTls(authority.issue(['origin.test']), (socket) => {
      track(socket).end('from the origin');
    }),
  );
  const parent = await listen(
    createTls(authority.issue(['parent.test']), (socket) => {
      track(socket).once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        const onward = track(connect({ port: origin, host: '127.0.0.1' }));
        onward.pipe(socket).pipe(onward);
      });
    }),
  );
  const up = upstream(`https://joe:hunter2@parent.test:${parent}`);
  const destination: Destination = { scheme: 'https', host: 'origin.test', port: 443 };
  const link = await through(up, destination);
  assert.equal(link.tls, undefined, 'TLS to the parent is not TLS to the destination');
  const secured = await up.secure(link, destination, { servername: 'origin.test', alpn: ['http/1.1'] });
  assert.ok('link' in secured, JSON.stringify(secured));
  assert.equal(await lateRead(secured.link.socket, 15), 'from the origin');
  const wrongName = await listen(createTls(authority.issue(['other.test'])));
  const refused = through(upstream(`https://joe:hunter2@parent.test:${wrongName}`), ORIGIN);
  assert.match(await failure(refused, 'upstream-proxy-failed'), /unverifiable/);
});

/** A SOCKS5 server by hand (RFC 1928, RFC 1929): records the request, then echoes. */
function socks5(seen: Buffer[], options: { auth?: boolean; reply?: number; early?: string }): Promise<number> {
  return plain((socket) => {
    let step = 0;
    socket.on('data', (chunk: Buffer) => {
      seen.push(chunk);
      step++;
      if (step === 1) socket.write(Buffer.from([5, options.auth === true ? 2 : 0]));
      else if (step === 2 && options.auth === true) socket.write(Buffer.from([1, 0]));
      else if (step === (options.auth === true ? 3 : 2)) {
        const reply = Buffer.from([5, options.reply ?? 0, 0, 1, 127, 0, 0, 1, 0, 80]);
        socket.write(Buffer.concat([reply, Buffer.from(options.early ?? '')]));
      } else socket.write(chunk);
    });
  });
}

test('SOCKS5 with password: the name is resolved over there; bytes right behind the reply survive', async () => {
  const seen: Buffer[] = [];
  const port = await socks5(seen, { auth: true, early: 'SSH-2.0-early' });
  const link = await through(upstream(`socks5h://joe:hunter2@parent.test:${port}`), ORIGIN);
  assert.equal(seen[1]?.toString('latin1'), '\x01\x03joe\x07hunter2');
  assert.equal(seen[2]?.toString('latin1'), '\x05\x01\x00\x03\x0borigin.test\x11\x51');
  assert.equal(link.absoluteForm, undefined);
  const read = lateRead(link.socket, 'SSH-2.0-earlyping'.length);
  link.socket.write('ping');
  assert.equal(await read, 'SSH-2.0-earlyping');
  link.socket.destroy();
});

test('SOCKS5 carries plain HTTP too, never absolute-form; data that comes late is not lost', async () => {
  const port = await socks5([], {});
  const link = await through(upstream(`socks://parent.test:${port}`), {
    scheme: 'http',
    host: 'origin.test',
    port: 80,
  });
  assert.equal(link.absoluteForm, undefined);
  link.socket.write('echo me');
  assert.equal(await lateRead(link.socket, 7), 'echo me');
  link.socket.destroy();
});

test('SOCKS4a sends the name, and refusals are upstream-proxy-failed', async () => {
  const seen: Buffer[] = [];
  const port = await plain((socket) => {
    socket.on('data', (chunk: Buffer) => {
      seen.push(chunk);
      socket.write(Buffer.from([0, seen.length === 1 ? 0x5a : 0x5b, 0, 0, 0, 0, 0, 0]));
    });
  });
  const link = await through(upstream(`socks4a://joe@parent.test:${port}`), ORIGIN);
  assert.equal(seen[0]?.toString('latin1'), '\x04\x01\x11\x51\x00\x00\x00\x01joe\x00origin.test\x00');
  link.socket.destroy();
  await failure(through(upstream(`socks4://joe:hunter2@parent.test:${port}`), ORIGIN), 'upstream-proxy-failed');
  const five = await socks5([], { auth: true, reply: 2 });
  await failure(through(upstream(`socks5://joe:hunter2@parent.test:${five}`), ORIGIN), 'upstream-proxy-failed');
  const silent = await plain((socket) => socket.resume());
  const up = upstream(`socks5://joe:hunter2@parent.test:${silent}`, 200);
  await failure(through(up, ORIGIN), 'connect-timeout');
});
