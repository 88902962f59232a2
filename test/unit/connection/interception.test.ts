import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { createAuthority } from '../../support/certs.ts';
import { createRig, httpsOrigin, listening, type Rig, readAll, readHead, secure } from '../../support/connect-rig.ts';
import { answerOf } from '../../support/fake-connect-corridor.ts';

const dir = mkdtempSync(`${tmpdir()}/weir-interception-`);
const closers: (() => void)[] = [() => rmSync(dir, { recursive: true, force: true })];
after(() => {
  for (const close of closers) close();
});
const ca = createAuthority();
const leaf = ca.issue(['a.test', 'b.test', '127.0.0.1']);
let originPort = 0;
before(async () => {
  const origin = httpsOrigin(leaf);
  closers.push(() => origin.close());
  originPort = await listening(origin);
});
const rig = async (overrides: Parameters<typeof createRig>[0] = {}): Promise<Rig> => {
  const made = await createRig(overrides);
  closers.push(() => made.listener.close());
  made.corridor.target.port = originPort;
  made.corridor.ca = ca.cert;
  made.knobs.wants = true;
  return made;
};
const REQUEST = 'GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
const ask = async (client: tls.TLSSocket): Promise<string> => {
  client.write(REQUEST);
  return readAll(client);
};
const issuer = (client: tls.TLSSocket): string => String(client.getPeerCertificate().issuer.CN);

describe('interception', () => {
  test('HTTP/1: our certificate, the upstream’s answer, exchanges read', async () => {
    const { corridor, authority, tunnel } = await rig();
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
    assert.match(issuer(client), /^Weir local CA/);
    assert.match(await ask(client), /origin 1\.1 a\.test \/x/);
    await corridor.until(() => corridor.settled());
    assert.deepEqual(
      corridor.opened.map(({ kind }) => kind),
      ['connect', 'exchange'],
    );
    const { connection, upstreamTls } = corridor.opened[0] as (typeof corridor.opened)[0];
    assert.equal(connection.visibility, 'intercepted');
    assert.equal(connection.tls?.sni, 'a.test');
    assert.notEqual(upstreamTls, undefined);
    assert.equal(corridor.opened[1]?.request.scheme, 'https');
    assert.ok(corridor.links.every(({ socket }) => socket.destroyed));
  });

  test('the client gets the protocol the upstream chose of its own offer', async () => {
    const { corridor, authority, tunnel } = await rig();
    const both = { servername: 'a.test', ca: authority.certPem, ALPNProtocols: ['h2', 'http/1.1'] };
    const client = await secure(await tunnel('a.test:443'), both);
    assert.equal(client.alpnProtocol, 'h2');
    client.destroy();
    const old = https.createServer(leaf);
    closers.push(() => old.close());
    corridor.target.port = await listening(old);
    const second = await secure(await tunnel('a.test:443'), both);
    assert.equal(second.alpnProtocol, 'http/1.1');
    second.destroy();
    const bare = tls.createServer(leaf, (socket) => socket.on('error', () => {}));
    bare.on('tlsClientError', () => {});
    closers.push(() => bare.close());
    corridor.target.port = await listening(bare);
    const third = await secure(await tunnel('a.test:443'), both);
    assert.equal(third.alpnProtocol, false, 'no ALPN upstream, none here');
    third.destroy();
    await corridor.until(() => corridor.settled());
  });

  test('HTTP/2 on both sides, and its end is noticed', async () => {
    const { corridor, authority, tunnel } = await rig();
    const options = { servername: 'a.test', ca: authority.certPem, ALPNProtocols: ['h2'] };
    const client = await secure(await tunnel('a.test:443'), options);
    const session = http2.connect('https://a.test', { createConnection: () => client });
    const stream = session.request({ ':path': '/two' });
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    await once(stream, 'end');
    assert.equal(text, 'origin 2.0 a.test /two');
    session.close();
    await once(session, 'close');
    await corridor.until(() => corridor.settled());
  });

  test('an address without SNI gets a certificate for the address', async () => {
    const { corridor, authority, tunnel } = await rig();
    const socket = await tunnel('127.0.0.1:443');
    const client = await secure(socket, { host: '127.0.0.1', ca: authority.certPem });
    assert.equal(client.getPeerCertificate().subjectaltname, 'IP Address:127.0.0.1');
    assert.match(await ask(client), /origin 1\.1 no-sni/);
    await corridor.until(() => corridor.settled());
  });

  test('a forwarded SNI that differs gets the certificate it looks for, never a wildcard', async () => {
    const { authority, tunnel } = await rig();
    const client = await secure(await tunnel('a.test:443'), { servername: 'B.test', ca: authority.certPem });
    assert.equal(client.getPeerCertificate().subjectaltname, 'DNS:b.test');
    client.destroy();
    const wild = await secure(await tunnel('a.test:443'), { servername: '*.test', rejectUnauthorized: false }).catch(
      () => undefined,
    );
    assert.notEqual(wild?.getPeerCertificate().subjectaltname, 'DNS:*.test');
    wild?.destroy();
  });

  test('TLS resumption, and many clients at once', async () => {
    const { corridor, authority, tunnel } = await rig();
    const texts = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const name = index % 2 === 0 ? 'a.test' : 'b.test';
        return ask(await secure(await tunnel(`${name}:443`), { servername: name, ca: authority.certPem }));
      }),
    );
    for (const [index, text] of texts.entries()) assert.match(text, index % 2 === 0 ? / a\.test / : / b\.test /);
    const first = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
    const session = once(first, 'session') as Promise<[Buffer]>;
    await ask(first);
    const again = await secure(await tunnel('a.test:443'), { servername: 'a.test', session: (await session)[0] });
    assert.equal(again.isSessionReused(), true);
    assert.match(await ask(again), /origin/);
    await corridor.until(() => corridor.settled());
  });

  test('rotation: the next connection is answered by the new CA', async () => {
    const { authority, tunnel } = await rig();
    const options = { servername: 'a.test', rejectUnauthorized: false };
    const before = issuer(await secure(await tunnel('a.test:443'), options));
    authority.rotate();
    assert.notEqual(issuer(await secure(await tunnel('a.test:443'), options)), before);
  });

  test('half-close inside: the answer after the client’s close_notify arrives', async () => {
    const { corridor, authority, tunnel } = await rig();
    const late = tls.createServer({ ...leaf, allowHalfOpen: true } as tls.TlsOptions, (socket) => {
      let got = 0;
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        got += chunk.length;
      });
      socket.on('end', () => socket.end(`got ${got}`));
    });
    closers.push(() => late.close());
    corridor.target.port = await listening(late);
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
    client.end(REQUEST);
    assert.match(await readAll(client), /^got \d+$/);
    await corridor.until(() => corridor.settled());
  });

  test('the upstream leaves before the first request: so does the agent, without a strike', async () => {
    const { corridor, authority, exceptions, tunnel } = await rig();
    const hasty = tls.createServer(leaf, (socket) => {
      socket.on('error', () => {});
      setTimeout(() => socket.end(), 20);
    });
    closers.push(() => hasty.close());
    corridor.target.port = await listening(hasty);
    for (let i = 0; i < 4; i++) {
      const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
      assert.equal(await readAll(client), '');
    }
    await corridor.until(() => corridor.settled());
    assert.deepEqual(exceptions.list(), []);
  });
});

