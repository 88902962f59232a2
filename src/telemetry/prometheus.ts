import type { Instrument, Series } from './registry.ts';

// UCUM units as the OpenTelemetry compatibility rules spell them; `{request}` and the like add nothing.
const UNITS: Readonly<Record<string, string>> = { s: 'seconds', ms: 'milliseconds', By: 'bytes', '1': 'ratio' };

/** Name as Prometheus' own OTLP receiver and the Collector write it: unit suffix, `_total` on counters. */
export function prometheusName(instrument: Pick<Instrument, 'name' | 'unit' | 'kind'>): string {
  let name = instrument.name.replace(/[^A-Za-z0-9_:]/g, '_');
  const unit = UNITS[instrument.unit];
  // `ratio` is added to gauges only.
  if (unit !== undefined && (unit !== 'ratio' || instrument.kind === 'gauge') && !name.endsWith(`_${unit}`)) {
    name += `_${unit}`;
  }
  return instrument.kind === 'counter' && !name.endsWith('_total') ? `${name}_total` : name;
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

function labelText(instrument: Instrument, series: Series, extra?: string): string {
  const parts: string[] = [];
  for (let i = 0; i < instrument.labels.length; i++) {
    const value = series.values[i];
    if (value === undefined || value === '') continue;
    parts.push(`${(instrument.labels[i] as string).replace(/[^A-Za-z0-9_]/g, '_')}="${escapeLabel(value)}"`);
  }
  if (extra !== undefined) parts.push(extra);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function histogramLines(instrument: Instrument, name: string, series: Series): string {
  let lines = '';
  let total = 0;
  for (let i = 0; i <= instrument.bounds.length; i++) {
    total += series.buckets[i] as number;
    const bound = i < instrument.bounds.length ? String(instrument.bounds[i]) : '+Inf';
    lines += `${name}_bucket${labelText(instrument, series, `le="${bound}"`)} ${total}\n`;
  }
  const labels = labelText(instrument, series);
  return `${lines}${name}_sum${labels} ${series.sum}\n${name}_count${labels} ${series.count}\n`;
}

/** The text exposition of all instruments. Label values were made presentable with the record they come from. */
export function writePrometheus(instruments: readonly Instrument[]): string {
  let out = '';
  for (const instrument of instruments) {
    if (instrument.series.size === 0) continue;
    const name = prometheusName(instrument);
    out += `# HELP ${name} ${instrument.description.replace(/\\/g, '\\\\').replace(/\n/g, ' ')}\n`;
    out += `# TYPE ${name} ${instrument.kind}\n`;
    for (const series of instrument.series.values()) {
      out +=
        instrument.kind === 'histogram'
          ? histogramLines(instrument, name, series)
          : `${name}${labelText(instrument, series)} ${series.value}\n`;
    }
  }
  return out;
}
