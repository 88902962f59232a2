import assert from 'node:assert/strict';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Ask } from '../support/agent.ts';
import type { Leaf } from '../support/certs.ts';
import { LABEL, type LeakWorld, lineOf, openLeakWorldTo, SECRET, send, WAYS, type Way } from '../support/leak-world.ts';
import { listening } from '../support/origins.ts';

const IN_URL = encodeURIComponent(LABEL);

/** What an origin got, as it says in its answer. */
interface Heard {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

type Scene = Pick<LeakWorld, 'weir' | 'ca' | 'close'>;

/** Answers with what it heard, and with secrets in its head; says them in trailers on `/trailers`. */
async function echo(leaf: Leaf): Promise<{ plainPort: number; tlsPort: number; close: () => void }> {
  const open = new Set<Socket>();
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { url = '', headers } = request;
    const said = url.startsWith('/says')
      ? {
          'x-debug': `key=${SECRET};`,
          location: `https://a.test/?x=${SECRET}&y=1`,
          'set-cookie': 'session=abcdefghijklmnop; HttpOnly',
          'alt-svc': 'clear',
        }
      : {};
    const trailers = url.startsWith('/trailers') ? { trailer: 'x-note' } : {};
    response.writeHead(200, { 'content-type': 'application/json', ...said, ...trailers });
    response.write(JSON.stringify({ url, headers }));
    if (url.startsWith('/trailers')) response.addTrailers({ 'x-note': `a ${SECRET} b`, 'x-other': 'as it is' });
    response.end();
  };
  const servers = [
    createServer({ keepAliveTimeout: 30_000 }, handle),
    createSecureServer({ key: leaf.key, cert: leaf.cert, allowHTTP1: true }, handle as never),
  ] as const;
  for (const server of servers) {
    server.on('connection', (socket: Socket) => {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    });
  }
  servers[1].on('sessionError', () => undefined);
  const [plainPort, tlsPort] = await Promise.all([listening(servers[0]), listening(servers[1] as never)]);
  return {
    plainPort,
    tlsPort,
    close: () => {
      for (const socket of open) socket.destroy();
      for (const server of servers) server.close();
    },
  };
}

const openScene = (mode: 'monitor' | 'redact' | 'enforce'): Promise<Scene> => openLeakWorldTo(echo, { mode });

async function heard(scene: Scene, way: Way, path: string, ask: Ask = {}): Promise<Heard> {
  const { status, body } = await send(scene, way, path, ask);
  assert.equal(status, 200, body);
  return JSON.parse(body) as Heard;
}

describe('heads in redact', () => {
  let scene: Scene;
  before(async () => {
    scene = await openScene('redact');
  });
  after(() => scene.close());

  for (const way of WAYS) {
    it(`takes secrets out of target and fields of a request (${way})`, async () => {
      const half = [SECRET.slice(0, 15), SECRET.slice(15)];
      const targets: [string, string][] = [
        [`/${way}-a/${SECRET}/x`, `/${way}-a/${IN_URL}/x`],
        [`/${way}-b?token=${SECRET}&a=${SECRET}&c=1`, `/${way}-b?token=${IN_URL}&a=${IN_URL}&c=1`],
        [`/${way}-c?a=%20${SECRET.replace('_', '%5F')}%21`, `/${way}-c?a=%20${IN_URL}%21`],
        [`/${way}-d?${SECRET}=1&b=2`, `/${way}-d?${IN_URL}=1&b=2`],
        [`/${way}-e?a=${half[0]}&b=${half[1]}&c=1`, `/${way}-e?a=${IN_URL}&b=${IN_URL}&c=1`],
      ];
      for (const [asked, left] of targets) assert.equal((await heard(scene, way, asked)).url, left);
      const path = `/${way}-fields`;
      const fields = { 'x-note': `a ${SECRET} b`, cookie: `a=1; sid=${SECRET}; b=2`, 'x-plain': 'as it is' };
      const { headers } = await heard(scene, way, path, { fields });
      assert.equal(headers['x-note'], `a ${LABEL} b`);
      assert.match(String(headers['cookie']), /^a=1; sid=\[GITHUB PERSONAL ACCESS TOKEN_REDACTED\]; b=2$/);
      assert.equal(headers['x-plain'], 'as it is');
      const line = await lineOf(scene, path);
      assert.deepEqual([line.action, line.would], ['redact', 'block'], JSON.stringify(line));
    });

    it(`hides what is encoded: nothing of it can be read upstream (${way})`, async () => {
      for (const form of [
        Buffer.from(`key: ${SECRET}`).toString('base64url'),
        Buffer.from(SECRET).toString('hex'),
        encodeURIComponent(encodeURIComponent(SECRET.replace('_', '%5f'))),
      ]) {
        const { url } = await heard(scene, way, `/${way}-encoded?data=${form}&b=2`);
        assert.ok(!url.includes(form) && url.endsWith('&b=2') && url.includes(IN_URL), url);
        assert.ok(URL.canParse(url, 'http://a.test'));
      }
    });

    it(`takes secrets out of the head of a response (${way})`, async () => {
      const path = `/says-${way}`;
      const { headers } = await send(scene, way, path);
      assert.equal(headers['x-debug'], `key=${LABEL};`);
      assert.equal(headers['location'], `https://a.test/?x=${IN_URL}&y=1`);
      assert.match(headers['set-cookie'] ?? '', /^session=abcdefghijklmnop/);
      const line = await lineOf(scene, path);
      assert.deepEqual([line.action, line.would], ['redact', 'none'], JSON.stringify(line));
    });
  }

  it('takes secrets out of trailers', async () => {
    const { weir } = scene;
    const trailers = await new Promise<NodeJS.Dict<string>>((resolve, reject) => {
      const { hostname, port } = new URL(weir.proxyUrl());
      const headers = {
        'proxy-authorization': `Basic ${Buffer.from('researcher:x').toString('base64')}`,
        te: 'trailers',
      };
      get({ host: hostname, port: Number(port), path: 'http://plain.test/trailers', headers }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.trailers));
        response.on('error', reject);
      }).on('error', reject);
    });
    assert.deepEqual({ ...trailers }, { 'x-note': `a ${LABEL} b`, 'x-other': 'as it is' });
  });
});

describe('heads in enforce and monitor', () => {
  it('a response with a secret in its head goes on without it, in enforce; as it came in monitor', async () => {
    for (const mode of ['enforce', 'monitor'] as const) {
      const scene = await openScene(mode);
      try {
        const { status, headers } = await send(scene, 'plain', '/says-here');
        assert.equal(status, 200);
        assert.equal(headers['x-debug'], mode === 'enforce' ? `key=${LABEL};` : `key=${SECRET};`);
        const line = await lineOf(scene, '/says-here');
        assert.deepEqual([line.action, line.would], mode === 'enforce' ? ['redact', 'none'] : ['forward', 'redact']);
      } finally {
        await scene.close();
      }
    }
  });
});
