import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { AdminError } from '../admin/protocol.ts';
import { ConfigError } from '../config/problem.ts';
import { approveCommand } from './approve.ts';
import { baselineCommand } from './baseline.ts';
import { caCommand } from './ca.ts';
import { checkCommand } from './check.ts';
import { CliError, createCli, EXIT, type GlobalOptions, indent, type World } from './context.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { envCommand } from './env.ts';
import { initCommand } from './init.ts';
import { keepCommand } from './keep.ts';
import { logsCommand } from './logs.ts';
import { modeCommand } from './mode.ts';
import { patternsCommand } from './patterns.ts';
import { policyCommand } from './policy.ts';
import { purgeCommand } from './purge.ts';
import { queryCommand } from './query.ts';
import { replayCommand } from './replay.ts';
import { reportCommand } from './report.ts';
import { runCommand } from './run.ts';
import { startCommand } from './start.ts';
import { statusCommand } from './status.ts';
import { verifyCommand } from './verify.ts';

const LINGER_MS = 1000;

const COMMANDS = [
  startCommand,
  runCommand,
  statusCommand,
  verifyCommand,
  envCommand,
  logsCommand,
  reportCommand,
  queryCommand,
  baselineCommand,
  policyCommand,
  replayCommand,
  approveCommand,
  modeCommand,
  caCommand,
  patternsCommand,
  checkCommand,
  demoCommand,
  doctorCommand,
  purgeCommand,
  initCommand,
  keepCommand,
];

/** Runs the command line of this process and leaves the exit code in `process.exitCode`. */
export async function main(): Promise<void> {
  // A reader that goes away (`weir logs | head`) is a normal end.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  process.stderr.on('error', () => undefined);
  const { env, stdin, stdout, stderr } = process;
  process.exitCode = await run(process.argv.slice(2), { env, stdin, stdout, stderr, cwd: process.cwd() });
  // The work is done and said; what may still hold the loop (a half-open socket) must not keep a shell or a container waiting.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

/** Runs one command line; never throws. Returns the exit code. */
export async function run(args: readonly string[], world: World): Promise<number> {
  let code: number = EXIT.ok;
  const program = buildProgram(world, (given) => {
    code = given;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    return report(error, world);
  }
}

/** The version in package.json, beside both `src` and `dist`. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version?: unknown }).version ?? '0');
}

function buildProgram(world: World, exit: (code: number) => void): Command {
  const program = new Command('weir');
  program
    .description('Observe-first egress proxy for AI agents: every request a span, every new host a finding.')
    .option('--config <file>', 'configuration file (default: WEIR_CONFIG, or ~/.config/weir/weir.yaml)')
    .option('--state-dir <dir>', 'where database, CA and socket are (default: ~/.local/state/weir)')
    .option('--json', 'machine-readable output')
    .option('--no-color', 'no colour, also: NO_COLOR')
    .version(version(), '-V, --version')
    .showSuggestionAfterError(true)
    .helpCommand('help [command]', 'help for one command')
    .configureHelp({ showGlobalOptions: true, helpWidth: 100 })
    .addHelpText(
      'after',
      '\nExit codes: 0 ok, 1 failure, 2 usage or configuration, 3 no collector running, 4 something was found.',
    )
    .exitOverride();
  const output = {
    writeOut: (text: string) => void world.stdout.write(text),
    writeErr: (text: string) => void world.stderr.write(text),
    outputError: (text: string, write: (text: string) => void) => write(usage(text)),
  };
  program.configureOutput(output);
  const cli = createCli(world, version(), () => program.opts<GlobalOptions>(), exit);
  for (const command of COMMANDS) {
    const made = command(cli);
    for (const part of [made, ...made.commands]) part.copyInheritedSettings(program);
    program.addCommand(made, { hidden: command === keepCommand });
  }
  return program;
}

function usage(text: string): string {
  const sentence = text.replace(/^error: /, '').trimEnd();
  return `weir: ${indent(sentence)}\n      See: weir help\n`;
}

function report(error: unknown, world: World): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ConfigError) {
    for (const problem of error.problems) world.stderr.write(`weir: ${indent(problem.message)}\n`);
    return EXIT.usage;
  }
  const message = error instanceof Error ? error.message : String(error);
  world.stderr.write(`weir: ${indent(message)}\n`);
  if (error instanceof CliError) return error.exit;
  if (error instanceof AdminError) return error.code === 'no-collector' ? EXIT.noCollector : EXIT.failure;
  if (world.env['WEIR_DEBUG'] && error instanceof Error) world.stderr.write(`${error.stack}\n`);
  return EXIT.failure;
}
