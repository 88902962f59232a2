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

function hostLayout(source: PatternSource, own: Layout): Layout | null | undefined {
  if (!isForHosts(source)) return undefined;
  try {
    const layout = layoutOf(withoutCase(source));
    return JSON.stringify(layout) === JSON.stringify(own) ? undefined : layout;
  } catch {
    return null;
  }
}

/**
 * Records are redacted by form alone: what needs a validator's word, an entropy or a trigger to be a finding would take ordinary
 * numbers and names out of URLs, so it is left to the scanner.
 */
function forRecords({ kind, ignoreCase, entropy, trigger }: PatternSource): boolean {
  return kind === 'credential' && !ignoreCase && entropy === 0 && trigger === 'keywords';
}

/** One entry a line, so that a change can be read; in ASCII, so that the text takes a byte per character in memory. */
function lines(entries: readonly unknown[]): string {
  const text = `{"patterns":[\n${entries.map((entry) => JSON.stringify(entry)).join(',\n')}\n]}\n`;
  return text.replace(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Every generated file by name: its content. */
export function generated(): ReadonlyMap<string, string> {
  const sources = readdirSync(PATTERNS)
    .filter((name) => name.endsWith('.yaml') && !OTHERS.includes(name))
    .sort()
    .flatMap((name) => readPatterns(read(name), name));
  const patterns = sources.map(({ examples: _examples, counterExamples: _counterExamples, ...source }) => {
    const layout = layoutOf(source);
    return { ...source, layout, hostLayout: hostLayout(source, layout) };
  });
  const redaction = sources
    .filter(forRecords)
    .map(({ id, expression, keywords, label }) => ({ id, expression, keywords, label }));
  return new Map([
    ['patterns.json', lines(patterns)],
    ['redaction.json', lines(redaction)],
    ...OTHERS.map((name) => [name.replace('.yaml', '.json'), `${JSON.stringify(read(name), null, 1)}\n`] as const),
  ]);
}

if (import.meta.main) for (const [name, text] of generated()) writeFileSync(join(PATTERNS, name), text);
