import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import {
  type Fortress,
  lastWords,
  linesOf,
  openFortress,
  quiet,
  ROADS,
  type Road,
  refusals,
} from '../support/fortress.ts';
import type { Peer } from '../support/peer.ts';
import { claim, peerOf, tunnel } from '../support/watched.ts';

const target = (road: Road, path: string): string => (road === 'plain' ? `http://plain.test${path}` : path);

/** A request on a road; `fields` with CRLF. */
async function send(fortress: Fortress, road: Road, agent: string, request: string, fields = ''): Promise<Peer> {
  const peer = await fortress.open(road, agent);
  const { host } = fortress.target(road);
  const [method = '', path = ''] = request.split(' ');
  const to = method === 'CONNECT' ? path : target(road, path);
  await peer.send(`${method} ${to} HTTP/1.1\r\nHost: ${host}\r\n${road === 'plain' ? claim(agent) : ''}${fields}\r\n`);
  return peer;
}

describe('E11: an upgrade to something Weir does not read is a tunnel, and judged as one', () => {
  let fortress: Fortress;
  before(async () => {
    fortress = await openFortress();
  });
  after(() => fortress?.close());

  for (const road of ROADS) {
    for (const upgrade of ['h2c', 'odd/1', 'websocket, h2c', 'HTTP/2.0', 'h2', 'tls/1.0, websocket']) {
      it(`${road}: Upgrade: ${upgrade}`, async () => {
        const agent = `up-${road}-${upgrade.replace(/[^a-z0-9]/gi, '-')}`;
        const fields = `Connection: upgrade\r\nUpgrade: ${upgrade}\r\n`;
        const free = await send(fortress, road, agent, 'GET /switch', fields);
        assert.match((await free.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 101 /);
        const { witness } = fortress.target(road);
        witness.forget();
        await free.send('GET /inside HTTP/1.1\r\n\r\n');
        await free.until('ok');
        free.destroy();
        const [line] = await fortress.weir.records(
          'the tunnel',
          (one) => one.agent === agent && one.path === '/switch',
        );
        assert.equal(line?.would, 'block');
        assert.ok(line?.rules.includes('opaque-protocol'));
        assert.ok((line?.requestBytes ?? 0) >= 24, 'what the agent sent after the switch is counted');

        witness.forget();
        const strict = await send(fortress, road, 'strict', 'GET /switch', `${fields}\r\nGET /inside HTTP/1.1\r\n`);
        assert.match(await lastWords(strict), /^HTTP\/1\.1 403 /);
        assert.ok(!witness.heard().includes('/inside'), 'what was sent ahead of the 101 goes nowhere');
        const [refused] = await fortress.weir.records(
          'the refusal',
          (one) => one.agent === 'strict' && one.path === '/switch' && one.outcome === 'blocked',
        );
        assert.ok(refused?.rules.includes('opaque-protocol'), JSON.stringify(refused));
      });
    }
  }

  for (const road of ['connect', 'intercepted'] as const) {
    it(`${road}: a CONNECT inside the tunnel is one more tunnel: recorded, and refused in enforce`, async () => {
      const agent = `nested-${road}`;
      const free = await send(fortress, road, agent, 'CONNECT far.test:443');
      assert.match((await free.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 200 Connected/);
      await free.send('GET /far HTTP/1.1\r\n\r\n');
      await free.until('ok');
      free.destroy();
      const [line] = await fortress.weir.records(
        'the inner CONNECT',
        (one) => one.agent === agent && one.kind === 'exchange',
      );
      assert.equal(line?.would, 'block');
      assert.ok(line?.rules.includes('opaque-protocol'), JSON.stringify(line));
      const { witness } = fortress.target(road);
      witness.forget();
      const strict = await send(fortress, road, 'strict', 'CONNECT far.test:443', 'Connection: close\r\n');
      assert.match(await lastWords(strict), /^HTTP\/1\.1 403 /);
      assert.equal(witness.heard(), '');
    });
  }

  for (const road of ROADS) {
    it(`${road}: an offer the server ignores is an ordinary request, in enforce too`, async () => {
      for (const agent of [`offer-${road}`, 'strict']) {
        const fields =
          'Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n';
        const peer = await send(fortress, road, agent, `GET /offer-${road}`, fields);
        assert.match(await lastWords(peer), /^HTTP\/1\.1 200 /, agent);
        const [line] = await fortress.weir.records(
          'the request',
          (one) => one.agent === agent && one.path === `/offer-${road}`,
        );
        assert.deepEqual([line?.would, line?.rules.includes('opaque-protocol')], ['none', false], agent);
      }
    });
  }

  it('a CONNECT that calls itself a WebSocket upgrade is a tunnel all the same', async () => {
    const fields = 'Connection: upgrade, close\r\nUpgrade: websocket\r\n';
    fortress.plain.forget();
    const strict = await send(fortress, 'connect', 'strict', 'CONNECT far.test:443', fields);
    assert.match(await lastWords(strict), /^HTTP\/1\.1 403 /);
    assert.equal(fortress.plain.heard(), '');
  });

  it('WebSocket is no opaque tunnel and passes in enforce', async () => {
    for (const road of ROADS) {
      const fields = 'Connection: upgrade\r\nUpgrade: websocket\r\n';
      const peer = await send(fortress, road, 'strict', 'GET /switch', fields);
      assert.match((await peer.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 101 /, road);
      peer.destroy();
    }
  });
});

/** Every kind of stream that can be long: what it is, and what its record is called. */
const STREAMS: readonly (readonly [string, (fortress: Fortress, agent: string) => Promise<Peer>])[] = [
  ...ROADS.map(
    (road) =>
      [
        `a ${road} response`,
        async (fortress: Fortress, agent: string) => {
          const peer = await send(fortress, road, agent, 'GET /stream');
          await peer.until('first');
          return peer;
        },
      ] as const,
  ),
  ...ROADS.map(
    (road) =>
      [
        `a ${road} WebSocket`,
        async (fortress: Fortress, agent: string) => {
          const peer = await send(
            fortress,
            road,
            agent,
            'GET /switch',
            'Connection: upgrade\r\nUpgrade: websocket\r\n',
          );
          await peer.until('\r\n\r\n');
          return peer;
        },
      ] as const,
  ),
  [
    'an opaque tunnel',
    async (fortress, agent) => {
      const { socket } = await tunnel(fortress.weir.port, agent, 'plain.test:5432');
      const peer = peerOf(socket);
      await peer.send('SSH-2.0-x\r\nGET / HTTP/1.1\r\n\r\n');
      await peer.until('ok');
      return peer;
    },
  ],
];

describe('E24: the kill switch and a reload reach what is already open', () => {
  let fortress: Fortress;
  before(async () => {
    fortress = await openFortress({ agents: { 'strict-tunnels': { mode: 'enforce', allowed_domains: ALLOWED } } });
  });
  after(() => fortress?.close());

  it('stopping one agent ends all of its streams within a second, and nobody else’s', async () => {
    const doomed = await Promise.all(STREAMS.map(([, open]) => open(fortress, 'doomed')));
    const [, openOther] = STREAMS[0] ?? assert.fail();
    const other = await openOther(fortress, 'neighbour');
    // Past the time in which a CONNECT reports itself.
    await new Promise((resolve) => setTimeout(resolve, 400));
    const began = performance.now();
    const answer = await fortress.weir.admin('/mode', 'POST', { agent: 'doomed', mode: 'stop' });
    assert.equal(answer.status, 200, answer.body);
    await Promise.all(doomed.map((peer) => peer.ended()));
    assert.ok(performance.now() - began < 1000);
    assert.equal(other.ending, 'open');
    other.destroy();
    assert.equal((await refusals(fortress.weir))['revoked'], doomed.length);
    const peer = await fortress.open('plain');
    await peer.send(
      `GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n${claim('doomed')}Connection: close\r\n\r\n`,
    );
    assert.match(await lastWords(peer), /^HTTP\/1\.1 403 /);
    await quiet(fortress.weir);
    await linesOf(fortress.weir, STREAMS.length + 1, (one) => one.agent === 'doomed' && one.outcome === 'blocked');
    const audit = await fortress.weir.records('the audit row', ({ kind }) => kind === 'audit');
    assert.ok(audit.length > 0);
    await fortress.weir.admin('/mode', 'POST', { agent: 'doomed', mode: 'resume' });
  });

  for (const [what, open] of STREAMS) {
    it(`a reload that no longer allows it ends ${what}`, async () => {
      const peer = await open(fortress, 'strict-tunnels');
      await configure(fortress, ['elsewhere.test']);
      await peer.ended();
      peer.destroy();
      await configure(fortress, ALLOWED);
      await quiet(fortress.weir);
    });
  }

  it('a CONNECT that said nothing until then is judged again when it wakes', async () => {
    const silent = async (port: number): Promise<Peer> => {
      const { socket } = await tunnel(fortress.weir.port, 'strict-tunnels', `plain.test:${port}`);
      return peerOf(socket);
    };
    const wake = async (peer: Peer): Promise<string> => {
      fortress.plain.forget();
      await peer.send('GET /late HTTP/1.1\r\nHost: plain.test\r\nConnection: close\r\n\r\n');
      return lastWords(peer);
    };
    const [stopped, kept, reloaded, opaque] = await Promise.all([silent(80), silent(80), silent(80), silent(5432)]);
    // Past the time in which a CONNECT reports itself: from then on nothing of it is open.
    await new Promise((resolve) => setTimeout(resolve, 500));
    await fortress.weir.admin('/mode', 'POST', { agent: 'strict-tunnels', mode: 'stop' });
    assert.match(await wake(stopped), /^HTTP\/1\.1 403 /);
    assert.equal(fortress.plain.heard(), '');
    await fortress.weir.admin('/mode', 'POST', { agent: 'strict-tunnels', mode: 'resume' });
    assert.match(await wake(kept), /^HTTP\/1\.1 200 /);
    await configure(fortress, ['elsewhere.test']);
    assert.match(await wake(reloaded), /^HTTP\/1\.1 403 /);
    await opaque.send('SSH-2.0-late\r\nGET / HTTP/1.1\r\n\r\n');
    assert.equal(await lastWords(opaque), '');
    assert.equal(fortress.plain.heard(), '');
  });
});

/** The part of the configuration that is changed. */
interface Tree {
  readonly agents: { readonly 'strict-tunnels': { allowed_domains: readonly string[] } };
}

/** Any port of plain.test: naming it is what lets an opaque protocol through in enforce. */
const ALLOWED = ['plain.test', 'plain.test:5432', 'read.test'];

async function configure({ weir }: Fortress, allowed: readonly string[]): Promise<void> {
  const file = join(weir.stateDir, 'weir-test.yaml');
  const config = parse(await readFile(file, 'utf8')) as Tree;
  config.agents['strict-tunnels'].allowed_domains = allowed;
  await writeFile(file, stringify(config), { mode: 0o600 });
  const answer = await weir.admin('/reload', 'POST', {});
  assert.equal(answer.status, 200, answer.body);
}
