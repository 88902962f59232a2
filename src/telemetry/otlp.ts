import { hostname } from 'node:os';
import type { MeterProvider } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs';
import type { ConsumeResult, Consumer } from '../model/ports.ts';
import type { ExchangeRecord, WeirRecord } from '../model/record.ts';
import type { Endpoint } from './endpoint.ts';
import { exportAgent } from './export-agent.ts';
import { createReported, type LogEvent, toLogEvents } from './log.ts';
import { exporterOfRecords } from './otlp-body.ts';
import { watchAnswers } from './otlp-partial.ts';
import { ATTR, ATTRIBUTE_BYTES, SCOPE } from './semconv.ts';
import type { SpanShape } from './shape.ts';
import { type SpanRecord, sampled, toSpan, unremarkable } from './span.ts';

export type Log = (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;

export interface OtlpOptions {
  readonly endpoint: Endpoint;
  /** `service.version`. */
  readonly version: string;
  /** `service.instance.id`: one per process life. */
  readonly instanceId: string;
  /** `weir.containment`, as it is now: `weir verify --containment` may prove another. */
  readonly containment: () => string;
  /** `telemetry.sample.unremarkable`, 0 to 1. */
  readonly unremarkable: number;
  readonly shape?: SpanShape;
  /** `none`, `inherit` or the URL of a proxy. */
  readonly proxy?: string;
  /** Where exporters count what they do (`otel.sdk.exporter.*`). */
  readonly meterProvider?: MeterProvider;
  readonly log: Log;
}

/**
 * Spans per export. The SDK's 512; a smaller one would spare the thread a block of two milliseconds (telemetry reference §5),
 * but nobody waits for this thread, and a request costs as much as thirty spans.
 */
export const OTLP_BATCH = 512;

/**
 * Answers that say the address or the credentials are wrong, not this batch: records wait for somebody to mend it. (The
 * SDK itself reports 429, 502, 503, 504 and network errors without a code.)
 */
const HOLD = new Set([301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 408]);
const NOTHING: ConsumeResult = { accepted: 0, sampledOut: 0, dropped: {} };

interface Exporter<T> {
  export(items: T[], done: (result: { code: number; error?: Error }) => void): void;
  /** How many of the last export the other side did not take although it answered 200. */
  rejected(): number;
  /** How long the other side asked to be left alone when it refused the last export. Milliseconds. */
  retryAfter(): number | undefined;
  shutdown(): Promise<void>;
}

/**
 * Resolves with the number of items given up for good, by reason; rejects when the same items are to be sent again later.
 * What is too large is sent in halves.
 */
async function send<T>(exporter: Exporter<T>, items: T[], log: Log): Promise<Record<string, number>> {
  if (items.length === 0) return {};
  const error = await new Promise<Error | undefined>((resolve) => {
    exporter.export(items, (result) =>
      resolve(result.code === 0 ? undefined : (result.error ?? new Error('export failed'))),
    );
  });
  if (error === undefined) {
    const rejected = Math.min(exporter.rejected(), items.length);
    return rejected === 0 ? {} : { 'partial-success': rejected };
  }
  const status = (error as { code?: unknown }).code;
  if (typeof status !== 'number') throw Object.assign(error, { retryAfterMs: exporter.retryAfter() });
  if (HOLD.has(status)) throw new Error(`the collector answers ${status}`);
  if (status === 413 && items.length > 1) {
    const middle = items.length >> 1;
    const first = await send(exporter, items.slice(0, middle), log);
    const second = await send(exporter, items.slice(middle), log);
    for (const [reason, count] of Object.entries(second)) first[reason] = (first[reason] ?? 0) + count;
    return first;
  }
  log('error', `the collector refused ${items.length} items for good`, { status });
  return { [`rejected-${status}`]: items.length };
}

/**
 * The resource of what is sent now: the same object until containment changes. Environment first, then what only Weir knows.
 * No detector of process, command line or owner (they leak arguments).
 */
export async function createResource(
  options: Pick<OtlpOptions, 'version' | 'instanceId' | 'containment'>,
): Promise<() => Resource> {
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } = await import(
    '@opentelemetry/resources'
  );
  const base = defaultResource()
    .merge(resourceFromAttributes({ 'service.name': 'weir', 'host.name': hostname() }))
    .merge(detectResources({ detectors: [envDetector] }))
    .merge(resourceFromAttributes({ 'service.version': options.version, 'service.instance.id': options.instanceId }));
  let containment: string | undefined;
  let current = base;
  return () => {
    const now = options.containment();
    if (now !== containment) current = base.merge(resourceFromAttributes({ [ATTR.CONTAINMENT]: now }));
    containment = now;
    return current;
  };
}

