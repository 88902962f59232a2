import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import type { Severity } from '../model/finding.ts';

/** One recogniser of a secret, as `patterns/*.yaml` writes it. */
export interface Pattern {
  /** Stable; other programs refer to it. */
  readonly id: string;
  readonly name: string;
  readonly severity: Severity;
  readonly category: string;
  /** Source of a case-sensitive JavaScript regular expression. */
  readonly expression: string;
  /** Literals of three characters or more, of which at least one is in every match: the cheap test before the expression. */
  readonly keywords: readonly string[];
  /** A match becomes `[<label>_REDACTED]`. */
  readonly label: string;
  readonly examples: readonly string[];
  readonly counterExamples: readonly string[];
  /** Where the issuer documents the form. */
  readonly reference: string;
}

const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical'];
const KEYS = new Set([
  'id',
  'name',
  'severity',
  'category',
  'expression',
  'keywords',
  'label',
  'examples',
  'counter_examples',
  'reference',
  // Read by the scanner only (patterns/README.md).
  'kind',
  'case',
  'trigger',
  'max',
  'validator',
  'confirm',
  'entropy',
  'placeholders',
  'home',
]);
const OTHER_KINDS = new Set<unknown>(['pii', 'financial', 'injection']);

/**
 * Examples are written so that no scanner takes this repository for a leak: `{{}}` splits a token and disappears,
 * `{{a*40}}` is forty `a`, `{{aK3*12}}` twelve times `aK3`.
 */
export function assembleExample(text: string): string {
  return text.replace(
    /\{\{(?:([^{}*]{1,32}|.)\*(\d{1,4}))?\}\}/g,
    (_all, part: string | undefined, count: string | undefined) =>
      part === undefined ? '' : part.repeat(Number(count)),
  );
}

function string(entry: Record<string, unknown>, key: string, where: string): string {
  const value = entry[key];
  if (typeof value !== 'string' || value === '') throw new Error(`${where}: ${key} must be a non-empty string`);
  return value;
}

function strings(entry: Record<string, unknown>, key: string, where: string): string[] {
  const value = entry[key];
  if (!Array.isArray(value) || value.length === 0 || value.some((item) => typeof item !== 'string' || item === '')) {
    throw new Error(`${where}: ${key} must be a list of non-empty strings`);
  }
  return value as string[];
}

/**
 * Records are redacted by form alone: what needs a validator's word, an entropy or a trigger to be a finding would take ordinary
 * numbers and names out of URLs, so it is left to the scanner.
 */
function forRecords(entry: Record<string, unknown>): boolean {
  return (
    !OTHER_KINDS.has(entry['kind'] ?? entry['category']) &&
    entry['case'] !== 'ignore' &&
    entry['entropy'] === undefined &&
    entry['trigger'] === undefined
  );
}

function patternOf(raw: unknown, file: string, index: number): Pattern | undefined {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new Error(`${file}: entry ${index + 1} must be a map`);
  }
  const entry = raw as Record<string, unknown>;
  const id = string(entry, 'id', `${file}: entry ${index + 1}`);
  const where = `${file}: ${id}`;
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(id)) throw new Error(`${where}: id must be lower-case words joined by "-"`);
  for (const key of Object.keys(entry)) if (!KEYS.has(key)) throw new Error(`${where}: unknown key ${key}`);
  if (!forRecords(entry)) return undefined;
  const severity = string(entry, 'severity', where);
  if (!SEVERITIES.includes(severity)) throw new Error(`${where}: severity must be one of ${SEVERITIES.join(', ')}`);
  const expression = string(entry, 'expression', where);
  try {
    if (new RegExp(expression).test('')) throw new Error('it matches the empty string');
  } catch (error) {
    throw new Error(`${where}: expression is not usable: ${(error as Error).message}`);
  }
  const keywords = strings(entry, 'keywords', where);
  if (keywords.some((keyword) => keyword.length < 3)) throw new Error(`${where}: keywords need 3 characters or more`);
  return {
    id,
    name: string(entry, 'name', where),
    severity: severity as Severity,
    category: string(entry, 'category', where),
    expression,
    keywords,
    label: string(entry, 'label', where),
    examples: strings(entry, 'examples', where).map(assembleExample),
    counterExamples: strings(entry, 'counter_examples', where).map(assembleExample),
    reference: string(entry, 'reference', where),
  };
}

/** Reads one pattern file's text; entries only the scanner uses are left out. Throws an Error that names file and id. */
export function parsePatterns(text: string, file: string): Pattern[] {
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
  const list = (document as { patterns?: unknown } | null)?.patterns;
  if (!Array.isArray(list)) throw new Error(`${file}: must have a list "patterns"`);
  return list.flatMap((entry, index) => patternOf(entry, file, index) ?? []);
}

/**
 * Loads every `*.yaml` of a directory that has a list `patterns` (other data lies beside them), in name order. Throws an Error
 * that names file and id; ids are unique over all files.
 */
export function loadPatterns(directory: string): Pattern[] {
  const seen = new Map<string, string>();
  const patterns: Pattern[] = [];
  for (const file of readdirSync(directory).sort()) {
    if (!/\.ya?ml$/.test(file)) continue;
    const path = join(directory, file);
    const text = readFileSync(path, 'utf8');
    if (!/^"?patterns"?:|^\{\s*"patterns"/m.test(text)) continue;
    for (const pattern of parsePatterns(text, path)) {
      const other = seen.get(pattern.id);
      if (other !== undefined) throw new Error(`${path}: ${pattern.id}: already defined in ${other}`);
      seen.set(pattern.id, basename(path));
      patterns.push(pattern);
    }
  }
  return patterns;
}

/** As `loadPatterns`, but a failure is a problem to report. Without patterns no path may leave: a secret in it would. */
export function patternsOrNone(directory: string, problems: string[]): Pattern[] {
  try {
    return loadPatterns(directory);
  } catch (error) {
    problems.push(`patterns cannot be loaded, URLs are kept without path: ${(error as Error).message}`);
    return [];
  }
}
