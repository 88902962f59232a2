import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Price, Prices } from './llm/prices.ts';

const price = z.number().nonnegative();
const FILE = z.strictObject({
  currency: z.literal('USD').default('USD'),
  models: z.record(
    z.string().min(1).max(256),
    z.strictObject({
      input: price,
      output: price,
      cache_read: price.optional(),
      cache_write: price.optional(),
    }),
  ),
});

/**
 * `telemetry.prices_file`: USD per million tokens, by model; `*` at the end of a name stands for any ending.
 * Throws Error with a sentence for people.
 */
export function readPrices(file: string | undefined): Prices {
  if (file === undefined) return new Map();
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`telemetry.prices_file ${file} cannot be read (${code ?? String(error)})`, { cause: error });
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new Error(`telemetry.prices_file ${file} is no YAML: ${(error as Error).message}`, { cause: error });
  }
  const read = FILE.safeParse(value);
  if (!read.success) {
    const [issue] = read.error.issues;
    const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`;
    throw new Error(
      `telemetry.prices_file ${file}${where}: ${issue?.message}; a model has input and output, and may have cache_read and cache_write, in USD per million tokens`,
    );
  }
  return new Map<string, Price>(
    Object.entries(read.data.models).map(([model, { input, output, cache_read, cache_write }]) => [
      model,
      { input, output, cacheRead: cache_read ?? input, cacheWrite: cache_write ?? input },
    ]),
  );
}
