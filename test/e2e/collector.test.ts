import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { type Collector, freePorts, NO_COLLECTOR, startCollector, validate } from '../support/otelcol.ts';
import { eventually, startWeir } from '../support/weir.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXAMPLES = join(ROOT, 'examples/collector');
const FILES = [
  join(ROOT, 'otel-collector.yaml'),
  join(ROOT, 'examples/compose/otel-collector.yaml'),
  ...readdirSync(EXAMPLES)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => join(EXAMPLES, name)),
];

/** Snippets of the table of backends. */
function snippets(): string[] {
  const text = readFileSync(join(EXAMPLES, 'README.md'), 'utf8');
  return [...text.matchAll(/^\| [^|]+ \| (?:all|traces|logs|metrics) \| `(.+)` \|$/gm)].map(
    (match) => match[1] as string,
  );
}

interface Config {
  readonly service: { readonly extensions?: string[]; readonly pipelines: Record<string, Record<string, string[]>> };
  readonly [kind: string]: unknown;
}

describe('Collector files: structure', () => {
  for (const file of FILES) {
    it(file.slice(ROOT.length + 1), () => {
      const config = parse(readFileSync(file, 'utf8')) as Config;
      const defined = (kind: string): string[] => Object.keys((config[kind] as object | undefined) ?? {});
      const used = new Map<string, Set<string>>();
      const use = (kind: string, name: string): void => void used.set(kind, (used.get(kind) ?? new Set()).add(name));
      for (const [signal, pipeline] of Object.entries(config.service.pipelines)) {
        assert.equal(pipeline['processors']?.[0], 'memory_limiter', `${signal}: memory is bounded first`);
        for (const [kind, names] of Object.entries(pipeline)) {
          for (const name of names) {
            const connector = defined('connectors').includes(name);
            assert.ok(connector || defined(kind).includes(name), `${signal}: ${kind} ${name} is defined`);
            use(connector ? 'connectors' : kind, name);
          }
        }
      }
      for (const name of config.service.extensions ?? []) use('extensions', name);
      for (const kind of ['receivers', 'processors', 'exporters', 'connectors', 'extensions']) {
        assert.deepEqual([...(used.get(kind) ?? [])].sort(), defined(kind).sort(), `all ${kind} are used`);
      }
      const text = JSON.stringify(config);
      for (const name of text.matchAll(/"storage":"([^"]+)"/g))
        assert.ok(config.service.extensions?.includes(name[1] as string));
      // Every variable has a default: the file runs as it is.
      assert.doesNotMatch(text, /\$\{env:\w+\}/);
      assert.ok(!defined('processors').some((name) => /^batch\b/.test(name)), 'exporters batch themselves');
    });
  }

  it('the table of backends has a snippet in every line', () => {
    const found = snippets();
    assert.ok(found.length >= 12, String(found.length));
    for (const snippet of found) assert.equal(Object.keys(parse(snippet) as object).length, 1, snippet);
  });
});

describe('Collector files: a real Collector', { skip: NO_COLLECTOR }, () => {
  for (const file of FILES) {
    it(`validates ${file.slice(ROOT.length + 1)}`, async () => {
      assert.equal(await validate([file]), '');
    });
  }

  it('validates every snippet of the table in place of the shipped exporters', async () => {
    for (const snippet of snippets()) {
      const exporters = parse(snippet) as Record<string, unknown>;
      const pipeline = { receivers: ['otlp'], exporters: Object.keys(exporters) };
      const config = {
        receivers: { otlp: { protocols: { http: { endpoint: '127.0.0.1:4318' } } } },
        exporters,
        service: { pipelines: { traces: pipeline } },
      };
      assert.equal(await validate([`yaml:${stringify(config)}`]), '', snippet);
    }
  });

  it('refuses what is wrong', async () => {
    const wrong = parse(readFileSync(FILES[0] as string, 'utf8')) as Record<string, unknown>;
    assert.notEqual(await validate([`yaml:${stringify({ ...wrong, exporters: {} })}`]), '');
  });
});

interface Arrived {
  readonly spans: { readonly name: string; readonly attributes: Readonly<Record<string, unknown>> }[];
  readonly metrics: Set<string>;
  readonly logs: string[];
  readonly resources: Readonly<Record<string, unknown>>[];
}

type Attributes = { key: string; value: Record<string, unknown> }[];
const flat = (attributes: Attributes = []): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

