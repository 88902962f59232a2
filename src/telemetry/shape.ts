import type { GenAiVersion } from './llm-attributes.ts';

/** Names beside the OpenTelemetry ones that some backends look for (`telemetry.dialects`). */
export type Dialect = 'otel' | 'strathon' | 'openinference' | 'langfuse';

/** How spans are worded; the record is the same. */
export interface SpanShape {
  /**
   * `gen_ai.*` and `mcp.*` on calls: `auto` = where the agent does not trace itself, else the same facts are under `weir.llm.*` and
   * `weir.mcp.*`; `on` = always; `off` = never, under neither name.
   */
  readonly genai: 'auto' | 'on' | 'off';
  readonly version: GenAiVersion;
  readonly dialects: readonly Dialect[];
}

export const DEFAULT_SHAPE: SpanShape = { genai: 'auto', version: '1.41', dialects: ['otel'] };

/** `OTEL_SEMCONV_STABILITY_OPT_IN` names `gen_ai_latest_experimental`. */
export function genAiVersion(env: Readonly<Record<string, string | undefined>>): GenAiVersion {
  const wanted = (env['OTEL_SEMCONV_STABILITY_OPT_IN'] ?? '').split(',').map((name) => name.trim());
  return wanted.includes('gen_ai_latest_experimental') ? 'latest' : '1.41';
}
