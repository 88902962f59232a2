import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ContentFilter } from '../../../src/model/ports.ts';
import { fakeFilter, POISON } from '../../support/fake-filter.ts';
import { type House, openHouse } from '../../support/http1-house.ts';
import type { Peer } from '../../support/peer.ts';

const LONG = 'x'.repeat(40_000);

/** Parts of one body; before the second one the origin has something of the first, unless all come `atOnce`. */
interface Moment {
  readonly parts: readonly string[];
  readonly atOnce?: boolean;
}
const MOMENTS: Readonly<Record<string, Moment>> = {
  'with the first bytes': { parts: [`${POISON}${LONG}`] },
  'with all there is': { parts: [POISON] },
  'in the middle': { parts: [LONG, `${POISON}${LONG}`] },
  'in the middle, all at once': { parts: [LONG, POISON, LONG], atOnce: true },
  'with the last bytes': { parts: [LONG, POISON] },
  'with the last bytes, all at once': { parts: [LONG, POISON], atOnce: true },
};

/** The body as it is sent, part by part, and its framing field. */
const FRAMINGS: Readonly<Record<string, (parts: readonly string[]) => { field: string; sent: string[] }>> = {
  length: (parts) => ({ field: `Content-Length: ${parts.join('').length}`, sent: [...parts] }),
  chunked: (parts) => {
    const sent = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
    sent[sent.length - 1] += '0\r\n\r\n';
    return { field: 'Transfer-Encoding: chunked', sent };
  },
  'chunked with trailers': (parts) => {
    const sent = parts.map((part) => `${part.length.toString(16)};a=b\r\n${part}\r\n`);
    sent[sent.length - 1] += '0\r\nX-Sum: 1\r\n\r\n';
    return { field: 'Transfer-Encoding: chunked', sent };
  },
};

/** Whether what an origin received is a whole request (RFC 9112 §6.3). */
function looksWhole(received: Buffer): boolean {
  const text = received.toString('latin1');
  const at = text.indexOf('\r\n\r\n');
  if (at < 0) return false;
  const body = text.slice(at + 4);
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, at))?.[1];
  return length === undefined ? /(^|\r\n)0+(;[^\r]*)?\r\n/.test(body) : body.length >= Number(length);
}

describe('HTTP/1 relay: a stopped upload is broken off, never ended', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house.close());

  for (const way of ['plain', 'link', 'tls'] as const) {
    for (const shape of ['same', 'free'] as const satisfies readonly ContentFilter['shape'][]) {
      for (const later of [false, true]) {
        for (const [framing, frame] of Object.entries(FRAMINGS)) {
          it(`${way}, ${shape}${later ? ', later' : ''}, ${framing}: at every moment`, async () => {
            for (const [name, { parts, atOnce }] of Object.entries(MOMENTS)) {
              house.corridor.filter = fakeFilter({ request: { shape, later } }).filter;
              const before = house.corridor.closed.length;
              const origin = way === 'tls' ? house.tlsOrigin : house.origin;
              origin.forget();
              const known = origin.accepted();
              const agent = await house.lanes(way).relayed.open();
              const servers: Peer[] = [];
              const { field, sent } = frame(parts);
              const target = way === 'plain' ? 'http://plain.test/up' : '/up';
              await agent.send(`POST ${target} HTTP/1.1\r\nHost: plain.test\r\n${field}\r\n\r\n`);
              const dials = atOnce !== true && sent.length > 1;
              if (atOnce === true) await agent.send(sent.join(''));
              for (const [i, part] of atOnce === true ? [] : sent.entries()) {
                await agent.send(part);
                if (i > 0 || !dials) continue;
                servers.push(await origin.next());
                await servers[0]?.until('xxxx');
              }
              assert.match((await agent.until('\r\n\r\n')).toString(), /^HTTP\/1\.1 403 /, name);
              await house.corridor.whenClosed(before + 1);
              assert.equal(house.corridor.closed.at(-1)?.facts.outcome, 'blocked', name);
              // A link that is given up at once may go before its handshake is done over there.
              const certain = way === 'tls' ? servers.length : origin.accepted() - known;
              while (servers.length < certain) servers.push(await origin.next());
              for (const peer of servers) {
                assert.equal(looksWhole(peer.received), false, `${name}: the upload looks complete`);
                assert.ok(!peer.received.includes(POISON), name);
                if (peer.received.length > 0) assert.notEqual(await peer.ended(), 'open', name);
              }
              agent.destroy();
            }
          });
        }
      }
    }
  }
});
