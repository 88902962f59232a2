import { readFileSync } from 'node:fs';

/** One recogniser of a secret, as records are redacted with it. */
export interface Pattern {
  /** Stable; other programs refer to it. */
  readonly id: string;
  /** Source of a case-sensitive JavaScript regular expression. */
  readonly expression: string;
  /** Literals of three characters or more, of which at least one is in every match: the cheap test before the expression. */
  readonly keywords: readonly string[];
  /** A match becomes `[<label>_REDACTED]`. */
  readonly label: string;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function patternOf(raw: unknown, file: string, index: number): Pattern {
  if (typeof raw !== 'object' || raw === null) throw new Error(`${file}: entry ${index + 1} must be a map`);
  const entry = raw as Readonly<Record<string, unknown>>;
  const { id, expression, keywords, label } = entry;
  if (!isText(id)) throw new Error(`${file}: entry ${index + 1}: id must be a non-empty string`);
  if (!isText(expression)) throw new Error(`${file}: ${id}: expression must be a non-empty string`);
  if (!isText(label)) throw new Error(`${file}: ${id}: label must be a non-empty string`);
  if (!Array.isArray(keywords) || keywords.length === 0 || !keywords.every((one) => isText(one) && one.length >= 3)) {
    throw new Error(`${file}: ${id}: keywords must be a list of strings of 3 characters or more`);
  }
  return { id, expression, keywords, label };
}

/** Reads the text of a file as `loadPatterns` does. Throws an Error that names file and id. */
export function parsePatterns(text: string, file: string): Pattern[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
  const list = (document as { patterns?: unknown } | null)?.patterns;
  if (!Array.isArray(list)) throw new Error(`${file}: must have a list "patterns"`);
  return list.map((entry, index) => patternOf(entry, file, index));
}

/** Loads `patterns/redaction.json`, which is made from the built-in patterns (`npm run build:patterns`). Throws an Error that names file and id. */
export function loadPatterns(file: string): Pattern[] {
  return parsePatterns(readFileSync(file, 'utf8'), file);
}

/** As `loadPatterns`, but a failure is a problem to report. Without patterns no path may leave: a secret in it would. */
export function patternsOrNone(file: string, problems: string[]): Pattern[] {
  try {
    return loadPatterns(file);
  } catch (error) {
    problems.push(`patterns cannot be loaded, URLs are kept without path: ${(error as Error).message}`);
    return [];
  }
}
