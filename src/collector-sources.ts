import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import type * as Yaml from 'yaml';
import { builtIns } from './collector-library.ts';
import type { PatternSource } from './scan/pattern.ts';
import { readPatterns } from './scan/read.ts';

const require = createRequire(import.meta.url);

/** The built-in patterns and those of further directories, one file per step. Throws Error that names file, id and what is wrong. */
export function* sourcesInSteps(
  directories: readonly string[],
  disable: readonly string[],
): Generator<undefined, PatternSource[]> {
  const off = new Set(disable);
  const sources: PatternSource[] = [];
  const files = new Map<string, string>();
  const take = (source: PatternSource): void => {
    const { id, file } = source;
    const other = files.get(id);
    if (other !== undefined) throw new Error(`${file}: ${id}: already defined in ${basename(other)}`);
    files.set(id, file);
    if (!off.has(id)) sources.push(source);
  };
  builtIns().forEach(take);
  yield;
  for (const file of directories.flatMap(patternFiles)) {
    readOne(file).forEach(take);
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
  // The parser takes its time to load, and most have no directory of their own.
  const { parse } = require('yaml') as typeof Yaml;
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
