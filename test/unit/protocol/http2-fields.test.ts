import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, createServer as createHttp2, sensitiveHeaders } from 'node:http2';
import { createServer } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Connection } from '../../../src/model/connection.ts';
import { relayHttp2 } from '../../../src/protocol/http2.ts';
import {
  answerFields,
  fieldObject,
  type RawFields,
  regularFrom,
  requestFacts,
  upstreamFields,
} from '../../../src/protocol/http2-fields.ts';
import { createUpstream } from '../../../src/upstream/upstream.ts';
import { answerOf, fakeConnection, fakeCorridor } from '../../support/fake-h2-corridor.ts';
import { LIMITS } from '../../support/h2-proxy.ts';

function inside(host: string, port = 443): Connection {
  const connection = fakeConnection({ client: { address: '127.0.0.1', port: 1 }, via: 'connect' });
  connection.authority = { scheme: 'https', host, port };
  return connection;
}

test('the authority is the CONNECT’s; a field that names another host is the one that is judged', () => {
  const cases: [string | undefined, string | undefined, string | undefined][] = [
    ['good.test', undefined, 'good.test'],
    ['good.test:443', 'good.test', 'good.test'],
    ['GOOD.test', 'evil.test', 'evil.test'],
    ['evil.test', 'good.test', 'evil.test'],
    [undefined, 'evil.test', 'evil.test'],
    [undefined, undefined, undefined],
  ];
  for (const [authority, host, judged] of cases) {
    const raw = [':method', 'GET', ':scheme', 'https', ':path', '/a?b'];
    if (authority !== undefined) raw.push(':authority', authority);
    if (host !== undefined) raw.push('host', host);
    const facts = requestFacts(raw, inside('good.test'), 'https');
    assert.equal(facts.authority, 'good.test:443');
    assert.equal(facts.hostField, judged, `${authority} ${host}`);
    assert.equal(facts.target, '/a?b');
  }
  assert.equal(requestFacts([':method', 'GET'], inside('2001:db8::1', 8443), 'https').authority, '[2001:db8::1]:8443');
});

test('extended CONNECT names its protocol, plain CONNECT has no target', () => {
  const extended = [
    ':method',
    'CONNECT',
    ':protocol',
    'websocket',
    ':scheme',
    'https',
    ':path',
    '/ws',
    ':authority',
    'a.test',
  ];
  assert.equal(requestFacts(extended, inside('a.test'), 'https').upgrade, 'websocket');
  const plain = requestFacts([':method', 'CONNECT', ':authority', 'b.test:22'], inside('a.test'), 'https');
  assert.deepEqual([plain.target, plain.upgrade, plain.hostField], ['', undefined, 'b.test:22']);
});

test('only proxy and identity fields are removed, in one go or none', () => {
  const clean = [':method', 'GET', ':authority', 'a.test', 'x-a', '1', 'cookie', 'a=1', 'cookie', 'b=2'] as RawFields;
  assert.equal(upstreamFields(clean, {}), clean);
  const dirty = ['proxy-authorization', 'a', ...clean, 'x-weir-agent', 'm', 'x-weir-agent', 'n', 'x-oktsec-agent', 'o'];
  assert.deepEqual([...upstreamFields(dirty as RawFields, { [sensitiveHeaders]: ['x-a'] })], [...clean]);
  assert.equal(dirty.length, clean.length + 8, 'what was recorded is not touched');
});

test('trailers keep every value under any name', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('__proto__', 'constructor', 'a', 'b', '1'), fc.string())),
      (pairs) => {
        const fields = fieldObject(pairs.flat());
        const flat = Object.entries(fields).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
        const sort = (list: unknown[]): string[] => list.map((entry) => JSON.stringify(entry)).sort();
        assert.deepEqual(sort(flat), sort(pairs));
      },
    ),
  );
});

test('our answers carry no connection-specific field', () => {
  const answer = {
    ...answerOf(403, '{}'),
    headers: [
      ['Content-Type', 'a'],
      ['Connection', 'close'],
    ] as [string, string][],
  };
  assert.deepEqual(answerFields(answer), [':status', '403', 'content-type', 'a']);
  assert.equal(regularFrom(answerFields(answer)), 2);
});

test('cleartext with prior knowledge, the preface already read', async (t) => {
  const origin = createHttp2();
  origin.on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('plain');
  });
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const corridor = fakeCorridor();
  const upstream = createUpstream({ resolve: {}, noProxy: [], ca: undefined, connectMs: 1_000 });
  const { port } = origin.address() as { port: number };
  const destination = { scheme: 'http' as const, host: 'plain.test', port };
  const proxy = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', async (firstBytes) => {
      socket.pause();
      const link = await upstream.dial({ brand: 'permit', destination, addresses: ['127.0.0.1'], delegated: false });
      const connection = inside('plain.test', port);
      relayHttp2(socket, {
        corridor,
        connection,
        limits: LIMITS,
        scheme: 'http',
        link,
        firstBytes: firstBytes as Buffer,
      });
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const session = connectHttp2(`http://127.0.0.1:${(proxy.address() as { port: number }).port}`);
  t.after(() => {
    session.destroy();
    proxy.close();
    origin.close();
  });
  for (let i = 0; i < 3; i++) {
    const stream = session.request({ ':path': `/${i}` });
    let body = '';
    for await (const chunk of stream) body += String(chunk);
    assert.equal(body, 'plain');
  }
  assert.equal(corridor.opened[0]?.request.scheme, 'http');
  session.close();
  await once(session, 'close');
});
