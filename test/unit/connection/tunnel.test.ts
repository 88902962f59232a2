import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net, { type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import tls from 'node:tls';
import { createAuthority } from '../../support/certs.ts';
import {
  createRig,
  httpOrigin,
  httpsOrigin,
  listening,
  type Rig,
  readAll,
  readHead,
  secure,
} from '../../support/connect-rig.ts';
import { answerOf } from '../../support/fake-connect-corridor.ts';

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});
const rig = async (overrides: Parameters<typeof createRig>[0] = {}): Promise<Rig> => {
  const made = await createRig(overrides);
  closers.push(() => made.listener.close());
  return made;
};
/** A raw origin; sockets are closed at the end of the file. */
const origin = async (onSocket: (socket: Socket) => void): Promise<number> => {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    closers.push(() => socket.destroy());
    onSocket(socket);
  });
  closers.push(() => server.close());
  return listening(server);
};
const echo = (): Promise<number> => origin((socket) => socket.pipe(socket));
const ca = createAuthority();
const leaf = ca.issue(['a.test', 'b.test']);
const secureOrigin = async (): Promise<number> => {
  const server = httpsOrigin(leaf);
  closers.push(() => server.close());
  return listening(server);
};

describe('what follows a CONNECT is decided by its first bytes', () => {
  test('TLS that is not intercepted: end to end, facts on the connection', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await secureOrigin();
    const socket = await tunnel('a.test:443');
    const client = await secure(socket, { servername: 'a.test', ca: ca.cert, ALPNProtocols: ['http/1.1'] });
    assert.equal(client.authorized, true);
    client.write('GET /end-to-end HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
    assert.match(await readAll(client), /origin 1\.1 a\.test \/end-to-end/);
    await corridor.until(() => corridor.settled());
    const { connection } = corridor.opened[0] as (typeof corridor.opened)[0];
    assert.equal(connection.visibility, 'tunnel');
    assert.equal(connection.tunnelProtocol, 'tls');
    assert.equal(connection.tls?.sni, 'a.test');
    assert.match(connection.tls?.ja4 ?? '', /^t13d/);
    assert.deepEqual(
      corridor.tlsChecks.map(({ protocol }) => protocol),
      ['tls'],
    );
    assert.equal(corridor.closing('connect')?.outcome, 'forwarded');
    const counted = corridor.opened.find(({ kind }) => kind === 'tunnel');
    assert.ok((counted?.requestBytes ?? 0) > 300 && (counted?.responseBytes ?? 0) > 300);
  });

  test('a ClientHello in pieces of seven bytes, and one behind the CONNECT in one segment', async () => {
    const { corridor, dial, tunnel } = await rig();
    corridor.target.port = await secureOrigin();
    // The client speaks TLS to a pipe whose other end is cut into pieces.
    const cut = async (socket: Socket, first: (hello: Buffer) => Promise<void>): Promise<void> => {
      const server = net.createServer();
      const port = await listening(server);
      const client = tls.connect({ port, host: '127.0.0.1', servername: 'a.test', ca: ca.cert });
      client.on('error', () => {});
      const [inner] = (await once(server, 'connection')) as [Socket];
      server.close();
      const [hello] = (await once(inner, 'data')) as [Buffer];
      await first(hello);
      inner.on('error', () => {});
      inner.pipe(socket).pipe(inner);
      if (!client.authorized) await once(client, 'secureConnect');
      assert.equal(client.authorized, true);
      client.destroy();
    };
    const slow = await tunnel('a.test:443');
    await cut(slow, async (hello) => {
      for (let at = 0; at < hello.length; at += 7) {
        slow.write(hello.subarray(at, at + 7));
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const quick = await dial();
    await cut(quick, async (hello) => {
      quick.write(Buffer.concat([Buffer.from('CONNECT a.test:443 HTTP/1.1\r\n\r\n'), hello]));
      assert.match(await readHead(quick), / 200 /);
    });
    await corridor.until(() => corridor.settled());
    assert.deepEqual(
      corridor.tlsChecks.map(({ facts }) => facts?.sni),
      ['a.test', 'a.test'],
    );
  });

  test('HTTP/1 in the clear becomes an exchange over the same link', async () => {
    const { corridor, tunnel } = await rig();
    const server = httpOrigin();
    closers.push(() => server.close());
    corridor.target.port = await listening(server);
    const socket = await tunnel('a.test:80');
    socket.write('GET /clear HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
    assert.match(await readAll(socket), /origin \/clear/);
    await corridor.until(() => corridor.settled());
    assert.deepEqual(
      corridor.opened.map(({ kind }) => kind),
      ['connect', 'exchange'],
    );
    assert.equal(corridor.opened[1]?.connection.visibility, 'plaintext');
    assert.equal(corridor.links.length, 1);
    assert.deepEqual(corridor.tlsChecks, [{ facts: undefined, protocol: 'http/1.1' }]);
  });

  test('an HTTP/2 preface goes to the HTTP/2 relay', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await echo();
    corridor.onCheck = (exchange) => (exchange.kind === 'connect' ? undefined : answerOf(403, 'no', 'refused over h2'));
    const socket = await tunnel('a.test:80');
    const session = http2.connect('http://a.test', { createConnection: () => socket });
    session.on('error', () => {});
    const stream = session.request({ ':path': '/' });
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    assert.equal(headers[':status'], 403);
    session.destroy();
    await corridor.until(() => corridor.settled());
  });

  test('other protocols are opaque and named', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await echo();
    for (const first of ['SSH-2.0-Go\r\n', '\x05\x01\x00 whatever', 'stats\r\n']) {
      const socket = await tunnel('a.test:22');
      socket.write(first);
      const [back] = (await once(socket, 'data')) as [Buffer];
      assert.equal(back.toString(), first);
      socket.end();
      await once(socket, 'end');
    }
    await corridor.until(() => corridor.settled());
    assert.deepEqual(
      corridor.tlsChecks.map(({ protocol }) => protocol),
      ['ssh', 'unknown', 'unknown'],
    );
  });

  test('a server that speaks first: its banner is passed on, the protocol named', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await origin((socket) => {
      socket.write('220 mail.test ESMTP\r\n');
      socket.pipe(socket);
    });
    const socket = await tunnel('a.test:25');
    const [banner] = (await once(socket, 'data')) as [Buffer];
    assert.equal(banner.toString(), '220 mail.test ESMTP\r\n');
    socket.write('EHLO me\r\n');
    assert.equal(String((await once(socket, 'data'))[0]), 'EHLO me\r\n');
    assert.equal(corridor.tlsChecks[0]?.protocol, 'smtp');
    socket.destroy();
    await corridor.until(() => corridor.settled());
  });

  test('silence of both: reported within a second, judged whenever the first byte comes', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await echo();
    const socket = await tunnel('a.test:443');
    await corridor.until(() => corridor.closed.length === 1);
    assert.equal(corridor.closing('connect')?.outcome, 'forwarded');
    assert.equal(corridor.tlsChecks.length, 0);
    corridor.onCheckTls = () => answerOf(403, 'Blocked by Weir');
    socket.write('SSH-2.0-late\r\n');
    assert.equal(await readAll(socket), '');
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closing('tunnel')?.outcome, 'blocked', 'the refusal after the report is a tunnel of its own');
  });
});

