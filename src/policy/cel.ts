import { Environment, ParseError } from '@marcbachmann/cel-js';
import { compileNode } from './cel-compile.ts';
import { type CelFacts, Context, TOO_EXPENSIVE } from './cel-context.ts';
import type { Run } from './cel-macros.ts';
import { CompileError, type Notes } from './cel-notes.ts';
import { skeleton } from './cel-relations.ts';
import { Failure, mismatch, type Result } from './cel-value.ts';

/**
 * CEL as Strathon's policies use it: parsed by `@marcbachmann/cel-js`, evaluated by closures of our own. Its evaluator checks
 * types before it runs (so `true || 1 + "a" == ""` is an error and unknown functions are one at load), refuses `has(attrs["k"])`,
 * matches with backtracking regular expressions and counts no steps; celpy does none of that (strathon-compat §1.6).
 */
const parser = new Environment({
  unlistedVariablesAreDyn: true,
  limits: { maxAstNodes: 5000, maxDepth: 100, maxListElements: 2000, maxMapEntries: 1000, maxCallArguments: 16 },
});

/** Characters of an expression. Strathon's schema says 2,000 and does not hold anybody to it. */
const MAX_EXPRESSION = 32_768;

/** An expression ready to run, and what is known of it without running it. */
export interface Compiled {
  readonly source: string;
  /** Names of attributes it names literally. */
  readonly reads: ReadonlySet<string>;
  /** It reads attributes beside those: names it computes. */
  readonly readsComputed: boolean;
  /** Names and functions nobody knows (`foo`, `foo()`); an ERROR when evaluation reaches them. */
  readonly unknown: ReadonlySet<string>;
  readonly run: Run;
}

/** What one expression says about one request; `failure.code` is `absent` when an attribute that is not set is all that is wrong. */
export type Evaluation =
  | { readonly outcome: 'MATCH' | 'NO_MATCH' }
  | { readonly outcome: 'ERROR'; readonly failure: Failure };

/**
 * Compiles one expression. Throws Error, worded with line and column, when it is not CEL, is too large, or matches with a pattern
 * that is not RE2. Unknown names and functions are no error here.
 */
export function compile(source: string): Compiled {
  if (source.trim() === '') throw new Error('the expression is empty; `true` matches everything');
  if (source.length > MAX_EXPRESSION) throw new Error(`the expression is longer than ${MAX_EXPRESSION} characters`);
  try {
    const { ast } = parser.parse(source);
    const reads = new Set<string>();
    const unknown = new Set<string>();
    const notes: Notes = { skeleton: skeleton(source), reads, computed: false, unknown, nodes: 0 };
    const run = compileNode(ast, [], notes);
    return { source, reads, readsComputed: notes.computed, unknown, run };
  } catch (error) {
    throw new Error(worded(source, error));
  }
}

function worded(source: string, error: unknown): string {
  if (error instanceof CompileError) return `${error.message} (${place(source, error.position)})`;
  if (error instanceof ParseError) {
    const start = error.range?.start;
    return `${error.summary}${start === undefined ? '' : ` (${place(source, start)})`}`;
  }
  if (error instanceof RangeError) return 'the expression is nested too deeply';
  return 'the expression is not CEL';
}

function place(source: string, offset: number): string {
  const before = source.slice(0, offset).split('\n');
  return `line ${before.length}, column ${(before.at(-1) as string).length + 1}`;
}

/** One request for many expressions; what they read is converted on demand. */
export function createContext(facts: CelFacts): Context {
  return new Context(facts);
}

/** The value of an expression, or why it has none. Never throws. */
export function resultOf(compiled: Compiled, context: Context): Result {
  context.refill();
  try {
    const result = compiled.run(context);
    return context.steps < 0 ? TOO_EXPENSIVE : result;
  } catch {
    // The stack (deep nesting inside macros) is the only thing that can give way here.
    return TOO_EXPENSIVE;
  }
}

const MATCH: Evaluation = { outcome: 'MATCH' };
const NO_MATCH: Evaluation = { outcome: 'NO_MATCH' };

/** MATCH and NO_MATCH for true and false; anything else, a value of another type included, is an ERROR (§1.6 g). Never throws. */
export function evaluate(compiled: Compiled, context: Context): Evaluation {
  const result = resultOf(compiled, context);
  if (result === true) return MATCH;
  if (result === false) return NO_MATCH;
  return { outcome: 'ERROR', failure: result instanceof Failure ? result : mismatch('a policy', result) };
}
