import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LlmFacts } from '../../../src/model/llm.ts';
import type { McpFacts } from '../../../src/model/mcp.ts';
import { Sheet } from '../../../src/model/sheet.ts';
import { createSpanWriter } from '../../../src/telemetry/otlp-json.ts';
import { DEFAULT_SHAPE, type SpanShape } from '../../../src/telemetry/shape.ts';
import type { SpanRecord } from '../../../src/telemetry/span.ts';
import { exchangeSample, runSample } from '../record/samples.ts';

/** One file per kind of span: what others build queries on. `WEIR_GOLDEN=write npm test` writes them anew; read the difference. */
const DIRECTORY = join(import.meta.dirname, '../../golden');

const IDS = {
  id: '01KG0000000000000000000000',
  connectionId: '01KG0000000000000000000001',
  traceId: '0123456789abcdef0123456789abcdef',
  spanId: '0123456789abcdef',
} as const;
const TLS = {
  sni: 'api.example.com',
  alpn: 'h2',
  tlsVersion: '1.3',
  ja4: 't13d1516h2_8daaf6152771_b0da82dd1658',
} as const;
const FINDING = {
  inspector: 'destination',
  rule: 'destination-not-allowed',
  severity: 'high',
  disposition: 'block',
  message: 'api.example.com is not allowed for researcher',
} as const;
const LLM: LlmFacts = {
  api: { kind: 'openai.chat', operation: 'chat', provider: 'openai' },
  request: {
    model: 'gpt-a',
    stream: true,
    temperature: 0.5,
    maxTokens: 100,
    messages: 2,
    tools: 1,
    toolNames: ['search'],
  },
  response: {
    responseId: 'chatcmpl-1',
    model: 'gpt-a-2026',
    finishReasons: ['stop'],
    usage: { input: 100, output: 20, cacheRead: 60, reasoning: 7 },
    toolCalls: 0,
    toolCallNames: [],
    streamed: true,
    events: 9,
  },
  timeToFirstChunk: 0.25,
  timeToFirstToken: 0.25,
};
const MCP: McpFacts = {
  method: 'tools/call',
  messages: 1,
  requestId: '7',
  session: 'hash',
  protocolVersion: '2025-06-18',
  tool: 'search',
  transport: 'streamable-http',
};

interface Kind {
  readonly record: SpanRecord;
  readonly shape?: SpanShape;
  /** Attributes its conventions require, and those others rely on (product.md §5). */
  readonly required: readonly string[];
}

const HTTP = ['http.request.method', 'server.address', 'server.port', 'url.full', 'url.scheme'];
const OWN =
  'weir.agent weir.agent.identified_by weir.visibility weir.mode weir.verdict weir.action weir.would weir.would_block weir.destination.first_seen weir.baseline.state weir.exchange.id weir.connection.id weir.proxy.overhead_ms weir.request.body.size weir.response.body.size'.split(
    ' ',
  );
const STRATHON = ['strathon.tool.name', 'strathon.http.url', 'strathon.source', 'strathon.agent.name'];
const COMMON = [...OWN, ...STRATHON];

