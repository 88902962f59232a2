import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { resolveEndpoint } from '../../../src/telemetry/endpoint.ts';
import { createMetrics } from '../../../src/telemetry/metric.ts';
import { createLogs, createTraces } from '../../../src/telemetry/otlp.ts';
import { startOtlpMetrics } from '../../../src/telemetry/otlp-metrics.ts';
import { shapeOf } from '../../../src/telemetry/shape.ts';
import { createAuthority } from '../../support/certs.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../../support/otlp-receiver.ts';
import { exchangeSample } from '../record/samples.ts';

const clear = (): void => {
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
};
clear();
afterEach(clear);

const long = 'é'.repeat(300);
const finding = { inspector: 'i', rule: 'r', severity: 'high', disposition: 'flag', message: long } as const;
const SETTINGS = { genai: 'auto', dialects: ['otel'] } as const;

/** One span, one log event and one export of metrics, with these variables and `telemetry.endpoint`. */
async function exportWith(variables: Readonly<Record<string, string>>, setting = 'auto') {
  clear();
  Object.assign(process.env, variables);
  const endpoint = await resolveEndpoint(setting, process.env, async () => false);
  const shape = shapeOf(SETTINGS, process.env);
  const options = {
    endpoint,
    version: '0.1.0',
    instanceId: 'i',
    containment: () => 'cooperative',
    unremarkable: 1,
    shape,
    log: () => {},
  };
  const record = exchangeSample({ findings: [finding], errorDetail: long, verdict: 'flag', agent: 'a' });
  const metrics = createMetrics();
  metrics.record(record);
  const failures: string[] = [];
  const consumers = [
    ...(endpoint.traces ? [createTraces(options)] : []),
    ...(endpoint.logs ? [createLogs(options)] : []),
  ];
  for (const consumer of consumers) {
    await consumer.consume([record], 1).catch((error: Error) => failures.push(`${consumer.name}: ${error.message}`));
    await consumer.close(100);
  }
  if (endpoint.metrics) {
    const { instruments } = metrics;
    const running = await startOtlpMetrics({ ...options, env: process.env, instruments, refresh: () => {} });
    await running.shutdown(5000);
  }
  return { endpoint, failures };
}

/** What arrived: path, type, encoding, one header, in the order of signals. */
const arrived = (receiver: OtlpReceiver, header = 'x-key') =>
  receiver.requests.map(({ path, headers }) => [
    path,
    headers['content-type'],
    headers['content-encoding'] ?? '',
    headers[header] ?? '',
  ]);

const JSON_TYPE = 'application/json';
const PROTOBUF = 'application/x-protobuf';

