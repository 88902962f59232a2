import type { LlmFacts } from '../model/llm.ts';
import type { ExchangeRecord } from '../model/record.ts';
import type { SpanShape } from './shape.ts';
import type { Put } from './span.ts';

/** Names of other dialects beside the OpenTelemetry ones: the same facts of the same record. */
export function putDialects(put: Put, record: ExchangeRecord, shape: SpanShape): void {
  for (const dialect of shape.dialects) {
    if (dialect === 'strathon') putStrathon(put, record);
    else if (dialect === 'openinference') putOpenInference(put, record);
    else if (dialect === 'langfuse') putLangfuse(put, record);
  }
}

/** What Strathon's receiver and its tool column read (strathon-compat §6.18). Other backends would count every request as a tool call. */
function putStrathon(put: Put, record: ExchangeRecord): void {
  const tool = record.kind === 'exchange' ? `http.${record.method.toLowerCase()}` : 'http.connect';
  if (record.mcp?.tool === undefined) put('gen_ai.tool.name', tool);
  put('strathon.agent.id', record.agent);
  put('gen_ai.agent.name', record.agent);
  put('gen_ai.agent.id', record.agent);
  if (record.action !== 'block') return;
  put('strathon.policy.id', record.findings.find(({ disposition }) => disposition === 'block')?.rule);
}

/** Arize OpenInference, `semantic_conventions.md`. */
function putOpenInference(put: Put, { llm, mcp }: ExchangeRecord): void {
  if (mcp?.tool !== undefined) {
    put('openinference.span.kind', 'TOOL');
    put('tool.name', mcp.tool);
  }
  if (llm === undefined) return;
  const embedding = llm.api.operation === 'embeddings';
  put('openinference.span.kind', embedding ? 'EMBEDDING' : 'LLM');
  put(embedding ? 'embedding.model_name' : 'llm.model_name', modelOf(llm));
  put('llm.provider', llm.api.provider);
  const { input, output, cacheRead, reasoning } = llm.response?.usage ?? {};
  put('llm.token_count.prompt', input);
  put('llm.token_count.completion', output);
  put('llm.token_count.total', input === undefined || output === undefined ? undefined : input + output);
  put('llm.token_count.prompt_details.cache_read', cacheRead);
  put('llm.token_count.completion_details.reasoning', reasoning);
}

/** Langfuse, "OpenTelemetry attribute mapping". Its usage is not read twice: these keys go before `gen_ai.usage.*`. */
function putLangfuse(put: Put, { llm, mcp, agent }: ExchangeRecord): void {
  if (llm === undefined && mcp?.tool === undefined) return;
  put('langfuse.trace.name', agent);
  if (llm === undefined) {
    put('langfuse.observation.type', 'tool');
    return;
  }
  put('langfuse.observation.type', llm.api.operation === 'embeddings' ? 'embedding' : 'generation');
  put('langfuse.observation.model.name', modelOf(llm));
  put('gen_ai.usage.cost', llm.cost);
  const { input, output, cacheRead } = llm.response?.usage ?? {};
  if (input === undefined && output === undefined) return;
  const cached = cacheRead ?? 0;
  // Langfuse adds the details up: what came from the cache is not in `input` there.
  const usage = {
    ...(input === undefined ? {} : { input: Math.max(0, input - cached) }),
    ...(output === undefined ? {} : { output }),
    ...(cacheRead === undefined ? {} : { input_cached_tokens: cached }),
  };
  put('langfuse.observation.usage_details', JSON.stringify(usage));
}

function modelOf({ request, response }: LlmFacts): string | undefined {
  return response?.model ?? request.model;
}
