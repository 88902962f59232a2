import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import type { LogLine } from '../../src/model/admin.ts';
import { connectTo, http2Through, throughTls } from '../support/agent.ts';
import * as world from '../support/leak-world.ts';
import { LABEL, type LeakWorld, openLeakWorld, RULE, SECRET } from '../support/leak-world.ts';
import { SAY } from '../support/scan-origin.ts';
import { deflated, wsFrame, wsFrames, wsMessages } from '../support/websocket.ts';
import { eventually } from '../support/weir.ts';

const openScene = (mode: 'redact' | 'enforce', leaked: 'redact' | 'block'): Promise<LeakWorld> =>
  openLeakWorld({
    mode,
    baseline: { ready_after_requests: 0 },
    agents: { strict: { blocked_categories: ['paste'] } },
    scan: { responses: { credential: leaked } },
  });

type Way = 'ws' | 'wss';
const CASES = (['ws', 'wss'] as const).flatMap((way) => [false, true].map((deflate) => [way, deflate] as const));

/** A WebSocket through the proxy: in a CONNECT for both, intercepted for `wss`. */
async function open(
  { weir, ca }: LeakWorld,
  way: Way,
  path: string,
  deflate: boolean,
  agent = 'researcher',
): Promise<WebSocket> {
  const ask = { agent };
  const socket =
    way === 'ws'
      ? (await connectTo(weir, 'plain.test:80', ask)).socket
      : await throughTls(weir, 'leak.test', { ...ask, ca, alpn: ['http/1.1'] });
  const host = way === 'ws' ? 'plain.test' : 'leak.test';
  const client = new WebSocket(`ws://${host}${path}`, {
    createConnection: () => socket,
    perMessageDeflate: deflate ? { threshold: 0 } : false,
  });
  client.on('error', () => undefined);
  await once(client, 'open');
  assert.equal(client.extensions.includes('permessage-deflate'), deflate);
  return client;
}

async function ask(client: WebSocket, text: string): Promise<string> {
  const answer = once(client, 'message');
  client.send(text.slice(0, 7), { fin: false });
  client.send(text.slice(7));
  return String((await answer)[0]);
}

async function lineOf(scene: LeakWorld, path: string): Promise<LogLine> {
  const line = await world.lineOf(scene, path);
  assert.ok(!JSON.stringify(line).includes(SECRET.slice(4, 20)), 'the secret is told');
  return line;
}

describe('WebSockets in redact', () => {
  let scene: LeakWorld;
  before(async () => {
    scene = await openScene('redact', 'redact');
  });
  after(() => scene.close());

  for (const [way, deflate] of CASES) {
    const how = `${way}, ${deflate ? 'permessage-deflate' : 'plain'}`;

    it(`a label stands in for a secret, whoever says it; the rest goes on as it is (${how})`, async () => {
      const path = `/redact-${way}-${deflate}`;
      const client = await open(scene, way, path, deflate);
      const { messages } = scene.origin;
      for (const text of ['{"hello": 1}', '{"hello": 1}', `{"key": "${SECRET}"}`, '{"hello": 1}', 'x'.repeat(90_000)]) {
        const expected = text.replace(SECRET, LABEL);
        assert.equal(await ask(client, text), expected);
        assert.equal(messages.at(-1), expected);
      }
      const cut = `${SECRET.slice(0, 9)}|${SECRET.slice(9)}`;
      assert.equal(await ask(client, `${SAY}{"found": "${cut}"}`), `{"found": "${LABEL}"}`);
      client.close(1000, 'done');
      await once(client, 'close');
      const line = await lineOf(scene, path);
      assert.ok(line.rules.includes(RULE), JSON.stringify(line));
      assert.deepEqual([line.action, line.outcome], ['redact', 'forwarded'], JSON.stringify(line));
    });
  }

  it('redactions are counted in the row', async () => {
    const client = await open(scene, 'ws', '/counted', true);
    for (let i = 0; i < 3; i++) await ask(client, `{"key": "${SECRET}"}`);
    client.close();
    await once(client, 'close');
    await lineOf(scene, '/counted');
    const [row] = await eventually(async () => {
      const rows = await scene.weir.query("SELECT * FROM exchanges WHERE path LIKE '/counted%'");
      return rows.length > 0 && rows;
    }, 'the row');
    const { action, redactions } = row as { action: string; redactions: number };
    assert.deepEqual([action, Number(redactions)], ['redact', 3]);
  });
});

