import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { recogniseLlm } from '../../../src/llm/recognise.ts';
import { createLlmRequest } from '../../../src/llm/request-reader.ts';
import { createLlmResponse } from '../../../src/llm/response-reader.ts';
import type { LlmApi, LlmRequestFacts, LlmResponseFacts } from '../../../src/model/llm.ts';
import { CONTENT, RESPONSES } from './fixtures.ts';

interface Seen {
  readonly api: LlmApi;
  readonly request: LlmRequestFacts;
  readonly response: LlmResponseFacts;
}

/** Plays the fixture the next request gets, seven bytes a write, and reads what passes in both directions. */
const seen: Seen[] = [];
let playing: (typeof RESPONSES)[number] | undefined;
let base = '';

async function answer(incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<void> {
  const api = recogniseLlm({
    host: '127.0.0.1',
    method: incoming.method ?? '',
    path: incoming.url ?? '',
    requestContentType: incoming.headers['content-type'],
  });
  assert.ok(api && playing);
  const request = createLlmRequest(api);
  for await (const part of incoming) request.push(part as Buffer);
  const response = createLlmResponse(api);
  const { body } = playing;
  outgoing.writeHead(200, { 'content-type': body[0] === 0x7b ? 'application/json' : 'text/event-stream' });
  for (let at = 0; at < body.length; at += 7) {
    const part = body.subarray(at, at + 7);
    outgoing.write(part);
    response.push(part, at);
  }
  seen.push({ api, request: request.end(), response: response.end() });
  outgoing.end();
}

const server = http.createServer((incoming, outgoing) => {
  outgoing.on('error', () => {});
  answer(incoming, outgoing).catch((error: Error) => outgoing.destroy(error));
});

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

async function play<T>(name: string, act: () => Promise<T>): Promise<Seen & { readonly result: T }> {
  playing = RESPONSES.find((fixture) => fixture.name === name);
  const result = await act();
  const last = seen.pop();
  assert.ok(last, 'the call was recognised');
  assert.equal(last.response.incomplete, undefined);
  return { ...last, result };
}

const openai = (): OpenAI => new OpenAI({ apiKey: 'none', baseURL: `${base}/v1`, maxRetries: 0 });
const anthropic = (): Anthropic => new Anthropic({ apiKey: 'none', baseURL: base, maxRetries: 0 });
const weather = { type: 'object' as const, properties: { city: { type: 'string' } } };

test('openai, chat: the facts are what the SDK understood', async () => {
  const { api, request, response, result } = await play('OpenAI chat', () =>
    openai().chat.completions.create({
      model: 'gpt-5.1',
      messages: [{ role: 'user', content: CONTENT }],
      temperature: 0.5,
      tools: [{ type: 'function', function: { name: 'get_weather', parameters: weather } }],
    }),
  );
  assert.equal(api.kind, 'openai.chat');
  assert.deepEqual(request, {
    model: 'gpt-5.1',
    temperature: 0.5,
    stream: false,
    messages: 1,
    tools: 1,
    toolNames: ['get_weather'],
  });
  assert.equal(response.responseId, result.id);
  assert.equal(response.usage?.input, result.usage?.prompt_tokens);
  assert.equal(response.usage?.output, result.usage?.completion_tokens);
});

test('openai, chat stream', async () => {
  const { request, response, result } = await play('OpenAI chat stream with usage', () =>
    openai()
      .chat.completions.stream({
        model: 'gpt-5.1',
        messages: [{ role: 'user', content: CONTENT }],
        stream_options: { include_usage: true },
      })
      .finalChatCompletion(),
  );
  assert.equal(request.stream, true);
  assert.equal(request.includeUsage, true);
  assert.deepEqual(response.finishReasons, [result.choices[0]?.finish_reason]);
  assert.deepEqual(
    response.toolCallNames,
    result.choices[0]?.message.tool_calls?.map((call) => (call.type === 'function' ? call.function.name : '')),
  );
  assert.equal(response.usage?.input, result.usage?.prompt_tokens);
  assert.equal(response.usage?.reasoning, result.usage?.completion_tokens_details?.reasoning_tokens);
  assert.equal(response.model, result.model);
});

test('openai, responses and embeddings', async () => {
  const answered = await play('OpenAI responses', () =>
    openai().responses.create({ model: 'gpt-5.1', input: CONTENT, max_output_tokens: 9, reasoning: { effort: 'low' } }),
  );
  assert.equal(answered.api.kind, 'openai.responses');
  assert.equal(answered.request.messages, 1);
  assert.equal(answered.request.maxTokens, 9);
  assert.equal(answered.request.reasoningLevel, 'low');
  assert.equal(answered.response.usage?.input, answered.result.usage?.input_tokens);
  const streamed = await play('OpenAI responses stream', async () => {
    const types: string[] = [];
    for await (const event of await openai().responses.create({ model: 'gpt-5.1', input: CONTENT, stream: true })) {
      types.push(event.type);
    }
    return types;
  });
  assert.equal(streamed.request.stream, true);
  assert.equal(streamed.response.events, streamed.result.length);
  const embedded = await play('OpenAI embeddings', () =>
    openai().embeddings.create({
      model: 'text-embedding-3-small',
      input: [CONTENT, CONTENT],
      encoding_format: 'float',
    }),
  );
  assert.equal(embedded.request.messages, 2);
  assert.equal(embedded.response.usage?.input, embedded.result.usage.prompt_tokens);
});

test('@anthropic-ai/sdk, plain and streamed', async () => {
  const ask = {
    model: 'claude-opus-4-5',
    max_tokens: 100,
    messages: [{ role: 'user' as const, content: CONTENT }],
    tools: [{ name: 'read_file', input_schema: weather }],
  };
  const plain = await play('Anthropic messages', () => anthropic().messages.create(ask));
  const streamed = await play('Anthropic messages stream', () => anthropic().messages.stream(ask).finalMessage());
  for (const { api, request, response, result } of [plain, streamed]) {
    assert.equal(api.kind, 'anthropic.messages');
    assert.equal(request.maxTokens, 100);
    assert.deepEqual(request.toolNames, ['read_file']);
    const { input_tokens: fresh, cache_read_input_tokens: read, cache_creation_input_tokens: written } = result.usage;
    assert.equal(response.usage?.input, fresh + (read ?? 0) + (written ?? 0));
    assert.equal(response.usage?.output, result.usage.output_tokens);
    assert.deepEqual(response.finishReasons, [result.stop_reason]);
    assert.deepEqual(
      response.toolCallNames,
      result.content.flatMap((block) => (block.type === 'tool_use' ? [block.name] : [])),
    );
  }
  assert.deepEqual([plain.request.stream, streamed.request.stream], [false, true]);
});
