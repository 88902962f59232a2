import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import type { LogLine } from '../../src/model/admin.ts';
import {
  type Answer,
  type Ask,
  connectTo,
  http2Through,
  https,
  over,
  over2,
  plain,
  throughTls,
} from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { type EchoOrigin, echoOrigin } from '../support/echo-origin.ts';
import { dial, readHead, secure } from '../support/origins.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

const MODES = ['monitor', 'redact', 'enforce'] as const;
type Mode = (typeof MODES)[number];
/** One agent per mode with the same lists; its name says the mode. */
const agentOf = (mode: Mode): string => `${mode}-agent`;

interface World {
  readonly weir: Weir;
  readonly origin: EchoOrigin;
  readonly tls: EchoOrigin;
  /** Weir's CA, and the authority of the upstream. */
  readonly ca: string;
  readonly upstreamCa: string;
  readonly config: Record<string, unknown>;
  close(): Promise<void>;
}

/** `*.test` is plain, `*.tunnel.example` TLS that stays a tunnel, `*.read.example` TLS that is intercepted. */
function openWorld(more: Record<string, unknown> = {}): Promise<World> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const leaf = upstream.authority.issue(['*.tunnel.example', '*.read.example']);
    const [origin, tls] = await Promise.all([echoOrigin(), echoOrigin({ tls: leaf })]);
    later(origin.close);
    later(tls.close);
    const config = {
      intercept: { only: ['*.read.example'] },
      upstream: {
        resolve: {
          '*.test': `127.0.0.1:${origin.port}`,
          'pastebin.com': `127.0.0.1:${origin.port}`,
          '*.example': `127.0.0.1:${tls.port}`,
        },
        ca_file: upstream.caFile,
      },
      ...more,
    };
    const weir = await startWeir({ config });
    later(weir.stop);
    return { weir, origin, tls, ca: await weir.ca(), upstreamCa: upstream.authority.cert, config };
  });
}

const allThree = (name: string): string[] => [`${name}.test`, `${name}.tunnel.example`, `${name}.read.example`];

const LISTS = {
  destinations: { blocked: allThree('evil') },
  agents: Object.fromEntries(
    MODES.map((mode) => [
      agentOf(mode),
      {
        mode,
        allowed_domains: [
          ...allThree('evil'),
          ...allThree('ok'),
          ...allThree('nope'),
          { host: 'port.test', ports: [8080] },
          'GET ro.test',
          { host: 'ro.read.example', methods: ['GET', 'HEAD'] },
          { host: 'ro.tunnel.example', methods: ['GET'] },
          'path.test/public',
          'path.read.example/public',
          'pastebin.com',
        ],
        blocked_domains: [...allThree('nope'), '@paste'],
      },
    ]),
  ),
};

/** What a stage refuses must be readable: status line, header, body (product.md §7 "A block must be read"). */
function assertRefusal(answer: Answer, agent: string, host: string, rule: string): void {
  assert.equal(answer.status, 403, `${host}: ${answer.body}`);
  assert.equal(answer.headers['x-strathon-block-reason'], 'destination');
  const body = JSON.parse(answer.body) as Record<string, string>;
  assert.deepEqual(Object.keys(body), [
    'error',
    'action',
    'rule',
    'reason',
    'destination',
    'agent',
    'mode',
    'next',
    'ref',
  ]);
  assert.deepEqual([body['action'], body['rule'], body['agent'], body['mode']], ['block', rule, agent, 'enforce']);
  assert.ok(body['destination']?.startsWith(`${host}:`), body['destination']);
  assert.match(String(body['ref']), /^[0-9A-Z]{10}$/);
  assert.equal(answer.headers['x-weir-ref'], body['ref']);
  assert.match(String(body['next']), /Do not retry or look for another way; tell the user: /);
  // HTTP/2 has no reason phrase.
  if (answer.reason === '') return;
  const words = rule === 'destination-blocked' ? `${host} is on a block list` : `${host} is not allowed for ${agent}`;
  assert.match(
    answer.reason,
    new RegExp(`^Blocked by Weir: ${words.replaceAll('.', '\\.')}.* \\(ref [0-9A-Z]{10}\\)$`),
  );
}

