import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { dial } from '../support/origins.ts';
import { startOtlpReceiver } from '../support/otlp-receiver.ts';
import { openRecorded, type Recorded, settled } from '../support/recorded.ts';
import { ask, claim, closedPort, peerOf, tunnel } from '../support/watched.ts';
import { eventually, startWeir } from '../support/weir.ts';

const CAP = 5;

describe('records: the agent’s trace context', () => {
  let house: Recorded;
  before(async () => {
    house = await openRecorded({ limits: { spans_per_trace_hour: CAP } });
  });
  after(() => house?.close());

  const traced = async (agent: string, fields: string) => {
    await ask(house.weir.port, agent, 'http://plain.test/ok', { fields });
    await house.otlp.until(() => house.spansOf(agent).length > 0);
    return house.spansOf(agent);
  };
  const traceId = (): string => randomBytes(16).toString('hex');
  const spanId = (): string => randomBytes(8).toString('hex');

  it('a traceparent is joined, also when it asks not to be recorded', async () => {
    for (const flags of ['01', '00']) {
      const [trace, parent] = [traceId(), spanId()];
      const [span] = await traced(`joined-${flags}`, `traceparent: 00-${trace}-${parent}-${flags}\r\n`);
      assert.equal(span?.traceId, trace);
      assert.equal(span?.parentSpanId, parent);
      assert.equal(span?.links.length, 0);
      const [row] = await house.weir.query(`SELECT * FROM exchanges WHERE agent = 'joined-${flags}'`);
      assert.equal(row?.['trace_id'], trace);
      assert.equal(row?.['parent_span_id'], parent);
    }
  });

  it('a traceparent that is none starts a new trace', async () => {
    const bad = [
      '00-00000000000000000000000000000000-0000000000000001-01',
      `00-${traceId()}-0000000000000000-01`,
      `ff-${traceId()}-${spanId()}-01`,
      `00-${traceId()}-${spanId()}-01-more`,
      `00-${traceId().toUpperCase().replace(/[0-9]/g, 'A')}-${spanId()}-01`,
      'garbage',
      '',
    ];
    const spans = await Promise.all(
      bad.map(async (value, index) => (await traced(`bad-${index}`, `traceparent: ${value}\r\n`))[0]),
    );
    for (const [index, value] of bad.entries()) {
      const span = spans[index];
      assert.match(String(span?.traceId), /^[0-9a-f]{32}$/);
      assert.ok(!value.includes(String(span?.traceId)), value);
      assert.equal(span?.parentSpanId, undefined);
    }
  });

  it('one trace id for everything is capped: new roots, linked to what was claimed', async () => {
    const [trace, parent] = [traceId(), spanId()];
    for (let n = 0; n < CAP + 3; n++) {
      await ask(house.weir.port, 'one-trace', 'http://plain.test/ok', {
        fields: `traceparent: 00-${trace}-${parent}-01\r\n`,
      });
    }
    await house.otlp.until(() => house.spansOf('one-trace').length === CAP + 3);
    const spans = house.spansOf('one-trace');
    assert.equal(spans.filter((span) => span.traceId === trace).length, CAP);
    const others = spans.filter((span) => span.traceId !== trace);
    assert.equal(others.length, 3);
    assert.equal(new Set(others.map((span) => span.traceId)).size, 3);
    for (const span of others) {
      assert.equal(span.parentSpanId, undefined);
      assert.deepEqual(
        span.links.map((link) => [link.traceId, link.spanId]),
        [[trace, parent]],
      );
      assert.equal(span.attributes['weir.trace.reparented'], true);
    }
  });

  it('traceparent, tracestate and baggage reach the origin unchanged and the span not at all', async () => {
    const state = `vendor=${randomBytes(6).toString('hex')}`;
    const baggage = `user=${randomBytes(6).toString('hex')}`;
    const parent = `00-${traceId()}-${spanId()}-00`;
    const { origin } = house;
    const before = origin.heads.length;
    await traced('carries', `TraceParent: ${parent}\r\nTraceState: ${state}\r\nBaggage: ${baggage}\r\n`);
    const head = origin.heads[before] ?? [];
    for (const [name, value] of [
      ['TraceParent', parent],
      ['TraceState', state],
      ['Baggage', baggage],
    ]) {
      assert.equal(head[head.indexOf(String(name)) + 1], value);
    }
    await traced('carries-none', '');
    const plain = origin.heads.at(-1) ?? [];
    assert.ok(!plain.some((field) => /^(traceparent|tracestate|baggage|via|x-forwarded-for|forwarded)$/i.test(field)));
    const everything = house.otlp.bodies.join('\n');
    assert.ok(!everything.includes(state.slice(7)) && !everything.includes(baggage.slice(5)));
  });

  it('what flows inside a CONNECT has its own context, and the CONNECT’s when it brings none', async () => {
    const [outer, inner] = [traceId(), traceId()];
    const { socket } = await tunnel(
      house.weir.port,
      'two-traces',
      'plain.test:80',
      `traceparent: 00-${outer}-${spanId()}-01\r\n`,
    );
    const peer = peerOf(socket);
    await peer.send(`GET /ok HTTP/1.1\r\nHost: plain.test\r\ntraceparent: 00-${inner}-${spanId()}-01\r\n\r\n`);
    await peer.until('hello');
    peer.destroy();
    await house.otlp.until(() => house.spansOf('two-traces').length === 2);
    const byName = new Map(house.spansOf('two-traces').map((span) => [span.name, span]));
    assert.equal(byName.get('http.connect')?.traceId, outer);
    assert.equal(byName.get('http.get')?.traceId, inner);
    assert.equal(byName.get('http.get')?.links[0]?.spanId, byName.get('http.connect')?.spanId);
  });
});

