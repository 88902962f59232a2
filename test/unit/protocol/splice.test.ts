import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Exchange } from '../../../src/model/exchange.ts';
import { splice } from '../../../src/protocol/splice.ts';
import { createFakeCorridor, dialLocal, type FakeCorridor, fakeExchange } from '../../support/fake-corridor.ts';
import { LIMITS } from '../../support/http1-house.ts';
import { dial, listening, type RawOrigin, rawOrigin } from '../../support/origins.ts';
import { Peer } from '../../support/peer.ts';

describe('splice', () => {
  let origin: RawOrigin;
  let server: Server;
  let corridor: FakeCorridor;
  let tunnel: Exchange;
  let agent: Peer;
  let upstream: Peer;
  let agentSide: Socket;
  let agentSocket: Socket;

  async function open(tunnelIdleMs = 0, firstBytes?: Buffer): Promise<void> {
    corridor = createFakeCorridor();
    const connection = corridor.connection({ client: { address: '127.0.0.1', port: 1 }, via: 'connect' });
    const request = {
      method: 'CONNECT',
      scheme: 'tcp',
      authority: 'a:1',
      target: '',
      protocol: '1.1',
      fields: [],
    } as const;
    tunnel = fakeExchange(connection, request, 'tunnel');
    const opened = new Promise<void>((resolve) => {
      server.once('connection', async (socket: Socket) => {
        agentSide = socket;
        const link = await dialLocal(origin.port);
        const context = { corridor, limits: { ...LIMITS, tunnelIdleMs } };
        splice(socket, link, tunnel, firstBytes === undefined ? context : { ...context, firstBytes });
        resolve();
      });
    });
    agentSocket = await dial(await listening(server));
    agent = new Peer(agentSocket, agentSocket);
    await opened;
    upstream = await origin.next();
  }

  beforeEach(async () => {
    origin = await rawOrigin();
    server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  });
  afterEach(async () => {
    agent.destroy();
    upstream.destroy();
    agentSide.destroy();
    server.close();
    await origin.close();
  });

  const reason = async (): Promise<string | undefined> => {
    await corridor.whenClosed(1);
    assert.equal(corridor.closed.length, 1);
    assert.equal(corridor.connectionsClosed.length, 1);
    return corridor.closed[0]?.facts.closeReason;
  };

  it('first bytes go first, everything is counted, half-closes pass both ways', async () => {
    await open(0, Buffer.from('first'));
    await agent.send(' second');
    assert.equal((await upstream.until('second')).toString(), 'first second');
    agent.fin();
    assert.equal(await upstream.ended(), 'fin');
    await upstream.send('still here');
    await agent.until('still here');
    upstream.fin();
    assert.equal(await agent.ended(), 'fin');
    assert.equal(await reason(), 'agent-closed');
    assert.equal(tunnel.requestBytes, 12);
    assert.equal(tunnel.responseBytes, 10);
    assert.equal(tunnel.peer?.port, origin.port);
  });

  it('a server that closes first', async () => {
    await open();
    await upstream.send('bye');
    upstream.fin();
    assert.equal(await agent.ended(), 'fin');
    await agent.send('the other way is open');
    await upstream.until('open');
    agent.fin();
    assert.equal(await reason(), 'upstream-closed');
  });

  it('resets pass as resets', async () => {
    await open();
    upstream.rst();
    assert.equal(await agent.ended(), 'rst');
    assert.equal(await reason(), 'upstream-reset');
  });

  it('resets of the agent too', async () => {
    await open();
    agent.rst();
    assert.equal(await upstream.ended(), 'rst');
    assert.equal(await reason(), 'agent-reset');
  });

  it('idleness ends it only when a limit says so, and traffic keeps it', async () => {
    await open(120);
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      await agent.send('x');
    }
    assert.equal(corridor.closed.length, 0);
    assert.equal(await reason(), 'idle');
    await Promise.all([agent.ended(), upstream.ended()]);
  });

  it('revocation destroys both', async () => {
    await open();
    corridor.revoke(tunnel);
    await Promise.all([agent.ended(), upstream.ended()]);
    assert.equal(await reason(), 'revoked');
    assert.equal(corridor.closed[0]?.facts.outcome, 'blocked');
  });

  it('a reader that stalls holds the sender back, and gets everything in the end', async () => {
    await open();
    agentSocket.pause();
    const block = Buffer.alloc(1024 * 1024, 'z');
    let sent = 0;
    const sending = (async () => {
      for (; sent < 48 * block.length; sent += block.length) await upstream.send(block);
      upstream.fin();
    })();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(sent < 48 * block.length, 'the sender was held back');
    assert.ok(agentSide.writableLength <= 1024 * 1024, `${agentSide.writableLength} bytes held`);
    agentSocket.resume();
    await sending;
    await agent.ended();
    assert.equal(agent.received.length, sent);
    assert.equal(tunnel.responseBytes, sent);
  });
});
