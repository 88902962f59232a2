// An agent that traces itself with OpenTelemetry; its trace goes on through Weir, which joins the traceparent it finds.
//   HTTP_PROXY=http://traced:x@127.0.0.1:8080 NODE_USE_ENV_PROXY=1 \
//   OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 node agent.mjs http://example.org/
import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';

const sdk = new NodeSDK({ serviceName: 'traced-agent', instrumentations: [] });
sdk.start();
const tracer = trace.getTracer('traced-agent');

/** A request with the context of the span that is active, as instrumentation would send it. */
async function get(url) {
  return tracer.startActiveSpan('fetch', { kind: SpanKind.CLIENT }, async (span) => {
    const headers = {};
    propagation.inject(context.active(), headers);
    const answer = await fetch(url, { headers });
    span.setAttribute('http.response.status_code', answer.status);
    span.end();
    return answer;
  });
}

const [url = 'http://example.org/'] = process.argv.slice(2);
await tracer.startActiveSpan('answer a question', async (span) => {
  const answer = await get(url);
  console.log(`${answer.status} in trace ${span.spanContext().traceId}`);
  span.end();
});
await sdk.shutdown();
