import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { Layers } from './layers.ts';
import { ConfigError, type ConfigProblem, type Locate } from './problem.ts';
import type { AgentConfig, Config } from './schema.ts';

/** Makes every file name absolute: those of the file against its directory, `state_dir` of a flag against the working directory. */
export function absolutePaths(
  config: Config,
  layers: Layers,
  file: string | undefined,
  cwd: string,
  env: NodeJS.ProcessEnv,
): Config {
  const base = file === undefined ? cwd : dirname(file);
  const home = env['HOME'] || homedir();
  const against = (directory: string, path: string): string => {
    if (path === '~' || path.startsWith('~/')) return join(home, path.slice(1));
    return isAbsolute(path) ? path : resolve(directory, path);
  };
  const full = (path: string): string => against(base, path);
  const some = (path: string | undefined): string | undefined => (path === undefined ? undefined : full(path));
  const given = layers.flags.has('state_dir') || layers.variables.has('state_dir');
  const stateDir = against(given ? cwd : base, config.state_dir);
  return {
    ...config,
    state_dir: stateDir,
    store: { ...config.store, path: against(stateDir, config.store.path) },
    agents_dir: some(config.agents_dir),
    listen: config.listen.map((entry) => ({
      ...entry,
      tls: entry.tls && { cert: full(entry.tls.cert), key: full(entry.tls.key), client_ca: some(entry.tls.client_ca) },
    })),
    upstream: { ...config.upstream, ca_file: some(config.upstream.ca_file) },
    baseline: { ...config.baseline, seed: some(config.baseline.seed) },
    patterns: {
      ...config.patterns,
      directories: config.patterns.directories.map(full),
      secrets_file: some(config.patterns.secrets_file),
    },
    policies: { ...config.policies, files: config.policies.files.map(full) },
    agents: new Map(
      [...config.agents].map(([name, agent]): [string, AgentConfig] => [
        name,
        { ...agent, token_file: some(agent.token_file) },
      ]),
    ),
  };
}

const MIN_TOKEN = 8;

/** Puts the first line of each `token_file` into `token`. Throws ConfigError (never with a token in it). */
export function readTokens(config: Config, locate: Locate): Config {
  const problems: ConfigProblem[] = [];
  const agents = new Map<string, AgentConfig>();
  for (const [name, agent] of config.agents) {
    const fail = (text: string): void => {
      const where = locate(['agents', name, 'token_file']);
      problems.push({
        where,
        key: `agents.${name}.token_file`,
        message: `agents.${name}.token_file in ${where}: ${text}`,
      });
    };
    agents.set(name, agent);
    if (agent.token_file === undefined) continue;
    if (agent.token !== undefined) fail('token and token_file are both given; keep one');
    else {
      const token = firstLine(agent.token_file, fail);
      if (token !== undefined) agents.set(name, { ...agent, token });
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { ...config, agents };
}

function firstLine(path: string, fail: (text: string) => void): string | undefined {
  try {
    if (!statSync(path).isFile()) {
      fail('is not a regular file');
      return undefined;
    }
    const token = readFileSync(path, 'utf8').split(/\r?\n/, 1)[0]?.trim() ?? '';
    if (token.length >= MIN_TOKEN) return token;
    fail(`the first line must be a token of at least ${MIN_TOKEN} characters`);
  } catch (error) {
    fail(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  return undefined;
}