test('OTEL_EXPORTER_OTLP_*: where it goes, as what, with which headers', async (context) => {
  const one = await startOtlpReceiver();
  const other = await startOtlpReceiver();
  context.after(() => Promise.all([one.close(), other.close()]));
  for (const receiver of [one, other]) receiver.behave({ json: '{}' });
  const E = 'OTEL_EXPORTER_OTLP';
  const traces = '/v1/traces';
  const logs = '/v1/logs';
  const metrics = '/v1/metrics';
  const table: readonly {
    readonly name: string;
    readonly variables: Readonly<Record<string, string>>;
    readonly setting?: string;
    readonly one: readonly (readonly string[])[];
    readonly other?: readonly (readonly string[])[];
    readonly problems?: readonly RegExp[];
  }[] = [
    {
      name: 'one address for all',
      variables: { [`${E}_ENDPOINT`]: `${one.url}/base/`, [`${E}_HEADERS`]: 'x-key=all' },
      one: [`/base${traces}`, `/base${logs}`, `/base${metrics}`].map((path) => [path, JSON_TYPE, '', 'all']),
    },
    {
      name: 'an address of a signal is taken as it stands',
      variables: { [`${E}_ENDPOINT`]: one.url, [`${E}_TRACES_ENDPOINT`]: `${other.url}/ingest` },
      one: [
        [logs, JSON_TYPE, '', ''],
        [metrics, JSON_TYPE, '', ''],
      ],
      other: [['/ingest', JSON_TYPE, '', '']],
    },
    {
      name: 'without a general address only the signals that have one',
      variables: { [`${E}_LOGS_ENDPOINT`]: `${one.url}/only-logs` },
      one: [['/only-logs', JSON_TYPE, '', '']],
    },
    {
      name: 'headers by signal come on top',
      variables: {
        [`${E}_ENDPOINT`]: one.url,
        [`${E}_HEADERS`]: 'x-key=all,x-b=2',
        [`${E}_TRACES_HEADERS`]: 'x-key=spans%20only',
      },
      one: [
        [traces, JSON_TYPE, '', 'spans only'],
        [logs, JSON_TYPE, '', 'all'],
        [metrics, JSON_TYPE, '', 'all'],
      ],
    },
    {
      name: 'telemetry.endpoint keeps the headers and the compression of the environment',
      variables: { [`${E}_HEADERS`]: 'x-key=all', [`${E}_COMPRESSION`]: 'gzip' },
      setting: one.url,
      one: [traces, logs, metrics].map((path) => [path, JSON_TYPE, 'gzip', 'all']),
    },
    {
      name: 'gzip by signal',
      variables: { [`${E}_ENDPOINT`]: one.url, [`${E}_LOGS_COMPRESSION`]: 'gzip', [`${E}_TRACES_COMPRESSION`]: 'none' },
      one: [
        [traces, JSON_TYPE, '', ''],
        [logs, JSON_TYPE, 'gzip', ''],
        [metrics, JSON_TYPE, '', ''],
      ],
    },
    {
      name: 'protobuf for all but one',
      variables: {
        [`${E}_ENDPOINT`]: one.url,
        [`${E}_PROTOCOL`]: 'http/protobuf',
        [`${E}_LOGS_PROTOCOL`]: 'http/json',
        [`${E}_COMPRESSION`]: 'gzip',
      },
      one: [
        [traces, PROTOBUF, 'gzip', ''],
        [logs, JSON_TYPE, 'gzip', ''],
        [metrics, PROTOBUF, 'gzip', ''],
      ],
    },
    {
      name: 'grpc is not spoken, and that is said',
      variables: { [`${E}_ENDPOINT`]: one.url, [`${E}_PROTOCOL`]: 'grpc' },
      one: [traces, logs, metrics].map((path) => [path, JSON_TYPE, '', '']),
      problems: [/^OTEL_EXPORTER_OTLP_PROTOCOL=grpc is ignored/],
    },
    {
      name: 'none for a signal',
      variables: { [`${E}_ENDPOINT`]: one.url, OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' },
      one: [[logs, JSON_TYPE, '', '']],
    },
    {
      name: 'exporters we have not, and that is said',
      variables: {
        [`${E}_ENDPOINT`]: one.url,
        OTEL_TRACES_EXPORTER: 'zipkin,otlp',
        OTEL_METRICS_EXPORTER: 'prometheus',
        OTEL_LOGS_EXPORTER: 'none',
      },
      one: [
        [traces, JSON_TYPE, '', ''],
        [metrics, JSON_TYPE, '', ''],
      ],
      problems: [/^OTEL_TRACES_EXPORTER=zipkin is ignored/],
    },
    {
      name: 'the SDK is off',
      variables: { [`${E}_ENDPOINT`]: one.url, OTEL_SDK_DISABLED: 'TRUE' },
      one: [],
    },
    ...['always_off', 'parentbased_always_on', 'traceidratio', 'parentbased_traceidratio', 'jaeger_remote'].map(
      (sampler) => ({
        name: `sampler ${sampler}`,
        variables: { [`${E}_TRACES_ENDPOINT`]: `${one.url}${traces}`, OTEL_TRACES_SAMPLER: sampler },
        one: [[traces, JSON_TYPE, '', '']],
        problems: [new RegExp(`^OTEL_TRACES_SAMPLER=${sampler} is ignored: no agent may`)],
      }),
    ),
    {
      name: 'the sampler we have',
      variables: { [`${E}_TRACES_ENDPOINT`]: `${one.url}${traces}`, OTEL_TRACES_SAMPLER: 'always_on' },
      one: [[traces, JSON_TYPE, '', '']],
    },
  ];
  for (const row of table) {
    for (const receiver of [one, other]) receiver.requests.length = 0;
    const { endpoint, failures } = await exportWith(row.variables, row.setting);
    assert.deepEqual(failures, [], row.name);
    assert.deepEqual(arrived(one), row.one, row.name);
    assert.deepEqual(arrived(other), row.other ?? [], row.name);
    assert.equal(endpoint.problems.length, row.problems?.length ?? 0, `${row.name}: ${endpoint.problems}`);
    for (const [i, pattern] of (row.problems ?? []).entries()) assert.match(endpoint.problems[i] as string, pattern);
  }
});

test('certificates of the environment: a private authority, a client certificate, by signal', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'weir-otlp-tls-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const authority = createAuthority();
  const clients = createAuthority('clients');
  const client = clients.issue(['weir']);
  const ca = file('ca.pem', authority.cert);
  const cert = file('client.pem', client.cert);
  const key = file('client.key', client.key);
  const receiver = await startOtlpReceiver(0, { ...authority.issue(['127.0.0.1']), ca: clients.cert });
  context.after(receiver.close);
  const E = 'OTEL_EXPORTER_OTLP';
  const whole = { [`${E}_CERTIFICATE`]: ca, [`${E}_CLIENT_CERTIFICATE`]: cert, [`${E}_CLIENT_KEY`]: key };
  const byTraces = Object.fromEntries(Object.entries(whole).map(([k, v]) => [k.replace(E, `${E}_TRACES`), v]));
  const quick = { [`${E}_ENDPOINT`]: receiver.url, [`${E}_TIMEOUT`]: '300' };
  for (const protocol of ['http/json', 'http/protobuf']) {
    receiver.requests.length = 0;
    const { failures } = await exportWith({
      ...quick,
      ...whole,
      [`${E}_PROTOCOL`]: protocol,
      [`${E}_COMPRESSION`]: 'gzip',
    });
    assert.deepEqual(failures, []);
    assert.deepEqual(
      receiver.requests.map(({ path }) => path),
      ['/v1/traces', '/v1/logs', '/v1/metrics'],
    );
  }
  assert.ok(receiver.spans.length === 1 && receiver.logs.length === 1 && receiver.metrics.size > 0);
  receiver.requests.length = 0;
  const part = await exportWith({ ...quick, ...byTraces });
  assert.deepEqual(
    receiver.requests.map(({ path }) => path),
    ['/v1/traces'],
  );
  // What cannot be sent is held: the pump asks again.
  assert.equal(part.failures.length, 1);
  assert.match(part.failures[0] as string, /^otlp-logs: /);
  const strangers = await exportWith({ ...quick, ...whole, [`${E}_CERTIFICATE`]: file('other.pem', clients.cert) });
  assert.equal(strangers.failures.length, 2, 'nothing is sent to a server nobody vouches for');
  assert.equal(receiver.requests.length, 1);
});

