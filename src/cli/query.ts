import { once } from 'node:events';
import { Command, Option } from 'commander';
import { loadConfig } from '../config/load.ts';
import { type Cli, CliError, EXIT } from './context.ts';
import { parseCount } from './time.ts';

type Format = 'table' | 'json' | 'csv';
interface QueryOptions {
  readonly format?: Format;
  readonly limit?: number;
}

/** `weir query "SQL"`: DuckDB in this process over the recorded rows. */
export function queryCommand(cli: Cli): Command {
  return new Command('query')
    .description('SQL over connections, exchanges, findings, destinations, agents; runs in this process')
    .argument('<sql>', 'one statement, or - to read it from standard input')
    .addOption(new Option('--format <format>', 'default: table').choices(['table', 'json', 'csv']))
    .option('-n, --limit <rows>', 'stop after this many rows', parseCount)
    .action((sql: string, options: QueryOptions) => query(cli, sql, options));
}

async function query(cli: Cli, given: string, { format, limit }: QueryOptions): Promise<void> {
  const sql = given === '-' ? await readAll(cli.stdin) : given;
  if (sql.trim() === '') throw new CliError('there is no SQL to run', EXIT.usage);
  const flags = { config: cli.options().config, stateDir: cli.options().stateDir };
  const { config } = loadConfig({ flags, env: cli.env, cwd: cli.cwd });
  // DuckDB's native library is loaded only here.
  const [{ storedSource }, { runQuery }] = await Promise.all([import('./stored.ts'), import('../store/query.ts')]);
  await runQuery({
    ...(await storedSource(config)),
    sql,
    format: format ?? (cli.options().json ? 'json' : 'table'),
    ...(limit === undefined ? {} : { maxRows: limit }),
    write: async (text) => {
      if (!cli.stdout.write(text)) await once(cli.stdout, 'drain');
    },
  });
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks).toString('utf8');
}
