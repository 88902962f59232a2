import type { LlmApiKind, LlmUsage } from '../model/llm.ts';
import type { UsageField } from './response-fields.ts';

/**
 * What a provider counts, as the conventions count it: input with everything that came from a cache or went into one, output with
 * reasoning. `undefined` when nothing was told. What was not told is not added up.
 */
export function usageOf(kind: LlmApiKind, told: ReadonlyMap<UsageField, number>): LlmUsage | undefined {
  const outer = !told.has('input') && !told.has('output');
  const cacheRead = told.get('cacheRead') ?? (outer ? told.get('outerCacheRead') : undefined);
  const cacheCreation = told.get('cacheCreation') ?? (outer ? told.get('outerCacheCreation') : undefined);
  const input = told.get('input') ?? (outer ? told.get('outerInput') : undefined);
  const output = told.get('output') ?? (outer ? told.get('outerOutput') : undefined);
  const reasoning = told.get('reasoning');
  const counts = {
    input,
    output,
    total: told.get('total'),
    cached: (cacheRead ?? 0) + (cacheCreation ?? 0),
    reasoning,
  };
  const usage = {
    ...defined('input', inputWithCache(kind, counts)),
    ...defined('output', outputWithReasoning(kind, counts)),
    ...defined('cacheRead', cacheRead),
    ...defined('cacheCreation', cacheCreation),
    ...defined('reasoning', reasoning),
  };
  return Object.keys(usage).length > 0 ? usage : undefined;
}

interface Counts {
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly total: number | undefined;
  readonly cached: number;
  readonly reasoning: number | undefined;
}

function inputWithCache(kind: LlmApiKind, { input, output, total, cached }: Counts): number | undefined {
  if (input === undefined) return undefined;
  // Anthropic's input is what no cache was used for, and so is Bedrock's, unless its own total says otherwise.
  const apart = kind === 'anthropic.messages' || kind.startsWith('bedrock.');
  const included = total !== undefined && total === input + (output ?? 0);
  return apart && !included ? input + cached : input;
}

function outputWithReasoning(kind: LlmApiKind, { input, output, total, reasoning }: Counts): number | undefined {
  // Gemini's candidates come without their thoughts.
  if (kind === 'gemini.generate') return output === undefined ? reasoning : output + (reasoning ?? 0);
  if (input === undefined || output === undefined || !reasoning) return output;
  // xAI's chat counts reasoning beside the completion; the total gives it away.
  return total === input + output + reasoning ? output + reasoning : output;
}

const defined = <K extends string>(key: K, value: number | undefined): { [P in K]?: number } =>
  value === undefined ? {} : ({ [key]: value } as { [P in K]?: number });
