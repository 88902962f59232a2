import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export const CHECKOUT = join(import.meta.dirname, '../..');

/** A fenced block, or the code spans in the first column of a table. */
export interface Block {
  readonly kind: string;
  readonly text: string;
  /** Commands of it, comments left out; empty unless it is a shell block or a table of commands. */
  readonly commands: readonly string[];
  /** The ```text block directly behind it; undefined without one. */
  readonly shown?: string;
}

/** Everything of a README that can be typed or compared, in order. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  const pieces = markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$(?:\n\n```text\n([\s\S]*?)^```$)?|^(\|.*\|\n)+/gm);
  for (const [whole, kind, text = '', shown] of pieces) {
    if (kind === undefined) blocks.push({ kind: 'table', text: whole, commands: firstColumn(whole) });
    else
      blocks.push({
        kind,
        text,
        commands: kind === 'sh' ? lines(text) : [],
        ...(shown === undefined ? {} : { shown }),
      });
  }
  return blocks;
}

function firstColumn(table: string): string[] {
  return [...table.matchAll(/^\| `(weir [^`]+)` \|/gm)].map(([, command = '']) => command);
}

function lines(text: string): string[] {
  const typed = text.replace(/\\\n\s*/g, '').split('\n');
  return typed.map((line) => line.replace(/(^|\s+)#.*$/, '').trim()).filter(Boolean);
}

/** The same command however it is started. */
export function plainly(command: string): string {
  return command
    .replaceAll('npm run -s weir -- ', 'weir ')
    .replace('npm run -s demo', 'weir demo')
    .replace(/^npm start$/, 'weir start');
}

/** What two runs of the same thing have in common: times, numbers, sizes, paths and widths are taken out. */
export function normal(text: string, home = '/home/you'): string[] {
  return text
    .replaceAll(home, '/home/you')
    .replace(/listening on .*? ·/g, 'listening on ADDRESS ·')
    .replace(/\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b/g, 'Mon')
    .replace(/\b[0-9A-HJKMNP-TV-Z]{10}\b/g, 'REF')
    .replace(/\b\d+(?:\.\d+)?\b/g, 'N')
    .replace(/\bN [KMG]B\b/g, 'N B')
    .replace(/\b(just now|N (?:s|min|h) ago)\b/g, 'AGO')
    .replace(/\b(request|destination)s\b/g, '$1')
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter(Boolean);
}

/** Files below a directory, sockets left out. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
