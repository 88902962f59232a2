import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTraces, type OtlpOptions } from '../../../src/telemetry/otlp.ts';
import { createAuthority } from '../../support/certs.ts';
import { exchangeSample } from '../record/samples.ts';

const listening = (server: { listen(port: number, host: string, done: () => void): unknown; address(): unknown }) =>
  new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );

/** A corporate proxy: CONNECT and absolute-form, both to one backend whatever name is asked for. */
async function corporateProxy(backend: number) {
  const asked: string[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume().on('end', () => response.end('{}'));
  });
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    asked.push(`CONNECT ${request.url}`);
    const upstream = connect(backend, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  return { asked, server, port: await listening(server) };
}

const optionsTo = (url: string, proxy: string): OtlpOptions => ({
  endpoint: {
    url,
    traces: true,
    logs: true,
    metrics: true,
    protobuf: { traces: false, logs: false, metrics: false },
    sentence: '',
    problems: [],
  },
  proxy,
  version: '0.1.0',
  instanceId: 'i',
  containment: () => 'cooperative',
  unremarkable: 1,
  log: () => undefined,
});

test('telemetry goes through a proxy: TLS by CONNECT with the certificate of the environment, plain as it is', async (t) => {
  const authority = createAuthority();
  const identity = authority.issue(['collector.test']);
  const bodies: string[] = [];
  const backend = createTlsServer({ key: identity.key, cert: identity.cert }, (request, response) => {
    let text = '';
    request.on('data', (part) => {
      text += String(part);
    });
    request.on('end', () => {
      bodies.push(text);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  const proxy = await corporateProxy(await listening(backend));
  const directory = mkdtempSync(join(tmpdir(), 'weir-export-'));
  writeFileSync(join(directory, 'ca.pem'), authority.cert);
  process.env['OTEL_EXPORTER_OTLP_CERTIFICATE'] = join(directory, 'ca.pem');
  t.after(() => {
    delete process.env['OTEL_EXPORTER_OTLP_CERTIFICATE'];
    backend.closeAllConnections();
    backend.close();
    proxy.server.closeAllConnections();
    proxy.server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const way = `http://127.0.0.1:${proxy.port}`;
  const secure = createTraces(optionsTo('https://collector.test:4318', way));
  assert.deepEqual(await secure.consume([exchangeSample()], 1), { accepted: 1, sampledOut: 0, dropped: {} });
  await secure.close(1000);
  assert.equal(bodies.length, 1);
  assert.deepEqual(proxy.asked, ['CONNECT collector.test:4318']);
  const plain = createTraces(optionsTo('http://collector.test:4318', way));
  assert.equal((await plain.consume([exchangeSample()], 2)).accepted, 1);
  await plain.close(1000);
  assert.equal(proxy.asked[1], 'POST http://collector.test:4318/v1/traces');
});
