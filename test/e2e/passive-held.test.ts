import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { lane as laneOf } from '../support/lanes.ts';
import type { Peer } from '../support/peer.ts';
import { assertPassiveHttp2 } from '../support/play-http2.ts';
import { assertPassive } from '../support/scenario.ts';
import { MATRIX } from '../support/scenarios-http1.ts';
import { MATRIX2 } from '../support/scenarios-http2.ts';
import { PASSIVE } from '../support/scenarios-passive.ts';
import { type House, type Http2House, openHouse, openHttp2House } from './harness.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. */
const SECRET = ['ghp', 'vQ3mZ8pT1xW6rB9nK4cH7sD2fL5gJ0yAeUiO'].join('_');
const LABEL = '[GITHUB PERSONAL ACCESS TOKEN_REDACTED]';
const LANES = ['plain', 'intercepted'] as const;

/** What redact and enforce do not leave as it is, by design. */
const CHANGED: readonly RegExp[] = [
  // A fragmented message waits for its end.
  /^WebSocket: text, binary, fragmented/,
  // What is no WebSocket frame is not passed on as one.
  /^WebSocket over HTTP\/2/,
  // Chunks are made anew; a short declared body waits for its end, and so does everything that needs its beginning.
  /^streamed POST: (odd chunk sizes|with a length)/,
  /^100: /,
  /^early answer/,
  /^reset: by the (origin|agent) in the middle/,
  /^short body/,
  // A message that ends in digits waits a moment, fifty of them too long for a test.
  /^duplex: lock-step/,
];
/** What cannot be read is refused. */
const REFUSED = /^Upgrade to an unknown protocol/;
const unchanged = <T extends { readonly name: string }>(mode: string, list: readonly T[]): T[] =>
  list.filter(
    ({ name }) => !CHANGED.some((changed) => changed.test(name)) && !(mode === 'enforce' && REFUSED.test(name)),
  );

const settings = (mode: string) => ({ mode, baseline: { ready_after_requests: 0 } });

for (const mode of ['redact', 'enforce']) {
  describe(`${mode}: what is clean goes through unchanged`, () => {
    let house: House;
    before(async () => {
      house = await openHouse(settings(mode));
    });
    after(() => house?.close());
    for (const name of LANES) {
      for (const scenario of unchanged(mode, [...PASSIVE, ...MATRIX])) {
        it(`${name} × ${scenario.name}`, () => assertPassive(scenario, name, house.parts));
      }
    }
  });

  describe(`${mode}: what is clean goes through unchanged over HTTP/2`, () => {
    let house: Http2House;
    before(async () => {
      house = await openHttp2House(settings(mode));
    });
    after(() => house?.close());
    for (const scenario of unchanged(mode, MATRIX2)) {
      it(scenario.name, () => {
        const { direct, proxied } = house.lanes('intercepted');
        return assertPassiveHttp2(scenario, direct, proxied);
      });
    }
  });
}

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const PAD = 'lorem ipsum dolor sit amet\n'.repeat(40_000);

