import assert from 'node:assert/strict';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { http2Client, openStream, recordStream } from './http2.ts';
import { dial, secure } from './origins.ts';
import { Peer } from './peer.ts';
import type { Expected, Recorded } from './recorded.ts';
import { ask, claim, peerOf, tunnel } from './watched.ts';
import { eventually } from './weir.ts';

export interface SpanShape {
  readonly name: string;
  /** 0 unset, 2 error. */
  readonly status: 0 | 2;
  readonly links?: number;
  readonly attributes: Expected;
}
/** One way an exchange can end: what is done, and everything that must be recorded of it, no more and no less. */
export interface Way {
  /** Also the agent's name, by which its records are found. */
  readonly agent: string;
  act(house: Recorded): Promise<unknown>;
  readonly spans: readonly SpanShape[];
  readonly rows: readonly Expected[];
  /** Log events besides the first-contact ones. */
  readonly events?: readonly string[];
}

const connectSpan = (host: string, port: number, more: Expected = {}): SpanShape => ({
  name: 'http.connect',
  status: 0,
  attributes: {
    'http.request.method': 'CONNECT',
    'strathon.tool.name': 'http.connect',
    'network.transport': 'tcp',
    'server.address': host,
    'server.port': port,
    'weir.outcome': 'forwarded',
    'weir.via': 'connect',
    'url.full': undefined,
    ...more,
  },
});

/** A CONNECT as this agent with TLS inside it. */
export async function inside(house: Recorded, agent: string, host: string, alpn = 'http/1.1'): Promise<Peer> {
  const { socket, head } = await tunnel(house.weir.port, agent, `${host}:443`);
  assert.match(head, /^HTTP\/1\.1 200 /);
  const tls = await secure(socket, { servername: host, ca: [house.ca, house.authority.cert], alpn: [alpn] });
  return new Peer(tls, socket);
}

/** One GET on an open stream; everything that came back. */
export async function get(peer: Peer, host: string, path: string): Promise<string> {
  await peer.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await peer.ended();
  peer.destroy();
  return peer.received.toString('latin1');
}

const FAILED = { 'weir.outcome': 'failed', 'weir.action': 'forward', 'http.response.status_code': undefined } as const;

