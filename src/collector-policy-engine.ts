import { homely } from './config/load.ts';
import { ConfigError } from './config/problem.ts';
import { readYamlFile } from './config/yaml-file.ts';
import { type PolicyProblem, parsePolicies } from './policy/parse.ts';
import { createSet, type PolicySet } from './policy/policy.ts';

export { policyInspectors } from './collector-policy-inspector.ts';
export { saidPolicies, withoutSaid } from './collector-policy-said.ts';
export { fingerprintOf, isShrink, loosened, loosenedText, looser } from './policy/compare.ts';
export { examine } from './policy/examine.ts';
export { createSet } from './policy/policy.ts';
export { createThrottle } from './policy/throttle.ts';

/** Of a hundred mistakes of one kind nobody reads more. */
const SHOWN = 20;

/** Policy files, or rows of a receiver, that cannot be used; one sentence each, with file, line and policy. */
export class PolicyError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    const more = problems.length > SHOWN ? `\n… and ${problems.length - SHOWN} more` : '';
    super(problems.slice(0, SHOWN).join('\n') + more);
    this.name = 'PolicyError';
    this.problems = problems;
  }
}

/** All of the files, or PolicyError with everything that is wrong in any of them. */
export function readPolicyFiles(paths: readonly string[]): PolicySet {
  const problems: string[] = [];
  const sets = paths.map((path) => {
    const name = homely(path);
    try {
      const file = readYamlFile(path, name);
      const parsed = parsePolicies(file.value, { name, kind: 'file', line: (at) => file.line(at) });
      problems.push(...sentences(parsed.problems));
      return parsed.set;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems.map(({ message }) => message));
      return createSet([]);
    }
  });
  if (problems.length > 0) throw new PolicyError(problems);
  return createSet(sets);
}

function sentences(problems: readonly PolicyProblem[]): string[] {
  return problems.map(({ message }) => message);
}

/** Rows compiled in one go: a hundred take some milliseconds, and agents wait meanwhile. */
const SLICE = 50;

/**
 * What a receiver answered, as a set; rows that are off are not even compiled. Gives the loop to the traffic between slices.
 * Rejects with PolicyError: half a set would be another set than the one that was written.
 */
export async function parseReceived(answer: unknown, name: string): Promise<PolicySet> {
  const rows = rowsOf(answer);
  if (rows === undefined) throw new PolicyError([`${name}: the answer is no set of policies ({policies: […]})`]);
  const around = parsePolicies({ ...(answer as object), policies: [] }, source(name));
  const sets: PolicySet[] = [around.set];
  const problems = sentences(around.problems);
  const on = rows.filter((row) => (row as { enabled?: unknown } | null)?.enabled !== false);
  for (let at = 0; at < on.length; at += SLICE) {
    const parsed = parsePolicies(on.slice(at, at + SLICE), source(name));
    sets.push(parsed.set);
    problems.push(...sentences(parsed.problems));
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (problems.length > 0) throw new PolicyError(problems);
  return createSet(sets);
}

function source(name: string) {
  return { name, kind: 'receiver' } as const;
}

function rowsOf(answer: unknown): readonly unknown[] | undefined {
  if (typeof answer !== 'object' || answer === null || !Object.hasOwn(answer, 'policies')) return undefined;
  const { policies } = answer as { policies: unknown };
  return Array.isArray(policies) ? policies : undefined;
}
