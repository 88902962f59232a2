import { resolve } from 'node:path';
import { Command } from 'commander';
import { nearest } from '../config/known.ts';
import { homely, loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import { readYamlFile } from '../config/yaml-file.ts';
import type { Examined } from '../policy/examine.ts';
import type { ParsedPolicies, parsePolicies as ParsePolicies } from '../policy/parse.ts';
import { READABLE } from '../policy/vocabulary.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { plural, table } from './table.ts';

/** All policies of some files, as they would be asked together. */
export interface Loaded {
  readonly files: readonly string[];
  readonly problems: readonly string[];
  readonly policies: readonly Examined[];
  readonly defaultAction: 'allow' | 'block';
}

/** `weir policy check [file…]`: what is wrong, what each policy reads, what can never match. Needs no collector. */
export function policyCheckCommand(cli: Cli): Command {
  return new Command('check')
    .description('name every mistake in policy files, and what can never match')
    .argument('[file...]', 'default: policies.files of the configuration')
    .action(async (files: readonly string[]) => {
      // Lists are rules as well: which of the hosts they allow belong to many.
      const shared = files.length > 0 ? [] : (await import('../collector.ts')).sharedHosts(configuration(cli));
      for (const sentence of shared) cli.note(safe(sentence, 400));
      if (files.length === 0 && configuration(cli).policies.files.length === 0 && shared.length > 0) return;
      const loaded = await loadPolicies(cli, files);
      check(cli, { ...loaded, policies: await withBlind(cli, loaded.policies) });
    });
}

/** What is written for hosts whose TLS the configuration does not read, where there is a configuration. */
async function withBlind(cli: Cli, policies: readonly Examined[]): Promise<readonly Examined[]> {
  const [{ tlsReader }, { blindHosts }] = await Promise.all([import('../collector.ts'), import('../policy/blind.ts')]);
  let readsTls: (host: string) => boolean;
  try {
    readsTls = tlsReader(configuration(cli));
  } catch (error) {
    // Files can be looked at where no configuration is, or none that can be used.
    if (error instanceof ConfigError) return policies;
    throw error;
  }
  return policies.map((examined) => {
    const hosts = blindHosts(examined, readsTls);
    if (hosts.length === 0) return examined;
    const text = `can never match over TLS: that of ${hosts.join(', ')} is not read (intercept)`;
    return { ...examined, remarks: [...examined.remarks, { level: 'warning', code: 'blind', text }] };
  });
}

export async function loadPolicies(cli: Cli, given: readonly string[]): Promise<Loaded> {
  const files = given.length > 0 ? given.map((file) => resolve(cli.cwd, file)) : configuration(cli).policies.files;
  if (files.length === 0) {
    throw new CliError(
      'there are no policy files. Name one: weir policy check FILE, or set policies: {files: [FILE]}',
      EXIT.usage,
    );
  }
  // Expressions have an engine of their own, which no other command may pay for.
  const [{ examine }, { parsePolicies }, { createSet }] = await Promise.all([
    import('../policy/examine.ts'),
    import('../policy/parse.ts'),
    import('../policy/policy.ts'),
  ]);
  const read = files.map((file) => readOne(file, parsePolicies));
  const set = createSet(read.map((one) => one.set));
  const problems = read.flatMap((one) => one.problems.map(({ message }) => safe(message, 400)));
  return { files: files.map(homely), problems, policies: examine(set), defaultAction: set.defaultAction };
}

function configuration(cli: Cli): Config {
  const flags = { config: cli.options().config, stateDir: cli.options().stateDir };
  return loadConfig({ flags, env: cli.env, cwd: cli.cwd }).config;
}

function readOne(path: string, parsePolicies: typeof ParsePolicies): ParsedPolicies {
  const name = homely(path);
  try {
    const file = readYamlFile(path, name);
    return parsePolicies(file.value, { name, kind: 'file', line: (at) => file.line(at) });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const problems = error.problems.map(({ where, message }) => ({ where, key: '', message }));
    return { set: { policies: [], defaultAction: 'allow' }, problems };
  }
}

function check(cli: Cli, loaded: Loaded): void {
  const { problems, policies } = loaded;
  const wrong = problems.length > 0 || policies.some(({ remarks }) => remarks.some(({ level }) => level === 'error'));
  if (!cli.options().json) for (const problem of problems) cli.note(problem);
  cli.print(
    { ok: !wrong, files: loaded.files, default: loaded.defaultAction, problems, policies: policies.map(plainPolicy) },
    () => checkText(loaded),
  );
  if (wrong) cli.exit(EXIT.found);
}

function checkText({ policies, problems }: Loaded): string {
  const shown = policies.map((examined) => {
    const { policy, reads, remarks } = examined;
    const what = reads.length === 0 && !policy.compiled.readsComputed ? 'no attribute' : readsText(examined);
    const lines = remarks.map(({ level, text }) => `  ${level}: ${safe(text + suggestion(examined, text), 400)}`);
    return [`${safe(policy.name)} (${policy.action}${stateText(examined)}): reads ${what}`, ...lines].join('\n');
  });
  const blind = policies.filter(({ canMatchInTunnel }) => !canMatchInTunnel).length;
  const tunnel = blind === 0 ? '' : `; ${blind} of them can never match while TLS is tunnelled`;
  const mistakes = problems.length === 0 ? 'no mistakes' : plural(problems.length, 'mistake');
  return [...shown, `${count(policies.length)}, ${mistakes}${tunnel}`].join('\n');
}

function count(n: number): string {
  return n === 1 ? '1 policy' : `${n} policies`;
}

function readsText({ policy, reads }: Examined): string {
  const named = safe(reads.join(', '), 300);
  if (!policy.compiled.readsComputed) return named;
  return named === '' ? 'attributes by computed names' : `${named} and attributes by computed names`;
}

/** The nearest name that exists, for the remark that names one that does not. */
function suggestion({ unknownAttributes }: Examined, text: string): string {
  const name = unknownAttributes.find((attribute) => text.startsWith(`reads ${attribute}, which is never`));
  const near = name === undefined ? undefined : nearest(name, [...READABLE]);
  return near === undefined ? '' : ` — did you mean ${near}?`;
}

function stateText({ policy }: Examined): string {
  return `${policy.shadow ? ', shadow' : ''}${policy.enabled ? '' : ', disabled'}`;
}

export function plainPolicy(examined: Examined): object {
  const { policy, reads, canMatch, canMatchInTunnel, remarks } = examined;
  const { id, name, action, priority, appliesTo, agents, enabled, shadow, where, compiled } = policy;
  const shown = { id, name, action, priority, applies_to: appliesTo, agents, enabled, shadow, where };
  const expression = compiled.source;
  return { ...shown, expression, reads, can_match: canMatch, can_match_in_tunnel: canMatchInTunnel, remarks };
}

export function listText({ policies, defaultAction }: Loaded): string {
  const rows = table(policies, [
    { name: 'PRIORITY', cell: ({ policy }) => policy.priority, right: true },
    { name: 'NAME', cell: ({ policy }) => policy.name, max: 48 },
    { name: 'ACTION', cell: ({ policy }) => policy.action },
    { name: 'APPLIES TO', cell: ({ policy }) => policy.appliesTo.join(' ') || 'all', max: 30 },
    { name: 'AGENTS', cell: ({ policy }) => policy.agents.join(' ') || 'all', max: 30 },
    { name: 'STATE', cell: ({ policy }) => (policy.enabled ? (policy.shadow ? 'shadow' : 'on') : 'off') },
    { name: 'IN TUNNELS', cell: ({ canMatchInTunnel }) => (canMatchInTunnel ? 'yes' : 'never') },
    { name: 'FROM', cell: ({ policy }) => policy.where, max: 48 },
  ]);
  const rest = defaultAction === 'block' ? 'Requests that no policy decides are blocked.' : '';
  return [rows, '', `${count(policies.length)}. ${rest}`.trimEnd()].join('\n');
}
