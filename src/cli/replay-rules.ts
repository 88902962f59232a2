import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ReplayRules } from '../collector.ts';
import { homely, loadConfig, parseConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { readYamlFile } from '../config/yaml-file.ts';
import type { PolicySet } from '../policy/policy.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';

/** What a file given as `--policy` may hold instead of policies: lists, as `weir policy suggest` writes them. */
const LISTS: ReadonlySet<string> = new Set(['agents', 'destinations']);

/** The rules of `--config` and `--policy`, and those that are configured now. */
export interface Rules {
  readonly candidate: Omit<ReplayRules, 'mode'>;
  readonly current: Omit<ReplayRules, 'mode'>;
  /** Where the rows are. */
  readonly stored: Config;
  /** What is replayed, for people. */
  readonly names: readonly string[];
  /** What cannot be replayed, for people. */
  readonly notes: readonly string[];
}

/** Reads everything. Throws ConfigError and CliError. */
export async function readRules(cli: Cli, files: readonly string[], live: boolean): Promise<Rules> {
  const { config: named, stateDir } = cli.options();
  const load = (config: string | undefined): Config =>
    loadConfig({ flags: { config, stateDir }, env: cli.env, cwd: cli.cwd }).config;
  const given = load(named);
  const current = named === undefined ? given : load(undefined);
  const { lists, policies } = await readFiles(cli, files);
  const config = lists.reduce(withLists, given);
  const stored = named !== undefined && isDefaultState(given, cli) ? current : given;
  const own = policies === undefined ? await configured(given, stored.state_dir, cli) : { set: policies };
  const shadows = own.set?.policies.filter(({ shadow, enabled }) => shadow && enabled).length ?? 0;
  const now = await configured(current, stored.state_dir, cli);
  return {
    candidate: { config, policies: live ? outOfShadow(own.set) : own.set },
    current: { config: current, policies: now.set },
    stored,
    names: [...(named === undefined ? [] : [named]), ...files],
    notes: [
      ...(own.note === undefined ? [] : [own.note]),
      ...(shadows === 0 || live
        ? []
        : [`${inShadow(shadows)} in shadow and stops nothing: --live asks as if it were not`]),
      ...(isDeepStrictEqual(ratesOf(config), ratesOf(current))
        ? []
        : ['other rate limits are not replayed: what exceeded those of then stays as it was']),
    ],
  };
}

function inShadow(policies: number): string {
  return policies === 1 ? '1 policy is' : `each of ${policies} policies is`;
}

function outOfShadow(set: PolicySet | undefined): PolicySet | undefined {
  return set && { ...set, policies: set.policies.map((policy) => ({ ...policy, shadow: false })) };
}

function ratesOf({ agents }: Config): unknown {
  return [...agents].flatMap(([name, { rate_limit, rate_window }]) =>
    rate_limit === 0 ? [] : [[name, rate_limit, rate_window]],
  );
}

/** A file that says nothing of a state directory is a proposal for the one that is there. */
function isDefaultState(given: Config, cli: Cli): boolean {
  const nowhere = { HOME: cli.env['HOME'], XDG_STATE_HOME: cli.env['XDG_STATE_HOME'], XDG_CONFIG_HOME: '/nonexistent' };
  return given.state_dir === loadConfig({ flags: {}, env: nowhere, cwd: cli.cwd }).config.state_dir;
}

/** Policies of files and, where there is a receiver, its last good set. Throws CliError for mistakes in them. */
async function configured(
  config: Config,
  stateDir: string,
  cli: Cli,
): Promise<{ readonly set: PolicySet | undefined; readonly note?: string }> {
  const { configuredPolicies } = await import('../collector.ts');
  try {
    return await configuredPolicies({ ...config, state_dir: stateDir }, cli.env);
  } catch (error) {
    throw new CliError(safe((error as Error).message, 2000), EXIT.usage, { cause: error });
  }
}

interface Read {
  readonly file: string;
  readonly value: ReturnType<typeof readYamlFile>;
}

async function readFiles(
  cli: Cli,
  files: readonly string[],
): Promise<{ readonly lists: readonly Config[]; readonly policies: PolicySet | undefined }> {
  const lists: Config[] = [];
  const policies: Read[] = [];
  for (const name of files) {
    const file = resolve(cli.cwd, name);
    const value = readYamlFile(file, homely(file));
    if (isLists(value.value)) lists.push(parseConfig({ state_dir: '/', ...(value.value as object) }, homely(file)));
    else policies.push({ file, value });
  }
  return { lists, policies: policies.length === 0 ? undefined : await policySet(policies) };
}

function isLists(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => LISTS.has(key));
}

async function policySet(read: readonly Read[]): Promise<PolicySet> {
  // Expressions have an engine of their own, which no other command may pay for.
  const [{ parsePolicies }, { createSet }] = await Promise.all([
    import('../policy/parse.ts'),
    import('../policy/policy.ts'),
  ]);
  const parsed = read.map(({ file, value }) =>
    parsePolicies(value.value, { name: homely(file), kind: 'file', line: (at) => value.line(at) }),
  );
  const problems = parsed.flatMap((one) => one.problems.map(({ message }) => safe(message, 400)));
  if (problems.length > 0) throw new CliError(problems.join('\n'), EXIT.usage);
  return createSet(parsed.map((one) => one.set));
}

/** Lists add up, as those of agents and of everybody do. */
function withLists(config: Config, lists: Config): Config {
  const agents = new Map(config.agents);
  for (const [name, added] of lists.agents) {
    const own = agents.get(name);
    const both = {
      allowed_domains: [...(own?.allowed_domains ?? []), ...added.allowed_domains],
      blocked_domains: [...(own?.blocked_domains ?? []), ...added.blocked_domains],
    };
    agents.set(name, { ...(own ?? added), ...both });
  }
  const { allowed, blocked, internal } = config.destinations;
  return {
    ...config,
    agents,
    destinations: {
      allowed: [...allowed, ...lists.destinations.allowed],
      blocked: [...blocked, ...lists.destinations.blocked],
      internal: [...internal, ...lists.destinations.internal],
    },
  };
}
