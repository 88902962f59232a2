import type { Check } from './doctor.ts';
import { reportOf, type Scene } from './doctor-scene.ts';

/** Where `telemetry.endpoint: auto` looks when no variable names one (product.md §10). */
const LOCAL = 'http://127.0.0.1:4318';
const PROBE_MS = 1000;
const name = 'telemetry';

/** Whether something answers OTLP where the collector exports to, or would. */
export async function telemetryChecks(scene: Scene): Promise<Check[]> {
  const report = reportOf(scene);
  if (report === undefined) return [await planned(scene)];
  const { endpoint, sentence } = report.telemetry;
  const failing = report.consumers.filter((consumer) => consumer.name.startsWith('otlp-') && consumer.failing);
  if (failing.length > 0)
    return failing.map(({ name: consumer, failing: why }) => ({
      name,
      state: 'fail',
      message: `${consumer}: ${why}; records wait in the journal`,
      next: advice(endpoint ?? LOCAL),
    }));
  // Without an endpoint of its own the exporter took the variables of the collector, which we do not have.
  if (endpoint !== undefined) return [await answers(endpoint, sentence, scene.env)];
  const exports = report.consumers.some((consumer) => consumer.name.startsWith('otlp-'));
  if (exports || scene.config.telemetry.endpoint === 'none') return [{ name, state: 'ok', message: sentence }];
  return [{ name, state: 'warn', message: sentence, next: advice(LOCAL) }];
}

/** No collector runs: what the next one would do. */
async function planned({ config, env }: Scene): Promise<Check> {
  const setting = config.telemetry.endpoint;
  if (setting === 'none') return { name, state: 'ok', message: 'telemetry.endpoint is none: nothing is exported' };
  if (env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true')
    return { name, state: 'ok', message: 'OTEL_SDK_DISABLED is true: nothing is exported' };
  if (setting !== 'auto') return answers(setting, `goes to ${origin(setting)}`, env);
  const traces = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']?.trim();
  const base = env['OTEL_EXPORTER_OTLP_ENDPOINT']?.trim();
  if (traces) return answers(traces, `goes to ${origin(traces)}`, env, '');
  if (base) return answers(base, `goes to ${origin(base)}`, env);
  if ((await probe(`${LOCAL}/v1/traces`, {})) === 200) return { name, state: 'ok', message: `goes to ${LOCAL}` };
  const message = `nothing answers OTLP on ${LOCAL}: spans are not exported, rows are kept`;
  return { name, state: 'warn', message, next: 'run an OpenTelemetry Collector, or set OTEL_EXPORTER_OTLP_ENDPOINT' };
}

async function answers(base: string, sentence: string, env: NodeJS.ProcessEnv, path = '/v1/traces'): Promise<Check> {
  const status = await probe(`${base.replace(/\/+$/, '')}${path}`, headers(env));
  if (status === 200) return { name, state: 'ok', message: sentence };
  const why = typeof status === 'number' ? `answers with ${status}` : `does not answer OTLP (${status})`;
  const next = status === 401 || status === 403 ? 'see OTEL_EXPORTER_OTLP_HEADERS of the collector' : advice(base);
  return { name, state: 'fail', message: `${origin(base)} ${why}: records wait in the journal`, next };
}

function advice(base: string): string {
  if (base.includes(':4317')) return '4317 is OTLP over gRPC; Weir speaks OTLP over HTTP, usually port 4318';
  return `start an OpenTelemetry Collector at ${origin(base)}, or change telemetry.endpoint`;
}

function origin(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : 'an address that is no URL';
}

/** An empty export, which every receiver takes. The status, or why there was none. Never rejects. */
async function probe(url: string, extra: Readonly<Record<string, string>>): Promise<number | string> {
  try {
    const { request } = await import('undici');
    const response = await request(url, {
      method: 'POST',
      headers: { ...extra, 'content-type': 'application/json' },
      body: '{"resourceSpans":[]}',
      signal: AbortSignal.timeout(PROBE_MS),
    });
    await response.body.dump({ limit: 65_536 });
    return response.statusCode;
  } catch (error) {
    const { code, name: kind } = error as NodeJS.ErrnoException;
    return kind === 'TimeoutError' ? `within ${PROBE_MS} ms` : (code ?? 'not reachable');
  }
}

/** `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,…`, percent-encoded (OpenTelemetry exporter specification). */
function headers(env: NodeJS.ProcessEnv): Record<string, string> {
  const pairs = (env['OTEL_EXPORTER_OTLP_HEADERS'] ?? '').split(',').flatMap((pair): [string, string][] => {
    const at = pair.indexOf('=');
    if (at < 1) return [];
    try {
      return [[pair.slice(0, at).trim(), decodeURIComponent(pair.slice(at + 1).trim())]];
    } catch {
      return [];
    }
  });
  return Object.fromEntries(pairs);
}
