import type { Severity } from './finding.ts';
import type { HostSet } from './glob.ts';

/** What a pattern is about (`patterns/README.md`). */
export type FoundKind = 'credential' | 'pii' | 'financial' | 'injection';

/** A secret or phrase found in bytes. Never the secret itself. */
export interface Found {
  /** Id of the pattern. */
  readonly rule: string;
  readonly name: string;
  readonly severity: Severity;
  readonly kind: FoundKind;
  readonly category: string;
  readonly label: string;
  /** Hosts it belongs to; going there is no leak. */
  readonly home: HostSet;
  /** Bytes of the scanned text it covers. */
  readonly start: number;
  readonly end: number;
  /** A validator or a checksum confirmed it. */
  readonly verified: boolean;
  /** What had to be undone to read it, outermost first; empty for plain text. */
  readonly encodings: readonly string[];
  /** Keyed hash of the plain secret: equal for the same secret in any encoding and at any place. */
  readonly fingerprint: string;
  /** Length of the plain secret in bytes. */
  readonly bytes: number;
  /** The key's name in a signed URL or a signed request: it says who signed, and opens nothing. */
  readonly signs?: true;
  /** It is a secret of these runs of `weir run` only. */
  readonly runs?: ReadonlySet<string>;
}

export interface Scanned {
  /** By start. */
  readonly found: readonly Found[];
  /** A limit ended the scan: what was not looked at may hold more. */
  readonly unscanned?: 'candidates' | 'cpu-budget' | 'decoded-bytes';
}

/** What is looked for: what must not leave, what must not come in, what must not be in a host name (compared without regard to case). */
export type ScanFor = 'request' | 'response' | 'host';

/** What the parts of one body may still cost beside what their bytes allow: less after each that cost more. Infinity = nothing is used up. */
export interface Reserve {
  /** Steps of expressions. */
  steps: number;
  /** About bytes read. */
  units: number;
}

/** A body of which nothing has been read. */
export function fullReserve(): Reserve {
  return { steps: Number.POSITIVE_INFINITY, units: Number.POSITIVE_INFINITY };
}

/** Rooms that look for secrets get this; how it is done is the scan room's. Throws when the patterns cannot be used. */
export interface ScanPort {
  /** `reserve` is carried from one text of a body to the next; absent = the text is all there is. */
  scan(what: ScanFor, bytes: Uint8Array, reserve?: Reserve): Scanned;
  /** Display name of a pattern, or undefined. */
  nameOf(rule: string): string | undefined;
  /** Whether a severe credential may begin with these bytes; a third that is no letter and no digit is not looked at. Absent = with any. */
  mayBegin?(first: number, second: number, third: number): boolean;
}

/**
 * The beginning of a text that goes on. Offsets are in the text; Infinity = nothing is open there.
 */
export interface ScannedPart extends Scanned {
  /** What begins before it stays what it is, whatever comes; at most the length of the text. */
  readonly settled: number;
  /** From here on there may be a match: its keyword is there as a whole, or half of a number. */
  readonly begun: number;
  /** As `begun`, of what counts. */
  readonly worth: number;
  /** From here on a match that counts is on its way, with more than its keyword. */
  readonly sure: number;
  /** As `sure`, of matches that may be longer than 4 KiB: a private key, line by line. */
  readonly block: number;
  /** What that will be, as far as it is known: it has no end, no fingerprint. Absent when `block` is Infinity. */
  readonly blockOf?: Found;
}

/** Whether a match would be acted on, so that it is worth waiting for. Given what has only begun: no end, no fingerprint. */
export type CountsFor = (begun: Found) => boolean;

/** For rooms that let a text pass while it comes. */
export interface PartScanPort extends ScanPort {
  /**
   * As `scan`, of a text more of which will come. What is found from `settled` on may still become something else. `worth`, `sure`
   * and `block` are about what `counts`; default all.
   */
  part(what: ScanFor, bytes: Uint8Array, counts?: CountsFor): ScannedPart;
}

/** Something found in a body. */
export interface BodyFound {
  readonly found: Found;
  /** Where the first one begins, in the decoded body. */
  readonly offset: number;
  /** How often the rule was found. */
  readonly count: number;
  /** What the first one stands in, in words: `in the form field note`, `in an HTML comment`. */
  readonly place?: string;
  /** It lies in several places: no filter takes it out. */
  readonly apart?: true;
}

/** What looking at one body came to. */
export interface BodyScanned {
  /** Once per rule. */
  readonly found: readonly BodyFound[];
  /** The body was not looked at from `offset` on, and why. */
  readonly unscanned?: { readonly cause: UnscannedCause; readonly offset: number };
}

/** What is done about something found before it has gone on: let it be, put its label in its place, or end the body there. */
export type Act = 'pass' | 'replace' | 'stop';

export type UnscannedCause =
  | 'unknown-encoding'
  | 'broken-encoding'
  | 'decode-depth'
  | 'decode-ratio'
  | 'decoded-bytes'
  | 'decoder-behind'
  | 'held-bytes'
  | 'scan-bytes'
  | 'candidates'
  | 'cpu-budget'
  | 'long-frame'
  | 'broken-frames'
  | 'too-late';
