import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { answersOtlp, type Endpoint, resolveEndpoint } from '../../../src/telemetry/endpoint.ts';
import { createMetrics } from '../../../src/telemetry/metric.ts';
import { createLogs, createTraces, type OtlpOptions } from '../../../src/telemetry/otlp.ts';
import { startOtlpMetrics } from '../../../src/telemetry/otlp-metrics.ts';
import { countRejected } from '../../../src/telemetry/otlp-partial.ts';
import { startOtlpReceiver } from '../../support/otlp-receiver.ts';
import { exchangeSample, runSample } from '../record/samples.ts';

const endpointTo = (url: string | undefined): Endpoint => ({
  url,
  traces: true,
  logs: true,
  metrics: true,
  protobuf: { traces: false, logs: false, metrics: false },
  sentence: '',
  problems: [],
});
const optionsTo = (url: string | undefined, more: Partial<OtlpOptions> = {}): OtlpOptions => ({
  endpoint: endpointTo(url),
  version: '0.1.0',
  instanceId: '11111111-2222-3333-4444-555555555555',
  containment: () => 'cooperative',
  unremarkable: 1,
  log: () => {},
  ...more,
});
const VARIABLES = Object.keys(process.env).filter((name) => name.startsWith('OTEL_'));
for (const name of VARIABLES) delete process.env[name];
afterEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
});
const finding = { inspector: 'i', rule: 'r', severity: 'high', disposition: 'flag', message: 'because' } as const;

test('spans arrive with ids of the record and the resource', async (context) => {
  process.env['OTEL_RESOURCE_ATTRIBUTES'] = 'deployment.environment.name=lab,weir.containment=network';
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const traces = createTraces(optionsTo(receiver.url));
  const record = exchangeSample({ parentSpanId: 'f'.repeat(16) });
  const result = await traces.consume([record, exchangeSample({ state: 'open' })], 2);
  assert.deepEqual(result, { accepted: 1, sampledOut: 0, dropped: {} });
  assert.equal(receiver.spans.length, 1);
  const [span] = receiver.spans;
  assert.equal(span?.traceId, record.traceId);
  assert.equal(span?.spanId, record.spanId);
  assert.equal(span?.parentSpanId, 'f'.repeat(16));
  assert.equal(span?.kind, 3);
  assert.equal(span?.attributes['weir.agent'], 'researcher');
  assert.equal(span?.resource['service.name'], 'weir');
  assert.equal(span?.resource['service.version'], '0.1.0');
  assert.equal(span?.resource['weir.containment'], 'cooperative');
  assert.equal(span?.resource['deployment.environment.name'], 'lab');
  for (const name of Object.keys(span?.resource ?? {})) assert.ok(!name.startsWith('process.'), name);
  await traces.close(100);
});

test('environment: address, headers, gzip, service name', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = receiver.url;
  process.env['OTEL_EXPORTER_OTLP_HEADERS'] = 'x-api-key=abc';
  process.env['OTEL_EXPORTER_OTLP_COMPRESSION'] = 'gzip';
  process.env['OTEL_SERVICE_NAME'] = 'egress';
  const traces = createTraces(optionsTo(undefined));
  await traces.consume([exchangeSample()], 1);
  assert.equal(receiver.spans[0]?.resource['service.name'], 'egress');
  assert.equal(receiver.requests[0]?.headers['x-api-key'], 'abc');
  assert.equal(receiver.requests[0]?.headers['content-encoding'], 'gzip');
  await traces.close(100);
});

