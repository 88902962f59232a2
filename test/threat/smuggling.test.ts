import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type House, openHouse } from '../e2e/harness.ts';
import { AGENT_FIELDS, HOSTS, type LaneName, lane } from '../support/lanes.ts';

const LANES = ['plain', 'connect', 'intercepted'] as const satisfies readonly LaneName[];
const HIDDEN = 'GET /smuggled HTTP/1.1\r\nHost: hidden.test\r\n\r\n';

/** Framing lines that two parsers read differently, each in front of a body that hides a second request. */
const AMBIGUOUS: Readonly<Record<string, string>> = {
  'length and chunked': `Content-Length: ${5 + HIDDEN.length}\r\nTransfer-Encoding: chunked\r\n`,
  'chunked and length': 'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n',
  'two lengths': `Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n`,
  'a list of lengths': `Content-Length: 0, ${HIDDEN.length}\r\n`,
  'a signed length': 'Content-Length: +0\r\n',
  'a hexadecimal length': 'Content-Length: 0x0\r\n',
  'a negative length': 'Content-Length: -1\r\n',
  'a length with a tail': 'Content-Length: 0 0\r\n',
  'an empty length': 'Content-Length: \r\n',
  'a length of 2^64': 'Content-Length: 18446744073709551616\r\n',
  'a coding that only ends like chunked': 'Transfer-Encoding: xchunked\r\n',
  'a coding before a byte above 0x7f': 'Transfer-Encoding: \xf4chunked\r\n',
  'a vertical tab before chunked': 'Transfer-Encoding: \x0bchunked\r\n',
  'chunked twice': 'Transfer-Encoding: chunked, chunked\r\n',
  'chunked not last': 'Transfer-Encoding: chunked, identity\r\n',
  'another coding first': 'Transfer-Encoding: gzip, chunked\r\n',
  'identity only': 'Transfer-Encoding: identity\r\n',
  'two Transfer-Encoding lines': 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n',
  'a space before the colon': 'Transfer-Encoding : chunked\r\n',
  'a folded coding': 'Transfer-Encoding:\r\n chunked\r\n',
  'a bare LF between fields': 'X-A: 1\nTransfer-Encoding: chunked\r\n',
  'a bare CR in a value': 'X-A: 1\rTransfer-Encoding: chunked\r\n',
  'a NUL in a value': 'X-A: 1\0\r\n',
  'a name with a space': 'X A: 1\r\n',
  'no name': ': 1\r\n',
  'no colon': 'Transfer-Encoding chunked\r\n',
  'a space before the first field': ' X-A: 1\r\n',
};

describe('threat E8: a message with two readings is refused before anything is dialled', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house?.close());

  const attempt = async (name: LaneName, bytes: string, refused = true): Promise<void> => {
    const road = lane(name, house.parts);
    road.origin.forget();
    const before = road.origin.accepted();
    const agent = await road.open();
    try {
      const dialled = road.origin.accepted() - before;
      await agent.send(bytes);
      if (refused) assert.match((await agent.until('\r\n')).toString('latin1'), /^HTTP\/1\.1 400 /);
      await agent.ended();
      assert.equal(/HTTP\/1\.1 [123]/.test(agent.received.toString('latin1')), false, 'no second answer');
      if (name === 'plain' && refused) assert.equal(road.origin.accepted(), before, 'nothing was dialled');
      const reached = road.origin.accepted() > before ? (await road.origin.next()).received.toString('latin1') : '';
      assert.equal(reached.includes('/smuggled'), false, `reached the origin: ${reached}`);
      if (refused) assert.equal(reached, '', `bytes reached the origin (${dialled} dialled before)`);
    } finally {
      agent.destroy();
    }
  };

  for (const name of LANES) {
    const host = name === 'intercepted' ? HOSTS.intercepted : HOSTS.plain;
    const target = (path: string): string => (name === 'plain' ? `http://${host}${path}` : path);
    const proxy = name === 'plain' ? AGENT_FIELDS : '';
    const head = (lines: string): string =>
      `POST ${target('/first')} HTTP/1.1\r\nHost: ${host}\r\n${proxy}${lines}\r\n`;

    for (const [what, lines] of Object.entries(AMBIGUOUS)) {
      it(`${name} × ${what}`, () => attempt(name, `${head(lines)}0\r\n\r\n${HIDDEN}`));
    }
    it(`${name} × two Host fields`, () => attempt(name, `${head('Host: hidden.test\r\n')}${HIDDEN}`));
    it(`${name} × no Host field`, () =>
      attempt(name, `GET ${target('/first')} HTTP/1.1\r\n${proxy}\r\n${HIDDEN}`, name !== 'plain'));
    it(`${name} × bare LF everywhere`, () => attempt(name, head('').replaceAll('\r\n', '\n') + HIDDEN));
    it(`${name} × chunked in HTTP/1.0`, () =>
      attempt(name, `${head('Transfer-Encoding: chunked\r\n').replace('HTTP/1.1', 'HTTP/1.0')}0\r\n\r\n${HIDDEN}`));

    const chunked = head('Transfer-Encoding: chunked\r\n');
    const chunks: Readonly<Record<string, string>> = {
      'a size that is not hexadecimal': 'zz\r\n',
      'a size of 2^64': '10000000000000000\r\n',
      'a size with a sign': '+1\r\na\r\n',
      'a bare LF after the size': '1\na\r\n',
      'a bare LF in an extension': '1;a\nb\r\na\r\n',
      'no CRLF after the data': '1\r\nabc\r\n',
    };
    for (const [what, bytes] of Object.entries(chunks)) {
      it(`${name} × chunk: ${what}`, () => attempt(name, `${chunked}${bytes}0\r\n\r\n${HIDDEN}`, false));
    }
  }
});

describe('threat W24: an ambiguous response poisons nobody', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house?.close());

  const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
  const LIES: Readonly<Record<string, string>> = {
    'length and chunked': `Content-Length: ${5 + POISON.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'two lengths': `Content-Length: 0\r\nContent-Length: ${POISON.length}\r\n\r\n`,
    'a coding that only ends like chunked': 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    'a space before the colon': 'Content-Length : 0\r\n\r\n',
  };
  for (const name of LANES) {
    for (const [what, lines] of Object.entries(LIES)) {
      it(`${name} × ${what}`, async () => {
        const road = lane(name, house.parts);
        road.origin.forget();
        const agent = await road.open();
        try {
          const request = `GET ${road.target('/x')} HTTP/1.1\r\nHost: ${road.host}\r\n${road.fields}\r\n`;
          await agent.send(request);
          const server = await road.origin.next();
          await server.until('\r\n\r\n');
          await server.send(`HTTP/1.1 200 OK\r\n${lines}${POISON}`);
          await agent.until('\r\n\r\n');
          await agent.send(request);
          await agent.ended();
          const answers = agent.received.toString('latin1').match(/HTTP\/1\.1 \d+/g) ?? [];
          assert.equal(answers.length, 1, 'the hidden answer became an answer of its own');
        } finally {
          agent.destroy();
        }
      });
    }
  }
});
