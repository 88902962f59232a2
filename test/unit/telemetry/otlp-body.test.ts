import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import fc from 'fast-check';
import type { ExchangeRecord, RunRecord } from '../../../src/model/record.ts';
import { Sheet } from '../../../src/model/sheet.ts';
import { exporterOfRecords } from '../../../src/telemetry/otlp-body.ts';
import { writeNanos } from '../../../src/telemetry/otlp-json.ts';
import { hrTime, type SpanRecord, toSpan } from '../../../src/telemetry/span.ts';
import { exchangeSample, fullSamples, runSample } from '../record/samples.ts';

const resource = resourceFromAttributes({ 'service.name': 'weir', odd: '"spans":[] é\u2028', count: 3, on: true });
const spanOf = (record: SpanRecord): ReadableSpan => toSpan(record, resource, '0.1.0');

interface Serializer {
  serializeRequest(items: unknown[]): Uint8Array;
  deserializeResponse(data: Uint8Array): unknown;
}
/** Where the exporter of this SDK keeps its serializer: when this fails after an upgrade, `otlp-body.ts` must follow. */
function delegateOf(exporter: unknown): { _serializer: Serializer } {
  return (exporter as { _delegate: { _serializer: Serializer } })._delegate;
}
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

function both() {
  const exporter = new OTLPTraceExporter({ url: 'http://127.0.0.1:9/v1/traces' });
  const theirs = delegateOf(exporter)._serializer;
  exporterOfRecords(exporter, spanOf);
  const ours = delegateOf(exporter)._serializer;
  assert.notEqual(ours, theirs, 'the serializer is not where it was');
  return {
    ours: (records: SpanRecord[]) => text(ours.serializeRequest(records)),
    theirs: (records: SpanRecord[]) => text(theirs.serializeRequest(records.map(spanOf))),
  };
}

test('the body is, byte for byte, what the SDK makes of the same spans', () => {
  const { ours, theirs } = both();
  const word = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom('a', 'b', 'ü', '\ud800', '日本'));
  const finding = fc.record(
    { rule: word, message: word, disposition: fc.constantFrom('flag', 'block') },
    { noNullPrototype: true },
  );
  const change = fc.record(
    {
      kind: fc.constantFrom('exchange', 'connect', 'tunnel'),
      id: word,
      agent: word,
      host: word,
      method: fc.constantFrom('GET', 'POST', 'BREW'),
      target: word,
      scheme: fc.constantFrom('http', 'https', 'tcp'),
      parentSpanId: fc.constantFrom('f'.repeat(16), 'e'.repeat(16)),
      linkTraceId: fc.constant('c'.repeat(32)),
      linkSpanId: fc.constant('d'.repeat(16)),
      reparented: fc.boolean(),
      startedAt: fc.double({ min: 1, max: 4e12, noNaN: true }),
      durationMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
      overheadMs: fc.oneof(fc.double({ min: 0, max: 100, noNaN: true }), fc.constantFrom(0, 1)),
      requestBytes: fc.nat(),
      outcome: fc.constantFrom('forwarded', 'blocked', 'failed', 'client-gone', 'answered', 'interrupted'),
      mode: fc.constantFrom('monitor', 'enforce'),
      action: fc.constantFrom('forward', 'block'),
      would: fc.constantFrom('none', 'block'),
      findings: fc.array(finding, { maxLength: 3 }),
      status: fc.constantFrom(200, 404),
      errorType: word,
      errorDetail: word,
      userAgent: fc.oneof(word, fc.constant('x'.repeat(300))),
      sni: word,
      ech: fc.boolean(),
      firstSeen: fc.boolean(),
      dnsMs: fc.double({ min: 0, max: 9, noNaN: true }),
      tenant: word,
      runId: word,
    },
    { requiredKeys: [] },
  );
  const direct = fc.record({
    at: fc.double({ min: 1, max: 4e12, noNaN: true }),
    program: word,
    address: word,
    port: fc.nat(65_535),
    count: fc.nat(),
  });
  const runChange = fc.record(
    {
      id: word,
      agent: word,
      program: word,
      startedAt: fc.double({ min: 1, max: 4e12, noNaN: true }),
      endedAt: fc.double({ min: 1, max: 4e12, noNaN: true }),
      exitCode: fc.constantFrom(0, 1, 137, -1),
      exitSignal: word,
      abandoned: fc.boolean(),
      restarts: fc.nat(3),
      directWatched: fc.boolean(),
      direct: fc.array(direct, { maxLength: 3 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  const record = fc.oneof(
    {
      weight: 3,
      arbitrary: change.map((fields): SpanRecord => exchangeSample(fields as unknown as Partial<ExchangeRecord>)),
    },
    { weight: 1, arbitrary: runChange.map((fields): SpanRecord => runSample(fields as Partial<RunRecord>)) },
  );
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 12 }), (records) => {
      assert.equal(ours(records), theirs(records));
    }),
    { numRuns: 80 },
  );
});

