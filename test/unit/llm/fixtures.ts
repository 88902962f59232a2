import { crc32 } from 'node:zlib';
import type { LlmApi, LlmRequestFacts, LlmResponseFacts } from '../../../src/model/llm.ts';

/** One answer in a provider's documented format, and what is to be read from it. */
export interface ResponseFixture {
  readonly name: string;
  readonly api: LlmApi;
  readonly body: Buffer;
  readonly facts: Omit<LlmResponseFacts, 'firstEventAt' | 'firstTokenAt'>;
}

export interface RequestFixture {
  readonly name: string;
  readonly api: LlmApi;
  readonly body: Buffer;
  readonly facts: LlmRequestFacts;
}

export const api = (kind: LlmApi['kind'], more: Partial<LlmApi> = {}): LlmApi => ({
  kind,
  operation: 'chat',
  provider: 'test',
  ...more,
});

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value, null, 1));

/** `data` lines; with `named`, each with its `type` as `event`. */
export function sse(events: readonly object[], { named = false, done = false, eol = '\n' } = {}): Buffer {
  const lines = events.map((event) => {
    const type = named ? `event: ${(event as { type: string }).type}${eol}` : '';
    return `${type}data: ${JSON.stringify(event)}${eol}${eol}`;
  });
  return Buffer.from(lines.join('') + (done ? `data: [DONE]${eol}${eol}` : ''));
}

function header(name: string, value: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Buffer.byteLength(value));
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([7]), length, Buffer.from(value)]);
}

/** One message of an AWS event stream. */
export function awsMessage(headers: Record<string, string>, payload: unknown): Buffer {
  const head = Buffer.concat(Object.entries(headers).map(([name, value]) => header(name, value)));
  const body = Buffer.from(JSON.stringify(payload));
  const prelude = Buffer.alloc(12);
  prelude.writeUInt32BE(16 + head.length + body.length, 0);
  prelude.writeUInt32BE(head.length, 4);
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
  const most = Buffer.concat([prelude, head, body]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(most));
  return Buffer.concat([most, sum]);
}

export const awsEvent = (type: string, payload: unknown): Buffer =>
  awsMessage({ ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' }, payload);

export const awsChunk = (inner: unknown): Buffer =>
  awsEvent('chunk', { bytes: Buffer.from(JSON.stringify(inner)).toString('base64'), p: 'abcdef' });

/** Words no fact may contain. */
export const CONTENT = 'Zwiebelkuchen "mit" Käse 🧀\n';

const tools = (name: string): object => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: { name: { type: 'string' } } } },
});
const noTools = { tools: 0, toolNames: [] };

