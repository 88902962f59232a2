import { basename, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { createRunClient } from '../admin/client-runs.ts';
import { configFile, homely, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { refuseNewerState } from '../config/state-version.ts';
import { AGENT_NAME } from '../config/values.ts';
import type { ReportFacts } from '../model/report.ts';
import type { RunOpened, RunRequest } from '../model/run.ts';
import { type Cli, CliError, EXIT, type GlobalOptions, safe } from './context.ts';
import { canWatchDirect, watchDirect } from './direct-connections.ts';
import { isKept } from './keep.ts';
import { raiseMode, rememberMode } from './raise.ts';
import { receiptLines } from './receipt.ts';
import { type Background, chooseStateDir, startBackground } from './run-background.ts';
import { type ChildEnd, checkCommand, dieBy, openSignalDesk, runChild, type SignalDesk } from './run-child.ts';
import { childEnvironment, inheritedProxy } from './run-environment.ts';
import { type Lease, type LeaseOptions, takeLease } from './run-lease.ts';
import { secretVariables } from './run-secrets.ts';
import { inheritedRoots, type TrustFiles, writeTrust } from './run-trust.ts';

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

interface RunOptions extends GlobalOptions {
  readonly agent?: string;
  readonly mode?: string;
  readonly intercept?: string;
  readonly watchLocalhost?: boolean;
  readonly java?: boolean;
  readonly allProxy?: boolean;
  readonly linger?: string;
}

/** `weir run -- command`: the command with its traffic going through a background collector. */
export function runCommand(cli: Cli): Command {
  return new Command('run')
    .description('run a command through Weir and say afterwards where it went')
    .argument('[command...]', 'after --, so that its options stay its own')
    .usage('[options] -- <command> [args...]')
    .option('--agent <name>', "who the command is (default: the command's name)")
    .option('--mode <mode>', 'monitor | redact | enforce, for this run')
    .option('--intercept <what>', 'none | all | only:host,@llm | except:host (default: all)')
    .option('--watch-localhost', 'let requests to localhost go through Weir too')
    .option('--java', 'also for Java: JAVA_TOOL_OPTIONS with proxy and trust store')
    .option('--all-proxy', 'also set ALL_PROXY')
    .addOption(new Option('--linger <seconds>', 'how long the background collector outlives the last run').hideHelp())
    .action((words: string[], _: unknown, command: Command) => run(cli, words, command.optsWithGlobals<RunOptions>()));
}

interface Plan {
  readonly command: string;
  readonly args: readonly string[];
  readonly agent: string;
  readonly config: Config;
  readonly options: RunOptions;
  readonly stateDir: string;
  /** The state directory is this run's own and goes with it. */
  readonly ownState: boolean;
}

async function run(cli: Cli, words: readonly string[], options: RunOptions): Promise<void> {
  const plan = await makePlan(cli, words, options);
  // Node's own warnings too would land in the middle of a full-screen program.
  process.removeAllListeners('warning');
  const end = await session(cli, plan);
  cli.exit(end.code ?? EXIT.failure);
  if (end.signal !== undefined) dieBy(end.signal);
}

/** What is decided before the collector is asked. Throws CliError, ConfigError, StateError. */
async function makePlan(cli: Cli, words: readonly string[], options: RunOptions): Promise<Plan> {
  const [command, ...args] = words;
  if (command === undefined)
    throw new CliError('say which command to run: weir run -- <command> [args...]', EXIT.usage);
  const { env, cwd } = cli;
  const { config, warnings } = loadConfig({ env, cwd, flags: options });
  for (const warning of warnings) cli.note(warning);
  const agent = options.agent ?? (env['WEIR_AGENT'] || agentName(command));
  if (!AGENT_NAME.test(agent))
    throw new CliError(
      `${JSON.stringify(safe(agent))} is not an agent name: letters, digits, . _ -, at most 63.`,
      EXIT.usage,
    );
  checkCommand(command, env, cwd);
  refuseNewerState(config.state_dir);
  const { stateDir, refused } = chooseStateDir(config.state_dir);
  const plan: Plan = { command, args, agent, options, stateDir, config, ownState: refused !== undefined };
  if (refused !== undefined)
    cli.note(
      `state directory ${homely(config.state_dir)} cannot be used (${refused}): this run is recorded in memory only, and nothing stays but the receipt. Another: --state-dir`,
    );
  else {
    if (wanted(options.mode, env['WEIR_MODE']) !== undefined) await raiseMode(cli, config);
    rememberMode(config);
  }
  return plan;
}

/** The base name of the command, made a legal agent name. */
function agentName(command: string): string {
  const name = basename(command)
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63);
  return name === '' ? 'command' : name;
}

/** A flag or variable that was given; an empty one was not. */
function wanted(flag: string | undefined, variable: string | undefined): string | undefined {
  return flag ?? (variable === '' ? undefined : variable);
}

/** From the first line to the receipt. */
async function session(cli: Cli, plan: Plan): Promise<ChildEnd> {
  const failures: string[] = [];
  const survive = (error: Error): void => void failures.push(error.message);
  const own: Background[] = [];
  const roots = inheritedRoots(cli.env);
  let trust: TrustFiles | undefined;
  let lease: Lease | undefined;
  const signals = openSignalDesk(() => trust?.remove());
  try {
    lease = await takeLease(leaseOptions(cli, plan, roots, own));
    const { opened } = lease;
    if (opened.ca !== undefined)
      trust = writeTrust(plan.stateDir, opened.id, { ca: opened.ca, roots }, plan.options.java === true);
    cli.stderr.write(`${firstLine(plan.agent, opened)}\n`);
    // From here on a mistake of ours must not take the command's parent away.
    process.on('uncaughtException', survive);
    const watched = await runWatched(cli, plan, lease, trust, signals);
    const facts = await lease.end({ ...watched.end, directWatched: watched.direct });
    say(cli, plan, watched.end, facts);
    for (const failure of failures) cli.note(`weir run itself failed at something: ${safe(failure, 300)}`);
    return watched.end;
  } finally {
    process.removeListener('uncaughtException', survive);
    lease?.drop();
    trust?.remove();
    signals.close();
    if (plan.ownState) await Promise.all(own.map((background) => background.stop()));
  }
}

function leaseOptions(cli: Cli, plan: Plan, roots: readonly string[], own: Background[]): LeaseOptions {
  const { options, stateDir, config, agent, command, ownState } = plan;
  const { env } = cli;
  const request: RunRequest = {
    agent,
    program: safe(basename(command), 64),
    environment: inheritedProxy(env),
    ...(config.patterns.env_secrets === 'off' ? {} : { secrets: secretVariables(env) }),
    ...(wanted(options.mode, env['WEIR_MODE']) === undefined ? {} : { mode: config.mode }),
    ...(wanted(options.intercept, env['WEIR_INTERCEPT']) === undefined ? {} : { intercept: config.intercept }),
    ...(roots.length === 0 ? {} : { roots: roots.join('\n') }),
  };
  const file = configFile({ config: options.config }, env, cli.cwd);
  const start = (): Background => {
    const background = startBackground({
      stateDir,
      config: file === undefined ? undefined : resolve(cli.cwd, file),
      env,
      linger: options.linger,
      removeState: ownState,
    });
    own.push(background);
    return background;
  };
  const client = createRunClient({ stateDir, actor: 'cli weir run' });
  return { client, request, start, kept: () => isKept(stateDir) };
}

/** `weir  claude → 127.0.0.1:41234 · monitor · cooperative · what is read`. */
function firstLine(agent: string, { proxy, mode, containment, reads }: RunOpened): string {
  return [`weir  ${agent} → ${proxy}`, mode, containment, safe(reads, 300)].join(' · ');
}

/** Runs the command and looks for connections that go around Weir. */
async function runWatched(
  cli: Cli,
  plan: Plan,
  lease: Lease,
  trust: TrustFiles | undefined,
  signals: SignalDesk,
): Promise<{ end: ChildEnd; direct: boolean }> {
  const { command, args, agent, options } = plan;
  const { opened } = lease;
  const env = childEnvironment(cli.env, opened, trust, {
    agent,
    watchLocalhost: options.watchLocalhost === true,
    allProxy: options.allProxy === true,
    java: options.java === true,
  });
  let watch: ReturnType<typeof watchDirect> | undefined;
  const onStarted = (rootPid: number): void => {
    if (!canWatchDirect) return;
    watch = watchDirect({
      rootPid,
      // Runs have loopback ports, and loopback is never reported.
      ours: () => false,
      mark: `${agent}:x@${opened.proxy}`,
      onFound: (found) => lease.direct([found]),
    });
  };
  try {
    const end = await runChild({ command, args, env, cwd: cli.cwd, signals, onStarted });
    if (watch !== undefined) lease.direct(watch.stop());
    return { end, direct: watch !== undefined };
  } catch (error) {
    watch?.stop();
    await lease.end({ code: error instanceof CliError ? error.exit : EXIT.failure, directWatched: false });
    throw error;
  }
}

/** The receipt, on stderr: stdout is the command's alone. */
function say(cli: Cli, plan: Plan, end: ChildEnd, facts: ReportFacts | string): void {
  const { stderr } = cli;
  if (typeof facts === 'string') {
    const how = end.signal ?? `exit ${end.code}`;
    const rest = plan.ownState ? '' : ` What was recorded: weir report --agent ${plan.agent}`;
    stderr.write(`weir  ${plan.agent}  ${how}   no receipt: ${safe(facts, 300)}.${rest}\n`);
    return;
  }
  if (cli.options().json) {
    stderr.write(`${JSON.stringify(facts)}\n`);
    return;
  }
  const colour =
    stderr.isTTY === true && cli.options().color !== false && !cli.env['NO_COLOR'] && cli.env['TERM'] !== 'dumb';
  const lines = receiptLines(facts, {
    width: stderr.columns ?? 80,
    ...(colour ? { style: (name, text) => `\u001b[${CODES[name]}m${text}\u001b[0m` } : {}),
  });
  stderr.write(`${lines.join('\n')}\n`);
}
