import { readFileSync } from 'node:fs';
import type { Config } from './config/schema.ts';
import type { PatternSource } from './scan/pattern.ts';
import { readPattern } from './scan/read.ts';

/** Shorter ones would be found in everything. */
const SHORTEST = 8;
/** Longer ones are told by their beginning. */
const LONGEST = 1000;

/** A secret of the operator's, or of a run: where it was named, never shown with its value. */
export interface OwnSecret {
  readonly where: string;
  readonly value: string;
}

/** A secret-looking variable of commands that run now. */
export interface RunSecret extends OwnSecret {
  /** Name of the variable. */
  readonly variable: string;
  /** The runs whose environment has it. */
  readonly runs: ReadonlySet<string>;
}

export function usableLength(value: string): boolean {
  return Buffer.byteLength(value) >= SHORTEST;
}

/** What `patterns.secrets_file` and `patterns.secrets_env` name; a variable that is not set is none. Throws Error with a sentence for people, without the secret. */
export function ownSecrets(config: Config, env: Readonly<Record<string, string | undefined>>): readonly OwnSecret[] {
  const { secrets_file, secrets_env } = config.patterns;
  const secrets: OwnSecret[] = [];
  for (const name of secrets_env) {
    const value = env[name];
    if (value !== undefined && value !== '') secrets.push(usable({ where: `the variable ${name}`, value }));
  }
  if (secrets_file === undefined) return secrets;
  for (const [index, line] of readLines(secrets_file).entries()) {
    const value = line.trim();
    if (value !== '' && !value.startsWith('#')) {
      secrets.push(usable({ where: `line ${index + 1} of ${secrets_file}`, value }));
    }
  }
  return secrets;
}

function usable(secret: OwnSecret): OwnSecret {
  if (usableLength(secret.value)) return secret;
  throw new Error(`patterns: ${secret.where} is shorter than ${SHORTEST} bytes and would be found in everything`);
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`patterns.secrets_file ${file} cannot be read (${code ?? String(error)})`, { cause: error });
  }
}

/** Each as a pattern that matches it exactly, in whatever encoding the layers undo. */
export function ownPatterns(secrets: readonly OwnSecret[]): PatternSource[] {
  const known = new Set<string>();
  return secrets.flatMap(({ where, value }, index) => {
    const text = value.slice(0, LONGEST);
    if (known.has(text)) return [];
    known.add(text);
    const about = { id: `own-secret-${index + 1}`, name: `A secret of yours (${where})`, severity: 'critical' };
    return [
      exactly(text, { ...about, label: 'OWN SECRET', reference: 'patterns.secrets_file, patterns.secrets_env' }, where),
    ];
  });
}

/** The same of a variable: its name is told, in lower case as part of the rule. */
export function runPattern({ variable, where, value }: RunSecret): PatternSource {
  const word = variable
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  const about = {
    id: `env-secret-${word === '' ? 'variable' : word}`,
    name: `A secret of the command's environment (${variable})`,
    severity: 'high',
    label: 'ENVIRONMENT SECRET',
    reference: 'patterns.env_secrets',
  };
  return exactly(value.slice(0, LONGEST), about, where);
}

function exactly(text: string, about: Readonly<Record<string, string>>, where: string): PatternSource {
  const expression = text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  const form = { expression, keywords: [text], placeholders: 'keep', examples: [text], counter_examples: ['-'] };
  return readPattern({ ...about, category: 'token', kind: 'credential', ...form }, where, 0);
}
