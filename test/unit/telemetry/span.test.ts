import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { ATTR } from '../../../src/telemetry/semconv.ts';
import { hrTime, sampled, toSpan, unremarkable } from '../../../src/telemetry/span.ts';
import { exchangeSample, runSample } from '../record/samples.ts';

const resource = { attributes: {}, merge: () => resource, getRawAttributes: () => [] } as never;
const FIXED = {
  id: '01J8ZZZZZZZZZZZZZZZZZZZZZZ',
  connectionId: '01J8YYYYYYYYYYYYYYYYYYYYYY',
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
};
const span = (change: Partial<ExchangeRecord> = {}) =>
  toSpan(exchangeSample({ ...FIXED, ...change }), resource, '0.1.0');
const block = {
  inspector: 'destination',
  rule: 'destination-not-allowed',
  severity: 'medium',
  disposition: 'block',
  message: 'example.org is not allowed for researcher',
} as const;

test('GET 200, every attribute', () => {
  const made = span();
  assert.equal(made.name, 'http.get');
  assert.equal(made.kind, 2);
  assert.deepEqual(made.status, { code: 0 });
  assert.deepEqual(made.startTime, [1_770_000_000, 250_000]);
  assert.deepEqual(made.endTime, [1_770_000_000, 12_750_000]);
  assert.deepEqual(made.duration, [0, 12_500_000]);
  assert.deepEqual(made.spanContext(), { traceId: FIXED.traceId, spanId: FIXED.spanId, traceFlags: 1 });
  assert.deepEqual(made.attributes, {
    'http.request.method': 'GET',
    'url.full': 'http://api.example.com/v1/items?page=2',
    'url.scheme': 'http',
    'network.protocol.version': '1.1',
    'http.response.status_code': 200,
    'http.request.body.size': 0,
    'http.response.body.size': 512,
    'strathon.tool.name': 'http.get',
    'strathon.http.url': 'http://api.example.com/v1/items?page=2',
    'strathon.source': 'egress_proxy',
    'strathon.agent.name': 'researcher',
    'user_agent.original': 'python-httpx/0.28',
    'weir.mode': 'monitor',
    'weir.verdict': 'allow',
    'weir.action': 'forward',
    'weir.would': 'none',
    'weir.would_block': false,
    'weir.outcome': 'forwarded',
    'weir.destination.first_seen': false,
    'weir.baseline.state': 'ready',
    'weir.agent': 'researcher',
    'weir.agent.identified_by': 'claim',
    'weir.visibility': 'plaintext',
    'weir.via': 'absolute-form',
    'server.address': 'api.example.com',
    'server.port': 80,
    'client.address': '127.0.0.1',
    'network.peer.address': '192.0.2.7',
    'network.peer.port': 80,
    'weir.exchange.id': FIXED.id,
    'weir.connection.id': FIXED.connectionId,
    'weir.proxy.overhead_ms': 0.12,
    'weir.request.body.size': 0,
    'weir.response.body.size': 512,
    'weir.timing.ttfb_ms': 10,
  });
});

test('404 is an error of the client span without a description', () => {
  const made = span({ status: 404 });
  assert.deepEqual(made.status, { code: 2 });
  assert.equal(made.attributes[ATTR.ERROR_TYPE], '404');
  assert.equal(made.attributes[ATTR.HTTP_RESPONSE_STATUS_CODE], 404);
});

test('blocked: our answer beside, no status from upstream, no path (P7), Strathon state', () => {
  const { status: _status, peerAddress: _peer, peerPort: _port, ...rest } = exchangeSample(FIXED);
  const made = toSpan(
    {
      ...rest,
      mode: 'enforce',
      verdict: 'block',
      action: 'block',
      outcome: 'blocked',
      answeredStatus: 403,
      errorType: 'policy-denied',
      findings: [block],
      target: '/exfiltrate/canary?x=1',
    },
    resource,
    '0.1.0',
  );
  assert.deepEqual(made.status, { code: 2, message: block.message });
  assert.equal(made.attributes[ATTR.ERROR_TYPE], 'policy-denied');
  assert.equal(made.attributes[ATTR.RESPONSE_STATUS_CODE], 403);
  assert.equal(ATTR.HTTP_RESPONSE_STATUS_CODE in made.attributes, false);
  assert.equal(made.attributes[ATTR.STRATHON_INTERVENTION_STATE], 'blocked');
  assert.equal(made.attributes[ATTR.STRATHON_POLICY_BLOCKED], true);
  assert.equal(made.attributes[ATTR.STRATHON_POLICY_NAME], 'destination-not-allowed');
  assert.deepEqual(made.attributes[ATTR.FINDING_RULES], ['destination-not-allowed']);
  assert.equal(made.attributes[ATTR.URL_FULL], 'http://api.example.com/');
  assert.ok(!JSON.stringify(made.attributes).includes('canary'));
});

