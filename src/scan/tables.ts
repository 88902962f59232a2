import { type Automaton, buildAutomaton, type Keyword } from './aho-corasick.ts';
import { type Finder, PlainFinder } from './finder.ts';
import type { Limits } from './lane.ts';
import type { CompiledPattern } from './pattern.ts';
import { Prefixes } from './prefixes.ts';
import { wasmFinders } from './wasm-finder.ts';

/** Where a keyword points: the pattern, and the starts to try relative to the end of the keyword. */
export interface Target {
  readonly pattern: CompiledPattern;
  /** First and last start, as bytes before the end of the keyword. */
  readonly first: number;
  readonly last: number;
  readonly length: number;
  /** The keyword, to be compared: an automaton that folds case for others finds exact ones in any case. */
  readonly exact: Uint8Array | undefined;
}

/** Patterns whose match may begin before its trigger. */
interface Lead {
  readonly pattern: CompiledPattern;
  readonly bytes: number;
}

/** One set of patterns laid out for scanning. Immutable. */
export interface Tables extends Limits {
  /** Made when it is first needed: the WebAssembly engine does without. */
  readonly automaton: Automaton;
  readonly keywords: readonly Keyword[];
  /** What `Scanner.settled` asks; made when it is first needed. */
  readonly prefixes: Prefixes;
  /** By keyword. */
  readonly targets: readonly Target[];
  /** Finds keywords and numbers in one stream. */
  readonly finder: () => Finder;
  /** By length of a run of digits, 0 to 31 (31 = and more). */
  readonly digits: readonly (readonly CompiledPattern[])[];
  readonly hasDigits: boolean;
  readonly at: readonly CompiledPattern[];
  readonly leads: readonly Lead[];
  /** Bytes behind the current position that a later trigger can still ask for. */
  readonly keep: number;
}

/** Runs of digits longer than this are no numbers of anything. */
export const LONGEST_RUN = 256;

/**
 * Lays out a set of patterns for scanning.
 * @param plain - in TypeScript alone, also where WebAssembly would do.
 */
export function tablesOf(patterns: readonly CompiledPattern[], limits: Limits, plain: boolean): Tables {
  const worded = patterns.filter((pattern) => pattern.trigger === 'keywords');
  const anchors = worded.flatMap((pattern) => pattern.anchors.map((anchor) => ({ pattern, anchor })));
  const folded = anchors.some((one) => one.anchor.ignoreCase);
  const counted = patterns.filter((pattern) => pattern.trigger === 'digits');
  const leads = patterns
    .map((pattern) => ({ pattern, bytes: Math.max(0, ...pattern.anchors.map((anchor) => anchor.to)) }))
    .filter((lead) => lead.bytes > 0);
  const reach = patterns.flatMap((pattern) => pattern.anchors.map((one) => one.to + one.bytes.length + pattern.before));
  const keywords = anchors.map((one) => one.anchor);
  let automaton: Automaton | undefined;
  let prefixes: Prefixes | undefined;
  let finders: (() => Finder) | undefined;
  const tables: Tables = {
    get automaton() {
      automaton ??= buildAutomaton(keywords);
      return automaton;
    },
    get prefixes() {
      prefixes ??= new Prefixes(keywords);
      return prefixes;
    },
    keywords,
    finder: () => {
      finders ??= (plain ? undefined : wasmFinders(tables)) ?? (() => new PlainFinder(tables));
      return finders();
    },
    targets: anchors.map(({ pattern, anchor }) => ({
      pattern,
      length: anchor.bytes.length,
      first: anchor.bytes.length + anchor.to,
      last: anchor.bytes.length + anchor.from,
      exact: folded && !anchor.ignoreCase ? anchor.bytes : undefined,
    })),
    digits: Array.from({ length: 32 }, (_, run) => counted.filter((pattern) => ((pattern.runs >>> run) & 1) === 1)),
    hasDigits: counted.length > 0,
    at: patterns.filter((pattern) => pattern.trigger === 'at'),
    leads,
    keep: Math.max(0, ...reach) + LONGEST_RUN + 2,
    ...limits,
  };
  return tables;
}