test('refusals: what may pass later is held, what never will is given up and counted', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  process.env['OTEL_EXPORTER_OTLP_TIMEOUT'] = '300';
  const traces = createTraces(optionsTo(receiver.url));
  const batch = [exchangeSample(), exchangeSample()];
  for (const how of [503, 401, 404, 'close', 'hang'] as const) {
    receiver.behave(how);
    await assert.rejects(traces.consume(batch, 2), Error, String(how));
  }
  receiver.behave(400);
  assert.deepEqual(await traces.consume(batch, 2), { accepted: 0, sampledOut: 0, dropped: { 'rejected-400': 2 } });
  receiver.behave(413);
  assert.deepEqual(await traces.consume(batch, 2), { accepted: 0, sampledOut: 0, dropped: { 'rejected-413': 2 } });
  receiver.behave('ok');
  assert.equal((await traces.consume(batch, 2)).accepted, 2);
  await traces.close(100);
});

test('what a collector did not take of a batch it answered with 200 is given up, counted, and told once a minute', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const said: string[] = [];
  const options = optionsTo(receiver.url, { log: (level, message) => said.push(`${level} ${message}`) });
  const [traces, logs] = [createTraces(options), createLogs(options)];
  const batch = [exchangeSample({ findings: [finding] }), exchangeSample({ findings: [finding] })];
  const partial = (fields: Record<string, unknown>): void =>
    receiver.behave({ json: JSON.stringify({ partialSuccess: fields }) });
  partial({ rejectedSpans: '1', rejectedLogRecords: 2, errorMessage: 'no \u001b[31mroom' });
  assert.deepEqual(await traces.consume(batch, 2), { accepted: 1, sampledOut: 0, dropped: { 'partial-success': 1 } });
  assert.deepEqual(await logs.consume(batch, 2), { accepted: 0, sampledOut: 0, dropped: { 'partial-success': 2 } });
  assert.equal(said.length, 2);
  assert.match(said[0] ?? '', /^warn the collector did not take all it was sent \(spans lost: 1\): no .*room$/);
  assert.match(said[1] ?? '', /^warn the collector did not take all it was sent \(log events lost: 2\): no /);
  assert.ok(!said.join('').includes('\u001b'));
  partial({ rejectedSpans: '1' });
  assert.equal((await traces.consume(batch, 2)).accepted, 1);
  assert.equal(said.length, 2, 'not again within the minute');
  // Nobody can lose more than was sent, and nothing else is a number of spans.
  partial({ rejectedSpans: '99' });
  assert.deepEqual(await traces.consume(batch, 2), { accepted: 0, sampledOut: 0, dropped: { 'partial-success': 2 } });
  for (const rejectedSpans of ['-1', 'many', null, 0.5]) {
    partial({ rejectedSpans });
    assert.equal((await traces.consume(batch, 2)).accepted, 2, String(rejectedSpans));
  }
  for (const json of ['{}', '{"partialSuccess":null}', '{"partialSuccess":{}}', 'null', 'ok', '']) {
    receiver.behave({ json });
    assert.deepEqual(await traces.consume(batch, 2), { accepted: 2, sampledOut: 0, dropped: {} }, json);
  }
  receiver.behave('ok');
  await Promise.all([traces.close(100), logs.close(100)]);
});

test('an answer that took only a part is told again after a minute, with all that was lost meanwhile', () => {
  const said: string[] = [];
  const exporter = { _delegate: { _responseHandler: { handleResponse: (_response: unknown): void => {} } } };
  let now = 0;
  const log = (_level: string, message: string): void => void said.push(message);
  const rejected = countRejected(exporter, 'rejectedSpans', log, () => now);
  const answered = (partialSuccess: unknown): void =>
    exporter._delegate._responseHandler.handleResponse({ partialSuccess });
  for (let i = 0; i < 4; i++) {
    answered({ rejectedSpans: '2', errorMessage: 'full' });
    assert.deepEqual([rejected(), rejected()], [2, 0]);
    now += 25_000;
  }
  now += 60_000;
  answered({ errorMessage: 'soon full' });
  assert.equal(rejected(), 0);
  assert.deepEqual(said, [
    'the collector did not take all it was sent (spans lost: 2): full',
    'the collector did not take all it was sent (spans lost: 6): full',
    'the collector warns: soon full',
  ]);
  assert.equal(countRejected({}, 'rejectedSpans', log)(), 0, 'another inside of the SDK');
});