describe('what cannot be read', () => {
  test('an unverifiable upstream: the untouched ClientHello goes to a fresh socket', async () => {
    const { corridor, tunnel } = await rig();
    corridor.ca = undefined;
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: ca.cert });
    assert.equal(issuer(client), 'Weir test authority', 'the client judges for itself');
    assert.match(await ask(client), /origin 1\.1 a\.test/);
    await corridor.until(() => corridor.settled());
    const { connection } = corridor.opened[0] as (typeof corridor.opened)[0];
    assert.equal(connection.interceptionSkipped, 'upstream-unverifiable');
    assert.equal(connection.visibility, 'tunnel');
    assert.ok(corridor.links.every(({ socket }) => socket.destroyed));
  });

  test('… or is answered inside TLS where it must be read', async () => {
    const { corridor, authority, knobs, tunnel } = await rig();
    corridor.ca = undefined;
    knobs.unverifiable = 'block';
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
    const text = await ask(client);
    assert.match(text, /^HTTP\/1\.1 502 Weir: upstream-unverifiable/);
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closing('connect')?.error, 'upstream-unverifiable');
  });

  test('a TLS 1.3 server that wants a client certificate: one failed request, then (agent, host) is tunnelled', async () => {
    const { corridor, authority, exceptions, tunnel } = await rig();
    const strict = https.createServer(
      { ...leaf, ca: ca.cert, requestCert: true, minVersion: 'TLSv1.3' },
      (_, response) => response.end('mutual'),
    );
    strict.on('tlsClientError', () => {});
    closers.push(() => strict.close());
    corridor.target.port = await listening(strict);
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem }).catch(
      () => undefined,
    );
    if (client !== undefined) assert.doesNotMatch(await ask(client), /mutual/);
    await corridor.until(() => exceptions.list().length === 1, 'the exception');
    await corridor.until(() => corridor.settled());
    const [{ kind, subject, reason }] = exceptions.list() as [ReturnType<typeof exceptions.list>[0]];
    assert.deepEqual([kind, subject, reason], ['host', 'a.test', 'client-certificate-required']);
    const own = ca.issue(['client.test']);
    const second = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: ca.cert, ...own });
    assert.match(await ask(second), /mutual/, 'the client speaks to the server itself');
    assert.equal(corridor.opened.at(-1)?.connection.interceptionSkipped, 'client-certificate-required');
  });

  test('no HTTP in the offer, or TLS 1.1: passed on, or refused where it must be read', async () => {
    const { corridor, knobs, tunnel } = await rig();
    const raw = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end('raw'));
    });
    closers.push(() => raw.close());
    corridor.target.port = await listening(raw);
    const offers = { servername: 'a.test', ALPNProtocols: ['acme-tls/1'] };
    const passed = tls.connect({ socket: await tunnel('a.test:443'), ...offers });
    await once(passed, 'error');
    assert.equal(corridor.opened[0]?.connection.interceptionSkipped, 'alpn-not-http');
    await corridor.until(() => corridor.settled());
    assert.ok((corridor.opened.find(({ kind }) => kind === 'tunnel')?.responseBytes ?? 0) > 0);
    knobs.pass = false;
    const refused = tls.connect({ socket: await tunnel('a.test:443'), ...offers });
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    assert.match(error.code ?? '', /ACCESS_DENIED/);
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closed.at(-1)?.facts.error, 'uninspectable');
  });
});

