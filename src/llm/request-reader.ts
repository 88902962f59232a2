import type { LlmApi, LlmRequestFacts } from '../model/llm.ts';
import type { JsonScalar, JsonSink } from './json-paths.ts';
import { JsonReader } from './json-reader.ts';
import { REQUEST_FIELDS, type RequestField } from './request-fields.ts';

/** Reads a request body on a copy. */
export interface LlmRequestReader {
  /** More of it, content encodings undone. */
  push(bytes: Uint8Array): void;
  /** No more comes. The same facts each time. */
  end(): LlmRequestFacts;
}

const MOST_TOOLS = 64;
const MOST_STOPS = 8;

const NUMBERS = new Set<RequestField>([
  'maxTokens',
  'temperature',
  'topP',
  'topK',
  'frequencyPenalty',
  'presencePenalty',
  'seed',
  'choiceCount',
] satisfies (keyof LlmRequestFacts)[]);

const WORDS = new Set<RequestField>([
  'model',
  'reasoningLevel',
  'previousResponseId',
  'conversationId',
  'serviceTier',
  'guardrailId',
] satisfies (keyof LlmRequestFacts)[]);

/** Begins to read a request to `api`. */
export function createLlmRequest(api: LlmApi): LlmRequestReader {
  const notes = new RequestNotes();
  const json = new JsonReader(REQUEST_FIELDS[api.kind], notes);
  let facts: LlmRequestFacts | undefined;
  return {
    push: (bytes) => {
      if (facts === undefined) json.push(bytes);
    },
    end: () => {
      json.end();
      facts ??= notes.facts(api, json.complete);
      return facts;
    },
  };
}

class RequestNotes implements JsonSink<RequestField> {
  readonly #said = new Map<RequestField, string | number | boolean>();
  readonly #stops: string[] = [];
  readonly #toolNames: string[] = [];
  #messages = 0;
  /** A prompt that is one text, or one list of tokens. */
  #single = false;
  #tools = 0;
  #toolName: string | undefined;
  #toolType: string | undefined;

  value(field: RequestField, value: JsonScalar): void {
    if (field === 'message' && typeof value !== 'number') this.#messages++;
    else if (field === 'message' || (field === 'prompt' && value !== null)) this.#single = true;
    else if (field === 'toolName' && typeof value === 'string') this.#toolName = value;
    else if (field === 'toolType' && typeof value === 'string') this.#toolType = value;
    else if (field === 'stop' && typeof value === 'string' && this.#stops.length < MOST_STOPS) this.#stops.push(value);
    else if (field === 'outputType') this.#outputType(value);
    else if (NUMBERS.has(field) ? typeof value === 'number' : WORDS.has(field) && typeof value === 'string') {
      this.#said.set(field, value as string | number);
    } else if ((field === 'stream' || field === 'includeUsage') && typeof value === 'boolean')
      this.#said.set(field, value);
  }

  enter(field: RequestField): void {
    if (field === 'message') this.#messages++;
    if (field === 'outputType') this.#said.set('outputType', 'json');
    if (field !== 'tool') return;
    this.#tools++;
    this.#toolName = undefined;
    this.#toolType = undefined;
  }

  leave(field: RequestField): void {
    if (field !== 'tool') return;
    // A tool the provider brings has a type and no name: `web_search`.
    const name = this.#toolName ?? this.#toolType;
    if (name !== undefined && this.#toolNames.length < MOST_TOOLS) this.#toolNames.push(name);
  }

  document(): void {}

  /** OpenAI: text, json_object, json_schema; Gemini: a media type; Ollama: json or a schema. */
  #outputType(value: JsonScalar): void {
    if (typeof value !== 'string') return;
    if (/^json|\/json$/.test(value)) this.#said.set('outputType', 'json');
    else if (/^text(?:\/plain)?$/.test(value)) this.#said.set('outputType', 'text');
  }

  facts(api: LlmApi, complete: boolean): LlmRequestFacts {
    const { stream: asked, model: named, ...said } = Object.fromEntries(this.#said) as Partial<LlmRequestFacts>;
    const model = named ?? api.model;
    // Ollama streams unless told not to (docs/api.md); of a body that broke off nobody knows.
    const byDefault = complete && (api.kind === 'ollama.chat' || api.kind === 'ollama.generate');
    return {
      ...said,
      ...(model !== undefined && { model }),
      stream: asked ?? api.stream ?? byDefault,
      ...(this.#stops.length > 0 && { stopSequences: this.#stops }),
      messages: this.#messages > 0 ? this.#messages : this.#single ? 1 : 0,
      tools: this.#tools,
      toolNames: this.#toolNames,
      ...(!complete && { incomplete: true }),
    };
  }
}
