import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { dialLocal } from '../../support/fake-corridor.ts';
import { type House, openHouse, type Way } from '../../support/http1-house.ts';
import { dial, listening } from '../../support/origins.ts';
import { Peer } from '../../support/peer.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const GET = 'GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n';
const INNER = 'GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n';

async function agentTo(house: House, way: Way = 'plain'): Promise<Peer> {
  const socket = await dial(house.port(way));
  return new Peer(socket, socket);
}

/** Sends one request and answers it: the transport is a used one now. */
async function used(house: House, way: Way = 'plain'): Promise<{ agent: Peer; server: Peer }> {
  const agent = await agentTo(house, way);
  await agent.send(way === 'plain' ? GET : INNER);
  const server = await house.origin.next();
  await server.until('\r\n\r\n');
  await server.send(OK);
  await agent.until('ok');
  return { agent, server };
}

describe('HTTP/1 relay: endings', () => {
  let house: House;
  beforeEach(async () => {
    house = await openHouse({}, { keepaliveMs: 150 });
  });
  afterEach(() => house.close());

  const last = () => {
    const closed = house.corridor.closed.at(-1);
    assert.ok(closed !== undefined);
    return closed.facts;
  };

  for (const how of ['fin', 'rst'] as const) {
    it(`a fresh transport that ends before a head (${how}): 502, and the connection goes on`, async () => {
      const agent = await agentTo(house);
      await agent.send(GET);
      const server = await house.origin.next();
      await server.until('\r\n\r\n');
      server[how]();
      assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 502 /);
      assert.equal(last().error, how === 'rst' ? 'upstream-reset' : 'upstream-closed');
      await agent.send(GET);
      const again = await house.origin.next();
      await again.send(OK);
      await agent.until('ok');
      agent.destroy();
    });

    it(`a used transport that ends before a head (${how}): the agent sees the same, nothing is repeated`, async () => {
      const { agent, server } = await used(house);
      await agent.send(GET);
      await server.until('\r\n\r\n');
      server[how]();
      assert.equal(await agent.ended(), how);
      await house.corridor.whenClosed(2);
      assert.equal(last().outcome, 'failed');
      assert.equal(house.corridor.links.length, 1);
    });

    it(`inside a tunnel the agent sees the end (${how}) of an idle transport`, async () => {
      const { agent, server } = await used(house, 'link');
      server[how]();
      assert.equal(await agent.ended(), how);
      assert.equal(house.corridor.connectionsClosed.length, 1);
    });
  }

  it('an idle transport that died is replaced before the next request', async () => {
    const { agent, server } = await used(house);
    server.fin();
    await server.ended();
    await agent.send(GET);
    const again = await house.origin.next();
    await again.until('\r\n\r\n');
    await again.send(OK);
    await agent.until('ok');
    assert.equal(house.corridor.links.length, 2);
    agent.destroy();
  });

  it('a body cut short is recorded and shown', async () => {
    const agent = await agentTo(house);
    await agent.send(GET);
    const server = await house.origin.next();
    await server.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
    server.fin();
    assert.equal(await agent.ended(), 'fin');
    assert.ok(agent.received.toString().endsWith('\r\n\r\nabc'));
    assert.equal(last().error, 'body-truncated');
    assert.equal(house.corridor.closed[0]?.exchange.responseBytes, 3);
  });

  const malformed: readonly (readonly [name: string, bytes: string])[] = [
    ['no HTTP', 'SSH-2.0-x\r\n\r\n'],
    ['length and coding', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['differing lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
    ['a bad first chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'],
    ['101 to a plain request', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n'],
    ['an endless head', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(300_000)}`],
  ];
  for (const [name, bytes] of malformed) {
    it(`a response with ${name}: 502`, async () => {
      const agent = await agentTo(house);
      await agent.send(GET);
      const server = await house.origin.next();
      await server.until('\r\n\r\n');
      await server.send(bytes);
      assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 502 /);
      await agent.ended();
      assert.equal(last().error, 'upstream-malformed');
    });
  }

  it('a repeated equal length and a padded chunk size in a response have one reading', async () => {
    const agent = await agentTo(house);
    const responses = [
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n',
    ];
    await agent.send(GET);
    const server = await house.origin.next();
    for (const response of responses) {
      await server.until('\r\n\r\n');
      await server.send(response);
      assert.equal((await agent.bytes(response.length)).toString(), response);
      await agent.send(GET);
    }
    agent.destroy();
  });

  it('bytes nobody asked for: with a response, and between exchanges', async () => {
    const agent = await agentTo(house);
    await agent.send(GET);
    const server = await house.origin.next();
    await server.send(`${OK}HTTP/1.1 200 Poison\r\n\r\n`);
    await agent.ended();
    assert.equal(agent.received.toString(), OK);
    assert.equal(last().outcome, 'forwarded');
    const idle = await used(house, 'link');
    await idle.server.send('HTTP/1.1 408 Poison\r\n\r\n');
    await idle.agent.ended();
    assert.equal(idle.agent.received.toString(), OK);
    assert.equal(house.corridor.connectionsClosed.at(-1)?.reason, 'upstream-unsolicited');
  });

  it('an agent that goes away: while dialling, while waiting, inside its body', async () => {
    for (const bytes of [GET, `POST http://plain.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc`]) {
      const agent = await agentTo(house);
      await agent.send(bytes);
      const server = await house.origin.next();
      await server.until('\r\n\r\n');
      agent.rst();
      assert.equal(await server.ended(), 'rst');
    }
    await house.corridor.whenClosed(2);
    assert.deepEqual(
      house.corridor.closed.map(({ facts }) => `${facts.outcome} ${facts.closeReason}`),
      ['client-gone agent-reset', 'client-gone agent-reset'],
    );
  });

  it('a whole request, half a head, FIN: the request is answered, the half is refused, nothing stays open', async () => {
    const agent = await agentTo(house, 'link');
    await agent.send(`${INNER}GET /half`);
    agent.fin();
    const server = await house.origin.next();
    await server.until('\r\n\r\n');
    await server.send(OK);
    await agent.until('ok');
    assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 400 /);
    assert.equal(await agent.ended(), 'fin');
    assert.equal(await server.ended(), 'fin');
    assert.equal(house.corridor.connectionsClosed.length, 1);
  });

  it('revoked: both ends are destroyed', async () => {
    const agent = await agentTo(house);
    await agent.send(GET);
    const server = await house.origin.next();
    await server.until('\r\n\r\n');
    house.corridor.revoke(house.corridor.opened[0] as (typeof house.corridor.opened)[0]);
    await Promise.all([agent.ended(), server.ended()]);
    assert.deepEqual(last(), { outcome: 'blocked', error: 'stopped', closeReason: 'revoked' });
  });

  it('keep-alive: idle connections end, a slow exchange does not', async () => {
    const { agent, server } = await used(house);
    await agent.send(GET);
    await server.until('\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 400));
    await server.send(OK);
    await agent.until('ok');
    assert.equal(await agent.ended(), 'fin');
    assert.equal(await server.ended(), 'fin');
    assert.equal(house.corridor.connectionsClosed[0]?.reason, 'idle');
  });

  it('Connection: close on either side ends the connection after the response', async () => {
    const agent = await agentTo(house);
    await agent.send(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n') + GET);
    const server = await house.origin.next();
    await server.send(OK);
    assert.equal(await agent.ended(), 'fin');
    assert.equal(agent.received.toString(), OK);
    assert.equal(house.corridor.opened.length, 1, 'nothing behind a last request is read');
  });

  it('a response bigger than any buffer reaches a reader that pauses, and memory stays bounded', async () => {
    const socket = connect({ port: house.port('plain'), host: '127.0.0.1' });
    await once(socket, 'connect');
    socket.pause();
    socket.write(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    const server = await house.origin.next();
    const size = 64 * 1024 * 1024;
    let sent = 0;
    const block = Buffer.alloc(1024 * 1024, 'b');
    const sending = (async () => {
      await server.send(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`);
      for (; sent < size; sent += block.length) await server.send(block);
      server.fin();
    })();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(sent < size, `the origin was held back at ${sent}`);
    const held = house.corridor.links[0]?.socket.readableLength ?? 0;
    assert.ok(held <= 1024 * 1024, `${held} bytes held`);
    let got = 0;
    for await (const chunk of socket) got += (chunk as Buffer).length;
    await sending;
    assert.ok(got > size);
    assert.equal(last().outcome, 'forwarded');
    assert.equal(house.corridor.closed[0]?.exchange.responseBytes, size);
  });
});

describe('HTTP/1 relay: what stops being HTTP', () => {
  let house: House;
  beforeEach(async () => {
    house = await openHouse();
  });
  afterEach(() => house.close());

  it('an upgrade to something else is an opaque tunnel with a name; early bytes wait for the 101', async () => {
    const agent = await agentTo(house, 'link');
    await agent.send('GET / HTTP/1.1\r\nHost: plain.test\r\nConnection: Upgrade\r\nUpgrade: Raw\r\n\r\nearly');
    const server = await house.origin.next();
    await server.until('\r\n\r\n');
    assert.ok(server.received.toString().endsWith('\r\n\r\n'));
    await server.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\n\r\nbanner');
    assert.match((await agent.until('banner')).toString(), /101 Switching/);
    assert.equal((await server.until('early')).toString(), 'early');
    agent.fin();
    await server.ended();
    await server.send('after the half-close');
    await agent.until('half-close');
    server.fin();
    await agent.ended();
    await house.corridor.whenClosed(1);
    const [closed] = house.corridor.closed;
    assert.equal(closed?.exchange.connection.tunnelProtocol, 'raw');
    assert.equal(closed?.exchange.requestBytes, 5);
    assert.equal(closed?.exchange.responseBytes, 26);
    assert.deepEqual(closed?.facts, { outcome: 'forwarded', closeReason: 'agent-closed' });
    assert.equal(house.corridor.connectionsClosed.length, 1);
  });

  it('an upgrade the origin does not take: the next request is a request', async () => {
    const agent = await agentTo(house);
    await agent.send(`${GET.replace('\r\n\r\n', '\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')}${GET}`);
    const server = await house.origin.next();
    await server.until('\r\n\r\n');
    await server.send(OK);
    await agent.until('ok');
    assert.match((await server.until('\r\n\r\n')).toString(), /^GET \/ /);
    assert.equal(house.corridor.opened.length, 2);
    assert.equal(house.corridor.opened[0]?.request.upgrade, 'h2c');
    agent.destroy();
  });

  it('CONNECT to a proxy behind the tunnel keeps its credentials and becomes a tunnel on 2xx', async () => {
    const agent = await agentTo(house, 'link');
    const head = 'CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\nProxy-Authorization: Basic x\r\n\r\n';
    await agent.send(head);
    const server = await house.origin.next();
    assert.equal((await server.until('\r\n\r\n')).toString(), head);
    await server.send('HTTP/1.1 200 Connection established\r\n\r\n');
    await agent.until('\r\n\r\n');
    await agent.send('\x16\x03\x01 anything');
    await server.until('anything');
    agent.rst();
    assert.equal(await server.ended(), 'rst');
    await house.corridor.whenClosed(1);
    assert.equal(house.corridor.closed[0]?.facts.closeReason, 'agent-reset');
  });

  it('WebSocket: messages both ways with permessage-deflate, then a close code', async () => {
    const http = createServer();
    const server = new WebSocketServer({ server: http, perMessageDeflate: true });
    server.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
    const port = await listening(http);
    const relay = await openHouse({ reach: async () => ({ link: await dialLocal(port) }) });
    try {
      const agent = connect({ port: relay.port('plain'), host: '127.0.0.1' });
      const client = new WebSocket('ws://plain.test/chat', {
        perMessageDeflate: true,
        createConnection: () => agent,
      });
      await once(client, 'open');
      const messages: string[] = [];
      client.on('message', (data) => messages.push(data.toString()));
      client.send('hello');
      client.send('x'.repeat(3_000_000));
      while (messages.length < 2) await once(client, 'message');
      assert.equal(messages[0], 'hello');
      assert.equal(messages[1]?.length, 3_000_000);
      client.close(4001, 'done');
      const [code] = await once(client, 'close');
      assert.equal(code, 4001);
      await relay.corridor.whenClosed(1);
      const closed = relay.corridor.closed[0];
      assert.equal(closed?.exchange.status, 101);
      assert.equal(closed?.exchange.connection.tunnelProtocol, undefined);
      assert.ok((closed?.exchange.requestBytes ?? 0) > 10);
    } finally {
      server.close();
      http.close();
      await relay.close();
    }
  });
});
