/** A small set of instruments that both OTLP and `/metrics` are written from; no SDK is needed to count. */
export type InstrumentKind = 'counter' | 'gauge' | 'histogram';

export interface Series {
  /** Label values in the order of `labels`; '' = the label is absent. */
  readonly values: readonly string[];
  /** Counter and gauge. */
  value: number;
  /** Histogram: counts per bucket (one more than bounds), sum, count. */
  readonly buckets: number[];
  sum: number;
  count: number;
}

export interface Instrument {
  readonly kind: InstrumentKind;
  readonly name: string;
  /** UCUM: `s`, `By`, `{request}`, `1`. */
  readonly unit: string;
  readonly description: string;
  readonly labels: readonly string[];
  readonly bounds: readonly number[];
  readonly series: ReadonlyMap<string, Series>;
  /** The series with these label values; it may be kept. */
  at(values: readonly string[]): Series;
  add(values: readonly string[], amount: number): void;
  /** Gauges, and counters whose total is kept elsewhere. */
  set(values: readonly string[], value: number): void;
  /** Histograms. */
  observe(values: readonly string[], value: number): void;
}

/** Series per instrument; the SDK's own default. Beyond it everything counts under `other`. */
const SERIES_MAX = 2000;

export interface InstrumentOptions {
  readonly kind: InstrumentKind;
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly labels?: readonly string[];
  readonly bounds?: readonly number[];
}

export function createInstrument(options: InstrumentOptions): Instrument {
  const labels = options.labels ?? [];
  const bounds = options.bounds ?? [];
  const series = new Map<string, Series>();
  const blank = (values: readonly string[]): Series => ({
    values,
    value: 0,
    buckets: options.kind === 'histogram' ? new Array<number>(bounds.length + 1).fill(0) : [],
    sum: 0,
    count: 0,
  });
  const at = (values: readonly string[]): Series => {
    const key = values.length === 1 ? (values[0] as string) : values.join('\u0000');
    const known = series.get(key);
    if (known !== undefined) return known;
    if (series.size >= SERIES_MAX) {
      const other = labels.map(() => 'other');
      const shared = series.get('\u0000other') ?? blank(other);
      series.set('\u0000other', shared);
      return shared;
    }
    const made = blank([...values]);
    series.set(key, made);
    return made;
  };
  return {
    kind: options.kind,
    name: options.name,
    unit: options.unit,
    description: options.description,
    labels,
    bounds,
    series,
    at,
    add: (values, amount) => {
      at(values).value += amount;
    },
    set: (values, value) => {
      at(values).value = value;
    },
    observe: (values, value) => observe(at(values), bounds, value),
  };
}

/** Counts a value in a series of a histogram with these bounds. */
export function observe(series: Series, bounds: readonly number[], value: number): void {
  let bucket = 0;
  while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
  series.buckets[bucket] = (series.buckets[bucket] as number) + 1;
  series.sum += value;
  series.count++;
}
