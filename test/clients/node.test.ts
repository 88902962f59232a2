import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { ProxyAgent, request } from 'undici';
import { WebSocket } from 'ws';
import { AGENT_FIELDS, HOSTS } from '../support/lanes.ts';
import { WORDS } from '../support/llm.ts';
import { connectThrough, dial, secure } from '../support/origins.ts';
import { type ClientHouse, openClientHouse, runNode, succeeded, type View } from './harness.ts';

const VIEWS: readonly View[] = ['plain', 'tunnel', 'intercepted'];
const SECURE: readonly View[] = ['tunnel', 'intercepted'];

describe('clients: Node', { timeout: 110_000 }, () => {
  let house: ClientHouse;
  before(async () => {
    house = await openClientHouse();
  });
  after(() => house?.close());

  for (const view of VIEWS) {
    it(`fetch, ${view}`, async () => {
      const script = `
        const response = await fetch(${JSON.stringify(`${house.base(view)}/fetch?a=1`)}, { method: 'POST', body: 'hello' });
        console.log(response.status, JSON.stringify(await response.json()));`;
      const [status, body = ''] = succeeded(await runNode(script, house.env())).split(/ (.*)/s);
      assert.equal(status, '200');
      assert.equal((JSON.parse(body) as { body: string }).body, 'hello');
      await house.seen(view, '/fetch');
    });

    it(`undici ProxyAgent, ${view}`, async () => {
      const dispatcher = new ProxyAgent({ uri: house.weir.proxyUrl(), requestTls: { ca: house.trustPem } });
      try {
        const { statusCode, body } = await request(`${house.base(view)}/undici`, {
          dispatcher,
          method: 'PUT',
          body: 'x'.repeat(100_000),
        });
        assert.equal(statusCode, 200);
        assert.equal(((await body.json()) as { body: string }).body.length, 100_000);
      } finally {
        await dispatcher.close();
      }
      await house.seen(view, '/undici');
    });

    it(`ws, permessage-deflate, ${view}`, async () => {
      const socket = await webSocket(house, view);
      const inbox: (readonly [string, boolean])[] = [];
      socket.on('message', (data, binary) => inbox.push([data.toString('latin1'), binary]));
      await once(socket, 'open');
      assert.match(socket.extensions, /permessage-deflate/);
      const noise = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7919) % 256));
      socket.send('text');
      socket.send(noise);
      socket.send('frag', { fin: false });
      socket.send('mented', { fin: true });
      while (inbox.length < 4) await once(socket, 'message');
      socket.close(4001, 'enough');
      const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
      assert.deepEqual(inbox, [
        ['welcome', false],
        ['text', false],
        [noise.toString('latin1'), true],
        ['fragmented', false],
      ]);
      assert.deepEqual([code, reason.toString()], [4001, 'enough']);
      await house.seen(view, '/socket');
    });
  }

  for (const view of SECURE) {
    it(`openai, streaming, ${view}`, async () => {
      const script = `
        import OpenAI from 'openai';
        const client = new OpenAI({ apiKey: 'not-a-key', baseURL: ${JSON.stringify(`${house.base(view)}/v1`)}, maxRetries: 0 });
        const stream = await client.chat.completions.create({ model: 'm', stream: true, messages: [{ role: 'user', content: 'weir?' }] });
        let text = '', chunks = 0;
        for await (const part of stream) { text += part.choices[0]?.delta?.content ?? ''; chunks++; }
        console.log(JSON.stringify({ text, chunks }));`;
      const { text, chunks } = JSON.parse(succeeded(await runNode(script, house.env()))) as {
        text: string;
        chunks: number;
      };
      assert.equal(text, WORDS.join(''));
      assert.equal(chunks, WORDS.length + 2);
      await house.seen(view, '/v1/chat/completions');
    });

    it(`@anthropic-ai/sdk, streaming, ${view}`, async () => {
      const script = `
        import Anthropic from '@anthropic-ai/sdk';
        const client = new Anthropic({ apiKey: 'not-a-key', baseURL: ${JSON.stringify(house.base(view))}, maxRetries: 0 });
        const stream = client.messages.stream({ model: 'm', max_tokens: 64, messages: [{ role: 'user', content: 'weir?' }] });
        const message = await stream.finalMessage();
        console.log(JSON.stringify({ text: message.content[0].text, stop: message.stop_reason }));`;
      assert.deepEqual(JSON.parse(succeeded(await runNode(script, house.env()))), {
        text: WORDS.join(''),
        stop: 'end_turn',
      });
      await house.seen(view, '/v1/messages');
    });
  }
});

/** The `ws` client over the road a proxy-aware agent would take. */
async function webSocket(house: ClientHouse, view: View): Promise<WebSocket> {
  const host = HOSTS[view];
  const authority = `${host}:${view === 'plain' ? 80 : 443}`;
  const { socket, head } = await connectThrough(house.weir.port, authority, AGENT_FIELDS);
  assert.match(head, /^HTTP\/1\.1 200 /);
  const stream = view === 'plain' ? socket : await secure(socket, { servername: host, ca: house.trustPem });
  const scheme = view === 'plain' ? 'ws' : 'wss';
  return new WebSocket(`${scheme}://${host}/socket`, {
    createConnection: (() => stream) as never,
    perMessageDeflate: { threshold: 0 },
  });
}

describe('clients: ws:// in absolute form (a proxy-aware HTTP agent)', () => {
  let house: ClientHouse;
  before(async () => {
    house = await openClientHouse();
  });
  after(() => house?.close());

  it('upgrades through the plain path', async () => {
    const stream = await dial(house.weir.port);
    const socket = new WebSocket(`ws://${HOSTS.plain}/absolute`, {
      createConnection: (() => stream) as never,
      headers: { 'Proxy-Authorization': house.weir.proxyUrl() && AGENT_FIELDS.slice(21).trim() },
      finishRequest: (outgoing: { path: string; end(): void }) => {
        outgoing.path = `http://${HOSTS.plain}/absolute`;
        outgoing.end();
      },
    } as never);
    const [greeting] = (await once(socket, 'message')) as [Buffer];
    assert.equal(greeting.toString(), 'welcome');
    socket.close(1000);
    await once(socket, 'close');
    await house.seen('plain', '/absolute');
  });
});
