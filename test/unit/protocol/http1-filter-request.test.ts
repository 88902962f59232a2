import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { answerOf } from '../../support/fake-corridor.ts';
import {
  type FakeFilterOptions,
  type FilterLog,
  fakeFilter,
  LABEL,
  POISON,
  SECRET,
  SHAPES,
} from '../../support/fake-filter.ts';
import { agentTo, chunk, type House, openHouse, unchunked, type Way } from '../../support/http1-house.ts';
import { dial } from '../../support/origins.ts';
import type { Peer } from '../../support/peer.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

const post = (body: string, fields = '', way: Way = 'plain'): string =>
  `POST ${way === 'plain' ? 'http://plain.test' : ''}/up HTTP/1.1\r\nHost: plain.test\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (body: string, fields = ''): string =>
  `POST http://plain.test/up HTTP/1.1\r\nHost: plain.test\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${body}`;

describe('HTTP/1 relay: a request body under a filter', () => {
  let house: House;
  let log: FilterLog;
  before(async () => {
    house = await openHouse();
  });
  after(() => house.close());
  beforeEach(() => house.origin.forget());

  const use = (options: FakeFilterOptions): void => {
    const made = fakeFilter({ request: options });
    house.corridor.filter = made.filter;
    log = made.log;
  };
  const last = () => house.corridor.closed.at(-1);

  /** Sends one request, answers it, and says what the origin got of it up to `marker`. */
  const through = async (agent: Peer, request: string, marker: string, origin?: Peer): Promise<[string, Peer]> => {
    const before = house.corridor.closed.length;
    await agent.send(request);
    const server = origin ?? (await house.origin.next());
    const got = (await server.until(marker)).toString('latin1');
    await server.send(OK);
    assert.match((await agent.until('ok')).toString(), /^HTTP\/1\.1 200 OK/);
    await house.corridor.whenClosed(before + 1);
    assert.equal(last()?.facts.outcome, 'forwarded');
    return [got, server];
  };

  it('whole: what speaks about bytes that are no more goes with them, and only then', async () => {
    use({ shape: 'whole' });
    const agent = await agentTo(house);
    const digests = 'Content-MD5: a\r\nContent-Digest: sha-256=:b:\r\nX-A: b\r\n';
    const [clean, server] = await through(agent, post('nothing.', digests), 'nothing.');
    assert.ok(clean.includes(digests), clean);
    const [rewritten] = await through(agent, post(`${SECRET}.`, digests), '].', server);
    assert.match(rewritten, /\r\nX-A: b\r\n/);
    assert.doesNotMatch(rewritten, /MD5|digest/i);
    agent.destroy();
  });

  for (const shape of SHAPES) {
    for (const later of [false, true]) {
      const name = later ? `${shape}, later` : shape;

      it(`${name}: clean bodies keep every byte, the connection goes on`, async () => {
        use({ shape, later });
        const agent = await agentTo(house);
        const end = shape === 'free' ? '0\r\n\r\n' : 'time';
        const [, server] = await through(agent, post('the first time', 'X-A:  b \r\n'), end);
        const [got] = await through(agent, post('second time', 'X-A:  c \r\n'), end, server);
        const framing = shape === 'free' ? 'Transfer-Encoding: chunked' : 'Content-Length: 11';
        const head = `POST /up HTTP/1.1\r\nHost: plain.test\r\nX-A:  c \r\n${framing}\r\n\r\n`;
        assert.equal(got.slice(0, head.length), head);
        const body = got.slice(head.length);
        assert.equal(shape === 'free' ? unchunked(body) : body, 'second time');
        assert.equal(last()?.exchange.requestBytes, 11);
        agent.destroy();
      });

      it(`${name}: a length-delimited body is rewritten`, async () => {
        use({ shape, later });
        const agent = await agentTo(house);
        const body = `before ${SECRET} after`;
        const [got] = await through(agent, post(body), shape === 'free' ? '0\r\n\r\n' : 'after');
        const expected = `before ${LABEL[shape]} after`;
        const [head, sent = ''] = got.split(/(?<=\r\n\r\n)/s, 2) as [string, string];
        if (shape === 'free') {
          assert.match(head, /\r\nTransfer-Encoding: chunked\r\n/);
          assert.doesNotMatch(head, /content-length/i);
          assert.equal(unchunked(got.slice(head.length)), expected);
        } else {
          assert.match(head, new RegExp(`\r\nContent-Length: ${expected.length}\r\n`));
          assert.equal(sent, expected);
        }
        assert.equal(last()?.exchange.requestBytes, body.length, 'what the agent sent');
        agent.destroy();
      });

      it(`${name}: a chunked body with extensions and trailers, byte by byte`, async () => {
        use({ shape, later });
        house.corridor.checkTrailers = (_exchange, direction, fields) => {
          assert.equal(direction, 'request');
          assert.deepEqual(fields, ['X-Sum', 'abc', 'X-Key', 'sesame']);
          return new Map([[1, 'gone']]);
        };
        const agent = await agentTo(house);
        const body = `${chunk('before ')}5;x="y"\r\nopen-\r\n${chunk('sesame')}${chunk(' after')}0;z\r\nX-Sum: abc\r\nX-Key:\tsesame \r\n\r\n`;
        const before = house.corridor.closed.length;
        for (const byte of chunked(body)) await agent.send(byte);
        const server = await house.origin.next();
        const got = (await server.until('X-Key')).toString() + (await server.until('\r\n\r\n')).toString();
        const expected = `before ${LABEL[shape]} after`;
        if (shape === 'same') {
          assert.ok(got.endsWith('0;z\r\nX-Sum: abc\r\nX-Key:\tgone\r\n\r\n'), got);
          assert.ok(got.includes('5;x="y"\r\n*****\r\n6\r\n******\r\n'), got);
        } else {
          assert.ok(got.endsWith('\r\n0\r\nX-Sum: abc\r\nX-Key:\tgone\r\n\r\n'), got);
          assert.equal(unchunked(got.slice(got.indexOf('\r\n\r\n') + 4)), expected);
        }
        await server.send(OK);
        await agent.until('ok');
        await house.corridor.whenClosed(before + 1);
        assert.equal(last()?.exchange.requestBytes, body.length);
        house.corridor.checkTrailers = () => undefined;
        agent.destroy();
      });
    }

    it(`${shape}: a clean chunked body`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const body = `3;a\r\nabc\r\n${chunk('defghij')}0\r\nX-T: 1\r\n\r\n`;
      const [got] = await through(agent, chunked(body), 'X-T: 1\r\n\r\n');
      const sent = got.slice(got.indexOf('\r\n\r\n') + 4);
      if (shape === 'free') assert.equal(unchunked(sent), 'abcdefghij');
      else assert.equal(sent, body);
      agent.destroy();
    });

    it(`${shape}: payload that looks like framing, in pieces`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const before = house.corridor.closed.length;
      const pieces = ['10\r\nab', '\r\n0\r\n\r\n', '\r\n5\r\ncd', '\r\n', '0\r\n\r\n'];
      await agent.send(chunked(''));
      let size = 0;
      for (const piece of pieces) {
        await agent.send(piece);
        size += piece.length;
        // Each piece is a read of its own.
        for (let i = 0; i < 5; i++) await pause();
      }
      const server = await house.origin.next();
      const head = (await server.until('\r\n\r\n')).toString();
      if (shape === 'free') await server.until('cd\r\n0\r\n\r\n');
      else assert.equal((await server.bytes(size)).toString(), pieces.join(''), head);
      if (shape === 'free')
        assert.equal(unchunked(server.received.toString().slice(head.length)), 'ab\r\n0\r\n\r\n\r\n5\r\ncd');
      await server.send(OK);
      await agent.until('ok');
      await house.corridor.whenClosed(before + 1);
      agent.destroy();
    });

    it(`${shape}: an empty chunked body`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const [got] = await through(agent, chunked('0\r\n\r\n'), '0\r\n\r\n');
      assert.ok(got.endsWith('chunked\r\n\r\n0\r\n\r\n'));
      agent.destroy();
    });

    it(`${shape}: pipelined requests are filtered one by one`, async () => {
      use({ shape, later: true });
      const agent = await agentTo(house);
      await agent.send(post(`one ${SECRET}.`) + post(`two ${SECRET}.`) + post('three.'));
      const server = await house.origin.next();
      for (const word of ['one', 'two', 'three']) {
        await server.until('\r\n\r\n');
        let got = '';
        while (!got.includes('.')) got += (await server.bytes(1)).toString();
        assert.ok(got.includes(word), got);
        if (shape === 'free') await server.until('0\r\n\r\n');
        await server.send(OK);
      }
      for (let i = 0; i < 3; i++) await agent.until('ok');
      agent.destroy();
    });

    it(`${shape}: what is stopped in the first read opens no upstream; a complete one keeps the connection`, async () => {
      use({ shape });
      const dialled = house.corridor.links.length;
      const agent = await agentTo(house);
      const before = house.corridor.closed.length;
      await agent.send(post(`a ${POISON} b`) + post('fine'));
      assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 403 /);
      assert.equal(house.corridor.closed[before]?.facts.outcome, 'blocked');
      assert.equal(house.corridor.closed[before]?.exchange.requestBytes, shape === 'whole' ? 0 : POISON.length + 4);
      assert.equal(house.corridor.links.length, dialled);
      const server = await house.origin.next();
      const got = (await server.until('fine')).toString();
      assert.ok(!got.includes(POISON));
      await server.send(OK);
      await agent.until('ok');
      agent.destroy();
    });

    it(`${shape}: stopped in mid-upload: 403, the upstream sees a reset and no poison`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const before = house.corridor.closed.length;
      const start = 'x'.repeat(100);
      await agent.send(post(`${start}${POISON}${'y'.repeat(100)}`).slice(0, -110));
      const server = shape === 'whole' ? undefined : await house.origin.next();
      if (server !== undefined) await server.until('xxxx');
      await agent.send(`${POISON}${'y'.repeat(100)}`);
      const answer = (await agent.until('}')).toString();
      assert.match(answer, /^HTTP\/1\.1 403 /);
      await house.corridor.whenClosed(before + 1);
      assert.equal(last()?.facts.outcome, 'blocked');
      if (server === undefined) return agent.destroy();
      assert.match(answer, /connection: close/);
      assert.equal(await server.ended(), 'rst');
      assert.ok(!server.received.includes(POISON));
      assert.equal(await agent.ended(), 'fin');
      agent.destroy();
    });

    it(`${shape}: the agent goes away while it is held`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const before = house.corridor.closed.length;
      await agent.send('POST http://plain.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc');
      const server = shape === 'whole' ? undefined : await house.origin.next();
      while (log.written < 3) await pause();
      agent.rst();
      await house.corridor.whenClosed(before + 1);
      assert.equal(last()?.facts.outcome, 'client-gone');
      assert.equal(log.abandoned, 1);
      if (server !== undefined) assert.notEqual(await server.ended(), 'open');
    });

    it(`${shape}: the agent ends inside its body`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const before = house.corridor.closed.length;
      await agent.send('POST http://plain.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc');
      const server = shape === 'whole' ? undefined : await house.origin.next();
      agent.fin();
      if (server !== undefined) {
        assert.equal(await server.ended(), 'fin');
        server.fin();
      }
      await house.corridor.whenClosed(before + 1);
      assert.equal(last()?.facts.outcome, 'client-gone');
      assert.equal(log.abandoned, 1);
      assert.equal(log.ended, 0);
      agent.destroy();
    });

    it(`${shape}: a half-closed agent is served`, async () => {
      use({ shape, later: true });
      const agent = await agentTo(house);
      await agent.send(post('complete body'));
      agent.fin();
      const server = await house.origin.next();
      await server.until(shape === 'free' ? '0\r\n\r\n' : 'body');
      assert.equal(await server.ended(), 'fin', 'the agent’s FIN, after all of its bytes');
      await server.send(OK);
      server.fin();
      await agent.until('ok');
      agent.destroy();
    });

    it(`${shape}: broken chunking`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      await agent.send(chunked(chunk('abc')));
      const server = shape === 'whole' ? undefined : await house.origin.next();
      if (server !== undefined) await server.until('\r\n\r\n');
      while (log.written < 3) await pause();
      await agent.send('zz\r\n');
      assert.match((await agent.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 400 /);
      if (server !== undefined) assert.equal(await server.ended(), 'rst');
      assert.equal(log.abandoned, 1);
      agent.destroy();
    });

    it(`${shape}: revoked while held`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      const before = house.corridor.closed.length;
      await agent.send('POST http://plain.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc');
      while (log.written < 3) await pause();
      house.corridor.revoke(house.corridor.opened.at(-1) as never);
      assert.notEqual(await agent.ended(), 'open');
      await house.corridor.whenClosed(before + 1);
      assert.equal(last()?.facts.closeReason, 'revoked');
      assert.equal(log.abandoned, 1);
    });

    it(`${shape}: a slow filter gets all of a large body`, async () => {
      use({ shape, slow: true });
      const agent = await agentTo(house);
      const body = 'z'.repeat(1_000_000);
      void agent.send(post(body));
      const server = await house.origin.next();
      const head = (await server.until('\r\n\r\n')).toString();
      const got =
        shape === 'free' ? unchunked((await server.until('0\r\n\r\n')).toString()) : await server.bytes(body.length);
      assert.equal(got.length, body.length, head);
      await server.send(OK);
      await agent.until('ok');
      agent.destroy();
    });

    it(`${shape}: 1000 requests one after the other on one connection`, async () => {
      use({ shape });
      const agent = await agentTo(house);
      let server: Peer | undefined;
      for (let i = 0; i < 1000; i++) {
        await agent.send(post(`n ${i} ${SECRET}!`));
        server ??= await house.origin.next();
        await server.until(shape === 'free' ? '0\r\n\r\n' : '!');
        await server.send(OK);
        await agent.until('ok');
      }
      assert.equal(server?.received.includes(SECRET), false);
      agent.destroy();
    });
  }

  it('whole: 100 Continue is ours, and Expect does not go on', async () => {
    use({ shape: 'whole' });
    const agent = await agentTo(house);
    await agent.send(
      'POST http://plain.test/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
    );
    assert.equal((await agent.until('\r\n\r\n')).toString(), 'HTTP/1.1 100 Continue\r\n\r\n');
    const [got] = await through(agent, 'body', 'body');
    assert.equal(got, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
    agent.destroy();
  });

  it('same: 100 Continue is the upstream’s; an answer before the body ends the hold', async () => {
    use({ shape: 'same' });
    const agent = await agentTo(house);
    const before = house.corridor.closed.length;
    const head = 'POST http://plain.test/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n';
    await agent.send(head);
    const server = await house.origin.next();
    assert.match((await server.until('\r\n\r\n')).toString(), /Expect: 100-continue/);
    await server.send('HTTP/1.1 100 Continue\r\n\r\n');
    await agent.until('100 Continue\r\n\r\n');
    await agent.send('0123456789');
    await server.send(OK);
    await agent.until('ok');
    assert.equal(house.corridor.closed.length, before, 'the request is not over');
    await agent.send(SECRET.slice(0, 10));
    await server.until('0123456789');
    await server.until(SECRET.slice(0, 10));
    await house.corridor.whenClosed(before + 1);
    const [got] = await through(agent, post('again!'), 'again!', server);
    assert.ok(got.endsWith('again!'));
    agent.destroy();
  });

  it('stopped after the response has begun: the response ends, and its cut is recorded', async () => {
    use({ shape: 'same' });
    const agent = await agentTo(house);
    const before = house.corridor.closed.length;
    await agent.send(chunked(chunk('x'.repeat(50))));
    const server = await house.origin.next();
    await server.until('xxx');
    await server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n');
    await agent.until('hi\r\n');
    await agent.send(chunk(POISON));
    assert.equal(await agent.ended(), 'fin');
    assert.equal(await server.ended(), 'rst');
    assert.ok(!server.received.includes(POISON));
    await house.corridor.whenClosed(before + 1);
    assert.deepEqual(last()?.facts, { outcome: 'blocked', error: 'policy-denied', closeReason: 'cut' });
    agent.destroy();
  });

  it('an upstream that resets while a free body is held', async () => {
    use({ shape: 'free' });
    const agent = await agentTo(house);
    await agent.send(chunked(chunk('x'.repeat(50))));
    const server = await house.origin.next();
    await server.until('xxx');
    server.rst();
    assert.match((await agent.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 502 /);
    assert.equal(log.abandoned, 1);
    agent.destroy();
  });

  it('a fixed upstream that leaves while a whole body is held ends the connection, as a direct one would', async () => {
    use({ shape: 'whole' });
    const agent = await agentTo(house, 'link');
    const server = await house.origin.next();
    const before = house.corridor.closed.length;
    await agent.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc');
    while (log.written < 3) await pause();
    server.fin();
    assert.equal(await agent.ended(), 'fin');
    await house.corridor.whenClosed(before + 1);
    assert.equal(last()?.facts.error, 'upstream-closed');
    assert.equal(server.received.length, 0);
    agent.destroy();
  });

  it('on a fixed upstream: nothing is written of what is stopped, and the connection goes on', async () => {
    use({ shape: 'whole', later: true });
    const agent = await agentTo(house, 'link');
    const server = await house.origin.next();
    await agent.send(post(POISON, '', 'link'));
    assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 403 /);
    const [got] = await through(agent, post('clean', '', 'link'), 'clean', server);
    assert.ok(got.startsWith('POST /up HTTP/1.1\r\n'));
    agent.destroy();
  });

  it('a body the filter does not want goes as ever', async () => {
    const made = fakeFilter({});
    house.corridor.filter = made.filter;
    const agent = await agentTo(house);
    const [got] = await through(agent, post(SECRET), SECRET);
    assert.ok(got.endsWith(`\r\n\r\n${SECRET}`));
    assert.deepEqual(made.log.asked, [
      { direction: 'request', length: SECRET.length },
      { direction: 'response', length: 2 },
    ]);
    agent.destroy();
  });

  it('HTTP/1.0: whole and same as ever; free cannot be framed', async () => {
    const old = 'POST http://plain.test/ HTTP/1.0\r\nHost: a\r\nContent-Length: 11\r\n\r\n';
    for (const shape of ['whole', 'same'] as const) {
      use({ shape });
      const agent = await agentTo(house);
      const [got] = await through(agent, old + SECRET, LABEL[shape]);
      assert.match(got, /^POST \/ HTTP\/1\.0\r\n/);
      agent.destroy();
    }
    use({ shape: 'free' });
    const agent = await agentTo(house);
    await agent.send(old + SECRET);
    assert.match((await agent.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 400 /);
    agent.destroy();
  });

  it('an upstream that does not read makes the agent wait', async () => {
    use({ shape: 'same' });
    const agent = await dial(house.port('plain'));
    agent.write('POST http://plain.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 400000000\r\n\r\n');
    const server = await house.origin.next();
    await server.until('\r\n\r\n');
    const link = house.corridor.links.at(-1)?.socket;
    assert.ok(link !== undefined);
    // The origin stops reading at its end.
    server.pause();
    const all = 256 << 20;
    agent.write(Buffer.alloc(all, 'q'));
    for (let i = 0; i < 1000 && !link.writableNeedDrain; i++) await pause();
    assert.ok(link.writableNeedDrain);
    for (let i = 0; i < 20; i++) await pause();
    assert.ok(link.writableLength < 1 << 20, `${link.writableLength} bytes wait for the upstream`);
    const taken = house.corridor.opened.at(-1)?.requestBytes ?? 0;
    assert.ok(taken < all, `${taken} bytes were read`);
    server.resume();
    for (let i = 0; i < 1000 && (house.corridor.opened.at(-1)?.requestBytes ?? 0) === taken; i++) await pause();
    assert.ok((house.corridor.opened.at(-1)?.requestBytes ?? 0) > taken, 'it goes on');
    agent.destroy();
  });

  it('what was found in the head is taken out of it', async () => {
    house.corridor.filter = () => undefined;
    house.corridor.check = (exchange) => {
      assert.equal(exchange.request.target, '/p?k=secret');
      return { forward: true, edits: { target: '/p?k=[X]', values: new Map([[1, 'gone']]) } };
    };
    for (const way of ['plain', 'link'] as const) {
      const agent = await agentTo(house, way);
      const target = way === 'plain' ? 'http://plain.test/p?k=secret' : '/p?k=secret';
      const proxy = way === 'plain' ? 'Proxy-Authorization: Basic eDp5\r\n' : '';
      const value = way === 'plain' ? 'X-Last:  v \r\n' : 'X-Last: v\r\n';
      const fields = `Host: plain.test\r\nX-Key: \tsecret \r\n${proxy}${value}Content-Length: 4\r\n\r\n`;
      const [got] = await through(agent, `POST ${target} HTTP/1.1\r\n${fields}body`, 'body');
      assert.equal(
        got,
        `POST /p?k=[X] HTTP/1.1\r\nHost: plain.test\r\nX-Key: \tgone\r\n${value}Content-Length: 4\r\n\r\nbody`,
      );
      agent.destroy();
    }
    house.corridor.check = () => ({ forward: true });
  });

  it('a head is edited and a body held in one request', async () => {
    use({ shape: 'whole' });
    house.corridor.check = () => ({ forward: true, edits: { values: new Map([[0, 'other.test']]) } });
    const agent = await agentTo(house);
    const [got] = await through(agent, post(SECRET), LABEL.whole);
    assert.equal(got, `POST /up HTTP/1.1\r\nHost: other.test\r\nContent-Length: 10\r\n\r\n${LABEL.whole}`);
    house.corridor.check = () => ({ forward: true });
    agent.destroy();
  });

  it('a refused dial after the verdict', async () => {
    use({ shape: 'whole' });
    const { reach } = house.corridor;
    house.corridor.reach = async () => ({ answer: answerOf('connect-refused') });
    const agent = await agentTo(house);
    await agent.send(post('abc'));
    assert.match((await agent.until('}')).toString(), /^HTTP\/1\.1 502 /);
    house.corridor.reach = reach;
    agent.destroy();
  });
});

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** The payload of chunks up to the last one. */
