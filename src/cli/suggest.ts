import { Command, Option } from 'commander';
import { homely, type LoadedConfig, loadConfig } from '../config/load.ts';
import { type Cli, CliError, safe } from './context.ts';
import { keyAmong, type Learned, readLearned } from './learned.ts';
import { celYaml } from './suggest-cel.ts';
import { suggestList } from './suggest-list.ts';
import { readRisky } from './suggest-risky.ts';
import { stoppedBy } from './suggest-stopped.ts';
import type { Frame, Suggestion } from './suggest-words.ts';
import { allowListYaml, oktsecYaml } from './suggest-yaml.ts';
import { parseTime } from './time.ts';

type Form = 'allowlist' | 'cel' | 'oktsec';

interface SuggestOptions {
  readonly agent?: string;
  readonly since?: number;
  readonly as: Form;
}

/** What rows are kept by default (`store.retention_days`). */
const DEFAULT_MS = 30 * 86_400_000;
const WRITERS: Readonly<Record<Form, (all: readonly Suggestion[], frame: Frame) => string>> = {
  allowlist: allowListYaml,
  cel: celYaml,
  oktsec: oktsecYaml,
};

/** `weir policy suggest`: the list a baseline implies, every line with its evidence. */
export function suggestCommand(cli: Cli): Command {
  return new Command('suggest')
    .description('the list a baseline implies, every line with its evidence')
    .option('--agent <name>', 'one agent only')
    .option('--since <when>', 'rows to hold it against: 30m, 2h, 7d or a date (default: 30d)', (text: string) =>
      parseTime(text),
    )
    .addOption(
      new Option('--as <form>', 'configuration, a shadowed policy, or for Oktsec')
        .choices(Object.keys(WRITERS))
        .default('allowlist'),
    )
    .action((options: SuggestOptions) => suggest(cli, options));
}

async function suggest(cli: Cli, options: SuggestOptions): Promise<void> {
  const now = Date.now();
  const since = options.since ?? now - DEFAULT_MS;
  const loaded = loadConfig({
    flags: { config: cli.options().config, stateDir: cli.options().stateDir },
    env: cli.env,
    cwd: cli.cwd,
  });
  const learned = await readLearned(cli, options.agent);
  if (learned.stats.length === 0)
    throw new CliError(
      options.agent === undefined
        ? 'nothing is learned yet: send something through Weir first (weir run -- COMMAND)'
        : `nothing is learned of ${safe(options.agent)}. Who is known: weir status`,
    );
  const all = await suggestions(loaded, learned, since, options.as === 'oktsec');
  const by = options.as === 'oktsec' ? 'host' : 'host, port and method';
  const frame = {
    by,
    now,
    since,
    command: commandOf(options),
    config: loaded.file === undefined ? 'FILE' : homely(loaded.file),
  };
  cli.print(all, () => WRITERS[options.as](all, frame));
}

async function suggestions(
  { config }: LoadedConfig,
  { stats, sentence }: Learned,
  since: number,
  names: boolean,
): Promise<Suggestion[]> {
  // Loads the database, which no other command may pay for.
  const { readRows } = await import('./suggest-rows.ts');
  const { groups, findings } = await readRows(config, since);
  const risky = readRisky();
  const keyOf = (agent: string): string => (config.agents.has(agent) ? agent : keyAmong(stats, agent));
  const groupsOf = byKey(groups, keyOf);
  const findingsOf = byKey(findings, keyOf);
  return stats.map((stat): Suggestion => {
    const own = groupsOf.get(stat.agent) ?? [];
    const list = suggestList(stat, { groups: own, findings: findingsOf.get(stat.agent) ?? [], risky, names });
    const stated = sentence(stat.agent);
    return {
      ...list,
      ...(stated === undefined ? {} : { sentence: stated }),
      requests: stat.requests,
      learned: stat.destinations.length,
      locked: stat.locked,
      firstSeen: stat.firstSeen,
      lastNewAt: stat.lastNewAt,
      stopped: stoppedBy(list.entries, own, stat, names),
    };
  });
}

/** Rows by the name their agents learn under, each name looked up once. */
function byKey<T extends { readonly agent: string }>(
  rows: readonly T[],
  keyOf: (agent: string) => string,
): Map<string, T[]> {
  const keys = new Map<string, string>();
  const map = new Map<string, T[]>();
  for (const row of rows) {
    const key = keys.get(row.agent) ?? keyOf(row.agent);
    keys.set(row.agent, key);
    const list = map.get(key);
    if (list === undefined) map.set(key, [row]);
    else list.push(row);
  }
  return map;
}

function commandOf({ agent, as }: SuggestOptions): string {
  const who = agent === undefined ? '' : ` --agent ${safe(agent, 63)}`;
  return `weir policy suggest${who}${as === 'allowlist' ? '' : ` --as ${as}`}`;
}
