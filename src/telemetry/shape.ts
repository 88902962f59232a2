import type { GenAiVersion } from './llm-attributes.ts';
import type { Put } from './span.ts';

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
  /** Characters a string attribute may have (`OTEL_[SPAN_]ATTRIBUTE_VALUE_LENGTH_LIMIT`); undefined = as long as records keep it. */
  readonly valueLength?: number;
}

export const DEFAULT_SHAPE: SpanShape = { genai: 'auto', version: '1.41', dialects: ['otel'] };

type Environment = Readonly<Record<string, string | undefined>>;

/** What is configured, with what `OTEL_*` variables add to it. */
export function shapeOf(settings: Pick<SpanShape, 'genai' | 'dialects'>, env: Environment): SpanShape {
  const { genai, dialects } = settings;
  const limit = (
    env['OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT'] ||
    env['OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT'] ||
    ''
  ).trim();
  const shape = { genai, dialects, version: genAiVersion(env) };
  return /^\d{1,9}$/.test(limit) ? { ...shape, valueLength: Number(limit) } : shape;
}

/** `OTEL_SEMCONV_STABILITY_OPT_IN` names `gen_ai_latest_experimental`. */
export function genAiVersion(env: Environment): GenAiVersion {
  const wanted = (env['OTEL_SEMCONV_STABILITY_OPT_IN'] ?? '').split(',').map((name) => name.trim());
  return wanted.includes('gen_ai_latest_experimental') ? 'latest' : '1.41';
}

/** Text cut to `length` characters, no character in half. */
function cutText(text: string, length: number): string {
  if (text.length <= length) return text;
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? length - 1 : length);
}

/** The same attributes with strings of at most `length` characters. */
export function shortened(put: Put, length: number): Put {
  return (name, value) => {
    if (typeof value === 'string') put(name, cutText(value, length));
    else put(name, Array.isArray(value) ? value.map((item) => cutText(item, length)) : value);
  };
}
