import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../../../src/model/connection.ts';
import { relayHttp1 } from '../../../src/protocol/http1.ts';
import { reset } from '../../../src/protocol/http1-streams.ts';
import { createFakeCorridor, dialLocal, type FakeCorridor } from '../../support/fake-corridor.ts';
import { LIMITS } from '../../support/http1-house.ts';
import { pick, pieces, type Random, requestBytes, responseBytes, seeded } from '../../support/http1-inputs.ts';
import { dial, listening } from '../../support/origins.ts';

const SEED = Number(process.env['WEIR_FUZZ_SEED'] ?? 42);
const RUNS = Number(process.env['WEIR_CHAOS_RUNS'] ?? 600);
const OK = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');

async function say(socket: Socket, parts: readonly Buffer[], random: Random): Promise<void> {
  for (const part of parts) {
    if (socket.destroyed || socket.writableEnded) return;
    socket.write(part);
    if (random() < 0.3) await sleep(1);
  }
}

/** Never both an end and a reset: Node leaks the handle of a socket that is reset while it shuts down. */
function leave(socket: Socket, random: Random): void {
  const way = random();
  if (way < 0.5) socket.end();
  else if (way < 0.75) reset(socket);
  else socket.destroy();
}

describe('HTTP/1 relay: agents and origins that do anything', () => {
  for (const tunnelled of [false, true]) {
    it(`${tunnelled ? 'inside a tunnel' : 'at the proxy port'}: every exchange ends once, nothing is left open`, async (t) => {
      const random = seeded(SEED);
      const servers = new Set<Socket>();
      const origin = createServer({ allowHalfOpen: true }, (socket) => {
        servers.add(socket);
        socket.on('close', () => servers.delete(socket));
        socket.on('error', () => {});
        socket.on('data', () => {
          void say(socket, random() < 0.4 ? [OK] : pieces(random, responseBytes(random)), random).then(() => {
            if (random() < 0.3) leave(socket, random);
          });
        });
      });
      const port = await listening(origin);
      const corridor: FakeCorridor = createFakeCorridor({
        check: () =>
          random() < 0.1
            ? { forward: false, answer: { status: 403, reason: 'no', headers: [], body: '' } }
            : { forward: true },
        reach: async () => {
          const link = await dialLocal(port);
          corridor.links.push(link);
          return { link };
        },
      });
      const connections: Connection[] = [];
      const agents = new Set<Socket>();
      const relay = createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (agent) => {
        agents.add(agent);
        agent.on('close', () => agents.delete(agent));
        const client = { address: '127.0.0.1', port: 1 };
        const connection = corridor.connection({ client, via: tunnelled ? 'connect' : 'absolute-form' });
        connections.push(connection);
        const context = { corridor, connection, limits: LIMITS, scheme: 'http' } as const;
        if (!tunnelled) {
          relayHttp1(agent, context);
          return;
        }
        agent.on('error', () => {});
        const link = await dialLocal(port);
        corridor.links.push(link);
        relayHttp1(agent, { ...context, link });
      });
      const relayPort = await listening(relay);
      t.after(() => {
        for (const socket of [...agents, ...servers]) socket.destroy();
        origin.close();
        relay.close();
      });
      for (let run = 0; run < RUNS; run += 20) {
        await Promise.all(
          Array.from({ length: 20 }, async () => {
            const agent = await dial(relayPort);
            agent.on('data', () => {});
            const bytes =
              random() < 0.5 ? requestBytes(random) : Buffer.from('GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n');
            await say(agent, pieces(random, bytes), random);
            await sleep(pick(random, [0, 1, 5, 20]));
            if (random() < 0.5) agent.write(Buffer.from('GET http://b/ HTTP/1.1\r\nHost: b\r\n\r\n'));
            leave(agent, random);
            await sleep(pick(random, [0, 2, 30]));
            agent.destroy();
          }),
        );
      }
      // An agent's FIN alone ends nothing while its origin is silent; TCP keep-alive tells a half-close from a dead peer.
      for (const socket of servers) socket.destroy();
      for (let i = 0; i < 100 && (agents.size > 0 || corridor.links.some(({ socket }) => !socket.destroyed)); i++) {
        await sleep(30);
      }
      assert.equal(agents.size, 0, 'every agent socket is closed');
      assert.equal(
        corridor.links.filter(({ socket }) => !socket.destroyed).length,
        0,
        'every upstream socket is closed',
      );
      const ids = corridor.closed.map(({ exchange }) => exchange.id);
      assert.equal(new Set(ids).size, ids.length, 'no exchange is closed twice');
      assert.deepEqual(new Set(ids), new Set(corridor.opened.map(({ id }) => id)), 'every exchange is closed');
      const ended = corridor.connectionsClosed.map(({ connection }) => connection.id);
      assert.deepEqual(ended.sort(), connections.map(({ id }) => id).sort(), 'every connection is closed exactly once');
      assert.ok(corridor.opened.length > RUNS / 4);
    });
  }
});
