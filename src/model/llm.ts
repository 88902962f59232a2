/** The dialects an LLM API speaks, as far as a body's shape goes. */
export type LlmApiKind =
  | 'openai.chat'
  | 'openai.responses'
  | 'openai.embeddings'
  | 'openai.completions'
  | 'anthropic.messages'
  | 'gemini.generate'
  | 'bedrock.converse'
  | 'bedrock.invoke'
  | 'ollama.chat'
  | 'ollama.generate'
  | 'ollama.embed';

/** `gen_ai.operation.name`, the values that can be told from outside. */
export type LlmOperation = 'chat' | 'text_completion' | 'generate_content' | 'embeddings';

/** What a request's address says about the LLM API behind it. */
export interface LlmApi {
  readonly kind: LlmApiKind;
  readonly operation: LlmOperation;
  /** `gen_ai.provider.name`. */
  readonly provider: string;
  /** The host is none we know: the provider is the API's inventor, the server may be anybody's. */
  readonly compatible?: true;
  /** The model or deployment the path names. */
  readonly model?: string;
  /** The path asks for a stream. */
  readonly stream?: true;
}

/** What a request body says. Absent = not said. Content is never kept. */
export interface LlmRequestFacts {
  /** As the body says, else as the path does. */
  readonly model?: string;
  /** A stream is asked for, by body, path or the API's default. */
  readonly stream: boolean;
  /** `stream_options.include_usage`: without it an OpenAI stream brings no usage. */
  readonly includeUsage?: boolean;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly seed?: number;
  readonly choiceCount?: number;
  /** At most 8 of at most 64 bytes. */
  readonly stopSequences?: readonly string[];
  readonly reasoningLevel?: string;
  readonly outputType?: 'text' | 'json';
  readonly previousResponseId?: string;
  readonly conversationId?: string;
  readonly serviceTier?: string;
  readonly guardrailId?: string;
  /** Messages, contents or inputs; a prompt that is one string counts as 1. */
  readonly messages: number;
  /** Tools offered; `toolNames` may have fewer. */
  readonly tools: number;
  /** At most 64 of at most 128 bytes, in order. */
  readonly toolNames: readonly string[];
  /** The body broke off, is no JSON, or is nested too deep: the rest is what was read until then. */
  readonly incomplete?: true;
}

/** Tokens as the conventions count them. Absent = not said, which is not 0. */
export interface LlmUsage {
  /** Includes what came from a cache and what was written to one. */
  readonly input?: number;
  /** Includes reasoning. */
  readonly output?: number;
  readonly cacheRead?: number;
  readonly cacheCreation?: number;
  readonly reasoning?: number;
}

/** What an answer says. Absent = not said. Content is never kept. */
export interface LlmResponseFacts {
  readonly responseId?: string;
  readonly model?: string;
  /** By choice, in order; at most 64. */
  readonly finishReasons: readonly string[];
  /** Absent: no usage was told, for example by an OpenAI stream without `include_usage`. */
  readonly usage?: LlmUsage;
  /** Tool calls made; `toolCallNames` may have fewer. */
  readonly toolCalls: number;
  /** At most 64 of at most 128 bytes, in order. */
  readonly toolCallNames: readonly string[];
  readonly serviceTier?: string;
  readonly systemFingerprint?: string;
  readonly conversationId?: string;
  /** What the body calls the error it tells, such as `overloaded_error`. */
  readonly error?: string;
  /** It came as a stream of events. */
  readonly streamed: boolean;
  /** Events of the stream that carried data, the closing mark not counted; 0 for a plain body. */
  readonly events: number;
  /** Clock value of the push that ended the first event. */
  readonly firstEventAt?: number;
  /** Clock value of the push that ended the first event with output in it: text, reasoning, a tool call. */
  readonly firstTokenAt?: number;
  /** The answer was cut, broke off, or could not be read to its end. */
  readonly incomplete?: true;
}

/** One call of an LLM API, as the record keeps it: plain data. */
export interface LlmFacts {
  readonly api: LlmApi;
  readonly request: LlmRequestFacts;
  /** Absent: no answer came. */
  readonly response?: Omit<LlmResponseFacts, 'firstEventAt' | 'firstTokenAt'>;
  /** Seconds from the request's start to the first event. */
  readonly timeToFirstChunk?: number;
  /** Seconds from the request's start to the first event with output in it. */
  readonly timeToFirstToken?: number;
  /** USD, by the operator's `telemetry.prices_file`. */
  readonly cost?: number;
  /** Only with `telemetry.content: on`. */
  readonly content?: LlmContent;
}

/** What an agent spent on LLM calls, for judging the next one. */
export interface TokenHistory {
  readonly agent: string;
  /** Tokens of its last calls, the oldest first. */
  readonly calls: readonly number[];
  /** [hour since 1970, tokens] of hours with calls, the oldest first. */
  readonly hours: readonly (readonly [number, number])[];
}

/** One message of a conversation, as text. */
export interface LlmMessage {
  readonly role: string;
  readonly text: string;
}

/** What was said; leaves the process only when `telemetry.content` is on, and redacted. */
export interface LlmContent {
  readonly prompt?: readonly LlmMessage[];
  readonly completion?: string;
}
