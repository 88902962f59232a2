import inspector from 'node:inspector';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { SOCKET_NAME } from '../admin/protocol.ts';
import { livePid } from '../admin/socket.ts';
import type { CollectorOptions, Log } from '../collector.ts';
import { type ConfigFlags, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { refuseNewerState } from '../config/state-version.ts';
import { onlyRuns, sharedAuthority, takeOver } from './background.ts';
import { type Cli, CliError, EXIT, indent } from './context.ts';
import { createLogger, type LogFormat } from './logger.ts';
import { tryListen } from './port-owner.ts';
import { raiseMode, rememberMode } from './raise.ts';
import { startFailure } from './start-failure.ts';
import { parseCount } from './time.ts';

/** The background collector of `weir run` leaves this long after the last run (product.md §9). */
const LINGER_S = 60;

interface StartOptions extends ConfigFlags {
  readonly background?: boolean;
  readonly linger: number;
  readonly logFormat?: LogFormat;
  readonly logLevel: string;
}

/** `weir start`: the collector in the foreground until SIGTERM or SIGINT. */
export function startCommand(cli: Cli): Command {
  return new Command('start')
    .description('run the collector in the foreground')
    .option('--mode <mode>', 'monitor | redact | enforce')
    .option('--listen <address...>', 'host:port, repeatable or comma-separated')
    .option('--intercept <what>', 'none | all | only:host,@llm | except:host')
    .option('--agent <name>', 'name of an agent that does not say who it is')
    .option('--admin <address>', 'host:port of the token-protected admin API')
    .addOption(
      new Option('--log-format <format>', 'default: human on a terminal, else json').choices(['human', 'json']),
    )
    .addOption(
      new Option('--log-level <level>', 'least level').choices(['debug', 'info', 'warn', 'error']).default('info'),
    )
    .addOption(new Option('--background', 'behind weir run: only ports of runs, ends after the last one').hideHelp())
    .addOption(new Option('--linger <seconds>', 'with --background').argParser(parseCount).default(LINGER_S).hideHelp())
    .action((_: unknown, command: Command) => start(cli, command.optsWithGlobals<StartOptions>()));
}

async function start(cli: Cli, flags: StartOptions): Promise<void> {
  if (inspector.url() !== undefined)
    throw new CliError(
      'a debugger port is open on this process (NODE_OPTIONS or --inspect); whoever reaches it reads every secret. Start without it.',
    );
  const load = () => loadConfig({ flags, env: cli.env, cwd: cli.cwd });
  const loaded = load();
  for (const warning of loaded.warnings) cli.note(warning);
  const { config } = loaded;
  refuseNewerState(config.state_dir);
  const tty = cli.stderr.isTTY === true;
  const log = createLogger(
    cli.stderr,
    flags.logFormat ?? (tty ? 'human' : 'json'),
    flags.logLevel,
    tty && !cli.env['NO_COLOR'],
  );
  const source = { ...(loaded.file === undefined ? {} : { file: loaded.file }), reload: async () => load().config };
  const options = { configSource: source, version: cli.version, log, env: cli.env };
  if (flags.background === true) return cli.exit(await runBackground(options, config, flags.linger * 1000));
  await runForeground(cli, options, config);
  cli.exit(EXIT.ok);
  return undefined;
}

type Options = Omit<CollectorOptions, 'config' | 'background'>;

async function runForeground(cli: Cli, options: Options, config: Config): Promise<void> {
  await takeOver(config);
  await checkAddresses(config);
  // Loaded late: a wrong flag or file is answered without loading the whole house.
  const { createCollector } = await import('../collector.ts');
  await raiseMode(cli, config);
  try {
    const collector = await createCollector({ ...options, config });
    await collector.start();
    const { stopped } = untilStopped(collector, options.log);
    rememberMode(config);
    const say = (line: string): void => void cli.stderr.write(`weir: ${indent(line)}\n`);
    say(collector.listeningLine());
    // Where spans and rows go is known only when the recorder is up; traffic does not wait for it.
    collector.firstLines().then(
      (lines) => lines.forEach(say),
      (error: Error) => options.log.error({ err: error }, 'the first lines could not be said'),
    );
    await stopped;
  } catch (error) {
    throw await startFailure(error, config);
  }
}

/**
 * Behind `weir run`: nothing is said on a terminal, and nothing listens but the ports of runs. The exit code tells its supervisor
 * (`weir keep`) whether it left because nobody needs it (0) or was ended from outside while commands rely on it.
 */
async function runBackground(options: Options, config: Config, lingerMs: number): Promise<number> {
  const { createCollector, newAuthority } = await import('../collector.ts');
  try {
    let idle = (): void => undefined;
    let left = false;
    const background = { ca: await sharedAuthority(newAuthority), lingerMs, idle: () => idle() };
    const collector = await createCollector({ ...options, config: onlyRuns(config), background });
    await collector.start();
    const { stopped, stop } = untilStopped(collector, options.log);
    idle = () => {
      left = true;
      stop('idle');
    };
    options.log.info({ lingerMs }, 'serving weir run');
    await stopped;
    return left ? EXIT.ok : EXIT.failure;
  } catch (error) {
    throw await startFailure(error, config);
  }
}

/** A port in use is said before threads and files are opened; who runs with this state directory is said by the collector. */
async function checkAddresses(config: Config): Promise<void> {
  try {
    for (const { host, port } of config.listen) await tryListen(host, port);
  } catch (error) {
    if ((await livePid(join(config.state_dir, SOCKET_NAME))) === undefined) throw await startFailure(error, config);
  }
}

interface Running {
  stop(reason: string): Promise<void>;
  reload(): Promise<string>;
}

/** Waits for a signal. The first SIGTERM or SIGINT drains, the second ends at once; SIGHUP reloads. */
function untilStopped(collector: Running, log: Log): { stopped: Promise<void>; stop: (reason: string) => void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let stopping = false;
  const stop = (reason: string): void => {
    if (stopping) return;
    stopping = true;
    collector.stop(reason).then(resolve, reject);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
    stop(signal);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGHUP', () => {
    collector.reload().then(
      (message) => log.info({}, message),
      (error: Error) => log.error({}, `reload refused, the old configuration stays: ${error.message}`),
    );
  });
  return { stopped: promise, stop };
}