const KINDS: Readonly<Record<string, Kind>> = {
  exchange: { record: exchangeSample(IDS), required: [...HTTP, ...COMMON, 'http.response.status_code'] },
  intercepted: {
    record: exchangeSample({
      ...IDS,
      ...TLS,
      scheme: 'https',
      port: 443,
      protocol: '2',
      via: 'connect',
      visibility: 'intercepted',
      linkTraceId: IDS.traceId,
      linkSpanId: 'fedcba9876543210',
    }),
    required: [...HTTP, ...COMMON, 'tls.protocol.version'],
  },
  blocked: {
    record: exchangeSample({
      ...IDS,
      mode: 'enforce',
      verdict: 'block',
      action: 'block',
      outcome: 'blocked',
      findings: [FINDING],
      answeredStatus: 403,
      status: undefined as never,
    }),
    required: [
      ...HTTP,
      ...COMMON,
      'error.type',
      'weir.finding.rules',
      'weir.response.status_code',
      'strathon.policy.blocked',
    ],
  },
  'would-block': {
    record: exchangeSample({ ...IDS, verdict: 'block', would: 'block', findings: [FINDING] }),
    required: [...HTTP, ...COMMON, 'weir.finding.rules'],
  },
  redacted: {
    record: exchangeSample({
      ...IDS,
      mode: 'redact',
      verdict: 'block',
      action: 'redact',
      would: 'block',
      redactions: 2,
      findings: [FINDING],
    }),
    required: [...HTTP, ...COMMON, 'weir.redactions'],
  },
  failed: {
    record: exchangeSample({
      ...IDS,
      outcome: 'failed',
      errorType: 'connect-failed',
      errorDetail: 'refused',
      answeredStatus: 502,
      status: undefined as never,
    }),
    required: [...HTTP, ...COMMON, 'error.type'],
  },
  connect: {
    record: exchangeSample({
      ...IDS,
      ...TLS,
      kind: 'connect',
      scheme: 'tcp',
      port: 443,
      method: 'CONNECT',
      target: '',
      via: 'connect',
      visibility: 'tunnel',
    }),
    required: [...COMMON, 'http.request.method', 'server.address', 'server.port', 'network.transport'],
  },
  tunnel: {
    record: exchangeSample({
      ...IDS,
      ...TLS,
      kind: 'tunnel',
      scheme: 'tcp',
      port: 443,
      method: 'CONNECT',
      target: '',
      via: 'connect',
      visibility: 'tunnel',
      tunnelProtocol: 'tls',
      closeReason: 'agent-closed',
      linkTraceId: IDS.traceId,
      linkSpanId: 'fedcba9876543210',
    }),
    required: [...COMMON, 'server.address', 'server.port', 'weir.tunnel.protocol', 'weir.close_reason'],
  },
  run: {
    record: runSample({ id: IDS.id, traceId: IDS.traceId, spanId: IDS.spanId }),
    required: ['weir.agent', 'weir.run.id'],
  },
  llm: {
    record: exchangeSample({ ...IDS, method: 'POST', host: 'api.openai.com', llm: LLM }),
    required: [...HTTP, ...COMMON, 'gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.request.model'],
  },
  'llm-traced': {
    record: exchangeSample({
      ...IDS,
      method: 'POST',
      host: 'api.openai.com',
      llm: LLM,
      parentSpanId: 'fedcba9876543210',
    }),
    required: [...HTTP, ...COMMON, 'weir.llm.api'],
  },
  'llm-latest': {
    record: exchangeSample({ ...IDS, method: 'POST', host: 'api.openai.com', llm: LLM }),
    shape: { ...DEFAULT_SHAPE, version: 'latest' },
    required: [...HTTP, ...COMMON, 'gen_ai.operation.name', 'gen_ai.provider.name'],
  },
  mcp: {
    record: exchangeSample({ ...IDS, method: 'POST', host: 'mcp.example.com', mcp: MCP }),
    required: [...HTTP, ...COMMON, 'mcp.method.name', 'gen_ai.tool.name', 'mcp.protocol.version', 'jsonrpc.request.id'],
  },
  strathon: {
    record: exchangeSample(IDS),
    shape: { ...DEFAULT_SHAPE, dialects: ['otel', 'strathon'] },
    required: [...HTTP, ...COMMON, 'gen_ai.tool.name', 'gen_ai.agent.name'],
  },
};

interface Span {
  readonly name: string;
  readonly kind: number;
  readonly attributes: { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
}

function written({ record, shape }: Kind): Span {
  const sheet = new Sheet(Buffer.alloc(65_536));
  createSpanWriter(shape).write(sheet, record);
  return JSON.parse(sheet.bytes.subarray(0, sheet.length).toString()) as Span;
}

for (const [name, kind] of Object.entries(KINDS)) {
  test(`golden: ${name}`, () => {
    const file = join(DIRECTORY, `${name}.json`);
    const text = `${JSON.stringify(written(kind), null, 2)}\n`;
    if (process.env['WEIR_GOLDEN'] === 'write') {
      mkdirSync(DIRECTORY, { recursive: true });
      writeFileSync(file, text);
    }
    assert.ok(existsSync(file), `${name} has no file`);
    assert.equal(text, readFileSync(file, 'utf8'));
  });

  test(`requirement levels: ${name}`, () => {
    const { attributes } = written(kind);
    const keys = attributes.map(({ key }) => key);
    assert.deepEqual(
      kind.required.filter((key) => !keys.includes(key)),
      [],
      'required and missing',
    );
    assert.equal(new Set(keys).size, keys.length, 'one value each');
    for (const { key, value } of attributes) {
      const [type, ...more] = Object.keys(value);
      assert.deepEqual(more, [], key);
      // Flat values only, and none that Tempo would cut (telemetry.md §1.10).
      assert.match(type ?? '', /^(?:stringValue|intValue|doubleValue|boolValue|arrayValue)$/, key);
      assert.ok(JSON.stringify(value).length < 2048, key);
      assert.match(key, /^[a-z][a-z0-9_.]*$/);
    }
    // Never on a plain request: backends would count it as a call (telemetry.md D9).
    if (!/^(?:llm|mcp|strathon)/.test(name))
      assert.deepEqual(
        keys.filter((key) => key.startsWith('gen_ai.')),
        [],
      );
  });
}

test('every golden file is of a kind', () => {
  assert.deepEqual(
    readdirSync(DIRECTORY).sort(),
    Object.keys(KINDS)
      .map((name) => `${name}.json`)
      .sort(),
  );
});