test('one record after another: what stays, what goes, what comes', () => {
  const { ours, theirs } = both();
  const full = fullSamples()[0] as ExchangeRecord;
  const bare = exchangeSample();
  const changes: Partial<ExchangeRecord>[] = Object.entries(full).map(([name, value]) => ({ [name]: value }));
  const records = [bare, full, bare, bare, ...changes.flatMap((change) => [exchangeSample(change), bare]), full, full];
  assert.equal(ours(records), theirs(records));
  assert.equal(ours([bare]), theirs([bare]), 'a second body');
  const run = runSample();
  assert.equal(ours([run]), theirs([run]), 'a run alone');
  const among = [full, run, full, runSample({ direct: [] }), run, bare];
  assert.equal(ours(among), theirs(among), 'runs among exchanges');
  const many = Array.from({ length: 600 }, () => exchangeSample({ userAgent: '日'.repeat(200) }));
  assert.equal(ours(many), theirs(many), 'more than was set aside');
});

test('memory of a body is used again only when it has arrived', async () => {
  const bodies: Uint8Array[] = [];
  const results = [{ code: 0 }, { code: 1, error: new Error('later') }, { code: 0 }, { code: 0 }];
  const own: Serializer = {
    serializeRequest: () => Buffer.from('{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{}]}]}]}'),
    deserializeResponse: () => 'theirs',
  };
  const delegate = { _serializer: own };
  const exporter = {
    _delegate: delegate,
    export(items: unknown[], done: (result: { code: number }) => void) {
      bodies.push(delegate._serializer.serializeRequest(items));
      done(results[bodies.length - 1] as { code: number });
    },
    shutdown: async () => {},
  };
  const records = exporterOfRecords(exporter, spanOf);
  for (let i = 0; i < 4; i++) records.export([exchangeSample()], () => {});
  const [first, second, third, fourth] = bodies.map((body) => body.buffer);
  assert.equal(first, second);
  assert.notEqual(second, third, 'what was not delivered may still be on its way');
  assert.equal(third, fourth);
  assert.equal(delegate._serializer.deserializeResponse(Buffer.alloc(0)), 'theirs');
  assert.equal(JSON.parse(text(bodies[3] as Uint8Array)).resourceSpans[0].scopeSpans[0].spans.length, 1);
});

test('an exporter that is built otherwise gets spans', () => {
  const given: unknown[] = [];
  const exporter = { export: (spans: unknown[]) => void given.push(...spans), shutdown: async () => {} };
  exporterOfRecords(exporter, spanOf).export([exchangeSample()], () => {});
  assert.equal((given[0] as ReadableSpan).name, 'http.get');
});

test('numbers are written as JSON.stringify writes them', () => {
  const written = (value: number): string => {
    const sheet = new Sheet(Buffer.alloc(1));
    sheet.number(value);
    return sheet.bytes.toString('latin1', 0, sheet.length);
  };
  const special = [0, -0, 1, 9, 10, 99, 100, 999_999_999, 1e9, 0.1, 0.05, 0.001, 0.0005, 1e21, -1.5, Number.NaN, 1 / 0];
  for (const value of special) assert.equal(written(value), JSON.stringify(value));
  fc.assert(fc.property(fc.double(), (value) => written(value) === JSON.stringify(value)));
  fc.assert(fc.property(fc.nat(), fc.nat(4), (n, d) => written(n / 10 ** d) === JSON.stringify(n / 10 ** d)));
});

test('nanoseconds without big integers', () => {
  for (const ms of [0, 0.25, 999.9999999, 1000, 1_770_000_000_000.25, 1_770_000_000_999.9998]) {
    const [seconds, nanos] = hrTime(ms);
    const sheet = new Sheet(Buffer.alloc(1));
    writeNanos(sheet, ms);
    const written = sheet.bytes.toString('latin1', 0, sheet.length);
    assert.equal(written, String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos)), String(ms));
  }
});
