import type { Config } from './config/schema.ts';
import { type Copy, copyBody } from './content/copy.ts';
import { llmFacts } from './llm/facts.ts';
import { recogniseLlm } from './llm/recognise.ts';
import { createLlmRequest, type LlmRequestReader } from './llm/request-reader.ts';
import { createLlmResponse, type LlmResponseReader } from './llm/response-reader.ts';
import type { Exchange } from './model/exchange.ts';
import { fieldOf } from './model/fields.ts';
import type { LlmApi } from './model/llm.ts';
import type { ReadingStage } from './pipeline/stages.ts';

/** A call of an LLM API while it lasts. */
interface Call {
  readonly api: LlmApi;
  readonly request: LlmRequestReader;
  response?: LlmResponseReader;
  /** The response ended before its framing said so, or not all of it could be read. */
  cut: boolean;
}

/** Application protocols read out of bodies, on a copy: LLM APIs. Called once per configuration; what is open keeps its reader. */
export function readingStage(config: Config, failed: (error: unknown) => void): ReadingStage {
  const { decoded_bytes: decodedBytes, decode_ratio: decodeRatio } = config.body;
  const calls = new WeakMap<Exchange, Call>();
  const copy = (fields: readonly string[], onData: (bytes: Uint8Array) => void): Copy | undefined =>
    copyBody({ contentEncoding: fieldOf(fields, 'content-encoding'), decodedBytes, decodeRatio, onData });
  const request = (exchange: Exchange) => {
    const api = apiOf(exchange);
    if (api === undefined) return undefined;
    const reader = createLlmRequest(api);
    calls.set(exchange, { api, request: reader, cut: false });
    const body = copy(exchange.request.fields, (bytes) => reader.push(bytes));
    return body && { push: (payload: Uint8Array) => body.push(payload), finish: () => waited(body.finish()) };
  };
  const response = (exchange: Exchange) => {
    const call = calls.get(exchange);
    if (call === undefined) return undefined;
    const reader = createLlmResponse(call.api);
    call.response = reader;
    const body = copy(exchange.responseFields ?? [], (bytes) => reader.push(bytes, performance.now()));
    if (body === undefined) {
      call.cut = true;
      return undefined;
    }
    return {
      push: (payload: Uint8Array) => body.push(payload),
      finish: (complete: boolean) =>
        waited(body.finish(), (whole) => {
          call.cut = !complete || !whole;
        }),
    };
  };
  return {
    copy: (exchange, direction) => (direction === 'request' ? request(exchange) : response(exchange)),
    told(exchange) {
      const call = calls.get(exchange);
      if (call === undefined) return undefined;
      const { api, cut } = call;
      return { llm: llmFacts(api, call.request.end(), call.response?.end(cut), exchange.startedMono) };
    },
    failed,
  };
}

/** Cheap where it is no such call: most requests have no body and are not asked about. */
function apiOf({ kind, request, destination }: Exchange): LlmApi | undefined {
  if (kind !== 'exchange' || request.method !== 'POST') return undefined;
  return recogniseLlm({
    host: destination.host,
    method: request.method,
    path: request.target,
    requestContentType: fieldOf(request.fields, 'content-type'),
  });
}

function waited(whole: boolean | Promise<boolean>, then: (whole: boolean) => void = () => undefined) {
  if (whole instanceof Promise) return whole.then(then);
  then(whole);
  return undefined;
}
