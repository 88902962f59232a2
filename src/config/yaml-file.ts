import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type * as Yaml from 'yaml';
import type { LineCounter, Node, Pair } from 'yaml';
import { ConfigError, type ConfigProblem } from './problem.ts';

const require = createRequire(import.meta.url);

/** The parser takes its time to load, and most starts have no file. */
function yaml(): typeof Yaml {
  return require('yaml') as typeof Yaml;
}

/** Larger files are refused before they are parsed (threat W19). */
const MAX_FILE_BYTES = 1_048_576;
/** Aliases may multiply a document's nodes at most this often (yaml `maxAliasCount`). */
const MAX_ALIASES = 100;
const MAX_DEPTH = 64;

/** A YAML file read safely, with the line of every key. */
export interface YamlFile {
  readonly path: string;
  readonly value: unknown;
  /** 1-based line of the deepest part of the path that was written in this file. */
  line(path: readonly PropertyKey[]): number;
}

/**
 * Reads and parses one file. Throws ConfigError when it is missing, not a regular file, writable by others, too large,
 * or not clean YAML (duplicate keys, alias bombs, unknown tags, nesting deeper than 64).
 * @param display how the file is called in messages
 */
export function readYamlFile(path: string, display: string): YamlFile {
  const text = readGuarded(path, display);
  const { LineCounter, parseDocument, visit, isScalar } = yaml();
  const lines = new LineCounter();
  try {
    checkDepth(text);
    const document = parseDocument(text, { lineCounter: lines, strict: true, merge: false, logLevel: 'error' });
    const problems: ConfigProblem[] = [...document.errors, ...document.warnings].map((error) => {
      const line = error.linePos?.[0].line ?? 1;
      return fileProblem(`${display}:${line}`, yamlSentence(error.code, error.message));
    });
    if (problems.length > 0) throw new ConfigError(problems);
    visit(document, {
      Pair: (_, pair) => {
        if (isScalar(pair.key) && pair.key.value === '__proto__')
          throw new ConfigError([
            fileProblem(`${display}:${lineOf(pair.key, lines)}`, 'the key "__proto__" is not allowed'),
          ]);
      },
    });
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    const root = document.contents as Node | null;
    return { path, value: value ?? {}, line: (key) => findLine(root, key, lines) };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([fileProblem(display, `is not usable YAML: ${(error as Error).message.split('\n')[0]}`)]);
  }
}

/** A value as YAML, one entry a line however long. */
export function yamlText(value: unknown): string {
  return yaml().stringify(value, { lineWidth: 0 });
}

function fileProblem(where: string, text: string): ConfigProblem {
  return { where, key: '', message: `${where}: ${text}` };
}

/** A parser that recurses must never be handed a document that nests without end. */
function checkDepth(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x5b || c === 0x7b) depth++;
    else if (c === 0x5d || c === 0x7d) depth--;
    if (depth > MAX_DEPTH) throw new Error(`nested deeper than ${MAX_DEPTH}`);
  }
}

function yamlSentence(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'the same key stands twice in one map; keep one of them';
  if (code === 'TAB_AS_INDENT') return 'a tab is used as indentation; YAML wants spaces';
  return `is not YAML: ${message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? ''}`;
}

function lineOf(node: unknown, lines: LineCounter): number {
  const range = (node as Node | null)?.range;
  return range ? lines.linePos(range[0]).line : 1;
}

function findLine(root: Node | null, path: readonly PropertyKey[], lines: LineCounter): number {
  const { isMap, isScalar } = yaml();
  let node: unknown = root;
  let line = 1;
  for (const part of path) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(
        (item) => isScalar(item.key) && String(item.key.value) === String(part),
      );
      if (!pair) return line;
      line = lineOf(pair.key, lines);
      node = pair.value;
    } else if (typeof part === 'number' && typeof node === 'object' && node !== null && 'items' in node) {
      node = (node as { items: unknown[] }).items[part];
      if (node === undefined) return line;
      line = lineOf(node, lines);
    } else return line;
  }
  return line;
}

/** Reads a small regular file that nobody else may change. The open descriptor is what is judged and read. */
function readGuarded(path: string, display: string): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new ConfigError([fileProblem(display, openSentence(error as NodeJS.ErrnoException))]);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new ConfigError([fileProblem(display, 'is not a regular file')]);
    if (stats.size > MAX_FILE_BYTES)
      throw new ConfigError([
        fileProblem(display, `is larger than ${MAX_FILE_BYTES} bytes; this cannot be a configuration`),
      ]);
    refuseWritable(path, display, stats);
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let n = -1; n !== 0 && length < buffer.length; length += n)
      n = readSync(fd, buffer, length, buffer.length - length, null);
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(fd);
  }
}

function openSentence(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'there is no such file';
  if (error.code === 'EACCES') return 'cannot be read: permission denied';
  return `cannot be read: ${error.code ?? error.message}`;
}

function refuseWritable(path: string, display: string, stats: Stats): void {
  if (process.platform === 'win32') return;
  if (writableByOthers(stats))
    throw new ConfigError([fileProblem(display, `can be changed by other users; make it yours: chmod go-w ${path}`)]);
  const directory = dirname(realpathSync(path));
  const parent = statSync(directory);
  // A sticky directory (/tmp) lets nobody replace a file of ours.
  if (writableByOthers(parent) && (parent.mode & 0o1000) === 0 && !isReadOnly(directory))
    throw new ConfigError([
      fileProblem(
        display,
        `its directory can be changed by other users, who could replace it: chmod go-w ${directory}`,
      ),
    ]);
}

/** Writable by everybody, or by a group that is neither root's nor this process's own. */
function writableByOthers(stats: Stats): boolean {
  if ((stats.mode & 0o002) !== 0) return true;
  return (stats.mode & 0o020) !== 0 && stats.gid !== 0 && stats.gid !== process.getegid?.();
}

/** Mounted configuration (Kubernetes) is 0777 on a read-only file system: nobody can write there. */
function isReadOnly(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS';
  }
}
