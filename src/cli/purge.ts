import { Command } from 'commander';
import { AdminError } from '../admin/protocol.ts';
import { loadConfig } from '../config/load.ts';
import type { PurgeFilter, PurgeResult } from '../model/admin.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { confirm } from './raise.ts';
import { parseTime } from './time.ts';

interface PurgeOptions {
  readonly agent?: string;
  readonly host?: string;
  readonly before?: number;
  readonly all?: boolean;
  readonly yes?: boolean;
}

/** `weir purge`: erases rows, history and what was learned from them; audited. With or without a collector. */
export function purgeCommand(cli: Cli): Command {
  return new Command('purge')
    .description('erase rows for good')
    .option('--agent <name>', 'of this agent')
    .option('--host <name>', 'to this host')
    .option('--before <when>', 'older than 30d, or a date', (text: string) => parseTime(text))
    .option('--all', 'everything')
    .option('--yes', 'do not ask')
    .action((options: PurgeOptions) => purge(cli, options));
}

async function purge(cli: Cli, { all, yes, ...filter }: PurgeOptions): Promise<void> {
  const narrowed = Object.keys(filter).length > 0;
  if (!narrowed && !all) throw new CliError('say what to erase: --agent, --host, --before, or --all', EXIT.usage);
  if (narrowed && all) throw new CliError('--all does not go with --agent, --host or --before', EXIT.usage);
  if (!yes && !cli.stdin.isTTY) throw new CliError('this erases for good; without a terminal add --yes', EXIT.usage);
  if (!yes) await confirm(cli, `Erase ${narrowed ? 'these rows' : 'everything that was recorded'} for good?`);
  const result = await erase(cli, filter);
  cli.print(result, () => safe(result.message, 400));
}

/** By the collector; without one, on the files. */
async function erase(cli: Cli, filter: PurgeFilter): Promise<PurgeResult> {
  try {
    return await cli.withClient((client) => client.purge(filter));
  } catch (error) {
    if (!(error instanceof AdminError && error.code === 'no-collector')) throw error;
    const { actor, version } = cli;
    const flags = { config: cli.options().config, stateDir: cli.options().stateDir };
    const { config } = loadConfig({ flags, env: cli.env, cwd: cli.cwd });
    const { purgeStored } = await import('../collector.ts');
    return purgeStored({ config, filter, actor, version, warn: (message) => cli.note(safe(message, 400)) });
  }
}