test('OTEL_EXPORTER_OTLP_TIMEOUT ends an export that hangs; its records are held', {
  timeout: 30_000,
}, async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  receiver.behave('hang');
  // The default would be 10 s for each of the three, beyond this test.
  const { failures } = await exportWith({
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_TIMEOUT: '150',
    OTEL_METRIC_EXPORT_TIMEOUT: '150',
  });
  assert.deepEqual(
    failures.map((failure) => failure.split(':')[0]),
    ['otlp-traces', 'otlp-logs'],
  );
});

test('resource and attribute length of the environment', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const base = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
  await exportWith({
    ...base,
    OTEL_SERVICE_NAME: 'egress',
    OTEL_RESOURCE_ATTRIBUTES: 'service.name=overridden,team=ai%20agents,service.instance.id=mine',
    OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '40',
  });
  for (const { resource } of [...receiver.spans, ...receiver.logs]) {
    assert.deepEqual(
      [resource['service.name'], resource['team'], resource['service.version']],
      ['egress', 'ai agents', '0.1.0'],
    );
  }
  const [span] = receiver.spans;
  assert.equal(span?.attributes['weir.error.detail'], 'é'.repeat(40));
  assert.deepEqual(span?.attributes['weir.finding.rules'], ['r']);
  for (const value of Object.values({ ...span?.attributes, ...receiver.logs[0]?.attributes })) {
    assert.ok(typeof value !== 'string' || value.length <= 40, String(value));
  }
  receiver.spans.length = 0;
  await exportWith({
    ...base,
    OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '40',
    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '60',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
  });
  assert.ok(receiver.bodies.some((body) => body.includes('é'.repeat(60)) && !body.includes('é'.repeat(61))));
  await exportWith({ ...base, OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: 'plenty' });
  assert.equal(receiver.spans[0]?.attributes['weir.error.detail'], long);
});