/** One import and construction, made when first needed; a failure is tried again. */
function lazily<T>(make: () => Promise<T>): { get(): Promise<T>; made(): Promise<T> | undefined } {
  let made: Promise<T> | undefined;
  return {
    get() {
      made ??= make().catch((error: unknown) => {
        made = undefined;
        throw error;
      });
      return made;
    },
    made: () => made,
  };
}

export function exporterOptions(
  { endpoint, proxy = 'none', meterProvider }: Pick<OtlpOptions, 'endpoint' | 'proxy' | 'meterProvider'>,
  signal: 'traces' | 'logs' | 'metrics',
) {
  // No url: the exporter reads OTEL_EXPORTER_OTLP_* itself, headers, timeout, compression and certificates in any case.
  const agent = exportAgent(proxy, signal, process.env);
  return {
    concurrencyLimit: 8,
    ...(endpoint.url === undefined ? {} : { url: `${endpoint.url}/v1/${signal}` }),
    ...(agent === undefined ? {} : { httpAgentOptions: agent }),
    ...(meterProvider === undefined ? {} : { selfObsMeterProvider: meterProvider }),
  };
}

const isExchange = (record: WeirRecord): record is ExchangeRecord =>
  record.kind === 'exchange' || record.kind === 'connect' || record.kind === 'tunnel';

/** `otlp-traces`: closed exchanges, CONNECTs, tunnels and runs as spans, given to the exporter directly. */
export function createTraces(options: OtlpOptions): Consumer & { warm(): Promise<unknown> } {
  const parts = lazily(async () => {
    const protobuf = options.endpoint.protobuf.traces;
    const [{ OTLPTraceExporter }, resource] = await Promise.all([
      protobuf ? import('@opentelemetry/exporter-trace-otlp-proto') : import('@opentelemetry/exporter-trace-otlp-http'),
      createResource(options),
    ]);
    const exporter = new OTLPTraceExporter(exporterOptions(options, 'traces'));
    const watched = watchAnswers(exporter, 'rejectedSpans', options.log);
    const spanOf = (record: SpanRecord) => toSpan(record, resource(), options.version, options.shape);
    if (!protobuf) return { ...watched, ...exporterOfRecords(exporter, spanOf, options.shape) };
    return {
      ...watched,
      shutdown: () => exporter.shutdown(),
      export: (records: SpanRecord[], done: Parameters<Exporter<SpanRecord>['export']>[1]) =>
        exporter.export(records.map(spanOf), done),
    };
  });
  return {
    name: 'otlp-traces',
    warm: parts.get,
    async consume(batch) {
      const chosen: SpanRecord[] = [];
      let sampledOut = 0;
      for (const record of batch) {
        if (record.kind === 'run') chosen.push(record);
        if (!isExchange(record) || record.state !== 'closed') continue;
        if (options.unremarkable < 1 && unremarkable(record) && !sampled(record.traceId, options.unremarkable)) {
          sampledOut++;
        } else chosen.push(record);
      }
      if (chosen.length === 0) return { ...NOTHING, sampledOut };
      const dropped = await send(await parts.get(), chosen, options.log);
      const given = Object.values(dropped).reduce((total, count) => total + count, 0);
      return { accepted: chosen.length - given, sampledOut, dropped };
    },
    async close() {
      await (await parts.made())?.shutdown();
    },
  };
}

