import { once } from 'node:events';
import { connect as tlsConnect } from 'node:tls';
import { WebSocket } from 'ws';
import type { Canaries } from './canary.ts';
import { type Draft, draft, POSITIONS, writeDown } from './draft.ts';
import { http2Client, openStream, recordStream } from './http2.ts';
import { connectThrough, dial, rawOrigin, secure } from './origins.ts';
import { Peer } from './peer.ts';
import type { Recorded } from './recorded.ts';
import { claim, peerOf } from './watched.ts';

/** A way through (or not through) Weir that every position is sent along. */
export interface TaintLane {
  readonly name: string;
  send(house: Recorded, draft: Draft): Promise<string>;
  readonly draft: () => Draft;
  /** Positions this way cannot carry. */
  readonly without?: readonly string[];
}

/** Tunnels stay open until we close them. */
const PATIENCE_MS = 1000;

async function finish(peer: Peer): Promise<string> {
  // What is refused is closed by Weir, what is tunnelled by us.
  await Promise.race([peer.ended(), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  peer.destroy();
  return peer.received.toString('latin1');
}

async function plainly({ weir }: Recorded, text: string): Promise<string> {
  const peer = peerOf(await dial(weir.port));
  await peer.send(text);
  return finish(peer);
}

async function insideTls(house: Recorded, d: Draft): Promise<string> {
  const authority = `${d.host}:443`;
  const { socket, head } = await connectThrough(house.weir.port, authority, claim(d.agent, d.password));
  if (!head.startsWith('HTTP/1.1 200')) {
    const rest = (socket.read() as Buffer | null)?.toString('latin1') ?? '';
    socket.destroy();
    return head + rest;
  }
  const tls = tlsConnect({ socket, servername: d.host, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  const peer = new Peer(tls, socket);
  await peer.send(writeDown(d, 'origin'));
  return finish(peer);
}

const ENFORCED = 'enforced';

/** Every case the specification names: forwarded, blocked, failed, malformed, tunnelled. */
export const LANES: readonly TaintLane[] = [
  {
    name: 'forwarded',
    draft: () => draft('plain.test', '', '/echo', 'tainted'),
    send: (house, d) => plainly(house, writeDown(d, 'absolute')),
  },
  {
    name: 'blocked',
    draft: () => draft('plain.test', '', '/echo', ENFORCED),
    send: (house, d) => plainly(house, writeDown(d, 'absolute')),
  },
  {
    name: 'no such name',
    draft: () => draft('missing.invalid', '', '/echo', 'tainted'),
    send: (house, d) => plainly(house, writeDown(d, 'absolute')),
  },
  {
    name: 'connection refused',
    draft: () => draft('refused.test', '', '/echo', 'tainted'),
    send: (house, d) => plainly(house, writeDown(d, 'absolute')),
  },
  {
    name: 'upstream breaks',
    draft: () => draft('plain.test', '', '/broken', 'tainted'),
    send: (house, d) => plainly(house, writeDown(d, 'absolute')),
  },
  {
    name: 'ambiguous framing',
    draft: () => draft('plain.test', '', '/echo', 'tainted'),
    send: (house, d) => plainly(house, writeDown(d, 'absolute', 'Content-Length: 7\r\nTransfer-Encoding: chunked\r\n')),
  },
  {
    name: 'no HTTP',
    draft: () => draft('plain.test', '', '/echo', 'tainted'),
    send: (house, d) => plainly(house, writeDown(d, 'absolute').replace(' HTTP/1.1', ' \x01HTTP/1.1')),
  },
  {
    name: 'inside a plain CONNECT',
    draft: () => draft('plain.test', '', '/echo', 'tainted'),
    async send(house, d) {
      const { socket } = await connectThrough(house.weir.port, 'plain.test:80', claim(d.agent, d.password));
      const peer = peerOf(socket);
      await peer.send(writeDown(d, 'origin'));
      return finish(peer);
    },
  },
  {
    name: 'intercepted',
    draft: () => draft('read.test', '', '/echo', 'tainted'),
    send: insideTls,
  },
  {
    name: 'blocked inside',
    draft: () => draft('read.test', '', '/echo', ENFORCED),
    send: insideTls,
  },
  {
    name: 'on the CONNECT',
    draft: () => draft('tunnel.test', ':443', '', 'tainted'),
    without: ['path', 'path, encoded', 'path, encoded twice', 'query key', 'bare query', 'query value', 'fragment'],
    send: (house, d) => onConnect(house, d),
  },
  {
    name: 'on a refused CONNECT',
    draft: () => draft('tunnel.test', ':443', '', ENFORCED),
    send: (house, d) => onConnect(house, d),
  },
  {
    name: 'on a malformed CONNECT',
    draft: () => draft('tunnel.test', ':443', '', 'tainted'),
    send: (house, d) => onConnect(house, d, 'Transfer-Encoding: chunked\r\n'),
  },
];

async function onConnect({ weir }: Recorded, d: Draft, more = ''): Promise<string> {
  const peer = peerOf(await dial(weir.port));
  const fields = d.fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const authority = `${d.userinfo}${d.host}${d.port}${d.path}`;
  await peer.send(
    `CONNECT ${authority} HTTP/1.1\r\nHost: ${d.hostField ?? `${d.host}${d.port}`}\r\n${claim(d.agent, d.password)}${fields}${more}\r\n`,
  );
  await Promise.race([peer.until('\r\n\r\n'), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]).catch(
    () => '',
  );
  if (d.body !== '') await peer.send(d.body);
  return finish(peer);
}

/** What Weir itself answered, per position: agents read it. */
export interface Answered {
  readonly lane: string;
  readonly position: string;
  readonly text: string;
}

/** Sends every position of every kind along a lane, one request each. */
export async function sweep(house: Recorded, canaries: Canaries, lane: TaintLane): Promise<Answered[]> {
  const answered: Answered[] = [];
  const work = POSITIONS.flatMap((position) => position.kinds.map((kind) => ({ position, kind })));
  await Promise.all(
    work.map(async ({ position, kind }) => {
      if (lane.without?.includes(position.name) === true) return;
      const canary = canaries.make(kind, `${lane.name} / ${position.name} / ${kind}`);
      const made = lane.draft();
      position.put(made, canary.text);
      const text = await lane.send(house, made).catch((error: Error) => `no answer: ${error.message}`);
      answered.push({ lane: lane.name, position: position.name, text });
    }),
  );
  return answered;
}

/** SNI and ALPN, towards a tunnelled and an intercepted name. */
export async function taintTls(house: Recorded, canaries: Canaries): Promise<void> {
  const cases = ['tunnel.test', 'read.test'].flatMap((host) =>
    ['tainted', ENFORCED, 'listed'].map((agent) => ({ host, agent })),
  );
  await Promise.all(
    cases.flatMap(({ host, agent }) => hellos(canaries, host, agent).map((hello) => greet(house, hello))),
  );
}

interface Hello {
  readonly agent: string;
  readonly authority: string;
  readonly servername: string;
  readonly alpn: readonly string[];
}

function hellos(canaries: Canaries, host: string, agent: string): Hello[] {
  const make = (what: string): string => canaries.make('credential', `${what} to ${host} (${agent})`).text;
  const protocol = make('ALPN');
  const named = `${make('authority and SNI')}.${host}`;
  const plain = { agent, authority: `${host}:443`, servername: host, alpn: ['http/1.1'] };
  return [
    { ...plain, servername: `${make('SNI')}.${host}` },
    { ...plain, alpn: [protocol, 'http/1.1'] },
    { ...plain, alpn: [protocol] },
    { ...plain, authority: `${named}:443`, servername: named },
  ];
}

async function greet({ weir }: Recorded, { agent, authority, servername, alpn }: Hello): Promise<void> {
  const { socket } = await connectThrough(weir.port, authority, claim(agent));
  const tls = tlsConnect({ socket, servername, ALPNProtocols: [...alpn], rejectUnauthorized: false });
  tls.on('error', () => undefined);
  const peer = new Peer(tls, socket);
  await peer.send('GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await finish(peer);
}

/** HTTP/2 names, values, path, method, trailers, and a response that carries them. */
export async function taintHttp2(house: Recorded, canaries: Canaries): Promise<void> {
  const credential = (where: string): string => canaries.make('credential', `HTTP/2 ${where}`).text;
  const anything = (where: string): string => canaries.make('anything', `HTTP/2 ${where}`).text;
  const { socket } = await connectThrough(house.weir.port, 'h2.test:443', claim('tainted'));
  const session = await http2Client(
    await secure(socket, { servername: 'h2.test', ca: house.ca, alpn: ['h2'] }),
    'h2.test',
  );
  house.h2.handle = (stream) => {
    stream.respond(
      [
        ':status',
        '200',
        'location',
        `/${credential('location')}`,
        'set-cookie',
        `a=${anything('set-cookie')}`,
      ] as never,
      { waitForTrailers: true } as never,
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-message': anything('response trailer') }));
    stream.end(anything('response body'));
  };
  const requests: readonly (readonly [string, string, string, readonly string[]])[] = [
    ['GET', `/${credential('path')}?q=${anything('query')}`, 'h2.test', []],
    ['GET', '/', `${credential('authority')}.test`, []],
    ['GET', '/', 'h2.test', ['x-a', anything('field'), 'authorization', `Bearer ${anything('authorization')}`]],
    ['GET', '/', 'h2.test', ['cookie', `a=${anything('cookie')}`, `x-${credential('field name')}`, '1']],
    [credential('method'), '/', 'h2.test', []],
  ];
  await Promise.all(
    requests.map(([method, path, host, fields]) => {
      const stream = openStream(session, host, method, path, fields, false, true);
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': anything('trailer') }));
      const closed = recordStream(stream, []);
      stream.end(anything('body'));
      return closed;
    }),
  );
  session.destroy();
}

/** WebSocket: subprotocol, messages, close reason, plainly and intercepted. */
export async function taintWebSocket(house: Recorded, canaries: Canaries): Promise<void> {
  for (const kind of ['credential', 'anything'] as const) {
    const make = (where: string): string => canaries.make(kind, `WebSocket ${where} / ${kind}`).text;
    const { socket } = await connectThrough(house.weir.port, 'plain.test:80', claim('tainted'));
    const ws = new WebSocket(`ws://plain.test/socket?t=${make('query')}`, [make('subprotocol')], {
      createConnection: () => socket,
    });
    ws.on('error', () => undefined);
    await once(ws, 'open');
    ws.send(make('message'));
    await once(ws, 'message');
    ws.close(1000, make('close reason').slice(0, 100));
    await once(ws, 'close');
  }
}

/** What an origin says: reason phrase, Location, fields, body, trailers, an informational head, and bytes that are no HTTP. */
export async function taintResponses(house: Recorded, canaries: Canaries): Promise<void> {
  const origin = await rawOrigin();
  try {
    for (const kind of ['credential', 'anything'] as const) {
      const make = (where: string): string => canaries.make(kind, `response ${where} / ${kind}`).text;
      const type = canaries.make('credential', 'response content-type').text;
      const answers = [
        `HTTP/1.1 302 ${make('reason')}\r\nLocation: http://x.test/${make('Location')}?a=${make('Location query')}\r\nContent-Length: 0\r\n\r\n`,
        `HTTP/1.1 200 OK\r\nSet-Cookie: a=${make('set-cookie')}\r\nX-${make('field name')}: ${make('field')}\r\nContent-Type: text/plain; x=${type}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-end: ${make('trailer')}\r\n\r\n`,
        `HTTP/1.1 103 ${make('103 reason')}\r\nLink: <${make('103 link')}>\r\n\r\nHTTP/1.1 500 ${make('500 reason')}\r\nContent-Length: 40\r\n\r\n${make('500 body').padEnd(40)}`,
        `HTTP/1.1 ${make('status code')} OK\r\n\r\n`,
        `${make('no HTTP')} what is this\r\n\r\n`,
        `HTTP/1.1 200 OK\r\n${make('line without colon')}\r\n\r\n`,
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: ${make('coding')}\r\n\r\n`,
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${make('chunk size')}\r\n`,
        `HTTP/1.1 200 OK\r\nContent-Length: ${make('length')}\r\n\r\n`,
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${type}\r\nConnection: upgrade\r\n\r\n${make('upgraded bytes')}`,
      ];
      for (const answer of answers) {
        const agent = peerOf(await dial(house.weir.port));
        const authority = `127.0.0.1:${origin.port}`;
        await agent.send(
          `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n${claim('tainted')}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
        );
        const server = await origin.next();
        await server.until('\r\n\r\n');
        await server.send(answer);
        server.fin();
        await finish(agent);
        server.destroy();
      }
    }
  } finally {
    await origin.close();
  }
}
