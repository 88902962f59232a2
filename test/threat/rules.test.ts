import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Fortress, lastWords, linesOf, openFortress, ROADS, type Road, witness } from '../support/fortress.ts';
import { clientHello } from '../support/hello.ts';
import { listening } from '../support/origins.ts';
import { claim, peerOf, tunnel } from '../support/watched.ts';

describe('E23, E25, E26: rules with methods and paths, on the wire', () => {
  let fortress: Fortress;
  /** What reached an upstream that closed its own direction before anything was said. */
  let leaked = '';
  before(async () => {
    const paths = ['/v1/*'];
    const scoped = [
      { host: 'plain.test', paths },
      { host: 'plain.test', ports: [80, 8080], paths },
      { host: 'read.test', methods: ['GET'], paths },
      { host: 'tunnel.test', paths },
      { host: 'away.test', paths },
      { host: 'ended.test', paths },
    ];
    fortress = await openFortress(
      { agents: { 'scoped*': { mode: 'enforce', allowed_domains: scoped } } },
      async (later) => {
        const away = await witness(undefined, (_head, socket) =>
          socket.write('HTTP/1.1 302 Found\r\nLocation: http://plain.test/v2/x\r\nContent-Length: 2\r\n\r\nok'),
        );
        later(away.close);
        const ended = createServer({ allowHalfOpen: true }, (socket) => {
          socket
            .on('error', () => undefined)
            .on('data', (bytes: Buffer) => {
              leaked += bytes.toString('latin1');
            });
          socket.end();
        });
        const port = await listening(ended);
        later(() => ended.close());
        return { resolve: { 'away.test': `127.0.0.1:${away.port}`, 'ended.test': `127.0.0.1:${port}` } };
      },
    );
  });
  after(() => fortress?.close());

  const ask = async (road: Road, path: string, method = 'GET'): Promise<string> => {
    const { host } = fortress.target(road);
    const peer = await fortress.open(road, 'scoped');
    const target = road === 'plain' ? `http://${host}${path}` : path;
    const fields = `Host: ${host}\r\n${road === 'plain' ? claim('scoped') : ''}Connection: close\r\n`;
    await peer.send(`${method} ${target} HTTP/1.1\r\n${fields}\r\n`);
    return lastWords(peer);
  };

  for (const road of ROADS) {
    it(`${road}: the path decides, however it is written`, async () => {
      const { witness: upstream } = fortress.target(road);
      assert.match(await ask(road, '/v1/chat?x=/../'), /^HTTP\/1\.1 200 /);
      upstream.forget();
      for (const path of [
        '/v2/chat',
        '/',
        '/v1/../v2',
        '/v1/%2e%2e/v2',
        '/v1/..%2fv2',
        '/v1/..;/v2',
        '/v1/.%2e/v2',
        '/v1\\..\\v2',
        '/%76%31%2f..%2fv2',
        '//v1/chat/../../v2',
        '/V1/chat',
      ]) {
        assert.match(await ask(road, path), /^HTTP\/1\.1 40[03] /, path);
      }
      assert.equal(upstream.heard(), '');
    });
  }

  it('the method decides inside interception', async () => {
    fortress.tls.forget();
    for (const method of ['POST', 'get', 'Get', 'HEAD']) {
      assert.match(await ask('intercepted', '/v1/x', method), /^HTTP\/1\.1 403 /, method);
    }
    assert.equal(fortress.tls.heard(), '');
  });

  it('pipelining behind an allowed request is judged by itself', async () => {
    for (const road of ROADS) {
      const { witness: upstream, host } = fortress.target(road);
      upstream.forget();
      const peer = await fortress.open(road, 'scoped');
      const to = (path: string): string => (road === 'plain' ? `http://${host}${path}` : path);
      const fields = `Host: ${host}\r\n${road === 'plain' ? claim('scoped') : ''}`;
      await peer.send(
        `GET ${to('/v1/a')} HTTP/1.1\r\n${fields}\r\nGET ${to('/v2/b')} HTTP/1.1\r\n${fields}Connection: close\r\n\r\n`,
      );
      const answers = (await lastWords(peer)).match(/HTTP\/1\.1 \d+/g);
      assert.deepEqual(answers, ['HTTP/1.1 200', 'HTTP/1.1 403'], road);
      assert.match(upstream.heard(), /\/v1\/a/);
      assert.doesNotMatch(upstream.heard(), /\/v2\/b/);
    }
  });

  it('Weir follows no redirect; the next request is judged like the first', async () => {
    const peer = await fortress.open('plain');
    const first = 'GET http://away.test/v1/x HTTP/1.1\r\nHost: away.test\r\n';
    await peer.send(`${first}${claim('scoped')}Connection: close\r\n\r\n`);
    fortress.plain.forget();
    const location = /Location: http:\/\/plain\.test(\S+)/.exec(await lastWords(peer))?.[1] ?? '';
    assert.match(await ask('plain', location), /^HTTP\/1\.1 403 /);
    assert.equal(fortress.plain.heard(), '');
  });

  it('a tunnel that will not be read is refused where only a path is allowed, and the refusal says why', async () => {
    const { socket, head } = await tunnel(fortress.weir.port, 'scoped-unread', 'tunnel.test:443');
    socket.destroy();
    assert.match(head, /^HTTP\/1\.1 403 /);
    const [line] = await linesOf(
      fortress.weir,
      1,
      (one) => one.agent === 'scoped-unread' && one.destination === 'tunnel.test:443',
    );
    assert.match(line?.message ?? '', /method or path, which cannot be seen in a tunnel/);
  });

  for (const [what, bytes] of [
    ['TLS', clientHello({ sni: 'plain.test' })],
    ['TLS without a name', clientHello({})],
    ['SSH', Buffer.from('SSH-2.0-x\r\nGET /v2/hidden HTTP/1.1\r\n\r\n')],
    ['noise', Buffer.from('\x80\x01\x02 GET /v2/hidden HTTP/1.1\r\n\r\n', 'latin1')],
  ] as const) {
    for (const port of [80, 8080]) {
      it(`a CONNECT to port ${port} that was to be read and carries ${what} is closed`, async () => {
        fortress.plain.forget();
        const { socket, head } = await tunnel(fortress.weir.port, `scoped-${port}`, `plain.test:${port}`);
        if (!head.startsWith('HTTP/1.1 200 ')) {
          socket.destroy();
          assert.match(head, /^HTTP\/1\.1 403 /);
          return;
        }
        const peer = peerOf(socket);
        await peer.send(bytes);
        await peer.ended();
        peer.destroy();
        assert.equal(fortress.plain.heard(), '');
      });
    }
  }

  it('an upstream that ends first does not open a tunnel nobody reads', async () => {
    for (const bytes of ['noise and nothing else\n\n', 'GET /v2/hidden HTTP/1.1\r\nHost: ended.test\r\n\r\n']) {
      const { socket } = await tunnel(fortress.weir.port, 'scoped-ended', 'ended.test:80');
      const peer = peerOf(socket);
      assert.equal(await peer.ended(), 'fin', 'the agent hears of it as it would directly');
      await peer.send(bytes);
      await new Promise((resolve) => setTimeout(resolve, 300));
      peer.destroy();
    }
    assert.equal(leaked, '');
  });
});
