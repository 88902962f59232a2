import type { Attributes, MeterProvider } from '@opentelemetry/api';
import { createInstrument, type Instrument } from './registry.ts';

/** Set by the SDK on every measurement; addresses are those the operator gave. */
const LABELS = [
  'otel.component.type',
  'otel.component.name',
  'server.address',
  'server.port',
  'error.type',
  'http.response.status_code',
];
const ITEMS = { span: 'spans', log: 'log events', metric_data_point: 'metric points' } as const;

function exporterInstruments(): Instrument[] {
  const made: Instrument[] = [];
  for (const [item, items] of Object.entries(ITEMS)) {
    const unit = item === 'metric_data_point' ? '{data_point}' : item === 'log' ? '{log_record}' : '{span}';
    const common = { unit, labels: LABELS };
    made.push(
      createInstrument({
        ...common,
        kind: 'gauge',
        name: `otel.sdk.exporter.${item}.inflight`,
        description: `What an exporter is busy with: ${items}`,
      }),
      createInstrument({
        ...common,
        kind: 'counter',
        name: `otel.sdk.exporter.${item}.exported`,
        description: `What an exporter has finished with, error.type where it failed (it is tried again): ${items}`,
      }),
    );
  }
  const duration = { unit: 's', labels: LABELS, description: 'Duration of exports, tries of the SDK included' };
  return [...made, createInstrument({ ...duration, kind: 'histogram', name: 'otel.sdk.exporter.operation.duration' })];
}

/** The exporters' own account of themselves (`otel.sdk.exporter.*`), among our instruments instead of in a second registry. */
export interface SelfMetrics {
  readonly instruments: readonly Instrument[];
  /** For `selfObsMeterProvider`. */
  readonly meterProvider: MeterProvider;
}

export function createSelfMetrics(): SelfMetrics {
  const instruments = exporterInstruments();
  const valuesOf = (attributes: Attributes = {}): string[] => LABELS.map((label) => String(attributes[label] ?? ''));
  /** An instrument of the SDK's API; one that we do not know counts nothing. */
  const measuring = (name: string) => {
    const own = instruments.find((instrument) => instrument.name === name);
    return {
      add: (amount: number, attributes?: Attributes) => own?.add(valuesOf(attributes), amount),
      record: (value: number, attributes?: Attributes) => own?.observe(valuesOf(attributes), value),
    };
  };
  const meter = { createCounter: measuring, createUpDownCounter: measuring, createHistogram: measuring };
  // The exporters create nothing else.
  return { instruments, meterProvider: { getMeter: () => meter } as unknown as MeterProvider };
}