async function createLogParts(options: OtlpOptions) {
  const [{ OTLPLogExporter }, { LoggerProvider }, api, resource] = await Promise.all([
    options.endpoint.protobuf.logs
      ? import('@opentelemetry/exporter-logs-otlp-proto')
      : import('@opentelemetry/exporter-logs-otlp-http'),
    import('@opentelemetry/sdk-logs'),
    import('@opentelemetry/api'),
    createResource(options),
  ]);
  const collected: ReadableLogRecord[] = [];
  const loggerOf = (of: Resource) =>
    new LoggerProvider({
      resource: of,
      logRecordLimits: {
        attributeCountLimit: 128,
        attributeValueLengthLimit: Math.min(options.shape?.valueLength ?? ATTRIBUTE_BYTES, ATTRIBUTE_BYTES),
      },
      processors: [
        {
          onEmit: (record) => void collected.push(record),
          forceFlush: async () => {},
          shutdown: async () => {},
          enabled: () => true,
        },
      ],
    }).getLogger(SCOPE, options.version);
  // A provider keeps its resource for life.
  let known = resource();
  let logger = loggerOf(known);
  const emit = (event: LogEvent): void => {
    const { traceId, spanId } = event;
    logger.emit({
      eventName: event.eventName,
      timestamp: event.at,
      severityNumber: event.severityNumber,
      severityText: event.severityText,
      body: event.body,
      attributes: event.attributes,
      ...(traceId === undefined || spanId === undefined
        ? {}
        : { context: api.trace.setSpanContext(api.ROOT_CONTEXT, { traceId, spanId, traceFlags: 1 }) }),
    });
  };
  const exporter = new OTLPLogExporter(exporterOptions(options, 'logs'));
  return {
    exporter: {
      export: exporter.export.bind(exporter),
      shutdown: () => exporter.shutdown(),
      ...watchAnswers(exporter, 'rejectedLogRecords', options.log),
    } satisfies Exporter<ReadableLogRecord>,
    /** LogRecords of events, as the SDK builds them. */
    build(events: readonly LogEvent[]): ReadableLogRecord[] {
      const now = resource();
      if (now !== known) logger = loggerOf(now);
      known = now;
      for (const event of events) emit(event);
      return collected.splice(0);
    },
  };
}

/** Most records: nothing was found, nothing is new, nothing was or would be done. */
function uneventful(record: WeirRecord): boolean {
  if (!isExchange(record)) return false;
  return (
    record.findings.length === 0 &&
    !record.firstSeen &&
    record.action !== 'block' &&
    record.would === 'none' &&
    record.interceptionSkipped === undefined
  );
}

/** `otlp-logs`: findings, decisions and audit events as log events. */
export function createLogs(options: OtlpOptions): Consumer {
  const parts = lazily(() => createLogParts(options));
  const reported = createReported();
  return {
    name: 'otlp-logs',
    async consume(batch) {
      const events: LogEvent[] = [];
      // An open row and its end may come in one batch.
      const here = new Map<string, number>();
      for (const record of batch) {
        if (uneventful(record)) continue;
        if (isExchange(record)) {
          events.push(...toLogEvents(record, here.get(record.spanId) ?? reported.before(record)));
          if (record.state === 'open') here.set(record.spanId, record.findings.length);
        } else events.push(...toLogEvents(record));
      }
      let dropped: Record<string, number> = {};
      if (events.length > 0) {
        const { exporter, build } = await parts.get();
        dropped = await send(exporter, build(events), options.log);
      }
      for (const record of batch) if (isExchange(record)) reported.commit(record);
      const given = Object.values(dropped).reduce((total, count) => total + count, 0);
      return { accepted: events.length - given, sampledOut: 0, dropped };
    },
    async close() {
      await (await parts.made())?.exporter.shutdown();
    },
  };
}
