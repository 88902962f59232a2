import { existsSync } from 'node:fs';
import { homedir, networkInterfaces } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { agentFiles, type Layers, locator } from './layers.ts';
import { listenProblems } from './listen.ts';
import { absolutePaths, readTokens } from './paths.ts';
import { ConfigError, type Locate, problemsOf } from './problem.ts';
import { type Config, type ConfigInput, configSchema } from './schema.ts';
import { readYamlFile } from './yaml-file.ts';

/** Values of command line flags, as typed. Absent = not given. */
export interface ConfigFlags {
  readonly config?: string | undefined;
  readonly mode?: string | undefined;
  readonly listen?: string | readonly string[] | undefined;
  readonly intercept?: string | undefined;
  readonly agent?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly admin?: string | undefined;
}

export interface LoadOptions {
  readonly flags?: ConfigFlags;
  readonly env?: NodeJS.ProcessEnv;
  /** Base of relative paths given by flags and variables. */
  readonly cwd?: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The file that was read; absent when there was none. */
  readonly file?: string;
  /** Worth saying, not wrong: `WEIR_` variables that mean nothing. */
  readonly warnings: readonly string[];
}

const FLAGS = ['mode', 'listen', 'intercept', 'agent', 'stateDir', 'admin'] as const;
const VARIABLES: Readonly<Record<(typeof FLAGS)[number], string>> = {
  mode: 'WEIR_MODE',
  listen: 'WEIR_LISTEN',
  intercept: 'WEIR_INTERCEPT',
  agent: 'WEIR_AGENT',
  stateDir: 'WEIR_STATE_DIR',
  admin: 'WEIR_ADMIN',
};

/**
 * Reads the configuration: flags › WEIR_* › file › defaults. The file is `--config`, WEIR_CONFIG or
 * `$XDG_CONFIG_HOME/weir/weir.yaml`, never one of the working directory (threat W10). Relative paths of the file are
 * relative to it. Throws ConfigError with every problem at once.
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const env = options.env ?? process.env;
  const cwd = options.cwd ?? process.cwd();
  const flags = options.flags ?? {};
  const file = configFile(flags, env, cwd);
  const source = file === undefined ? undefined : readYamlFile(file, homely(file));
  const root = source?.value ?? {};
  if (typeof root !== 'object' || root === null || Array.isArray(root)) {
    const where = homely(file ?? '');
    throw new ConfigError([{ where, key: '', message: `${where}: must be a map of keys (mode: …, listen: …)` }]);
  }
  const layers: Layers = {
    file: source,
    display: homely(file ?? ''),
    agentFiles: agentFiles((root as Record<string, unknown>)['agents_dir'], file ?? cwd, homely),
    variables: layer(env, (name) => env[VARIABLES[name]] || undefined),
    flags: layer(env, (name) => flags[name]),
  };
  const raw = merge(root as Record<string, unknown>, layers);
  if (raw['state_dir'] === undefined || raw['state_dir'] === null) raw['state_dir'] = defaultStateDir(env);
  // The default asks for both loopbacks; a machine or container without IPv6 is no mistake of the operator's.
  if (raw['listen'] === undefined && !hasIpv6Loopback()) raw['listen'] = ['127.0.0.1:8080'];
  const locate = locator(layers, VARIABLES);
  const parsed = absolutePaths(parseConfig(raw, locate), layers, file, cwd, env);
  const config = readTokens(parsed, locate);
  return { config, ...(file === undefined ? {} : { file }), warnings: unknownVariables(env) };
}

/** Validates an already merged object. Throws ConfigError. */
export function parseConfig(raw: unknown, locate: Locate | string = 'configuration'): Config {
  const where: Locate = typeof locate === 'string' ? () => locate : locate;
  const result = configSchema.safeParse(raw);
  if (!result.success) throw new ConfigError(problemsOf(result.error, raw, where));
  const problems = listenProblems(result.data, where);
  if (problems.length > 0) throw new ConfigError(problems);
  return result.data;
}

/** The defaults with these keys changed, validated, without reading a file or a variable; `state_dir` stays as given. */
export function defaultConfig(input: ConfigInput = {}): Config {
  return parseConfig({ state_dir: defaultStateDir(process.env), ...input }, 'defaults');
}

