import type { LlmApiKind } from '../model/llm.ts';
import { type JsonField, type JsonNode, jsonPaths } from './json-paths.ts';

/** What an answer's JSON is read for. */
export type ResponseField =
  | 'responseId'
  | 'model'
  | 'serviceTier'
  | 'systemFingerprint'
  | 'conversationId'
  | 'error'
  /** A second name of the error, when it has no first: OpenAI's `code`. */
  | 'errorCode'
  /** An answer among several begins, with its own finish reason and calls. */
  | 'choice'
  | 'choiceIndex'
  | 'finish'
  /** How the whole ended, when no choice says why: Responses' `status`. */
  | 'status'
  /** The event's own name for itself. */
  | 'type'
  | 'call'
  | 'callIndex'
  | 'callId'
  | 'callName'
  | 'callType'
  /** Output of any sort: its arrival is the first token. */
  | 'token'
  /** `true` where the stream is over. */
  | 'over'
  /** An envelope's inside, in base64. */
  | 'envelope'
  | UsageField;

/** Counters as the provider tells them; `response-notes.ts` makes the conventions' of them. */
export type UsageField =
  | 'input'
  | 'output'
  | 'total'
  | 'cacheRead'
  | 'cacheCreation'
  | 'reasoning'
  /** Counters of the service around the model, for when the model told none. */
  | 'outerInput'
  | 'outerOutput'
  | 'outerCacheRead'
  | 'outerCacheCreation';

type Field = JsonField<ResponseField>;

/** Bytes of base64 one event of Invoke may have; the model's events have a few hundred. */
const ENVELOPE = 256 << 10;
const NAME = 128;

/** The paths, each under every one of `at`. */
function fields(pairs: Readonly<Record<string, ResponseField>>, at: readonly string[] = ['']): Field[] {
  return at.flatMap((prefix) =>
    Object.entries(pairs).map(([path, as]) => {
      const field = { path: `${prefix}${path}`, as };
      if (as === 'token') return { ...field, keep: 0 };
      if (as === 'envelope') return { ...field, keep: ENVELOPE };
      return as.startsWith('call') ? { ...field, keep: NAME } : field;
    }),
  );
}

/** An error has the same place everywhere but at Bedrock: in a body of its own, or in the stream. */
const ERROR = fields({ error: 'error', 'error.type|status': 'error', 'error.code': 'errorCode' });

/** platform.openai.com/docs/api-reference/chat/object; DeepSeek's, LiteLLM's and OpenRouter's cache counters; Groq's and Moonshot's places. */
const OPENAI_USAGE = fields(
  {
    prompt_tokens: 'input',
    completion_tokens: 'output',
    total_tokens: 'total',
    'prompt_tokens_details.cached_tokens': 'cacheRead',
    'prompt_tokens_details.cache_write_tokens': 'cacheCreation',
    prompt_cache_hit_tokens: 'cacheRead',
    cache_creation_input_tokens: 'cacheCreation',
    'completion_tokens_details.reasoning_tokens': 'reasoning',
  },
  ['usage.', 'x_groq.usage.', 'choices.*.usage.'],
);

const OPENAI_COMMON: readonly Field[] = [
  ...ERROR,
  ...OPENAI_USAGE,
  ...fields({ id: 'responseId', model: 'model', service_tier: 'serviceTier', system_fingerprint: 'systemFingerprint' }),
];

const OPENAI_CHOICES = fields({
  'choices.*': 'choice',
  'choices.*.index': 'choiceIndex',
  'choices.*.finish_reason': 'finish',
});

const OPENAI_MESSAGE = fields(
  {
    'content|reasoning_content|reasoning|refusal': 'token',
    'tool_calls.*': 'call',
    'tool_calls.*.index': 'callIndex',
    'tool_calls.*.id': 'callId',
    'tool_calls.*.type': 'callType',
    'tool_calls.*.function|custom.name': 'callName',
    // Before tool calls there was one function call.
    function_call: 'call',
    'function_call.name': 'callName',
  },
  ['choices.*.message.', 'choices.*.delta.'],
);