export const REQUESTS: readonly RequestFixture[] = [
  {
    name: 'OpenAI chat',
    api: api('openai.chat'),
    body: json({
      messages: [
        { role: 'system', content: CONTENT },
        {
          role: 'user',
          content: [
            { type: 'text', text: CONTENT },
            { type: 'image_url', image_url: { url: `data:${'A'.repeat(500)}` } },
          ],
        },
      ],
      model: 'gpt-5.1',
      stream: true,
      stream_options: { include_usage: true },
      max_completion_tokens: 300,
      temperature: 0.25,
      top_p: 1,
      n: 2,
      seed: 7,
      stop: ['END', 'STOP'],
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {} } },
      reasoning_effort: 'low',
      tools: [tools('get_weather'), { type: 'custom', custom: { name: 'shell' } }],
    }),
    facts: {
      model: 'gpt-5.1',
      stream: true,
      includeUsage: true,
      maxTokens: 300,
      temperature: 0.25,
      topP: 1,
      choiceCount: 2,
      seed: 7,
      stopSequences: ['END', 'STOP'],
      outputType: 'json',
      reasoningLevel: 'low',
      messages: 2,
      tools: 2,
      toolNames: ['get_weather', 'shell'],
    },
  },
  {
    name: 'OpenAI responses, input as one text',
    api: api('openai.responses'),
    body: json({
      model: 'gpt-5.1',
      input: CONTENT,
      max_output_tokens: 64,
      reasoning: { effort: 'high' },
      previous_response_id: 'resp_0',
      conversation: { id: 'conv_1' },
      tools: [{ type: 'function', name: 'lookup', parameters: {} }, { type: 'web_search' }],
    }),
    facts: {
      model: 'gpt-5.1',
      stream: false,
      maxTokens: 64,
      reasoningLevel: 'high',
      previousResponseId: 'resp_0',
      conversationId: 'conv_1',
      messages: 1,
      tools: 2,
      toolNames: ['lookup', 'web_search'],
    },
  },
  {
    name: 'OpenAI embeddings of tokens',
    api: api('openai.embeddings'),
    body: json({ model: 'text-embedding-3-small', input: [1, 2, 3] }),
    facts: { model: 'text-embedding-3-small', stream: false, messages: 1, ...noTools },
  },
  {
    name: 'OpenAI completions',
    api: api('openai.completions', { model: 'deployment' }),
    body: json({ prompt: [CONTENT, CONTENT], max_tokens: 5, stop: '\n' }),
    facts: { model: 'deployment', stream: false, maxTokens: 5, stopSequences: ['\n'], messages: 2, ...noTools },
  },
  {
    name: 'Anthropic messages',
    api: api('anthropic.messages'),
    body: json({
      model: 'claude-opus-4-5',
      max_tokens: 1024,
      system: [{ type: 'text', text: CONTENT, cache_control: { type: 'ephemeral' } }],
      messages: [{ role: 'user', content: CONTENT }],
      tools: [
        { name: 'read_file', input_schema: { type: 'object' } },
        { type: 'web_search_20250305', name: 'web_search' },
      ],
      stop_sequences: ['x'],
      top_k: 40,
      stream: true,
      metadata: { user_id: 'u' },
    }),
    facts: {
      model: 'claude-opus-4-5',
      stream: true,
      maxTokens: 1024,
      topK: 40,
      stopSequences: ['x'],
      messages: 1,
      tools: 2,
      toolNames: ['read_file', 'web_search'],
    },
  },
  {
    name: 'Gemini',
    api: api('gemini.generate', { model: 'gemini-3-pro', stream: true }),
    body: json({
      contents: [{ role: 'user', parts: [{ text: CONTENT }] }],
      generationConfig: {
        temperature: 1,
        topP: 0.9,
        topK: 20,
        maxOutputTokens: 9,
        candidateCount: 1,
        responseMimeType: 'application/json',
        stopSequences: ['q'],
      },
      tools: [{ function_declarations: [{ name: 'a' }, { name: 'b' }] }],
    }),
    facts: {
      model: 'gemini-3-pro',
      stream: true,
      temperature: 1,
      topP: 0.9,
      topK: 20,
      maxTokens: 9,
      choiceCount: 1,
      outputType: 'json',
      stopSequences: ['q'],
      messages: 1,
      tools: 2,
      toolNames: ['a', 'b'],
    },
  },
  {
    name: 'Gemini behind Code Assist',
    api: api('gemini.generate'),
    body: json({ model: 'gemini-3-pro', project: 'p', request: { contents: [{}, {}], generationConfig: { seed: 3 } } }),
    // The name beside the wrapper is not where the API has it.
    facts: { stream: false, seed: 3, messages: 2, ...noTools },
  },
  {
    name: 'Bedrock Converse',
    api: api('bedrock.converse', { model: 'amazon.nova-pro-v1:0' }),
    body: json({
      messages: [{ role: 'user', content: [{ text: CONTENT }] }],
      inferenceConfig: { maxTokens: 10, temperature: 0, topP: 0.5, stopSequences: ['z'] },
      toolConfig: { tools: [{ toolSpec: { name: 'top_song', inputSchema: { json: {} } } }] },
      guardrailConfig: { guardrailIdentifier: 'gr-1', guardrailVersion: '1' },
    }),
    facts: {
      model: 'amazon.nova-pro-v1:0',
      stream: false,
      maxTokens: 10,
      temperature: 0,
      topP: 0.5,
      stopSequences: ['z'],
      guardrailId: 'gr-1',
      messages: 1,
      tools: 1,
      toolNames: ['top_song'],
    },
  },
  {
    name: 'Bedrock Invoke, Anthropic',
    api: api('bedrock.invoke', { model: 'anthropic.claude-sonnet-4-5-20250929-v1:0' }),
    body: json({
      anthropic_version: 'bedrock-2023-05-31',
      max_tokens: 5,
      messages: [{ role: 'user', content: CONTENT }],
    }),
    facts: { model: 'anthropic.claude-sonnet-4-5-20250929-v1:0', stream: false, maxTokens: 5, messages: 1, ...noTools },
  },
  {
    name: 'Bedrock Invoke, Llama',
    api: api('bedrock.invoke', { model: 'meta.llama3', stream: true }),
    body: json({ prompt: CONTENT, max_gen_len: 5, temperature: 0.5 }),
    facts: { model: 'meta.llama3', stream: true, maxTokens: 5, temperature: 0.5, messages: 1, ...noTools },
  },
  {
    name: 'Ollama chat, streaming by default',
    api: api('ollama.chat'),
    body: json({
      model: 'llama3.2',
      messages: [{ role: 'user', content: CONTENT }],
      options: { num_predict: 8, seed: 1 },
    }),
    facts: { model: 'llama3.2', stream: true, maxTokens: 8, seed: 1, messages: 1, ...noTools },
  },
];

