import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  blocked,
  type FakeFilterOptions,
  type FilterLog,
  fakeFilter,
  LABEL,
  POISON,
  SECRET,
  SHAPES,
} from '../../support/fake-filter.ts';
import { agentTo, chunk, type House, openHouse, unchunked } from '../../support/http1-house.ts';
import { dial } from '../../support/origins.ts';
import { Peer } from '../../support/peer.ts';

const GET = 'GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n';

const bodyOf = (message: string): string => unchunked(message, message.indexOf('\r\n\r\n') + 4);
const sized = (body: string, fields = ''): string =>
  `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
const inChunks = (body: string, fields = ''): string =>
  `HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${body}`;

describe('HTTP/1 relay: a response body under a filter', () => {
  let house: House;
  let log: FilterLog;
  before(async () => {
    house = await openHouse();
  });
  after(() => house.close());
  beforeEach(() => house.origin.forget());

  const use = (options: FakeFilterOptions): void => {
    const made = fakeFilter({ response: options });
    house.corridor.filter = made.filter;
    log = made.log;
  };
  const last = () => house.corridor.closed.at(-1);

  /** Asks once more; the origin's end is known or comes new. */
  const ask = async (agent: Peer, known?: Peer, request = GET): Promise<Peer> => {
    await agent.send(request);
    const server = known ?? (await house.origin.next());
    await server.until('\r\n\r\n');
    return server;
  };

  for (const shape of SHAPES) {
    for (const later of [false, true]) {
      const name = later ? `${shape}, later` : shape;

      it(`${name}: a clean response keeps every byte, the connection goes on`, async () => {
        use({ shape, later });
        const agent = await agentTo(house);
        const response = sized('nothing to see', 'X-A:  b \r\nETag: "1"\r\n');
        let server: Peer | undefined;
        for (let i = 0; i < 3; i++) {
          server = await ask(agent, server);
          await server.send(response);
          if (shape !== 'free') assert.equal((await agent.until('see')).toString(), response);
          else {
            const got = (await agent.until('0\r\n\r\n')).toString();
            assert.ok(
              got.startsWith('HTTP/1.1 200 OK\r\nX-A:  b \r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n'),
              got,
            );
            assert.equal(bodyOf(got), 'nothing to see');
          }
          await house.corridor.whenClosed(house.corridor.opened.length);
          assert.equal(last()?.facts.outcome, 'forwarded');
          if (shape !== 'free') assert.equal(last()?.exchange.responseBytes, 14);
        }
        agent.destroy();
      });

      it(`${name}: a length-delimited response is rewritten`, async () => {
        use({ shape, later });
        const agent = await agentTo(house);
        const server = await ask(agent);
        await server.send(sized(`a ${SECRET} z`, 'Content-MD5: x\r\nDigest: y\r\nETag: "1"\r\nX-B: c\r\n'));
        const expected = `a ${LABEL[shape]} z`;
        if (shape === 'free') {
          const got = (await agent.until(': 1\r\n\r\n')).toString();
          assert.equal(bodyOf(got), expected);
          assert.ok(got.endsWith('\r\n0\r\nX-Strathon-Redacted: 1\r\n\r\n'), got);
        } else {
          const got = (await agent.until(' z')).toString();
          const head = got.slice(0, got.indexOf('\r\n\r\n') + 4);
          assert.equal(got.slice(head.length), expected);
          assert.match(head, new RegExp(`\r\nContent-Length: ${expected.length}\r\n`));
          if (shape === 'whole') {
            assert.match(head, /\r\nX-Strathon-Redacted: 1\r\n/);
            assert.match(head, /\r\nETag: W\/"1"\r\n/);
            assert.doesNotMatch(head, /content-md5|digest/i);
          }
        }
        await house.corridor.whenClosed(house.corridor.opened.length);
        await ask(agent, server);
        await server.send(sized('next'));
        await agent.until('next');
        agent.destroy();
      });

      it(`${name}: chunks, extensions, trailers, one byte at a time`, async () => {
        use({ shape, later });
        house.corridor.checkTrailers = (_exchange, direction, fields) => {
          assert.equal(direction, 'response');
          assert.deepEqual(fields, ['X-Sum', 'abc']);
          return new Map([[0, 'gone']]);
        };
        const agent = await agentTo(house);
        const server = await ask(agent);
        const body = `${chunk('before ')}5;x="y"\r\nopen-\r\n${chunk('sesame')}${chunk(' after')}0;z\r\nX-Sum: abc\r\n\r\n`;
        for (const byte of inChunks(body)) await server.send(byte);
        const got = `${(await agent.until('X-Sum: gone')).toString()}${(await agent.until('\r\n\r\n')).toString()}`;
        if (shape === 'same') {
          assert.ok(got.includes('5;x="y"\r\n*****\r\n6\r\n******\r\n'), got);
          assert.ok(got.endsWith('0;z\r\nX-Sum: gone\r\n\r\n'), got);
        } else assert.equal(bodyOf(got), `before ${LABEL[shape]} after`);
        if (shape === 'free') assert.ok(got.endsWith('0\r\nX-Sum: gone\r\nX-Strathon-Redacted: 1\r\n\r\n'), got);
        if (shape === 'whole') assert.match(got, /OK\r\nTransfer-Encoding: chunked\r\nX-Strathon-Redacted: 1\r\n/);
        house.corridor.checkTrailers = () => undefined;
        agent.destroy();
      });

      it(`${name}: until the connection ends`, async () => {
        use({ shape, later });
        const agent = await agentTo(house);
        const server = await ask(agent);
        await server.send(`HTTP/1.1 200 OK\r\nX: y\r\n\r\na ${SECRET}`);
        await server.send(' and more');
        server.fin();
        assert.equal(await agent.ended(), 'fin');
        const got = agent.received.toString();
        assert.ok(got.endsWith(`\r\n\r\na ${LABEL[shape]} and more`), got);
        await house.corridor.whenClosed(house.corridor.opened.length);
        assert.equal(last()?.facts.outcome, 'forwarded');
        agent.destroy();
      });

      it(`${name}: an upstream that closes behind its response`, async () => {
        use({ shape, later });
        const agent = await agentTo(house);
        const server = await ask(agent);
        await server.send(sized('short', 'Connection: close\r\n'));
        server.fin();
        assert.equal(await agent.ended(), 'fin');
        const got = agent.received.toString();
        assert.equal(shape === 'free' ? bodyOf(got) : got.slice(-5), 'short');
        await house.corridor.whenClosed(house.corridor.opened.length);
        assert.equal(last()?.facts.outcome, 'forwarded');
        agent.destroy();
      });
    }

    it(`${shape}: a clean chunked response`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const server = await ask(agent);
      const body = `3;a\r\nabc\r\n${chunk('defghij')}0\r\nX-T: 1\r\n\r\n`;
      await server.send(inChunks(body));
      const got = (await agent.until('X-T: 1\r\n\r\n')).toString();
      if (shape === 'free') assert.equal(bodyOf(got), 'abcdefghij');
      else assert.equal(got, inChunks(body));
      agent.destroy();
    });

    it(`${shape}: payload that looks like framing, in pieces`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const server = await ask(agent);
      const pieces = ['10\r\nab', '\r\n0\r\n\r\n', '\r\n5\r\ncd', '\r\n', '0\r\n\r\n'];
      await server.send(inChunks(''));
      for (const piece of pieces) {
        await server.send(piece);
        for (let i = 0; i < 5; i++) await pause();
      }
      await agent.until('cd\r\n0\r\n\r\n');
      const got = agent.received.toString();
      if (shape === 'free') assert.equal(bodyOf(got), 'ab\r\n0\r\n\r\n\r\n5\r\ncd');
      else assert.equal(got, inChunks(pieces.join('')));
      agent.destroy();
    });

    it(`${shape}: what is stopped in the first read is answered by us, and the connection goes on`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const server = await ask(agent);
      await server.send(sized(`a ${POISON} b`));
      const got = (await agent.until('}')).toString();
      assert.match(got, /^HTTP\/1\.1 403 /);
      assert.doesNotMatch(got, /connection: close/);
      assert.notEqual(await server.ended(), 'open');
      await house.corridor.whenClosed(house.corridor.opened.length);
      assert.equal(last()?.facts.outcome, 'blocked');
      const another = await ask(agent);
      await another.send(sized('fine'));
      await agent.until(shape === 'free' ? '0\r\n\r\n' : 'fine');
      agent.destroy();
    });

    it(`${shape}: stopped after it has begun: ended, and recorded as cut`, async () => {
      use({ shape, last: 'event: stopped\n\n' });
      const agent = await agentTo(house);
      const server = await ask(agent);
      await server.send(inChunks(chunk('x'.repeat(100))));
      if (shape === 'whole') while (log.written < 100) await pause();
      else await agent.until('xxxx');
      await server.send(chunk(`${POISON} and the rest`));
      await server.send('0\r\n\r\n');
      if (shape === 'whole') assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 403 /);
      else {
        assert.equal(await agent.ended(), 'fin');
        const got = agent.received.toString();
        assert.ok(!got.includes(POISON) && !got.includes('rest'));
        if (shape === 'free') assert.ok(got.endsWith('event: stopped\n\n\r\n0\r\n\r\n'), got);
        else assert.ok(!got.endsWith('0\r\n\r\n'), 'it must not look complete');
      }
      await house.corridor.whenClosed(house.corridor.opened.length);
      assert.notEqual(await server.ended(), 'open');
      assert.equal(last()?.facts.outcome, 'blocked');
      if (shape !== 'whole') assert.equal(last()?.facts.closeReason, 'cut');
      agent.destroy();
    });

    for (const later of [false, true]) {
      it(`${shape}${later ? ', later' : ''}: the upstream goes away in the middle, what was held is let go`, async () => {
        use({ shape, later });
        const agent = await agentTo(house);
        const server = await ask(agent);
        await server.send(sized(`${'x'.repeat(89)}!`.padEnd(100)).slice(0, -10));
        while (log.written < 90) await pause();
        server.fin();
        if (shape === 'whole') assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 502 /);
        else {
          const got = (await agent.until('!')).toString();
          assert.ok(got.endsWith('!') || got.endsWith('!\r\n'), got);
        }
        assert.equal(await agent.ended(), 'fin');
        await house.corridor.whenClosed(house.corridor.opened.length);
        assert.equal(last()?.facts.error, 'body-truncated');
        assert.deepEqual([log.abandoned, log.brokenOff], shape === 'whole' ? [1, 0] : [0, 1]);
        agent.destroy();
      });
    }

    it(`${shape}: the agent goes away in the middle`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const server = await ask(agent);
      await server.send(inChunks(chunk('x'.repeat(100))));
      while (log.written < 100) await pause();
      agent.rst();
      await house.corridor.whenClosed(house.corridor.opened.length);
      assert.equal(last()?.facts.outcome, 'client-gone');
      assert.equal(log.abandoned, 1);
      assert.notEqual(await server.ended(), 'open');
    });

    it(`${shape}: revoked in the middle`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const server = await ask(agent);
      await server.send(inChunks(chunk('x'.repeat(100))));
      while (log.written < 100) await pause();
      house.corridor.revoke(house.corridor.opened.at(-1) as never);
      assert.notEqual(await agent.ended(), 'open');
      assert.equal(last()?.facts.closeReason, 'revoked');
      assert.equal(log.abandoned, 1);
    });

    it(`${shape}: a slow filter gets all of a large body`, async () => {
      use({ shape, slow: true });
      const agent = await agentTo(house);
      const server = await ask(agent);
      const body = 'z'.repeat(1_000_000);
      void server.send(sized(body));
      await agent.until('\r\n\r\n');
      const got =
        shape === 'free' ? unchunked((await agent.until('0\r\n\r\n')).toString()) : await agent.bytes(body.length);
      assert.equal(got.length, body.length);
      agent.destroy();
    });

    it(`${shape}: bytes behind a held response end the connection with it`, async () => {
      use({ shape, later: true });
      const agent = await agentTo(house);
      const server = await ask(agent);
      await server.send(`${sized('whole')}HTTP/1.1 200 OK\r\n\r\n`);
      await agent.until('whole');
      assert.equal(await agent.ended(), 'fin');
      agent.destroy();
    });

    it(`${shape}: pipelined, and an HTTP/1.0 agent`, async () => {
      use({ shape, later: true });
      const agent = await agentTo(house);
      await agent.send(`${GET}${GET}`);
      const server = await house.origin.next();
      for (let i = 0; i < 2; i++) {
        await server.until('\r\n\r\n');
        await server.send(sized(`${i} ${SECRET}~`));
      }
      for (let i = 0; i < 2; i++) {
        const got = (await agent.until(shape === 'free' ? ': 1\r\n\r\n' : '~')).toString();
        assert.ok(got.includes(`${i} ${LABEL[shape]}`), got);
      }
      agent.destroy();
      const old = await agentTo(house);
      const another = await ask(old, undefined, 'GET http://plain.test/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
      await another.send(sized(`old ${SECRET}~`, 'Connection: keep-alive\r\n'));
      const got = (await old.until('~')).toString();
      assert.ok(got.endsWith(`\r\n\r\nold ${LABEL[shape]}~`), got);
      if (shape === 'free') {
        assert.match(got, /OK\r\nConnection: close\r\n\r\n/);
        assert.equal(await old.ended(), 'fin');
      }
      old.destroy();
    });

    it(`${shape}: 1000 responses one after the other on one connection`, async () => {
      use({ shape });
      const agent = await agentTo(house, 'link');
      let server: Peer | undefined;
      for (let i = 0; i < 1000; i++) {
        await agent.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
        server ??= await house.origin.next();
        await server.until('\r\n\r\n');
        await server.send(sized(`n ${i} ${SECRET}!`));
        await agent.until(shape === 'free' ? ': 1\r\n\r\n' : '!');
      }
      assert.equal(agent.received.includes(SECRET), false);
      agent.destroy();
    });
  }

  it('no body, no filter: HEAD, 204, 304, an empty length', async () => {
    use({ shape: 'whole' });
    const agent = await agentTo(house);
    let server: Peer | undefined;
    for (const [method, response] of [
      ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
      ['GET', 'HTTP/1.1 204 No Content\r\n\r\n'],
      ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'],
      ['GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ] as const) {
      server = await ask(agent, server, GET.replace('GET', method));
      await server.send(response);
      assert.equal((await agent.until('\r\n\r\n')).toString(), response);
    }
    assert.deepEqual(log.asked, []);
    agent.destroy();
  });

  it('informational responses pass before a held one', async () => {
    use({ shape: 'whole', later: true });
    const agent = await agentTo(house);
    const server = await ask(agent);
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
    await server.send(hints + sized('body'));
    assert.equal((await agent.until('body')).toString(), hints + sized('body'));
    agent.destroy();
  });

  it('an event passes at once, in a response that never ends', async () => {
    use({ shape: 'free' });
    const agent = await agentTo(house);
    const server = await ask(agent);
    await server.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.ok((await agent.until('\r\n\r\n')).length > 0, 'the head does not wait for an event');
    for (let i = 0; i < 5; i++) {
      await server.send(chunk(`data: ${i} ${'.'.repeat(20)}\n\n`));
      await agent.until(`data: ${i}`);
    }
    agent.destroy();
    server.destroy();
  });

  it('a response head is edited, or refused', async () => {
    house.corridor.filter = () => undefined;
    house.corridor.checkResponse = (exchange) => {
      assert.deepEqual(exchange.responseFields?.slice(0, 2), ['Set-Cookie', 'secret']);
      return { forward: true, edits: { values: new Map([[0, '[X]']]) } };
    };
    const agent = await agentTo(house);
    const server = await ask(agent);
    await server.send(sized('body', 'Set-Cookie:  secret\r\nX-Other:  v \r\n'));
    assert.equal((await agent.until('body')).toString(), sized('body', 'Set-Cookie:  [X]\r\nX-Other:  v \r\n'));
    house.corridor.checkResponse = () => ({ forward: false, answer: blocked() });
    await ask(agent, server);
    await server.send(sized('body'));
    assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 403 /);
    assert.notEqual(await server.ended(), 'open');
    assert.equal(last()?.facts.outcome, 'blocked');
    house.corridor.checkResponse = () => ({ forward: true });
    const another = await ask(agent);
    await another.send(sized('again'));
    await agent.until('again');
    agent.destroy();
  });

  it('an agent that does not read makes the upstream wait, and gets all of it', async () => {
    use({ shape: 'free' });
    const agent = await dial(house.port('plain'));
    agent.write(GET);
    const server = await house.origin.next();
    await server.until('\r\n\r\n');
    const all = 64 << 20;
    void server.send(`HTTP/1.1 200 OK\r\nContent-Length: ${all}\r\n\r\n${'q'.repeat(all)}`);
    const passed = (): number => house.corridor.opened.at(-1)?.responseBytes ?? 0;
    for (let before = -1; passed() === 0 || passed() !== before; ) {
      before = passed();
      for (let n = 0; n < 10; n++) await pause();
    }
    assert.ok(passed() < all, `${passed()} bytes were passed`);
    let got = 0;
    agent.on('data', (bytes: Buffer) => {
      got += bytes.length;
    });
    await house.corridor.whenClosed(house.corridor.opened.length);
    for (let n = 0; n < 1000 && got < passed(); n++) await pause();
    assert.ok(got > all, `${got} bytes came`);
    agent.destroy();
  });

  it('a request still being sent when its held response ends', async () => {
    use({ shape: 'whole', later: true });
    const agent = await agentTo(house);
    await agent.send('POST http://plain.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234');
    const server = await house.origin.next();
    await server.until('01234');
    await server.send(sized('early'));
    await agent.until('early');
    await agent.send('56789');
    await server.until('56789');
    await house.corridor.whenClosed(house.corridor.opened.length);
    assert.equal(last()?.facts.outcome, 'forwarded');
    await ask(agent, server);
    await server.send(sized('next'));
    await agent.until('next');
    agent.destroy();
  });
});

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** The payload of a message in chunks. */

it('trailers of a body that is looked at on a copy are heard after it, both ways', async () => {
  const house = await openHouse();
  const heard: string[] = [];
  house.corridor.content = (_exchange, direction) => ({
    push: (payload) => heard.push(`${direction} ${Buffer.from(payload).toString()}`),
    end: () => heard.push(`${direction} end`),
  });
  house.corridor.checkTrailers = (_exchange, direction, fields) => {
    heard.push(`${direction} ${fields.join(' ')}`);
    return undefined;
  };
  const socket = await dial(house.port('plain'));
  const agent = new Peer(socket, socket);
  const head = 'POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\n\r\n';
  for (const part of [`${head}${chunk('abc')}0\r\nX-A: b`, '\r\nX-C:d\r\n\r\n']) await agent.send(part);
  const server = await house.origin.next();
  await server.until('X-C:d\r\n\r\n');
  await server.send(inChunks(`${chunk('def')}0\r\nX-E: f\r\n\r\n`));
  await agent.until('X-E: f\r\n\r\n');
  await agent.send(`${head}${chunk('no trailers')}0\r\n\r\n`);
  await server.until('0\r\n\r\n');
  await server.send(inChunks('0\r\n\r\n'));
  await agent.until('0\r\n\r\n');
  assert.deepEqual(heard, [
    'request abc',
    'request end',
    'request X-A b X-C d',
    'response def',
    'response end',
    'response X-E f',
    'request no trailers',
    'request end',
    'response end',
  ]);
  agent.destroy();
  await house.close();
});
