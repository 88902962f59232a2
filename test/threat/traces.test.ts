import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flood } from '../support/flood.ts';
import { type Fortress, lastWords, openFortress } from '../support/fortress.ts';
import { dial } from '../support/origins.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { ask, claim, peerOf } from '../support/watched.ts';

describe('O4, O5, O6: the agent’s own trace context', () => {
  let fortress: Fortress;
  let otlp: OtlpReceiver;
  before(async () => {
    otlp = await startOtlpReceiver();
    fortress = await openFortress({ telemetry: { endpoint: otlp.url }, limits: { spans_per_trace_hour: 10 } });
  });
  after(async () => {
    await fortress?.close();
    await otlp?.close();
  });

  const spansOf = (agent: string): ReceivedSpan[] =>
    otlp.spans.filter((span) => span.attributes['weir.agent'] === agent);

  it('a traceparent that says “not sampled” switches nothing off', async () => {
    const trace = 'a'.repeat(32);
    await ask(fortress.weir.port, 'unsampled', 'http://plain.test/', {
      fields: `traceparent: 00-${trace}-${'b'.repeat(16)}-00\r\n`,
    });
    await otlp.until(() => spansOf('unsampled').length === 1);
    const [span] = spansOf('unsampled');
    assert.equal(span?.traceId, trace);
    assert.equal(span?.parentSpanId, 'b'.repeat(16));
  });

  it('one trace id for everything: beyond the cap each request has a root of its own, linked and marked', async () => {
    const trace = 'c'.repeat(32);
    await flood(fortress.weir.port, 40, () => ({
      host: 'plain.test',
      agent: 'one-trace',
      path: '/',
      fields: `traceparent: 00-${trace}-${'d'.repeat(16)}-01\r\n`,
    }));
    await otlp.until(() => spansOf('one-trace').length === 40);
    const joined = spansOf('one-trace').filter((span) => span.traceId === trace);
    const marked = spansOf('one-trace').filter((span) => span.attributes['weir.trace.reparented'] === true);
    assert.deepEqual([joined.length, marked.length], [10, 30]);
    assert.equal(new Set(marked.map((span) => span.traceId)).size, 30);
    for (const span of marked) assert.equal(span.links[0]?.traceId, trace);
  });

  it('tracestate and baggage go to the upstream as they came and into no span', async () => {
    fortress.plain.forget();
    await ask(fortress.weir.port, 'baggage', 'http://plain.test/', {
      fields: `traceparent: 00-${'e'.repeat(32)}-${'f'.repeat(16)}-01\r\ntracestate: canary7=x\r\nbaggage: canary8=y\r\n`,
    });
    assert.match(fortress.plain.heard(), /tracestate: canary7=x\r\nbaggage: canary8=y\r\n/);
    await otlp.until(() => spansOf('baggage').length === 1);
    assert.doesNotMatch(otlp.bodies.join('\n'), /canary[78]/);
  });

  it('O16: an exporter that goes through Weir does not feed itself', async () => {
    const before = otlp.spans.length;
    const through = async (): Promise<string> => {
      const socket = await dial(fortress.weir.port);
      const body = '{"resourceSpans":[]}';
      socket.write(
        `POST ${otlp.url}/v1/traces HTTP/1.1\r\nHost: ${new URL(otlp.url).host}\r\n${claim('exporter')}` +
          `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
      return lastWords(peerOf(socket));
    };
    for (let i = 0; i < 10; i++) assert.match(await through(), /^HTTP\/1\.1 200 /);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // One span for each request the agent made, none for Weir's own export.
    assert.equal(otlp.spans.length - before, 10);
  });
});
