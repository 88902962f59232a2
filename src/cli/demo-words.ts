import { stripVTControlCharacters } from 'node:util';
import { safe } from './context.ts';
import type { Part } from './demo-acts.ts';

/** Characters per line. */
const WIDTH = 100;
const INDENT = '  ';
const HANG = '    ';
/** Longest line of an answer that is shown; Weir's own refusals are far shorter. */
const QUOTED = 2000;

type Style = (name: 'bold' | 'cyan' | 'dim', text: string) => string;

/** A part as lines for people; '' when there is nothing to print. */
export function partText(part: Part, style: Style): string {
  if ('say' in part) return fold(part.say);
  if ('quote' in part) return fold(lines(part.quote), INDENT, HANG);
  if (!('command' in part)) return '';
  const command = fold(style('cyan', `$ ${part.command}`), INDENT, HANG);
  return `${command}\n${fold(part.output.trimEnd(), INDENT, HANG)}`;
}

/** A command as one would type it: words with blanks in double quotes. */
export function commandText(args: readonly string[]): string {
  return ['weir', ...args.map((word) => (/^[\w./:@=-]+$/.test(word) ? word : `"${word}"`))].join(' ');
}

/** Text of many lines, each made printable. */
export function lines(text: string): string {
  return text
    .split('\n')
    .map((line) => safe(line, QUOTED))
    .join('\n');
}

/**
 * Lines of at most 100 columns, `indent` before each, continued `hang` further in. Broken at blanks and between the members
 * of JSON where there are some; runs of blanks inside a line stay, they align tables. Escape sequences take no room.
 */
export function fold(text: string, indent = '', hang = ''): string {
  return text
    .split('\n')
    .flatMap((line) => foldLine(line, indent, indent + hang))
    .join('\n');
}

function foldLine(line: string, first: string, next: string): string[] {
  const folded: string[] = [];
  let current = first;
  let blank = true;
  for (const piece of line.split(/( +|(?<=",)(?="))/)) {
    const text = piece.trim() !== '';
    if (!blank && text && width(current) + width(piece) > WIDTH) {
      folded.push(current.trimEnd());
      current = next;
      blank = true;
    }
    let rest = piece;
    while (blank && text && width(current) + width(rest) > WIDTH) {
      const room = WIDTH - width(current);
      folded.push(current + rest.slice(0, room));
      rest = rest.slice(room);
      current = next;
    }
    current += rest;
    if (text) blank = false;
  }
  folded.push(current.trimEnd());
  return folded;
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}
