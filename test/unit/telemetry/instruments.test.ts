import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LlmFacts } from '../../../src/model/llm.ts';
import type { McpFacts } from '../../../src/model/mcp.ts';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { createMetrics, type Metrics } from '../../../src/telemetry/metric.ts';
import { createTraces } from '../../../src/telemetry/otlp.ts';
import { startOtlpMetrics } from '../../../src/telemetry/otlp-metrics.ts';
import { writePrometheus } from '../../../src/telemetry/prometheus.ts';
import { startOtlpReceiver } from '../../support/otlp-receiver.ts';
import { exchangeSample, fullSamples } from '../record/samples.ts';

const finding = (rule: string, policy?: { action: string; shadow?: true }) =>
  ({
    inspector: 'i',
    rule,
    severity: 'high',
    disposition: 'block',
    message: 'because',
    ...(policy === undefined ? {} : { policy: { id: 'p', name: 'p', ...policy } }),
  }) as const;

const llm = (change: { model?: string; error?: string } = {}): LlmFacts =>
  ({
    api: { operation: 'chat', provider: 'openai' },
    request: { model: change.model ?? 'm', stream: true },
    response: { usage: { input: 3, output: 4 }, ...(change.error === undefined ? {} : { error: change.error }) },
    timeToFirstChunk: 0.2,
    cost: 0.01,
  }) as unknown as LlmFacts;
const mcp = (change: object = {}): McpFacts =>
  ({ method: 'tools/call', tool: 'search', ...change }) as unknown as McpFacts;

/**
 * Telemetry reference §1.11, line by line: its instrument, ours where we say `weir.*` for `strathon.*` (or our journal is its spool),
 * the unit, and the name on /metrics, which is the one Prometheus and the Collector make of it.
 * Left out: `otel.sdk.span.*` and `otel.sdk.processor.*`, since no span goes through the SDK's tracer and processor (records are the
 * spans; `weir.spans.*` and `weir.journal.*` count them), and attributes with agent on HTTP instruments (agent × host explodes).
 */
const TABLE: readonly (readonly [reference: string, ours: string, unit: string, exposed: string])[] = [
  ['http.client.request.duration', 'http.client.request.duration', 's', 'http_client_request_duration_seconds'],
  ['http.client.active_requests', 'http.client.active_requests', '{request}', 'http_client_active_requests'],
  ['http.client.open_connections', 'http.client.open_connections', '{connection}', 'http_client_open_connections'],
  [
    'http.client.connection.duration',
    'http.client.connection.duration',
    's',
    'http_client_connection_duration_seconds',
  ],
  ['strathon.proxy.overhead', 'weir.proxy.overhead', 's', 'weir_proxy_overhead_seconds'],
  ['strathon.egress.requests', 'weir.egress.requests', '{request}', 'weir_egress_requests_total'],
  ['strathon.egress.io', 'weir.egress.io', 'By', 'weir_egress_io_bytes_total'],
  ['strathon.policy.decisions', 'weir.policy.decisions', '{decision}', 'weir_policy_decisions_total'],
  ['strathon.findings', 'weir.findings', '{finding}', 'weir_findings_total'],
  [
    'strathon.destinations.first_seen',
    'weir.destinations.first_seen',
    '{destination}',
    'weir_destinations_first_seen_total',
  ],
  ['strathon.destinations.known', 'weir.destinations.known', '{destination}', 'weir_destinations_known'],
  ['strathon.tunnel.active', 'weir.tunnel.active', '{tunnel}', 'weir_tunnel_active'],
  ['gen_ai.client.token.usage', 'gen_ai.client.token.usage', '{token}', 'gen_ai_client_token_usage'],
  [
    'gen_ai.client.operation.duration',
    'gen_ai.client.operation.duration',
    's',
    'gen_ai_client_operation_duration_seconds',
  ],
  ['strathon.llm.cost', 'weir.llm.cost', '{USD}', 'weir_llm_cost_total'],
  ['strathon.spool.bytes', 'weir.journal.size', 'By', 'weir_journal_size_bytes'],
  ['strathon.spool.records', 'weir.journal.lag', '{record}', 'weir_journal_lag'],
  ['strathon.spool.dropped', 'weir.spans.dropped', '{span}', 'weir_spans_dropped_total'],
  ['strathon.spool.oldest_age', 'weir.journal.oldest_age', 's', 'weir_journal_oldest_age_seconds'],
  ['otel.sdk.exporter', 'otel.sdk.exporter.span.inflight', '{span}', 'otel_sdk_exporter_span_inflight'],
  ['otel.sdk.exporter', 'otel.sdk.exporter.span.exported', '{span}', 'otel_sdk_exporter_span_exported_total'],
  ['otel.sdk.exporter', 'otel.sdk.exporter.operation.duration', 's', 'otel_sdk_exporter_operation_duration_seconds'],
  [
    'strathon_receiver_policy_matches',
    'strathon.receiver.policy_matches',
    '{match}',
    'strathon_receiver_policy_matches_total',
  ],
];

