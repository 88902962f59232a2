import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { join, relative } from 'node:path';

/**
 * `npm test [-- words and flags]`: node's own test runner over test/**\/*.test.ts. A word keeps the files whose path
 * contains it (`npm test -- unit/config`), a path or glob is taken as it is, flags go to node (`--test-name-pattern=…`).
 */
const root = join(import.meta.dirname, '..');
const given = process.argv.slice(2);
const flags = given.filter((arg) => arg.startsWith('-'));
const words = given.filter((arg) => !arg.startsWith('-'));
const all = globSync('test/**/*.test.ts', { cwd: root }).sort();
const files = words.length === 0 ? all : [...new Set(words.flatMap(select))];

function select(word: string): string[] {
  if (word.includes('*')) return globSync(word, { cwd: root });
  const path = relative(root, join(root, word));
  return all.filter((file) => file === path || file.includes(word));
}

if (files.length === 0) {
  process.stderr.write(`no test file matches ${words.join(' ')}\n`);
  process.exit(1);
}

// A test that waits for ever fails after five minutes. Several tests measure event-loop turns or memory of their own process: more files at once than cores would blur them.
const settings = [
  '--disable-sigusr1',
  '--test',
  '--test-timeout=300000',
  '--test-concurrency=2',
  '--test-reporter=spec',
];
const child = spawn(process.execPath, [...settings, ...flags, ...files], { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)));
