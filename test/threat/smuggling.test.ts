import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type House, openHouse } from '../e2e/harness.ts';
import {
  type Fortress,
  lastWords,
  linesOf,
  openFortress,
  ROADS,
  type Road,
  refusals,
  stillServes,
} from '../support/fortress.ts';
import { lane } from '../support/lanes.ts';
import { claim } from '../support/watched.ts';

/** Threats E8 and E9: a second request hidden in the first one never reaches an upstream (RFC 9112 §11.2). */
interface Trick {
  readonly name: string;
  /** Everything after Host, up to and with the empty line. */
  readonly fields: string;
  readonly body: string;
  /** The request line (with its end) for a target, where that is the trick. */
  readonly line?: (target: string) => string;
  /** The framing only breaks in the body, after the head may have gone on. */
  readonly inBody?: true;
  /** Not recognisable as HTTP: inside a CONNECT it is an opaque tunnel, judged as such. */
  readonly noHttp?: true;
}

const HIDDEN = 'GET /smuggled HTTP/1.1\r\nHost: plain.test\r\nX-Smuggled: 1\r\n\r\n';
const ZERO = `0\r\n\r\n${HIDDEN}`;

const framed = (name: string, fields: string, body = `hello${HIDDEN}`): Trick => ({
  name,
  fields: `${fields}\r\n\r\n`,
  body,
});
const coded = (name: string, coding: string): Trick => framed(name, `Transfer-Encoding:${coding}`, ZERO);
const lined = (name: string, line: (target: string) => string): Trick => ({
  name,
  line,
  fields: '\r\n',
  body: HIDDEN,
});
const chunks = (name: string, body: string): Trick => ({
  name,
  fields: 'Transfer-Encoding: chunked\r\n\r\n',
  body,
  inBody: true,
});