/** One of everything. */
function filled(): Metrics {
  const metrics = createMetrics();
  for (const record of fullSamples()) metrics.record(record);
  metrics.record(exchangeSample({ kind: 'tunnel', llm: llm() }));
  metrics.record(exchangeSample({ llm: llm(), mcp: mcp() }));
  const findings = [
    finding('policy:p', { action: 'throttle' }),
    finding('policy:q', { action: 'block', shadow: true }),
  ];
  metrics.record(exchangeSample({ firstSeen: true, would: 'block', findings }));
  metrics.gauges({ requests: 1, connections: 2, tunnels: { a: 1 }, known: { a: 3 } });
  metrics.health({
    started: 9,
    open: 1,
    dropped: { crash: 1 },
    journalBytes: 5,
    consumers: [
      { name: 'otlp-traces', lag: 3, accepted: 4, sampledOut: 1, dropped: {}, oldest: Date.now() - 60_000 },
      { name: 'duckdb', lag: 0, accepted: 9, sampledOut: 0, dropped: {} },
    ],
    eventLoopDelay: { traffic: 0.001 },
  });
  return metrics;
}

test('every instrument of the reference is on /metrics and goes out by OTLP, under the same name', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const metrics = filled();
  const options = {
    endpoint: {
      url: receiver.url,
      traces: true,
      logs: true,
      metrics: true,
      protobuf: { traces: false, logs: false, metrics: false },
      sentence: '',
      problems: [],
    },
    version: '0.1.0',
    instanceId: 'i',
    containment: () => 'cooperative',
    unremarkable: 1,
    meterProvider: metrics.meterProvider,
    log: () => {},
  };
  const traces = createTraces(options);
  await traces.consume([exchangeSample(), exchangeSample()], 2);
  receiver.behave(400);
  await traces.consume([exchangeSample()], 3);
  receiver.behave('ok');
  await traces.close(100);
  const { instruments } = metrics;
  const running = await startOtlpMetrics({ ...options, env: process.env, instruments, refresh: () => {} });
  await running.shutdown(5000);
  const text = writePrometheus(instruments);
  for (const [reference, ours, unit, exposed] of TABLE) {
    assert.equal(receiver.metrics.get(ours)?.unit, unit, `${reference} by OTLP`);
    assert.match(text, new RegExp(`^# TYPE ${exposed} (counter|gauge|histogram)$`, 'm'), reference);
    assert.match(text, new RegExp(`^${exposed}(_count)?(\\{.*\\})? \\d`, 'm'), reference);
  }
  for (const { name, description, unit } of instruments) {
    assert.ok(description.length > 10, name);
    assert.ok(unit !== '' || name === 'weir.up', name);
  }
  // Two were taken, one was refused.
  const exported = receiver.metrics.get('otel.sdk.exporter.span.exported')?.points ?? [];
  const byError = exported.map(({ attributes, value }) => [attributes['error.type'] ?? '', value]);
  assert.deepEqual(byError, [
    ['', 2],
    ['OTLPExporterError', 1],
  ]);
  assert.match(text, /^otel_sdk_exporter_span_inflight\{.*\} 0$/m);
  assert.match(text, /^strathon_receiver_policy_matches_total\{action="throttle"\} 1$/m);
  assert.ok(!text.includes('policy_matches_total{action="block"}'), 'a policy in shadow matches nothing');
  const age = /weir_journal_oldest_age_seconds\{weir_consumer="otlp-traces"\} ([\d.]+)/.exec(text)?.[1];
  assert.ok(Number(age) >= 60);
  assert.match(text, /weir_journal_oldest_age_seconds\{weir_consumer="duckdb"\} 0\n/);
});

