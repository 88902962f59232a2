import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { cleanEnv, type Weir } from './weir.ts';

const run = promisify(execFile);
const BIN = join(import.meta.dirname, '../../src/cli/bin.ts');
export const EXAMPLES = join(import.meta.dirname, '../../examples');

/** A file of the examples. */
export function example(...path: string[]): string {
  return readFileSync(join(EXAMPLES, ...path), 'utf8');
}

/** The configuration as Weir reads it. Throws ConfigError; warnings are errors here. */
export async function configOf(text: string, env: Readonly<Record<string, string>> = {}): Promise<Config> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-example-'));
  try {
    const file = join(directory, 'weir.yaml');
    await writeFile(file, text, { mode: 0o600 });
    const { config, warnings } = loadConfig({ env: { HOME: directory, WEIR_CONFIG: file, ...env }, flags: {} });
    if (warnings.length > 0) throw new Error(warnings.join('\n'));
    return config;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * What `weir env --docker` prints, for another proxy address and for a bundle at another place. `bundle` may be undefined:
 * then no bundle variable may be printed.
 */
export async function dockerEnv(
  weir: Weir,
  agent: string,
  proxy: string,
  bundle?: string,
): Promise<Record<string, string>> {
  const { stdout, stderr, code } = await weir.cli(['env', '--docker', '--agent', agent, '--json']);
  if (code !== 0) throw new Error(stderr);
  const printed = JSON.parse(stdout) as Record<string, string>;
  const own = printed['NODE_EXTRA_CA_CERTS'];
  const wanted = Object.entries(printed).map(([name, value]) => {
    if (own !== undefined && value === own) return [name, bundle ?? `unexpected ${own}`];
    return [name, value.replace(`host.docker.internal:${weir.port}`, proxy)];
  });
  return Object.fromEntries(wanted) as Record<string, string>;
}

/** KEY=value lines, comments left out. */
export function envLines(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

/** Lines of the code blocks of a README, continuation lines joined, comments behind two spaces removed. */
export function typed(readme: string): string[] {
  const blocks = [...readme.matchAll(/^```\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '');
  return blocks.flatMap((block) =>
    block
      .replace(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.replace(/ {2,}#.*$/, '').trim())
      .filter(Boolean),
  );
}

/**
 * Every `weir …` command in the text (also after `--`, `exec …` or in `$(…)`) that the command line does not know, with the
 * option it does not know. Asks `--help` of each command once.
 */
export async function unknownCommands(lines: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  const helps = new Map<string, string>();
  const help = async (words: readonly string[]): Promise<string> => {
    const key = words.join(' ');
    const known = helps.get(key);
    if (known !== undefined) return known;
    const { stdout } = await run(process.execPath, [BIN, ...words, '--help'], { env: cleanEnv() }).catch(() => ({
      stdout: '',
    }));
    helps.set(key, stdout);
    return stdout;
  };
  for (const line of lines) {
    for (const [, text = ''] of line.matchAll(
      /(?:^|\bexec (?:-i )?\S+ (?:-- )?|bin\/|\$\(|&& )weir ([a-z][^|>)"]*)/g,
    )) {
      const [own = ''] = text.split(' -- ');
      const [command = '', sub = '', ...rest] = own.split(/\s+/).filter(Boolean);
      const nested = new RegExp(`^  ${sub}\\b`, 'm').test((await help([command])).split('Commands:')[1] ?? '');
      const usage = await help(nested ? [command, sub] : [command]);
      if (!usage.includes(`Usage: weir ${command}`)) problems.push(`${line}: there is no weir ${command}`);
      for (const word of nested ? rest : [sub, ...rest]) {
        const option = word.split('=')[0] ?? '';
        if (option.startsWith('-') && !new RegExp(`(?:^|[ ,])${option}\\b`, 'm').test(usage))
          problems.push(`${line}: weir ${command} has no ${option}`);
      }
    }
  }
  return problems;
}
