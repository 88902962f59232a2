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
  /** Steps per character: larger programs keep more states alive. */
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
    const native = words(text);
    if (native !== undefined) return { test: (input) => native.test(input), weight: (1 + text.length / 100) / 32 };
    return { test: (input) => engine.test(input), weight: (1 + size / 100) / 8 };
  } catch (error) {
    const why = literal && error instanceof Error ? `: ${error.message}` : '';
    return new Failure('regex', `the pattern is not RE2 syntax${why}`);
  }
}

/** `(?i)`, then nothing but plain characters, escaped punctuation, digits classes, groups, alternatives and anchors. */
const WORDS = /^(?:[\w \-/:;,@#%&='"<>~!]|\\[.\\/?+*()[\]{}|^$]|\\d|\(\?:|[()|^$](?![?*+{]))*$/;

/**
 * The same pattern for JavaScript's engine, ten times faster on a URL, when that is safe: without repetition it accepts finitely
 * many texts, so backtracking is bounded by the pattern's length, and what is left of the syntax means the same in both
 * (`.`, `\b`, `\s`, `\w` do not). `u` gives the case folding RE2 has.
 */
function words(text: string): RegExp | undefined {
  const fold = text.startsWith('(?i)');
  const source = fold ? text.slice(4) : text;
  return WORDS.test(source) ? new RegExp(source, fold ? 'iu' : 'u') : undefined;
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
