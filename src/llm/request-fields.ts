import type { LlmApiKind } from '../model/llm.ts';
import { type JsonField, type JsonNode, jsonPaths } from './json-paths.ts';

/** What a request's JSON is read for. */
export type RequestField =
  | 'model'
  | 'stream'
  | 'includeUsage'
  | 'maxTokens'
  | 'temperature'
  | 'topP'
  | 'topK'
  | 'frequencyPenalty'
  | 'presencePenalty'
  | 'seed'
  | 'choiceCount'
  | 'stop'
  | 'reasoningLevel'
  | 'outputType'
  | 'previousResponseId'
  | 'conversationId'
  | 'serviceTier'
  | 'guardrailId'
  | 'prompt'
  | 'message'
  | 'tool'
  | 'toolName'
  | 'toolType';

type Field = JsonField<RequestField>;

/** Bytes kept of a stop sequence and of a tool's name. */
const STOP = 64;
const TOOL = 128;

/** `path as`, one per line of a provider's reference. */
function fields(pairs: Readonly<Record<string, RequestField>>): Field[] {
  return Object.entries(pairs).map(([path, as]) => {
    if (as === 'stop') return { path, as, keep: STOP };
    if (as === 'toolName' || as === 'toolType') return { path, as, keep: TOOL };
    return as === 'prompt' || as === 'message' ? { path, as, keep: 0 } : { path, as };
  });
}

const SAMPLING = fields({ model: 'model', stream: 'stream', temperature: 'temperature', top_p: 'topP' });

/** platform.openai.com/docs/api-reference/chat/create; top_k is the compatible servers'. */
const OPENAI_CHAT: readonly Field[] = [
  ...SAMPLING,
  ...fields({
    'stream_options.include_usage': 'includeUsage',
    'max_tokens|max_completion_tokens': 'maxTokens',
    top_k: 'topK',
    frequency_penalty: 'frequencyPenalty',
    presence_penalty: 'presencePenalty',
    seed: 'seed',
    n: 'choiceCount',
    stop: 'stop',
    'stop.*': 'stop',
    reasoning_effort: 'reasoningLevel',
    'reasoning.effort': 'reasoningLevel',
    'response_format.type': 'outputType',
    service_tier: 'serviceTier',
    'messages.*': 'message',
    'tools.*': 'tool',
    'tools.*.type': 'toolType',
    'tools.*.function|custom.name': 'toolName',
    // Before tools there were functions.
    'functions.*': 'tool',
    'functions.*.name': 'toolName',
  }),
];

/** …/responses/create */
const OPENAI_RESPONSES: readonly Field[] = [
  ...SAMPLING,
  ...fields({
    max_output_tokens: 'maxTokens',
    'reasoning.effort': 'reasoningLevel',
    'text.format.type': 'outputType',
    previous_response_id: 'previousResponseId',
    conversation: 'conversationId',
    'conversation.id': 'conversationId',
    service_tier: 'serviceTier',
    input: 'prompt',
    'input.*': 'message',
    'tools.*': 'tool',
    'tools.*.type': 'toolType',
    'tools.*.name': 'toolName',
  }),
];

/** …/embeddings/create */
const OPENAI_EMBEDDINGS = fields({ model: 'model', input: 'prompt', 'input.*': 'message' });

/** …/completions/create, and what compatible servers add. */
const OPENAI_COMPLETIONS: readonly Field[] = [
  ...OPENAI_CHAT.filter(({ as }) => !['message', 'tool', 'toolName', 'toolType'].includes(as)),
  ...fields({ prompt: 'prompt', 'prompt.*': 'message' }),
];

/** docs.anthropic.com/en/api/messages */
const ANTHROPIC: readonly Field[] = [
  ...SAMPLING,
  ...fields({
    max_tokens: 'maxTokens',
    top_k: 'topK',
    'stop_sequences.*': 'stop',
    'output_config.effort': 'reasoningLevel',
    service_tier: 'serviceTier',
    'messages.*': 'message',
    'tools.*': 'tool',
    'tools.*.name': 'toolName',
  }),
];

