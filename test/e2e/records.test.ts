import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { secure } from '../support/origins.ts';
import { assertHas, openRecorded, type Recorded, settled } from '../support/recorded.ts';
import { converse, tunnel } from '../support/watched.ts';
import { WAYS } from '../support/ways.ts';
import { eventually } from '../support/weir.ts';

/** Everything a way must leave, checked when all ways are through. */
describe('records: one record on every exit, as span, row and log event', () => {
  let house: Recorded;
  let rows: Record<string, unknown>[];
  let findings: Record<string, unknown>[];
  const outcomes = new Map<string, unknown>();
  before(async () => {
    house = await openRecorded({
      agents: {
        blocked: { mode: 'enforce', allowed_domains: ['elsewhere.test'] },
        'connect-refused': { mode: 'enforce', allowed_domains: ['elsewhere.test'] },
        'blocked-inside': { mode: 'enforce', allowed_domains: ['elsewhere.test'] },
        limited: { mode: 'enforce', rate_limit: 1, rate_window: 60 },
        'would-block': { allowed_domains: ['elsewhere.test'] },
      },
      limits: { connect_ms: 700 },
    });
    await Promise.all(WAYS.map((way) => way.act(house).catch((error: unknown) => outcomes.set(way.agent, error))));
    await settled(house.weir);
    rows = await house.weir.query('SELECT * FROM exchanges ORDER BY id, path');
    findings = await house.weir.query('SELECT * FROM findings');
  });
  after(() => house?.close());

  for (const way of WAYS) {
    it(way.agent, () => {
      if (outcomes.has(way.agent)) throw outcomes.get(way.agent);
      const order = (span: { name: string; attributes: Readonly<Record<string, unknown>> }): string =>
        `${way.spans.findIndex(({ name }) => name === span.name)} ${String(span.attributes['url.full'])}`;
      const spans = house.spansOf(way.agent).sort((a, b) => (order(a) < order(b) ? -1 : 1));
      assert.deepEqual(
        spans.map((span) => span.name),
        way.spans.map((span) => span.name),
      );
      for (const [index, expected] of way.spans.entries()) {
        const span = spans[index];
        assert.ok(span !== undefined);
        assertHas(span.attributes, expected.attributes, `${way.agent} span ${index}`);
        assert.equal(span.kind, 3, 'CLIENT');
        assert.equal(span.status.code ?? 0, expected.status, 'status');
        assert.equal(span.links.length, expected.links ?? 0, 'links');
        if (expected.links === 1) {
          assert.equal(span.links[0]?.spanId, spans[0]?.spanId, 'linked to its CONNECT');
          assert.equal(span.links[0]?.traceId, spans[0]?.traceId);
        }
      }
      const own = rows.filter((row) => row['agent'] === way.agent);
      assert.equal(own.length, way.rows.length, `rows: ${JSON.stringify(own)}`);
      for (const [index, expected] of way.rows.entries()) assertHas(own[index] ?? {}, expected, `${way.agent} row`);
      // The row and the span are projections of one record.
      for (const row of own) {
        const span = spans.find(({ spanId }) => spanId === row['span_id']);
        assert.equal(span?.traceId, row['trace_id']);
        assert.equal(span?.attributes['weir.exchange.id'], row['id']);
        assert.equal(span?.attributes['weir.connection.id'], row['connection_id']);
      }
      const events = house
        .logsOf(way.agent)
        .filter(({ eventName, attributes }) => !NOVELTY.has(`${eventName} ${attributes['security_rule.name']}`));
      assert.deepEqual(events.map(({ eventName }) => eventName).sort(), way.events ?? []);
      for (const event of events)
        assert.ok(
          spans.some(({ spanId }) => spanId === event.spanId),
          'event in its span',
        );
      const severe = findings.filter((row) => row['agent'] === way.agent && row['rule'] !== 'agent-first-seen');
      assert.equal(severe.length, (way.events ?? []).filter((name) => name === 'weir.finding').length);
    });
  }

  it('every span has the attributes others rely on', () => {
    const always = {
      'weir.agent': 'string',
      'weir.agent.identified_by': 'string',
      'weir.visibility': 'string',
      'weir.mode': 'string',
      'weir.verdict': 'string',
      'weir.action': 'string',
      'weir.would': 'string',
      'weir.would_block': 'boolean',
      'weir.destination.first_seen': 'boolean',
      'weir.baseline.state': 'string',
      'weir.exchange.id': 'string',
      'weir.connection.id': 'string',
      'weir.proxy.overhead_ms': 'number',
      'weir.request.body.size': 'number',
      'weir.response.body.size': 'number',
      'strathon.tool.name': 'string',
      'strathon.http.url': 'string',
      'strathon.source': 'string',
      'strathon.agent.name': 'string',
      'server.address': 'string',
      'server.port': 'number',
    };
    for (const span of house.otlp.spans) {
      for (const [name, type] of Object.entries(always)) {
        assert.equal(typeof span.attributes[name], type, `${name} of ${span.attributes['weir.agent']}`);
      }
      assert.match(String(span.attributes['weir.exchange.id']), /^[0-9A-HJKMNP-TV-Z]{26}$/);
      if (span.name.startsWith('http.') && span.name !== 'http.connect') {
        for (const name of ['http.request.method', 'url.full', 'url.scheme', 'network.protocol.version']) {
          assert.equal(typeof span.attributes[name], 'string', `${name} of ${span.attributes['weir.agent']}`);
        }
      }
      const known = Object.keys(span.attributes).filter((name) => /^gen_ai|^tracestate|^baggage/.test(name));
      assert.deepEqual(known, []);
      // What Weir itself added is less than a person notices, and never the time the agent or the upstream took.
      assert.ok(
        Number(span.attributes['weir.proxy.overhead_ms']) < 150,
        `overhead of ${span.attributes['weir.agent']}`,
      );
    }
  });

  it('the resource names the service and containment, and nothing of the command line', () => {
    const { resource } = house.otlp.spans[0] ?? assert.fail('no span');
    assert.equal(resource['service.name'], 'weir');
    assert.equal(resource['weir.containment'], 'cooperative');
    assert.match(String(resource['service.instance.id']), /^[0-9a-f-]{36}$/);
    const leaky = Object.keys(resource).filter((name) => /^process\.|host\.id|^os\./.test(name));
    assert.deepEqual(leaky, []);
  });

  it('a malformed request is a finding row and a log event, and no span', async () => {
    const { weir, otlp } = house;
    const before = otlp.spans.length;
    const answer = await converse(weir.port, 'GET http://plain.test/ HTTP/1.1\nHost: plain.test\r\n\r\n');
    assert.match(answer, /^HTTP\/1\.1 400 /);
    await eventually(async () => (await protocolFindings(weir)).length > 0, 'the finding row');
    const rows = await protocolFindings(weir);
    assert.equal(rows.length, 1, JSON.stringify(rows));
    await settled(weir);
    await otlp.until(() => otlp.logs.some((log) => log.attributes['security_rule.name'] === rows[0]?.['rule']));
    assert.equal(otlp.spans.length, before);
    const { limitsReached } = await weir.status();
    assert.ok(Object.keys(limitsReached).includes(String(rows[0]?.['rule'])));
  });

  it('a client that closes on our certificate is gone, whether its CONNECT was reported already or not', async () => {
    const { weir, otlp } = house;
    // Node closes without an alert: one such close may be anything, three of a client kind are a rejection.
    const { socket } = await tunnel(weir.port, 'rejects-ca', 'read.test:443');
    await assert.rejects(secure(socket, { servername: 'read.test', ca: house.authority.cert }));
    await settled(weir);
    await otlp.until(() => house.spansOf('rejects-ca').length > 0);
    const last = house.spansOf('rejects-ca').at(-1);
    assert.equal(last?.attributes['weir.outcome'], 'client-gone');
    assert.equal(last?.attributes['error.type'], undefined);
    const rows = await weir.query("SELECT * FROM exchanges WHERE agent = 'rejects-ca'");
    assert.deepEqual(
      rows.map((row) => [row['outcome'], row['close_reason']]),
      [['client-gone', 'client-gone']],
    );
  });

  it('metrics over OTLP and /metrics count the same', async () => {
    const { weir, otlp } = house;
    await settled(weir);
    const text = await scrape(String((await weir.status()).healthAddress));
    const lines = new Map(text.split('\n').flatMap((line) => pair(line)));
    const points = (): readonly { attributes: Readonly<Record<string, unknown>>; value?: number }[] =>
      otlp.metrics.get('weir.egress.requests')?.points ?? [];
    await otlp.until(() => points().reduce((sum, point) => sum + (point.value ?? 0), 0) === otlp.spans.length);
    for (const { attributes, value } of points()) {
      const labels = Object.entries(attributes)
        .map(([name, label]) => `${name.replaceAll('.', '_')}="${label}"`)
        .join(',');
      assert.equal(lines.get(`weir_egress_requests_total{${labels}}`), value, labels);
    }
    assert.equal(lines.get('weir_spans_started_total'), otlp.spans.length);
    assert.match(text, /^http_client_request_duration_seconds_bucket\{http_request_method="GET",/m);
    assert.match(text, /^weir_egress_io_bytes_total\{/m);
    assert.match(text, /^weir_up 1$/m);
    const exchanges = house.otlp.spans.filter((span) => span.name !== 'http.connect' && span.name !== 'weir.tunnel');
    const durations = [...lines].filter(([name]) => name.startsWith('http_client_request_duration_seconds_count'));
    assert.equal(
      durations.reduce((sum, [, count]) => sum + count, 0),
      exchanges.length,
    );
  });
});

const NOVELTY = new Set(['weir.destination.first_seen undefined', 'weir.finding agent-first-seen']);

function protocolFindings(weir: Recorded['weir']): Promise<Record<string, unknown>[]> {
  return weir.query("SELECT * FROM findings WHERE kind = 'event' AND inspector = 'protocol'");
}

function pair(line: string): [string, number][] {
  const space = line.lastIndexOf(' ');
  return line.startsWith('#') || space < 0 ? [] : [[line.slice(0, space), Number(line.slice(space + 1))]];
}

function scrape(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    httpRequest(`http://${address}/metrics`, (response) => {
      let text = '';
      response.on('data', (part: Buffer) => {
        text += part.toString();
      });
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}