test('a policy that decided is told in Strathon’s words, by its action', () => {
  for (const [action, state, flag] of [
    ['block', 'blocked', 'strathon.policy.blocked'],
    ['throttle', 'throttled', 'strathon.policy.throttled'],
    ['steer', 'steered', 'strathon.policy.steered'],
    ['require_approval', 'approval_requested', 'strathon.policy.approval_requested'],
  ] as const) {
    const policy = { id: 'id-1', name: 'careful', action, ...(action === 'steer' ? { replacement: 'ask' } : {}) };
    const finding = { ...block, rule: 'policy:careful', policy, ...(action === 'throttle' ? { retryAfter: 7 } : {}) };
    const { attributes } = span({ mode: 'enforce', action: 'block', outcome: 'blocked', findings: [finding] });
    assert.equal(attributes['strathon.agent.intervention.state'], state);
    assert.equal(attributes[flag], true);
    assert.deepEqual([attributes['strathon.policy.id'], attributes['strathon.policy.name']], ['id-1', 'careful']);
    assert.equal(attributes['strathon.policy.retry_after_seconds'], action === 'throttle' ? 7 : undefined);
    assert.equal(attributes['strathon.policy.replacement'], action === 'steer' ? 'ask' : undefined);
    assert.equal(
      Object.keys(attributes).filter((name) => name.startsWith('strathon.policy.') && attributes[name] === true).length,
      1,
    );
  }
});

test('would block in monitor: status untouched, intervention state never set', () => {
  const made = span({ verdict: 'block', would: 'block', findings: [block] });
  assert.deepEqual(made.status, { code: 0 });
  assert.equal(made.attributes[ATTR.WOULD_BLOCK], true);
  assert.equal(made.attributes[ATTR.WOULD], 'block');
  assert.equal(ATTR.STRATHON_INTERVENTION_STATE in made.attributes, false);
  assert.equal(ATTR.ERROR_TYPE in made.attributes, false);
  assert.equal(made.attributes[ATTR.URL_FULL], 'http://api.example.com/v1/items?page=2');
  const self = span({ action: 'block', outcome: 'blocked', errorType: 'self-target', findings: [block] });
  assert.equal(ATTR.STRATHON_INTERVENTION_STATE in self.attributes, false);
  assert.equal(self.attributes[ATTR.ERROR_TYPE], 'self-target');
});

test('CONNECT', () => {
  const { status: _status, ...rest } = exchangeSample(FIXED);
  const made = toSpan(
    {
      ...rest,
      kind: 'connect',
      scheme: 'tcp',
      port: 443,
      method: 'CONNECT',
      target: '',
      via: 'connect',
      visibility: 'tunnel',
      sni: 'api.example.com',
    },
    resource,
    '0.1.0',
  );
  assert.equal(made.name, 'http.connect');
  assert.equal(made.attributes[ATTR.HTTP_REQUEST_METHOD], 'CONNECT');
  assert.equal(made.attributes[ATTR.STRATHON_TOOL_NAME], 'http.connect');
  assert.equal(made.attributes[ATTR.STRATHON_HTTP_URL], 'https://api.example.com/');
  assert.equal(ATTR.URL_FULL in made.attributes, false);
  assert.equal(made.attributes[ATTR.TLS_SNI], 'api.example.com');
  assert.deepEqual(made.status, { code: 0 });
  assert.equal(
    span({ kind: 'connect', scheme: 'tcp', host: '2001:db8::1', port: 8443 }).attributes[ATTR.STRATHON_HTTP_URL],
    'https://[2001:db8::1]:8443/',
  );
});

test('tunnel: linked to its CONNECT', () => {
  const made = span({
    kind: 'tunnel',
    scheme: 'tcp',
    port: 443,
    method: 'CONNECT',
    target: '',
    linkTraceId: 'c'.repeat(32),
    linkSpanId: 'd'.repeat(16),
    tunnelProtocol: 'tls',
    closeReason: 'agent-end',
    requestBytes: 1000,
    responseBytes: 2000,
  });
  assert.equal(made.name, 'weir.tunnel');
  assert.deepEqual(made.links, [{ context: { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), traceFlags: 1 } }]);
  assert.equal(made.attributes[ATTR.REQUEST_BODY_SIZE], 1000);
  assert.equal(made.attributes[ATTR.RESPONSE_BODY_SIZE], 2000);
  assert.equal(made.attributes[ATTR.TUNNEL_PROTOCOL], 'tls');
  assert.equal(made.attributes[ATTR.CLOSE_REASON], 'agent-end');
});

test('failed, client gone, interrupted, answered', () => {
  const { status: _status, ...rest } = exchangeSample(FIXED);
  const failed = toSpan(
    { ...rest, outcome: 'failed', errorType: 'dns-failed', answeredStatus: 502 },
    resource,
    '0.1.0',
  );
  assert.deepEqual(failed.status, { code: 2 });
  assert.equal(failed.attributes[ATTR.ERROR_TYPE], 'dns-failed');
  assert.equal(failed.attributes[ATTR.RESPONSE_STATUS_CODE], 502);
  for (const outcome of ['client-gone', 'interrupted', 'answered'] as const) {
    const made = toSpan({ ...rest, outcome }, resource, '0.1.0');
    assert.deepEqual(made.status, { code: 0 });
    assert.equal(made.attributes[ATTR.OUTCOME], outcome);
  }
});

