import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout, PatternSource } from './scan/pattern.ts';

/** A built-in pattern as `patterns/patterns.json` has it: its own layout, and that of it without regard to case. */
export interface BuiltIn extends PatternSource {
  file: string;
  readonly layout: Layout;
  /** Of patterns that are looked for in host names, when it is another; null = their expression does not allow it. */
  readonly hostLayout?: Layout | null;
}

/** Files of `patterns/`, found beside `src/` in a checkout and beside `dist/` in a package. */
export function dataFile(name: string): string {
  return new URL(`../patterns/${name}`, import.meta.url).pathname;
}

/** A generated file of `patterns/`. The tests hold it to the YAML it is made from (`npm run build:patterns`), so its form is known. */
export function dataOf(name: 'destinations' | 'tenants'): unknown {
  return JSON.parse(readFileSync(dataFile(`${name}.json`), 'utf8'));
}

/** The built-in patterns, checked and linted when they were built. */
export function builtIns(): BuiltIn[] {
  const { patterns } = JSON.parse(readFileSync(dataFile('patterns.json'), 'utf8')) as { patterns: BuiltIn[] };
  const directory = dataFile('');
  for (const pattern of patterns) pattern.file = join(directory, pattern.file);
  return patterns;
}

/** Names are lower-cased on the way, so severe credentials with a form of their own are compared without regard to case there. */
export function isForHosts({ kind, severity, entropy, trigger }: PatternSource): boolean {
  const severe = severity === 'high' || severity === 'critical';
  return kind === 'credential' && severe && entropy === 0 && trigger === 'keywords';
}

/** A pattern as it is looked for in host names. */
export function withoutCase(source: PatternSource & Pick<BuiltIn, 'hostLayout'>): PatternSource {
  const layout = source.hostLayout === undefined ? source.layout : (source.hostLayout ?? undefined);
  return { ...source, ignoreCase: true, validator: undefined, confirm: undefined, layout };
}