const TRICKS: readonly Trick[] = [
  framed('CL.TE', `Content-Length: ${ZERO.length}\r\nTransfer-Encoding: chunked`, ZERO),
  framed('TE.CL', 'Transfer-Encoding: chunked\r\nContent-Length: 4', `5c\r\n${HIDDEN}\r\n0\r\n\r\n`),
  framed('CL 0 with TE', 'Content-Length: 0\r\nTransfer-Encoding: chunked', ZERO),
  framed('two equal lengths', 'Content-Length: 5\r\nContent-Length: 5'),
  framed('two different lengths', 'Content-Length: 0\r\nContent-Length: 5'),
  framed('a list of equal lengths', 'Content-Length: 5, 5'),
  framed('a list of different lengths', 'Content-Length: 0, 5'),
  framed('a length with a plus', 'Content-Length: +5'),
  framed('a negative length', 'Content-Length: -5', HIDDEN),
  framed('a hexadecimal length', 'Content-Length: 0x5'),
  framed('an exponent', 'Content-Length: 5e0'),
  framed('an underscore', 'Content-Length: 5_0'),
  framed('an empty length', 'Content-Length:', HIDDEN),
  framed('a quoted length', 'Content-Length: "5"'),
  framed('a length with a tail', 'Content-Length: 0 0', HIDDEN),
  framed('a length beyond 2^64', 'Content-Length: 18446744073709551621'),
  framed('a length with a form feed', 'Content-Length: 5\x0c'),
  framed('a length with a no-break space', 'Content-Length: \xa05'),
  coded('a coding that only ends like chunked', ' xchunked'),
  coded('chunked not last', ' chunked, identity'),
  coded('identity', ' identity'),
  coded('another coding first', ' gzip, chunked'),
  coded('chunked twice', ' chunked, chunked'),
  coded('two Transfer-Encoding lines', ' chunked\r\nTransfer-Encoding: cow'),
  coded('two lines the other way round', ' cow\r\nTransfer-Encoding: chunked'),
  coded('a parameter', ' chunked;q=1'),
  coded('a quoted coding', ' "chunked"'),
  coded('a tab behind', ' chunked\t'),
  coded('a vertical tab before', ' \x0bchunked'),
  coded('a byte above 0x7f before', ' \xf4chunked'),
  coded('an empty coding', ''),
  coded('a folded coding', '\r\n chunked'),
  framed('a space before the colon', 'Transfer-Encoding : chunked\r\nContent-Length: 0', ZERO),
  framed('a tab before the colon', 'Content-Length\t: 5'),
  framed('a folded field', 'X-A: 1\r\n Content-Length: 60', HIDDEN),
  framed('a line without colon', 'Content-Length 5'),
  framed('a field without name', ': 5', HIDDEN),
  framed('a name with a space', 'X A: 1', HIDDEN),
  framed('bare LF ends a field', 'X-A: 1\nTransfer-Encoding: chunked', ZERO),
  { name: 'bare LF ends the head', fields: 'X-A: 1\r\n\n', body: HIDDEN },
  framed('bare CR in a field', 'X-A: 1\rTransfer-Encoding: chunked', ZERO),
  framed('CR CR LF', 'X-A: 1\r\r\nTransfer-Encoding: chunked', ZERO),
  framed('NUL in a value', 'X-A: a\0b\r\nContent-Length: 0', HIDDEN),
  framed('NUL in a name', 'X\0A: 1', HIDDEN),
  framed('a control byte in a value', 'X-A: a\x08b', HIDDEN),
  framed('a high byte in a name', 'Content-L\xe9ngth: 5'),
  framed('two Host fields', 'Host: elsewhere.test', HIDDEN),
  lined('a space before the first field', (target) => `POST ${target} HTTP/1.1\r\n X-A: 1\r\n`),
  lined('HTTP/1.2', (target) => `GET ${target} HTTP/1.2\r\n`),
  lined('HTTP/2.0', (target) => `GET ${target} HTTP/2.0\r\n`),
  lined('HTTP/0.9', (target) => `GET ${target}\r\n`),
  lined('two spaces in the request line', (target) => `GET  ${target} HTTP/1.1\r\n`),
  lined('a space in the target', (target) => `GET ${target} x HTTP/1.1\r\n`),
  lined('bare LF ends the request line', (target) => `GET ${target} HTTP/1.1\n`),
  lined('bare CR in the request line', (target) => `GET ${target}\rx HTTP/1.1\r\n`),
  { ...lined('a tab in the request line', (target) => `GET\t${target} HTTP/1.1\r\n`), noHttp: true },
  { ...coded('chunked in HTTP/1.0', ' chunked'), line: (target) => `POST ${target} HTTP/1.0\r\n` },
  chunks('a size with 0x', `0x0\r\n\r\n${HIDDEN}`),
  chunks('a negative size', `-1\r\n\r\n${HIDDEN}`),
  chunks('a size with a plus', `+0\r\n\r\n${HIDDEN}`),
  chunks('a size after a space', ` 0\r\n\r\n${HIDDEN}`),
  chunks('a size before a space', `0 \r\n\r\n${HIDDEN}`),
  chunks('a size with an underscore', `0_0\r\n\r\n${HIDDEN}`),
  chunks('a size that is no number', `zz\r\n\r\n${HIDDEN}`),
  chunks('a size beyond 2^64', `10000000000000000\r\n\r\n${HIDDEN}`),
  chunks('an empty size', `\r\n\r\n${HIDDEN}`),
  chunks('a size line that ends in LF', `0\n\r\n${HIDDEN}`),
  chunks('a size line that ends in CR CR LF', `0\r\r\n${HIDDEN}`),
  chunks('a chunk longer than its size', `1\r\nab\r\n${ZERO}`),
  chunks('a chunk that ends in LF', `1\r\na\n${ZERO}`),
  chunks('a bare LF in an extension', `5;a\nhello\r\n${ZERO}`),
  chunks('a CR in an extension', `5;a\rb\r\nhello\r\n${ZERO}`),
  chunks('a space before an extension', `0 ;a\r\n\r\n${HIDDEN}`),
  chunks('a NUL in an extension', `0;\0\r\n\r\n${HIDDEN}`),
  chunks('a trailer without colon', `0\r\nX\r\n\r\n${HIDDEN}`),
  chunks('a folded trailer', `0\r\nX: 1\r\n y\r\n\r\n${HIDDEN}`),
  chunks('a trailer that ends in LF', `0\r\nX: 1\n\r\n${HIDDEN}`),
  chunks('a last chunk that ends in LF', `0\r\n\n${HIDDEN}`),
];

const tricksOn = (road: Road): readonly Trick[] => TRICKS.filter(({ noHttp }) => road !== 'connect' || noHttp !== true);

/** The attack as bytes on a road: head and body. */
function bytesOf(trick: Trick, road: Road): readonly [string, string] {
  const host = road === 'intercepted' ? 'read.test' : 'plain.test';
  const target = road === 'plain' ? `http://${host}/front` : '/front';
  const line = trick.line?.(target) ?? `POST ${target} HTTP/1.1\r\n`;
  return [`${line}Host: ${host}\r\n${road === 'plain' ? claim('attacker') : ''}${trick.fields}`, trick.body];
}