describe('clients that reject our certificate', () => {
  const curl = (port: number, ...args: string[]): Promise<{ code: unknown; text: string }> =>
    new Promise((resolve) => {
      const all = ['-sS', '--max-time', '5', '-x', `http://researcher:x@127.0.0.1:${port}`, ...args];
      execFile('curl', all, (error, out, err) => resolve({ code: error?.code, text: out + err }));
    });

  test('curl: one alert, one failed connection, then tunnelled; with the CA it is read', async (t) => {
    const { corridor, authority, exceptions, port } = await rig();
    writeFileSync(`${dir}/weir.pem`, authority.certPem);
    writeFileSync(`${dir}/real.pem`, ca.cert);
    const first = await curl(port, '--cacert', `${dir}/real.pem`, 'https://a.test/1');
    if (first.code === 'ENOENT') return t.skip('curl is not installed');
    assert.match(first.text, /certificate/i);
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closing('connect')?.error, 'uninspectable');
    const [exception] = exceptions.list();
    assert.equal(exception?.agent, 'researcher');
    assert.match(exception?.reason ?? '', /UNKNOWN_CA/);
    assert.match((await curl(port, '--cacert', `${dir}/real.pem`, 'https://a.test/2')).text, /^origin .* \/2$/);
    assert.match(
      (await curl(port, '--cacert', `${dir}/real.pem`, 'https://b.test/3')).text,
      /^origin/,
      'for every host',
    );
    const last = corridor.opened.at(-1);
    assert.equal(last?.connection.interceptionSkipped, 'client-rejected-ca');
    const other = await rig();
    writeFileSync(`${dir}/other.pem`, other.authority.certPem);
    assert.match((await curl(other.port, '--cacert', `${dir}/other.pem`, 'https://a.test/4')).text, /\/4$/);
    assert.equal(other.corridor.opened[0]?.connection.visibility, 'intercepted');
  });

  test('where exceptions do not count it is refused again, and let in when it learned our CA', async () => {
    const { corridor, authority, exceptions, knobs, tunnel } = await rig();
    knobs.pass = false;
    const rejects = async (): Promise<void> => {
      const socket = await tunnel('a.test:443');
      await assert.rejects(secure(socket, { servername: 'a.test', ca: ca.cert }));
      socket.destroy();
    };
    // node:tls sends an alert, or only closes, depending on its version: three closes count as much as one alert.
    await rejects();
    await rejects();
    await rejects();
    await corridor.until(() => exceptions.list().length === 1, 'the exception');
    await rejects();
    await corridor.until(() => corridor.settled());
    assert.ok(corridor.opened.every(({ connection }) => connection.visibility !== 'plaintext'));
    assert.equal(corridor.opened.filter(({ kind }) => kind === 'exchange').length, 0);
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
    assert.match(await ask(client), /origin/);
    assert.equal(exceptions.list().length, 0);
  });

  test('three closes without a byte after the handshake, unless this kind of client has spoken to us', async () => {
    const { corridor, authority, exceptions, tunnel } = await rig();
    const options = { servername: 'a.test', ca: authority.certPem };
    const silent = async (): Promise<void> => {
      const client = await secure(await tunnel('a.test:443'), options);
      client.destroy();
      await corridor.until(() => corridor.settled());
    };
    await ask(await secure(await tunnel('a.test:443'), options));
    await corridor.until(() => corridor.settled());
    for (let unused = 0; unused < 4; unused++) await silent();
    assert.equal(exceptions.list().length, 0);
    exceptions.clear();
    await silent();
    await silent();
    assert.equal(exceptions.list().length, 0);
    await silent();
    assert.equal(exceptions.list()[0]?.reason, 'closed-without-data');
  });
});

