import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { anthropic, openAi, WORDS } from '../support/llm.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { startWeir, type Weir } from '../support/weir.ts';

const PROMPT = 'the prompt nobody outside may read';
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const HOST = 'api.openai.com';

/** Its answers are compressed for who asks so, cut for who asks so. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === '/v1/messages') return anthropic(request, response);
  if (request.headers['x-test'] === undefined) return openAi(request, response);
  request.resume();
  const body = JSON.stringify({
    id: 'chatcmpl-2',
    model: 'gpt-answered',
    choices: [{ index: 0, message: { role: 'assistant', content: WORDS.join('') }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1000, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 900 } },
  });
  if (request.headers['x-test'] === 'gzip') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
    response.end(gzipSync(body));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write('data: {"id":"chatcmpl-3","model":"gpt-cut","choices":[{"index":0,"delta":{"content":"A"}}]}\n\n');
  setTimeout(() => response.destroy(), 50);
}

describe('LLM calls: what they say is on the span, in the row and on the receipt, their content nowhere', () => {
  let weir: Weir;
  let otlp: OtlpReceiver;
  let close: () => Promise<void>;
  const ask = (agent: string, path: string, body: object, fields: Record<string, string> = {}) =>
    plain(weir, `http://${HOST}${path}`, {
      agent,
      method: 'POST',
      body: JSON.stringify(body),
      fields: { 'content-type': 'application/json', ...fields },
    });
  const chat = (more: object = {}): object => ({
    model: 'gpt-asked',
    messages: [{ role: 'user', content: PROMPT }],
    ...more,
  });

  before(async () => {
    const opened = await assemble(async (later) => {
      const server = createServer((request, response) => void answer(request, response));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      later(async () => void server.close());
      const receiver = await startOtlpReceiver();
      later(receiver.close);
      const started = await startWeir({
        config: {
          upstream: { resolve: { [HOST]: `127.0.0.1:${(server.address() as AddressInfo).port}` } },
          telemetry: { endpoint: receiver.url },
        },
      });
      later(started.stop);
      return { weir: started, otlp: receiver };
    });
    ({ weir, otlp, close } = opened);
    await ask('plain', '/v1/chat/completions', chat());
    await ask('stream', '/v1/chat/completions', chat({ stream: true }));
    await ask('traced', '/v1/chat/completions', chat(), { traceparent: `00-${TRACE}-b7ad6b7169203331-01` });
    await ask('claude', '/v1/messages', {
      model: 'claude-asked',
      max_tokens: 9,
      messages: [{ role: 'user', content: PROMPT }],
      stream: true,
    });
    await ask('gzip', '/v1/chat/completions', chat(), { 'x-test': 'gzip' });
    await ask('cut', '/v1/chat/completions', chat({ stream: true }), { 'x-test': 'cut' }).catch(() => undefined);
    await ask('other', '/v1/files', chat());
    await otlp.until(() => otlp.spans.length >= 7);
  });
  after(() => close?.());

  const span = (agent: string): Readonly<Record<string, unknown>> =>
    otlp.spans.find(({ attributes }) => attributes['weir.agent'] === agent)?.attributes ?? {};

  it('a plain answer', () => {
    const facts = span('plain');
    assert.equal(facts['gen_ai.operation.name'], 'chat');
    assert.equal(facts['gen_ai.provider.name'], 'openai');
    assert.equal(facts['gen_ai.request.model'], 'gpt-asked');
    assert.equal(facts['gen_ai.usage.input_tokens'], 12);
    assert.equal(facts['gen_ai.usage.output_tokens'], WORDS.length);
    assert.deepEqual(facts['gen_ai.response.finish_reasons'], ['stop']);
  });

  it('a stream without usage: no tokens are invented, the first one is timed', () => {
    const facts = span('stream');
    assert.equal(facts['gen_ai.request.stream'], true);
    assert.equal(facts['gen_ai.usage.input_tokens'], undefined);
    assert.ok((facts['gen_ai.response.time_to_first_chunk'] as number) > 0);
    assert.equal(facts['weir.llm.events'], WORDS.length + 2);
  });

  it('an agent that traces itself is not counted twice', () => {
    const facts = span('traced');
    assert.deepEqual(
      Object.keys(facts).filter((name) => name.startsWith('gen_ai.')),
      [],
    );
    assert.equal(facts['weir.llm.usage.input_tokens'], 12);
    assert.equal(facts['weir.llm.api'], 'openai.chat');
  });

  it('Anthropic, compressed, cut, and what is no such call', () => {
    assert.equal(span('claude')['gen_ai.usage.output_tokens'], WORDS.length);
    assert.equal(span('gzip')['gen_ai.usage.cache_read.input_tokens'], 900);
    assert.equal(span('gzip')['gen_ai.response.model'], 'gpt-answered');
    assert.equal(span('cut')['weir.llm.incomplete'], true);
    assert.deepEqual(span('cut')['gen_ai.response.finish_reasons'], ['error']);
    assert.equal(span('other')['weir.llm.api'], undefined);
  });

  it('rows and receipt have the tokens', async () => {
    const rows = await weir.query(
      "SELECT llm_api, llm_provider, llm_model, llm_input_tokens::INT AS i, llm_output_tokens::INT AS o, llm_cached_tokens::INT AS c, llm_finish FROM exchanges WHERE agent = 'gzip'",
    );
    assert.deepEqual(rows, [
      {
        llm_api: 'openai.chat',
        llm_provider: 'openai',
        llm_model: 'gpt-answered',
        i: 1000,
        o: 7,
        c: 900,
        llm_finish: ['stop'],
      },
    ]);
    const { stdout } = await weir.cli(['report', '--agent', 'gzip']);
    assert.match(stdout, /1\.0 k tokens in, 7 out/);
  });

  it('no content anywhere', async () => {
    const { stdout } = await weir.cli(['logs', '--json']);
    const everything = [...otlp.bodies, stdout, weir.logs()].join('\n');
    assert.ok(!everything.includes(PROMPT));
    assert.ok(!everything.includes('barrier'));
  });
});