describe('WebSockets in enforce', () => {
  let scene: LeakWorld;
  before(async () => {
    scene = await openScene('enforce', 'block');
  });
  after(() => scene.close());

  for (const [way, deflate] of CASES) {
    const how = `${way}, ${deflate ? 'permessage-deflate' : 'plain'}`;

    it(`a secret never leaves: both sides get a Close frame 1008 (${how})`, async () => {
      const path = `/enforce-${way}-${deflate}`;
      const client = await open(scene, way, path, deflate);
      const { origin } = scene;
      assert.equal(await ask(client, '{"hello": 1}'), '{"hello": 1}');
      const [before, closes] = [origin.messages.length, origin.closes.length];
      const closed = once(client, 'close');
      client.send(`{"key": "${SECRET}"}`);
      client.send('{"more": 1}');
      const [code, reason] = (await closed) as [number, Buffer];
      assert.equal(code, 1008);
      assert.match(reason.toString(), /^Blocked by Weir: GitHub Personal Access Token \(ref [0-9A-Z]{8,}\)$/);
      await eventually(() => origin.closes.length > closes, 'the origin is told');
      assert.deepEqual(origin.closes.at(-1), [1008, reason.toString()]);
      assert.equal(origin.messages.length, before, 'nothing that came with it has left');
      const line = await lineOf(scene, path);
      assert.deepEqual([line.action, line.outcome], ['block', 'blocked'], JSON.stringify(line));
      assert.ok(line.rules.includes(RULE));
    });
  }

  it('a secret the server says never arrives', async () => {
    const client = await open(scene, 'wss', '/leaked', true);
    const got: string[] = [];
    client.on('message', (text) => got.push(String(text)));
    const closed = once(client, 'close');
    const closes = scene.origin.closes.length;
    client.send(`${SAY}{"found": "${SECRET.slice(0, 9)}|${SECRET.slice(9)}"}`);
    assert.equal((await closed)[0], 1008);
    assert.deepEqual(got, []);
    await eventually(() => scene.origin.closes.length > closes, 'the origin is told');
    assert.equal(scene.origin.closes.at(-1)?.[0], 1008);
    assert.equal((await lineOf(scene, '/leaked')).outcome, 'blocked');
  });

  it('a message that is too long to be scanned passes, unless what cannot be scanned is to be blocked', async () => {
    const long = 'words '.repeat(400_000);
    const free = await open(scene, 'ws', '/long', false);
    assert.equal(await ask(free, long), long);
    free.close();
    await once(free, 'close');
    const line = await lineOf(scene, '/long');
    assert.ok(line.rules.includes('unscanned') && line.outcome === 'forwarded', JSON.stringify(line));
    const strict = await open(scene, 'ws', '/strict', false, 'strict');
    const before = scene.origin.messages.length;
    const closed = once(strict, 'close');
    strict.send(long);
    const [code, reason] = (await closed) as [number, Buffer];
    assert.equal(code, 1008);
    assert.match(reason.toString(), /cannot be scanned/);
    assert.equal(scene.origin.messages.length, before);
    assert.equal((await lineOf(scene, '/strict')).outcome, 'blocked');
  });
});

/** WebSocket over a stream of HTTP/2 (RFC 8441). */
interface Stream {
  readonly sent: (opcode: number, payload: Buffer, compressed?: boolean) => void;
  /** The next message that comes, or what a control frame says. */
  readonly next: () => Promise<readonly [opcode: number, said: Buffer]>;
  readonly ended: Promise<unknown>;
  close(): void;
}

