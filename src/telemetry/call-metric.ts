import type { ExchangeRecord } from '../model/record.ts';
import { createNameCap } from './hosts.ts';
import { mcpError } from './mcp-attributes.ts';
import { createInstrument, type Instrument } from './registry.ts';
import { ATTR } from './semconv.ts';

/** Bucket boundaries the GenAI metric conventions ask for (semantic conventions 1.41). */
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];
const OPERATION = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_CHUNK = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

const CALL = ['gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.request.model', ATTR.AGENT];

/** Calls of LLM APIs and MCP servers. Counted also where the agent traces itself: metrics have our name on them (telemetry.md §1.4). */
export interface CallMetrics {
  readonly instruments: readonly Instrument[];
  record(record: ExchangeRecord, agent: string): void;
}

function callInstruments() {
  return {
    tokens: createInstrument({
      kind: 'histogram',
      name: 'gen_ai.client.token.usage',
      unit: '{token}',
      description: 'Tokens of a call, as its answer told them',
      labels: [...CALL, 'gen_ai.token.type'],
      bounds: TOKENS,
    }),
    duration: createInstrument({
      kind: 'histogram',
      name: 'gen_ai.client.operation.duration',
      unit: 's',
      description: 'Duration of calls of LLM APIs, to the end of the stream',
      labels: [...CALL, ATTR.ERROR_TYPE],
      bounds: OPERATION,
    }),
    firstChunk: createInstrument({
      kind: 'histogram',
      name: 'gen_ai.client.operation.time_to_first_chunk',
      unit: 's',
      description: 'Request begun to first event of a streamed answer',
      labels: CALL,
      bounds: FIRST_CHUNK,
    }),
    cost: createInstrument({
      kind: 'counter',
      name: 'weir.llm.cost',
      unit: '{USD}',
      description: 'Cost of calls of LLM APIs by telemetry.prices_file',
      labels: [ATTR.AGENT, 'gen_ai.request.model'],
    }),
    mcp: createInstrument({
      kind: 'histogram',
      name: 'mcp.client.operation.duration',
      unit: 's',
      description: 'Duration of messages to MCP servers',
      labels: ['mcp.method.name', 'gen_ai.tool.name', ATTR.ERROR_TYPE, ATTR.AGENT],
      bounds: OPERATION,
    }),
  };
}

export function createCallMetrics(errorOf: (record: ExchangeRecord) => string | undefined): CallMetrics {
  const own = callInstruments();
  // Names of models and tools come from the network.
  const modelName = createNameCap(100);
  const toolName = createNameCap(200);
  const methodName = createNameCap(50);
  const errorName = createNameCap(100);
  const llm = (record: ExchangeRecord, agent: string): void => {
    if (record.llm === undefined) return;
    const { api, request, response, timeToFirstChunk } = record.llm;
    const labels = [api.operation, api.provider, modelName(request.model ?? ''), agent];
    const { input, output } = response?.usage ?? {};
    if (input !== undefined) own.tokens.observe([...labels, 'input'], input);
    if (output !== undefined) own.tokens.observe([...labels, 'output'], output);
    const error = errorName(errorOf(record) ?? response?.error?.slice(0, 64) ?? '');
    own.duration.observe([...labels, error], record.durationMs / 1000);
    if (record.llm.cost !== undefined) own.cost.add([agent, modelName(request.model ?? '')], record.llm.cost);
    if (timeToFirstChunk !== undefined) own.firstChunk.observe(labels, timeToFirstChunk);
  };
  const mcp = (record: ExchangeRecord, agent: string): void => {
    if (record.mcp === undefined) return;
    const { method, tool = '' } = record.mcp;
    const error = errorName(errorOf(record) ?? mcpError(record.mcp) ?? '');
    own.mcp.observe([methodName(method), toolName(tool), error, agent], record.durationMs / 1000);
  };
  return {
    instruments: Object.values(own),
    record(record, agent) {
      llm(record, agent);
      mcp(record, agent);
    },
  };
}