interface Case {
  readonly name: string;
  readonly url: string;
  readonly ask?: Ask;
  /** Rule that speaks; absent = allowed. */
  readonly rule?: 'destination-blocked' | 'destination-not-allowed';
}

const CASES: readonly Case[] = [
  { name: 'allowed', url: 'http://ok.test/' },
  { name: 'allowed tunnel', url: 'https://ok.tunnel.example/' },
  { name: 'allowed and read', url: 'https://ok.read.example/' },
  { name: 'global block beats the agent’s allow', url: 'http://evil.test/', rule: 'destination-blocked' },
  { name: 'global block, tunnel', url: 'https://evil.tunnel.example/', rule: 'destination-blocked' },
  { name: 'global block, read', url: 'https://evil.read.example/', rule: 'destination-blocked' },
  { name: 'agent block beats its own allow', url: 'http://nope.test/', rule: 'destination-blocked' },
  { name: 'agent block, tunnel', url: 'https://nope.tunnel.example/', rule: 'destination-blocked' },
  { name: 'agent block, read', url: 'https://nope.read.example/', rule: 'destination-blocked' },
  { name: 'on no list', url: 'http://other.test/', rule: 'destination-not-allowed' },
  { name: 'on no list, tunnel', url: 'https://other.tunnel.example/', rule: 'destination-not-allowed' },
  { name: 'on no list, read', url: 'https://other.read.example/', rule: 'destination-not-allowed' },
  { name: 'the port that is allowed', url: 'http://port.test:8080/' },
  { name: 'another port', url: 'http://port.test/', rule: 'destination-not-allowed' },
  { name: 'the method that is allowed', url: 'http://ro.test/' },
  {
    name: 'another method',
    url: 'http://ro.test/',
    ask: { method: 'POST', body: 'x' },
    rule: 'destination-not-allowed',
  },
  { name: 'the method that is allowed, read', url: 'https://ro.read.example/' },
  {
    name: 'another method, read',
    url: 'https://ro.read.example/',
    ask: { method: 'DELETE' },
    rule: 'destination-not-allowed',
  },
  { name: 'a method rule cannot allow a tunnel', url: 'https://ro.tunnel.example/', rule: 'destination-not-allowed' },
  { name: 'the path that is allowed', url: 'http://path.test/public/a' },
  { name: 'another path', url: 'http://path.test/private', rule: 'destination-not-allowed' },
  { name: 'a path that climbs out', url: 'http://path.test/public/../private', rule: 'destination-not-allowed' },
  { name: 'the path that is allowed, read', url: 'https://path.read.example/public' },
  { name: 'another path, read', url: 'https://path.read.example/publicity', rule: 'destination-not-allowed' },
  { name: 'a category', url: 'http://pastebin.com/raw', rule: 'destination-blocked' },
  { name: 'a name in capitals with a dot at its end', url: 'http://EVIL.test./', rule: 'destination-blocked' },
];

