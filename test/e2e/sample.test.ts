import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { plain } from '../support/agent.ts';
import { startOtlpReceiver } from '../support/otlp-receiver.ts';
import { eventually, startWeir } from '../support/weir.ts';

/** The sum of all series of a counter on `/metrics` that have these labels. */
function total(text: string, name: string, labels = ''): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

it('telemetry.sample.unremarkable thins spans of known, unflagged exchanges and nothing else', {
  timeout: 120_000,
}, async (t) => {
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/broken' ? 503 : 200;
    request.resume().on('end', () => response.end('ok'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const receiver = await startOtlpReceiver();
  t.after(receiver.close);
  const here = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const weir = await startWeir({
    config: {
      telemetry: { endpoint: receiver.url, sample: { unremarkable: 0.25 } },
      baseline: { ready_after_requests: 5, ready_after_hours: 0 },
      agents: { researcher: { blocked_domains: ['would-stop.test'] } },
      upstream: { resolve: { 'known.test': here, 'would-stop.test': here, 'new.test': here } },
    },
    env: { OTEL_METRIC_EXPORT_INTERVAL: '500' },
  });
  t.after(weir.stop);
  const ask = (url: string, more = {}) => plain(weir, url, { agent: 'researcher', ...more });
  // Learned first: what teaches is never thinned.
  for (let i = 0; i < 8; i++) await ask(`http://known.test/learn/${i}`);
  const ordinary = 200;
  for (let i = 0; i < ordinary; i++) await ask(`http://known.test/day/${i}`);
  const key = ['ghp', 'aR7x'.repeat(9)].join('_');
  for (let i = 0; i < 10; i++) {
    await ask(`http://would-stop.test/${i}`);
    await ask(`http://known.test/leak?q=${key}`);
    await ask('http://known.test/broken');
  }
  await ask('http://new.test/');
  const all = 8 + ordinary + 30 + 1;
  const identity = await eventually(async () => {
    const now = (await weir.status()).identity;
    return now?.started === all && now.journalled === 0 && now.open === 0 && now;
  }, 'every span has its fate');
  assert.deepEqual([identity.holds, identity.dropped], [true, {}]);
  assert.equal(identity.exported + identity.sampledOut, all);
  // A quarter of 200 by chance: neither none nor near all of them.
  assert.ok(identity.sampledOut > 100 && identity.sampledOut < 195, String(identity.sampledOut));
  await receiver.until(({ spans }) => spans.length === identity.exported);

  const rows = await weir.query('SELECT span_id, host, status, path, first_seen FROM exchanges');
  assert.equal(rows.length, all);
  const flagged = new Set(
    (await weir.query('SELECT DISTINCT e.span_id FROM findings f JOIN exchanges e ON e.id = f.exchange_id')).map(
      (row) => String(row['span_id']),
    ),
  );
  assert.ok(flagged.size >= 20, String(flagged.size));
  const sent = new Map(receiver.spans.map((span) => [span.spanId, span]));
  for (const id of flagged) {
    const { attributes } = sent.get(id) ?? assert.fail('a span with a finding is missing');
    assert.ok((attributes['weir.finding.rules'] as string[]).length > 0);
    assert.ok(attributes['url.full'] !== undefined && attributes['weir.exchange.id'] !== undefined);
  }
  for (const row of rows) {
    if (row['first_seen'] === true || Number(row['status']) === 503) assert.ok(sent.has(String(row['span_id'])));
  }
  const { body } = await weir.admin('/metrics');
  assert.equal(total(body, 'weir_egress_requests_total', 'weir_agent="researcher"'), all);
  assert.equal(total(body, 'weir_spans_sampled_out_total', 'otlp-traces'), identity.sampledOut);
  await receiver.until(({ metrics }) => {
    const points = metrics.get('weir.egress.requests')?.points ?? [];
    return points.reduce((sum, { value = 0 }) => sum + value, 0) === all;
  });
  // What is learned is learned of every exchange.
  const learned = await weir.query("SELECT count FROM destinations WHERE host = 'known.test'");
  assert.ok(Number(learned[0]?.['count']) >= 8 + ordinary);
});
