import { buildWalk, type Keyword } from './aho-corasick.ts';
import { type Node, parseExpression } from './expression.ts';
import { explore, locate, type Range, type Reading } from './locate.ts';
import { lengths, type Measures, measure } from './measure.ts';
import type { PatternSource } from './pattern.ts';

/** Longest match a pattern may have: a PEM block of an RSA key of 16384 bits and its frame. */
const LONGEST = 20_480;
/** Ways one start may be tried. */
const MOST_WAYS = 4096;
const LONGEST_BEHIND = 256;
const LONGEST_AHEAD = 2048;
/** Repetitions of more than a single byte cost stack. */
const MOST_ROUNDS = 512;

/** A pattern that passed: everything the compiler needs to know about its expression. */
export interface Linted {
  readonly node: Node;
  readonly measures: Measures;
  /** Keywords as bytes, in the order of `places`. */
  readonly keywords: readonly Keyword[];
  /** Where keyword i, or the trigger (i = 0), can begin relative to the start of a match. */
  readonly places: readonly Range[];
  /** Lengths of the first run of digits, as `CompiledPattern.runs`. */
  readonly runs: number;
}

function repetitions(node: Node): void {
  if (node.type === 'sequence' || node.type === 'choice') node.items.forEach(repetitions);
  if (node.type === 'look' || node.type === 'secret') repetitions(node.item);
  if (node.type !== 'repeat') return;
  repetitions(node.item);
  if (node.max === Number.POSITIVE_INFINITY) throw new Error('it has a gap without end (*, + or {n,}); write {0,200}');
  if (node.max > 1 && lengths(node.item)[0] === 0) throw new Error('it repeats something that can be empty');
  if (node.max > MOST_ROUNDS && node.item.type !== 'set') {
    throw new Error(`it repeats a group more than ${MOST_ROUNDS} times`);
  }
}

function bounds(source: PatternSource, measures: Measures): void {
  const most = Math.min(source.max ?? LONGEST, LONGEST);
  if (measures.min === 0) throw new Error('it matches the empty string');
  if (measures.max > most) throw new Error(`its longest match is ${measures.max} bytes, more than ${most}`);
  if (measures.before > LONGEST_BEHIND)
    throw new Error(`it looks back ${measures.before} bytes, more than ${LONGEST_BEHIND}`);
  if (measures.after > LONGEST_AHEAD)
    throw new Error(`it looks ahead ${measures.after} bytes, more than ${LONGEST_AHEAD}`);
  if (measures.ways > MOST_WAYS) {
    throw new Error(
      `its gaps overlap or nest: one start can be tried in ${measures.ways} ways, more than ${MOST_WAYS}; let every gap end at something it cannot contain`,
    );
  }
}

const ENCODER = new TextEncoder();
const scratch = new Uint8Array(1 << 16);

/** A copy that lies in the heap: a buffer of its own for each of some thousand short keywords would cost ten times their length. */
function encoded(text: string): Uint8Array {
  if (text.length * 3 > scratch.length) return ENCODER.encode(text);
  return scratch.slice(0, ENCODER.encodeInto(text, scratch).written);
}

/** Letters outside ASCII a keyword keeps: each doubles its spellings. */
const MOST_WIDE = 4;

function isWide(letter: string): boolean {
  return letter > '\x7f' && letter.toLowerCase() !== letter.toUpperCase() && [...letter.toUpperCase()].length === 1;
}

/** A keyword in both cases of its letters outside ASCII, which the automaton does not fold; a long one by its beginning. */
function spellings(keyword: string, ignoreCase: boolean): string[] {
  // Nearly all of them; the rest is a lot of garbage for a start to make.
  if (!ignoreCase || !/[^\0-\x7f]/.test(keyword)) return [keyword];
  let all = [''];
  let wide = 0;
  for (const letter of keyword) {
    if (isWide(letter) && ++wide > MOST_WIDE) break;
    const forms = isWide(letter) ? new Set([letter.toLowerCase(), letter.toUpperCase()]) : [letter];
    all = all.flatMap((start) => [...forms].map((form) => start + form));
  }
  return all;
}

function automatonReading(keywords: readonly Keyword[]): Reading {
  const automaton = buildWalk(keywords);
  const { next, classOf, accepting, outputs, shift } = automaton;
  const complete = outputs.map((list) => list.map((i) => [i, keywords[i]?.bytes.length ?? 0] as const));
  return {
    step: (state, byte) => next[(state << shift) | (classOf[byte] as number)] as number,
    complete: (state) => (state < accepting ? [] : (complete[state - accepting] ?? [])),
  };
}

/** Two digits in a row; the state counts them. */
const DIGITS: Reading = {
  step: (state, byte) => (byte >= 48 && byte <= 57 ? state + 1 : 0),
  complete: (state) => (state === 2 ? [[0, 2]] : []),
};
/** A whole run of digits: the state counts them, and one more than 100 says that the run ended. */
const RUNS: Reading = {
  step: (state, byte) => {
    if (byte >= 48 && byte <= 57) return Math.min(state + 1, 31);
    return state > 1 ? 100 + state : 0;
  },
  complete: (state) => (state > 100 ? [[state - 100, 0]] : []),
};
const AT: Reading = {
  step: (_state, byte) => (byte === 64 ? 1 : 0),
  complete: (state) => (state === 1 ? [[0, 1]] : []),
};

/** The keywords as bytes, in every spelling the automaton does not fold: the order `places` are in. */
export function keywordsOf(source: PatternSource): Keyword[] {
  return source.keywords
    .flatMap((keyword) => spellings(keyword, source.ignoreCase))
    .map((keyword) => ({ bytes: encoded(keyword), ignoreCase: source.ignoreCase }));
}

function placesOf(source: PatternSource, node: Node, keywords: readonly Keyword[]): Range[] {
  if (source.trigger !== 'keywords') {
    const found = locate(node, source.trigger === 'digits' ? DIGITS : AT).get(0);
    return found ? [found] : [];
  }
  const found = locate(node, automatonReading(keywords));
  return keywords.map((keyword, i) => {
    const range = found.get(i);
    if (range) return range;
    throw new Error(`no match needs the keyword ${new TextDecoder().decode(keyword.bytes)}`);
  });
}

function runsOf(source: PatternSource, node: Node): number {
  if (source.trigger !== 'digits') return 0;
  const { found, rest } = explore(node, RUNS);
  return [...found.keys(), ...rest].reduce((mask, length) => (length > 1 ? mask | (1 << length) : mask), 0);
}

/** Holds one pattern to the rules. Throws an Error that names file, id and what is wrong. */
export function lintPattern(source: PatternSource): Linted {
  try {
    const node = parseExpression(source.expression, source.ignoreCase);
    repetitions(node);
    const measures = measure(node);
    bounds(source, measures);
    const keywords = keywordsOf(source);
    return { node, measures, keywords, places: placesOf(source, node, keywords), runs: runsOf(source, node) };
  } catch (error) {
    throw new Error(`${source.file}: ${source.id}: expression: ${(error as Error).message}`);
  }
}