async function stream({ weir, ca }: LeakWorld, path: string): Promise<Stream> {
  const session = await http2Through(weir, 'h2.leak.test', { agent: 'researcher', ca });
  if (session.remoteSettings.enableConnectProtocol !== true) await once(session, 'remoteSettings');
  const opened = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':path': path,
      ':authority': 'h2.leak.test',
      'sec-websocket-version': '13',
      'sec-websocket-extensions': 'permessage-deflate',
    },
    { endStream: false },
  );
  opened.on('error', () => undefined);
  const [fields] = (await once(opened, 'response')) as [Record<string, unknown>];
  assert.equal(fields[':status'], 200);
  let all = Buffer.alloc(0);
  opened.on('data', (chunk: Buffer) => {
    all = Buffer.concat([all, chunk]);
  });
  let read = 0;
  return {
    sent: (opcode, payload, compressed = false) =>
      void opened.write(wsFrame(opcode, payload, { key: Buffer.from([9, 8, 7, 6]), rsv: compressed ? 4 : 0 })),
    next: async () => {
      read += 1;
      const frames = await eventually(() => {
        const known = wsFrames(all);
        return known.length >= read && known;
      }, 'a frame');
      return (await wsMessages(frames))[read - 1] as [number, Buffer];
    },
    ended: once(opened, 'end'),
    close: () => session.destroy(),
  };
}

describe('WebSockets over HTTP/2', () => {
  for (const [mode, leaked] of [
    ['redact', 'redact'],
    ['enforce', 'block'],
  ] as const) {
    it(`are held as well (${mode})`, async () => {
      const scene = await openScene(mode, leaked);
      let over = (): void => undefined;
      try {
        const path = `/h2-${mode}`;
        const { origin } = scene;
        const { sent, next, ended, close } = await stream(scene, path);
        over = close;
        sent(1, Buffer.from('{"hello": 1}'));
        assert.equal(String((await next())[1]), '{"hello": 1}');
        if (mode === 'redact') {
          sent(1, deflated(`{"key": "${SECRET}"}`), true);
          assert.equal(String((await next())[1]), `{"key": "${LABEL}"}`);
          assert.equal(origin.messages.at(-1), `{"key": "${LABEL}"}`);
          sent(1, Buffer.from(`${SAY}${SECRET.slice(0, 9)}|${SECRET.slice(9)}`));
          assert.equal(String((await next())[1]), LABEL);
          sent(8, Buffer.from([0x03, 0xe8]));
          assert.equal((await next())[0], 8);
          await ended;
        } else {
          const [messages, closes] = [origin.messages.length, origin.closes.length];
          sent(1, deflated(`{"key": "${SECRET}"}`), true);
          const [opcode, said] = await next();
          assert.deepEqual([opcode, said.readUInt16BE(0)], [8, 1008]);
          await ended;
          await eventually(() => origin.closes.length > closes, 'the origin is told');
          assert.equal(origin.closes.at(-1)?.[0], 1008);
          assert.equal(origin.messages.length, messages);
        }
        close();
        const line = await lineOf(scene, path);
        assert.ok(line.rules.includes(RULE), JSON.stringify(line));
        assert.equal(line.action, mode === 'redact' ? 'redact' : 'block', JSON.stringify(line));
        assert.equal(line.outcome, mode === 'redact' ? 'forwarded' : 'blocked', JSON.stringify(line));
      } finally {
        over();
        await scene.close();
      }
    });
  }

  it('an agent that is gone without a word: what was found is on record', async () => {
    const scene = await openScene('redact', 'redact');
    try {
      const { sent, next, close } = await stream(scene, '/h2-gone');
      sent(1, Buffer.from(`{"key": "${SECRET}"}`));
      assert.equal(String((await next())[1]), `{"key": "${LABEL}"}`);
      close();
      const line = await lineOf(scene, '/h2-gone');
      assert.ok(line.rules.includes(RULE) && line.action === 'redact', JSON.stringify(line));
    } finally {
      await scene.close();
    }
  });
});
