import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { createCa, createLeaf, newKey, readSigner } from '../../../src/connection/certificate.ts';
import { createRig, httpOrigin, listening, type Rig, readAll, readHead } from '../../support/connect-rig.ts';
import { answerOf } from '../../support/fake-connect-corridor.ts';

const rigs: Rig[] = [];
const rig = async (overrides: Parameters<typeof createRig>[0] = {}): Promise<Rig> => {
  const made = await createRig(overrides);
  rigs.push(made);
  return made;
};
const origin = httpOrigin();
let originPort = 0;
before(async () => {
  originPort = await listening(origin);
});
after(() => {
  for (const made of rigs) made.listener.close();
  origin.close();
  origin.closeAllConnections();
});

describe('first token', () => {
  test('absolute-form goes to the HTTP/1 relay with its bytes, however they are cut', async () => {
    const { corridor, dial } = await rig();
    corridor.target.port = originPort;
    for (const pieces of [
      ['GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'],
      ['C', 'O', 'PY'],
    ]) {
      const socket = await dial();
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      if (pieces.length === 1) assert.match(await readAll(socket), /origin http:\/\/a\.test\/x/);
      socket.destroy();
    }
    await corridor.until(() => corridor.ended.length === 2);
    assert.equal(corridor.opened[0]?.connection.via, 'absolute-form');
    assert.ok(corridor.settled());
  });

  test('CONNECT dribbled byte by byte goes to the front door', async () => {
    const { corridor, dial } = await rig();
    corridor.target.port = originPort;
    const socket = await dial();
    for (const byte of 'CONNECT a.test:80 HTTP/1.1\r\n\r\nGET /y HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n') {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.match(await readAll(socket), /^HTTP\/1\.1 200 .*origin \/y/s);
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.opened[0]?.request.method, 'CONNECT');
  });

  test('a ClientHello is answered, counted and closed', async () => {
    const { corridor, port } = await rig();
    const socket = tls.connect({ port, host: '127.0.0.1' });
    const [error] = (await once(socket, 'error')) as [Error];
    assert.match(error.message, /wrong version number|packet length too long|EPROTO/i);
    await corridor.until(() => corridor.ended.length === 1);
    assert.equal(corridor.rejected[0]?.code, 'bad-request');
    assert.match(corridor.rejected[0]?.detail ?? '', /TLS/);
  });

  test('an HTTP/2 preface is answered with GOAWAY HTTP_1_1_REQUIRED', async () => {
    const { corridor, port } = await rig();
    const { connect } = await import('node:http2');
    const session = connect(`http://127.0.0.1:${port}`);
    session.on('error', () => {});
    const [code] = (await once(session, 'goaway')) as [number];
    assert.equal(code, 13);
    session.destroy();
    await corridor.until(() => corridor.rejected.length === 1);
  });

  test('silence is closed after head_ms without a record, a head that does not end is answered 408', async () => {
    const { corridor, dial } = await rig({ limits: { headMs: 60 } });
    const silent = await dial();
    assert.equal(await readAll(silent), '');
    assert.equal(corridor.connections, 0);
    const slow = await dial();
    slow.write('CONNECT a.test:80 HTTP/1.1\r\nHost:');
    assert.match(await readAll(slow), /^HTTP\/1\.1 408 /);
    await corridor.until(() => corridor.ended.length === 1);
    assert.equal(corridor.rejected[0]?.code, 'head-timeout');
  });
});

