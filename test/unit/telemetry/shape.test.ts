import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LlmFacts } from '../../../src/model/llm.ts';
import type { McpFacts } from '../../../src/model/mcp.ts';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { DEFAULT_SHAPE, genAiVersion, type SpanShape } from '../../../src/telemetry/shape.ts';
import { putAttributes, spanError, spanName } from '../../../src/telemetry/span.ts';
import { exchangeSample } from '../record/samples.ts';

const LLM: LlmFacts = {
  api: { kind: 'openai.chat', operation: 'chat', provider: 'openai' },
  request: { model: 'gpt-a', stream: false, messages: 1, tools: 1, toolNames: ['search'] },
  response: {
    model: 'gpt-b',
    finishReasons: ['tool_calls'],
    usage: { input: 100, output: 20, cacheRead: 60, cacheCreation: 5, reasoning: 7 },
    toolCalls: 1,
    toolCallNames: ['search'],
    streamed: false,
    events: 0,
  },
};
const MCP: McpFacts = {
  method: 'tools/call',
  messages: 1,
  requestId: '7',
  tool: 'search',
  transport: 'streamable-http',
};

function attributes(record: ExchangeRecord, shape: Partial<SpanShape> = {}): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  const put = (name: string, value: unknown): void => {
    if (value === undefined) return;
    assert.ok(!(name in all), `${name} twice`);
    all[name] = value;
  };
  putAttributes(put, record, spanError(record), { ...DEFAULT_SHAPE, ...shape });
  return all;
}

const named = (all: object, prefix: RegExp): string[] =>
  Object.keys(all)
    .filter((name) => prefix.test(name))
    .sort();

test('auto: gen_ai where the agent does not trace itself, our names where it does', () => {
  const alone = attributes(exchangeSample({ llm: LLM }));
  assert.equal(alone['gen_ai.usage.input_tokens'], 100);
  assert.deepEqual(named(alone, /^weir\.llm\.usage/), []);
  const traced = attributes(exchangeSample({ llm: LLM, parentSpanId: 'b'.repeat(16) }));
  assert.deepEqual(named(traced, /^gen_ai\./), []);
  assert.equal(traced['weir.llm.usage.input_tokens'], 100);
  assert.equal(traced['weir.llm.request.model'], 'gpt-a');
});

test('on and off', () => {
  const traced = exchangeSample({ llm: LLM, parentSpanId: 'b'.repeat(16) });
  const message = exchangeSample({ mcp: MCP, parentSpanId: 'b'.repeat(16) });
  assert.equal(attributes(traced, { genai: 'on' })['gen_ai.usage.output_tokens'], 20);
  for (const record of [traced, message])
    assert.deepEqual(named(attributes(record, { genai: 'off' }), /gen_ai|llm|mcp/), []);
});

test('the cache written to is spelled as the version spells it, once', () => {
  const of = (version: SpanShape['version']) =>
    named(attributes(exchangeSample({ llm: LLM }), { version }), /cache_(?:write|creation)/);
  assert.deepEqual(of('1.41'), ['gen_ai.usage.cache_creation.input_tokens']);
  assert.deepEqual(of('latest'), ['gen_ai.usage.cache_write.input_tokens']);
  assert.equal(genAiVersion({ OTEL_SEMCONV_STABILITY_OPT_IN: 'http, gen_ai_latest_experimental' }), 'latest');
  assert.equal(genAiVersion({ OTEL_SEMCONV_STABILITY_OPT_IN: 'http' }), '1.41');
  assert.equal(genAiVersion({}), '1.41');
});

test('a plain request has no gen_ai name at all; in the strathon dialect the tool is the request', () => {
  assert.deepEqual(named(attributes(exchangeSample()), /gen_ai|llm|mcp|openinference|langfuse/), []);
  const strathon = attributes(exchangeSample({ method: 'POST' }), { dialects: ['otel', 'strathon'] });
  assert.equal(strathon['gen_ai.tool.name'], 'http.post');
  assert.equal(strathon['gen_ai.agent.name'], strathon['weir.agent']);
});

test('strathon prices what is under gen_ai.usage: only when asked for', () => {
  const dialects = ['otel', 'strathon'] as const;
  assert.deepEqual(named(attributes(exchangeSample({ llm: LLM }), { dialects }), /^gen_ai\.usage/), []);
  assert.equal(attributes(exchangeSample({ llm: LLM }), { dialects })['weir.llm.usage.input_tokens'], 100);
  const asked = attributes(exchangeSample({ llm: LLM }), { dialects, genai: 'on' });
  assert.equal(asked['gen_ai.usage.input_tokens'], 100);
});

test('openinference and langfuse', () => {
  const all = attributes(exchangeSample({ llm: LLM }), { dialects: ['otel', 'openinference', 'langfuse'] });
  assert.equal(all['openinference.span.kind'], 'LLM');
  assert.equal(all['llm.model_name'], 'gpt-b');
  assert.equal(all['llm.token_count.total'], 120);
  assert.equal(all['langfuse.observation.type'], 'generation');
  assert.deepEqual(JSON.parse(String(all['langfuse.observation.usage_details'])), {
    input: 40,
    output: 20,
    input_cached_tokens: 60,
  });
  const tool = attributes(exchangeSample({ mcp: MCP }), {
    dialects: ['otel', 'openinference', 'langfuse', 'strathon'],
  });
  assert.equal(tool['openinference.span.kind'], 'TOOL');
  assert.equal(tool['langfuse.observation.type'], 'tool');
  assert.equal(tool['gen_ai.tool.name'], 'search');
});

test('an MCP message names its span, its outcome is the span’s error', () => {
  assert.equal(spanName(exchangeSample({ mcp: MCP })), 'tools/call search');
  const { tool: _, ...list } = { ...MCP, method: 'tools/list' };
  assert.equal(spanName(exchangeSample({ mcp: list })), 'tools/list');
  assert.equal(spanName(exchangeSample({ mcp: MCP, parentSpanId: 'b'.repeat(16), method: 'POST' })), 'http.post');
  const joined = { ...MCP, traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` };
  assert.equal(spanName(exchangeSample({ mcp: joined, parentSpanId: 'b'.repeat(16) })), 'tools/call search');
  assert.equal(attributes(exchangeSample({ mcp: { ...MCP, errorCode: -32601 } }))['error.type'], '-32601');
  assert.equal(attributes(exchangeSample({ mcp: { ...MCP, toolError: true } }))['error.type'], 'tool_error');
  assert.equal(attributes(exchangeSample({ mcp: MCP }))['gen_ai.operation.name'], 'execute_tool');
});
