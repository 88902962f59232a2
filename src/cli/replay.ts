import { Command, Option } from 'commander';
import type { ReplayRules } from '../collector.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { readRules } from './replay-rules.ts';
import type { Summary } from './replay-tally.ts';
import { progress, replayText } from './replay-words.ts';
import { parseTime } from './time.ts';

interface ReplayOptions {
  readonly policy: readonly string[];
  readonly mode: ReplayRules['mode'];
  readonly since: number;
  readonly agent?: string;
  readonly diff?: boolean;
  readonly live?: boolean;
}

const WEEK = '7d';

/** `weir replay`: what other rules would have stopped of what is stored (product.md §6). */
export function replayCommand(cli: Cli): Command {
  return new Command('replay')
    .description('hold rules against the stored rows: what they would have stopped, and what no longer')
    .option(
      '--policy <file>',
      'policies instead of those configured, or lists (agents:, destinations:) beside them; repeatable',
      (file: string, before: readonly string[]) => [...before, file],
      [],
    )
    .addOption(
      new Option('--mode <mode>', 'as if everything ran in this mode, or as configured')
        .choices(['monitor', 'redact', 'enforce', 'configured'])
        .default('enforce'),
    )
    .option('--since <when>', '30m, 2h, 7d or a date', parseTimeOption, parseTime(WEEK))
    .option('--agent <name>', 'one agent only')
    .option('--diff', 'compare with the configuration as it is, not with what happened')
    .option('--live', 'as if no policy were in shadow')
    .addHelpText(
      'after',
      '\nThe rules are those of --config, default: the configuration as it is. Exit codes: 0 nothing more is stopped,\n4 something is newly stopped, 2 the rules have mistakes.',
    )
    .action((options: ReplayOptions) => replay(cli, options));
}

function parseTimeOption(text: string): number {
  return parseTime(text);
}

async function replay(cli: Cli, options: ReplayOptions): Promise<void> {
  const rules = await readRules(cli, options.policy, options.live === true);
  if (options.diff && rules.names.length === 0)
    throw new CliError('--diff compares other rules with those configured: give --policy or --config', EXIT.usage);
  for (const note of rules.notes) cli.note(note);
  const { createReplay } = await import('../collector.ts');
  const { mode } = options;
  // What it refuses a start would refuse, too: a category nobody knows, a host that is no pattern.
  const compile = (given: ReplayRules) =>
    createReplay(given).catch((error: Error) => {
      throw new CliError(safe(error.message, 400), EXIT.usage, { cause: error });
    });
  const candidate = await compile({ ...rules.candidate, current: rules.current.config, mode });
  const current = options.diff ? await compile({ ...rules.current, mode }) : undefined;
  // DuckDB's native library is loaded only here.
  const [{ storedSource }, { replayRows }] = await Promise.all([import('./stored.ts'), import('./replay-run.ts')]);
  const bar = progress(cli);
  const source = await storedSource(rules.stored);
  const summary = await replayRows(source, { candidate, current }, options, bar).finally(() => bar.end());
  cli.print(plain(summary, options), () =>
    replayText(summary, { ...options, names: rules.names, now: Date.now(), style: cli.style }),
  );
  if (summary.counts['newly-stopped'] > 0) cli.exit(EXIT.found);
}

function plain(summary: Summary, { since, mode, diff }: ReplayOptions): object {
  const { exchanges, unchanged, stillStopped, counts, changed } = summary;
  return {
    since: new Date(since).toISOString(),
    mode,
    compared_with: diff ? 'configuration' : 'what happened',
    exchanges,
    unchanged,
    still_stopped: stillStopped,
    newly_stopped: counts['newly-stopped'],
    no_longer_stopped: counts['no-longer-stopped'],
    undecidable: counts.undecidable,
    changed: changed.map((one) => ({
      ...one,
      first: new Date(one.first).toISOString(),
      last: new Date(one.last).toISOString(),
    })),
  };
}