describe('front door', () => {
  test('a refusal carries the reason in the status line, our headers and body', async () => {
    const { corridor, dial } = await rig();
    corridor.onCheck = () => ({
      status: 403,
      reason: 'Blocked by Weir: a.test is not allowed for researcher (ref 01J8)',
      headers: [
        ['content-type', 'application/json'],
        ['content-length', '13'],
        ['x-strathon-block-reason', 'policy'],
      ],
      body: '{"rule":"€"}'.slice(0, 12),
    });
    const socket = await dial();
    socket.write('CONNECT a.test:443 HTTP/1.1\r\nProxy-Authorization: Basic cmVzZWFyY2hlcjp4\r\n\r\n');
    const text = await readAll(socket);
    assert.match(text, /^HTTP\/1\.1 403 Blocked by Weir: a\.test is not allowed for researcher \(ref 01J8\)\r\n/);
    assert.match(text, /\r\nx-strathon-block-reason: policy\r\n/);
    assert.match(text, /\r\nconnection: close\r\n/);
    assert.doesNotMatch(text, /ProxyChain/);
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closing('connect')?.outcome, 'blocked');
    assert.equal(corridor.opened[0]?.identity.agent, 'researcher');
    assert.equal(corridor.links.length, 0, 'nothing was dialled');
  });

  test('a failed dial is answered before any 200', async () => {
    const { corridor, dial } = await rig();
    const closed = net.createServer();
    corridor.target.port = await listening(closed);
    closed.close();
    await once(closed, 'close');
    const socket = await dial();
    socket.write('CONNECT a.test:443 HTTP/1.1\r\n\r\n');
    assert.match(await readAll(socket), /^HTTP\/1\.1 502 Weir: connect-refused\r\n/);
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closing('connect')?.outcome, 'failed');
  });

  test('a refusal survives bytes sent behind the CONNECT', async () => {
    const { corridor, dial } = await rig();
    corridor.onCheck = () => answerOf(403, 'Blocked by Weir');
    const socket = await dial();
    socket.write(`CONNECT a.test:443 HTTP/1.1\r\n\r\n${'x'.repeat(300_000)}`);
    assert.match(await readAll(socket), /^HTTP\/1\.1 403 Blocked by Weir\r\n/);
  });

  test('identity is read from the raw fields: no scheme is answered 400 by the library', async () => {
    const { corridor, dial } = await rig();
    corridor.onCheck = () => answerOf(407, 'Proxy Authentication Required');
    for (const value of ['Bearer abc', 'Basic', 'NTLM TlRM', '%%%']) {
      const socket = await dial();
      socket.write(`CONNECT a.test:443 HTTP/1.1\r\nProxy-Authorization: ${value}\r\n\r\n`);
      assert.match(await readAll(socket), /^HTTP\/1\.1 407 /, value);
    }
    const sent = corridor.opened.map((exchange) => exchange.request.fields[1]);
    assert.deepEqual(sent, ['Bearer abc', 'Basic', 'NTLM TlRM', '%%%']);
  });

  test('malformed CONNECTs are answered 400, recorded once, and nothing is dialled', async () => {
    const { corridor, dial } = await rig();
    const heads = [
      'CONNECT  HTTP/1.1\r\n\r\n',
      'CONNECT a.test HTTP/1.1\r\n\r\n',
      'CONNECT a.test:99999 HTTP/1.1\r\n\r\n',
      'CONNECT a.test:443 HTTP/9.1\r\n\r\n',
      'CONNECT a.test:443\r\n\r\n',
      'CONNECT a.test:443 HTTP/1.1\r\nbad field\r\n\r\n',
      'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n',
      'CONNECT a.test:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n',
      'CONNECT a.test:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello',
      'CONNECT a.test:443 HTTP/1.1\nHost: a.test\n\n',
    ];
    for (const head of heads) {
      const socket = await dial();
      socket.write(head);
      assert.match(await readAll(socket), /^HTTP\/1\.1 400 Weir: /, JSON.stringify(head));
    }
    await corridor.until(() => corridor.ended.length === heads.length);
    assert.equal(corridor.rejected.length, heads.length);
    assert.equal(corridor.links.length, 0);
    assert.equal(corridor.opened.length, 0);
  });

  test('heads are limited in bytes and fields', async () => {
    const { corridor, dial } = await rig({ limits: { headBytes: 20_000, headers: 100 } });
    for (const fields of [`X: ${'a'.repeat(30_000)}\r\n`, 'X: a\r\n'.repeat(101)]) {
      const socket = await dial();
      socket.write(`CONNECT a.test:443 HTTP/1.1\r\n${fields}\r\n`);
      await readAll(socket);
    }
    await corridor.until(() => corridor.rejected.length === 2);
    assert.deepEqual(
      corridor.rejected.map(({ code }) => code),
      ['head-too-large', 'head-too-large'],
    );
    const fine = await dial();
    fine.write(`CONNECT a.test:443 HTTP/1.1\r\nX: ${'a'.repeat(18_000)}\r\n\r\n`);
    await corridor.until(() => corridor.opened.length === 1);
    fine.destroy();
  });

  test('the agent leaves while we dial: the link is destroyed, the exchange closed', async () => {
    const { corridor, dial } = await rig();
    corridor.target.port = originPort;
    let go = (): void => {};
    corridor.onReach = () =>
      new Promise((resolve) => {
        go = () => resolve(undefined);
      });
    const socket = await dial();
    socket.write('CONNECT a.test:80 HTTP/1.1\r\n\r\n');
    await corridor.until(() => corridor.opened.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.resetAndDestroy();
    await corridor.until(() => corridor.closed.length === 1);
    assert.equal(corridor.closing('connect')?.outcome, 'client-gone');
    go();
    await corridor.until(() => corridor.links.length === 1);
    await corridor.until(() => corridor.links[0]?.socket.destroyed === true, 'the late link to be destroyed');
    assert.ok(corridor.settled());
  });

  test('two CONNECTs refused one after the other need two connections', async () => {
    const { corridor, dial } = await rig();
    corridor.onCheck = () => answerOf(403, 'Blocked by Weir');
    const socket = await dial();
    socket.write('CONNECT a.test:443 HTTP/1.1\r\n\r\nCONNECT b.test:443 HTTP/1.1\r\n\r\n');
    assert.equal((await readAll(socket)).match(/HTTP\/1\.1/g)?.length, 1);
    assert.equal(corridor.opened.length, 1);
  });

  test('curl through the proxy', async (t) => {
    const { corridor, port } = await rig();
    corridor.target.port = originPort;
    const curl = (...args: string[]): Promise<{ code: unknown; text: string }> =>
      new Promise((resolve) => {
        const child = execFile('curl', ['-sS', '--max-time', '5', ...args], (error, out, err) =>
          resolve({ code: error?.code, text: out + err }),
        );
        child.on('error', () => {});
      });
    const proxy = `http://researcher:x@127.0.0.1:${port}`;
    const plain = await curl('-x', proxy, 'http://a.test/plain');
    if (plain.code === 'ENOENT') return t.skip('curl is not installed');
    assert.match(plain.text, /origin http:\/\/a\.test\/plain/);
    assert.equal((await curl('-p', '-x', proxy, 'http://a.test/tunnelled')).text, 'origin /tunnelled');
    assert.equal(corridor.opened.at(-1)?.connection.visibility, 'plaintext');
    corridor.onCheck = () => answerOf(403, 'Blocked by Weir');
    assert.match((await curl('-p', '-x', proxy, 'http://a.test/')).text, /403/);
  });
});