describe('modes: the same traffic in monitor, redact and enforce', () => {
  let world: World;
  before(async () => {
    world = await openWorld(LISTS);
  });
  after(() => world?.close());

  /** One request of a case, whatever its way; a refused CONNECT gives its own answer. */
  const play = async ({ url, ask }: Case, agent: string): Promise<Answer> => {
    const { weir, ca, upstreamCa } = world;
    if (url.startsWith('http:')) return plain(weir, url, { ...ask, agent });
    const { hostname } = new URL(url);
    const read = hostname.endsWith('.read.example');
    const { socket, answer } = await connectTo(weir, `${hostname}:443`, {
      agent,
      userAgent: read ? 'reader/1' : 'novice/1',
    });
    if (answer.status !== 200) {
      socket.destroy();
      return answer;
    }
    const tls = await secure(socket, { servername: hostname, ca: read ? ca : upstreamCa });
    const { pathname } = new URL(url);
    return over(tls, hostname, pathname, ask).finally(() => tls.destroy());
  };

  for (const one of CASES) {
    it(one.name, async () => {
      const dialled = world.origin.connections() + world.tls.connections();
      const enforced = await play(one, agentOf('enforce'));
      const host = one.url.startsWith('https:') ? new URL(one.url).hostname : hostOf(one.url);
      if (one.rule === undefined) assert.equal(enforced.status, 200, enforced.body);
      else {
        assertRefusal(enforced, agentOf('enforce'), host, one.rule);
        // Inside a host whose rule needs the method or path, the connection itself is allowed.
        if (!/^(ro|path)\.read/.test(host))
          assert.equal(world.origin.connections() + world.tls.connections(), dialled, 'nothing was dialled');
      }
      for (const mode of ['monitor', 'redact'] as const) {
        const answer = await play(one, agentOf(mode));
        assert.equal(answer.status, 200, `${mode}: ${answer.status} ${answer.reason}`);
      }
    });
  }

  it('rows: would_block in monitor and redact, blocked in enforce, one verdict', async () => {
    const wanted = CASES.filter(({ rule }) => rule !== undefined).length;
    const rows = await eventually(async () => {
      const found = await world.weir.query(
        `SELECT agent, verdict, action, would, count(*)::INT AS n FROM exchanges WHERE verdict = 'block' GROUP BY ALL ORDER BY agent, action`,
      );
      return found.reduce((sum, row) => sum + Number(row['n']), 0) >= 3 * wanted && found;
    }, 'all rows');
    assert.deepEqual(rows, [
      { agent: 'enforce-agent', verdict: 'block', action: 'block', would: 'none', n: wanted },
      { agent: 'monitor-agent', verdict: 'block', action: 'forward', would: 'block', n: wanted },
      { agent: 'redact-agent', verdict: 'block', action: 'forward', would: 'block', n: wanted },
    ]);
    const { agents } = await world.weir.status();
    const counts = agents.map(({ agent, blocked, wouldBlock }) => [agent, blocked, wouldBlock]);
    assert.deepEqual(counts, [
      ['enforce-agent', wanted, 0],
      ['monitor-agent', 0, wanted],
      ['redact-agent', 0, wanted],
    ]);
  });
});

/** The host of a URL as it must be judged, whatever is written around it. */
const hostOf = (url: string): string => new URL(url).hostname.replace(/\.$/, '');