/** ai.google.dev/api/generate-content; proto3 JSON takes both spellings. `request.`: Code Assist wraps it. */
const GEMINI: readonly Field[] = ['', 'request.'].flatMap((at) => {
  const config = `${at}generationConfig|generation_config`;
  const tool = `${at}tools.*.functionDeclarations|function_declarations.*`;
  return fields({
    [`${config}.temperature`]: 'temperature',
    [`${config}.topP|top_p`]: 'topP',
    [`${config}.topK|top_k`]: 'topK',
    [`${config}.maxOutputTokens|max_output_tokens`]: 'maxTokens',
    [`${config}.candidateCount|candidate_count`]: 'choiceCount',
    [`${config}.stopSequences|stop_sequences.*`]: 'stop',
    [`${config}.seed`]: 'seed',
    [`${config}.frequencyPenalty|frequency_penalty`]: 'frequencyPenalty',
    [`${config}.presencePenalty|presence_penalty`]: 'presencePenalty',
    [`${config}.responseMimeType|response_mime_type`]: 'outputType',
    [`${config}.thinkingConfig|thinking_config.thinkingLevel|thinking_level`]: 'reasoningLevel',
    [`${at}contents.*`]: 'message',
    [tool]: 'tool',
    [`${tool}.name`]: 'toolName',
  });
});

/** docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html */
const CONVERSE = fields({
  'inferenceConfig.maxTokens': 'maxTokens',
  'inferenceConfig.temperature': 'temperature',
  'inferenceConfig.topP': 'topP',
  'inferenceConfig.stopSequences.*': 'stop',
  'additionalModelRequestFields.top_k': 'topK',
  'guardrailConfig.guardrailIdentifier': 'guardrailId',
  'messages.*': 'message',
  'toolConfig.tools.*': 'tool',
  'toolConfig.tools.*.toolSpec.name': 'toolName',
});

/** The families behind Invoke: Anthropic's own, OpenAI's, Nova (as Converse), Llama, Titan, Mistral. */
const INVOKE: readonly Field[] = [
  ...CONVERSE,
  ...ANTHROPIC,
  ...OPENAI_CHAT.filter(({ as }) => as !== 'tool'),
  ...fields({
    'inferenceConfig.max_new_tokens': 'maxTokens',
    'inferenceConfig.top_p': 'topP',
    'inferenceConfig.topK|top_k': 'topK',
    max_gen_len: 'maxTokens',
    'textGenerationConfig.maxTokenCount': 'maxTokens',
    'textGenerationConfig.temperature': 'temperature',
    'textGenerationConfig.topP': 'topP',
    'textGenerationConfig.stopSequences.*': 'stop',
    'prompt|inputText': 'prompt',
  }),
];

/** github.com/ollama/ollama docs/api.md */
const OLLAMA: readonly Field[] = fields({
  model: 'model',
  stream: 'stream',
  'options.num_predict': 'maxTokens',
  'options.temperature': 'temperature',
  'options.top_p': 'topP',
  'options.top_k': 'topK',
  'options.frequency_penalty': 'frequencyPenalty',
  'options.presence_penalty': 'presencePenalty',
  'options.seed': 'seed',
  'options.stop': 'stop',
  'options.stop.*': 'stop',
  think: 'reasoningLevel',
  format: 'outputType',
  'messages.*': 'message',
  prompt: 'prompt',
  input: 'prompt',
  'input.*': 'message',
  'tools.*': 'tool',
  'tools.*.function.name': 'toolName',
});

/** By kind, compiled once. */
export const REQUEST_FIELDS: Readonly<Record<LlmApiKind, JsonNode<RequestField>>> = {
  'openai.chat': jsonPaths(OPENAI_CHAT),
  'openai.responses': jsonPaths(OPENAI_RESPONSES),
  'openai.embeddings': jsonPaths(OPENAI_EMBEDDINGS),
  'openai.completions': jsonPaths(OPENAI_COMPLETIONS),
  'anthropic.messages': jsonPaths(ANTHROPIC),
  'gemini.generate': jsonPaths(GEMINI),
  'bedrock.converse': jsonPaths(CONVERSE),
  'bedrock.invoke': jsonPaths(INVOKE),
  'ollama.chat': jsonPaths(OLLAMA),
  'ollama.generate': jsonPaths(OLLAMA),
  'ollama.embed': jsonPaths(OLLAMA),
};