describe('listening', () => {
  test('addresses, self, and an address in use', async () => {
    const { listener, port } = await rig({
      listen: [
        { address: '127.0.0.1', port: 0, agent: 'a' },
        { address: '::1', port: 0 },
      ],
    });
    const [first, second] = listener.addresses();
    assert.deepEqual(first, { address: '127.0.0.1', port, agent: 'a' });
    assert.ok(listener.isSelf('127.0.0.1', port));
    assert.ok(listener.isSelf('::ffff:127.0.0.1', port));
    assert.ok(listener.isSelf('0.0.0.0', port));
    assert.ok(listener.isSelf('::1', second?.port ?? 0));
    assert.ok(!listener.isSelf('127.0.0.2', port));
    assert.ok(!listener.isSelf('127.0.0.1', port === 1 ? 2 : 1));
    await assert.rejects(
      rig({
        listen: [
          { address: '127.0.0.1', port: 0 },
          { address: '127.0.0.1', port },
        ],
      }),
      {
        code: 'EADDRINUSE',
        address: '127.0.0.1',
        port,
      },
    );
  });

  test('a wildcard listener is reached by every local address', async () => {
    const { listener, port } = await rig({
      listen: [{ address: '0.0.0.0', port: 0 }],
      localAddresses: () => ['192.0.2.1'],
    });
    assert.ok(listener.isSelf('127.9.9.9', port));
    assert.ok(listener.isSelf('192.0.2.1', port));
    assert.ok(!listener.isSelf('192.0.2.2', port));
  });

  test('[::] takes IPv4 too, and shares its port with 0.0.0.0', async () => {
    const { listener, port, dial, corridor } = await rig({ listen: [{ address: '::', port: 0 }] });
    corridor.target.port = originPort;
    assert.ok(listener.isSelf('127.0.0.1', port));
    const socket = await dial();
    socket.write('CONNECT a.test:80 HTTP/1.1\r\n\r\n');
    assert.match(await readHead(socket), / 200 /);
    assert.equal(corridor.opened[0]?.connection.client.address, '127.0.0.1', 'unmapped');
    socket.destroy();
    listener.close();
    const both = [
      { address: '0.0.0.0', port },
      { address: '::', port },
    ];
    assert.equal((await rig({ listen: both })).listener.addresses().length, 2);
  });

  test('peers outside allow_from are closed unread', async () => {
    const { corridor, dial, listener } = await rig({ allowFrom: (address) => address !== '127.0.0.1' });
    const socket = await dial();
    socket.write('GET http://a.test/ HTTP/1.1\r\n\r\n');
    assert.equal(await readAll(socket), '');
    assert.equal(corridor.connections, 0);
    assert.equal(listener.stats().refusedAddress, 1);
  });

  test('at the limit the newest gets 503, the others live on', async () => {
    const { corridor, dial, listener } = await rig({ limits: { connections: 2 } });
    corridor.target.port = originPort;
    const kept = [await dial(), await dial()];
    const third = await dial();
    assert.match(await readAll(third), /^HTTP\/1\.1 503 /);
    assert.equal(corridor.rejected[0]?.code, 'limit-reached');
    assert.equal(listener.stats().refusedAtLimit, 1);
    kept[0]?.write('GET http://a.test/still HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
    assert.match(await readAll(kept[0] as net.Socket), /still/);
    third.destroy();
    kept[1]?.destroy();
  });

  test('a bound agent has its own limit', async () => {
    const { corridor, dial, listener } = await rig({
      listen: [{ address: '127.0.0.1', port: 0, agent: 'a' }],
      limits: { connectionsPerAgent: 1 },
    });
    const one = await dial();
    assert.match(await readAll(await dial()), /^HTTP\/1\.1 503 /);
    assert.match(corridor.rejected[0]?.detail ?? '', /per_agent/);
    one.destroy();
    await corridor.until(() => listener.stats().open === 0);
    const again = await dial();
    again.write('CONNECT a.test:1 HTTP/1.1\r\n\r\n');
    await corridor.until(() => corridor.opened.length === 1);
    assert.equal(corridor.opened[0]?.identity.agent, 'a');
    again.destroy();
  });

  test('nothing is judged before the corridor is ready', async () => {
    const made = await createRig();
    made.listener.close();
    let ready = (): void => {};
    const { corridor } = made;
    corridor.ready = new Promise((resolve) => {
      ready = resolve;
    });
    const late = await rig({ corridor });
    corridor.target.port = originPort;
    const socket = await late.dial();
    socket.write('GET http://a.test/late HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 40));
    assert.equal(corridor.connections, 0);
    ready();
    assert.match(await readAll(socket), /late/);
  });

  test('drain drops the silent, waits for the busy, and ends at its deadline', async () => {
    const { corridor, dial, tunnel, listener } = await rig();
    const echo = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    corridor.target.port = await listening(echo);
    const silent = await dial();
    const busy = await tunnel('a.test:7');
    busy.write('\x00hello');
    await once(busy, 'data');
    const over = listener.drain(5_000);
    assert.equal(await readAll(silent), '');
    await assert.rejects(dial());
    busy.end();
    await over;
    assert.equal(listener.stats().open, 0);
    const stuck = await rig();
    stuck.corridor.target.port = corridor.target.port;
    const forever = await stuck.tunnel('a.test:7');
    await stuck.listener.drain(50);
    assert.equal(await readAll(forever), '');
    echo.close();
  });

  test('TLS listeners, with and without client certificates', async () => {
    const ca = createCa();
    const signer = readSigner(ca.certPem, ca.keyPem, 'test');
    const key = newKey();
    const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const server = { key: keyPem, cert: createLeaf(signer, 'proxy.test', key) };
    const { corridor, port } = await rig({ listen: [{ address: '127.0.0.1', port: 0, tls: server }] });
    corridor.target.port = originPort;
    const options = { port, host: '127.0.0.1', servername: 'proxy.test', ca: ca.certPem };
    const socket = tls.connect(options);
    socket.write('CONNECT a.test:80 HTTP/1.1\r\n\r\n');
    assert.match(await readHead(socket), /^HTTP\/1\.1 200 /);
    socket.write('GET /over-tls HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
    assert.match(await readAll(socket), /origin \/over-tls/);
    const broken = net.connect(port, '127.0.0.1');
    broken.write('GET / HTTP/1.1\r\n\r\n');
    await readAll(broken);
    const strict = await rig({ listen: [{ address: '127.0.0.1', port: 0, tls: { ...server, clientCa: ca.certPem } }] });
    const without = tls.connect({ ...options, port: strict.port });
    assert.equal(await readAll(without), '');
    assert.equal(strict.corridor.connections, 0);
  });
});

describe('robustness', () => {
  test('garbage of every kind ends in a closed connection and balanced books', async () => {
    const { corridor, dial, listener } = await rig();
    corridor.target.port = originPort;
    const sockets = await Promise.all(Array.from({ length: 60 }, dial));
    for (const [index, socket] of sockets.entries()) {
      const bytes = Buffer.from(Array.from({ length: index * 7 + 1 }, (_, at) => (at * 31 + index * 97) & 255));
      socket.write(index % 3 === 0 ? Buffer.concat([Buffer.from('CONNECT '), bytes]) : bytes);
      if (index % 2 === 0) socket.end();
      else setTimeout(() => socket.resetAndDestroy(), 20);
      socket.resume();
    }
    await corridor.until(() => listener.stats().open === 0 && corridor.settled(), 'all to be closed');
  });

  test('a thousand idle connections', async () => {
    const { listener, dial, corridor } = await rig();
    const sockets = await Promise.all(Array.from({ length: 1000 }, dial));
    await corridor.until(() => listener.stats().open === 1000);
    for (const socket of sockets) socket.destroy();
    await corridor.until(() => listener.stats().open === 0, 'all to be closed');
  });
});
