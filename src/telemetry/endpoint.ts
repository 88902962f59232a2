import { printable } from '../model/printable.ts';

/** Where telemetry goes, per signal; undefined = that signal is not exported. */
export interface Endpoint {
  /** Base URL for exporters; undefined = they read `OTEL_EXPORTER_OTLP_*` themselves. */
  readonly url: string | undefined;
  readonly traces: boolean;
  readonly logs: boolean;
  readonly metrics: boolean;
  /** Encoded as protobuf instead of JSON (`OTEL_EXPORTER_OTLP[_SIGNAL]_PROTOCOL`). */
  readonly protobuf: { readonly traces: boolean; readonly logs: boolean; readonly metrics: boolean };
  /** For the start lines. */
  readonly sentence: string;
  /** Settings that cannot be honoured. */
  readonly problems: readonly string[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

const LOCAL = 'http://127.0.0.1:4318';
const PROBE_MS = 500;
const TEMPORALITY = 'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE';

function isSet(env: Environment, name: string): boolean {
  const value = env[name];
  return value !== undefined && value.trim() !== '';
}

/** `OTEL_<SIGNAL>_EXPORTER` without `none`. */
function wanted(env: Environment, signal: string): boolean {
  const list = (env[`OTEL_${signal}_EXPORTER`] ?? '').split(',').map((name) => name.trim());
  return !list.includes('none');
}

function shown(url: string): string {
  try {
    return new URL(url).origin;
  } catch {
    return 'an address that is no URL';
  }
}

const PROTOCOLS: ReadonlySet<string> = new Set(['http/json', 'http/protobuf']);

function protobufOf(env: Environment): Endpoint['protobuf'] {
  const of = (signal: string): boolean => {
    const own = env[`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`]?.trim();
    return (own || env['OTEL_EXPORTER_OTLP_PROTOCOL']?.trim()) === 'http/protobuf';
  };
  return { traces: of('TRACES'), logs: of('LOGS'), metrics: of('METRICS') };
}

/** `prometheus` is there without being asked for: `/metrics`. */
const EXPORTERS: ReadonlySet<string> = new Set(['', 'otlp', 'none', 'prometheus']);

const JSON_ONLY: Endpoint['protobuf'] = { traces: false, logs: false, metrics: false };

function off(sentence: string, problems: readonly string[] = []): Endpoint {
  return { url: undefined, traces: false, logs: false, metrics: false, protobuf: JSON_ONLY, sentence, problems };
}

function problemsOf(env: Environment): string[] {
  const problems: string[] = [];
  for (const name of ['', '_TRACES', '_LOGS', '_METRICS']) {
    const variable = `OTEL_EXPORTER_OTLP${name}_PROTOCOL`;
    const protocol = env[variable]?.trim();
    if (protocol !== undefined && protocol !== '' && !PROTOCOLS.has(protocol)) {
      problems.push(
        `${variable}=${printable(protocol, 20)} is ignored: Weir exports OTLP as http/json or http/protobuf`,
      );
    }
  }
  const sampler = env['OTEL_TRACES_SAMPLER']?.trim() ?? '';
  if (sampler !== '' && sampler !== 'always_on') {
    problems.push(
      `OTEL_TRACES_SAMPLER=${printable(sampler, 40)} is ignored: no agent may switch its own record off (telemetry.sample.unremarkable thins what is ordinary)`,
    );
  }
  for (const signal of ['TRACES', 'LOGS', 'METRICS']) {
    const others = (env[`OTEL_${signal}_EXPORTER`] ?? '').split(',').map((name) => name.trim());
    for (const other of others.filter((name) => !EXPORTERS.has(name))) {
      problems.push(`OTEL_${signal}_EXPORTER=${printable(other, 20)} is ignored: Weir exports OTLP`);
    }
  }
  const temporality = env[TEMPORALITY]?.trim().toLowerCase() ?? '';
  if (wanted(env, 'METRICS') && (temporality === 'delta' || temporality === 'lowmemory')) {
    problems.push(
      `${TEMPORALITY}=${temporality} is ignored: Weir exports cumulative metrics (the cumulativetodelta processor of a Collector converts them)`,
    );
  }
  return problems;
}

/** True when something at `base` takes an empty OTLP/JSON export within 500 ms. Never rejects. */
export async function answersOtlp(base: string): Promise<boolean> {
  try {
    const { request } = await import('undici');
    const response = await request(`${base}/v1/traces`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"resourceSpans":[]}',
      signal: AbortSignal.timeout(PROBE_MS),
    });
    await response.body.dump({ limit: 65536 });
    return response.statusCode === 200;
  } catch {
    return false;
  }
}

/**
 * `telemetry.endpoint`: `auto` takes `OTEL_EXPORTER_OTLP_*` if set, else 127.0.0.1:4318 if something answers OTLP there,
 * else nothing; a URL is a base URL; `none` exports nothing. Never rejects.
 */
export async function resolveEndpoint(
  setting: string,
  env: Environment,
  probe: (base: string) => Promise<boolean> = answersOtlp,
): Promise<Endpoint> {
  if (setting === 'none') return off('telemetry.endpoint is none: spans, logs and metrics are not exported');
  if (env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') {
    return off('OTEL_SDK_DISABLED is true: spans, logs and metrics are not exported');
  }
  const signals = { traces: wanted(env, 'TRACES'), logs: wanted(env, 'LOGS'), metrics: wanted(env, 'METRICS') };
  const names = Object.entries(signals)
    .filter(([, on]) => on)
    .map(([name]) => (name === 'traces' ? 'spans' : name));
  if (names.length === 0) return off('OTEL_*_EXPORTER is none for every signal: nothing is exported');
  const problems = problemsOf(env);
  const protobuf = protobufOf(env);
  const listed = new Intl.ListFormat('en-GB').format(names);
  if (setting !== 'auto') {
    if (!URL.canParse(setting)) return off('telemetry.endpoint is no URL: nothing is exported', problems);
    return {
      url: setting.replace(/\/+$/, ''),
      ...signals,
      protobuf,
      sentence: `${listed} go to ${shown(setting)}`,
      problems,
    };
  }
  const general = isSet(env, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  const has = (signal: string): boolean => general || isSet(env, `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`);
  const fromEnv = {
    traces: signals.traces && has('TRACES'),
    logs: signals.logs && has('LOGS'),
    metrics: signals.metrics && has('METRICS'),
  };
  if (fromEnv.traces || fromEnv.logs || fromEnv.metrics) {
    const first = ['', '_TRACES', '_LOGS', '_METRICS'].map((name) => env[`OTEL_EXPORTER_OTLP${name}_ENDPOINT`]);
    const address = first.find((value) => value !== undefined && value.trim() !== '') as string;
    const sentence = `telemetry goes to ${shown(address)} (OTEL_EXPORTER_OTLP_ENDPOINT)`;
    return { url: undefined, ...fromEnv, protobuf, sentence, problems };
  }
  if (await probe(LOCAL)) return { url: LOCAL, ...signals, protobuf, sentence: `${listed} go to ${LOCAL}`, problems };
  return off(
    `nothing answers OTLP on ${LOCAL}: spans are not exported (set OTEL_EXPORTER_OTLP_ENDPOINT or telemetry.endpoint)`,
    problems,
  );
}
