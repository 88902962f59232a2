import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { createHostSlots } from '../../../src/telemetry/hosts.ts';
import { toLogEvents } from '../../../src/telemetry/log.ts';
import { createMetrics } from '../../../src/telemetry/metric.ts';
import { writePrometheus } from '../../../src/telemetry/prometheus.ts';
import { exchangeSample, runSample } from '../record/samples.ts';

const finding = (rule: string, severity: 'info' | 'high' | 'critical' = 'high') =>
  ({ inspector: 'i', rule, severity, disposition: 'block', message: 'because' }) as const;

test('/metrics has unit suffixes, types and escaped labels', () => {
  const metrics = createMetrics();
  for (let i = 0; i < 4; i++) metrics.record(exchangeSample({ durationMs: 30, agent: 'a"b\\c' }));
  metrics.record(exchangeSample({ would: 'block', findings: [finding('x-rule')], firstSeen: true }));
  metrics.health({
    started: 5,
    open: 1,
    dropped: { crash: 2 },
    journalBytes: 100,
    consumers: [{ name: 'otlp-traces', lag: 3, accepted: 4, sampledOut: 1, dropped: { 'journal-cap': 7 } }],
    eventLoopDelay: { traffic: 0.001 },
  });
  const text = writePrometheus(metrics.instruments);
  const lines = text.split('\n');
  for (const line of [
    '# TYPE http_client_request_duration_seconds histogram',
    '# TYPE weir_egress_requests_total counter',
    'weir_egress_io_bytes_total{weir_agent="researcher",network_io_direction="receive"} 512',
    'weir_policy_decisions_total{security_rule_name="x-rule",weir_action="forward",weir_would="block",weir_mode="monitor"} 1',
    'weir_findings_total{security_rule_name="x-rule",weir_finding_severity="high",weir_action="forward"} 1',
    'weir_destinations_first_seen_total{weir_agent="researcher"} 1',
    'weir_up 1',
    'weir_spans_started_total 5',
    'weir_exchanges_open 1',
    'weir_spans_dropped_total{weir_consumer="journal",weir_reason="crash"} 2',
    'weir_spans_dropped_total{weir_consumer="otlp-traces",weir_reason="journal-cap"} 7',
    'weir_journal_lag{weir_consumer="otlp-traces"} 3',
    'weir_journal_size_bytes 100',
    'weir_event_loop_delay_seconds{weir_thread="traffic"} 0.001',
  ]) {
    assert.ok(lines.includes(line), `${line}\n---\n${text}`);
  }
  assert.match(text, /weir_egress_requests_total\{weir_agent="a\\"b\\\\c",/);
  assert.match(text, /http_client_request_duration_seconds_bucket\{.*server_address="api.example.com".*le="0.05"\} 3/);
  assert.match(text, /http_client_request_duration_seconds_bucket\{.*le="\+Inf"\} 3/);
});

test('what is remembered of a host never counts in another series', () => {
  const named = ['a.example', 'b.example'].flatMap((host) => [1, 2, 3].map(() => exchangeSample({ host })));
  const change = fc.record(
    {
      host: fc.constantFrom('a.example', 'b.example'),
      agent: fc.constantFrom('one', 'two'),
      kind: fc.constantFrom('exchange', 'connect', 'tunnel'),
      method: fc.constantFrom('GET', 'POST', 'BREW'),
      port: fc.constantFrom(80, 443),
      status: fc.constantFrom(200, 404, 503),
      outcome: fc.constantFrom('forwarded', 'failed', 'blocked', 'client-gone'),
      errorType: fc.constantFrom('upstream-reset', 'timeout'),
      mode: fc.constantFrom('monitor', 'enforce'),
      action: fc.constantFrom('forward', 'block'),
      would: fc.constantFrom('none', 'block'),
      protocol: fc.constantFrom('1.1', '2'),
      visibility: fc.constantFrom('plaintext', 'intercepted'),
      requestBytes: fc.constantFrom(0, 7),
    },
    { requiredKeys: ['host'] },
  );
  const textOf = (records: readonly ExchangeRecord[]): string[] => {
    const metrics = createMetrics();
    for (const record of [...named, ...records]) metrics.record({ ...record, durationMs: 1024, overheadMs: 1024 });
    return writePrometheus(metrics.instruments).split('\n').sort();
  };
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const records = changes.map((fields) => exchangeSample(fields as Partial<ExchangeRecord>));
      // Each record next to one that it does not follow: whatever is remembered is another one's.
      const shuffled = records.map((_, i) => records[(i * 7) % records.length] as ExchangeRecord);
      const order = records.length % 7 === 0 ? records.toReversed() : shuffled;
      assert.deepEqual(textOf(order), textOf(records));
    }),
    { numRuns: 60 },
  );
});

