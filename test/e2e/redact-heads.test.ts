import assert from 'node:assert/strict';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { LogLine } from '../../src/model/admin.ts';
import { type Answer, type Ask, http2Through, https, over2, plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import type { Leaf } from '../support/certs.ts';
import { listening } from '../support/origins.ts';
import { startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. */
const SECRET = ['ghp', 'vQ3mZ8pT1xW6rB9nK4cH7sD2fL5gJ0yAeUiO'].join('_');
const LABEL = '[GITHUB PERSONAL ACCESS TOKEN_REDACTED]';
const IN_URL = encodeURIComponent(LABEL);

/** What an origin got, as it says in its answer. */
interface Heard {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Scene {
  readonly weir: Weir;
  readonly ca: string;
  close(): Promise<void>;
}

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

function openScene(mode: 'monitor' | 'redact' | 'enforce'): Promise<Scene> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const origin = await echo(upstream.authority.issue(['leak.test', 'h2.leak.test']));
    later(origin.close);
    const weir = await startWeir({
      config: {
        mode,
        intercept: 'all',
        upstream: {
          resolve: {
            'plain.test': `127.0.0.1:${origin.plainPort}`,
            'leak.test': `127.0.0.1:${origin.tlsPort}`,
            '*.leak.test': `127.0.0.1:${origin.tlsPort}`,
          },
          ca_file: upstream.caFile,
        },
      },
    });
    later(weir.stop);
    return { weir, ca: await weir.ca() };
  });
}

async function lineOf(weir: Weir, path: string): Promise<LogLine> {
  const [line] = await weir.records(path, (one) => one.kind === 'exchange' && one.path?.startsWith(path) === true);
  return line as LogLine;
}

type Way = 'plain' | 'http1' | 'http2';
const WAYS: readonly Way[] = ['plain', 'http1', 'http2'];

async function send(scene: Scene, way: Way, path: string, ask: Ask = {}): Promise<Answer> {
  const { weir, ca } = scene;
  const agent = { agent: 'researcher', ...ask };
  if (way === 'plain') return plain(weir, `http://plain.test${path}`, agent);
  if (way === 'http1') return https(weir, `https://leak.test${path}`, { ...agent, ca });
  const session = await http2Through(weir, 'h2.leak.test', { agent: 'researcher', ca });
  try {
    return await over2(session, path, ask);
  } finally {
    session.close();
  }
}

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
      const line = await lineOf(scene.weir, path);
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
      const line = await lineOf(scene.weir, path);
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
        const line = await lineOf(scene.weir, '/says-here');
        assert.deepEqual([line.action, line.would], mode === 'enforce' ? ['redact', 'none'] : ['forward', 'redact']);
      } finally {
        await scene.close();
      }
    }
  });
});