/** What an agent or its servers may choose freely, and how many series each instrument may have of it then. */
const FLOODS: Readonly<Record<string, (i: number) => Partial<ExchangeRecord>>> = {
  hosts: (i) => ({ host: `x${i}.evil.test` }),
  'hosts asked for often': (i) => ({ host: `y${i % 2500}.evil.test` }),
  ports: (i) => ({ host: 'one.test', port: 1 + (i % 60_000) }),
  agents: (i) => ({ agent: `agent-${i}` }),
  methods: (i) => ({ method: `M${i}` }),
  models: (i) => ({ llm: llm({ model: `model-${i}` }) }),
  'errors of models': (i) => ({ llm: llm({ error: `error-${i}` }) }),
  tools: (i) => ({ mcp: mcp({ tool: `tool-${i}` }) }),
  'errors of MCP': (i) => ({ mcp: mcp({ errorCode: i }) }),
  'methods of MCP': (i) => ({ mcp: mcp({ method: `method-${i}`, tool: undefined }) }),
  rules: (i) => ({ findings: [finding(`rule-${i}`, { action: `action-${i}` })], would: 'block' }),
};

for (const [what, change] of Object.entries(FLOODS)) {
  test(`a flood of ${what} is bounded, and what was known before keeps its own series`, () => {
    const metrics = createMetrics();
    const known = () =>
      exchangeSample({
        host: 'known.test',
        agent: 'known-agent',
        llm: llm({ model: 'known-model' }),
        mcp: mcp({ tool: 'known-tool' }),
        findings: [finding('known-rule')],
        would: 'block',
      });
    for (let i = 0; i < 5; i++) metrics.record(known());
    for (let i = 0; i < 10_000; i++) metrics.record(exchangeSample(change(i)));
    const before = new Map(metrics.instruments.map(({ name, series }) => [name, series.size]));
    for (let i = 10_000; i < 15_000; i++) metrics.record(exchangeSample(change(i)));
    for (let i = 0; i < 5; i++) metrics.record(known());
    for (const { name, series } of metrics.instruments) {
      assert.ok(series.size <= 2001, `${name}: ${series.size}`);
      assert.equal(series.size, before.get(name), `${name} has stopped growing`);
    }
    const text = writePrometheus(metrics.instruments);
    assert.match(text, /http_client_request_duration_seconds_count\{[^}]*server_address="known.test"[^}]*\} 8\n/);
    assert.match(text, /weir_egress_requests_total\{weir_agent="known-agent"[^}]*\} 10\n/);
    assert.match(text, /weir_findings_total\{security_rule_name="known-rule"[^}]*\} 10\n/);
    assert.match(text, /weir_llm_cost_total\{weir_agent="known-agent",gen_ai_request_model="known-model"\} 0\.(1|09+)/);
    assert.match(text, /mcp_client_operation_duration_seconds_count\{[^}]*gen_ai_tool_name="known-tool"[^}]*\} 10\n/);
    if (what !== 'methods') assert.match(text, /="other"/);
  });
}

test('servers that make up errors leave room for the calls that follow, and a name that is not there stays none', () => {
  const metrics = createMetrics();
  for (let i = 0; i < 5000; i++)
    metrics.record(
      exchangeSample({ llm: llm({ error: `error-${i}` }), mcp: mcp({ errorCode: i, tool: `tool-${i}` }) }),
    );
  metrics.record(exchangeSample({ llm: llm({ model: 'late-model' }), mcp: mcp({ tool: undefined, method: 'ping' }) }));
  const text = writePrometheus(metrics.instruments);
  assert.match(
    text,
    /gen_ai_client_operation_duration_seconds_count\{[^}]*gen_ai_request_model="late-model"[^}]*\} 1\n/,
  );
  const [line] = /mcp_client_operation_duration_seconds_count\{mcp_method_name="ping"[^}]*\} 1\n/.exec(text) ?? [''];
  assert.ok(line !== '' && !line.includes('other') && !line.includes('tool_name'), line);
});