for (const name of LANES) {
  describe(`redact and enforce on the wire: ${name}`, () => {
    let redact: House;
    let enforce: House;
    before(async () => {
      redact = await openHouse(settings('redact'));
      enforce = await openHouse(settings('enforce'));
    });
    after(async () => {
      await redact?.close();
      await enforce?.close();
    });

    /** Opens a connection and sends the head of a POST with these fields; the origin's end when it has the head. */
    const begin = async (house: House, fields: string): Promise<[Peer, () => Promise<Peer>]> => {
      const lane = laneOf(name, house.parts);
      const agent = await lane.open();
      await agent.send(`POST ${lane.target('/up')} HTTP/1.1\r\nHost: ${lane.host}\r\n${lane.fields}${fields}\r\n`);
      return [agent, () => lane.origin.next()];
    };

    for (const framing of ['a length', 'chunks'] as const) {
      it(`enforce: a secret deep in an upload with ${framing} never leaves, and the agent is told`, async () => {
        const body = `${PAD}key=${SECRET}\n${PAD}`;
        const sized = framing === 'a length';
        const field = sized ? `Content-Length: ${body.length}` : 'Transfer-Encoding: chunked';
        const [agent, origin] = await begin(enforce, `Content-Type: text/plain\r\n${field}\r\n`);
        const sent = agent.send(sized ? body : `${chunk(PAD)}${chunk(`key=${SECRET}\n`)}${chunk(PAD)}0\r\n\r\n`);
        const server = await origin();
        assert.match((await agent.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 403 /);
        assert.notEqual(await server.ended(), 'open');
        await sent;
        assert.ok(server.received.length > 0);
        assert.ok(!server.received.includes(SECRET) && !server.received.includes(SECRET.slice(0, 20)));
        assert.ok(!server.received.subarray(-5).equals(Buffer.from('0\r\n\r\n')), 'it must not look whole');
        agent.destroy();
      });

      it(`redact: the same upload with ${framing} arrives with a label`, async () => {
        const body = `${PAD}key=${SECRET}\nthe end`;
        const sized = framing === 'a length';
        const field = sized ? `Content-Length: ${body.length}` : 'Transfer-Encoding: chunked';
        const [agent, origin] = await begin(redact, `Content-Type: text/plain\r\n${field}\r\n`);
        const sent = agent.send(sized ? body : `${chunk(body)}0\r\n\r\n`);
        const server = await origin();
        await server.until(sized ? 'the end' : '0\r\n\r\n');
        await sent;
        await server.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        await agent.until('ok');
        assert.ok(!server.received.includes(SECRET.slice(0, 20)));
        if (!sized) assert.ok(server.received.includes(LABEL));
        else assert.equal(server.received.length - server.received.indexOf('\r\n\r\n') - 4, body.length);
        agent.destroy();
      });
    }

    it('redact: heads and trailers both ways, on one connection that goes on', async () => {
      const lane = laneOf(name, redact.parts);
      const agent = await lane.open();
      const target = lane.target(`/q?note=${SECRET}&x=1`);
      await agent.send(
        `POST ${target} HTTP/1.1\r\nHost: ${lane.host}\r\n${lane.fields}X-Note:  ${SECRET} \r\nTransfer-Encoding: chunked\r\n\r\n${chunk('hello')}0\r\nX-Tail: ${SECRET}\r\n\r\n`,
      );
      const server = await lane.origin.next();
      const got = `${await server.until('\r\n\r\n')}${await server.until('X-Tail')}${await server.until('\r\n\r\n')}`;
      assert.ok(!got.includes(SECRET), got);
      assert.ok(got.includes('hello') && got.split('_REDACTED').length === 4, got);
      await server.send(
        `HTTP/1.1 200 OK\r\nX-Note: ${SECRET}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('fine')}0\r\nX-Tail: ${SECRET}\r\n\r\n`,
      );
      const back = `${await agent.until('\r\n\r\n')}${await agent.until('X-Tail')}${await agent.until('\r\n\r\n')}`;
      assert.ok(!back.includes(SECRET), back);
      assert.ok(back.includes('fine') && back.split('_REDACTED').length === 3, back);
      await agent.send(`GET ${lane.target('/again')} HTTP/1.1\r\nHost: ${lane.host}\r\n${lane.fields}\r\n`);
      await server.until('\r\n\r\n');
      await server.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain');
      await agent.until('again');
      agent.destroy();
    });

    it('redact: an event stream flows, and the event with a secret carries a label', async () => {
      const lane = laneOf(name, redact.parts);
      const agent = await lane.open();
      await agent.send(`GET ${lane.target('/events')} HTTP/1.1\r\nHost: ${lane.host}\r\n${lane.fields}\r\n`);
      const server = await lane.origin.next();
      await server.until('\r\n\r\n');
      await server.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
      await agent.until('\r\n\r\n');
      for (const word of ['one', 'two']) {
        await server.send(chunk(`data: ${word}\n\n`));
        await agent.until(`data: ${word}\n\n`);
      }
      await server.send(chunk(`data: ${SECRET}\n\n`));
      await agent.until(`data: ${LABEL}\n\n`);
      await server.send(chunk('data: three\n\n'));
      await server.send('0\r\n\r\n');
      await agent.until('data: three\n\n');
      assert.match((await agent.until('\r\n\r\n')).toString(), /0\r\nX-Strathon-Redacted: 1\r\n\r\n$/);
      assert.ok(!agent.received.includes(SECRET));
      agent.destroy();
    });

    it('redact: a short response says in its head how many places were rewritten', async () => {
      const lane = laneOf(name, redact.parts);
      const agent = await lane.open();
      await agent.send(`GET ${lane.target('/short')} HTTP/1.1\r\nHost: ${lane.host}\r\n${lane.fields}\r\n`);
      const server = await lane.origin.next();
      await server.until('\r\n\r\n');
      const body = `a ${SECRET} b`;
      await server.send(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      const expected = `a ${LABEL} b`;
      const head = (await agent.until('\r\n\r\n')).toString();
      assert.ok(head.includes(`Content-Length: ${expected.length}\r\nX-Strathon-Redacted: 1\r\n`), head);
      assert.equal((await agent.bytes(expected.length)).toString(), expected);
      agent.destroy();
    });
  });
}