const chunk = (choices: unknown[], more: object = {}): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'gpt-5.1-2025-11-13',
  service_tier: 'default',
  system_fingerprint: 'fp_1',
  choices,
  usage: null,
  ...more,
});
const delta = (value: object, finish: string | null = null, index = 0): object => ({
  index,
  delta: value,
  logprobs: null,
  finish_reason: finish,
});
const openAiUsage = {
  prompt_tokens: 100,
  completion_tokens: 20,
  total_tokens: 120,
  prompt_tokens_details: { cached_tokens: 64, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 8 },
};
const openAiFacts = { input: 100, output: 20, cacheRead: 64, reasoning: 8 };
const openAiStream = [
  chunk([delta({ role: 'assistant', content: '', refusal: null })]),
  chunk([delta({ content: CONTENT })]),
  chunk([
    delta({
      tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'get_weather', arguments: '' } }],
    }),
  ]),
  chunk([delta({ tool_calls: [{ index: 0, function: { arguments: '{"name":"no"}' } }] })]),
  chunk([
    delta({
      tool_calls: [{ index: 1, id: 'call_b', type: 'function', function: { name: 'get_weather', arguments: '' } }],
    }),
  ]),
  chunk([delta({}, 'tool_calls')]),
];
const openAiStreamFacts = {
  responseId: 'chatcmpl-1',
  model: 'gpt-5.1-2025-11-13',
  serviceTier: 'default',
  systemFingerprint: 'fp_1',
  finishReasons: ['tool_calls'],
  toolCalls: 2,
  toolCallNames: ['get_weather', 'get_weather'],
  streamed: true,
};

