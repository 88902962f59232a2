import type { Reserve } from '../model/scan.ts';
import type { CompiledPattern } from './pattern.ts';
import type { Digest } from './resolve.ts';
import { type Budget, Scanner, type ScanResult } from './scanner.ts';
import { tablesOf } from './tables.ts';

export interface EngineOptions {
  /**
   * Candidates of usual cost (250 steps) one kind of trigger may have per body, beside the three steps each byte allows; more and the
   * body is `unscanned` with the cause `candidates`. Default 4096, some milliseconds.
   */
  readonly candidates?: number;
  /** Called for every match; a keyed hash, so that findings can be compared and carry no secret. */
  readonly digest?: Digest;
  /** In TypeScript alone, as where WebAssembly is missing: the same matches, slower. */
  readonly plain?: boolean;
}

/** Immutable tables for one set of patterns; any number of scanners share them. */
export interface Engine {
  readonly patterns: readonly CompiledPattern[];
  /** In TypeScript alone. */
  readonly plain: boolean;
  /** Builds what is searched with now, some milliseconds; else the first scan does. */
  prepare(): void;
  /** A whole text that lies in memory; `reserve` when it is a part of something. */
  scan(bytes: Uint8Array, budget?: Budget, reserve?: Pick<Reserve, 'steps'>): ScanResult;
  /** A body that comes in pieces. However it is cut, the result is the same. */
  scanner(budget?: Budget): Scanner;
}

const CANDIDATES = 4096;
const STEPS_PER_CANDIDATE = 250;

/** Lays out a set of patterns: all, or those one direction asks for. What is searched with is built by `prepare` or the first scan. */
export function createEngine(patterns: readonly CompiledPattern[], options: EngineOptions = {}): Engine {
  const steps = (options.candidates ?? CANDIDATES) * STEPS_PER_CANDIDATE;
  const plain = options.plain === true;
  const tables = tablesOf(patterns, { steps, digest: options.digest }, plain);
  return {
    patterns,
    plain,
    prepare: () => void tables.finder(),
    scan: (bytes, budget, reserve) => new Scanner(tables, budget, reserve).whole(bytes),
    scanner: (budget) => new Scanner(tables, budget),
  };
}