describe('a block must be read', () => {
  const blocked = answerOf(403, 'Blocked by Weir: a.test', '{"rule":"destination-not-allowed"}');

  test('where the host is read: 200, then 403 inside TLS, nothing dialled', async () => {
    const { corridor, authority, tunnel } = await rig();
    corridor.onCheck = () => blocked;
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
    assert.match(await ask(client), /^HTTP\/1\.1 403 Blocked by Weir: a\.test\r\n.*destination-not-allowed/s);
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.links.length, 0);
    assert.equal(corridor.closing('connect')?.outcome, 'blocked');
  });

  test('nothing is dialled even when the inner request alone would be allowed', async () => {
    const { corridor, authority, tunnel } = await rig();
    corridor.onCheck = (exchange) => (exchange.kind === 'connect' ? blocked : undefined);
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
    assert.match(await ask(client), /^HTTP\/1\.1 403 /);
    assert.equal(corridor.links.length, 0);
  });

  test('HTTP/2 only clients read it too', async () => {
    const { corridor, authority, tunnel } = await rig();
    corridor.onCheck = () => blocked;
    const options = { servername: 'a.test', ca: authority.certPem, ALPNProtocols: ['h2'] };
    const client = await secure(await tunnel('a.test:443'), options);
    const session = http2.connect('https://a.test', { createConnection: () => client });
    const [headers] = (await once(session.request({ ':path': '/' }), 'response')) as [http2.IncomingHttpHeaders];
    assert.equal(headers[':status'], 403);
    session.destroy();
  });

  test('where it is not read: only a client kind that trusts us gets its answer inside', async () => {
    const { corridor, authority, knobs, dial, tunnel } = await rig();
    const agent = 'User-Agent: kind/1\r\n';
    await ask(await secure(await tunnel('a.test:443', agent), { servername: 'a.test', ca: authority.certPem }));
    knobs.wants = false;
    corridor.onCheck = () => blocked;
    const client = await secure(await tunnel('a.test:443', agent), { servername: 'a.test', ca: authority.certPem });
    assert.match(await ask(client), /^HTTP\/1\.1 403 /);
    for (const other of [
      'User-Agent: kind/2\r\n',
      `X: y\r\n${agent}`,
      `${agent}Proxy-Authorization: Basic b3RoZXI6eA==\r\n`,
    ]) {
      const socket = await dial();
      socket.write(`CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n${other}\r\n`);
      assert.match(await readHead(socket), /^HTTP\/1\.1 403 Blocked by Weir/, other);
      socket.destroy();
    }
    authority.rotate();
    const socket = await dial();
    socket.write(`CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n${agent}\r\n`);
    assert.match(await readHead(socket), /^HTTP\/1\.1 403 /, 'a new CA is trusted by nobody yet');
    socket.destroy();
  });

  test('a name mismatch seen in the ClientHello is answered inside', async () => {
    const { corridor, authority, tunnel } = await rig();
    corridor.onCheckTls = () => blocked;
    const client = await secure(await tunnel('a.test:443'), { servername: 'b.test', ca: authority.certPem });
    assert.match(await ask(client), /^HTTP\/1\.1 403 /);
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.closing('connect')?.outcome, 'blocked');
    assert.ok(corridor.links.every(({ socket }) => socket.destroyed));
  });

  test('an address refused when it is resolved is a block too; a failure is the CONNECT’s own answer', async () => {
    const { corridor, authority, dial, tunnel } = await rig();
    corridor.onReach = async () => blocked;
    const client = await secure(await tunnel('a.test:443'), { servername: 'a.test', ca: authority.certPem });
    assert.match(await ask(client), /^HTTP\/1\.1 403 /);
    for (const status of [407, 400, 502, 504]) {
      corridor.onReach = async () => answerOf(status, 'No');
      const socket: Socket = await dial();
      socket.write('CONNECT a.test:443 HTTP/1.1\r\n\r\n');
      assert.match(await readAll(socket), new RegExp(`^HTTP/1.1 ${status} No\r\n`));
    }
  });

  test('verify.weir.invalid is answered inside TLS and in the clear, in every setting', async () => {
    const { corridor, authority, knobs, tunnel } = await rig();
    knobs.wants = false;
    corridor.onCheck = () => answerOf(200, 'OK', '{"through":"weir"}');
    const name = 'verify.weir.invalid';
    const client = await secure(await tunnel(`${name}:443`), { servername: name, ca: authority.certPem });
    assert.match(await ask(client), /through/);
    const clear = await tunnel(`${name}:80`);
    clear.write(REQUEST);
    assert.match(await readAll(clear), /through/);
    const odd = await tunnel(`${name}:22`);
    odd.write('SSH-2.0-x\r\n');
    assert.equal(await readAll(odd), '');
    await corridor.until(() => corridor.settled());
    assert.equal(corridor.links.length, 0);
  });
});

