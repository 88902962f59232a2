import type { Tokens } from './inspect/tokens.ts';
import { llmFacts } from './llm/facts.ts';
import { createMcpRequest, mayBeMcp } from './llm/mcp-request.ts';
import { createMcpResponse, type McpResponseReader } from './llm/mcp-response.ts';
import { costOf, type Prices } from './llm/prices.ts';
import { recogniseLlm } from './llm/recognise.ts';
import { createLlmRequest } from './llm/request-reader.ts';
import { createLlmResponse, type LlmResponseReader } from './llm/response-reader.ts';
import type { Exchange } from './model/exchange.ts';
import { fieldOf } from './model/fields.ts';
import type { McpFacts } from './model/mcp.ts';
import type { Told } from './pipeline/stages.ts';

/** One call as it is read. */
export interface ReadCall {
  /** More of the request, decoded. */
  ask(bytes: Uint8Array): void;
  /** More of the answer, decoded. `now`: performance.now(). */
  answer(bytes: Uint8Array, now: number): void;
  /** All of it; `cut`: the answer did not come whole. */
  told(exchange: Exchange, cut: boolean): Told | undefined;
}

/** Undefined when the request is for no LLM API. */
export function llmCall({ request, destination }: Exchange, tokens: Tokens, prices: Prices): ReadCall | undefined {
  const api = recogniseLlm({
    host: destination.host,
    method: request.method,
    path: request.target,
    requestContentType: fieldOf(request.fields, 'content-type'),
  });
  if (api === undefined) return undefined;
  const asked = createLlmRequest(api);
  let answered: LlmResponseReader | undefined;
  return {
    ask: (bytes) => asked.push(bytes),
    answer: (bytes, now) => {
      answered ??= createLlmResponse(api);
      answered.push(bytes, now);
    },
    told: ({ identity, startedMono }, cut) => {
      const llm = llmFacts(api, asked.end(), answered?.end(cut), startedMono);
      const cost = costOf(llm, prices);
      const findings = tokens.spent(identity.agent, llm, Date.now());
      return { llm: cost === undefined ? llm : { ...llm, cost }, findings };
    },
  };
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
