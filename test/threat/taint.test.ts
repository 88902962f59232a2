import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { type House, openHouse } from '../e2e/harness.ts';
import { AGENT_FIELDS, HOSTS, type LaneName, lane } from '../support/lanes.ts';
import { connectThrough, dial, secure } from '../support/origins.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { Peer } from '../support/peer.ts';

/** A secret no pattern knows: it must not leave from places whose content is dropped altogether. */
const PLAIN = 'zq7plaincanary';
/** A secret a pattern knows (put together here, so that no scanner takes this file for a leak), also as a host label. */
const KNOWN = ['glpat', 'zq7known0canary1weir'].join('-');
/** What is looked for: any trace of either, in any case. */
const TRACE = /zq7(?:plain|known0)canary/i;

/** Every position of a request, and of its answer, that an agent or an origin can write into. */
const POSITIONS: Readonly<Record<string, { head?: string; target?: string; body?: string; answer?: string }>> = {
  'query value': { target: `/q?token=${PLAIN}&page=2` },
  'query key': { target: `/q?${KNOWN}=1` },
  'query value under a harmless key': { target: `/q?page=${KNOWN}` },
  'path segment': { target: `/p/${KNOWN}/x` },
  'path segment, percent-encoded': { target: `/p/${KNOWN.replace('-', '%2D')}/x` },
  'path segment, percent-encoded throughout': {
    target: `/p/${[...KNOWN].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('')}`,
  },
  fragment: { target: `/f#${PLAIN}` },
  authorization: { head: `Authorization: Bearer ${PLAIN}` },
  'basic authorization': { head: `Authorization: Basic ${Buffer.from(`user:${PLAIN}`).toString('base64')}` },
  cookie: { head: `Cookie: session=${PLAIN}` },
  'any field': { head: `X-Thing: ${PLAIN}` },
  'field name': { head: `X-${PLAIN}: 1` },
  'user agent': { head: `User-Agent: tool/${KNOWN}` },
  referer: { head: `Referer: http://x.invalid/?a=${PLAIN}` },
  'content type': { head: `Content-Type: text/${KNOWN}` },
  tracestate: { head: `tracestate: v=${PLAIN}` },
  baggage: { head: `baggage: v=${PLAIN}` },
  'malformed traceparent': { head: `traceparent: 00-${PLAIN}-01` },
  body: { head: `Content-Length: ${PLAIN.length}`, body: PLAIN },
  'body of a known LLM form': {
    head: `Content-Type: application/json\r\nContent-Length: ${`{"model":"m","messages":["${PLAIN}"]}`.length}`,
    body: `{"model":"m","messages":["${PLAIN}"]}`,
  },
  'answer: body': { answer: `HTTP/1.1 200 OK\r\nContent-Length: ${PLAIN.length}\r\n\r\n${PLAIN}` },
  'answer: reason': { answer: `HTTP/1.1 299 ${PLAIN}\r\nContent-Length: 0\r\n\r\n` },
  'answer: location': { answer: `HTTP/1.1 302 Found\r\nLocation: /x?code=${PLAIN}\r\nContent-Length: 0\r\n\r\n` },
  'answer: cookie': { answer: `HTTP/1.1 200 OK\r\nSet-Cookie: a=${PLAIN}\r\nContent-Length: 0\r\n\r\n` },
  'answer: malformed': { answer: `HTTP/1.1 200 OK\r\n${PLAIN}\r\nContent-Length: 0\r\n\r\n` },
  'answer: not HTTP': { answer: `${PLAIN} ${PLAIN}\r\n\r\n` },
};

