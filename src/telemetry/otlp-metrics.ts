import type { Attributes, HrTime } from '@opentelemetry/api';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { Endpoint, Environment } from './endpoint.ts';
import { createResource, exporterOptions, type Log, type OtlpOptions } from './otlp.ts';
import type { Instrument, Series } from './registry.ts';
import { SCOPE } from './semconv.ts';
import { hrTime } from './span.ts';

export interface OtlpMetricsOptions
  extends Pick<OtlpOptions, 'version' | 'instanceId' | 'containment' | 'proxy' | 'meterProvider'> {
  readonly endpoint: Endpoint;
  readonly env: Environment;
  readonly instruments: readonly Instrument[];
  /** Brings gauges and loss counters up to date; called before every export. */
  readonly refresh: () => void;
  readonly log: Log;
}

function attributesOf(instrument: Instrument, series: Series): Attributes {
  const attributes: Attributes = {};
  for (let i = 0; i < instrument.labels.length; i++) {
    const value = series.values[i];
    if (value !== undefined && value !== '') attributes[instrument.labels[i] as string] = value;
  }
  return attributes;
}

type SdkMetrics = typeof import('@opentelemetry/sdk-metrics');

/** One instrument as the SDK's exporters expect it, cumulative since `start`. */
export function toMetricData(instrument: Instrument, start: HrTime, end: HrTime, sdk: SdkMetrics): MetricData {
  const base = {
    descriptor: {
      name: instrument.name,
      unit: instrument.unit,
      description: instrument.description,
      // ValueType.DOUBLE of the API; its enum would be one more import.
      valueType: 1,
    },
    aggregationTemporality: sdk.AggregationTemporality.CUMULATIVE,
  };
  const series = [...instrument.series.values()];
  const time = { startTime: start, endTime: end };
  if (instrument.kind === 'histogram') {
    const dataPoints = series.map((one) => ({
      ...time,
      attributes: attributesOf(instrument, one),
      value: {
        buckets: { boundaries: [...instrument.bounds], counts: [...one.buckets] },
        sum: one.sum,
        count: one.count,
      },
    }));
    return { ...base, dataPointType: sdk.DataPointType.HISTOGRAM, dataPoints };
  }
  const dataPoints = series.map((one) => ({
    ...time,
    attributes: attributesOf(instrument, one),
    value: one.value,
  }));
  if (instrument.kind === 'gauge') return { ...base, dataPointType: sdk.DataPointType.GAUGE, dataPoints };
  return { ...base, dataPointType: sdk.DataPointType.SUM, isMonotonic: true, dataPoints };
}

function positive(text: string | undefined, otherwise: number): number {
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) && value > 0 ? value : otherwise;
}

/** The SDK's diagnostics go to our log, never to stdout. `OTEL_LOG_LEVEL` sets how much. */
export async function routeDiagnostics(env: Environment, log: Log): Promise<void> {
  const { diag, DiagLogLevel } = await import('@opentelemetry/api');
  const wanted = (env['OTEL_LOG_LEVEL'] ?? 'WARN').trim().toUpperCase();
  const logLevel = (DiagLogLevel as unknown as Record<string, number>)[wanted] ?? DiagLogLevel.WARN;
  const to =
    (level: 'info' | 'warn' | 'error') =>
    (message: string, ...rest: unknown[]): void =>
      log(level, `opentelemetry: ${[message, ...rest].map(String).join(' ').slice(0, 500)}`);
  diag.setLogger(
    { error: to('error'), warn: to('warn'), info: to('info'), debug: to('info'), verbose: to('info') },
    { logLevel, suppressOverrideMessage: true },
  );
}

/** Metrics by OTLP through the NodeSDK: its resource, its reader, our instruments. Returns how to stop it. */
export async function startOtlpMetrics(
  options: OtlpMetricsOptions,
): Promise<{ shutdown(deadlineMs: number): Promise<void> }> {
  const [{ NodeSDK }, { OTLPMetricExporter }, sdk, { ROOT_CONTEXT }] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    options.endpoint.protobuf.metrics
      ? import('@opentelemetry/exporter-metrics-otlp-proto')
      : import('@opentelemetry/exporter-metrics-otlp-http'),
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/api'),
  ]);
  const resource = await createResource(options);
  const start = hrTime(Date.now());
  const producer = {
    collect: async () => {
      options.refresh();
      const end = hrTime(Date.now());
      const used = options.instruments.filter((instrument) => instrument.series.size > 0);
      const metrics = used.map((instrument) => toMetricData(instrument, start, end, sdk));
      const scope = { name: SCOPE, version: options.version };
      return { resourceMetrics: { resource: resource(), scopeMetrics: [{ scope, metrics }] }, errors: [] };
    },
  };
  const interval = positive(options.env['OTEL_METRIC_EXPORT_INTERVAL'], 60_000);
  const { concurrencyLimit: _, ...where } = exporterOptions(options, 'metrics');
  const exporter = new OTLPMetricExporter(where);
  const send = exporter.export.bind(exporter);
  // The SDK's provider keeps the resource it was made with, and its reader takes that one.
  exporter.export = (metrics, done) => send({ ...metrics, resource: resource() }, done);
  const reader = new sdk.PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: interval,
    exportTimeoutMillis: Math.min(interval, positive(options.env['OTEL_METRIC_EXPORT_TIMEOUT'], 30_000)),
    metricProducers: [producer],
  });
  const contextManager = {
    active: () => ROOT_CONTEXT,
    with: (_context: unknown, run: (...given: unknown[]) => unknown, self?: unknown, ...given: unknown[]) =>
      run.call(self, ...given),
    bind: (_context: unknown, target: unknown) => target,
    enable: () => contextManager,
    disable: () => contextManager,
  };
  // The NodeSDK would point its own console logger at stdout.
  const level = process.env['OTEL_LOG_LEVEL'];
  delete process.env['OTEL_LOG_LEVEL'];
  const node = new NodeSDK({
    resource: resource(),
    autoDetectResources: false,
    textMapPropagator: null,
    contextManager: contextManager as never,
    spanProcessors: [],
    logRecordProcessors: [],
    metricReaders: [reader],
    instrumentations: [],
  });
  if (level !== undefined) process.env['OTEL_LOG_LEVEL'] = level;
  node.start();
  return {
    async shutdown(deadlineMs) {
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, deadlineMs);
      });
      // A dead collector rejects; the deadline ends the wait, and counters are cumulative anyway.
      await Promise.race([node.shutdown().catch(() => {}), deadline]);
      clearTimeout(timer);
    },
  };
}