describe('records: OTEL_* and telemetry.endpoint', () => {
  it('containment that was proven is on everything sent from then on', { timeout: 60_000 }, async (t) => {
    const otlp = await startOtlpReceiver();
    t.after(otlp.close);
    const weir = await startWeir({
      config: {
        telemetry: { endpoint: otlp.url },
        upstream: { resolve: { '*.test': `127.0.0.1:${await closedPort()}` } },
      },
      env: { OTEL_METRIC_EXPORT_INTERVAL: '200' },
    });
    t.after(weir.stop);
    await ask(weir.port, 'a', 'http://x.test/');
    await otlp.until(() => otlp.spans.length === 1 && otlp.metrics.size > 0);
    assert.equal(otlp.spans[0]?.resource['weir.containment'], 'cooperative');
    const measured = otlp.bodies.length;
    // What `weir verify --containment` says when no way past Weir is open.
    assert.equal((await weir.admin('/verified', 'POST', { containment: 'network' })).status, 200);
    await ask(weir.port, 'a', 'http://y.test/');
    const ofLast = () => otlp.logs.filter(({ traceId }) => traceId === otlp.spans[1]?.traceId);
    await otlp.until(() => otlp.spans.length === 2 && ofLast().length > 0);
    for (const { resource } of [...otlp.spans.slice(1), ...ofLast()])
      assert.equal(resource['weir.containment'], 'network');
    const proven = (body: string): boolean =>
      body.includes('resourceMetrics') && body.includes('{"key":"weir.containment","value":{"stringValue":"network"}}');
    await otlp.until(() => otlp.bodies.slice(measured).some(proven));
  });

  it('service name, resource attributes, headers and endpoint come from the environment; a sampler does not', async (t) => {
    const otlp = await startOtlpReceiver();
    t.after(otlp.close);
    const weir = await startWeir({
      config: {
        telemetry: { endpoint: 'auto' },
        upstream: { resolve: { 'x.test': `127.0.0.1:${await closedPort()}` } },
      },
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
        OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=seven',
        OTEL_SERVICE_NAME: 'egress',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,weir.containment=network',
        OTEL_TRACES_SAMPLER: 'always_off',
        OTEL_METRIC_EXPORT_INTERVAL: '300',
      },
    });
    t.after(weir.stop);
    await ask(weir.port, 'a', 'http://x.test/');
    await otlp.until(() => otlp.spans.length === 1 && otlp.logs.length > 0 && otlp.metrics.size > 0);
    const [span] = otlp.spans;
    assert.equal(span?.resource['service.name'], 'egress');
    assert.equal(span?.resource['deployment.environment.name'], 'test');
    assert.equal(span?.resource['weir.containment'], 'cooperative', 'only Weir says what it measured');
    assert.deepEqual(otlp.logs[0]?.resource, span?.resource);
    assert.deepEqual([...new Set(otlp.requests.map(({ headers }) => headers['x-tenant']))], ['seven']);
    assert.deepEqual([...new Set(otlp.requests.map(({ path }) => path))].sort(), [
      '/v1/logs',
      '/v1/metrics',
      '/v1/traces',
    ]);
    const { telemetry } = await weir.status();
    assert.match(telemetry.sentence, new RegExp(`go(es)? to ${otlp.url}`));
    assert.match(weir.logs(), new RegExp(otlp.url));
  });

  it('OTEL_SDK_DISABLED exports nothing and rows go on', async (t) => {
    const otlp = await startOtlpReceiver();
    t.after(otlp.close);
    const weir = await startWeir({
      config: { telemetry: { endpoint: otlp.url } },
      env: { OTEL_SDK_DISABLED: 'true' },
    });
    t.after(weir.stop);
    await ask(weir.port, 'a', 'http://x.invalid/');
    await eventually(async () => (await weir.query('SELECT id FROM exchanges')).length === 1, 'the row');
    assert.equal(otlp.requests.length, 0);
    assert.match((await weir.status()).telemetry.sentence, /OTEL_SDK_DISABLED/);
  });

  it('auto says in one line where spans go when nothing answers OTLP', async (t) => {
    if (await answers(4318)) return t.skip('something listens on 127.0.0.1:4318 here');
    const weir = await startWeir({ config: { telemetry: { endpoint: 'auto' } } });
    t.after(weir.stop);
    const line = await eventually(
      () => /^weir: (nothing answers OTLP on http:\/\/127\.0\.0\.1:4318: .*)$/m.exec(weir.logs())?.[1],
      'the start line',
    );
    assert.equal((await weir.status()).telemetry.sentence, line);
  });

  it('a credential in the endpoint is in no line and no status', async (t) => {
    const secret = ['hidden', 'word', '93'].join('');
    const weir = await startWeir({ config: { telemetry: { endpoint: `http://user:${secret}@127.0.0.1:9/` } } });
    t.after(weir.stop);
    await ask(weir.port, 'a', 'http://x.invalid/');
    await eventually(
      async () => (await weir.status()).consumers.some(({ failing }) => failing !== undefined),
      'a failure (the SDK tries for ten seconds before it says so)',
      15_000,
    );
    assert.ok(!weir.logs().includes(secret));
    assert.ok(!(await weir.admin('/status')).body.includes(secret));
  });
});

