import {
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { table } from './table.ts';

/** Beside both `src` and `dist`. */
const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

interface Example {
  readonly name: string;
  /** First heading of its README. */
  readonly title: string;
}

/** `weir init <example> [dir]`: copies an example and says what to type next; without a name it lists them. */
export function initCommand(cli: Cli): Command {
  return new Command('init')
    .description('copy an example here; without a name: list them')
    .argument('[example]')
    .argument('[dir]', 'where to; default: a directory of that name')
    .action((name?: string, dir?: string) => {
      const examples = examplesIn(EXAMPLES);
      if (name === undefined) {
        cli.print(examples, () => listText(examples));
        return;
      }
      if (!examples.some((example) => example.name === name)) throw unknown(name, examples);
      const target = resolve(cli.cwd, dir ?? name);
      const files = copyExample(name, target, cli.cwd);
      cli.print({ example: name, dir: target, files }, () => copiedText(name, target, files, cli.cwd));
    });
}

function examplesIn(root: string): Example[] {
  let names: string[];
  try {
    names = readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    throw new CliError(`the examples are not where they belong (${root}): ${(error as Error).message}`);
  }
  return names.map((name) => ({ name, title: /^# (.+)$/m.exec(readme(join(root, name)))?.[1]?.trim() ?? '' }));
}

function readme(dir: string): string {
  const file = join(dir, 'README.md');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

function listText(examples: readonly Example[]): string {
  const list = table(examples, [
    { name: 'EXAMPLE', cell: (e) => e.name },
    { name: 'WHAT IT IS', cell: (e) => e.title, max: 100 },
  ]);
  return `${list}\n\nCopy one here: weir init ${examples[0]?.name ?? 'EXAMPLE'}`;
}

function unknown(name: string, examples: readonly Example[]): CliError {
  return new CliError(
    `there is no example ${safe(name)}. There are: ${examples.map((e) => e.name).join(', ')}`,
    EXIT.usage,
  );
}

/** Copies the regular files of a directory. Nothing is written when one of them is in the way, and nothing is ever overwritten. */
function copyExample(name: string, to: string, cwd: string): string[] {
  const from = join(EXAMPLES, name);
  const files = readdirSync(from, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(from, join(entry.parentPath, entry.name)))
    .sort();
  const inWay = files.flatMap((file) => obstacle(to, file));
  if (inWay.length > 0) throw taken(name, inWay, cwd);
  for (const file of files) {
    const target = join(to, file);
    try {
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(join(from, file), target, constants.COPYFILE_EXCL);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(name, [target], cwd);
      throw new CliError(`${safe(target, 300)} cannot be written: ${(error as Error).message}`);
    }
  }
  return files;
}

/** The file itself, or what stands where one of its directories belongs. */
function obstacle(to: string, file: string): string[] {
  // The directory a person names may be a link; inside it nothing may lead elsewhere.
  if (lstatSync(to, { throwIfNoEntry: false }) === undefined) return [];
  if (statSync(to, { throwIfNoEntry: false })?.isDirectory() !== true) return [to];
  const inner: string[] = [];
  for (let dir = dirname(file); dir !== '.'; dir = dirname(dir)) inner.unshift(join(to, dir));
  const blocked = inner.find((dir) => lstatSync(dir, { throwIfNoEntry: false })?.isDirectory() === false);
  if (blocked !== undefined) return [blocked];
  const target = join(to, file);
  return lstatSync(target, { throwIfNoEntry: false }) === undefined ? [] : [target];
}

function taken(name: string, paths: readonly string[], cwd: string): CliError {
  const names = [...new Set(paths)].map((path) => safe(shown(path, cwd), 300));
  const [verb, what] = names.length === 1 ? ['is', 'it'] : ['are', 'them'];
  return new CliError(
    `${names.join(', ')} ${verb} in the way; nothing is overwritten. Move ${what}, or name another directory: weir init ${name} DIR`,
  );
}

function shown(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near === '' ? '.' : near.startsWith('..') ? path : near;
}

function copiedText(name: string, target: string, files: readonly string[], cwd: string): string {
  const where = safe(shown(target, cwd), 300);
  const next = /^```[^\n]*\n([\s\S]*?)^```/m.exec(readme(join(EXAMPLES, name)))?.[1]?.trimEnd();
  const head = [`${name} is in ${where}:`, ...files.map((file) => `  ${file}`)];
  if (next === undefined) return head.join('\n');
  return [
    ...head,
    '',
    `Next (more in ${where}/README.md):`,
    '',
    ...next.split('\n').map((line) => `  ${line}`.trimEnd()),
  ].join('\n');
}
