import { Command, InvalidArgumentError } from 'commander';
import { AdminError } from '../admin/protocol.ts';
import { loadConfig } from '../config/load.ts';
import type { Containment } from '../model/admin.ts';
import type { Mode } from '../model/finding.ts';
import type { ReportFilter } from '../model/report.ts';
import type { OpenQuery } from '../store/query.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { receiptLines } from './receipt.ts';
import { reportMarkdown } from './report-markdown.ts';
import { parseTime } from './time.ts';

interface ReportOptions {
  readonly since?: number;
  readonly until?: number;
  readonly agent?: string;
  readonly run?: string;
  readonly markdown?: boolean;
}

/** product.md §9 gives no default; a day is what a person remembers. */
const DEFAULT_MS = 86_400_000;
const PIPED_WIDTH = 80;
/** A ULID or its last 10 characters. */
const RUN_ID = /^(?:[0-9A-HJKMNP-TV-Z]{10}|[0-9A-HJKMNP-TV-Z]{26})$/;

/** `weir report`: where agents went, what is new, what leaves, what was not seen, in at most 20 lines. */
export function reportCommand(cli: Cli): Command {
  return new Command('report')
    .description('where agents went, what is new, what leaves, what was not seen; 20 lines at most')
    .option('--since <when>', '30m, 2h, 7d or a date (default: 24h; with --run all of it)', (text: string) =>
      parseTime(text),
    )
    .option('--until <when>', 'as --since', (text: string) => parseTime(text))
    .option('--agent <name>', 'one agent only')
    .option('--run <ref>', 'one weir run', parseRun)
    .option('--markdown', 'tables, for the summary of a CI job')
    .action((options: ReportOptions) => report(cli, options));
}

function parseRun(text: string): string {
  const id = text.toUpperCase();
  if (!RUN_ID.test(id)) throw new InvalidArgumentError('Write the id of a run or its last 10 characters.');
  return id;
}

async function report(cli: Cli, options: ReportOptions): Promise<void> {
  const now = Date.now();
  const filter = filterOf(options, now);
  const { config } = loadConfig({
    flags: { config: cli.options().config, stateDir: cli.options().stateDir },
    env: cli.env,
    cwd: cli.cwd,
  });
  const { markdown } = options;
  if (markdown && cli.options().json) throw new CliError('--markdown and --json are two forms: choose one', EXIT.usage);
  const running = await runningNow(cli);
  // DuckDB's native library is loaded only here.
  const [{ storedSource }, { openQuery }, { readReport }] = await Promise.all([
    import('./stored.ts'),
    import('../store/query.ts'),
    import('../store/report.ts'),
  ]);
  const source = await storedSource(config);
  const all = async (sql: string): Promise<unknown[][]> => rowsOf(await openQuery(source, sql));
  const facts = await readReport(all, filter, {
    mode: running?.mode ?? config.mode,
    // Without a collector nobody has looked: the claim that promises least.
    containment: running?.containment ?? 'cooperative',
    now,
  });
  if (filter.run !== undefined && facts.runs === 0 && facts.requests === 0)
    throw new CliError(
      `no run ${safe(filter.run)} is recorded. Which there are: weir query "SELECT ref, agent, started_at FROM runs"`,
    );
  const width = cli.stdout.isTTY === true ? (cli.stdout.columns ?? PIPED_WIDTH) : PIPED_WIDTH;
  cli.print(facts, () =>
    markdown
      ? reportMarkdown(facts, now)
      : receiptLines(facts, { width, now, style: (name, text) => cli.style(name, text) }).join('\n'),
  );
}

async function rowsOf(query: OpenQuery): Promise<unknown[][]> {
  const rows: unknown[][] = [];
  try {
    for (let chunk = await query.next(); chunk !== undefined; chunk = await query.next()) rows.push(...chunk);
    return rows;
  } finally {
    await query.close();
  }
}

function filterOf({ since, until, agent, run }: ReportOptions, now: number): ReportFilter {
  const from = since ?? (run === undefined ? Math.min(now, until ?? now) - DEFAULT_MS : undefined);
  if (from !== undefined && until !== undefined && from >= until)
    throw new CliError('--until is not after --since: nothing can be between them', EXIT.usage);
  return {
    ...(from === undefined ? {} : { since: from }),
    ...(until === undefined ? {} : { until }),
    ...(agent === undefined ? {} : { agent }),
    ...(run === undefined ? {} : { run }),
  };
}

/** Mode and containment of the collector that runs; undefined when none does. */
async function runningNow(cli: Cli): Promise<{ readonly mode: Mode; readonly containment: Containment } | undefined> {
  try {
    return await cli.withClient((client) => client.status());
  } catch (error) {
    if (error instanceof AdminError && error.code === 'no-collector') return undefined;
    throw error;
  }
}
