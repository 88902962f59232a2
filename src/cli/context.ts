import { userInfo } from 'node:os';
import type { AdminClient } from '../admin/client.ts';
import { homely, loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/problem.ts';
import { printable } from '../model/printable.ts';

/** Documented exit codes; scripts rely on them. */
export const EXIT = {
  ok: 0,
  failure: 1,
  /** Wrong usage or configuration. */
  usage: 2,
  /** No collector is running. */
  noCollector: 3,
  /** The command worked and found something wrong (check, doctor, verify). */
  found: 4,
} as const;

/** A failure worded for people; main.ts prints `weir: <message>` and ends with the code. */
export class CliError extends Error {
  readonly exit: number;
  constructor(message: string, exit: number = EXIT.failure, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exit = exit;
  }
}

/** Options every command takes. */
export interface GlobalOptions {
  readonly config?: string;
  readonly stateDir?: string;
  readonly json?: boolean;
  readonly color?: boolean;
}

/** Streams and environment of one run, replaceable in tests. */
export interface World {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly cwd: string;
}

/** What commands work with. */
export interface Cli extends World {
  readonly version: string;
  options(): GlobalOptions;
  /** Prints `value` as JSON with --json, else the human text. */
  print(value: unknown, human: () => string): void;
  /** A line on stderr that is no error. */
  note(text: string): void;
  style(name: StyleName, text: string): string;
  stateDir(): string;
  /** Who asks, for audit rows. */
  readonly actor: string;
  client(): Promise<AdminClient>;
  /** Runs with a connected client and closes it on every exit. */
  withClient<T>(use: (client: AdminClient) => Promise<T>): Promise<T>;
  exit(code: number): void;
}

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
type StyleName = keyof typeof STYLES;

/** Makes the context of one run. `options` is asked late: commander fills it while parsing. */
export function createCli(
  world: World,
  version: string,
  options: () => GlobalOptions,
  exit: (code: number) => void,
): Cli {
  const colour = (): boolean =>
    options().color !== false && world.stdout.isTTY === true && !world.env['NO_COLOR'] && world.env['TERM'] !== 'dumb';
  const cli: Cli = {
    ...world,
    version,
    options,
    exit,
    print: (value, human) => {
      const text = options().json ? JSON.stringify(value, undefined, 2) : human();
      if (text !== '') world.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
    },
    note: (text) => void world.stderr.write(`weir: ${indent(text)}\n`),
    style: (name, text) => (colour() ? `\u001b[${STYLES[name]}m${text}\u001b[0m` : text),
    stateDir: () => findStateDir(world, options(), cli.note),
    actor: `cli ${userName()}`,
    client: async () => {
      // Loaded here: commands that need no collector start faster without the HTTP client.
      const { createAdminClient } = await import('../admin/client.ts');
      return createAdminClient({ stateDir: cli.stateDir(), actor: cli.actor });
    },
    withClient: async (use) => {
      const client = await cli.client();
      try {
        return await use(client);
      } finally {
        await client.close();
      }
    },
  };
  return cli;
}

/** Continuation lines stand under the first, as in the error lines of the threat model. */
export function indent(text: string): string {
  return text.replaceAll('\n', '\n      ');
}

/** Network text for a terminal or table cell. */
export function safe(text: string | number | undefined, max = 80): string {
  return text === undefined ? '' : printable(String(text), max);
}

function findStateDir(world: World, options: GlobalOptions, note: (text: string) => void): string {
  const flags = { config: options.config, stateDir: options.stateDir };
  try {
    return loadConfig({ env: world.env, cwd: world.cwd, flags }).config.state_dir;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // A running collector must stay reachable while its file is being edited: only a directory named outright still counts.
    const named = options.stateDir ?? world.env['WEIR_STATE_DIR'];
    if (!named) throw error;
    note(`the configuration has errors (weir check --config), using ${homely(named)}`);
    const onlyDir = { HOME: world.env['HOME'], XDG_CONFIG_HOME: '/nonexistent' };
    return loadConfig({ env: onlyDir, cwd: world.cwd, flags: { stateDir: named } }).config.state_dir;
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`;
  }
}
