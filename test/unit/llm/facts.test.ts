import assert from 'node:assert/strict';
import { test } from 'node:test';
import { llmFacts } from '../../../src/llm/facts.ts';
import { recogniseLlm } from '../../../src/llm/recognise.ts';
import { createLlmRequest } from '../../../src/llm/request-reader.ts';
import { createLlmResponse } from '../../../src/llm/response-reader.ts';
import type { LlmApi, LlmFacts, LlmResponseFacts } from '../../../src/model/llm.ts';
import { LLM_ATTRIBUTES, llmSpanName, toAttributes } from '../../../src/telemetry/llm-attributes.ts';
import { REQUESTS, RESPONSES, sse } from './fixtures.ts';

const openAi = recogniseLlm({
  host: 'api.openai.com',
  method: 'POST',
  path: '/v1/chat/completions',
  requestContentType: 'application/json',
}) as LlmApi;

function call(api: LlmApi, asked: string, answered: string): LlmFacts {
  const request = REQUESTS.find(({ name }) => name === asked);
  const response = RESPONSES.find(({ name }) => name === answered);
  assert.ok(request && response);
  const requestReader = createLlmRequest(api);
  requestReader.push(request.body);
  const responseReader = createLlmResponse(api);
  responseReader.push(response.body, 1_750);
  return llmFacts(api, requestReader.end(), responseReader.end(), 1_500);
}

const full = call(openAi, 'OpenAI chat', 'OpenAI chat stream with usage');

test('every attribute has the name and the value the conventions give it', () => {
  assert.deepEqual(toAttributes(full), {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'openai',
    'gen_ai.request.model': 'gpt-5.1',
    'gen_ai.output.type': 'json',
    'gen_ai.request.choice.count': 2,
    'gen_ai.request.seed': 7,
    'gen_ai.request.stream': true,
    'gen_ai.request.temperature': 0.25,
    'gen_ai.request.top_p': 1,
    'gen_ai.request.max_tokens': 300,
    'gen_ai.request.stop_sequences': ['END', 'STOP'],
    'gen_ai.request.reasoning.level': 'low',
    'gen_ai.response.id': 'chatcmpl-1',
    'gen_ai.response.model': 'gpt-5.1-2025-11-13',
    'gen_ai.response.finish_reasons': ['tool_calls'],
    'gen_ai.response.time_to_first_chunk': 0.25,
    'gen_ai.usage.input_tokens': 100,
    'gen_ai.usage.output_tokens': 20,
    'gen_ai.usage.cache_read.input_tokens': 64,
    'gen_ai.usage.reasoning.output_tokens': 8,
    'openai.api.type': 'chat_completions',
    'openai.response.service_tier': 'default',
    'openai.response.system_fingerprint': 'fp_1',
    'weir.llm.api': 'openai.chat',
    'weir.llm.messages': 2,
    'weir.llm.tools': ['get_weather', 'shell'],
    'weir.llm.tool_calls': ['get_weather', 'get_weather'],
    'weir.llm.events': 7,
    'weir.llm.time_to_first_token': 0.25,
  });
  assert.equal(llmSpanName(full), 'chat gpt-5.1');
});

test('the cache is spelled once, as the version spells it', () => {
  const anthropic: LlmApi = { kind: 'anthropic.messages', operation: 'chat', provider: 'anthropic' };
  const facts = call(anthropic, 'Anthropic messages', 'Anthropic messages');
  const old = toAttributes(facts, '1.41');
  const latest = toAttributes(facts, 'latest');
  assert.equal(old['gen_ai.usage.cache_creation.input_tokens'], 200);
  assert.equal('gen_ai.usage.cache_write.input_tokens' in old, false);
  assert.equal(latest['gen_ai.usage.cache_write.input_tokens'], 200);
  assert.equal('gen_ai.usage.cache_creation.input_tokens' in latest, false);
  assert.equal(old['gen_ai.usage.input_tokens'], 3212);
});

test('what the conventions require is always there; no name stands twice in a version; tools are never a tool call of ours', () => {
  const bare = toAttributes(
    llmFacts(openAi, { stream: false, messages: 0, tools: 0, toolNames: [], incomplete: true }),
  );
  assert.deepEqual(bare, {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'openai',
    'openai.api.type': 'chat_completions',
    'weir.llm.api': 'openai.chat',
    'weir.llm.messages': 0,
    'weir.llm.incomplete': true,
  });
  const names = LLM_ATTRIBUTES.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.ok(!names.includes('gen_ai.tool.name'));
  for (const { name, level } of LLM_ATTRIBUTES) assert.equal(level === 'own', name.startsWith('weir.'), name);
});

test('a stream cut short has the finish reason error, a stream without usage has no tokens', () => {
  const answer = (body: Buffer): LlmResponseFacts => {
    const reader = createLlmResponse(openAi);
    reader.push(body, 0);
    return reader.end(true);
  };
  const cut = toAttributes(llmFacts(openAi, full.request, answer(sse([{ id: 'x', model: 'm', choices: [] }]))));
  assert.deepEqual(cut['gen_ai.response.finish_reasons'], ['error']);
  assert.equal(cut['weir.llm.incomplete'], true);
  assert.deepEqual(
    Object.keys(cut).filter((name) => name.startsWith('gen_ai.usage.')),
    [],
  );
  assert.equal(cut['gen_ai.response.time_to_first_chunk'], undefined);
});

test("one provider's extras are not another's", () => {
  const groq = call({ ...openAi, provider: 'groq' }, 'OpenAI chat', 'OpenAI chat stream with usage');
  assert.deepEqual(
    Object.keys(toAttributes(groq)).filter((name) => name.startsWith('openai.')),
    [],
  );
  const azure = toAttributes(call({ ...openAi, provider: 'azure.ai.openai' }, 'OpenAI chat', 'OpenAI chat'));
  assert.equal(azure['azure.resource_provider.namespace'], 'Microsoft.CognitiveServices');
});

test('facts are plain data', () => {
  assert.deepEqual(JSON.parse(JSON.stringify(full)), full);
});
