import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { deflateOf } from '../../../src/codec/websocket-extensions.ts';
import { WebSocketFilter } from '../../../src/content/websocket-filter.ts';
import type { Act, BodyScanned } from '../../../src/model/scan.ts';
import { relayHttp1 } from '../../../src/protocol/http1.ts';
import { answerOf, createFakeCorridor, dialLocal, type FakeCorridor } from '../../support/fake-corridor.ts';
import { LIMITS } from '../../support/http1-house.ts';
import { dial, listening } from '../../support/origins.ts';
import { wsFrame, wsFrames } from '../../support/websocket.ts';
import { fakeScan, windowOptions } from '../content/support.ts';

const LABEL = '[SECRET_REDACTED]';

/** A relay whose corridor holds WebSockets back, between real peers. */
describe('HTTP/1 relay with WebSocket filters', () => {
  let corridor: FakeCorridor;
  let origin: WebSocketServer;
  let relay: Server;
  let act: Act;
  let ended: BodyScanned[];
  const open = new Set<Socket>();

  beforeEach(async () => {
    act = 'replace';
    ended = [];
    corridor = createFakeCorridor();
    corridor.filter = (exchange, direction, _length, sink) => {
      const deflate = deflateOf(exchange.responseFields ?? []);
      return new WebSocketFilter({
        ...windowOptions(),
        scan: fakeScan(),
        what: direction,
        decodeRatio: 100,
        holdMs: 0,
        deflate: () => (deflate === undefined ? undefined : { takeover: deflate[direction] }),
        act: () => act,
        onUnscanned: () => 'pass',
        onFailed: () => 'stop',
        reason: () => 'a secret in it',
        out: {
          data: (payload) => sink.data(payload),
          drained: () => sink.drained(),
          end: (scanned, replaced) => {
            ended.push(scanned);
            sink.end(replaced);
          },
          stop: (scanned, last) => {
            ended.push(scanned);
            sink.stop(answerOf('policy-denied'), last);
          },
        },
      });
    };
    origin = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: { threshold: 0 } });
    await once(origin, 'listening');
    relay = createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (agent) => {
      open.add(agent);
      const link = await dialLocal((origin.address() as { port: number }).port);
      const connection = corridor.connection({ client: { address: '127.0.0.1', port: 1 }, via: 'connect' });
      connection.authority = { scheme: 'http', host: 'plain.test', port: 80 };
      relayHttp1(agent, { corridor, connection, limits: LIMITS, scheme: 'http', link });
    });
    await listening(relay);
  });
  afterEach(() => {
    for (const client of origin.clients) client.terminate();
    for (const socket of open) socket.destroy();
    origin.close();
    relay.close();
  });

  /** Both ends of one WebSocket. */
  async function connect(compressed: boolean): Promise<{ readonly client: WebSocket; readonly server: WebSocket }> {
    const socket = await dial((relay.address() as { port: number }).port);
    const accepted = once(origin, 'connection');
    const client = new WebSocket('ws://plain.test/', {
      createConnection: () => socket,
      perMessageDeflate: compressed ? { threshold: 0 } : false,
    });
    await once(client, 'open');
    assert.equal(client.extensions.includes('permessage-deflate'), compressed);
    return { client, server: (await accepted)[0] as WebSocket };
  }

  for (const compressed of [false, true]) {
    const how = compressed ? 'permessage-deflate' : 'plain';

    it(`labels stand in for secrets, both ways, and the rest is as it was (${how})`, async () => {
      const { client, server } = await connect(compressed);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        for (const text of ['{"a": 1}', '{"k": "SECRET-abc"}', '{"a": 1}', 'é'.repeat(40_000), '{"k": "SECRET-abc"}']) {
          const got = once(to, 'message');
          from.send(text.slice(0, 7), { fin: false });
          from.ping('alive');
          from.send(text.slice(7));
          assert.equal(String((await got)[0]), text.replace('SECRET-abc', LABEL));
        }
      }
      const closed = once(server, 'close');
      client.close(1001, 'off with SECRET-abc');
      const [code, reason] = await closed;
      assert.deepEqual([code, String(reason)], [1001, `off with ${LABEL}`]);
      await corridor.whenClosed(1);
      assert.equal(corridor.closed[0]?.facts.outcome, 'forwarded');
      assert.deepEqual(
        ended.map(({ found }) => found[0]?.count).sort(),
        [2, 3],
        'what is echoed with its label is no secret',
      );
    });

    it(`a message that must not pass closes both ends with 1008, whoever sent it (${how})`, async () => {
      act = 'stop';
      for (const fromClient of [true, false]) {
        const { client, server } = await connect(compressed);
        const [from, to] = fromClient ? [client, server] : [server, client];
        const got: string[] = [];
        to.on('message', (text) => got.push(String(text)));
        const closed = Promise.all([once(client, 'close'), once(server, 'close')]);
        from.send('fine');
        from.send('a SECRET-abc');
        from.send('and more');
        for (const [code, reason] of await closed) assert.deepEqual([code, String(reason)], [1008, 'a secret in it']);
        assert.deepEqual(got, ['fine']);
        const { facts } = corridor.closed.at(-1) ?? {};
        assert.deepEqual([facts?.outcome, facts?.error, facts?.closeReason], ['blocked', 'policy-denied', 'refused']);
      }
      assert.equal(corridor.closed.length, 2);
      assert.equal(corridor.connectionsClosed.length, 2);
    });

    it(`much, to a reader that stalls: nothing is lost and nobody waits for ever (${how})`, async () => {
      const { client, server } = await connect(compressed);
      const noise = Buffer.from(Array.from({ length: 200_000 }, (_, i) => ((i * i * 7) ^ (i >> 3)) & 255));
      server.pause();
      for (let i = 0; i < 60; i++) client.send(Buffer.concat([Buffer.from(`${i} SECRET-abc `), noise]));
      let count = 0;
      const all = new Promise<void>((resolve) => {
        server.on('message', (data: Buffer) => {
          const head = `${count} ${LABEL.slice(0, 10)} `;
          assert.equal(data.subarray(0, head.length).toString(), head);
          assert.ok(data.subarray(head.length).equals(noise));
          count += 1;
          if (count === 60) resolve();
        });
      });
      await new Promise((resolve) => setTimeout(resolve, 50));
      server.resume();
      await all;
      client.close();
      await once(server, 'close');
    });

    it(`an agent that is gone: what was found is known when the exchange ends (${how})`, async () => {
      const { client, server } = await connect(compressed);
      const got = once(server, 'message');
      client.send('a SECRET-abc');
      await got;
      const closed = once(server, 'close');
      client.terminate();
      assert.equal((await closed)[0], 1006);
      await corridor.whenClosed(1);
      assert.deepEqual(ended.map(({ found }) => found.length).sort(), [0, 1]);
    });
  }

  it('what comes in one piece with the heads is looked at as well', async () => {
    const socket = await dial((relay.address() as { port: number }).port);
    origin.on('connection', (server) => server.on('message', (text) => server.send(`${text} SECRET-abcd`)));
    const head = [
      'GET / HTTP/1.1',
      'Host: plain.test',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${Buffer.alloc(16, 1).toString('base64')}`,
      '\r\n',
    ].join('\r\n');
    const frame = wsFrame(1, Buffer.from('SECRET-abc'), { key: Buffer.from([1, 2, 3, 4]) });
    socket.write(Buffer.concat([Buffer.from(head), frame]));
    let all = Buffer.alloc(0);
    while (!all.toString('latin1').split('\r\n\r\n')[1]) all = Buffer.concat([all, (await once(socket, 'data'))[0]]);
    const [answer] = wsFrames(all.subarray(all.indexOf('\r\n\r\n') + 4));
    assert.equal(answer?.payload.toString(), `${LABEL} ${LABEL}`);
    socket.destroy();
    await corridor.whenClosed(1);
  });

  it('a corridor that can look at nothing, and must, ends it at once', async () => {
    corridor.filter = (_exchange, _direction, _length, sink) => ({
      shape: 'whole',
      write: () => true,
      end: () => sink.stop(answerOf('policy-denied')),
      abandon: () => undefined,
    });
    const { client, server } = await connect(false);
    await Promise.all([once(client, 'close'), once(server, 'close')]);
    await corridor.whenClosed(1);
    assert.equal(corridor.closed[0]?.facts.outcome, 'blocked');
  });

  it('revocation ends it with what was found', async () => {
    const { client, server } = await connect(true);
    const got = once(server, 'message');
    client.send('a SECRET-abc');
    await got;
    const [exchange] = corridor.opened;
    corridor.revoke(exchange as NonNullable<typeof exchange>);
    await Promise.all([once(client, 'close'), once(server, 'close')]);
    await corridor.whenClosed(1);
    assert.equal(corridor.closed[0]?.facts.closeReason, 'revoked');
    assert.equal(ended.length, 2);
  });
});