describe('modes: a block is read on every way', () => {
  let world: World;
  const agent = agentOf('enforce');
  before(async () => {
    world = await openWorld(LISTS);
  });
  after(() => world?.close());

  it('HTTP/2: the request gets its 403, the session stays', async () => {
    const session = await http2Through(world.weir, 'ro.read.example', { agent, ca: world.ca });
    try {
      assert.equal((await over2(session, '/')).status, 200);
      assertRefusal(
        await over2(session, '/', { method: 'DELETE' }),
        agent,
        'ro.read.example',
        'destination-not-allowed',
      );
      assert.equal((await over2(session, '/')).status, 200);
    } finally {
      session.destroy();
    }
  });

  it('HTTP/2: a refused host is answered inside TLS and nothing is dialled', async () => {
    const dialled = world.tls.connections();
    const session = await http2Through(world.weir, 'evil.read.example', { agent, ca: world.ca });
    try {
      assertRefusal(await over2(session, '/'), agent, 'evil.read.example', 'destination-blocked');
      assert.equal(world.tls.connections(), dialled);
    } finally {
      session.destroy();
    }
  });

  it('keep-alive: after a refusal the connection serves the next request', async () => {
    const socket = await throughTls(world.weir, 'path.read.example', { agent, ca: world.ca });
    try {
      const keep = { fields: { connection: 'keep-alive' } };
      assert.equal((await over(socket, 'path.read.example', '/public', keep)).status, 200);
      const refused = await over(socket, 'path.read.example', '/private', keep);
      assertRefusal(refused, agent, 'path.read.example', 'destination-not-allowed');
      assert.equal((await over(socket, 'path.read.example', '/public', keep)).status, 200);
    } finally {
      socket.destroy();
    }
  });

  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };

  it('WebSocket: ws:// and wss:// are refused with a body', async () => {
    const open = await plain(world.weir, 'http://evil.test/socket', { agent, fields: upgrade });
    assertRefusal(open, agent, 'evil.test', 'destination-blocked');
    const { socket, answer } = await connectTo(world.weir, 'evil.test:80', { agent, userAgent: 'novice/1' });
    assert.equal(answer.status, 403);
    socket.destroy();
    const inside = await https(world.weir, 'https://evil.read.example/socket', {
      agent,
      ca: world.ca,
      fields: upgrade,
    });
    assertRefusal(inside, agent, 'evil.read.example', 'destination-blocked');
  });

  it('a tunnelled host: a client that has trusted us before reads the refusal inside TLS, others in the status line', async () => {
    const client = { agent, userAgent: 'seasoned/1.0', ca: world.ca };
    const first = await connectTo(world.weir, 'evil.tunnel.example:443', client);
    assertRefusal(first.answer, agent, 'evil.tunnel.example', 'destination-blocked');
    first.socket.destroy();
    assert.equal((await https(world.weir, 'https://ok.read.example/', client)).status, 200);
    const dialled = world.tls.connections();
    const inside = await https(world.weir, 'https://evil.tunnel.example/', client);
    assertRefusal(inside, agent, 'evil.tunnel.example', 'destination-blocked');
    assert.equal(world.tls.connections(), dialled);
    const stranger = await connectTo(world.weir, 'evil.tunnel.example:443', { ...client, userAgent: 'novice/1.0' });
    assert.equal(stranger.answer.status, 403);
    stranger.socket.destroy();
  });

  it('names in TLS and requests that disagree with the CONNECT are refused in enforce, forwarded in monitor', async () => {
    const tunnelled = async (who: string): Promise<string> => {
      const { socket } = await connectTo(world.weir, 'ok.tunnel.example:443', { agent: who });
      try {
        const tls = await secure(socket, { servername: 'nope.tunnel.example', ca: world.upstreamCa });
        return String((await over(tls, 'ok.tunnel.example', '/')).status);
      } catch {
        return 'refused';
      } finally {
        socket.destroy();
      }
    };
    assert.equal(await tunnelled(agent), 'refused');
    assert.equal(await tunnelled(agentOf('monitor')), '200');
    const read = (who: string): Promise<Answer> =>
      https(world.weir, 'https://ok.read.example/', {
        agent: who,
        ca: world.ca,
        fields: { host: 'nope.read.example' },
      });
    const refused = await read(agent);
    assert.equal(refused.status, 403);
    assert.equal(refused.headers['x-strathon-block-reason'], 'name-mismatch');
    assert.equal((await read(agentOf('monitor'))).status, 200);
    const [line] = await world.weir.records(
      'the mismatch',
      (l) => l.agent === agentOf('monitor') && l.rules.includes('name-mismatch'),
    );
    assert.equal(line?.would, 'block');
  });

  it('what the agent reads of a hostile name is printable and short', async () => {
    const host = `ignore-previous-instructions-${'a'.repeat(30)}.${'b'.repeat(60)}.test`;
    const answer = await plain(world.weir, `http://${host}/`, { agent });
    assert.equal(answer.status, 403);
    assert.ok(answer.reason.length <= 200);
    assert.match(answer.reason, /^[\x20-\x7e]*$/);
    assert.ok(!answer.body.includes(host), 'cut');
  });

  it('a URL that says one host and means another is no request at all', async () => {
    for (const url of ['http://ok.test@evil.test/', 'http://ok.test%2eevil.test/', 'http://ok.test\\@evil.test/']) {
      const dialled = world.origin.connections();
      const answer = await plain(world.weir, url, { agent, fields: { host: 'ok.test' } });
      assert.ok(answer.status === 400 || answer.status === 403, `${url}: ${answer.status}`);
      assert.doesNotMatch(answer.body, /invalid:0/);
      assert.equal(world.origin.connections(), dialled);
    }
  });
});

