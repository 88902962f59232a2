import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { ModeVerb } from '../model/admin.ts';
import { hostPort } from '../model/destination.ts';
import type { Mode } from '../model/finding.ts';
import { globText } from '../model/glob.ts';
import type { Preflight, PreflightRules } from '../model/preflight.ts';
import type { QuerySource } from '../store/query.ts';
import type { Cli } from './context.ts';

/** How far a preflight looks back. */
export const WEEK_MS = 7 * 24 * 3600 * 1000;
/** Somebody waits for the answer: so many of the latest exchanges, and so long. */
const QUICK = { most: 100_000, ms: 5_000 };
const MAX_EXAMPLES = 8;

type Replayed = Pick<
  Preflight,
  'spanMs' | 'exchanges' | 'wouldLose' | 'undecidable' | 'examples' | 'uninspectable' | 'partial'
>;

/** Stored rows of the last week, or the latest of them, under these rules. Loads the database. Rejects with what is wrong with it or with them. */
export async function replayed(
  source: QuerySource,
  config: Config,
  env: NodeJS.ProcessEnv,
  agent?: string,
  { most, ms }: typeof QUICK = QUICK,
): Promise<Replayed> {
  const [{ configuredPolicies, createReplay }, { replayRows }, { latestSince }, { storedRows }] = await Promise.all([
    import('../collector.ts'),
    import('./replay-run.ts'),
    import('./replay-rows.ts'),
    import('./stored.ts'),
  ]);
  const begun = Date.now();
  const { set: policies } = await configuredPolicies(config, env);
  const candidate = await createReplay({ config, policies, mode: 'configured' });
  const week = { since: begun - WEEK_MS, agent };
  const since = await latestSince(source, week, most);
  let partial = since > week.since;
  const { exchanges, counts, changed } = await replayRows(source, { candidate }, { since, agent }, undefined, () => {
    const late = Date.now() - begun > ms;
    partial ||= late;
    return late;
  });
  const tunnelled = await storedRows(
    source,
    `SELECT host, count(*)::DOUBLE AS n FROM exchanges WHERE visibility = 'tunnel' AND epoch_ms(started_at) > ${week.since}
     GROUP BY ALL ORDER BY n DESC LIMIT 20`,
  );
  const lost = changed.filter(({ outcome }) => outcome === 'newly-stopped').slice(0, MAX_EXAMPLES);
  return {
    spanMs: begun - since,
    exchanges,
    wouldLose: counts['newly-stopped'],
    undecidable: counts.undecidable,
    examples: lost.map((one) => ({ ...one, destination: hostPort(one.host, one.port) })).map(exampleOf),
    uninspectable: tunnelled.map((row) => String(row['host'])),
    ...(partial ? { partial } : {}),
  };
}

function exampleOf({ agent, destination, rule, count }: Preflight['examples'][number]): Preflight['examples'][number] {
  return { agent, destination, rule, count };
}

/**
 * What the running collector knows of a change of mode, with the numbers of a replay under the rules that will apply. Where that cannot be
 * done (its rules were written anew and not read yet, rows that cannot be read) the verdicts stand as they were recorded.
 */
export async function modePreflight(cli: Cli, agent: string | undefined, to: 'redact' | 'enforce'): Promise<Preflight> {
  return cli.withClient(async (client) => {
    const recorded = await client.preflight(agent, to);
    const { rules } = recorded;
    if (rules === undefined) return recorded;
    try {
      const stateDir = cli.stateDir();
      const config = withModes(configOf(cli, rules, stateDir), rules.modes, agent, to);
      const env = { ...cli.env, STRATHON_EGRESS_RECEIVER_URL: rules.receiver };
      const { snapshotDir } = await client.prepareQuery();
      const { uninspectable, ...found } = await replayed({ stateDir, snapshotDir }, config, env, agent);
      // Of an agent alone the collector knows what it cannot see into.
      return { ...recorded, ...found, ...(agent === undefined ? { uninspectable } : {}) };
    } catch {
      return recorded;
    }
  });
}

/** The file the collector has read, whatever this command's own environment says. Throws ConfigError. */
function configOf(cli: Cli, { file, intercept }: PreflightRules, stateDir: string): Config {
  const env = { HOME: cli.env['HOME'], XDG_CONFIG_HOME: '/nonexistent' };
  const flags = { stateDir, ...(file === undefined ? {} : { config: file }) };
  return { ...loadConfig({ flags, env, cwd: cli.cwd }).config, intercept: intercept as Config['intercept'] };
}

/** As `weir mode` leaves it: said live, a mode stands above what the agent's entry says, for everybody in the place of the global one. */
function withModes(
  config: Config,
  said: PreflightRules['modes'],
  agent: string | undefined,
  to: Extract<ModeVerb, Mode>,
): Config {
  const modes = new Map<string, Mode>(said);
  if (agent !== undefined) modes.set(agent, to);
  const agents = new Map(config.agents);
  for (const [name, mode] of modes) {
    const own = agents.get(name) ?? [...agents].find(([key]) => globText(key, name))?.[1] ?? agents.get(config.agent);
    if (own !== undefined) agents.set(name, { ...own, mode });
  }
  // Only the agent's rows are looked at: one without an entry has the global mode.
  return { ...config, mode: to, agents };
}
