import { compile } from './cel.ts';
import { readConfig } from './parse-config.ts';
import { Fields, isMap, type Problems } from './parse-fields.ts';
import { ACTIONS, type Action, createSet, type Policy, type PolicySet } from './policy.ts';

/** One thing that is wrong with a policy file. */
export interface PolicyProblem {
  /** `policies.yaml:12`, or the file when the line is not known. */
  readonly where: string;
  /** Name of the policy; undefined when it has none or the file as a whole is meant. */
  readonly policy?: string;
  /** `action_config.max_calls`; '' for the whole policy or file. */
  readonly key: string;
  /** The whole sentence, with where, policy and key. */
  readonly message: string;
}

/** Where policies come from. */
export interface PolicySource {
  /** File name or URL, for people. */
  readonly name: string;
  /** 1-based line of a key path, when the reader of the file knows it. */
  readonly line?: (path: readonly PropertyKey[]) => number;
  /**
   * `file`: what a person wrote, so an unknown key or action is an error. `receiver`: rows of a Strathon of any version: unknown keys
   * are ignored, an unknown action is `block`, as its SDK does (strathon-compat §1.4, §6.1).
   */
  readonly kind: 'file' | 'receiver';
}

/** Policies of one source: everything that can be used, and everything that cannot. Whoever swaps sets looks at both. */
export interface ParsedPolicies {
  readonly set: PolicySet;
  readonly problems: readonly PolicyProblem[];
}

/** More than anybody writes, and few enough to compile in a blink. */
const MAX_POLICIES = 5000;
const MAX_NAME = 200;
const INT32 = 2 ** 31 - 1;

/** `count` is part of an export; the others of a row of `GET /v1/policies`. All are Strathon's and mean nothing here. */
const TOP = ['policies', 'intervention_default_action', 'count'];
const ROW = ['project_id', 'match_count', 'last_matched_at', 'created_at', 'updated_at'];
const KEYS = [
  'id',
  'name',
  'description',
  'match_expression',
  'action',
  'action_config',
  'applies_to',
  'agents',
  'enabled',
  'priority',
  'shadow',
];

/**
 * Reads policies from parsed YAML or JSON: Strathon's export, the answer of `GET /v1/policies`, its command line's file, or a bare
 * list (strathon-compat §1.4, §6.3). Never throws.
 */
export function parsePolicies(input: unknown, source: PolicySource): ParsedPolicies {
  const found: PolicyProblem[] = [];
  const report: Problems = (path, policy, key, text) => found.push(problem(source, path, policy, key, text));
  const rows = Array.isArray(input) ? input : readTop(input, source, report);
  const base = Array.isArray(input) ? [] : ['policies'];
  const policies: Policy[] = [];
  for (const [index, row] of rows.slice(0, MAX_POLICIES).entries()) {
    const policy = readPolicy(row, [...base, index], source, report);
    if (policy !== undefined) policies.push(policy);
  }
  if (rows.length > MAX_POLICIES) report(base, undefined, '', `has more than ${MAX_POLICIES} policies`);
  reportTwins(policies, base, source, report);
  return { set: createSet([{ policies, defaultAction: readDefault(input, report) }]), problems: found };
}

function problem(
  source: PolicySource,
  path: readonly PropertyKey[],
  policy: string | undefined,
  key: string,
  text: string,
): PolicyProblem {
  const where = source.line === undefined ? source.name : `${source.name}:${source.line(path)}`;
  const subject = [...(policy === undefined ? [] : [`policy ${JSON.stringify(policy)}`]), ...(key === '' ? [] : [key])];
  return {
    where,
    ...(policy === undefined ? {} : { policy }),
    key,
    message: subject.length === 0 ? `${where}: ${text}` : `${where}: ${subject.join(': ')} ${text}`,
  };
}

function readTop(input: unknown, source: PolicySource, report: Problems): readonly unknown[] {
  if (!isMap(input)) {
    report([], undefined, '', 'must be a map with `policies:`, or a list of policies');
    return [];
  }
  if (source.kind === 'file') {
    for (const key of Object.keys(input)) {
      if (!TOP.includes(key)) report([key], undefined, key, `is not known here — known: ${TOP.join(', ')}`);
    }
  }
  const rows = Object.hasOwn(input, 'policies') ? input['policies'] : undefined;
  if (Array.isArray(rows)) return rows;
  report(['policies'], undefined, 'policies', rows === undefined ? 'is missing' : 'must be a list');
  return [];
}

function readDefault(input: unknown, report: Problems): 'allow' | 'block' {
  const key = 'intervention_default_action';
  const value = isMap(input) && Object.hasOwn(input, key) ? input[key] : undefined;
  if (value === undefined || value === null || value === 'allow') return 'allow';
  if (value !== 'block') report([key], undefined, key, 'must be allow or block');
  // Who wrote anything but allow wanted less to pass, not more.
  return 'block';
}

function readPolicy(
  row: unknown,
  path: readonly PropertyKey[],
  source: PolicySource,
  report: Problems,
): Policy | undefined {
  if (!isMap(row)) {
    report(path, undefined, '', 'a policy must be a map with name, match_expression and action');
    return undefined;
  }
  const fields = new Fields(row, path, report);
  const name = fields.text('name', { required: true, max: MAX_NAME });
  if (source.kind === 'file') fields.known([...KEYS, ...ROW], KEYS);
  const id = fields.text('id');
  const description = fields.text('description');
  const action = readAction(fields, source);
  const compiled = readExpression(fields);
  const policy = {
    config: readConfig(fields, action ?? 'log', source.kind === 'file'),
    appliesTo: fields.texts('applies_to'),
    agents: fields.texts('agents'),
    enabled: fields.flag('enabled', true),
    priority: fields.whole('priority', -INT32 - 1, INT32) ?? 0,
    shadow: fields.flag('shadow', false),
    where: source.line === undefined ? source.name : `${source.name}:${source.line(path)}`,
  };
  if (fields.failed || name === undefined || action === undefined || compiled === undefined) return undefined;
  return { id: id ?? name, name, ...(description === undefined ? {} : { description }), compiled, action, ...policy };
}

/** Missing = block, as Strathon's command line has it. */
function readAction(fields: Fields, source: PolicySource): Action | undefined {
  const written = fields.text('action');
  if (written === undefined) return fields.has('action') ? undefined : 'block';
  const action = ACTIONS.find((known) => known === written);
  if (action !== undefined) return action;
  if (source.kind === 'receiver') return 'block';
  fields.wrong('action', `must be one of ${ACTIONS.join(', ')}`);
  return undefined;
}

function readExpression(fields: Fields): ReturnType<typeof compile> | undefined {
  const source = fields.text('match_expression', { required: true });
  if (source === undefined) return undefined;
  try {
    return compile(source);
  } catch (error) {
    fields.wrong('match_expression', `does not compile: ${(error as Error).message}`);
    return undefined;
  }
}

/** Strathon tells policies apart by name and expression (strathon-compat §1.4). */
function reportTwins(
  policies: readonly Policy[],
  base: readonly PropertyKey[],
  source: PolicySource,
  report: Problems,
): void {
  if (source.kind === 'receiver') return;
  const seen = new Map<string, Policy>();
  for (const policy of policies) {
    const key = JSON.stringify([policy.name, policy.compiled.source]);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, policy);
    else report(base, policy.name, '', `stands twice with the same expression (${first.where} and ${policy.where})`);
  }
}