test('open rows and connections are not counted', () => {
  const metrics = createMetrics();
  metrics.record(exchangeSample({ state: 'open' }));
  metrics.record(runSample());
  assert.equal(writePrometheus(metrics.instruments), '');
});

test('a flood of sub-domains and agents stays bounded', () => {
  const metrics = createMetrics();
  for (let i = 0; i < 20_000; i++) metrics.record(exchangeSample({ host: `x${i}.evil.com`, agent: `agent-${i}` }));
  for (let i = 0; i < 5; i++) metrics.record(exchangeSample({ host: 'real.example.com' }));
  const text = writePrometheus(metrics.instruments);
  assert.ok(text.includes('server_address="real.example.com"'));
  assert.ok(!text.includes('evil.com'));
  for (const instrument of metrics.instruments) assert.ok(instrument.series.size <= 2001);
  const hosts = createHostSlots(2, 10);
  for (let i = 0; i < 5; i++) for (const host of ['a', 'b', 'c']) hosts.nameFor(host);
  assert.deepEqual(['a', 'b', 'c'].map(hosts.nameFor), ['a', 'b', 'other']);
});

test('log events: names, severities, ids', () => {
  const learning = toLogEvents(exchangeSample({ firstSeen: true, baselineState: 'learning' }));
  assert.deepEqual(
    learning.map((event) => [event.eventName, event.severityText]),
    [['weir.destination.first_seen', 'INFO']],
  );
  const ready = exchangeSample({
    firstSeen: true,
    findings: [{ ...finding('first-seen', 'info'), disposition: 'flag' }],
  });
  const [first, ...others] = toLogEvents(ready);
  assert.equal(first?.eventName, 'weir.destination.first_seen');
  assert.equal(first?.severityText, 'WARN');
  assert.equal(first?.traceId, ready.traceId);
  assert.equal(first?.spanId, ready.spanId);
  assert.equal(others.length, 0);
  const blocked = toLogEvents(
    exchangeSample({
      mode: 'enforce',
      action: 'block',
      verdict: 'block',
      outcome: 'blocked',
      findings: [finding('r', 'critical')],
    }),
  );
  assert.deepEqual(
    blocked.map((event) => [event.eventName, event.severityText]),
    [
      ['weir.finding', 'ERROR'],
      ['weir.policy.decision', 'ERROR'],
    ],
  );
  const would = toLogEvents(exchangeSample({ would: 'block', verdict: 'block', findings: [finding('r')] }));
  assert.equal(would[1]?.severityText, 'WARN');
  assert.equal(would[1]?.attributes['security_rule.name'], 'r');
  const audit = toLogEvents({ kind: 'audit', id: 'x', at: 1, agent: 'a', actor: 'cli', finding: finding('mode') });
  assert.deepEqual(
    audit.map((event) => [event.eventName, event.attributes['weir.actor']]),
    [['weir.audit', 'cli']],
  );
  assert.deepEqual(toLogEvents(exchangeSample()), []);
});

test('log events: a connection past Weir says who, where, how often and in which run', () => {
  const [past, ...more] = toLogEvents({
    kind: 'finding',
    id: 'x',
    at: 5,
    agent: 'a',
    finding: finding('direct-connection'),
    host: '192.0.2.9',
    port: 5432,
    runId: 'run-1',
    program: 'psql',
    count: 2,
  });
  assert.equal(more.length, 0);
  assert.equal(past?.eventName, 'weir.finding');
  assert.equal(past?.at, 5);
  const named = {
    'security_rule.name': 'direct-connection',
    'process.executable.name': 'psql',
    'network.peer.address': '192.0.2.9',
    'network.peer.port': 5432,
    'server.address': '192.0.2.9',
    'server.port': 5432,
    'weir.count': 2,
    'weir.run.id': 'run-1',
  };
  for (const [name, value] of Object.entries(named)) assert.equal(past?.attributes[name], value, name);
  assert.deepEqual(toLogEvents(runSample()), []);
  const [event] = toLogEvents(exchangeSample({ runId: 'run-1', findings: [finding('r')] }));
  assert.equal(event?.attributes['weir.run.id'], 'run-1');
});
