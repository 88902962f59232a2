import type { LlmApi, LlmFacts, LlmMessage } from '../model/llm.ts';
import type { Put } from './span.ts';

/** What an attribute holds. */
export type LlmAttribute = string | number | boolean | string[];

/** The conventions as of semantic conventions 1.41, or of the repository they moved to (`gen_ai_latest_experimental`). */
export type GenAiVersion = '1.41' | 'latest';

interface Row {
  readonly name: string;
  /** The conventions' requirement level of the inference span; `own`: ours, in nobody's conventions. */
  readonly level: 'required' | 'conditional' | 'recommended' | 'opt-in' | 'own';
  /** Only in this version; both when absent. */
  readonly version?: GenAiVersion;
  readonly of: (facts: LlmFacts) => LlmAttribute | readonly string[] | undefined;
}

/** Every attribute of an LLM call, and where it comes from. `server.*` is the exchange's, not ours. */
export const LLM_ATTRIBUTES: readonly Row[] = [
  { name: 'gen_ai.operation.name', level: 'required', of: ({ api }) => api.operation },
  { name: 'gen_ai.provider.name', level: 'required', of: ({ api }) => api.provider },
  { name: 'gen_ai.request.model', level: 'conditional', of: ({ request }) => request.model },
  { name: 'error.type', level: 'conditional', of: ({ response }) => response?.error },
  {
    name: 'gen_ai.conversation.id',
    level: 'conditional',
    of: ({ request, response }) => request.conversationId ?? response?.conversationId,
  },
  { name: 'gen_ai.output.type', level: 'conditional', of: ({ request }) => request.outputType },
  {
    name: 'gen_ai.request.choice.count',
    level: 'conditional',
    of: ({ request }) => (request.choiceCount === 1 ? undefined : request.choiceCount),
  },
  { name: 'gen_ai.request.seed', level: 'conditional', of: ({ request }) => whole(request.seed) },
  { name: 'gen_ai.request.stream', level: 'conditional', of: ({ request }) => request.stream || undefined },
  { name: 'gen_ai.request.top_k', level: 'conditional', of: ({ request }) => request.topK },
  { name: 'gen_ai.request.temperature', level: 'recommended', of: ({ request }) => request.temperature },
  { name: 'gen_ai.request.top_p', level: 'recommended', of: ({ request }) => request.topP },
  { name: 'gen_ai.request.max_tokens', level: 'recommended', of: ({ request }) => whole(request.maxTokens) },
  { name: 'gen_ai.request.stop_sequences', level: 'recommended', of: ({ request }) => request.stopSequences },
  { name: 'gen_ai.request.frequency_penalty', level: 'recommended', of: ({ request }) => request.frequencyPenalty },
  { name: 'gen_ai.request.presence_penalty', level: 'recommended', of: ({ request }) => request.presencePenalty },
  { name: 'gen_ai.request.reasoning.level', level: 'recommended', of: ({ request }) => request.reasoningLevel },
  {
    name: 'gen_ai.request.previous_response.id',
    level: 'recommended',
    of: ({ request }) => request.previousResponseId,
  },
  { name: 'gen_ai.response.id', level: 'recommended', of: ({ response }) => response?.responseId },
  { name: 'gen_ai.response.model', level: 'recommended', of: ({ response }) => response?.model },
  { name: 'gen_ai.response.finish_reasons', level: 'recommended', of: ({ response }) => finishReasons(response) },
  {
    name: 'gen_ai.response.time_to_first_chunk',
    level: 'recommended',
    of: ({ timeToFirstChunk }) => timeToFirstChunk,
  },
  { name: 'gen_ai.usage.input_tokens', level: 'recommended', of: ({ response }) => response?.usage?.input },
  { name: 'gen_ai.usage.output_tokens', level: 'recommended', of: ({ response }) => response?.usage?.output },
  {
    name: 'gen_ai.usage.cache_read.input_tokens',
    level: 'recommended',
    of: ({ response }) => response?.usage?.cacheRead,
  },
  // One spelling only: some backends add up everything under `gen_ai.usage`.
  {
    name: 'gen_ai.usage.cache_creation.input_tokens',
    level: 'recommended',
    version: '1.41',
    of: ({ response }) => response?.usage?.cacheCreation,
  },
  {
    name: 'gen_ai.usage.cache_write.input_tokens',
    level: 'recommended',
    version: 'latest',
    of: ({ response }) => response?.usage?.cacheCreation,
  },
  {
    name: 'gen_ai.usage.reasoning.output_tokens',
    level: 'recommended',
    of: ({ response }) => response?.usage?.reasoning,
  },
  { name: 'gen_ai.input.messages', level: 'opt-in', of: ({ content }) => messagesOf(content?.prompt) },
  {
    name: 'gen_ai.output.messages',
    level: 'opt-in',
    of: ({ content }) =>
      content?.completion === undefined ? undefined : messagesOf([{ role: 'assistant', text: content.completion }]),
  },
  { name: 'openai.api.type', level: 'recommended', of: ({ api }) => openAiApiType(api) },
  {
    name: 'openai.request.service_tier',
    level: 'conditional',
    of: (facts) => ifOpenAi(facts, facts.request.serviceTier),
  },
  {
    name: 'openai.response.service_tier',
    level: 'conditional',
    of: (facts) => ifOpenAi(facts, facts.response?.serviceTier),
  },
  {
    name: 'openai.response.system_fingerprint',
    level: 'recommended',
    of: (facts) => ifOpenAi(facts, facts.response?.systemFingerprint),
  },
  { name: 'aws.bedrock.guardrail.id', level: 'required', of: ({ request }) => request.guardrailId },
  {
    name: 'azure.resource_provider.namespace',
    level: 'recommended',
    of: ({ api }) => (api.provider.startsWith('azure.') ? 'Microsoft.CognitiveServices' : undefined),
  },
  { name: 'weir.llm.api', level: 'own', of: ({ api }) => api.kind },
  { name: 'weir.llm.compatible', level: 'own', of: ({ api }) => api.compatible },
  { name: 'weir.llm.cost', level: 'own', of: ({ cost }) => cost },
  { name: 'weir.llm.messages', level: 'own', of: ({ request }) => request.messages },
  { name: 'weir.llm.tools', level: 'own', of: ({ request }) => some(request.toolNames) },
  { name: 'weir.llm.tool_calls', level: 'own', of: ({ response }) => some(response?.toolCallNames) },
  { name: 'weir.llm.events', level: 'own', of: ({ response }) => (response?.streamed ? response.events : undefined) },
  { name: 'weir.llm.time_to_first_token', level: 'own', of: ({ timeToFirstToken }) => timeToFirstToken },
  {
    name: 'weir.llm.incomplete',
    level: 'own',
    of: ({ request, response }) => request.incomplete ?? response?.incomplete,
  },
];

