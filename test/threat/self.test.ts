import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assemble } from '../support/assemble.ts';
import { type Fortress, lastWords, linesOf, openFortress, quiet, refusals, witness } from '../support/fortress.ts';
import { dial } from '../support/origins.ts';
import { claim, peerOf, tunnel } from '../support/watched.ts';
import { startWeir, type Weir } from '../support/weir.ts';

/** An absolute-form GET to any authority, and everything that came back. */
async function get(weir: Weir, authority: string, agent = 'looper', path = '/'): Promise<string> {
  const peer = peerOf(await dial(weir.port));
  await peer.send(
    `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\n${claim(agent)}Connection: close\r\n\r\n`,
  );
  return lastWords(peer);
}

describe('W1, W21: Weir is no way to Weir', () => {
  let fortress: Fortress;
  before(async () => {
    fortress = await openFortress(
      { admin: { listen: '127.0.0.1:0' }, health: { listen: '127.0.0.1:0' }, agents: { strict: { mode: 'enforce' } } },
      async () => ({ resolve: { 'me.test': '127.0.0.1', 'also-me.test': '::ffff:127.0.0.1' } }),
    );
  });
  after(() => fortress?.close());

  const own = Object.values(networkInterfaces())
    .flat()
    .flatMap((address) => (address?.family === 'IPv4' ? [address.address] : []));
  const hosts = [
    '127.0.0.1',
    'localhost',
    'LOCALHOST.',
    '127.1',
    '2130706433',
    '0x7f.1',
    '0.0.0.0',
    '0',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    'me.test',
    'also-me.test',
  ];

  for (const host of hosts) {
    it(`proxy, admin and health port by ${host}: 508 in monitor and in enforce`, async () => {
      const { weir } = fortress;
      const status = await weir.status();
      const ports = [weir.port, portOf(status.adminAddress), portOf(status.healthAddress)];
      for (const port of ports) {
        for (const agent of ['looper', 'strict']) {
          assert.match(await get(weir, `${host}:${port}`, agent, '/status'), /^HTTP\/1\.1 508 /, `${agent} ${port}`);
          const { socket, head } = await tunnel(weir.port, agent, `${host}:${port}`);
          socket.destroy();
          assert.match(head, /^HTTP\/1\.1 508 /, `CONNECT ${agent} ${port}`);
        }
      }
    });
  }

  it('each is a finding of the agent that tried', async () => {
    const lines = await linesOf(fortress.weir, hosts.length * 3 * 2 * 2, ({ rules }) => rules.includes('self-target'));
    for (const line of lines) assert.deepEqual([line.action, line.status, line.severity], ['block', 508, 'high']);
  });

  it('verify.weir.invalid is answered by Weir itself and tells nothing but how it was reached', async () => {
    const answer = await get(fortress.weir, 'verify.weir.invalid', 'strict');
    assert.match(answer, /^HTTP\/1\.1 200 /);
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>;
    assert.deepEqual(Object.keys(body).sort(), [
      'agent',
      'containment',
      'identified_by',
      'mode',
      'through',
      'visibility',
    ]);
  });

  it('the admin socket is its owner’s alone', () => {
    assert.equal(statSync(join(fortress.weir.stateDir, 'weir.sock')).mode & 0o777, 0o600);
  });

  it('the other family’s listener, and origin-form with our own address as Host', async () => {
    const weir = await startWeir({
      config: { listen: ['127.0.0.1:0', '[::1]:0'], upstream: { resolve: { 'me6.test': '::1' } } },
    });
    try {
      const { listeners } = await weir.status();
      const six = portOf(listeners.find(({ address }) => address.startsWith('[::1]:'))?.address);
      for (const host of ['[::1]', '[0:0:0:0:0:0:0:1]', '[::]', 'me6.test']) {
        assert.match(await get(weir, `${host}:${six}`), /^HTTP\/1\.1 508 /, host);
      }
      const peer = peerOf(await dial(weir.port));
      await peer.send(`GET /status HTTP/1.1\r\nHost: 127.0.0.1:${weir.port}\r\nConnection: close\r\n\r\n`);
      assert.match(await lastWords(peer), /^HTTP\/1\.1 508 /);
    } finally {
      await weir.stop();
    }
  });

  it('a wildcard listener knows every address of this machine', async () => {
    const weir = await startWeir({
      config: { listen: ['127.0.0.1:0', '0.0.0.0:0'], allow_from: ['127.0.0.0/8'] },
    });
    try {
      const { listeners } = await weir.status();
      const port = portOf(listeners.find(({ address }) => address.startsWith('0.0.0.0:'))?.address);
      for (const host of ['127.0.0.1', '127.0.0.2', '0.0.0.0', ...own]) {
        assert.match(await get(weir, `${host}:${port}`), /^HTTP\/1\.1 508 /, host);
      }
    } finally {
      await weir.stop();
    }
  });

  for (const way of ['names', 'parents'] as const) {
    it(`two Weirs that lead to each other (${way}): the circle ends at a limit, and both go on serving`, async () => {
      const pair = await twoWeirs(way);
      try {
        const answer = await get(pair.a, 'circle.test');
        assert.match(answer, /^HTTP\/1\.1 50[0-9] /);
        await Promise.all([quiet(pair.a), quiet(pair.b)]);
        const counted = { ...(await refusals(pair.a)), ...(await refusals(pair.b)) };
        assert.ok(
          (counted['connections'] ?? 0) + (counted['limit-connections-per-agent'] ?? 0) > 0,
          `a limit ended it: ${JSON.stringify(counted)}`,
        );
        for (const weir of [pair.a, pair.b]) {
          assert.match(
            await get(weir, 'served.test'),
            way === 'names' ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 (200|50\d) /,
          );
        }
      } finally {
        await pair.close();
      }
    });
  }
});

function portOf(address: string | undefined): number {
  return Number(address?.slice(address.lastIndexOf(':') + 1));
}

/** A and B, each the other's upstream for `circle.test` (by `upstream.resolve`) or for everything (as parent proxy). */
function twoWeirs(way: 'names' | 'parents'): Promise<{ a: Weir; b: Weir; close(): Promise<void> }> {
  return assemble(async (later) => {
    const served = await witness();
    later(served.close);
    const limits = { connections: 40, connections_per_agent: 20 };
    // B's port must be known before B runs: A is configured with it, B with A's.
    const spare = await witness();
    const portB = spare.port;
    await spare.close();
    const configOf = (peer: number): Record<string, unknown> => ({
      limits,
      upstream:
        way === 'names'
          ? {
              resolve: { 'circle.test': `127.0.0.1:${peer}`, 'served.test': `127.0.0.1:${served.port}` },
              proxy: 'none',
            }
          : { proxy: `http://127.0.0.1:${peer}` },
    });
    const a = await startWeir({ config: configOf(portB) });
    later(a.stop);
    const b = await startWeir({ config: configOf(a.port), port: portB });
    later(b.stop);
    return { a, b };
  });
}
