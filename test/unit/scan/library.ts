import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { compilePattern } from '../../../src/scan/compile.ts';
import type { CompiledPattern, PatternEntry } from '../../../src/scan/pattern.ts';
import { readPattern, readPatterns } from '../../../src/scan/read.ts';

const DIRECTORY = join(import.meta.dirname, '../../../patterns');

/** Every pattern of the shipped library, checked for shape. */
export function librarySources(): PatternEntry[] {
  return readdirSync(DIRECTORY)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .flatMap((file) => {
      const document: unknown = parse(readFileSync(join(DIRECTORY, file), 'utf8'));
      const entries = (document as { patterns?: unknown }).patterns;
      return entries === undefined ? [] : readPatterns(document, file);
    });
}

const BASE = {
  id: 'test-key',
  name: 'Test',
  severity: 'high',
  category: 'token',
  label: 'TEST',
  reference: 'https://example.com',
  examples: ['x'],
  counter_examples: ['y'],
};

/** A pattern's entry with what a test is about. */
export function source(change: Record<string, unknown>): PatternEntry {
  return readPattern({ ...BASE, ...change }, 'test.yaml', 0);
}

export function pattern(change: Record<string, unknown>): CompiledPattern {
  return compilePattern(source(change));
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