test('a run is a span with events, and never thinned', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const traces = createTraces(optionsTo(receiver.url, { unremarkable: 0 }));
  const result = await traces.consume([exchangeSample(), runSample(), exchangeSample()], 3);
  assert.deepEqual(result, { accepted: 1, sampledOut: 2, dropped: {} });
  assert.deepEqual(
    receiver.spans.map(({ name, kind }) => ({ name, kind })),
    [{ name: 'weir.run', kind: 1 }],
  );
  assert.equal(receiver.spans[0]?.attributes['process.executable.name'], 'python3');
  const [request] = receiver.bodies.map((body) => JSON.parse(body).resourceSpans[0].scopeSpans[0]);
  assert.deepEqual(
    request.spans[0].events.map((event: { name: string }) => event.name),
    ['direct-connection', 'direct-connection'],
  );
  await traces.close(100);
});

test('thinning keeps every remarkable span and counts the rest', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const traces = createTraces(optionsTo(receiver.url, { unremarkable: 0 }));
  const result = await traces.consume([exchangeSample(), exchangeSample({ findings: [finding] }), exchangeSample()], 3);
  assert.deepEqual(result, { accepted: 1, sampledOut: 2, dropped: {} });
  assert.deepEqual(receiver.spans[0]?.attributes['weir.finding.rules'], ['r']);
  await traces.close(100);
});

test('log events arrive with their names and the span they belong to; an open row is not repeated', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const logs = createLogs(optionsTo(receiver.url));
  const row: ExchangeRecord = exchangeSample({ state: 'open', findings: [finding] });
  await logs.consume([row], 1);
  assert.equal(receiver.logs.length, 1);
  await logs.consume([{ ...row, state: 'closed', wasOpen: true, findings: [finding, { ...finding, rule: 's' }] }], 2);
  assert.deepEqual(
    receiver.logs.map((log) => log.attributes['security_rule.name']),
    ['r', 's'],
  );
  const [log] = receiver.logs;
  assert.equal(log?.eventName, 'weir.finding');
  assert.equal(log?.severityText, 'WARN');
  assert.equal(log?.body, 'because');
  assert.equal(log?.traceId, row.traceId);
  assert.equal(log?.spanId, row.spanId);
  assert.equal(log?.resource['service.name'], 'weir');
  await logs.close(100);
});

test('metrics arrive through the NodeSDK', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const metrics = createMetrics();
  for (let i = 0; i < 3; i++) metrics.record(exchangeSample());
  let refreshed = 0;
  const running = await startOtlpMetrics({
    ...optionsTo(receiver.url),
    env: { OTEL_METRIC_EXPORT_INTERVAL: '50' },
    instruments: metrics.instruments,
    refresh: () => {
      refreshed++;
    },
  });
  await receiver.until((at) => at.metrics.has('weir.egress.requests'));
  assert.equal(receiver.metrics.get('weir.egress.requests')?.points[0]?.value, 3);
  assert.equal(receiver.metrics.get('weir.egress.io')?.unit, 'By');
  const duration = receiver.metrics.get('http.client.request.duration');
  assert.equal(duration?.unit, 's');
  assert.equal(
    duration?.points.reduce((total, point) => total + (point.count ?? 0), 0),
    3,
  );
  assert.ok(refreshed > 0);
  await running.shutdown(2000);
});