const OPENAI_CHAT: readonly Field[] = [...OPENAI_COMMON, ...OPENAI_CHOICES, ...OPENAI_MESSAGE];

const OPENAI_COMPLETIONS: readonly Field[] = [...OPENAI_CHAT, ...fields({ 'choices.*.text': 'token' })];

/** …/responses/object; in a stream the object is inside the event, and items come before it. */
const OPENAI_RESPONSES: readonly Field[] = [
  ...ERROR,
  ...fields({ type: 'type', delta: 'token', code: 'errorCode' }),
  ...fields(
    {
      id: 'responseId',
      model: 'model',
      service_tier: 'serviceTier',
      status: 'status',
      'incomplete_details.reason': 'finish',
      'conversation.id': 'conversationId',
      'usage.input_tokens': 'input',
      'usage.output_tokens': 'output',
      'usage.total_tokens': 'total',
      'usage.input_tokens_details.cached_tokens': 'cacheRead',
      'usage.input_tokens_details.cache_write_tokens': 'cacheCreation',
      'usage.output_tokens_details.reasoning_tokens': 'reasoning',
      'output.*': 'call',
      'output.*.id': 'callId',
      'output.*.type': 'callType',
      'output.*.name': 'callName',
    },
    ['', 'response.'],
  ),
  ...fields({ 'response.error.code': 'error' }),
  ...fields({ item: 'call', 'item.id': 'callId', 'item.type': 'callType', 'item.name': 'callName' }),
];

/** docs.anthropic.com/en/api/messages and …/messages-streaming: the message is inside `message_start`, its end inside `message_delta`. */
const ANTHROPIC: readonly Field[] = [
  ...ERROR,
  ...fields({ type: 'type', 'delta.stop_reason': 'finish', 'delta.text|thinking|partial_json': 'token' }),
  // The count inside `message_start` is a beginning, not a sum: of a stream cut before `message_delta` the output is not known.
  ...fields({ 'usage.output_tokens': 'output' }),
  ...fields(
    {
      id: 'responseId',
      model: 'model',
      stop_reason: 'finish',
      'usage.service_tier': 'serviceTier',
      'usage.input_tokens': 'input',
      'usage.cache_read_input_tokens': 'cacheRead',
      'usage.cache_creation_input_tokens': 'cacheCreation',
      'usage.output_tokens_details.thinking_tokens': 'reasoning',
      'content.*': 'call',
      'content.*.id': 'callId',
      'content.*.type': 'callType',
      'content.*.name': 'callName',
    },
    ['', 'message.'],
  ),
  ...fields({
    content_block: 'call',
    'content_block.id': 'callId',
    'content_block.type': 'callType',
    'content_block.name': 'callName',
  }),
];

/** ai.google.dev/api/generate-content; every chunk of a stream is such an object. `response.`: Code Assist wraps it. */
const GEMINI: readonly Field[] = [
  ...ERROR,
  ...fields(
    {
      responseId: 'responseId',
      modelVersion: 'model',
      'candidates.*': 'choice',
      'candidates.*.index': 'choiceIndex',
      'candidates.*.finishReason': 'finish',
      'promptFeedback.blockReason': 'status',
      'candidates.*.content.parts.*.text': 'token',
      'candidates.*.content.parts.*.functionCall': 'call',
      'candidates.*.content.parts.*.functionCall.id': 'callId',
      'candidates.*.content.parts.*.functionCall.name': 'callName',
      'usageMetadata.promptTokenCount': 'input',
      'usageMetadata.candidatesTokenCount': 'output',
      'usageMetadata.thoughtsTokenCount': 'reasoning',
      'usageMetadata.totalTokenCount': 'total',
      'usageMetadata.cachedContentTokenCount': 'cacheRead',
    },
    ['', 'response.'],
  ),
];

