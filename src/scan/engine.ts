import type { CompiledPattern } from './pattern.ts';
import type { Digest } from './resolve.ts';
import { type Budget, Scanner, type ScanResult } from './scanner.ts';
import { tablesOf } from './tables.ts';

export interface EngineOptions {
  /**
   * Steps the expressions of one kind of trigger may make per body, beside those each byte allows; more and the body is `unscanned`,
   * with the cause `candidates`. Default a million, some milliseconds.
   */
  readonly steps?: number;
  /** Called for every match; a keyed hash, so that findings can be compared and carry no secret. */
  readonly digest?: Digest;
}

/** Immutable tables for one set of patterns; any number of scanners share them. */
export interface Engine {
  readonly patterns: readonly CompiledPattern[];
  /** A whole body that lies in memory. */
  scan(bytes: Uint8Array, budget?: Budget): ScanResult;
  /** A body that comes in pieces. However it is cut, the result is the same. */
  scanner(budget?: Budget): Scanner;
}

const STEPS = 1_000_000;

/** Builds the tables for a set of patterns: all, or those one direction asks for. Milliseconds for a thousand keywords. */
export function createEngine(patterns: readonly CompiledPattern[], options: EngineOptions = {}): Engine {
  const tables = tablesOf(patterns, { steps: options.steps ?? STEPS, digest: options.digest });
  return {
    patterns,
    scan: (bytes, budget) => new Scanner(tables, budget).whole(bytes),
    scanner: (budget) => new Scanner(tables, budget),
  };
}