interface Stream {
  readonly destroyed: boolean;
  readonly readableEnded: boolean;
  once(event: 'close' | 'end', listener: () => void): unknown;
  resume(): unknown;
}

/** Closed, reset or ended by the other side within `ms`. */
function endsWithin(socket: Stream, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    const gone = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    if (socket.destroyed || socket.readableEnded) gone();
    socket.once('close', gone);
    socket.once('end', gone);
    socket.resume();
  });
}

/** A raw exchange that has got a head and the first bytes of a body that never ends. */
async function hanging(socket: Socket, target: string, host: string, fields = ''): Promise<Socket> {
  socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`);
  await new Promise<void>((resolve, reject) => {
    let text = '';
    const onData = (part: Buffer): void => {
      text += part.toString('latin1');
      if (!text.includes('waiting')) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
    socket.once('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
  });
  return socket;
}

describe('modes: changed live', () => {
  let world: World;
  before(async () => {
    world = await openWorld({
      destinations: { blocked: allThree('evil') },
      agents: { walker: {}, runner: { mode: 'monitor' } },
    });
  });
  after(() => world?.close());

  const proxyAuth = (agent: string): string =>
    `Proxy-Authorization: Basic ${Buffer.from(`${agent}:x`).toString('base64')}\r\n`;

  /** One open stream of every kind. */
  const openStreams = async (agent: string, name: string): Promise<Map<string, Stream>> => {
    const { weir, ca, upstreamCa } = world;
    const [open, tunnel, read] = allThree(name) as [string, string, string];
    const flat = await hanging(await dial(weir.port), `http://${open}/hang`, open, proxyAuth(agent));
    const tunnelled = await throughTls(weir, tunnel, { agent, ca: upstreamCa });
    await hanging(tunnelled, '/hang', tunnel);
    const inside = await throughTls(weir, read, { agent, ca });
    await hanging(inside, '/hang', read);
    const session = await http2Through(weir, read, { agent, ca });
    const stream = session.request({ ':path': '/hang' });
    stream.on('error', () => undefined);
    await new Promise<void>((resolve) => stream.once('data', () => resolve()));
    const webSocket = await dial(weir.port);
    const upgrade =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    webSocket.write(`GET http://${open}/ws HTTP/1.1\r\nHost: ${open}\r\n${proxyAuth(agent)}${upgrade}\r\n`);
    assert.match(await readHead(webSocket), /^HTTP\/1\.1 101 /);
    return new Map<string, Stream>([
      ['plain', flat],
      ['WebSocket', webSocket],
      ['tunnel', tunnelled],
      ['intercepted', inside],
      ['HTTP/2', stream],
    ]);
  };

  const assertAllEnd = async (streams: Map<string, Stream>): Promise<void> => {
    const ends = [...streams].map(async ([name, stream]) => [name, await endsWithin(stream, 1000)]);
    assert.deepEqual(
      (await Promise.all(ends)).filter(([, ended]) => ended === false),
      [],
    );
  };

  it('stop closes every open stream of the agent within a second and refuses new ones; resume lets it go on', async () => {
    const streams = await openStreams('walker', 'ok');
    const silent = (await connectTo(world.weir, 'ok.tunnel.example:443', { agent: 'walker' })).socket;
    await new Promise((resolve) => setTimeout(resolve, 400));
    const other = await hanging(
      (await connectTo(world.weir, 'ok.test:80', { agent: 'runner' })).socket,
      '/hang',
      'ok.test',
    );
    const stopped = world.weir.admin('/mode', 'POST', { agent: 'walker', mode: 'stop' });
    await assertAllEnd(streams);
    assert.equal((await stopped).status, 200, (await stopped).body);
    assert.equal(other.destroyed || other.readableEnded, false, 'other agents go on');
    other.destroy();
    await assert.rejects(
      secure(silent, { servername: 'ok.tunnel.example', ca: world.upstreamCa }),
      'what had said nothing says nothing',
    );
    const refused = await plain(world.weir, 'http://ok.test/', { agent: 'walker' });
    assert.equal(refused.status, 403);
    assert.equal(refused.headers['x-strathon-block-reason'], 'stopped');
    assert.match(refused.reason, /stopped/);
    const tunnel = await connectTo(world.weir, 'ok.tunnel.example:443', { agent: 'walker', userAgent: 'novice/1' });
    assert.equal(tunnel.answer.status, 403);
    assert.match(tunnel.answer.reason, /stopped/);
    const { stdout } = await world.weir.cli(['mode']);
    assert.match(stdout, /^monitor\nwalker: stopped$/m);
    const resumed = await world.weir.cli(['mode', 'walker', 'resume']);
    assert.deepEqual([resumed.code, resumed.stdout], [0, 'walker may go on\n']);
    await world.weir.cli(['mode', 'walker', 'stop']);
    const again = await world.weir.cli(['mode', 'walker', 'monitor']);
    assert.deepEqual(
      [again.code, again.stdout],
      [0, 'walker: monitor, was stopped\n'],
      'a mode is a way to go on, too',
    );
    assert.equal((await plain(world.weir, 'http://ok.test/', { agent: 'walker' })).status, 200);
  });

  it('stop for everybody', async () => {
    assert.equal((await world.weir.cli(['mode', 'stop'])).code, 0);
    for (const agent of ['walker', 'runner', 'stranger']) {
      assert.equal((await plain(world.weir, 'http://ok.test/', { agent })).status, 403, agent);
    }
    assert.equal((await world.weir.cli(['mode', 'resume'])).code, 0);
    assert.equal((await plain(world.weir, 'http://ok.test/', { agent: 'stranger' })).status, 200);
  });

  it('enforce cuts what is open and would be refused, and nothing else; lowering it again warns', async () => {
    await plain(world.weir, 'http://evil.test/', { agent: 'walker' });
    await world.weir.records('one that counts', (line) => line.destination === 'evil.test:80');
    const streams = await openStreams('walker', 'evil');
    const good = await hanging(
      (await connectTo(world.weir, 'ok.test:80', { agent: 'walker' })).socket,
      '/hang',
      'ok.test',
    );
    const { stderr, code } = await world.weir.cli(['mode', 'walker', 'enforce']);
    await assertAllEnd(streams);
    assert.equal(code, 0, stderr);
    assert.equal((await plain(world.weir, 'http://evil.test/', { agent: 'walker' })).status, 403);
    assert.match(
      stderr,
      /^weir: monitor → enforce: of \d+ requests in the last 7 d 0 h, \d+ would have been stopped\./,
    );
    assert.match(stderr, /\d+ × walker → evil\.test:80 \(destination-blocked\)/);
    assert.match(stderr, /enforce is cooperative here/);
    assert.equal(good.destroyed || good.readableEnded, false, 'what is allowed goes on');
    good.destroy();
    assert.equal((await plain(world.weir, 'http://evil.test/', { agent: 'runner' })).status, 200, 'only this agent');
    const lowered = await world.weir.cli(['mode', 'walker', 'monitor']);
    assert.deepEqual([lowered.code, lowered.stdout], [0, 'walker: monitor, was enforce\n']);
    assert.equal((await plain(world.weir, 'http://evil.test/', { agent: 'walker' })).status, 200);
    const warnings = world.weir
      .logs()
      .split('\n')
      .filter((line) => line.includes('walker: monitor, was enforce'));
    assert.equal(warnings.length, 1);
    assert.match(String(warnings[0]), /"level":("warn"|40)/);
    const audit = await world.weir.query(
      "SELECT rule, agent, actor, message FROM audit WHERE agent = 'walker' ORDER BY occurred_at",
    );
    assert.deepEqual(
      audit.map((row) => row['rule']),
      ['mode', 'mode-lowered', 'mode', 'mode-lowered', 'mode', 'mode-lowered'],
    );
    assert.match(String(audit.at(-1)?.['actor']), /^cli /);
  });

  it('a name nobody has is an error, not silence', async () => {
    const typo = await world.weir.cli(['mode', 'wlaker', 'stop']);
    assert.deepEqual([typo.code, typo.stderr], [1, 'weir: nobody here is called wlaker. Who is known: weir status\n']);
    assert.equal((await world.weir.cli(['mode', 'walker', 'full'])).code, 2);
  });
});