describe('ends', () => {
  test('half-close is kept both ways', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await origin((socket) => {
      let got = 0;
      socket.on('data', (chunk: Buffer) => {
        got += chunk.length;
      });
      socket.on('end', () => socket.end(`got ${got}`));
    });
    const socket = await tunnel('a.test:9');
    socket.write('\x00'.repeat(50_000));
    socket.end();
    assert.equal(await readAll(socket), 'got 50000');
    await corridor.until(() => corridor.settled());
  });

  test('a client that only listens: FIN before any byte still gets the banner', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await origin((socket) => {
      socket.on('end', () => socket.end('only for you'));
      socket.resume();
    });
    const socket = await tunnel('a.test:9');
    socket.end();
    assert.equal(await readAll(socket), 'only for you');
    await corridor.until(() => corridor.settled());
  });

  test('request and FIN in one segment with the CONNECT', async () => {
    const { corridor, dial } = await rig();
    corridor.target.port = await origin((socket) => {
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += String(chunk);
      });
      socket.on('end', () => socket.end(text));
    });
    const socket = await dial();
    socket.end('CONNECT a.test:9 HTTP/1.1\r\n\r\n\x01all at once');
    assert.match(await readAll(socket), /\r\n\r\n\x01all at once$/);
    await corridor.until(() => corridor.settled());
  });

  test('the upstream closes or resets before anything was said', async () => {
    for (const way of ['end', 'resetAndDestroy'] as const) {
      const { corridor, tunnel } = await rig();
      corridor.target.port = await origin((socket) => setTimeout(() => socket[way](), 20));
      const socket = await tunnel('a.test:443');
      assert.equal(await readAll(socket), '', way);
      await corridor.until(() => corridor.settled(), way);
    }
  });

  test('the agent goes at any stage', async () => {
    const { corridor, dial } = await rig();
    corridor.target.port = await echo();
    for (const bytes of ['', '\x16', '\x16\x03\x01\x02\x00\x01\x00', 'GE', 'PRI * HT', '\x00\x00']) {
      for (const way of ['destroy', 'resetAndDestroy'] as const) {
        const socket = await dial();
        socket.write('CONNECT a.test:443 HTTP/1.1\r\n\r\n');
        await readHead(socket);
        if (bytes !== '') socket.write(Buffer.from(bytes, 'latin1'));
        await new Promise((resolve) => setTimeout(resolve, 5));
        socket[way]();
      }
    }
    await corridor.until(() => corridor.settled());
    for (const link of corridor.links) assert.ok(link.socket.destroyed);
  });

  test('a ClientHello that never ends', async () => {
    const { corridor, knobs, tunnel } = await rig({ limits: { clientHelloMs: 50 } });
    corridor.target.port = await echo();
    const passed = await tunnel('a.test:443');
    passed.write(Buffer.from([0x16, 3, 1]));
    assert.deepEqual((await once(passed, 'data'))[0], Buffer.from([0x16, 3, 1]), 'not to be read: passed on');
    passed.destroy();
    knobs.wants = true;
    const withheld = await tunnel('a.test:443');
    withheld.write(Buffer.from([0x16, 3, 1]));
    assert.equal(await readAll(withheld), '', 'to be read: no way around');
    await corridor.until(() => corridor.settled());
  });

  test('a revoked tunnel closes at once', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await echo();
    const socket = await tunnel('a.test:443');
    corridor.revokers.get(corridor.opened[0]?.id ?? '')?.();
    assert.equal(await readAll(socket), '');
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closing('connect')?.error, 'stopped');
  });
});