describe('taint: a canary through every input position is nowhere in what Weir exports, stores or says', {
  timeout: 90_000,
}, () => {
  let house: House;
  let receiver: OtlpReceiver;
  /** What Weir itself answered to agents. */
  const refusals: string[] = [];
  before(async () => {
    receiver = await startOtlpReceiver();
    house = await openHouse({
      telemetry: { endpoint: receiver.url, url: 'keys' },
      agents: { walled: { mode: 'enforce', allowed_domains: ['nowhere.invalid'] } },
    });
  });
  after(async () => {
    await house?.close();
    await receiver?.close();
  });

  /** One exchange with the canary somewhere; the origin answers as told. */
  const send = async (
    name: LaneName,
    position: { head?: string; target?: string; body?: string; answer?: string },
  ): Promise<void> => {
    const road = lane(name, house.parts);
    road.origin.forget();
    const arriving = road.origin.next();
    const agent = await road.open();
    const extra = position.head === undefined ? '' : `${position.head}\r\n`;
    const method = position.body === undefined ? 'GET' : 'POST';
    const target = road.target(position.target ?? '/x');
    await agent.send(
      `${method} ${target} HTTP/1.1\r\nHost: ${road.host}\r\n${road.fields}${extra}\r\n${position.body ?? ''}`,
    );
    const server = await arriving;
    await server.until('\r\n\r\n');
    await server.send(position.answer ?? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    server.fin();
    await agent.until('\r\n');
    agent.destroy();
    server.destroy();
  };

  /** Something Weir answers itself; the answer is kept for the search. */
  const refused = async (bytes: string): Promise<void> => {
    const socket = await dial(house.weir.port);
    const agent = new Peer(socket, socket);
    await agent.send(bytes);
    await agent.until('\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 30));
    refusals.push(agent.received.toString('latin1'));
    agent.destroy();
  };

  for (const name of ['plain', 'connect', 'intercepted'] as const) {
    it(`drive: ${name}`, async () => {
      for (const position of Object.values(POSITIONS)) await send(name, position);
    });
  }

  it('drive: names, tunnels and everything that is refused', async () => {
    const walled = AGENT_FIELDS.replace(/Basic .*/, `Basic ${Buffer.from('walled:x').toString('base64')}`);
    await refused(`GET http://user:${PLAIN}@${HOSTS.plain}.invalid/ HTTP/1.1\r\nHost: ${HOSTS.plain}.invalid\r\n\r\n`);
    await refused(`GET http://${KNOWN}.leak.invalid/ HTTP/1.1\r\nHost: ${KNOWN}.leak.invalid\r\n${AGENT_FIELDS}\r\n`);
    await refused(`GET http://a.invalid/ HTTP/1.1\r\nHost: ${KNOWN}.b.invalid\r\n${AGENT_FIELDS}\r\n`);
    await refused(`GET http://a.invalid/?x=${PLAIN} HTTP/1.1\r\nHost: a.invalid\r\n${walled}\r\n`);
    await refused(`GET http://a.invalid/${KNOWN} HTTP/1.1\r\nHost: a.invalid\r\n${walled}\r\n`);
    await refused(`CONNECT ${KNOWN}.leak.invalid:443 HTTP/1.1\r\nHost: x\r\n${AGENT_FIELDS}\r\n`);
    await refused(`CONNECT ${KNOWN}.leak.invalid:443 HTTP/1.1\r\nHost: x\r\n${walled}\r\n`);
    await refused(
      `CONNECT a.invalid:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic ${Buffer.from(`researcher:${PLAIN}`).toString('base64')}\r\n\r\n`,
    );
    await refused(`CONNECT a.invalid:443 HTTP/1.1\r\nHost: x\r\nUser-Agent: ${KNOWN}\r\n${AGENT_FIELDS}\r\n`);
    await refused(`${KNOWN} is not HTTP\r\n\r\n`);
    await refused(`GET http://${PLAIN} broken/ HTTP/1.1\r\n\r\n`);
    await refused(`GET http://a.invalid/ HTTP/1.1\r\nHost: a.invalid\r\nX ${PLAIN}: y\r\n\r\n`);
    await refused(`GET http://a.invalid/ HTTP/1.1\r\nHost: a.invalid\r\nTransfer-Encoding: ${PLAIN}\r\n\r\n`);
    const { socket } = await connectThrough(house.weir.port, `${HOSTS.tunnel}:443`, AGENT_FIELDS);
    await secure(socket, { servername: `${KNOWN}.leak.test`, ca: house.parts.authority.cert }).catch(() => undefined);
    socket.destroy();
    const opaque = await connectThrough(house.weir.port, `${HOSTS.plain}:80`, AGENT_FIELDS);
    opaque.socket.write(`\x80${PLAIN} ${KNOWN}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    opaque.socket.destroy();
    house.parts.plain.forget();
    house.parts.tls.forget();
  });

  it('OTLP: spans, logs and metrics', async () => {
    await receiver.until((r) => r.spans.length >= 3 * Object.keys(POSITIONS).length, 15_000);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    clean('OTLP', receiver.bodies.join('\n'));
  });

  it('weir logs, status, baselines and /metrics', async () => {
    for (const path of ['/logs?limit=2000', '/status', '/baselines', '/metrics']) {
      const { status, body } = await house.weir.admin(path);
      assert.equal(status, 200, `${path}: ${body}`);
      clean(path, body);
    }
  });

  it('refusals, log output', () => {
    assert.ok(refusals.length > 10);
    // The name the agent itself asked for is told back to it (product.md §7); nothing else of what it sent is.
    for (const text of refusals) clean('a refusal', text.replaceAll(`${KNOWN}.leak.invalid`, 'its own host'));
    clean('the log', house.weir.logs());
  });

  it('every byte in the state directory, and every row', async () => {
    house.weir.kill('SIGTERM');
    await house.weir.exited;
    let files = 0;
    for (const name of await readdir(house.weir.stateDir, { recursive: true })) {
      const path = join(house.weir.stateDir, name);
      if (!(await stat(path)).isFile()) continue;
      files++;
      clean(name, (await readFile(path)).toString('latin1'));
    }
    assert.ok(files > 3, `${files} files`);
    const text = await everyRow(join(house.weir.stateDir, 'weir.duckdb'));
    assert.ok(text.includes(HOSTS.plain), 'the rows are there');
    clean('a row', text);
  });
});

function clean(where: string, text: string): void {
  const found = TRACE.exec(text);
  if (found === null) return;
  const around = text.slice(Math.max(0, found.index - 150), found.index + 80);
  assert.fail(`the canary is in ${where}: …${JSON.stringify(around)}…`);
}

async function everyRow(path: string): Promise<string> {
  const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    const tables = await connection.runAndReadAll(
      "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'",
    );
    const rows: string[] = [];
    for (const [table] of tables.getRows()) {
      const all = await connection.runAndReadAll(`SELECT * FROM "${String(table)}"`);
      rows.push(...all.getRows().map((row) => row.map(String).join('|')));
    }
    return rows.join('\n');
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
