import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type House, openHouse } from '../e2e/harness.ts';
import { AGENT_FIELDS, HOSTS, lane } from '../support/lanes.ts';
import { connectThrough, dial } from '../support/origins.ts';
import { Peer } from '../support/peer.ts';
import { eventually } from '../support/weir.ts';

const peerTo = async (port: number): Promise<Peer> => {
  const socket = await dial(port);
  return new Peer(socket, socket);
};

describe('threats to Weir itself: bad clients and bad origins', { timeout: 100_000 }, () => {
  let house: House;
  before(async () => {
    house = await openHouse({ limits: { head_ms: 400, client_hello_ms: 400, connections: 2000 } });
  });
  after(() => house?.close());

  /** After every attack an ordinary exchange still works, and nothing of the attack stays open. */
  const stillWell = async (): Promise<void> => {
    const road = lane('plain', house.parts);
    road.origin.forget();
    const agent = await road.open();
    await agent.send(`GET ${road.target('/well')} HTTP/1.1\r\nHost: ${road.host}\r\n${road.fields}\r\n`);
    const server = await road.origin.next();
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell');
    await agent.until('well');
    agent.destroy();
    server.destroy();
    await eventually(async () => (await house.weir.status()).connections === 0, 'all connections are closed again');
  };

  const refusal = async (bytes: string | Buffer, status: number): Promise<void> => {
    const agent = await peerTo(house.weir.port);
    await agent.send(bytes);
    const line = (await agent.until('\r\n')).toString('latin1');
    assert.match(line, new RegExp(`^HTTP/1\\.1 ${status} `));
    await agent.ended();
    agent.destroy();
    await stillWell();
  };

  it('slow loris: a head that never ends is answered 408 after head_ms', async () => {
    const agent = await peerTo(house.weir.port);
    await agent.send('GET http://plain.test/ HTTP/1.1\r\n');
    const drip = setInterval(() => void agent.send('X: y\r\n'), 50);
    try {
      assert.match((await agent.until('\r\n')).toString('latin1'), /^HTTP\/1\.1 408 /);
      await agent.ended();
    } finally {
      clearInterval(drip);
      agent.destroy();
    }
    await stillWell();
  });

  it('slow loris: a CONNECT that never ends', async () => {
    const agent = await peerTo(house.weir.port);
    await agent.send('CONNECT plain.test:80 HTTP/1.1\r\nHost: pl');
    await agent.ended();
    agent.destroy();
    await stillWell();
  });

  it('silence: a connection without a byte is closed after head_ms', async () => {
    const agent = await peerTo(house.weir.port);
    await agent.ended();
    agent.destroy();
    await stillWell();
  });

  it('garbage instead of HTTP', () => refusal('\x00\x01\x02garbage\r\n\r\n', 400));
  it('TLS to a plain listener', () =>
    refusal(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...randomBytes(512)]), 400));
  it('an HTTP/2 preface to the proxy itself is told to speak HTTP/1.1', async () => {
    const agent = await peerTo(house.weir.port);
    await agent.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await agent.ended();
    const goaway = agent.received.subarray(-17);
    // GOAWAY (RFC 9113 §6.8) with HTTP_1_1_REQUIRED.
    assert.deepEqual([goaway[3], goaway[16]], [7, 0x0d]);
    agent.destroy();
    await stillWell();
  });
  it('a CONNECT without a port', () => refusal('CONNECT plain.test HTTP/1.1\r\nHost: plain.test\r\n\r\n', 400));
  it('a CONNECT to port 0', () => refusal('CONNECT plain.test:0 HTTP/1.1\r\nHost: plain.test\r\n\r\n', 400));
  it('a CONNECT to port 65536', () => refusal('CONNECT plain.test:65536 HTTP/1.1\r\nHost: x\r\n\r\n', 400));
  it('a head above 256 KiB', () =>
    refusal(`GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nX: ${'x'.repeat(270_000)}\r\n\r\n`, 431));
  it('more than 1000 fields', () =>
    refusal(`GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n${'X: y\r\n'.repeat(1100)}\r\n`, 431));
  it('a request line above 256 KiB', () => refusal(`GET http://plain.test/${'x'.repeat(270_000)} HTTP/1.1\r\n`, 431));

  it('garbage inside an established CONNECT is an opaque tunnel', async () => {
    house.parts.plain.forget();
    const { socket } = await connectThrough(house.weir.port, `${HOSTS.plain}:80`, AGENT_FIELDS);
    const agent = new Peer(socket, socket);
    const noise = Buffer.concat([Buffer.from([0x80, 0, 0xff]), randomBytes(5000)]);
    await agent.send(noise);
    const server = await house.parts.plain.next();
    assert.ok((await server.bytes(noise.length)).equals(noise));
    await server.send(noise);
    assert.ok((await agent.bytes(noise.length)).equals(noise));
    agent.destroy();
    server.destroy();
    await stillWell();
  });

  it('garbage in a ClientHello where interception is on is passed on, not swallowed', async () => {
    house.parts.tls.forget();
    const { socket } = await connectThrough(house.weir.port, `${HOSTS.intercepted}:443`, AGENT_FIELDS);
    const agent = new Peer(socket, socket);
    await agent.send(Buffer.from([0x16, 3, 1, 0, 5, 0xde, 0xad, 0xbe, 0xef, 0]));
    await agent.ended();
    agent.destroy();
    await stillWell();
  });

  it('half a ClientHello and then silence', async () => {
    const { socket } = await connectThrough(house.weir.port, `${HOSTS.intercepted}:443`, AGENT_FIELDS);
    const agent = new Peer(socket, socket);
    await agent.send(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]));
    await new Promise((resolve) => setTimeout(resolve, 800));
    agent.destroy();
    await stillWell();
  });

  it('1000 idle connections: others are served, memory stays, all are gone at the end', async () => {
    const before = await house.weir.rss();
    const idle = await Promise.all(
      Array.from(
        { length: 1000 },
        async () => (await connectThrough(house.weir.port, `${HOSTS.plain}:80`, AGENT_FIELDS)).socket,
      ),
    );
    const road = lane('plain', house.parts);
    road.origin.forget();
    const growth = (await house.weir.rss()) - before;
    assert.ok(growth < 100, `1000 idle connections cost ${growth.toFixed(0)} MiB`);
    for (const socket of idle) socket.destroy();
    await stillWell();
  });

  it('an upstream that hangs ends with its agent', async () => {
    const road = lane('plain', house.parts);
    road.origin.forget();
    const agent = await road.open();
    await agent.send(`GET ${road.target('/hang')} HTTP/1.1\r\nHost: ${road.host}\r\n${road.fields}\r\n`);
    const server = await road.origin.next();
    await server.until('\r\n\r\n');
    agent.rst();
    await server.ended();
    await stillWell();
  });

  for (const how of ['fin', 'rst'] as const) {
    it(`an upstream that closes before an answer (${how})`, async () => {
      const road = lane('plain', house.parts);
      road.origin.forget();
      const agent = await road.open();
      await agent.send(`GET ${road.target('/gone')} HTTP/1.1\r\nHost: ${road.host}\r\n${road.fields}\r\n`);
      const server = await road.origin.next();
      await server.until('\r\n\r\n');
      server[how]();
      assert.match((await agent.until('\r\n\r\n')).toString('latin1'), /^HTTP\/1\.1 502 /);
      agent.destroy();
      await stillWell();
    });
  }

  it('an upstream head that never ends is cut', async () => {
    const road = lane('plain', house.parts);
    road.origin.forget();
    const agent = await road.open();
    await agent.send(`GET ${road.target('/endless')} HTTP/1.1\r\nHost: ${road.host}\r\n${road.fields}\r\n`);
    const server = await road.origin.next();
    await server.until('\r\n\r\n');
    await server.send(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(400_000)}`);
    await server.ended();
    agent.destroy();
    await stillWell();
  });

  it('10,000 informational answers do not stay in memory', async () => {
    const road = lane('plain', house.parts);
    road.origin.forget();
    const agent = await road.open();
    await agent.send(`GET ${road.target('/flood')} HTTP/1.1\r\nHost: ${road.host}\r\n${road.fields}\r\n`);
    const server = await road.origin.next();
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(10_000));
    await server.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone');
    server.fin();
    await agent.until('\r\n\r\ndone');
    agent.destroy();
    await stillWell();
  });

  it('what was refused is counted by reason and on record', async () => {
    const { limitsReached } = await house.weir.status();
    // Slow loris and the CONNECT that never ended; three heads too large; garbage, TLS, the preface and a CONNECT.
    assert.ok((limitsReached['head-timeout'] ?? 0) >= 2, JSON.stringify(limitsReached));
    assert.ok((limitsReached['head-too-large'] ?? 0) >= 3, JSON.stringify(limitsReached));
    assert.ok((limitsReached['bad-request'] ?? 0) >= 3, JSON.stringify(limitsReached));
    for (const rule of ['head-timeout', 'head-too-large', 'bad-request']) {
      const lines = await house.weir.records(rule, (line) => line.kind === 'finding' && line.rules.includes(rule));
      assert.ok(lines.length >= 2, rule);
    }
    const outcomes =
      "SELECT DISTINCT outcome FROM exchanges WHERE path IN ('/hang', '/gone', '/endless') ORDER BY outcome";
    const rows = await house.weir.query(outcomes);
    assert.deepEqual(
      rows.map((row) => row['outcome']),
      ['client-gone', 'failed'],
    );
  });

  it('the collector survived it all without a word of a crash', () => {
    assert.doesNotMatch(house.weir.logs(), /uncaught|unhandled|TypeError|RangeError|recorder-died/i);
  });
});