describe('refused by what the first bytes show', () => {
  test('TLS whose client would not trust us: an alert, nothing upstream', async () => {
    const { corridor, tunnel } = await rig();
    let upstreamBytes = 0;
    corridor.target.port = await origin((socket) => {
      socket.on('data', (chunk: Buffer) => {
        upstreamBytes += chunk.length;
      });
    });
    corridor.onCheckTls = (_connect, facts) => (facts?.sni === 'b.test' ? answerOf(403, 'Blocked by Weir') : undefined);
    const socket = await tunnel('a.test:443');
    const client = tls.connect({ socket, servername: 'b.test' });
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    assert.match(error.code ?? '', /ACCESS_DENIED/);
    client.destroy();
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closing('connect')?.outcome, 'blocked');
    assert.equal(upstreamBytes, 0);
  });

  test('plain HTTP is answered in HTTP', async () => {
    const { corridor, tunnel } = await rig();
    corridor.target.port = await echo();
    corridor.onCheckTls = () => answerOf(403, 'Blocked by Weir: not TLS on 443');
    const socket = await tunnel('a.test:443');
    socket.write('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    assert.match(await readAll(socket), /^HTTP\/1\.1 403 Blocked by Weir: not TLS on 443/);
    await corridor.until(() => corridor.settled());
    assert.ok(corridor.links.every(({ socket: link }) => link.destroyed));
  });
});

test('a thousand idle tunnels', async () => {
  const { corridor, tunnel, listener } = await rig();
  corridor.target.port = await origin((socket) => socket.resume().on('end', () => socket.end()));
  const sockets: Socket[] = [];
  for (let i = 0; i < 20; i++)
    sockets.push(...(await Promise.all(Array.from({ length: 50 }, () => tunnel('a.test:443')))));
  await corridor.until(() => corridor.closed.length === 1000);
  for (const socket of sockets) socket.destroy();
  await corridor.until(() => listener.stats().open === 0 && corridor.ended.length === 1000, 'all to be closed');
});
