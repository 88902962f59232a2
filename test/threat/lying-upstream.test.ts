import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type House, openHouse } from '../e2e/harness.ts';
import { linesOf, quiet } from '../support/fortress.ts';
import { type Lane, type LaneName, lane } from '../support/lanes.ts';
import type { Peer } from '../support/peer.ts';

const LANES = ['plain', 'connect', 'intercepted'] as const satisfies readonly LaneName[];

/** What the upstream sends, how it ends, and what must be left of it. `error` undefined = it was a good response after all. */
interface Lie {
  readonly name: string;
  act(server: Peer): Promise<void>;
  readonly error?: RegExp;
  /** Something the agent must never read. */
  readonly never?: RegExp;
}

const HEAD = 'HTTP/1.1 200 OK\r\n';
const send =
  (bytes: string, how: 'fin' | 'rst' | 'open' = 'fin') =>
  async (server: Peer): Promise<void> => {
    await server.send(bytes);
    if (how !== 'open') server[how]();
  };

const LIES: readonly Lie[] = [
  {
    name: 'a length that is too long',
    act: send(`${HEAD}Content-Length: 100\r\n\r\n0123456789`),
    error: /body-truncated|upstream/,
  },
  {
    name: 'a length that is too short',
    act: send(`${HEAD}Content-Length: 5\r\n\r\n01234HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`, 'open'),
    never: /poison/,
  },
  {
    name: 'chunks that never end',
    act: send(`${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`),
    error: /truncated|upstream/,
  },
  {
    name: 'a chunk size that is none',
    act: send(`${HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n`, 'open'),
    error: /malformed/,
  },
  { name: 'garbage', act: send('\x00\xff\x01garbage\r\n\r\n', 'open'), error: /malformed/ },
  { name: 'another protocol', act: send('220 mail ESMTP\r\n\r\n', 'open'), error: /malformed/ },
  { name: 'a TLS record', act: send('\x15\x03\x03\x00\x02\x02\x28\r\n\r\n', 'open'), error: /malformed/ },
  { name: 'HTTP/2 unasked', act: send('\x00\x00\x00\x04\x00\x00\x00\x00\x00\r\n\r\n', 'open'), error: /malformed/ },
  { name: 'HTTP/3.0', act: send('HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n', 'open'), error: /malformed/ },
  { name: 'status 99', act: send('HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n', 'open'), error: /malformed/ },
  { name: 'a status of four digits', act: send('HTTP/1.1 2000 Long\r\n\r\n', 'open'), error: /malformed/ },
  { name: 'bare LF', act: send('HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'open'), error: /malformed/ },
  { name: 'a folded field', act: send(`${HEAD}X-A: 1\r\n y\r\nContent-Length: 0\r\n\r\n`, 'open'), error: /malformed/ },
  { name: 'a negative length', act: send(`${HEAD}Content-Length: -1\r\n\r\n`, 'open'), error: /malformed/ },
  {
    name: '101 to a plain request',
    act: send('HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\nraw', 'open'),
    error: /malformed/,
    never: /raw$/,
  },
  { name: 'an endless head', act: send(`${HEAD}X: ${'x'.repeat(400_000)}`, 'open'), error: /malformed/ },
  {
    name: 'an endless number of fields',
    act: send(`${HEAD}${'X: y\r\n'.repeat(3000)}\r\n`, 'open'),
    error: /malformed/,
  },
  { name: 'nothing at all', act: send(''), error: /upstream-closed/ },
  { name: 'a reset', act: send('', 'rst'), error: /upstream-reset|upstream-closed/ },
  { name: 'half a head', act: send('HTTP/1.1 200 OK\r\nContent-'), error: /upstream/ },
  {
    name: '20,000 interim responses, then the answer',
    act: send(
      `${'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(20_000)}${HEAD}Content-Length: 4\r\n\r\ndone`,
      'open',
    ),
  },
];

describe('W24: an upstream that lies', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house?.close());

  const ask = async (road: Lane, path: string): Promise<{ agent: Peer; server: Peer }> => {
    road.origin.forget();
    const agent = await road.open();
    await agent.send(
      `GET ${road.target(path)} HTTP/1.1\r\nHost: ${road.host}\r\n${road.fields}Connection: close\r\n\r\n`,
    );
    const server = await road.origin.next();
    await server.until('\r\n\r\n');
    return { agent, server };
  };

  for (const name of LANES) {
    for (const [index, lie] of LIES.entries()) {
      it(`${name}: ${lie.name}`, async () => {
        const path = `/${name}-${index}`;
        const { agent, server } = await ask(lane(name, house.parts), path);
        await lie.act(server);
        await agent.ended();
        const text = agent.received.toString('latin1');
        if (lie.never !== undefined) assert.doesNotMatch(text, lie.never);
        if (lie.error === undefined) assert.match(text, /HTTP\/1\.1 200 OK/);
        const [line] = await linesOf(house.weir, 1, (one) => one.path === path && one.outcome !== 'open');
        assert.equal(line?.outcome, lie.error === undefined ? 'forwarded' : 'failed');
        agent.destroy();
        server.destroy();
      });
    }
  }

  it('each has its cause in the rows, and memory is what it was', async () => {
    await quiet(house.weir);
    const rows = await house.weir.query("SELECT path, error_type FROM exchanges WHERE outcome = 'failed'");
    assert.equal(rows.length, LANES.length * LIES.filter(({ error }) => error !== undefined).length);
    for (const row of rows) {
      const [, index] = /-(\d+)$/.exec(String(row['path'])) ?? [];
      assert.match(String(row['error_type']), LIES[Number(index)]?.error ?? /never/, LIES[Number(index)]?.name);
    }
    assert.ok((await house.weir.rss()) < 500);
    assert.doesNotMatch(house.weir.logs(), /uncaught|unhandled|TypeError|RangeError/i);
  });

  it('a slow upstream is not our business: no clock ends it', async () => {
    const { agent, server } = await ask(lane('plain', house.parts), '/slow');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assert.equal(agent.ending, 'open');
    await server.send(`${HEAD}Content-Length: 4\r\n\r\nlate`);
    await agent.until('late');
    agent.destroy();
    server.destroy();
  });
});
