import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createTcp, type Server } from 'node:net';
import { after, test } from 'node:test';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Destination } from '../../../src/model/destination.ts';
import type { Link, Secured, Upstream } from '../../../src/model/ports.ts';
import { createUpstream } from '../../../src/upstream/upstream.ts';
import { createAuthority } from '../../support/certs.ts';

const authority = createAuthority();
const stranger = createAuthority('Somebody else');
const servers: Server[] = [];
const open = new Set<TLSSocket>();
after(() => {
  for (const socket of open) socket.destroy();
  for (const server of servers) server.close();
});

interface Origin {
  readonly port: number;
  readonly seen: { servername: string | false | null; resumed: boolean }[];
}

async function origin(options: TlsOptions): Promise<Origin> {
  const seen: Origin['seen'] = [];
  const server = createServer(options, (socket) => {
    open.add(socket);
    socket.on('error', () => {});
    seen.push({
      servername: (socket as TLSSocket & { servername: string }).servername,
      resumed: socket.isSessionReused(),
    });
    socket.write('hello');
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return { port: (server.address() as { port: number }).port, seen };
}

function client(connectMs = 5000): Upstream {
  return createUpstream({ resolve: {}, noProxy: [], ca: [authority.cert], connectMs });
}

async function dialled(up: Upstream, port: number, host: string): Promise<{ link: Link; destination: Destination }> {
  const destination: Destination = { scheme: 'https', host, port };
  const link = await up.dial({ brand: 'permit', destination, addresses: ['127.0.0.1'], delegated: false });
  return { link, destination };
}

async function secured(up: Upstream, port: number, host: string, alpn: string[], name = host): Promise<Secured> {
  const { link, destination } = await dialled(up, port, host);
  const result = await up.secure(link, destination, { servername: name, alpn });
  if ('failed' in result) assert.equal(link.socket.destroyed, true, 'a failed handshake leaves no socket');
  return result;
}

function linkOf(result: Secured): Link {
  if ('failed' in result) assert.fail(`${result.failed}: ${result.detail}`);
  return result.link;
}

test('verified, with SNI, the chosen ALPN, version, cipher and timing', async () => {
  const o = await origin({ ...authority.issue(['name.test']), ALPNProtocols: ['h2', 'http/1.1'] });
  const link = linkOf(await secured(client(), o.port, 'name.test', ['h2', 'http/1.1']));
  assert.equal(link.tls?.version, 'TLSv1.3');
  assert.match(link.tls?.cipher ?? '', /^TLS_/);
  assert.equal(link.tls?.alpn, 'h2');
  assert.ok((link.timings.tlsMs ?? 0) > 0 && (link.timings.connectMs ?? -1) >= 0);
  assert.equal(link.peer.port, o.port);
  const [data] = (await once(link.socket, 'data')) as [Buffer];
  assert.equal(data.toString(), 'hello');
  assert.equal(o.seen[0]?.servername, 'name.test');
  link.socket.destroy();
});

test('no ALPN offered, none chosen; TLS 1.2 reported as such', async () => {
  const o = await origin({ ...authority.issue(['name.test']), maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] });
  const link = linkOf(await secured(client(), o.port, 'name.test', []));
  assert.equal(link.tls?.version, 'TLSv1.2');
  assert.equal(link.tls?.alpn, undefined);
  link.socket.destroy();
});

test('an IP literal sends no SNI and is verified against the literal', async () => {
  const o = await origin(authority.issue(['127.0.0.1']));
  const link = linkOf(await secured(client(), o.port, '127.0.0.1', []));
  assert.ok(!o.seen[0]?.servername);
  link.socket.destroy();
  const other = await origin(authority.issue(['name.test']));
  const result = await secured(client(), other.port, '127.0.0.1', []);
  assert.ok('failed' in result && result.failed === 'unverifiable');
});

test('an empty servername sends no SNI and verifies the destination host', async () => {
  const o = await origin(authority.issue(['name.test']));
  const link = linkOf(await secured(client(), o.port, 'name.test', [], ''));
  assert.ok(!o.seen[0]?.servername);
  link.socket.destroy();
  const result = await secured(client(), o.port, 'other.test', [], '');
  assert.ok('failed' in result && result.failed === 'unverifiable');
});

test('unverifiable: unknown authority, wrong name, expired', async () => {
  const cases: [TlsOptions, RegExp][] = [
    [stranger.issue(['name.test']), /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET/],
    [authority.issue(['other.test']), /ALTNAME/],
    [authority.issue(['name.test'], -2), /CERT_HAS_EXPIRED/],
  ];
  for (const [options, detail] of cases) {
    const o = await origin(options);
    const result = await secured(client(), o.port, 'name.test', ['http/1.1']);
    assert.ok('failed' in result, String(detail));
    assert.equal(result.failed, 'unverifiable');
    assert.match(result.detail, detail);
  }
});

test('handshake: no common protocol, not TLS at all, closed, silent', async () => {
  const tls11 = await origin({
    ...authority.issue(['name.test']),
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'ALL@SECLEVEL=0',
  });
  const alpn = await origin({ ...authority.issue(['name.test']), ALPNProtocols: ['h2'] });
  const cipher = await origin({
    ...authority.issue(['name.test']),
    maxVersion: 'TLSv1.2',
    ciphers: 'ECDHE-RSA-AES128-GCM-SHA256',
  });
  const plain = createTcp((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const silent = createTcp((socket) => void socket.on('error', () => {}).resume());
  const closing = createTcp((socket) => void socket.on('error', () => {}).destroy());
  const ports = [tls11.port, alpn.port, cipher.port];
  for (const server of [plain, silent, closing]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    ports.push((server.address() as { port: number }).port);
  }
  for (const [index, port] of ports.entries()) {
    const result = await secured(client(400), port, 'name.test', ['http/1.1']);
    assert.ok('failed' in result && result.failed === 'handshake', `case ${index}: ${JSON.stringify(result)}`);
  }
});

test('a required client certificate: seen in TLS 1.2, an error of the link in 1.3', async () => {
  const demand = { ...authority.issue(['name.test']), requestCert: true, rejectUnauthorized: true, ca: authority.cert };
  const old = await origin({ ...demand, maxVersion: 'TLSv1.2' });
  const result = await secured(client(), old.port, 'name.test', []);
  assert.ok('failed' in result && result.failed === 'client-certificate-required', JSON.stringify(result));
  const modern = await origin(demand);
  const { socket } = linkOf(await secured(client(), modern.port, 'name.test', []));
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
});

test('sessions are resumed for the same name and never offered for another', async () => {
  const o = await origin(authority.issue(['name.test', 'second.test']));
  const up = client();
  for (let i = 0; i < 2; i++) {
    const link = linkOf(await secured(up, o.port, 'name.test', []));
    // The ticket of TLS 1.3 comes with the first data.
    await once(link.socket, 'data');
    link.socket.destroy();
  }
  const other = linkOf(await secured(up, o.port, 'second.test', []));
  await once(other.socket, 'data');
  other.socket.destroy();
  const bad = await secured(up, o.port, 'third.test', []);
  assert.ok('failed' in bad && bad.failed === 'unverifiable');
  assert.deepEqual(
    o.seen.slice(0, 3).map((entry) => entry.resumed),
    [false, true, false],
  );
});
