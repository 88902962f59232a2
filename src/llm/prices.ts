import type { LlmFacts } from '../model/llm.ts';

/** USD per million tokens. */
export interface Price {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
}

/** By model; `*` at the end of a name stands for any ending, the longest such name counts. */
export type Prices = ReadonlyMap<string, Price>;

const MILLION = 1_000_000;

/** What a call cost in USD; undefined when its model has no price or its tokens were not told: nothing is guessed. */
export function costOf({ request, response }: LlmFacts, prices: Prices): number | undefined {
  const usage = response?.usage;
  if (prices.size === 0 || usage === undefined) return undefined;
  const price = priceOf(response?.model, prices) ?? priceOf(request.model, prices);
  if (price === undefined || (usage.input === undefined && usage.output === undefined)) return undefined;
  const { input = 0, output = 0, cacheRead = 0, cacheCreation = 0 } = usage;
  // `input` includes what came from a cache and what was written to one (LlmUsage).
  const fresh = Math.max(0, input - cacheRead - cacheCreation);
  const sum =
    fresh * price.input + cacheRead * price.cacheRead + cacheCreation * price.cacheWrite + output * price.output;
  return sum / MILLION;
}

function priceOf(model: string | undefined, prices: Prices): Price | undefined {
  if (model === undefined) return undefined;
  const exact = prices.get(model);
  if (exact !== undefined) return exact;
  let best: { readonly length: number; readonly price: Price } | undefined;
  for (const [name, price] of prices) {
    if (!name.endsWith('*') || !model.startsWith(name.slice(0, -1))) continue;
    if (best === undefined || name.length > best.length) best = { length: name.length, price };
  }
  return best?.price;
}