/** API_runtime_Converse and …_ConverseStream; Nova behind Invoke wraps the same events once more. */
const CONVERSE_USAGE = {
  'usage.inputTokens': 'input',
  'usage.outputTokens': 'output',
  'usage.totalTokens': 'total',
  'usage.cacheReadInputTokens|cacheReadInputTokenCount': 'cacheRead',
  'usage.cacheWriteInputTokens|cacheWriteInputTokenCount': 'cacheCreation',
} as const;

const CONVERSE: readonly Field[] = [
  ...fields({
    stopReason: 'finish',
    'output.message.content.*.toolUse': 'call',
    'output.message.content.*.toolUse.name': 'callName',
    'output.message.content.*.toolUse.toolUseId': 'callId',
    'start.toolUse': 'call',
    'start.toolUse.name': 'callName',
    'start.toolUse.toolUseId': 'callId',
    'delta.text': 'token',
    'delta.toolUse': 'token',
    'delta.reasoningContent': 'token',
    __type: 'error',
  }),
  ...fields(CONVERSE_USAGE),
];

const NOVA: readonly Field[] = [
  ...fields({
    'messageStop.stopReason': 'finish',
    'contentBlockStart.start.toolUse': 'call',
    'contentBlockStart.start.toolUse.name': 'callName',
    'contentBlockStart.start.toolUse.toolUseId': 'callId',
    'contentBlockDelta.delta.text': 'token',
    'contentBlockDelta.delta.toolUse': 'token',
  }),
  ...fields(CONVERSE_USAGE, ['metadata.']),
];

/** The families behind Invoke: Anthropic's own, OpenAI's, Nova, Llama, Mistral, Titan. */
const INVOKE: readonly Field[] = [
  ...ANTHROPIC,
  ...OPENAI_CHAT,
  ...CONVERSE,
  ...NOVA,
  ...fields({
    bytes: 'envelope',
    'generation|outputText': 'token',
    prompt_token_count: 'input',
    generation_token_count: 'output',
    inputTextTokenCount: 'input',
    'totalOutputTextTokenCount|results.*.tokenCount': 'output',
    'completionReason|results.*.completionReason': 'finish',
    'outputs.*.stop_reason': 'finish',
    'outputs.*.text': 'token',
    'amazon-bedrock-invocationMetrics': 'over',
    'amazon-bedrock-invocationMetrics.inputTokenCount': 'outerInput',
    'amazon-bedrock-invocationMetrics.outputTokenCount': 'outerOutput',
    'amazon-bedrock-invocationMetrics.cacheReadInputTokenCount': 'outerCacheRead',
    'amazon-bedrock-invocationMetrics.cacheWriteInputTokenCount': 'outerCacheCreation',
  }),
];

/** github.com/ollama/ollama docs/api.md */
const OLLAMA: readonly Field[] = fields({
  error: 'error',
  model: 'model',
  done: 'over',
  done_reason: 'finish',
  prompt_eval_count: 'input',
  eval_count: 'output',
  response: 'token',
  'message.content|thinking': 'token',
  'message.tool_calls.*': 'call',
  'message.tool_calls.*.id': 'callId',
  'message.tool_calls.*.function.name': 'callName',
});

/** By kind, compiled once. */
export const RESPONSE_FIELDS: Readonly<Record<LlmApiKind, JsonNode<ResponseField>>> = {
  'openai.chat': jsonPaths(OPENAI_CHAT),
  'openai.responses': jsonPaths(OPENAI_RESPONSES),
  'openai.embeddings': jsonPaths(OPENAI_COMMON),
  'openai.completions': jsonPaths(OPENAI_COMPLETIONS),
  'anthropic.messages': jsonPaths(ANTHROPIC),
  'gemini.generate': jsonPaths(GEMINI),
  'bedrock.converse': jsonPaths(CONVERSE),
  'bedrock.invoke': jsonPaths(INVOKE),
  'ollama.chat': jsonPaths(OLLAMA),
  'ollama.generate': jsonPaths(OLLAMA),
  'ollama.embed': jsonPaths(OLLAMA),
};
