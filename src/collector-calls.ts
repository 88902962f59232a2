import type { Said } from './collector-policy-said.ts';
import type { Tokens } from './inspect/tokens.ts';
import { CONTENT_BYTES, completionOf, promptOf } from './llm/content.ts';
import { llmFacts } from './llm/facts.ts';
import { createMcpRequest, mayBeMcp } from './llm/mcp-request.ts';
import { createMcpResponse, type McpResponseReader } from './llm/mcp-response.ts';
import { costOf, type Prices } from './llm/prices.ts';
import { recogniseLlm } from './llm/recognise.ts';
import { createLlmRequest } from './llm/request-reader.ts';
import { createLlmResponse, type LlmResponseReader } from './llm/response-reader.ts';
import type { Exchange } from './model/exchange.ts';
import { fieldOf } from './model/fields.ts';
import type { LlmApi, LlmContent } from './model/llm.ts';
import type { McpFacts } from './model/mcp.ts';
import type { Told } from './pipeline/stages.ts';

/** One call as it is read. */
export interface ReadCall {
  /** More of the request, decoded. */
  ask(bytes: Uint8Array): void;
  /** More of the answer, decoded. `now`: performance.now(). */
  answer(bytes: Uint8Array, now: number): void;
  /** What was said, as far as it was kept. */
  said(): Said | undefined;
  /** All of it; `cut`: the answer did not come whole. */
  told(exchange: Exchange, cut: boolean): Told | undefined;
}

export interface LlmCallOptions {
  readonly tokens: Tokens;
  readonly prices: Prices;
  /** Somebody needs what is said: a policy, or `telemetry.content`. */
  readonly keeps: boolean;
  /** It goes into the record. */
  readonly exports: boolean;
}

/** The LLM API a request is for, by its head. Cheap where it is none. */
export function llmApiOf({ kind, request, destination }: Exchange): LlmApi | undefined {
  if (kind !== 'exchange' || request.method !== 'POST') return undefined;
  return recogniseLlm({
    host: destination.host,
    method: request.method,
    path: request.target,
    requestContentType: fieldOf(request.fields, 'content-type'),
  });
}

/** Undefined when the request is for no LLM API. */
export function llmCall(exchange: Exchange, options: LlmCallOptions): ReadCall | undefined {
  const api = llmApiOf(exchange);
  if (api === undefined) return undefined;
  const asked = createLlmRequest(api);
  let answered: LlmResponseReader | undefined;
  const kept = options.keeps ? { request: new Kept(), response: new Kept() } : undefined;
  const said = (): Said => {
    const question = kept?.request.bytes();
    const answer = kept?.response.bytes();
    const prompt = question && promptOf(api.kind, question);
    const completion = answer && completionOf(answer);
    const { model } = asked.end();
    return {
      provider: api.provider,
      operation: api.operation,
      ...(model !== undefined && { model }),
      ...(prompt && { prompt }),
      ...(completion !== undefined && { completion }),
    };
  };
  return {
    ask: (bytes) => {
      asked.push(bytes);
      kept?.request.push(bytes);
    },
    answer: (bytes, now) => {
      answered ??= createLlmResponse(api);
      answered.push(bytes, now);
      kept?.response.push(bytes);
    },
    said,
    told: ({ identity, startedMono }, cut) => {
      const llm = llmFacts(api, asked.end(), answered?.end(cut), startedMono);
      const cost = costOf(llm, options.prices);
      const findings = options.tokens.spent(identity.agent, llm, Date.now());
      const more = { ...(cost !== undefined && { cost }), ...(options.exports && { content: exported(said()) }) };
      return { llm: { ...llm, ...more }, findings };
    },
  };
}

/** Messages of a call that go into a record: the last ones, each cut by the presenter. */
const MESSAGES_KEPT = 16;

function exported({ prompt, completion }: LlmContent): LlmContent {
  return { ...(prompt && { prompt: prompt.slice(-MESSAGES_KEPT) }), ...(completion !== undefined && { completion }) };
}

/** Bytes of one body, or none when it is too long to be kept whole. */
class Kept {
  #chunks: Buffer[] = [];
  #length = 0;

  push(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (this.#length <= CONTENT_BYTES) this.#chunks.push(Buffer.from(bytes));
    else this.#chunks = [];
  }

  bytes(): Buffer | undefined {
    return this.#length === 0 || this.#length > CONTENT_BYTES ? undefined : Buffer.concat(this.#chunks);
  }
}

/** Undefined when the request cannot be for an MCP server; whether it is one its body tells. */
export function mcpCall({ request }: Exchange, hash: (text: string) => string): ReadCall | undefined {
  const field = (name: string): string | undefined => fieldOf(request.fields, name);
  const session = field('mcp-session-id');
  const protocolVersion = field('mcp-protocol-version');
  const head = {
    method: request.method,
    path: request.target,
    contentType: field('content-type'),
    accept: field('accept'),
    session,
    protocolVersion,
  };
  if (!mayBeMcp(head)) return undefined;
  const asked = createMcpRequest();
  let answered: McpResponseReader | undefined;
  return {
    ask: (bytes) => asked.push(bytes),
    answer: (bytes) => {
      answered ??= createMcpResponse();
      answered.push(bytes);
    },
    said: () => undefined,
    told: (exchange) => {
      const said = asked.end();
      if (said === undefined) return undefined;
      const known = session ?? fieldOf(exchange.responseFields ?? [], 'mcp-session-id');
      const own = { ...(protocolVersion === undefined ? {} : { protocolVersion }) };
      const mcp: McpFacts = {
        ...said,
        ...(known === undefined ? {} : { session: hash(known) }),
        ...answerFacts(answered, said.requestId),
        ...own,
        transport: separateAnswer(exchange, said.requestId) ? 'sse' : 'streamable-http',
      };
      return { mcp };
    },
  };
}

/** The transport of 2024-11-05 takes a request with 202 and answers it on another exchange. */
function separateAnswer({ status }: Exchange, requestId: string | undefined): boolean {
  return requestId !== undefined && status === 202;
}

function answerFacts(answered: McpResponseReader | undefined, requestId: string | undefined): Partial<McpFacts> {
  if (answered === undefined) return requestId === undefined ? {} : { unanswered: true };
  const { answered: seen, ...facts } = answered.end(requestId);
  return seen || requestId === undefined ? facts : { ...facts, unanswered: true };
}