describe('modes: which one applies', () => {
  it('destination within the agent, agent, destination, global', async () => {
    const world = await openWorld({
      mode: 'monitor',
      destinations: {
        blocked: ['global.test', { host: 'place.test', mode: 'enforce' }, { host: '@paste', mode: 'enforce' }],
      },
      agents: {
        calm: {
          mode: 'monitor',
          blocked_domains: [
            'plain.test',
            { host: 'strict.test', mode: 'enforce' },
            { host: 'loose.test', mode: 'monitor' },
          ],
        },
      },
    });
    try {
      const status = async (agent: string, host: string) =>
        (await plain(world.weir, `http://${host}/`, { agent })).status;
      assert.equal(await status('calm', 'strict.test'), 403, 'destination within the agent');
      assert.equal(await status('calm', 'plain.test'), 200, 'agent');
      assert.equal(await status('calm', 'place.test'), 200, 'the agent’s own mode beats a global destination’s');
      assert.equal(await status('other', 'place.test'), 403, 'destination');
      assert.equal(await status('other', 'pastebin.com'), 403, 'a category is a destination too');
      assert.equal(await status('other', 'global.test'), 200, 'global');
      assert.equal((await world.weir.cli(['mode', 'calm', 'enforce'])).code, 0);
      assert.equal(await status('calm', 'plain.test'), 403, 'said live');
      assert.equal(await status('calm', 'loose.test'), 200, 'still the destination within the agent');
      assert.equal((await world.weir.cli(['mode', 'enforce'])).code, 0);
      assert.equal(await status('other', 'global.test'), 403, 'said live of everybody');
    } finally {
      await world.close();
    }
  });
});

