import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, extname, isAbsolute, join } from 'node:path';
import { ConfigError, type Locate } from './problem.ts';
import { AGENT_KEY } from './values.ts';
import { readYamlFile, type YamlFile } from './yaml-file.ts';

/** Where each value came from, weakest first. */
export interface Layers {
  readonly file: YamlFile | undefined;
  /** How the file is called in messages; '' without one. */
  readonly display: string;
  readonly agentFiles: ReadonlyMap<string, { readonly source: YamlFile; readonly display: string }>;
  readonly variables: ReadonlyMap<string, unknown>;
  readonly flags: ReadonlyMap<string, unknown>;
}

/** Reads `agents_dir`: one `<agent>.yaml` per agent. Sorted, so errors come in the same order everywhere. */
export function agentFiles(
  directory: unknown,
  configFile: string,
  display: (path: string) => string,
): Layers['agentFiles'] {
  const files = new Map<string, { source: YamlFile; display: string }>();
  if (typeof directory !== 'string' || directory === '') return files;
  const expanded = directory.startsWith('~/') ? join(homedir(), directory.slice(2)) : directory;
  const path = isAbsolute(expanded) ? expanded : join(dirname(configFile), expanded);
  let names: string[];
  try {
    names = readdirSync(path).sort();
  } catch (error) {
    const where = display(path);
    const code = (error as NodeJS.ErrnoException).code;
    throw new ConfigError([{ where, key: 'agents_dir', message: `agents_dir ${where} cannot be read: ${code}` }]);
  }
  for (const name of names) {
    if (!/\.ya?ml$/.test(name) || name.startsWith('.')) continue;
    const agent = basename(name, extname(name));
    const shown = display(join(path, name));
    if (!AGENT_KEY.test(agent) || files.has(agent)) {
      const text = files.has(agent) ? `agent ${agent} has two files` : 'the file name is not an agent name';
      throw new ConfigError([{ where: shown, key: `agents.${agent}`, message: `${shown}: ${text}` }]);
    }
    files.set(agent, { source: readYamlFile(join(path, name), shown), display: shown });
  }
  return files;
}

/** Says where a key was written: flag › variable › agents_dir file › file › "defaults". */
export function locator(layers: Layers, variables: Readonly<Record<string, string>>): Locate {
  return (path) => {
    const head = String(path[0] ?? '');
    const flag = head === 'state_dir' ? 'stateDir' : head;
    if (layers.flags.has(head)) return head === 'state_dir' ? '--state-dir' : `--${head}`;
    if (layers.variables.has(head)) return variables[flag] ?? head;
    const own = head === 'agents' ? layers.agentFiles.get(String(path[1] ?? '')) : undefined;
    if (own) return `${own.display}:${own.source.line(path.slice(2))}`;
    return layers.file ? `${layers.display}:${layers.file.line(path)}` : 'defaults';
  };
}