const claude = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-opus-4-5-20251101',
  stop_sequence: null,
};
const claudeCache = {
  cache_creation_input_tokens: 200,
  cache_read_input_tokens: 3000,
  cache_creation: { ephemeral_5m_input_tokens: 200 },
};
export const CLAUDE_STREAM: readonly object[] = [
  {
    type: 'message_start',
    message: {
      ...claude,
      content: [],
      stop_reason: null,
      usage: { input_tokens: 12, output_tokens: 1, ...claudeCache, service_tier: 'standard' },
    },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'ping' },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: CONTENT } },
  { type: 'content_block_stop', index: 0 },
  {
    type: 'content_block_start',
    index: 1,
    content_block: { type: 'tool_use', id: 'toolu_1', name: 'read_file', input: {} },
  },
  { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '{"name":1}' } },
  { type: 'content_block_stop', index: 1 },
  { type: 'message_delta', delta: { stop_reason: 'tool_use', stop_sequence: null }, usage: { output_tokens: 89 } },
  { type: 'message_stop' },
];
const claudeFacts = {
  responseId: 'msg_1',
  model: 'claude-opus-4-5-20251101',
  finishReasons: ['tool_use'],
  usage: { input: 3212, output: 89, cacheRead: 3000, cacheCreation: 200 },
  toolCalls: 1,
  toolCallNames: ['read_file'],
};

const responsesObject = (status: string, more: object = {}): object => ({
  id: 'resp_1',
  object: 'response',
  status,
  error: null,
  incomplete_details: null,
  model: 'gpt-5.1-2025-11-13',
  service_tier: 'default',
  output: [],
  usage: null,
  ...more,
});
const functionCall = {
  id: 'fc_1',
  type: 'function_call',
  status: 'completed',
  call_id: 'call_1',
  name: 'lookup',
  arguments: '{}',
};
const responsesDone = {
  output: [
    { id: 'rs_1', type: 'reasoning', summary: [] },
    { id: 'msg_1', type: 'message', role: 'assistant', content: [{ type: 'output_text', text: CONTENT }] },
    { id: 'ws_1', type: 'web_search_call', status: 'completed' },
    functionCall,
  ],
  usage: {
    input_tokens: 50,
    input_tokens_details: { cached_tokens: 10 },
    output_tokens: 30,
    output_tokens_details: { reasoning_tokens: 12 },
    total_tokens: 80,
  },
};
const responsesFacts = {
  responseId: 'resp_1',
  model: 'gpt-5.1-2025-11-13',
  serviceTier: 'default',
  usage: { input: 50, output: 30, cacheRead: 10, reasoning: 12 },
};

const gemini = (parts: object[], finish?: string, usage: object = {}): object => ({
  candidates: [{ content: { parts, role: 'model' }, ...(finish && { finishReason: finish }), index: 0 }],
  usageMetadata: { promptTokenCount: 40, totalTokenCount: 40, ...usage },
  modelVersion: 'gemini-3-pro-001',
  responseId: 'r-1',
});
const geminiUsage = {
  candidatesTokenCount: 5,
  thoughtsTokenCount: 7,
  cachedContentTokenCount: 16,
  totalTokenCount: 52,
};
const geminiStream = [
  gemini([{ text: CONTENT, thought: true }]),
  gemini([{ functionCall: { name: 'a', args: { name: 'no' } } }], undefined, { candidatesTokenCount: 2 }),
  gemini([{ text: '' }], 'STOP', geminiUsage),
];
const geminiFacts = {
  responseId: 'r-1',
  model: 'gemini-3-pro-001',
  finishReasons: ['STOP'],
  usage: { input: 40, output: 12, cacheRead: 16, reasoning: 7 },
};