/** The span attributes of a call, names of the OpenTelemetry conventions; what is not known is not in it. */
export function toAttributes(facts: LlmFacts, version: GenAiVersion = '1.41'): Record<string, LlmAttribute> {
  const attributes: Record<string, LlmAttribute> = {};
  for (const row of LLM_ATTRIBUTES) {
    if (row.version !== undefined && row.version !== version) continue;
    const value = row.of(facts);
    if (value !== undefined) attributes[row.name] = typeof value === 'object' ? [...value] : value;
  }
  return attributes;
}

/** The inference span's name: `{operation} {model}`. */
export function llmSpanName({ api, request }: LlmFacts): string {
  return request.model === undefined ? api.operation : `${api.operation} ${request.model}`;
}

function finishReasons(response: LlmFacts['response']): readonly string[] | undefined {
  if (response === undefined) return undefined;
  if (response.finishReasons.length > 0) return response.finishReasons;
  return response.streamed && response.incomplete ? ['error'] : undefined;
}

function openAiApiType({ kind, provider }: LlmApi): string | undefined {
  if (provider !== 'openai' && provider !== 'azure.ai.openai') return undefined;
  if (kind === 'openai.chat') return 'chat_completions';
  return kind === 'openai.responses' ? 'responses' : undefined;
}

const ifOpenAi = ({ api }: LlmFacts, value: string | undefined): string | undefined =>
  api.provider === 'openai' || api.provider === 'azure.ai.openai' ? value : undefined;

const some = (names: readonly string[] | undefined): readonly string[] | undefined =>
  names === undefined || names.length === 0 ? undefined : names;

/** An attribute the conventions type as int takes nothing else. */
const whole = (value: number | undefined): number | undefined => (Number.isSafeInteger(value) ? value : undefined);

/**
 * Onto the span of the exchange. An agent that traces itself has a span of its own with the same tokens, which every backend would
 * add up (telemetry.md §1.4): its call is told under our names. `unpriced`: only the tokens are.
 */
export function putLlm(
  put: Put,
  facts: LlmFacts,
  traced: boolean,
  version: GenAiVersion = '1.41',
  unpriced = false,
): void {
  for (const row of LLM_ATTRIBUTES) {
    // The exchange has its own, which knows more than the body.
    if (row.name === 'error.type' || (row.version !== undefined && row.version !== version)) continue;
    const value = row.of(facts);
    if (value === undefined) continue;
    const renamed = traced || (unpriced && row.name.startsWith('gen_ai.usage.'));
    put(renamed ? ownName(row) : row.name, typeof value === 'object' ? [...value] : value);
  }
}

function ownName({ name, level }: Row): string {
  return level === 'own' ? name : `weir.llm.${name.replace(/^gen_ai\./, '')}`;
}

/** The shape of the conventions: JSON in a string. */
function messagesOf(messages: readonly LlmMessage[] | undefined): string | undefined {
  if (messages === undefined || messages.length === 0) return undefined;
  return JSON.stringify(messages.map(({ role, text }) => ({ role, parts: [{ type: 'text', content: text }] })));
}