test('what is sent after containment has changed says so, spans, logs and metrics alike', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  let now = 'cooperative';
  const options = optionsTo(receiver.url, { containment: () => now });
  const [traces, logs, metrics] = [createTraces(options), createLogs(options), createMetrics()];
  metrics.record(exchangeSample());
  const running = await startOtlpMetrics({
    ...options,
    env: { OTEL_METRIC_EXPORT_INTERVAL: '50' },
    instruments: metrics.instruments,
    refresh: () => undefined,
  });
  const measured = (containment: string): boolean =>
    receiver.bodies.some(
      (body) => body.includes('resourceMetrics') && body.includes(`{"stringValue":"${containment}"}`),
    );
  await receiver.until(() => measured('cooperative'));
  assert.ok(!measured('network'));
  for (const containment of ['cooperative', 'cooperative', 'network', 'network', 'cooperative']) {
    now = containment;
    await traces.consume([exchangeSample(), exchangeSample()], 2);
    await logs.consume([exchangeSample({ findings: [finding] })], 1);
  }
  const said = (rows: readonly { readonly resource: Readonly<Record<string, unknown>> }[]): unknown[] =>
    rows.map(({ resource }) => resource['weir.containment']);
  const each = ['cooperative', 'cooperative', 'network', 'network', 'cooperative'];
  assert.deepEqual(said(receiver.logs), each);
  assert.deepEqual(
    said(receiver.spans),
    each.flatMap((one) => [one, one]),
  );
  const { 'weir.containment': _, ...rest } = receiver.spans[5]?.resource ?? {};
  assert.equal(rest['service.instance.id'], options.instanceId);
  now = 'network';
  await receiver.until(() => measured('network'));
  await Promise.all([traces.close(100), logs.close(100), running.shutdown(2000)]);
});

test('where telemetry goes', async (context) => {
  const yes = async () => true;
  const no = async () => false;
  assert.equal((await resolveEndpoint('none', {}, yes)).traces, false);
  assert.equal((await resolveEndpoint('auto', {}, no)).traces, false);
  assert.match((await resolveEndpoint('auto', {}, no)).sentence, /nothing answers OTLP on http:\/\/127\.0\.0\.1:4318/);
  assert.equal((await resolveEndpoint('auto', {}, yes)).url, 'http://127.0.0.1:4318');
  const env = await resolveEndpoint('auto', { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://u:p@otel.example:4318/x' }, no);
  assert.deepEqual([env.url, env.traces, env.logs, env.metrics], [undefined, true, true, true]);
  assert.equal(env.sentence, 'telemetry goes to https://otel.example:4318 (OTEL_EXPORTER_OTLP_ENDPOINT)');
  const one = await resolveEndpoint('auto', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t:1/v1/traces' }, no);
  assert.deepEqual([one.traces, one.logs, one.metrics], [true, false, false]);
  assert.equal((await resolveEndpoint('auto', { OTEL_SDK_DISABLED: 'true' }, yes)).traces, false);
  const some = await resolveEndpoint('http://c:4318/', { OTEL_METRICS_EXPORTER: 'none' }, no);
  assert.deepEqual([some.url, some.traces, some.metrics], ['http://c:4318', true, false]);
  assert.equal(some.sentence, 'spans and logs go to http://c:4318');
  assert.equal((await resolveEndpoint('nonsense', {}, no)).traces, false);
  const protocol = await resolveEndpoint('http://c:1', { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, no);
  assert.equal(protocol.problems.length, 1);
  const temporality = async (value: string, more: Record<string, string> = {}) => {
    const variables = { OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: value, ...more };
    return (await resolveEndpoint('http://c:1', variables, no)).problems;
  };
  for (const value of ['delta', 'LowMemory']) {
    const [said, ...rest] = await temporality(value);
    assert.match(said ?? '', /^OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=\w+ is ignored: .*cumulative/);
    assert.deepEqual(rest, []);
  }
  for (const value of ['cumulative', '', 'odd']) assert.deepEqual(await temporality(value), []);
  assert.deepEqual(await temporality('delta', { OTEL_METRICS_EXPORTER: 'none' }), [], 'no metrics, no matter');
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  assert.equal(await answersOtlp(receiver.url), true);
  receiver.behave('hang');
  assert.equal(await answersOtlp(receiver.url), false);
  receiver.behave(404);
  assert.equal(await answersOtlp(receiver.url), false);
});