const converse = [
  awsEvent('messageStart', { role: 'assistant', p: 'ab' }),
  awsEvent('contentBlockDelta', { contentBlockIndex: 0, delta: { text: CONTENT }, p: 'abc' }),
  awsEvent('contentBlockStop', { contentBlockIndex: 0 }),
  awsEvent('contentBlockStart', { contentBlockIndex: 1, start: { toolUse: { toolUseId: 't1', name: 'top_song' } } }),
  awsEvent('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: '{"name":1}' } } }),
  awsEvent('messageStop', { stopReason: 'tool_use' }),
  awsEvent('metadata', {
    usage: { inputTokens: 10, outputTokens: 5, totalTokens: 115, cacheReadInputTokens: 80, cacheWriteInputTokens: 20 },
    metrics: { latencyMs: 9 },
  }),
];
const converseFacts = {
  finishReasons: ['tool_use'],
  usage: { input: 110, output: 5, cacheRead: 80, cacheCreation: 20 },
  toolCalls: 1,
  toolCallNames: ['top_song'],
};
const noCalls = { toolCalls: 0, toolCallNames: [] };
const plain = { streamed: false, events: 0 };

export const RESPONSES: readonly ResponseFixture[] = [
  {
    name: 'OpenAI chat',
    api: api('openai.chat'),
    body: json({
      id: 'chatcmpl-1',
      model: 'gpt-5.1-2025-11-13',
      object: 'chat.completion',
      choices: [
        { message: { role: 'assistant', content: CONTENT }, finish_reason: 'length', index: 1 },
        {
          index: 0,
          message: {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: 'c', type: 'function', function: { arguments: '{"name":"no"}', name: 'f' } }],
          },
          finish_reason: 'tool_calls',
        },
      ],
      usage: openAiUsage,
    }),
    facts: {
      responseId: 'chatcmpl-1',
      model: 'gpt-5.1-2025-11-13',
      finishReasons: ['tool_calls', 'length'],
      usage: openAiFacts,
      toolCalls: 1,
      toolCallNames: ['f'],
      ...plain,
    },
  },
  {
    name: 'OpenAI chat stream with usage',
    api: api('openai.chat'),
    body: sse([...openAiStream, chunk([], { usage: openAiUsage })], { done: true }),
    facts: { ...openAiStreamFacts, usage: openAiFacts, events: 7 },
  },
  {
    name: 'OpenAI chat stream without usage, CR LF',
    api: api('openai.chat'),
    body: sse(openAiStream, { done: true, eol: '\r\n' }),
    facts: { ...openAiStreamFacts, events: 6 },
  },
  {
    name: 'OpenRouter stream: comments first, no closing mark',
    api: api('openai.chat', { provider: 'openrouter' }),
    body: Buffer.concat([Buffer.from(': OPENROUTER PROCESSING\n\n'), sse(openAiStream)]),
    facts: { ...openAiStreamFacts, events: 6 },
  },
  {
    name: 'xAI chat: reasoning beside the completion',
    api: api('openai.chat', { provider: 'x_ai' }),
    body: json({
      id: 'x',
      model: 'grok-4',
      choices: [{ index: 0, message: { content: CONTENT }, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 115,
        completion_tokens_details: { reasoning_tokens: 100 },
      },
    }),
    facts: {
      responseId: 'x',
      model: 'grok-4',
      finishReasons: ['stop'],
      usage: { input: 10, output: 105, reasoning: 100 },
      ...noCalls,
      ...plain,
    },
  },
  {
    name: 'OpenAI error',
    api: api('openai.chat'),
    body: json({ error: { message: CONTENT, type: 'requests', param: null, code: 'rate_limit_exceeded' } }),
    facts: { finishReasons: [], error: 'rate_limit_exceeded', ...noCalls, ...plain },
  },
  {
    name: 'OpenAI embeddings',
    api: api('openai.embeddings'),
    body: json({
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.1, -2.5e-7] }],
      model: 'text-embedding-3-small',
      usage: { prompt_tokens: 8, total_tokens: 8 },
    }),
    facts: { model: 'text-embedding-3-small', finishReasons: [], usage: { input: 8 }, ...noCalls, ...plain },
  },
  {
    name: 'OpenAI completions stream',
    api: api('openai.completions'),
    body: sse(
      [
        { id: 'cmpl-1', model: 'm', choices: [{ text: CONTENT, index: 0, finish_reason: null }] },
        { id: 'cmpl-1', model: 'm', choices: [{ text: '', index: 0, finish_reason: 'stop' }] },
      ],
      { done: true },
    ),
    facts: { responseId: 'cmpl-1', model: 'm', finishReasons: ['stop'], ...noCalls, streamed: true, events: 2 },
  },
  {
    name: 'OpenAI responses',
    api: api('openai.responses'),
    body: json(responsesObject('completed', responsesDone)),
    facts: {
      ...responsesFacts,
      finishReasons: ['completed'],
      toolCalls: 2,
      toolCallNames: ['web_search', 'lookup'],
      ...plain,
    },
  },
  {
    name: 'OpenAI responses stream',
    api: api('openai.responses'),
    body: sse(
      [
        { type: 'response.created', response: responsesObject('in_progress') },
        { type: 'response.output_item.added', output_index: 0, item: { ...functionCall, arguments: '' } },
        { type: 'response.function_call_arguments.delta', item_id: 'fc_1', delta: '{}' },
        { type: 'response.output_item.done', output_index: 0, item: functionCall },
        { type: 'response.output_text.delta', item_id: 'msg_1', delta: CONTENT },
        {
          type: 'response.incomplete',
          response: responsesObject('incomplete', {
            ...responsesDone,
            incomplete_details: { reason: 'max_output_tokens' },
          }),
        },
      ],
      { named: true },
    ),
    facts: {
      ...responsesFacts,
      finishReasons: ['max_output_tokens'],
      toolCalls: 2,
      toolCallNames: ['lookup', 'web_search'],
      streamed: true,
      events: 6,
    },
  },
  {
    name: 'Anthropic messages',
    api: api('anthropic.messages'),
    body: json({
      ...claude,
      content: [
        { type: 'text', text: CONTENT },
        { type: 'tool_use', id: 'toolu_1', name: 'read_file', input: { name: 'no' } },
      ],
      stop_reason: 'tool_use',
      usage: { input_tokens: 12, output_tokens: 89, ...claudeCache },
    }),
    facts: { ...claudeFacts, ...plain },
  },
  {
    name: 'Anthropic messages stream',
    api: api('anthropic.messages'),
    body: sse(CLAUDE_STREAM, { named: true }),
    facts: { ...claudeFacts, serviceTier: 'standard', streamed: true, events: 10 },
  },
  {
    name: 'Anthropic messages stream that fails',
    api: api('anthropic.messages'),
    body: sse(
      [...CLAUDE_STREAM.slice(0, 4), { type: 'error', error: { type: 'overloaded_error', message: CONTENT } }],
      { named: true },
    ),
    facts: {
      responseId: 'msg_1',
      model: 'claude-opus-4-5-20251101',
      serviceTier: 'standard',
      finishReasons: [],
      usage: { input: 3212, cacheRead: 3000, cacheCreation: 200 },
      error: 'overloaded_error',
      ...noCalls,
      streamed: true,
      events: 5,
      incomplete: true,
    },
  },
  {
    name: 'Gemini',
    api: api('gemini.generate'),
    body: json(gemini([{ text: CONTENT }], 'STOP', geminiUsage)),
    facts: { ...geminiFacts, ...noCalls, ...plain },
  },
  {
    name: 'Gemini stream as SSE',
    api: api('gemini.generate', { stream: true }),
    body: sse(geminiStream, { eol: '\r\n' }),
    facts: { ...geminiFacts, toolCalls: 1, toolCallNames: ['a'], streamed: true, events: 3 },
  },
  {
    name: 'Gemini stream as one array',
    api: api('gemini.generate', { stream: true }),
    body: json(geminiStream),
    facts: { ...geminiFacts, toolCalls: 1, toolCallNames: ['a'], streamed: true, events: 3 },
  },
  {
    name: 'Gemini, blocked prompt',
    api: api('gemini.generate'),
    body: json({
      promptFeedback: { blockReason: 'SAFETY' },
      usageMetadata: { promptTokenCount: 4, totalTokenCount: 4 },
    }),
    facts: { finishReasons: ['SAFETY'], usage: { input: 4 }, ...noCalls, ...plain },
  },
  {
    name: 'Gemini error',
    api: api('gemini.generate', { stream: true }),
    body: json([{ error: { code: 429, message: CONTENT, status: 'RESOURCE_EXHAUSTED' } }]),
    facts: { finishReasons: [], error: 'RESOURCE_EXHAUSTED', ...noCalls, ...plain },
  },
  {
    name: 'Bedrock Converse',
    api: api('bedrock.converse'),
    body: json({
      output: {
        message: {
          role: 'assistant',
          content: [{ text: CONTENT }, { toolUse: { toolUseId: 't1', name: 'top_song', input: {} } }],
        },
      },
      stopReason: 'tool_use',
      usage: {
        inputTokens: 10,
        outputTokens: 5,
        totalTokens: 115,
        cacheReadInputTokens: 80,
        cacheWriteInputTokens: 20,
      },
      metrics: { latencyMs: 5 },
    }),
    facts: { ...converseFacts, ...plain },
  },
  {
    name: 'Bedrock Converse stream',
    api: api('bedrock.converse', { stream: true }),
    body: Buffer.concat(converse),
    facts: { ...converseFacts, streamed: true, events: 7 },
  },
  {
    name: 'Bedrock Converse stream that fails',
    api: api('bedrock.converse', { stream: true }),
    body: Buffer.concat([
      ...converse.slice(0, 2),
      awsMessage(
        { ':exception-type': 'throttlingException', ':content-type': 'application/json', ':message-type': 'exception' },
        { message: CONTENT },
      ),
    ]),
    facts: { finishReasons: [], error: 'throttlingException', ...noCalls, streamed: true, events: 3, incomplete: true },
  },
  {
    name: 'Bedrock Invoke stream, Anthropic',
    api: api('bedrock.invoke', { stream: true }),
    body: Buffer.concat([
      ...CLAUDE_STREAM.slice(0, -1).map(awsChunk),
      awsChunk({
        type: 'message_stop',
        'amazon-bedrock-invocationMetrics': { inputTokenCount: 12, outputTokenCount: 89, invocationLatency: 1 },
      }),
    ]),
    facts: { ...claudeFacts, serviceTier: 'standard', streamed: true, events: 10 },
  },
  {
    name: 'Bedrock Invoke stream, a family that counts nothing itself',
    api: api('bedrock.invoke', { stream: true }),
    body: Buffer.concat([
      awsChunk({ outputs: [{ text: CONTENT, stop_reason: null }] }),
      awsChunk({
        outputs: [{ text: '', stop_reason: 'stop' }],
        'amazon-bedrock-invocationMetrics': { inputTokenCount: 6, outputTokenCount: 4 },
      }),
    ]),
    facts: { finishReasons: ['stop'], usage: { input: 6, output: 4 }, ...noCalls, streamed: true, events: 2 },
  },
  {
    name: 'Bedrock Invoke, Llama',
    api: api('bedrock.invoke'),
    body: json({ generation: CONTENT, prompt_token_count: 9, generation_token_count: 3, stop_reason: 'length' }),
    facts: { finishReasons: ['length'], usage: { input: 9, output: 3 }, ...noCalls, ...plain },
  },
  {
    name: 'Ollama chat stream',
    api: api('ollama.chat'),
    body: Buffer.from(
      [
        { model: 'llama3.2', created_at: 't', message: { role: 'assistant', content: CONTENT }, done: false },
        {
          model: 'llama3.2',
          message: { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: {} } }] },
          done: false,
        },
        {
          model: 'llama3.2',
          message: { role: 'assistant', content: '' },
          done: true,
          done_reason: 'stop',
          prompt_eval_count: 26,
          eval_count: 29,
        },
      ]
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    ),
    facts: {
      model: 'llama3.2',
      finishReasons: ['stop'],
      usage: { input: 26, output: 29 },
      toolCalls: 1,
      toolCallNames: ['f'],
      streamed: true,
      events: 3,
    },
  },
  {
    name: 'Ollama error in words',
    api: api('ollama.generate'),
    body: json({ error: "model 'x' not found" }),
    facts: { finishReasons: [], error: '_OTHER', ...noCalls, ...plain },
  },
];
