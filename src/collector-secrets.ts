import { readFileSync } from 'node:fs';
import type { Config } from './config/schema.ts';
import type { PatternSource } from './scan/pattern.ts';
import { readPattern } from './scan/read.ts';

/** Shorter ones would be found in everything. */
const SHORTEST = 8;
/** Longer ones are told by their beginning. */
const LONGEST = 1000;

/** A secret of the operator's: where it was named, never shown with its value. */
export interface OwnSecret {
  readonly where: string;
  readonly value: string;
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
  if (Buffer.byteLength(secret.value) >= SHORTEST) return secret;
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
    const entry = {
      id: `own-secret-${index + 1}`,
      name: `A secret of yours (${where})`,
      severity: 'critical',
      category: 'token',
      kind: 'credential',
      label: 'OWN SECRET',
      expression: text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'),
      keywords: [text],
      placeholders: 'keep',
      examples: [text],
      counter_examples: ['-'],
      reference: 'patterns.secrets_file, patterns.secrets_env',
    };
    return [readPattern(entry, where, index)];
  });
}
