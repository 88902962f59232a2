import { RE2JS } from 're2js';
import { type Context, TOO_EXPENSIVE } from './cel-context.ts';
import { Failure, type Result } from './cel-value.ts';

/** Characters of a pattern that is written in a policy. */
const MAX_LITERAL = 4096;
/** Characters of a pattern that is computed: it may come from the request, and compiling it is not free. */
const MAX_COMPUTED = 256;
/** Instructions of a compiled pattern: `(a{50}){20}` is short and large. */
const MAX_PROGRAM = 10_000;
const CACHED = 64;

/** RE2 syntax (so `(?i)` works), searched in time linear in the text. */
export interface Pattern {
  /** Unanchored search. */
  test(text: string): boolean;
  /** Steps per character. */
  readonly weight: number;
}

/** A Failure when the text is not RE2 or too large; the message repeats the pattern only when the policy wrote it. */
export function pattern(text: string, literal: boolean): Pattern | Failure {
  if (text.length > (literal ? MAX_LITERAL : MAX_COMPUTED)) return new Failure('limit', 'the pattern is too long');
  try {
    const engine = RE2JS.compile(text);
    const size = engine.programSize();
    if (size > MAX_PROGRAM)
      return new Failure('limit', 'the pattern is too large once its repetitions are written out');
    return native(text) ?? { test: (input) => engine.test(input), weight: engineWeight(text, size) };
  } catch (error) {
    const why = literal && error instanceof Error ? `: ${error.message}` : '';
    return new Failure('regex', `the pattern is not RE2 syntax${why}`);
  }
}

/**
 * Measured: 15 ns a character while the lazy automaton fits, 90 ns × instructions when its states explode, which long counted
 * repetitions (`a[ab]{20}`) are there to cause. Those pay the full price beforehand.
 */
function engineWeight(text: string, size: number): number {
  return /\{\d{2,}|,\d{2,}\}/.test(text) ? 0.9 * size : 0.15 + 0.1 * size;
}

/** Plain characters, escaped punctuation, digit classes, groups, alternatives and anchors: nothing that repeats. */
const WORDS = /^(?:[\w \-/:;,@#%&='"<>~!]|\\[.\\/?+*()[\]{}|^$]|\\d|\(\?:|[()|^$](?![?*+{]))*$/;
/** Ways through a pattern. Without repetition it is all that backtracking can try from one place. */
const MAX_WAYS = 256;

/**
 * The same pattern for JavaScript's engine, ten times faster on a URL, when that is safe: no repetition, few ways through it, and
 * nothing that means something else there (`.`, `\b`, `\s`, `\w` do). `u` gives the case folding RE2 has.
 */
function native(text: string): Pattern | undefined {
  const fold = text.startsWith('(?i)');
  const source = fold ? text.slice(4) : text;
  if (!WORDS.test(source)) return undefined;
  const ways = waysThrough(source);
  if (ways > MAX_WAYS) return undefined;
  const expression = new RegExp(source, fold ? 'iu' : 'u');
  return { test: (input) => expression.test(input), weight: (4 + source.length * Math.max(1, ways / 8)) / 100 };
}

/** Alternatives add up, what stands in a row multiplies. `source` is balanced: RE2 has compiled it. */
function waysThrough(source: string): number {
  const stack: { sum: number; product: number }[] = [];
  let sum = 0;
  let product = 1;
  for (const token of source.match(/\\.|\(\?:|[()|]/g) ?? []) {
    if (token.startsWith('(')) {
      stack.push({ sum, product });
      sum = 0;
      product = 1;
    } else if (token === '|') {
      sum += product;
      product = 1;
    } else if (token === ')') {
      const outer = stack.pop() as { sum: number; product: number };
      product = outer.product * (sum + product);
      sum = outer.sum;
    }
  }
  return sum + product;
}

const computed = new Map<string, Pattern | Failure>();

/** Unanchored search with a computed pattern. */
export function searchComputed(text: string, source: string, context: Context): Result {
  let found = computed.get(source);
  if (found === undefined) {
    if (context.spend(Math.min(source.length, MAX_COMPUTED) * 16)) return TOO_EXPENSIVE;
    found = pattern(source, false);
    if (computed.size >= CACHED) computed.delete(computed.keys().next().value as string);
    if (source.length <= MAX_COMPUTED) computed.set(source, found);
  }
  return found instanceof Failure ? found : search(text, found, context);
}

/** Unanchored search (CEL `matches`). */
export function search(text: string, found: Pattern, context: Context): Result {
  return context.spend(text.length * found.weight) ? TOO_EXPENSIVE : found.test(text);
}
