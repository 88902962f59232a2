import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { Exchange } from '../../../src/model/exchange.ts';
import type { Link } from '../../../src/model/ports.ts';
import { answerOf, dialLocal, type FakeOptions } from '../../support/fake-corridor.ts';
import { type House, openHouse, type Way } from '../../support/http1-house.ts';
import { dial, type RawOrigin, rawOrigin } from '../../support/origins.ts';
import { Peer } from '../../support/peer.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function agentTo(house: House, way: Way = 'plain'): Promise<Peer> {
  const socket = await dial(house.port(way));
  return new Peer(socket, socket);
}

async function withHouse(
  work: (house: House) => Promise<void>,
  options: FakeOptions = {},
  limits: Parameters<typeof openHouse>[1] = {},
): Promise<void> {
  const house = await openHouse(options, limits);
  try {
    await work(house);
  } finally {
    await house.close();
  }
}

describe('HTTP/1 relay: refusals', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house.close());

  const get = 'GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n';
  const post = 'POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n';
  const refused: readonly (readonly [name: string, bytes: string, status: number])[] = [
    ['both length and coding', `${post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ['differing lengths', `${post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`, 400],
    ['a repeated equal length', `${post}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`, 400],
    ['a list of lengths', `${post}Content-Length: 3, 3\r\n\r\nabc`, 400],
    ['a signed length', `${post}Content-Length: +3\r\n\r\nabc`, 400],
    ['an unknown coding', `${post}Transfer-Encoding: xchunked\r\n\r\n`, 400],
    ['a coding before chunked', `${post}Transfer-Encoding: gzip, chunked\r\n\r\n`, 400],
    ['a coding with an odd byte', `${post}Transfer-Encoding:\xf4chunked\r\n\r\n`, 400],
    ['a coding in HTTP/1.0', 'POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['a bare LF', 'GET http://plain.test/ HTTP/1.1\nHost: plain.test\n\n', 400],
    ['a bare LF inside', `${get}X: a\nY: b\r\n\r\n`, 400],
    ['a bare CR', `${get}X: a\rY: b\r\n\r\n`, 400],
    ['a NUL', `${get}X: a\0b\r\n\r\n`, 400],
    ['a folded line', `${get}X: a\r\n b\r\n\r\n`, 400],
    ['space before the colon', `${get}X : a\r\n\r\n`, 400],
    ['two Hosts', `${get}Host: plain.test\r\n\r\n`, 400],
    ['no Host', 'GET http://plain.test/ HTTP/1.1\r\n\r\n', 400],
    ['HTTP/0.9', 'GET /\r\n\r\n', 400],
    ['HTTP/1.2', 'GET http://plain.test/ HTTP/1.2\r\nHost: a\r\n\r\n', 400],
    ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['a method that is no token', 'G(T http://plain.test/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a target with a control byte', 'GET http://plain.test/\x01 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a target of no form', 'GET plain.test HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['another scheme', 'GET ftp://plain.test/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a bad first chunk', `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
    ['too many fields', `${get}${'X: y\r\n'.repeat(1000)}\r\n`, 431],
    ['too long a head', `${get}X: ${'y'.repeat(262_200)}\r\n\r\n`, 431],
    ['a head that ends early', `${get}X: y\r\n`, 400],
    ['CONNECT after the front door', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 400],
  ];
  for (const [name, bytes, status] of refused) {
    it(`${name}: ${status}, nothing is dialled`, async () => {
      const dialled = house.corridor.links.length;
      const opened = house.corridor.opened.length;
      const rejected = house.corridor.rejected.length;
      const agent = await agentTo(house);
      await agent.send(bytes);
      if (name.includes('ends early')) agent.fin();
      const head = (await agent.until('\r\n\r\n')).toString('latin1');
      assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(head, /connection: close/);
      assert.equal(await agent.ended(), 'fin');
      assert.equal(house.corridor.links.length, dialled);
      assert.equal(house.corridor.opened.length, opened, 'no exchange was opened');
      assert.equal(house.corridor.rejected.length, rejected + 1);
      agent.destroy();
    });
  }

  it('a head that dribbles is refused when the clock runs out', () =>
    withHouse(
      async (slow) => {
        const agent = await agentTo(slow);
        await agent.send('GET http://plain.test/ HTTP/1.1\r\nHo');
        assert.match((await agent.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 408 /);
        assert.equal(await agent.ended(), 'fin');
        assert.equal(slow.corridor.rejected[0]?.code, 'head-timeout');
        assert.equal(slow.corridor.connectionsClosed.length, 1);
        agent.destroy();
      },
      {},
      { headMs: 50 },
    ));

  it('a broken chunk later: 400, and the upstream sees no end of the body', async () => {
    const agent = await agentTo(house);
    await agent.send(`${post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`);
    const server = await house.origin.next();
    await server.until('abc\r\n');
    await agent.send('0\rX\r\n\r\n');
    assert.match((await agent.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 400 /);
    assert.equal(await server.ended(), 'rst');
    assert.ok(!server.received.toString().endsWith('0\r\n\r\n'));
    agent.destroy();
  });
});

describe('HTTP/1 relay: what the upstream gets', () => {
  let house: House;
  let second: RawOrigin;
  beforeEach(async () => {
    house = await openHouse();
    second = await rawOrigin();
  });
  afterEach(async () => {
    await house.close();
    await second.close();
  });

  it('two hosts on one connection have a transport each, used again', async () => {
    const agent = await agentTo(house);
    const other = `127.0.0.1:${second.port}`;
    await agent.send('GET http://plain.test/1 HTTP/1.1\r\nHost: plain.test\r\n\r\n');
    const one = await house.origin.next();
    assert.equal((await one.until('\r\n\r\n')).toString(), 'GET /1 HTTP/1.1\r\nHost: plain.test\r\n\r\n');
    await one.send(OK);
    await agent.until('ok');
    await agent.send(`GET http://${other}/2 HTTP/1.1\r\nHost: ${other}\r\n\r\n`);
    const two = await second.next();
    assert.equal((await two.until('\r\n\r\n')).toString(), `GET /2 HTTP/1.1\r\nHost: ${other}\r\n\r\n`);
    await two.send(OK);
    await agent.until('ok');
    await agent.send('GET http://plain.test HTTP/1.1\r\nHost: plain.test\r\n\r\n');
    assert.equal((await one.until('\r\n\r\n')).toString(), 'GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n');
    await one.send(OK);
    await agent.until('ok');
    assert.equal(house.corridor.links.length, 2);
    const [first, , third] = house.corridor.closed.map(({ exchange }) => exchange);
    assert.equal(first?.timings?.connectMs, 1);
    assert.equal(third?.timings, undefined, 'timings belong to the first exchange of a transport');
    assert.equal(third?.peer?.port, house.origin.port);
    agent.destroy();
  });

  it('facts: authority, Host and target of absolute-form, dropped lines, case and order kept', async () => {
    const agent = await agentTo(house);
    await agent.send(
      'POST HTTP://plain.test?q=\xe9 HTTP/1.1\r\nPROXY-authorization: Basic x\r\naCCept:  */* \r\nHost: other.test\r\n' +
        'x-weir-AGENT: a\r\nX-A: 1\r\nX-Oktsec-Agent: b\r\nx-a: 2\r\nProxy-Connection: close\r\ncontent-length: 3\r\n\r\nabc',
    );
    const server = await house.origin.next();
    const got = (await server.until('abc')).toString('latin1');
    assert.equal(
      got,
      'POST /?q=\xe9 HTTP/1.1\r\naCCept:  */* \r\nHost: other.test\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 3\r\n\r\nabc',
    );
    await server.send('HTTP/1.1 201 \r\nX: \xe9\r\nContent-Length: 0\r\n\r\n');
    await agent.until('\r\n\r\n');
    await house.corridor.whenClosed(1);
    const exchange = house.corridor.closed[0]?.exchange as Exchange;
    assert.equal(exchange.request.authority, 'plain.test');
    assert.equal(exchange.request.hostField, 'other.test');
    assert.equal(exchange.request.target, '/?q=\xe9');
    assert.equal(exchange.request.fields[0], 'PROXY-authorization');
    assert.equal(exchange.requestBytes, 3);
    assert.equal(exchange.status, 201);
    assert.deepEqual(exchange.responseFields, ['X', '\xe9', 'Content-Length', '0']);
    assert.ok((exchange.headMono ?? 0) >= (exchange.sentMono ?? Number.NaN));
    agent.destroy();
  });

  const targets: readonly (readonly [sent: string, got: string])[] = [
    ['OPTIONS http://plain.test HTTP/1.1', 'OPTIONS * HTTP/1.1'],
    ['OPTIONS http://plain.test/ HTTP/1.1', 'OPTIONS / HTTP/1.1'],
    ['OPTIONS * HTTP/1.1', 'OPTIONS * HTTP/1.1'],
    ['GET /origin-form HTTP/1.1', 'GET /origin-form HTTP/1.1'],
    ['GET ws://plain.test/socket HTTP/1.1', 'GET /socket HTTP/1.1'],
    ['FOOBAR http://u:p@plain.test/a#b HTTP/1.1', 'FOOBAR /a#b HTTP/1.1'],
  ];
  for (const [sent, got] of targets) {
    it(`${sent} becomes ${got}`, async () => {
      const agent = await agentTo(house);
      await agent.send(`${sent}\r\nHost: plain.test\r\n\r\n`);
      const server = await house.origin.next();
      assert.equal((await server.until('\r\n')).toString(), `${got}\r\n`);
      agent.destroy();
    });
  }

  it('900 fields and a head of 200 KiB in pieces go through', async () => {
    const lines = `${Array.from({ length: 898 }, (_, i) => `X-${i}: ${i}\r\n`).join('')}Big: ${'b'.repeat(200_000)}\r\n`;
    const agent = await agentTo(house);
    await agent.send(`GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n${lines.slice(0, 100_000)}`);
    await agent.send(`${lines.slice(100_000)}\r\n`);
    const server = await house.origin.next();
    const got = (await server.until('\r\n\r\n')).toString();
    assert.equal(got, `GET / HTTP/1.1\r\nHost: plain.test\r\n${lines}\r\n`);
    agent.destroy();
  });

  it('a whole connection of pipelined requests, each forwarded after the answer to the one before', async () => {
    const agent = await agentTo(house, 'link');
    const requests = Array.from({ length: 50 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: plain.test\r\n\r\n`);
    await agent.send(requests.join(''));
    agent.fin();
    const server = await house.origin.next();
    for (const request of requests) {
      assert.equal((await server.until('\r\n\r\n')).toString(), request);
      assert.ok(server.received.toString().endsWith(request), 'nothing of the next request came early');
      await server.send(OK);
      await agent.until('ok');
    }
    assert.equal(await server.ended(), 'fin');
    assert.equal(house.corridor.closed.length, 50);
  });
});

describe('HTTP/1 relay: a parent proxy that wants absolute-form', () => {
  it('writes absolute-form and its own Proxy-Authorization', () => {
    let house: House | undefined;
    const reach = async () => {
      const link: Link = await dialLocal((house as House).origin.port);
      return { link: { ...link, absoluteForm: { proxyAuthorization: 'Basic cDpx' } } };
    };
    return withHouse(
      async (opened) => {
        house = opened;
        const agent = await agentTo(opened);
        await agent.send(
          'PUT http://plain.test/a HTTP/1.1\r\nHost: plain.test\r\nProxy-Authorization: mine\r\nContent-Length: 2\r\n\r\nhi',
        );
        const server = await opened.origin.next();
        const lines = 'Host: plain.test\r\nContent-Length: 2\r\nProxy-Authorization: Basic cDpx\r\n\r\nhi';
        assert.equal((await server.until('hi')).toString(), `PUT http://plain.test/a HTTP/1.1\r\n${lines}`);
        await server.send(OK);
        await agent.until('ok');
        await agent.send('GET /b HTTP/1.1\r\nHost: plain.test\r\n\r\n');
        assert.match((await server.until('\r\n\r\n')).toString(), /^GET http:\/\/plain\.test\/b HTTP\/1\.1\r\nHost/);
        agent.destroy();
      },
      { reach },
    );
  });
});

describe('HTTP/1 relay: answers of ours', () => {
  const blocked = { forward: false, answer: answerOf('policy-denied') } as const;

  it('a refused exchange is answered and the connection goes on; with a body it ends', () =>
    withHouse(
      async (house) => {
        const agent = await agentTo(house);
        const request = 'GET http://plain.test/no HTTP/1.1\r\nHost: plain.test\r\n\r\n';
        await agent.send(request.repeat(3) + request.replace('/no', '/yes'));
        for (let i = 0; i < 3; i++) assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 403 /);
        const server = await house.origin.next();
        await server.until('\r\n\r\n');
        await server.send(OK);
        await agent.until('ok');
        await agent.send(
          'POST http://plain.test/no HTTP/1.1\r\nHost: plain.test\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
        );
        assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 403 (?:.|\r|\n)*connection: close/);
        assert.equal(await agent.ended(), 'fin');
        const outcomes = house.corridor.closed.map(({ facts }) => facts.outcome);
        assert.deepEqual(outcomes, ['blocked', 'blocked', 'blocked', 'forwarded', 'blocked']);
        assert.equal(house.corridor.connectionsClosed.length, 1);
      },
      { check: (exchange) => (exchange.request.target === '/no' ? blocked : { forward: true }) },
    ));

  it('thousands of pipelined refusals do not overflow the stack or the memory of a reader that stalls', () =>
    withHouse(
      async (house) => {
        const socket = connect({ port: house.port('plain'), host: '127.0.0.1' });
        await once(socket, 'connect');
        const request = 'GET http://plain.test/ HTTP/1.1\r\nHost: a\r\n\r\n';
        socket.write(request.repeat(20_000));
        await new Promise((resolve) => setTimeout(resolve, 200));
        assert.ok(house.corridor.opened.length < 20_000, 'reading stopped while the answers were not taken');
        let got = 0;
        socket.on('data', (chunk: Buffer) => {
          got += chunk.toString('latin1').split('HTTP/1.1 403').length - 1;
        });
        await house.corridor.whenClosed(20_000);
        socket.end();
        await once(socket, 'close');
        assert.ok(got > 19_900, `${got} answers`);
      },
      { check: () => ({ forward: false, answer: { ...answerOf('policy-denied'), body: 'x'.repeat(900) } }) },
    ));

  it('HEAD gets the head alone', () =>
    withHouse(
      async (house) => {
        const agent = await agentTo(house);
        await agent.send('HEAD http://plain.test/ HTTP/1.0\r\n\r\n');
        await agent.ended();
        assert.ok(agent.received.toString().endsWith('\r\n\r\n'));
      },
      { check: () => blocked },
    ));

  it('a failed dial is answered', () =>
    withHouse(
      async (house) => {
        const agent = await agentTo(house);
        await agent.send('GET http://plain.test/ HTTP/1.1\r\nHost: a\r\n\r\n');
        assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 502 /);
        assert.equal(house.corridor.closed[0]?.facts.outcome, 'failed');
        agent.destroy();
      },
      { reach: async () => ({ answer: answerOf('connect-refused') }) },
    ));
});