test('through a TLS listener: TLS inside TLS', async () => {
  const listenLeaf = ca.issue(['proxy.test']);
  const made = await rig({ listen: [{ address: '127.0.0.1', port: 0, tls: listenLeaf }] });
  const outer = tls.connect({ port: made.port, host: '127.0.0.1', servername: 'proxy.test', ca: ca.cert });
  outer.write('CONNECT a.test:443 HTTP/1.1\r\n\r\n');
  assert.match(await readHead(outer), /^HTTP\/1\.1 200 /);
  const client = await secure(outer, { servername: 'a.test', ca: made.authority.certPem });
  assert.match(await ask(client), /origin 1\.1 a\.test/);
  await made.corridor.until(() => made.corridor.settled());
});

test('the agent leaves, or talks nonsense, inside our handshake', async () => {
  const { corridor, tunnel } = await rig();
  const hello = async (): Promise<{ socket: Socket; client: tls.TLSSocket }> => {
    const socket = await tunnel('a.test:443');
    const client = tls.connect({ socket, servername: 'a.test', rejectUnauthorized: false });
    client.on('error', () => {});
    return { socket, client };
  };
  const gone = await hello();
  await corridor.until(() => corridor.tlsChecks.length === 1);
  gone.socket.destroy();
  const reset = await hello();
  await corridor.until(() => corridor.tlsChecks.length === 2);
  reset.socket.resetAndDestroy();
  // A real ClientHello, then bytes that are no TLS at all.
  const server = net.createServer();
  const port = await listening(server);
  const donor = tls.connect({ port, host: '127.0.0.1', servername: 'a.test' });
  donor.on('error', () => {});
  const [inner] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(inner, 'data')) as [Buffer];
  donor.destroy();
  server.close();
  const noisy = await tunnel('a.test:443');
  noisy.write(Buffer.concat([bytes, Buffer.alloc(5000, 0x41)]));
  await readAll(noisy);
  await corridor.until(() => corridor.settled());
  assert.equal(corridor.closed.at(-1)?.facts.outcome, 'failed');
});

test('the agent leaves while the upstream handshake is under way', async () => {
  const { corridor, tunnel } = await rig();
  const mute = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
  });
  closers.push(() => mute.close());
  corridor.target.port = await listening(mute);
  const socket = await tunnel('a.test:443');
  tls.connect({ socket, servername: 'a.test' }).on('error', () => {});
  await corridor.until(() => corridor.tlsChecks.length === 1);
  socket.resetAndDestroy();
  await corridor.until(() => corridor.ended.length === 1);
  await corridor.until(() => corridor.settled());
  assert.ok(
    corridor.links.every(({ socket: link }) => link.destroyed),
    'the half-made upstream connection is gone',
  );
});