/** A line of the file; undefined while it is being written, which may look like its end. */
// biome-ignore lint/suspicious/noExplicitAny: OTLP/JSON as it comes
function whole(line: string): any {
  try {
    return line === '' ? undefined : JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Everything the file exporter wrote. */
function arrived(file: string): Arrived {
  const all: Arrived = { spans: [], metrics: new Set(), logs: [], resources: [] };
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return all;
  }
  for (const line of text.split('\n')) {
    const body = whole(line);
    if (body === undefined) continue;
    for (const { resource, scopeSpans, scopeMetrics, scopeLogs } of [
      ...(body.resourceSpans ?? []),
      ...(body.resourceMetrics ?? []),
      ...(body.resourceLogs ?? []),
    ]) {
      all.resources.push(flat(resource.attributes));
      for (const { spans } of scopeSpans ?? [])
        for (const span of spans) all.spans.push({ name: span.name, attributes: flat(span.attributes) });
      for (const { metrics } of scopeMetrics ?? []) for (const { name } of metrics) all.metrics.add(name);
      for (const { logRecords } of scopeLogs ?? []) for (const { eventName } of logRecords) all.logs.push(eventName);
    }
  }
  return all;
}

/** The shipped file with its way out led into a file. */
function intoFile(shipped: string, file: string): string {
  const config = parse(readFileSync(join(ROOT, shipped), 'utf8')) as Config;
  const connectors = Object.keys((config['connectors'] as object | undefined) ?? {});
  const pipelines = Object.fromEntries(
    Object.entries(config.service.pipelines).map(([signal, pipeline]) => [
      signal,
      {
        ...pipeline,
        exporters: [...(pipeline['exporters'] ?? []).filter((name) => connectors.includes(name)), 'file'],
      },
    ]),
  );
  const telemetry = { metrics: { level: 'none', readers: [] } };
  return `yaml:${stringify({
    ...config,
    exporters: { file: { path: file, flush_interval: '100ms' } },
    service: { ...config.service, telemetry, pipelines },
  })}`;
}

describe('our spans, metrics and logs through a real Collector', { skip: NO_COLLECTOR }, () => {
  it('all of them arrive in its file exporter, with resource and without secrets', async () => {
    const { parts, close } = await through(0);
    const { weir, file, port } = parts;
    try {
      const secret = ['ghp', 'aR7x'.repeat(9)].join('_');
      for (let i = 0; i < 20; i++) await plain(weir, `http://plain.test/${i}`, { agent: 'researcher' });
      await plain(weir, `http://plain.test/x?token=${secret}`, { agent: 'researcher' });
      await eventually(() => arrived(file).spans.length >= 21, 'all spans are there', 30_000);
      await eventually(() => arrived(file).logs.length > 0, 'log events are there', 30_000);
      await eventually(() => arrived(file).metrics.has('weir.egress.requests'), 'metrics are there', 70_000);
      const all = arrived(file);
      assert.equal(all.spans.length, 21);
      assert.ok(
        all.spans.every(({ name, attributes }) => name === 'http.get' && attributes['weir.agent'] === 'researcher'),
      );
      for (const resource of all.resources) {
        if (resource['service.name'] !== 'weir') continue;
        assert.equal(resource['deployment.environment.name'], 'dev');
        assert.equal(resource['weir.containment'], 'cooperative');
      }
      assert.ok(all.metrics.has('http.client.request.duration'), [...all.metrics].join(' '));
      assert.ok(!readFileSync(file, 'utf8').includes(secret));
      assert.ok(port > 0);
    } finally {
      await close();
    }
  });

  /** What arrives of the same four requests, in what no clock and no chance decides. */
  const fourRequests = async (env: Readonly<Record<string, string>>) => {
    const { parts, close } = await through(0, env);
    const { weir, file } = parts;
    try {
      const paths = ['/a?page=2', '/b', '/ü', '/c'];
      for (const path of paths) await plain(weir, `http://plain.test${path}`, { agent: 'researcher' });
      await eventually(() => arrived(file).spans.length >= paths.length, 'all spans are there', 30_000);
      await eventually(() => arrived(file).logs.length > 0, 'log events are there', 30_000);
      await eventually(() => arrived(file).metrics.has('weir.egress.requests'), 'metrics are there', 30_000);
      const { spans, logs } = arrived(file);
      const told = spans.map(({ attributes }) => [
        attributes['url.full'],
        attributes['http.response.status_code'],
        attributes['weir.would_block'],
        attributes['weir.finding.rules'] === undefined,
        Object.keys(attributes).sort(),
      ]);
      return {
        told: told.sort(),
        logs: logs.sort(),
        failing: (await weir.status()).consumers.map((one) => one.failing),
      };
    } finally {
      await close();
    }
  };

  it('protobuf and JSON, with gzip and without, say the same', { timeout: 180_000 }, async () => {
    const said = [];
    for (const protocol of ['http/json', 'http/protobuf']) {
      for (const compression of ['none', 'gzip']) {
        const variables = { OTEL_EXPORTER_OTLP_PROTOCOL: protocol, OTEL_EXPORTER_OTLP_COMPRESSION: compression };
        said.push(await fourRequests(variables));
      }
    }
    assert.equal(said[0]?.told.length, 4);
    assert.ok(said[0]?.logs.includes('weir.destination.first_seen'));
    for (const other of said.slice(1)) assert.deepEqual(other, said[0]);
  });

  it('a Collector that comes late gets everything', async () => {
    const { parts, close } = await through(60);
    try {
      await eventually(() => arrived(parts.file).spans.length >= 60, 'all spans are there', 60_000).catch(
        async (error: unknown) => {
          const { agents: _, ...status } = await parts.weir.status();
          const known = JSON.stringify({ arrived: arrived(parts.file).spans.length, ...status });
          throw new Error(`${(error as Error).message}; ${known}; ${parts.weir.logs().slice(-2000)}`);
        },
      );
      assert.equal(arrived(parts.file).spans.length, 60);
    } finally {
      await close();
    }
  });
});

describe('a gateway of two tiers', { skip: NO_COLLECTOR }, () => {
  it('every trace with a finding is kept, of the others a share, all of them through one instance', async () => {
    const { weir, file, close } = await gateway();
    try {
      for (let i = 0; i < 200; i++) await plain(weir, `http://plain.test/${i}`, { agent: 'quiet' });
      for (let i = 0; i < 30; i++) await plain(weir, `http://plain.test/${i}`, { agent: 'blocked' });
      const of = (agent: string) => arrived(file).spans.filter(({ attributes }) => attributes['weir.agent'] === agent);
      await eventually(() => of('blocked').length >= 30, 'all spans with a finding are there', 30_000);
      assert.equal(of('blocked').length, 30);
      // A tenth by chance: of 199 spans without a finding, 80 are out of reach.
      assert.ok(of('quiet').length < 80, String(of('quiet').length));
    } finally {
      await close();
    }
  });
});

/** Weir, first tier, second tier, file. */
function gateway() {
  return assemble(async (later) => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-gateway-'));
    later(async () => rmSync(directory, { recursive: true, force: true }));
    const file = join(directory, 'arrived.json');
    const [http, grpc, second, health] = (await freePorts(4)) as [number, number, number, number];
    const server = createServer((_, response) => response.end('ok'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    later(async () => void server.close());
    const sampling = await startCollector([intoFile('examples/collector/gateway-sampling.yaml', file)], {
      OTELCOL_GRPC: `127.0.0.1:${second}`,
      OTELCOL_HEALTH: '127.0.0.1:0',
      DECISION_WAIT: '1s',
    });
    later(sampling.stop);
    const quiet = { service: { telemetry: { metrics: { level: 'none', readers: [] } } } };
    const front = await startCollector([join(EXAMPLES, 'gateway-front.yaml'), `yaml:${stringify(quiet)}`], {
      OTELCOL_GRPC: `127.0.0.1:${grpc}`,
      OTELCOL_HTTP: `127.0.0.1:${http}`,
      OTELCOL_HEALTH: `127.0.0.1:${health}`,
      SAMPLING_TIER: `127.0.0.1:${second}`,
    });
    later(front.stop);
    const weir = await startWeir({
      config: {
        telemetry: { endpoint: `http://127.0.0.1:${http}` },
        agents: { blocked: { blocked_domains: ['plain.test'] } },
        upstream: { resolve: { 'plain.test': `127.0.0.1:${(server.address() as AddressInfo).port}` } },
      },
    });
    later(weir.stop);
    return { weir, file };
  });
}

/** Weir in front of a Collector that writes to a file; `before` requests are made while there is none. */
function through(before: number, env: Readonly<Record<string, string>> = {}) {
  const opened: Collector[] = [];
  return assemble(async (later) => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-collector-'));
    later(async () => rmSync(directory, { recursive: true, force: true }));
    const file = join(directory, 'arrived.json');
    const [http, grpc, health] = (await freePorts(3)) as [number, number, number];
    const server = createServer((_, response) => response.end('ok'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    later(async () => void server.close());
    const weir = await startWeir({
      config: {
        telemetry: { endpoint: `http://127.0.0.1:${http}` },
        upstream: { resolve: { 'plain.test': `127.0.0.1:${(server.address() as AddressInfo).port}` } },
      },
      env: { OTEL_METRIC_EXPORT_INTERVAL: '1000', ...env },
    });
    later(weir.stop);
    for (let i = 0; i < before; i++) await plain(weir, `http://plain.test/early/${i}`, { agent: 'early' });
    const config = intoFile('otel-collector.yaml', file).replace('127.0.0.1:13133', `127.0.0.1:${health}`);
    opened.push(
      await startCollector([config], { OTELCOL_HTTP: `127.0.0.1:${http}`, OTELCOL_GRPC: `127.0.0.1:${grpc}` }),
    );
    later(async () => opened[0]?.stop());
    return { parts: { weir, file, port: http } };
  });
}