describe('modes: reload and preflight', () => {
  const file = (weir: Weir): string => join(weir.stateDir, 'weir-test.yaml');
  const write = (weir: Weir, config: unknown): Promise<void> =>
    writeFile(file(weir), typeof config === 'string' ? config : stringify(config), { mode: 0o600 });

  it('SIGHUP takes a whole new set, or keeps the old one and says why; open tunnels are judged again', async () => {
    const world = await openWorld({ mode: 'enforce', agents: { walker: {} } });
    const { weir } = world;
    const base = { listen: '127.0.0.1:0', telemetry: { endpoint: 'none' }, ...world.config };
    // A request that is under way when the new set comes is cut like any open stream.
    const status = (host: string): Promise<number> =>
      plain(weir, `http://${host}/`, { agent: 'walker' })
        .then(({ status: found }) => found)
        .catch(() => 0);
    try {
      assert.equal(await status('evil.test'), 200);
      const tunnel = await throughTls(weir, 'evil.tunnel.example', { agent: 'walker', ca: world.upstreamCa });
      await hanging(tunnel, '/hang', 'evil.tunnel.example');
      const ended = endsWithin(tunnel, 10_000);
      await write(weir, { ...base, destinations: { blocked: allThree('evil') } });
      weir.kill('SIGHUP');
      await eventually(async () => (await status('evil.test')) === 403, 'the new set');
      assert.equal(await ended, true);
      assert.match(weir.logs(), /configuration reloaded/);

      await write(weir, { ...base, destinations: { blocked: [] }, modes: 'monitor' });
      weir.kill('SIGHUP');
      await eventually(() => weir.logs().includes('reload refused'), 'the refusal');
      assert.match(
        weir.logs(),
        /reload refused, the old configuration stays: unknown key \\"modes\\" in [^\n]*weir-test\.yaml:\d+ — did you mean \\"mode\\"\?/,
      );
      assert.equal(await status('evil.test'), 403);

      await write(weir, { ...base, destinations: { blocked: ['@no-such-category'] } });
      weir.kill('SIGHUP');
      await eventually(() => weir.logs().includes('no-such-category'), 'the second refusal');
      assert.equal(await status('evil.test'), 403);
      const audit = await weir.query('SELECT rule, actor FROM audit ORDER BY occurred_at');
      assert.deepEqual(audit, [{ rule: 'reload', actor: 'SIGHUP' }]);
    } finally {
      await world.close();
    }
  });

  it('a start in a stricter mode shows what it would have cost, and goes on without a terminal', async () => {
    const world = await openWorld({ destinations: { blocked: allThree('evil') } });
    const first = await startWeir({ config: { ...world.config, mode: 'monitor' } });
    let second: Weir | undefined;
    try {
      for (let i = 0; i < 3; i++) await plain(first, 'http://evil.test/', { agent: 'walker' });
      await plain(first, 'http://ok.test/', { agent: 'walker' });
      await first.records('all', (line: LogLine) => line.destination === 'ok.test:80');
      first.kill('SIGTERM');
      await first.exited;
      second = await startWeir({ config: world.config, args: ['--mode', 'enforce'], stateDir: first.stateDir });
      assert.match(
        second.logs(),
        /weir: monitor → enforce: of 4 requests in the last 7 d 0 h, 3 would have been stopped\./,
      );
      assert.match(second.logs(), /3 × walker → evil\.test/);
      assert.match(second.logs(), /enforce is cooperative here/);
      assert.equal((await plain(second, 'http://evil.test/', { agent: 'walker' })).status, 403);
    } finally {
      await second?.stop();
      await first.stop();
      await world.close();
    }
  });

  it('weir mode replays the rows under the rules in force, also when those have changed meanwhile', async () => {
    const policy = {
      policies: [{ name: 'no-b', match_expression: 'attrs["server.address"] == "b.test"', action: 'block' }],
    };
    const world = await openWorld({ agents: { walker: {}, other: {} } });
    const { weir } = world;
    const base = { listen: '127.0.0.1:0', telemetry: { endpoint: 'none' }, ...world.config };
    const raise = async (...args: string[]) => (await weir.cli(['mode', ...args, '--yes'])).stderr;
    try {
      for (const agent of ['walker', 'other']) {
        for (const host of ['a.test', 'b.test', 'evil.test']) await plain(weir, `http://${host}/`, { agent });
      }
      await weir.records('all', (line: LogLine) => line.destination === 'evil.test:80' && line.agent === 'other');
      assert.match(await raise('enforce'), /of 6 requests in the last 7 d 0 h, 0 would have been stopped\./);
      await weir.cli(['mode', 'monitor']);
      // Lists and policies that were not there when the rows were written.
      const policies = join(weir.stateDir, 'p.yaml');
      await writeFile(policies, stringify(policy), { mode: 0o600 });
      await write(weir, { ...base, destinations: { blocked: ['evil.test'] }, policies: { files: [policies] } });
      assert.match(
        await raise('enforce'),
        /, 0 would have been stopped\./,
        'written and not read: the recorded verdicts',
      );
      assert.equal((await weir.admin('/reload', 'POST', {})).status, 200);
      const all = await raise('enforce');
      assert.match(all, /of 6 requests in the last 7 d 0 h, 4 would have been stopped\./);
      assert.match(all, /1 × walker → b\.test:80 \(policy:no-b\)/);
      await weir.cli(['mode', 'monitor']);
      assert.match(await raise('walker', 'enforce'), /of 3 requests in the last 7 d 0 h, 2 would have been stopped\./);
      assert.match(await raise('walker', 'redact'), /of 3 requests in the last 7 d 0 h, 0 would have been stopped\./);
      assert.equal((await plain(weir, 'http://evil.test/', { agent: 'walker' })).status, 200);
    } finally {
      await world.close();
    }
  });
});