/** `$XDG_STATE_HOME/weir`, else `~/.local/state/weir`. Relative XDG values are ignored, as the XDG specification asks. */
function defaultStateDir(env: NodeJS.ProcessEnv): string {
  const base = env['XDG_STATE_HOME'];
  return base !== undefined && isAbsolute(base) ? join(base, 'weir') : join(home(env), '.local', 'state', 'weir');
}

/** The file that would be read, or undefined when there is none and none was asked for. */
export function configFile(flags: ConfigFlags, env: NodeJS.ProcessEnv, cwd: string): string | undefined {
  const named = flags.config ?? (env['WEIR_CONFIG'] || undefined);
  if (named !== undefined) return isAbsolute(named) ? named : join(cwd, named);
  const base = env['XDG_CONFIG_HOME'];
  const directory = base !== undefined && isAbsolute(base) ? base : join(home(env), '.config');
  const path = join(directory, 'weir', 'weir.yaml');
  return existsSync(path) ? path : undefined;
}

function hasIpv6Loopback(): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
}

function home(env: NodeJS.ProcessEnv): string {
  try {
    return env['HOME'] || homedir();
  } catch {
    // A uid without a passwd entry has none (containers).
    return '/';
  }
}

/** A path with the home directory as `~`, as people read it. */
export function homely(path: string): string {
  const base = home(process.env);
  return base.length > 1 && path.startsWith(`${base}/`) ? `~${path.slice(base.length)}` : path;
}

function layer(
  env: NodeJS.ProcessEnv,
  read: (name: (typeof FLAGS)[number]) => string | readonly string[] | undefined,
): ReadonlyMap<string, unknown> {
  const found = new Map<string, unknown>();
  for (const name of FLAGS) {
    const given = read(name);
    if (given === undefined) continue;
    const key = name === 'stateDir' ? 'state_dir' : name;
    found.set(key, interpret(name, given, env));
  }
  return found;
}

/** `a:1,b:2` → list; `only:a,b` → {only}; a TCP admin address → {listen}. */
function interpret(name: string, given: string | readonly string[], env: NodeJS.ProcessEnv): unknown {
  const text = typeof given === 'string' ? given : given.join(',');
  if (name === 'listen') return split(text);
  if (name === 'admin') return { listen: text };
  if (name === 'stateDir') return expandHome(text, env);
  const choice = name === 'intercept' ? /^(only|except)[:=](.*)$/.exec(text) : null;
  return choice ? { [String(choice[1])]: split(String(choice[2])) } : text;
}

/** `~` and `~/x` against $HOME. */
function expandHome(path: string, env: NodeJS.ProcessEnv): string {
  if (path === '~') return home(env);
  return path.startsWith('~/') ? join(home(env), path.slice(2)) : path;
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function merge(root: Record<string, unknown>, layers: Layers): Record<string, unknown> {
  const raw: Record<string, unknown> = { ...root };
  if (layers.agentFiles.size > 0) {
    const inline = raw['agents'] ?? {};
    if (typeof inline === 'object' && !Array.isArray(inline)) {
      const agents: Record<string, unknown> = { ...inline };
      for (const [name, file] of layers.agentFiles) {
        if (Object.hasOwn(agents, name)) {
          const where = file.display;
          throw new ConfigError([
            {
              where,
              key: `agents.${name}`,
              message: `agent ${name} is defined in ${where} and in ${layers.display}; keep one`,
            },
          ]);
        }
        agents[name] = file.source.value;
      }
      raw['agents'] = agents;
    }
  }
  for (const values of [layers.variables, layers.flags]) for (const [key, value] of values) raw[key] = value;
  return raw;
}

function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  const known = new Set<string>(['WEIR_CONFIG', ...Object.values(VARIABLES)]);
  // Kubernetes makes WEIR_PORT…, WEIR_SERVICE_… for a service named weir.
  return Object.keys(env)
    .filter((name) => name.startsWith('WEIR_') && !known.has(name) && !/^WEIR_(SERVICE_|PORT)/.test(name))
    .map((name) => `${name} means nothing to Weir (known: ${[...known].sort().join(', ')})`);
}