describe('records: what lasts', () => {
  it('older than 5 s has an open row; kill -9 makes it interrupted, as span and row, at the next start', async (t) => {
    const house = await openRecorded();
    t.after(house.close);
    const { weir, otlp } = house;
    const streaming = peerOf(await dial(weir.port));
    await streaming.send(`GET http://plain.test/stream HTTP/1.1\r\nHost: plain.test\r\n${claim('long')}\r\n`);
    await streaming.until('data: 1');
    const { socket } = await tunnel(weir.port, 'long', 'plain.test:2222');
    const opaque = peerOf(socket);
    await opaque.send('SSH-2.0-test');
    const open = await eventually(
      async () => {
        const rows = await weir.query("SELECT * FROM exchanges WHERE state = 'open' ORDER BY kind");
        return rows.length === 2 && rows;
      },
      'two open rows',
      12_000,
    );
    assert.deepEqual(
      open.map((row) => [row['kind'], row['agent'], row['host']]),
      [
        ['exchange', 'long', 'plain.test'],
        ['tunnel', 'long', 'plain.test'],
      ],
    );
    assert.deepEqual(
      house.spansOf('long').map((span) => span.name),
      ['http.connect'],
      'an open row is no span',
    );
    const shown = await weir.cli(['logs', '--json']);
    assert.ok(shown.stdout.includes('"outcome":"open"'));
    weir.kill('SIGKILL');
    await weir.exited;
    streaming.destroy();
    opaque.destroy();

    const again = await startWeir({ stateDir: weir.stateDir, config: { telemetry: { endpoint: otlp.url } } });
    t.after(again.stop);
    await otlp.until(() => house.spansOf('long').length === 3);
    const ended = house.spansOf('long').filter((span) => span.name !== 'http.connect');
    for (const span of ended) {
      assert.equal(span.attributes['weir.outcome'], 'interrupted');
      assert.equal(span.status.code ?? 0, 0);
    }
    assert.deepEqual(ended.map((span) => span.spanId).sort(), open.map((row) => row['span_id']).sort());
    await settled(again);
    const rows = await again.query('SELECT * FROM exchanges ORDER BY kind');
    assert.deepEqual(
      rows.map((row) => [row['kind'], row['state'], row['outcome'], row['id']]),
      open.map((row) => [row['kind'], 'closed', 'interrupted', row['id']]),
    );
  });

  it('an open row is closed by the record of the same exchange', async (t) => {
    const house = await openRecorded();
    t.after(house.close);
    const { weir } = house;
    const peer = peerOf(await dial(weir.port));
    await peer.send(`GET http://plain.test/stream HTTP/1.1\r\nHost: plain.test\r\n${claim('long')}\r\n`);
    await peer.until('data: 1');
    await eventually(
      async () => (await weir.query("SELECT id FROM exchanges WHERE state = 'open'")).length === 1,
      'an open row',
      12_000,
    );
    peer.destroy();
    await house.otlp.until(() => house.spansOf('long').length === 1);
    assert.ok(
      Number(house.spansOf('long')[0]?.endTimeUnixNano) - Number(house.spansOf('long')[0]?.startTimeUnixNano) > 5e9,
    );
    await settled(weir);
    const rows = await weir.query('SELECT state, outcome, agent FROM exchanges');
    assert.deepEqual(rows, [{ state: 'closed', outcome: 'client-gone', agent: 'long' }]);
    // First contact is one event although two records told of it.
    assert.equal(house.logsOf('long').filter((log) => log.eventName === 'weir.destination.first_seen').length, 1);
    assert.equal(house.logsOf('long').filter((log) => log.eventName === 'weir.finding').length, 1);
  });
});

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
