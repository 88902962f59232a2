import type * as z from 'zod';
import { describe, knownKeys, nearest, whereKeyBelongs } from './known.ts';

/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** `weir.yaml:12`, `WEIR_MODE`, `--listen`, or a file path. */
  readonly where: string;
  /** Dotted key path, `agents.researcher.mode`; '' for the whole file. */
  readonly key: string;
  /** The whole sentence, where included, without the `weir: ` prefix. May have continuation lines. */
  readonly message: string;
}

/** The configuration cannot be used. `message` lists every problem, one per line. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map((problem) => problem.message).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Finds where a key path was written. */
export type Locate = (path: readonly PropertyKey[]) => string;

/** Values under these keys are never repeated in an error. */
const SECRET_KEY = /token|secret|password|proxy$|url$/i;
const MAX_SHOWN = 60;

/** `agents.researcher.mode`, `listen[1].address`. */
function dotted(path: readonly PropertyKey[]): string {
  let out = '';
  for (const part of path)
    out += typeof part === 'number' ? `[${part}]` : out === '' ? String(part) : `.${String(part)}`;
  return out;
}

function shown(input: unknown, path: readonly PropertyKey[]): string {
  if (input === undefined) return 'nothing';
  if (SECRET_KEY.test(String(path.at(-1) ?? ''))) return 'what is written there';
  const text = JSON.stringify(input) ?? String(input);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

function at(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

/** Zod's issues in the words of the contract, each with its place; order as found. */
export function problemsOf(error: z.ZodError, input: unknown, locate: Locate): ConfigProblem[] {
  return error.issues.flatMap((issue) => translate(issue, [], input, locate));
}

type Issue = z.core.$ZodIssue;

function translate(issue: Issue, base: readonly PropertyKey[], input: unknown, locate: Locate): ConfigProblem[] {
  const path = [...base, ...issue.path];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key, locate));
  if (issue.code === 'invalid_union') return unionProblems(issue, path, input, locate);
  return [problem(path, sentence(issue, path, at(input, path)), locate)];
}

function problem(path: readonly PropertyKey[], text: string, locate: Locate): ConfigProblem {
  const where = locate(path);
  const key = dotted(path);
  return { where, key, message: key === '' ? `${where}: ${text}` : `${key} in ${where}: ${text}` };
}

function unknownKey(path: readonly PropertyKey[], key: string, locate: Locate): ConfigProblem {
  const where = locate([...path, key]);
  const parent = dotted(path);
  const known = knownKeys(path);
  const near = nearest(key, known);
  const elsewhere = near === undefined ? whereKeyBelongs(key) : undefined;
  let advice = `known here: ${known.join(', ')}`;
  if (near !== undefined) advice = `did you mean "${near}"?`;
  else if (elsewhere !== undefined) advice = `it belongs under "${elsewhere}"`;
  const inside = parent === '' ? '' : ` under ${parent}`;
  return {
    where,
    key: dotted([...path, key]),
    message: `unknown key ${JSON.stringify(key)}${inside} in ${where} — ${advice}`,
  };
}

function unionProblems(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: readonly PropertyKey[],
  input: unknown,
  locate: Locate,
): ConfigProblem[] {
  const value = at(input, path);
  const fitting = issue.errors.filter((branch) => !branch.some((inner) => wrongShape(inner, value)));
  const best = fitting.sort((a, b) => rank(a, value) - rank(b, value))[0];
  if (best) return best.flatMap((inner) => translate(inner, path, input, locate));
  const expected = describe(path);
  return [problem(path, `cannot be ${shown(value, path)}${expected === '' ? '' : ` — ${expected}`}`, locate)];
}

/** Fewest complaints first; between words and a parsed form, the words only win when one of them is nearly what was typed. */
function rank(branch: readonly Issue[], value: unknown): number {
  const only = branch[0];
  if (branch.length !== 1 || only?.code !== 'invalid_value') return branch.length;
  return nearest(String(value), only.values.map(String)) === undefined ? 1.5 : 0.5;
}

/** The branch was written for another kind of value (a string where a map stands …), so its complaints would mislead. */
function wrongShape(issue: Issue, value: unknown): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === 'invalid_type') return true;
  if (issue.code === 'invalid_union')
    return issue.errors.every((branch) => branch.some((inner) => wrongShape(inner, value)));
  return issue.code === 'invalid_value' && typeof value !== 'string';
}

function sentence(issue: Issue, path: readonly PropertyKey[], value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      if (value === undefined) return `is missing (${expectedType(issue.expected)})`;
      return `must be ${expectedType(issue.expected)}, not ${shown(value, path)}`;
    case 'invalid_value': {
      const near = typeof value === 'string' ? nearest(value, issue.values.map(String)) : undefined;
      const advice = near === undefined ? '' : ` — did you mean ${near}?`;
      return `must be ${listed(issue.values.map(String))}, not ${shown(value, path)}${advice}`;
    }
    case 'too_small':
      if (issue.origin === 'string') return 'is too short';
      if (issue.origin === 'array') return `needs at least ${issue.minimum} entry`;
      return `must be at least ${issue.minimum}, not ${shown(value, path)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}, not ${shown(value, path)}`;
    case 'invalid_key':
      return issue.issues[0]?.message ?? 'is not a valid key';
    case 'invalid_format':
      return issue.message.startsWith('Invalid') ? `has the wrong form: ${shown(value, path)}` : issue.message;
    default:
      return issue.message;
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of keys',
  record: 'a map of keys',
};

function expectedType(expected: string): string {
  return TYPES[expected] ?? expected;
}

function listed(values: readonly string[]): string {
  return values.length < 2 ? values.join('') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
