import type { Severity } from '../model/finding.ts';
import type { Kind, PatternEntry, Trigger } from './pattern.ts';

const SEVERITIES: readonly string[] = ['info', 'low', 'medium', 'high', 'critical'] satisfies Severity[];
const KINDS: readonly string[] = ['credential', 'pii', 'financial', 'injection'] satisfies Kind[];
const TRIGGERS: readonly string[] = ['keywords', 'digits', 'at'] satisfies Trigger[];
const KEYS = new Set(
  'id name severity category kind label expression trigger keywords case max validator confirm entropy placeholders home examples counter_examples reference'.split(
    ' ',
  ),
);
const LONGEST_EXPRESSION = 4096;

/**
 * Examples are written so that no scanner takes a repository for a leak: `{{}}` disappears and `{{aK3*12}}` is twelve times `aK3`.
 */
export function assembleExample(text: string): string {
  return text.replace(
    /\{\{(?:([^{}*]{1,32}|.)\*(\d{1,4}))?\}\}/g,
    (_all, part: string | undefined, count: string | undefined) =>
      part === undefined ? '' : part.repeat(Number(count)),
  );
}

interface Entry {
  readonly where: string;
  readonly values: ReadonlyMap<string, unknown>;
}

function text(entry: Entry, key: string): string {
  const value = entry.values.get(key);
  if (typeof value !== 'string' || value === '') throw new Error(`${entry.where}: ${key} must be a non-empty string`);
  return value;
}

function word(entry: Entry, key: string, words: readonly string[], preset: string): string {
  const value = entry.values.get(key) ?? preset;
  if (typeof value === 'string' && words.includes(value)) return value;
  throw new Error(`${entry.where}: ${key} must be one of ${words.join(', ')}`);
}

function list(entry: Entry, key: string, least: number): string[] {
  const value = entry.values.get(key) ?? [];
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string' || item === '')) {
    throw new Error(`${entry.where}: ${key} must be a list of non-empty strings`);
  }
  if (value.length < least) throw new Error(`${entry.where}: ${key} must have at least ${least}`);
  return value as string[];
}

function number(entry: Entry, key: string, from: number, to: number): number | undefined {
  const value = entry.values.get(key);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= from && value <= to) return value;
  throw new Error(`${entry.where}: ${key} must be a number from ${from} to ${to}`);
}

function keywordsOf(entry: Entry, trigger: string): string[] {
  const keywords = list(entry, 'keywords', trigger === 'keywords' ? 1 : 0);
  if (trigger !== 'keywords' && keywords.length > 0)
    throw new Error(`${entry.where}: keywords and trigger exclude each other`);
  if (keywords.some((keyword) => new TextEncoder().encode(keyword).length < 3)) {
    throw new Error(`${entry.where}: keywords need 3 bytes or more`);
  }
  return keywords;
}

function entryOf(raw: unknown, file: string, index: number): Entry {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw new Error(`${file}: entry ${index + 1} must be a map`);
  const values = new Map<string, unknown>(Object.entries(raw));
  const id = text({ where: `${file}: entry ${index + 1}`, values }, 'id');
  const where = `${file}: ${id}`;
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(id)) throw new Error(`${where}: id must be lower-case words joined by "-"`);
  for (const key of values.keys()) if (!KEYS.has(key)) throw new Error(`${where}: unknown key ${key}`);
  return { where, values };
}

/**
 * What stands between two words where they are marked up: line ends written out (also in JSON in JSON), tags, the stars of emphasis,
 * the marks of quoted lines, no-break spaces. Not `_` and `-`: names of programs are made of words with these.
 */
const MARKUP = String.raw`\\{1,3}[nrt]|<[^<>]{1,40}>|\u00a0`;

/** Phrases are read through markup: `\s{1,3}` between two words is all of it. */
function throughMarkup(expression: string): string {
  return expression
    .replace(/\\s\{([01]),3\}/g, (_all, least: string) => String.raw`(?:[\s*>]|${MARKUP}){${least},6}`)
    .replaceAll(String.raw`[\s,]{1,3}`, String.raw`(?:[\s,*>]|${MARKUP}){1,6}`);
}

/**
 * Checks one entry of a pattern file for shape.
 * @param raw - the entry as the YAML parser returned it.
 * @param index - its place in the file from 0, for errors about entries without an id.
 * @throws Error naming file, id and what is wrong.
 */
export function readPattern(raw: unknown, file: string, index: number): PatternEntry {
  const entry = entryOf(raw, file, index);
  const { where, values } = entry;
  const category = text(entry, 'category');
  const kind = word(entry, 'kind', KINDS, KINDS.includes(category) ? category : 'credential') as Kind;
  const trigger = word(entry, 'trigger', TRIGGERS, 'keywords') as Trigger;
  const written = text(entry, 'expression');
  const expression = kind === 'injection' ? throughMarkup(written) : written;
  if (written.length > LONGEST_EXPRESSION) {
    throw new Error(`${where}: expression is longer than ${LONGEST_EXPRESSION} characters; make it several patterns`);
  }
  const placeholders = word(entry, 'placeholders', ['skip', 'keep'], kind === 'credential' ? 'skip' : 'keep');
  return {
    file,
    id: text(entry, 'id'),
    name: text(entry, 'name'),
    severity: word(entry, 'severity', SEVERITIES, '') as Severity,
    category,
    kind,
    label: text(entry, 'label'),
    expression,
    trigger,
    keywords: keywordsOf(entry, trigger),
    ignoreCase: word(entry, 'case', ['keep', 'ignore'], 'keep') === 'ignore',
    max: number(entry, 'max', 1, 20_480),
    validator: values.has('validator') ? text(entry, 'validator') : undefined,
    confirm: values.has('confirm') ? text(entry, 'confirm') : undefined,
    entropy: number(entry, 'entropy', 0, 8) ?? 0,
    skipPlaceholders: placeholders === 'skip',
    home: list(entry, 'home', 0),
    reference: text(entry, 'reference'),
    examples: list(entry, 'examples', 1).map(assembleExample),
    counterExamples: list(entry, 'counter_examples', 1).map(assembleExample),
  };
}

/** All entries of one parsed pattern file (`{patterns: [...]}`). Throws as `readPattern` does. */
export function readPatterns(document: unknown, file: string): PatternEntry[] {
  const entries = (document as { patterns?: unknown } | null)?.patterns;
  if (!Array.isArray(entries)) throw new Error(`${file}: must have a list "patterns"`);
  return entries.map((raw, index) => readPattern(raw, file, index));
}
