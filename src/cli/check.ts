import { Command } from 'commander';
import { configFile, homely, loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/problem.ts';
import { configReference, jsonSchemaText } from '../config/reference.ts';
import { type Cli, EXIT, indent } from './context.ts';

interface CheckOptions {
  readonly reference?: boolean;
  readonly schema?: boolean;
}

/** `weir check --config FILE`: every mistake with its line, without starting anything. */
export function checkCommand(cli: Cli): Command {
  return new Command('check')
    .description('read the configuration and name every mistake with its line')
    .option('--reference', 'print every key with its type and default (Markdown)')
    .option('--schema', 'print the JSON Schema, for editors')
    .action((options: CheckOptions) => check(cli, options));
}

async function check(cli: Cli, options: CheckOptions): Promise<void> {
  if (options.schema) return void cli.stdout.write(jsonSchemaText());
  if (options.reference) return void cli.stdout.write(configReference());
  const flags = { config: cli.options().config, stateDir: cli.options().stateDir };
  try {
    const { config, file, warnings } = loadConfig({ flags, env: cli.env, cwd: cli.cwd });
    for (const warning of warnings) cli.note(warning);
    const { configurationProblems, policyFileProblems } = await import('../collector.ts');
    const found = [...configurationProblems(config, cli.env), ...(await policyFileProblems(config, cli.env))];
    if (found.length > 0)
      return problemsFound(
        cli,
        file ?? null,
        found.map((message) => ({ message })),
      );
    const source = file === undefined ? 'no file, defaults only' : homely(file);
    cli.print({ ok: true, file: file ?? null, mode: config.mode, problems: [] }, () => `${source}: no mistakes`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problemsFound(cli, configFile(flags, cli.env, cli.cwd) ?? null, error.problems);
  }
}

function problemsFound(cli: Cli, file: string | null, problems: readonly { readonly message: string }[]): void {
  if (cli.options().json) cli.print({ ok: false, file, problems }, () => '');
  else for (const problem of problems) cli.stderr.write(`weir: ${indent(problem.message)}\n`);
  cli.exit(EXIT.found);
}