test('joined traces, reparented ones, unknown methods', () => {
  const joined = span({ parentSpanId: 'e'.repeat(16) });
  assert.deepEqual(joined.parentSpanContext, {
    traceId: FIXED.traceId,
    spanId: 'e'.repeat(16),
    traceFlags: 1,
    isRemote: true,
  });
  const reparented = span({ reparented: true, linkTraceId: 'c'.repeat(32), linkSpanId: 'd'.repeat(16) });
  assert.equal(reparented.parentSpanContext, undefined);
  assert.equal(reparented.links[0]?.context.isRemote, true);
  assert.equal(reparented.attributes[ATTR.TRACE_REPARENTED], true);
  const odd = span({ method: 'PROPFIND' });
  assert.equal(odd.name, 'http.other');
  assert.equal(odd.attributes[ATTR.HTTP_REQUEST_METHOD], '_OTHER');
  assert.equal(odd.attributes[ATTR.HTTP_REQUEST_METHOD_ORIGINAL], 'PROPFIND');
});

test('a run, with what went past Weir as span events', () => {
  const record = runSample({ id: FIXED.id, restarts: 1 });
  const made = toSpan(record, resource, '0.1.0');
  assert.equal(made.name, 'weir.run');
  assert.equal(made.kind, 0);
  assert.deepEqual(made.status, { code: 0 });
  assert.deepEqual(made.startTime, [1_770_000_000, 250_000]);
  assert.deepEqual(made.endTime, [1_770_000_004, 500_000]);
  assert.deepEqual(made.duration, [4, 250_000]);
  assert.equal(made.parentSpanContext, undefined);
  assert.deepEqual(made.links, []);
  assert.deepEqual(made.attributes, {
    'weir.agent': 'researcher',
    'weir.run.id': FIXED.id,
    'process.executable.name': 'python3',
    'process.exit.code': 0,
    'weir.mode': 'monitor',
    'weir.run.restarts': 1,
    'weir.run.direct_watched': true,
  });
  assert.deepEqual(
    made.events.map(({ name, time, attributes }) => ({ name, time, attributes })),
    [
      {
        name: 'direct-connection',
        time: [1_770_000_001, 0],
        attributes: {
          'process.executable.name': 'node',
          'network.peer.address': '192.0.2.9',
          'network.peer.port': 443,
          'weir.count': 2,
        },
      },
      {
        name: 'direct-connection',
        time: [1_770_000_002, 0],
        attributes: {
          'process.executable.name': 'curl',
          'network.peer.address': '2001:db8::9',
          'network.peer.port': 80,
          'weir.count': 1,
        },
      },
    ],
  );
  const { exitCode: _, ...killed } = runSample({ exitSignal: 'SIGKILL', abandoned: true, direct: [] });
  const other = toSpan(killed, resource, '0.1.0');
  assert.equal(other.attributes['weir.run.exit_signal'], 'SIGKILL');
  assert.equal(other.attributes['weir.run.abandoned'], true);
  assert.ok(!('process.exit.code' in other.attributes));
  assert.deepEqual(other.events, []);
  assert.deepEqual(
    toSpan(runSample({ exitCode: 1 }), resource, '0.1.0').status,
    { code: 0 },
    'how the command ends is no error of ours',
  );
});

test('exchanges, CONNECTs and tunnels name their run', () => {
  for (const kind of ['exchange', 'connect', 'tunnel'] as const) {
    assert.equal(span({ kind, runId: FIXED.id }).attributes['weir.run.id'], FIXED.id);
    assert.ok(!('weir.run.id' in span({ kind }).attributes));
  }
});

test('no span says it is a tool call of a model', () => {
  for (const name of Object.keys(span().attributes)) assert.ok(!name.startsWith('gen_ai.'));
});

test('sampling takes unremarkable exchanges only, whole traces alike', () => {
  assert.equal(unremarkable(exchangeSample()), true);
  assert.equal(unremarkable(exchangeSample({ firstSeen: true })), false);
  assert.equal(unremarkable(exchangeSample({ findings: [block] })), false);
  assert.equal(unremarkable(exchangeSample({ status: 500 })), false);
  assert.equal(unremarkable(exchangeSample({ baselineState: 'learning' })), false);
  assert.equal(unremarkable(exchangeSample({ outcome: 'client-gone' })), false);
  assert.equal(sampled(`${'0'.repeat(24)}40000000`, 0.5), true);
  assert.equal(sampled(`${'0'.repeat(24)}c0000000`, 0.5), false);
  assert.equal(sampled('f'.repeat(32), 1), true);
  assert.equal(sampled('0'.repeat(32), 0), false);
});

test('times', () => {
  assert.deepEqual(hrTime(1_500), [1, 500_000_000]);
  assert.deepEqual(hrTime(0), [0, 0]);
});