describe('E8: what has no single reading is refused and nothing of it goes on', () => {
  let fortress: Fortress;
  /** Attacks that must have been counted and recorded. */
  let attacks = 0;
  before(async () => {
    fortress = await openFortress();
  });
  after(() => fortress?.close());

  const attack = async (road: Road, bytes: string): Promise<void> => {
    const { witness } = fortress.target(road);
    const counted = await refused(fortress);
    const peer = await fortress.open(road);
    witness.forget();
    const dialled = witness.accepted();
    attacks++;
    await peer.send(bytes);
    const answer = await lastWords(peer);
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1, 'one answer');
    assert.equal(witness.heard(), '', 'not one byte reached the upstream');
    // A CONNECT has dialled before it could know; here there is nothing to dial for.
    if (road === 'plain') assert.equal(witness.accepted(), dialled, 'nothing was dialled for it');
    assert.equal(await refused(fortress), counted + 1, 'counted once');
  };

  for (const road of ROADS) {
    for (const trick of tricksOn(road)) {
      it(`${road}: ${trick.name}`, () => attack(road, bytesOf(trick, road).join('')));
    }
    const { host, target } =
      road === 'intercepted'
        ? { host: 'read.test', target: '/front' }
        : { host: 'plain.test', target: road === 'plain' ? 'http://plain.test/front' : '/front' };
    it(`${road}: bare LF everywhere`, () => attack(road, `GET ${target} HTTP/1.1\nHost: ${host}\n\n${HIDDEN}`));
    it(`${road}: no Host`, () => attack(road, `GET ${target} HTTP/1.1\r\n\r\n${HIDDEN}`));

    for (const trick of TRICKS.filter(({ inBody }) => inBody)) {
      it(`${road}: ${trick.name}, after the head has gone on`, async () => {
        const { witness } = fortress.target(road);
        const peer = await fortress.open(road);
        witness.forget();
        const [head, body] = bytesOf(trick, road);
        await peer.send(head);
        await arrived(() => witness.heard().includes('/front'));
        await peer.send(body);
        await lastWords(peer);
        assert.doesNotMatch(witness.heard(), /smuggled/i);
      });
    }
  }

  it('every refusal is a finding with its reason', async () => {
    const lines = await linesOf(
      fortress.weir,
      attacks,
      ({ kind, rules }) => kind === 'finding' && /^(ambiguous-framing|bad-request)$/.test(rules.join()),
    );
    for (const line of lines) assert.ok((line.message ?? '').length > 10, JSON.stringify(line));
    await stillServes(fortress);
  });

  it('what is no HTTP at all is an opaque tunnel: recorded in monitor, closed in enforce', async () => {
    const bytes = `GET\t/front HTTP/1.1\r\nHost: plain.test\r\n\r\n${HIDDEN}`;
    const free = await fortress.open('connect', 'opaque');
    await free.send(bytes);
    await free.until('ok');
    free.destroy();
    const [line] = await linesOf(fortress.weir, 1, ({ agent, kind }) => agent === 'opaque' && kind === 'tunnel');
    assert.equal(line?.would, 'block');
    assert.ok(line?.rules.includes('opaque-protocol'), JSON.stringify(line));
    const strict = await fortress.open('connect', 'strict');
    fortress.plain.forget();
    await strict.send(bytes);
    assert.equal(await lastWords(strict), '');
    assert.equal(fortress.plain.heard(), '');
  });
});

describe('E9: the target decides, and a Host that differs is seen', () => {
  let fortress: Fortress;
  before(async () => {
    fortress = await openFortress();
  });
  after(() => fortress?.close());

  const ask = async (agent: string, target: string, host: string): Promise<string> => {
    fortress.plain.forget();
    const peer = await fortress.open('plain');
    await peer.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${claim(agent)}Connection: close\r\n\r\n`);
    return lastWords(peer);
  };

  it('absolute-form with another Host goes to the target in monitor, recorded as would block', async () => {
    assert.match(await ask('two-names', 'http://plain.test/named', 'elsewhere.test'), /^HTTP\/1\.1 200 /);
    const [line] = await linesOf(fortress.weir, 1, ({ agent, kind }) => agent === 'two-names' && kind === 'exchange');
    assert.equal(line?.would, 'block');
    assert.ok(line?.rules.includes('name-mismatch'), JSON.stringify(line));
    assert.match(line?.destination ?? '', /^plain\.test/);
  });

  it('absolute-form with another Host is blocked in enforce, and nothing reaches the upstream', async () => {
    assert.match(await ask('strict', 'http://plain.test/named', 'elsewhere.test'), /^HTTP\/1\.1 403 /);
    assert.equal(fortress.plain.heard(), '');
  });

  for (const [form, target] of [
    ['user information', 'http://plain.test@elsewhere.test/'],
    ['user information before the allowed name', 'http://elsewhere.test:80@plain.test/'],
    ['an unknown scheme', 'ftp://plain.test/'],
    ['a relative target', 'plain.test/'],
    ['an empty authority', 'http:///x'],
    ['a port that is none', 'http://plain.test:0/'],
    ['a port beyond 65535', 'http://plain.test:65536/'],
    ['a backslash for a slash', 'http://plain.test\\@elsewhere.test/'],
    ['a percent-encoded slash', 'http://plain.test%2felsewhere.test/'],
    ['a fragment', 'http://plain.test#@elsewhere.test/'],
  ] as const) {
    it(`${form} in the target`, async () => {
      assert.match(await ask('strict', target, 'plain.test'), /^HTTP\/1\.1 40[03] /);
      assert.equal(fortress.plain.heard(), '');
    });
  }
});

async function refused({ weir }: Fortress): Promise<number> {
  const counted = await refusals(weir);
  return (counted['ambiguous-framing'] ?? 0) + (counted['bad-request'] ?? 0);
}

async function arrived(condition: () => boolean): Promise<void> {
  for (let left = 100; left > 0 && !condition(); left--) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(condition(), 'the head did not reach the upstream');
}

describe('W24: an ambiguous response poisons nobody', () => {
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
  for (const name of ROADS) {
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
