/**
 * A pattern as data and as compiled. The file format is written down in `patterns/README.md`; what arrives here is one entry of such a
 * file as a plain object (YAML already parsed). `src/record/patterns.ts` reads the same files for the redaction of records.
 *
 * Rules the compiler holds every pattern to (`lint.ts`): the expression is bounded, its gaps neither nest nor overlap, and every match
 * contains one of its keywords (or its trigger) at a distance from its start that is known ahead. From that the engine derives what it
 * needs and nobody writes by hand: longest match, context before, where a match can start relative to a keyword, and the
 * byte sets of its first bytes, which serve as gate before the expression is run.
 */
import type { Severity } from '../model/finding.ts';
import type { Landmark } from './landmark.ts';
import type { Matcher } from './matcher.ts';

/** What a finding is about; credentials, personal data and financial data merge where they overlap, injections do not. */
export type Kind = 'credential' | 'pii' | 'financial' | 'injection';
/** What makes the engine look at a place: a keyword, a run of two digits or more, an `@`. */
export type Trigger = 'keywords' | 'digits' | 'at';

/** One entry of a pattern file, checked for shape (`readPattern`), not yet compiled. */
export interface PatternSource {
  /** Where it was read, for errors. */
  readonly file: string;
  readonly id: string;
  readonly name: string;
  readonly severity: Severity;
  readonly category: string;
  readonly kind: Kind;
  /** Redaction label: a match becomes `[<label>_REDACTED]`. */
  readonly label: string;
  readonly expression: string;
  readonly trigger: Trigger;
  /** Literals; empty only when `trigger` is not `keywords`. */
  readonly keywords: readonly string[];
  readonly ignoreCase: boolean;
  /** Longest match in bytes as written, or undefined = as the expression says. */
  readonly max: number | undefined;
  readonly validator: string | undefined;
  readonly confirm: string | undefined;
  /** Least bits per character of the secret; 0 = not asked. */
  readonly entropy: number;
  /** Obvious fillers are no findings. */
  readonly skipPlaceholders: boolean;
  readonly home: readonly string[];
  readonly reference: string;
  /** What the lint found out, when it is known already: built-in patterns are linted when they are built. */
  readonly layout?: Layout | undefined;
}

/** An entry with what its tests need. */
export interface PatternEntry extends PatternSource {
  readonly examples: readonly string[];
  readonly counterExamples: readonly string[];
}

/** Where the triggers of a pattern stand and how far its matches reach, bytes. */
export interface Layout {
  /** Where keyword i, or the trigger (i = 0), can begin relative to the start of a match. */
  readonly places: readonly (readonly [from: number, to: number])[];
  readonly runs: number;
  readonly max: number;
  readonly before: number;
}

/** 256 bits, one per byte value. */
export type ByteSet = Uint32Array;

/** A keyword and where it stands in a match. */
export interface Anchor {
  readonly bytes: Uint8Array;
  readonly ignoreCase: boolean;
  /** A match starts `from`..`to` bytes before the keyword (negative: after it, when the keyword stands in a look-behind). */
  readonly from: number;
  readonly to: number;
}

/** A pattern ready to run. Immutable. */
export interface CompiledPattern {
  readonly id: string;
  readonly name: string;
  readonly severity: Severity;
  readonly category: string;
  readonly kind: Kind;
  readonly label: string;
  readonly home: readonly string[];
  readonly reference: string;
  readonly skipPlaceholders: boolean;
  /** Its keywords, longest first: a filler may stand behind one of them. */
  readonly literals: readonly string[];
  readonly entropy: number;
  /** Must pass, else there is no finding. Given the secret, one character per byte. */
  readonly validate: Check | undefined;
  /** Passing makes the finding `verified`. */
  readonly confirm: Check | undefined;
  readonly trigger: Trigger;
  /** Where the trigger can be; a single one without bytes for `digits` and `at`. */
  readonly anchors: readonly Anchor[];
  /** For `digits`: lengths the first run of digits can have, bit n = n digits, bit 31 = 31 and more. */
  readonly runs: number;
  /** Longest match, bytes. */
  readonly max: number;
  /** Bytes of context the expression reads before a match. */
  readonly before: number;
  readonly program: Deferred;
}

/** Most patterns never meet their keyword in the life of a process: what runs them is made when one does. */
export interface Deferred {
  made: Program | undefined;
  readonly make: () => Program;
}

/** What decides about one place. */
export interface Program {
  readonly matcher: Matcher;
  /** Gate: the byte before a match must not be in it (undefined = no such rule). */
  readonly boundary: ByteSet | undefined;
  /** Gate: byte i of a match must be in `prefix[i]`; as long as the shortest match, at most 24. */
  readonly prefix: readonly ByteSet[];
  /** Gate: what stands further on in every match. */
  readonly landmark: Landmark | undefined;
  /** Bytes that may stand between the start of a match and its keyword. */
  readonly lead: ByteSet;
}

/** A validator: whether the check digits, the checksum or the structure of a value hold. */
export type Check = (value: string) => boolean;

/** The program of a pattern, made now when nobody needed it before. */
export function programOf({ program }: CompiledPattern): Program {
  program.made ??= program.make();
  return program.made;
}
