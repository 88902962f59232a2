import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { request } from 'undici';
import type { ExchangeRecord, WeirRecord } from '../../src/model/record.ts';
import { createMetrics } from '../../src/telemetry/metric.ts';
import { writePrometheus } from '../../src/telemetry/prometheus.ts';
import { dashboardFiles } from '../support/dashboards.ts';
import { freePorts } from '../support/otelcol.ts';
import { eventually } from '../support/weir.ts';
import { exchangeSample } from '../unit/record/samples.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');

function found(tool: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, tool))
    .find((path) => existsSync(path));
}

const PROMTOOL = found('promtool');
const PROMETHEUS = found('prometheus');

describe('alert rules', { skip: PROMTOOL === undefined ? 'no promtool (Debian: prometheus)' : false }, () => {
  it('are rules', async () => {
    const { stdout } = await run(PROMTOOL as string, ['check', 'rules', join(ROOT, 'dashboards/alerts.yaml')]);
    assert.match(stdout, /SUCCESS: \d+ rules found/);
  });
  it('fire when they should and only then', async () => {
    const { stdout } = await run(PROMTOOL as string, ['test', 'rules', join(ROOT, 'test/dashboards/alerts.yaml')]);
    assert.match(stdout, /SUCCESS/);
  });
});

const finding = (rule: string) =>
  ({ inspector: 'test', rule, severity: 'high', disposition: 'block', message: 'm' }) as const;

/** Every kind of record some panel counts. */
function everything(): WeirRecord[] {
  const llm: ExchangeRecord['llm'] = {
    api: { kind: 'openai.chat', operation: 'chat', provider: 'openai' },
    request: { model: 'gpt-a', stream: true, messages: 1, tools: 0, toolNames: [] },
    response: {
      usage: { input: 10, output: 5 },
      finishReasons: ['stop'],
      toolCalls: 0,
      toolCallNames: [],
      streamed: true,
      events: 3,
    },
    timeToFirstChunk: 0.2,
    cost: 0.01,
  };
  const mcp: ExchangeRecord['mcp'] = {
    method: 'tools/call',
    tool: 'search',
    messages: 1,
    transport: 'streamable-http',
  };
  return [
    exchangeSample({ firstSeen: true, requestBytes: 100 }),
    exchangeSample({ llm }),
    exchangeSample({ llm, status: 429 }),
    exchangeSample({ mcp }),
    exchangeSample({ mcp: { ...mcp, toolError: true } }),
    exchangeSample({ outcome: 'failed', errorType: 'connect-failed' }),
    exchangeSample({ findings: [finding('unscanned')] }),
    exchangeSample({ findings: [finding('leak')], verdict: 'block', would: 'block' }),
    exchangeSample({
      findings: [finding('leak')],
      verdict: 'block',
      action: 'block',
      would: 'none',
      outcome: 'blocked',
      mode: 'enforce',
    }),
    exchangeSample({ kind: 'tunnel', visibility: 'tunnel' }),
    { kind: 'connection', openedAt: 1, closedAt: 2000, host: 'a.test', port: 443 } as WeirRecord,
  ];
}

describe('dashboards in a real Prometheus', {
  skip: PROMETHEUS === undefined ? 'no prometheus (Debian: prometheus)' : false,
}, () => {
  it('every Prometheus panel returns data', async () => {
    const metrics = createMetrics();
    let round = 0;
    const server = createServer((_, response) => {
      round++;
      // Hosts get a series of their own from the third time on.
      for (let i = 0; i < 3; i++) for (const record of everything()) metrics.record(record);
      metrics.gauges({ requests: 3, connections: 4, tunnels: { researcher: 1 }, known: { researcher: 7 } });
      metrics.health({
        started: round * 10,
        open: 1,
        dropped: { backlog: round },
        journalBytes: 1000,
        consumers: [
          { name: 'otlp-traces', lag: 2, accepted: round * 9, sampledOut: round, dropped: { 'rejected-400': round } },
        ],
        eventLoopDelay: { main: 0.001 },
      });
      response.end(writePrometheus(metrics.instruments));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const directory = mkdtempSync(join(tmpdir(), 'weir-prometheus-'));
    const [port] = (await freePorts(1)) as [number];
    const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    writeFileSync(
      join(directory, 'prometheus.yml'),
      JSON.stringify({
        global: { scrape_interval: '1s' },
        scrape_configs: [{ job_name: 'weir', static_configs: [{ targets: [target] }] }],
      }),
    );
    const child = spawn(
      PROMETHEUS as string,
      [
        `--config.file=${directory}/prometheus.yml`,
        `--storage.tsdb.path=${directory}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: 'ignore' },
    );
    const exited = once(child, 'exit');
    try {
      const ask = async (query: string): Promise<unknown[]> => {
        const { body } = await request(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`);
        const answer = (await body.json()) as { status: string; error?: string; data?: { result: unknown[] } };
        assert.equal(answer.status, 'success', `${query}: ${answer.error}`);
        return answer.data?.result ?? [];
      };
      const up = (): Promise<boolean> =>
        ask('weir_up').then(
          (found_) => found_.length > 0,
          () => false,
        );
      await eventually(async () => (await up()) && round >= 5, 'Prometheus has scraped five times', 60_000);
      let panels = 0;
      for (const [file, text] of dashboardFiles()) {
        for (const panel of (
          JSON.parse(text) as {
            panels: { title: string; targets?: { expr?: string; datasource: { type: string } }[] }[];
          }
        ).panels) {
          for (const { expr, datasource } of panel.targets ?? []) {
            if (datasource.type !== 'prometheus' || expr === undefined) continue;
            panels++;
            const result = await ask(expr.replaceAll('$__rate_interval', '20s').replaceAll('$agent', '.*'));
            assert.ok(result.length > 0, `${file}: "${panel.title}" shows nothing: ${expr}`);
          }
        }
      }
      assert.ok(panels > 30, String(panels));
    } finally {
      child.kill('SIGTERM');
      await exited;
      server.closeAllConnections();
      server.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