/** Every way an exchange, CONNECT or tunnel can end. */
export const WAYS: readonly Way[] = [
  {
    agent: 'get',
    act: ({ weir }) =>
      ask(weir.port, 'get', 'http://plain.test/ok?page=2&q=hello', {
        fields: 'User-Agent: tester/1.0\r\n',
      }),
    spans: [
      {
        name: 'http.get',
        status: 0,
        attributes: {
          'http.request.method': 'GET',
          'http.response.status_code': 200,
          'url.full': 'http://plain.test/ok?page=2&q=…',
          'strathon.http.url': 'http://plain.test/ok?page=2&q=…',
          'url.scheme': 'http',
          'server.address': 'plain.test',
          'server.port': 80,
          'network.peer.address': '127.0.0.1',
          'network.protocol.version': '1.1',
          'user_agent.original': 'tester/1.0',
          'strathon.tool.name': 'http.get',
          'strathon.source': 'egress_proxy',
          'strathon.agent.name': 'get',
          'weir.agent.identified_by': 'claim',
          'weir.visibility': 'plaintext',
          'weir.via': 'absolute-form',
          'weir.mode': 'monitor',
          'weir.verdict': 'flag',
          'weir.action': 'forward',
          'weir.would': 'none',
          'weir.would_block': false,
          'weir.outcome': 'forwarded',
          'weir.destination.first_seen': true,
          'weir.baseline.state': 'learning',
          'weir.response.body.size': 5,
          'weir.response.content_type': 'text/plain; charset=utf-8',
          'error.type': undefined,
        },
      },
    ],
    rows: [
      {
        kind: 'exchange',
        state: 'closed',
        method: 'GET',
        scheme: 'http',
        host: 'plain.test',
        port: 80,
        path: '/ok?page=2&q=…',
        status: 200,
        request_bytes: 0,
        response_bytes: 5,
        visibility: 'plaintext',
        outcome: 'forwarded',
        first_seen: true,
        would_block: false,
      },
    ],
  },
  {
    agent: 'post',
    act: ({ weir }) => ask(weir.port, 'post', 'http://plain.test/echo', { method: 'POST', body: 'seventeen letters' }),
    spans: [
      {
        name: 'http.post',
        status: 0,
        attributes: { 'http.request.body.size': 17, 'http.response.body.size': 17, 'weir.request.body.size': 17 },
      },
    ],
    rows: [{ method: 'POST', request_bytes: 17, status: 200 }],
  },
  {
    agent: 'not-found',
    act: ({ weir }) => ask(weir.port, 'not-found', 'http://plain.test/status/404'),
    spans: [
      {
        name: 'http.get',
        status: 2,
        attributes: { 'http.response.status_code': 404, 'error.type': '404', 'weir.outcome': 'forwarded' },
      },
    ],
    rows: [{ status: 404, outcome: 'forwarded' }],
  },
  {
    agent: 'unavailable',
    act: ({ weir }) => ask(weir.port, 'unavailable', 'http://plain.test/status/503'),
    spans: [{ name: 'http.get', status: 2, attributes: { 'http.response.status_code': 503, 'error.type': '503' } }],
    rows: [{ status: 503, outcome: 'forwarded' }],
  },
  {
    agent: 'odd-method',
    act: ({ weir }) => ask(weir.port, 'odd-method', 'http://plain.test/ok', { method: 'PROPFIND' }),
    spans: [
      {
        name: 'http.other',
        status: 0,
        attributes: {
          'http.request.method': '_OTHER',
          'http.request.method_original': 'PROPFIND',
          'strathon.tool.name': 'http.propfind',
        },
      },
    ],
    rows: [{ method: 'PROPFIND' }],
  },
  {
    agent: 'blocked',
    act: async ({ weir, origin }) => {
      const answer = await ask(weir.port, 'blocked', 'http://plain.test/secret/path?x=1', {
        method: 'POST',
        body: 'a',
      });
      assert.match(answer, /^HTTP\/1\.1 403 Blocked by Weir: plain\.test is not allowed for blocked \(ref /);
      // Others are under way at the same time.
      assert.ok(!origin.seen.some((line) => line.includes('/secret/path')));
    },
    spans: [
      {
        name: 'http.post',
        status: 2,
        attributes: {
          'error.type': 'policy-denied',
          'http.response.status_code': undefined,
          'weir.response.status_code': 403,
          'url.full': 'http://plain.test/',
          'strathon.http.url': 'http://plain.test/',
          'weir.mode': 'enforce',
          'weir.verdict': 'block',
          'weir.action': 'block',
          'weir.would': 'none',
          'weir.outcome': 'blocked',
          'weir.finding.rules': ['destination-not-allowed'],
          'strathon.policy.blocked': true,
          'strathon.policy.name': 'destination-not-allowed',
          'strathon.agent.intervention.state': 'blocked',
        },
      },
    ],
    rows: [{ action: 'block', outcome: 'blocked', status: 403, path: '/secret/path?x=…', error_type: 'policy-denied' }],
    events: ['weir.finding', 'weir.policy.decision'],
  },
  {
    agent: 'would-block',
    act: async ({ weir }) => {
      assert.match(await ask(weir.port, 'would-block', 'http://plain.test/ok'), /^HTTP\/1\.1 200 /);
    },
    spans: [
      {
        name: 'http.get',
        status: 0,
        attributes: {
          'http.response.status_code': 200,
          'weir.mode': 'monitor',
          'weir.verdict': 'block',
          'weir.action': 'forward',
          'weir.would': 'block',
          'weir.would_block': true,
          'weir.outcome': 'forwarded',
          'error.type': undefined,
          'strathon.policy.blocked': undefined,
          'strathon.agent.intervention.state': undefined,
        },
      },
    ],
    rows: [{ action: 'forward', would: 'block', would_block: true, rules: ['destination-not-allowed'] }],
    events: ['weir.finding', 'weir.policy.decision'],
  },
  {
    agent: 'no-name',
    act: async ({ weir }) => {
      assert.match(await ask(weir.port, 'no-name', 'http://missing.invalid/ok'), /^HTTP\/1\.1 502 /);
    },
    spans: [
      {
        name: 'http.get',
        status: 2,
        attributes: { ...FAILED, 'error.type': 'dns-failed', 'weir.response.status_code': 502 },
      },
    ],
    rows: [{ outcome: 'failed', error_type: 'dns-failed', status: 502 }],
  },
  {
    agent: 'refused',
    act: ({ weir }) => ask(weir.port, 'refused', 'http://refused.test/ok'),
    spans: [{ name: 'http.get', status: 2, attributes: { ...FAILED, 'error.type': 'connect-refused' } }],
    rows: [{ outcome: 'failed', error_type: 'connect-refused', status: 502 }],
  },
  {
    agent: 'silent',
    act: async ({ weir }) => {
      assert.match(await ask(weir.port, 'silent', 'http://silent.test/ok'), /^HTTP\/1\.1 504 /);
    },
    spans: [{ name: 'http.get', status: 2, attributes: { ...FAILED, 'error.type': 'connect-timeout' } }],
    rows: [{ outcome: 'failed', error_type: 'connect-timeout', status: 504 }],
  },
  {
    agent: 'reset',
    act: ({ weir }) => ask(weir.port, 'reset', 'http://plain.test/reset'),
    spans: [{ name: 'http.get', status: 2, attributes: { ...FAILED, 'error.type': 'upstream-reset' } }],
    rows: [{ outcome: 'failed', error_type: 'upstream-reset' }],
  },
  {
    agent: 'closed',
    act: ({ weir }) => ask(weir.port, 'closed', 'http://plain.test/close'),
    spans: [{ name: 'http.get', status: 2, attributes: { ...FAILED, 'error.type': 'upstream-closed' } }],
    rows: [{ outcome: 'failed', error_type: 'upstream-closed' }],
  },
  {
    agent: 'not-http',
    act: ({ weir }) => ask(weir.port, 'not-http', 'http://plain.test/broken'),
    spans: [{ name: 'http.get', status: 2, attributes: { ...FAILED, 'error.type': 'upstream-malformed' } }],
    rows: [{ outcome: 'failed', error_type: 'upstream-malformed' }],
  },
  {
    agent: 'short',
    act: ({ weir }) => ask(weir.port, 'short', 'http://plain.test/short'),
    spans: [
      {
        name: 'http.get',
        status: 2,
        attributes: {
          'weir.outcome': 'failed',
          'error.type': 'body-truncated',
          'http.response.status_code': 200,
          'http.response.body.size': 10,
        },
      },
    ],
    rows: [{ outcome: 'failed', error_type: 'body-truncated', status: 200, response_bytes: 10 }],
  },
  {
    agent: 'gone',
    act: async ({ weir, origin }) => {
      const peer = peerOf(await dial(weir.port));
      const head = `POST http://plain.test/hang HTTP/1.1\r\nHost: plain.test\r\n${claim('gone')}Content-Length: 1000\r\n\r\n`;
      await peer.send(`${head}${'x'.repeat(300)}`);
      await eventually(() => origin.seen.includes('POST /hang'), 'the request reached the origin');
      peer.rst();
    },
    spans: [
      {
        name: 'http.post',
        status: 0,
        attributes: { 'weir.outcome': 'client-gone', 'error.type': undefined, 'weir.request.body.size': 300 },
      },
    ],
    rows: [{ outcome: 'client-gone', request_bytes: 300, status: null }],
  },
  {
    agent: 'connect-refused',
    act: async ({ weir }) => {
      const { socket, head } = await tunnel(weir.port, 'connect-refused', 'plain.test:443');
      assert.match(head, /^HTTP\/1\.1 403 Blocked by Weir: plain\.test is not allowed/);
      socket.destroy();
    },
    spans: [
      {
        ...connectSpan('plain.test', 443, {
          'weir.outcome': 'blocked',
          'error.type': 'policy-denied',
          'weir.response.status_code': 403,
          'weir.action': 'block',
        }),
        status: 2,
      },
    ],
    rows: [{ kind: 'connect', method: 'CONNECT', outcome: 'blocked', status: 403 }],
    events: ['weir.finding', 'weir.policy.decision'],
  },
  {
    agent: 'connect-failed',
    act: async ({ weir }) => {
      const { socket, head } = await tunnel(weir.port, 'connect-failed', 'refused.test:443');
      assert.match(head, /^HTTP\/1\.1 502 /);
      socket.destroy();
    },
    spans: [
      { ...connectSpan('refused.test', 443, { 'weir.outcome': 'failed', 'error.type': 'connect-refused' }), status: 2 },
    ],
    rows: [{ kind: 'connect', outcome: 'failed', error_type: 'connect-refused', status: 502 }],
  },
  {
    agent: 'tunnelled',
    act: async (house) => {
      const { weir, otlp } = house;
      const { socket } = await tunnel(weir.port, 'tunnelled', 'tunnel.test:443');
      const tls = await secure(socket, { servername: 'tunnel.test', ca: house.authority.cert });
      // A never-seen host shows while the tunnel is open, not after it.
      await otlp.until(() => house.spansOf('tunnelled').some((span) => span.name === 'http.connect'));
      assert.equal(house.spansOf('tunnelled').length, 1);
      await get(new Peer(tls, socket), 'tunnel.test', '/ok');
    },
    spans: [
      connectSpan('tunnel.test', 443, { 'weir.visibility': 'tunnel', 'weir.destination.first_seen': true }),
      {
        name: 'weir.tunnel',
        status: 0,
        links: 1,
        attributes: {
          'weir.outcome': 'forwarded',
          'weir.visibility': 'tunnel',
          'weir.tunnel.protocol': 'tls',
          'weir.tls.sni': 'tunnel.test',
          'weir.tls.ja4': /^t13d/,
          'tls.protocol.version': '1.3',
          'weir.close_reason': /./,
          'http.request.method': undefined,
          'network.transport': 'tcp',
          'strathon.tool.name': 'http.connect',
        },
      },
    ],
    rows: [{ kind: 'tunnel', method: 'CONNECT', visibility: 'tunnel', sni: 'tunnel.test', tunnel_protocol: 'tls' }],
  },
  {
    agent: 'inside-plain',
    act: async ({ weir }) => {
      const { socket } = await tunnel(weir.port, 'inside-plain', 'plain.test:80');
      assert.match(await get(peerOf(socket), 'plain.test', '/ok'), /^HTTP\/1\.1 200 /);
    },
    spans: [
      connectSpan('plain.test', 80),
      {
        name: 'http.get',
        status: 0,
        links: 1,
        attributes: {
          'weir.visibility': 'plaintext',
          'weir.via': 'connect',
          'url.full': 'http://plain.test/ok',
          'weir.destination.first_seen': true,
        },
      },
    ],
    rows: [{ kind: 'exchange', via: 'connect', visibility: 'plaintext', first_seen: true }],
  },
  {
    agent: 'intercepted',
    act: async (house) => {
      assert.match(await get(await inside(house, 'intercepted', 'read.test'), 'read.test', '/ok'), /\r\n\r\nhello$/);
    },
    spans: [
      connectSpan('read.test', 443),
      {
        name: 'http.get',
        status: 0,
        links: 1,
        attributes: {
          'weir.visibility': 'intercepted',
          'url.full': 'https://read.test/ok',
          'url.scheme': 'https',
          'server.port': 443,
          'weir.tls.sni': 'read.test',
          'network.protocol.version': '1.1',
        },
      },
    ],
    rows: [{ kind: 'exchange', visibility: 'intercepted', scheme: 'https', path: '/ok' }],
  },
  {
    agent: 'intercepted-h2',
    act: async (house) => {
      const { socket } = await tunnel(house.weir.port, 'intercepted-h2', 'h2.test:443');
      const session = await http2Client(
        await secure(socket, { servername: 'h2.test', ca: house.ca, alpn: ['h2'] }),
        'h2.test',
      );
      await Promise.all(
        ['/a', '/b'].map((path) => recordStream(openStream(session, 'h2.test', 'GET', path, [], true), [])),
      );
      session.close();
    },
    spans: [
      connectSpan('h2.test', 443),
      {
        name: 'http.get',
        status: 0,
        links: 1,
        attributes: {
          'network.protocol.version': '2',
          'url.full': 'https://h2.test/a',
          'http.response.status_code': 200,
        },
      },
      {
        name: 'http.get',
        status: 0,
        links: 1,
        attributes: {
          'network.protocol.version': '2',
          'url.full': 'https://h2.test/b',
          'weir.visibility': 'intercepted',
        },
      },
    ],
    rows: [
      { kind: 'exchange', protocol: '2', path: '/a', alpn: 'h2' },
      { kind: 'exchange', protocol: '2', path: '/b' },
    ],
  },
  {
    agent: 'websocket',
    act: async ({ weir }) => {
      const { socket } = await tunnel(weir.port, 'websocket', 'plain.test:80');
      const ws = new WebSocket('ws://plain.test/socket', { createConnection: () => socket });
      await once(ws, 'open');
      ws.send('ping');
      await once(ws, 'message');
      ws.close(1000, 'done');
      await once(ws, 'close');
    },
    spans: [
      connectSpan('plain.test', 80),
      {
        name: 'http.get',
        status: 0,
        links: 1,
        attributes: {
          'http.response.status_code': 101,
          'url.full': 'http://plain.test/socket',
          'weir.tunnel.protocol': undefined,
          'weir.outcome': 'forwarded',
        },
      },
    ],
    rows: [{ kind: 'exchange', status: 101, path: '/socket', outcome: 'forwarded' }],
  },
  {
    agent: 'verify',
    act: async ({ weir }) => {
      assert.match(await ask(weir.port, 'verify', 'http://verify.weir.invalid/'), /^HTTP\/1\.1 200 /);
    },
    spans: [
      {
        name: 'http.get',
        status: 0,
        attributes: { 'weir.outcome': 'answered', 'http.response.status_code': undefined, 'error.type': undefined },
      },
    ],
    rows: [{ outcome: 'answered' }],
  },
  {
    agent: 'userinfo',
    act: async ({ weir }) => {
      assert.match(await ask(weir.port, 'userinfo', 'http://who:what@plain.test/ok'), /^HTTP\/1\.1 400 /);
    },
    spans: [
      {
        name: 'http.get',
        status: 2,
        attributes: { ...FAILED, 'error.type': 'bad-request', 'url.scheme': 'http', 'weir.response.status_code': 400 },
      },
    ],
    rows: [{ outcome: 'failed', error_type: 'bad-request', status: 400, scheme: 'http' }],
  },
  {
    agent: 'self',
    act: async ({ weir }) => {
      assert.match(await ask(weir.port, 'self', `http://127.0.0.1:${weir.port}/ok`), /^HTTP\/1\.1 508 /);
    },
    spans: [
      {
        name: 'http.get',
        status: 2,
        attributes: { 'weir.outcome': 'blocked', 'weir.action': 'block', 'weir.response.status_code': 508 },
      },
    ],
    rows: [{ outcome: 'blocked', action: 'block', status: 508 }],
    events: ['weir.finding', 'weir.policy.decision'],
  },
  {
    agent: 'limited',
    act: async ({ weir }) => {
      assert.match(await ask(weir.port, 'limited', 'http://plain.test/ok'), /^HTTP\/1\.1 200 /);
      const answer = await ask(weir.port, 'limited', 'http://plain.test/ok?page=2');
      assert.match(answer, /^HTTP\/1\.1 429 /);
      assert.match(answer, /\r\nretry-after: \d+\r\n/);
    },
    spans: [
      {
        name: 'http.get',
        status: 2,
        attributes: { 'weir.outcome': 'blocked', 'weir.response.status_code': 429, 'error.type': 'policy-denied' },
      },
      { name: 'http.get', status: 0, attributes: { 'weir.outcome': 'forwarded' } },
    ],
    rows: [{ status: 200 }, { status: 429, action: 'block', outcome: 'blocked' }],
    events: ['weir.finding', 'weir.policy.decision'],
  },
  {
    agent: 'broken-body',
    act: async ({ weir, origin }) => {
      const fields = `Host: plain.test\r\n${claim('broken-body')}Transfer-Encoding: chunked\r\n`;
      const peer = peerOf(await dial(weir.port));
      await peer.send(`POST http://plain.test/echo/broken HTTP/1.1\r\n${fields}\r\n5\r\nhello\r\n`);
      await eventually(() => origin.seen.includes('POST /echo/broken'), 'the request reached the origin');
      await peer.send('no size\r\n');
      await peer.ended();
      assert.match(peer.received.toString(), /^HTTP\/1\.1 400 /);
    },
    spans: [{ name: 'http.post', status: 2, attributes: { 'weir.outcome': 'failed', 'error.type': 'bad-request' } }],
    rows: [{ outcome: 'failed', error_type: 'bad-request', rules: ['agent-first-seen', 'cleartext-upload'] }],
    events: ['weir.finding'],
  },
  {
    agent: 'ssh',
    act: async ({ weir }) => {
      const { socket } = await tunnel(weir.port, 'ssh', 'plain.test:22');
      // Longer than the CONNECT waits for first bytes: that time is the agent's, not ours.
      await new Promise((resolve) => setTimeout(resolve, 400));
      const peer = peerOf(socket);
      await peer.send('SSH-2.0-test\r\n');
      await peer.ended();
      peer.destroy();
    },
    spans: [
      connectSpan('plain.test', 22, { 'weir.tunnel.protocol': undefined }),
      {
        name: 'weir.tunnel',
        status: 0,
        links: 1,
        attributes: { 'weir.tunnel.protocol': 'ssh', 'weir.request.body.size': 14, 'weir.would': 'block' },
      },
    ],
    rows: [{ kind: 'tunnel', tunnel_protocol: 'ssh', rules: ['agent-first-seen', 'opaque-protocol'], would: 'block' }],
    events: ['weir.finding', 'weir.policy.decision'],
  },
  {
    agent: 'early-ssh',
    act: async ({ weir }) => {
      const { socket } = await tunnel(weir.port, 'early-ssh', 'plain.test:22');
      const peer = peerOf(socket);
      await peer.send('SSH-2.0-test\r\n');
      await peer.ended();
      peer.destroy();
    },
    spans: [
      connectSpan('plain.test', 22, { 'weir.tunnel.protocol': 'ssh', 'weir.would': 'block' }),
      {
        name: 'weir.tunnel',
        status: 0,
        links: 1,
        attributes: { 'weir.tunnel.protocol': 'ssh', 'weir.would': 'block' },
      },
    ],
    rows: [{ kind: 'tunnel', rules: ['agent-first-seen', 'opaque-protocol'], would: 'block' }],
    events: ['weir.finding', 'weir.policy.decision'],
  },
  {
    agent: 'blocked-inside',
    act: async (house) => {
      const peer = await inside(house, 'blocked-inside', 'read.test');
      assert.match(
        await get(peer, 'read.test', '/secret'),
        /^HTTP\/1\.1 403 Blocked by Weir: read\.test is not allowed/,
      );
    },
    spans: [
      { ...connectSpan('read.test', 443, { 'weir.outcome': 'blocked', 'weir.action': 'block' }), status: 2 },
      {
        name: 'http.get',
        status: 2,
        links: 1,
        attributes: {
          'weir.outcome': 'blocked',
          'weir.response.status_code': 403,
          'http.response.status_code': undefined,
          'url.full': 'https://read.test/',
          'network.peer.address': undefined,
        },
      },
    ],
    rows: [{ kind: 'exchange', path: '/secret', outcome: 'blocked' }],
    events: ['weir.finding', 'weir.finding', 'weir.policy.decision', 'weir.policy.decision'],
  },
  {
    agent: 'unknown-upgrade',
    act: async ({ weir }) => {
      const peer = peerOf(await dial(weir.port));
      const fields = `Host: plain.test\r\n${claim('unknown-upgrade')}Connection: upgrade\r\nUpgrade: odd/1\r\n`;
      await peer.send(`GET http://plain.test/switch HTTP/1.1\r\n${fields}\r\n`);
      await peer.until('\r\n\r\n');
      await peer.send('some bytes');
      await peer.ended();
      peer.destroy();
    },
    spans: [
      {
        name: 'http.get',
        status: 0,
        attributes: { 'http.response.status_code': 101, 'weir.tunnel.protocol': 'odd/1' },
      },
    ],
    rows: [{ status: 101, tunnel_protocol: 'odd/1' }],
    events: ['weir.finding', 'weir.policy.decision'],
  },
];
