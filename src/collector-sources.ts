import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { dataFile } from './collector-parts.ts';
import type { PatternSource } from './scan/pattern.ts';
import { readPatterns } from './scan/read.ts';

/** The built-in patterns and those of further directories, one file per step. Throws Error that names file, id and what is wrong. */
export function* sourcesInSteps(
  directories: readonly string[],
  disable: readonly string[],
): Generator<undefined, PatternSource[]> {
  const off = new Set(disable);
  const sources: PatternSource[] = [];
  const files = new Map<string, string>();
  for (const file of [dataFile(''), ...directories].flatMap(patternFiles)) {
    for (const source of readOne(file)) {
      const other = files.get(source.id);
      if (other !== undefined) throw new Error(`${file}: ${source.id}: already defined in ${basename(other)}`);
      files.set(source.id, file);
      if (!off.has(source.id)) sources.push(source);
    }
    yield;
  }
  const unknown = disable.find((id) => !files.has(id));
  if (unknown !== undefined) throw new Error(`patterns.disable: ${unknown} is no pattern. See: weir patterns list`);
  return sources;
}

function patternFiles(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.ya?ml$/.test(name))
      .sort()
      .map((name) => join(directory, name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`patterns.directories: ${directory} cannot be read (${code ?? String(error)})`, { cause: error });
  }
}

function readOne(file: string): PatternSource[] {
  const text = readFileSync(file, 'utf8');
  // Other data lies beside them.
  if (!/^"?patterns"?:|^\{\s*"patterns"/m.test(text)) return [];
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
  }
  return readPatterns(document, file);
}

/** As `sourcesInSteps`, at once. */
export function patternSources(directories: readonly string[], disable: readonly string[]): PatternSource[] {
  return finish(sourcesInSteps(directories, disable));
}

/** Runs what comes in steps to its end. */
export function finish<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
