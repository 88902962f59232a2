/** Makes the JSON files of `patterns/` from the YAML beside them: `npm run build:patterns`. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { isForHosts, withoutCase } from '../../src/collector-library.ts';
import { layoutOf } from '../../src/scan/compile.ts';
import type { Layout, PatternSource } from '../../src/scan/pattern.ts';
import { readPatterns } from '../../src/scan/read.ts';

export const PATTERNS = join(import.meta.dirname, '../../patterns');
const OTHERS = ['destinations.yaml', 'tenants.yaml'];

function read(name: string): unknown {
  return parse(readFileSync(join(PATTERNS, name), 'utf8'));
}

/** Undefined = its expression allows no other case. */
function hostLayout(source: PatternSource): Layout | undefined {
  if (!isForHosts(source)) return undefined;
  try {
    return layoutOf(withoutCase(source));
  } catch {
    return undefined;
  }
}

function builtIns(): unknown[] {
  return readdirSync(PATTERNS)
    .filter((name) => name.endsWith('.yaml') && !OTHERS.includes(name))
    .sort()
    .flatMap((name) => readPatterns(read(name), name))
    .map(({ examples: _examples, counterExamples: _counterExamples, ...source }) => ({
      ...source,
      layout: layoutOf(source),
      hostLayout: hostLayout(source),
    }));
}

/** Every generated file by name: its content, one pattern or entry a line so that a change can be read. */
export function generated(): ReadonlyMap<string, string> {
  const patterns = builtIns().map((pattern) => JSON.stringify(pattern));
  return new Map([
    ['patterns.json', `{"patterns":[\n${patterns.join(',\n')}\n]}\n`],
    ...OTHERS.map((name) => [name.replace('.yaml', '.json'), `${JSON.stringify(read(name), null, 1)}\n`] as const),
  ]);
}

if (import.meta.main) for (const [name, text] of generated()) writeFileSync(join(PATTERNS, name), text);
