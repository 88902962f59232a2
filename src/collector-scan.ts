import { isDeepStrictEqual } from 'node:util';
import type { CollectorOptions } from './collector.ts';
import { type Engines, enginesInSteps } from './collector-engines.ts';
import { type OwnSecret, ownSecrets, type RunSecret } from './collector-secrets.ts';
import type { Config } from './config/schema.ts';
import type { GivenRules } from './inspect/leak-rules.ts';
import type { HostSet } from './model/glob.ts';
import { type Found, fullReserve, type PartScanPort, type Reserve, type Scanned } from './model/scan.ts';
import { scanLayers } from './scan/layers.ts';
import { scanPart } from './scan/open.ts';
import type { CompiledPattern } from './scan/pattern.ts';
import type { Match } from './scan/resolve.ts';
import type { Budget } from './scan/scanner.ts';

export interface ScanOptions {
  /** Directories beside the built-in one (`patterns.directories`). */
  readonly directories: readonly string[];
  /** Ids that are switched off (`patterns.disable`). */
  readonly disable: readonly string[];
  /** Expressions run per text (`body.candidates`). */
  readonly candidates: number;
  /** Encodings inside one another (`body.decode_depth`). */
  readonly depth: number;
  /** The operator's own (`patterns.secrets_file`, `patterns.secrets_env`). */
  readonly secrets: readonly OwnSecret[];
  /** What finds ask for: patterns nothing is told of are not looked for. */
  readonly rules: GivenRules;
  /** Keyed hash of the state directory. */
  readonly hash: (text: string) => string;
}

/** The scanner as the rooms get it, and the library behind it. */
export interface Scanning extends PartScanPort {
  readonly options: ScanOptions;
  /** Reads and compiles all; else the first text does. Throws Error with a sentence for people, each time. */
  load(): void;
  /** A part of that, some milliseconds; false = all is there. Throws like `load`. */
  step(): boolean;
  /** Secrets of the runs that go on, all of them. In memory only. */
  ofRuns(secrets: readonly RunSecret[]): void;
}

/** Work one text may cost: a multiple of its length, and something for short ones. Units are about bytes read. */
const UNITS_PER_BYTE = 24;
const LEAST_UNITS = 1 << 20;

/** The configuration as the scanner wants it. Throws Error with a sentence for people. */
export function scanOptions(
  config: Config,
  hash: (text: string) => string,
  env: Readonly<Record<string, string | undefined>>,
): ScanOptions {
  const { patterns, body } = config;
  return {
    directories: patterns.directories,
    disable: patterns.disable,
    candidates: body.candidates,
    depth: body.decode_depth,
    secrets: ownSecrets(config, env),
    rules: givenRules(config),
    hash,
  };
}

/** `scan` and what agents say of it. */
export function givenRules({ scan, agents }: Config): GivenRules {
  return {
    everywhere: { requests: scan.requests, responses: scan.responses },
    destinations: scan.destinations,
    agents: new Map(
      [...agents].map(([key, { scan: own, blocked_categories }]) => [
        key,
        { ...own.dispositions, blocked: blocked_categories },
      ]),
    ),
  };
}

/**
 * An operator's own patterns and secrets are read at once, so that a mistake in them refuses the configuration. A reload that
 * changes nothing of it keeps what is compiled.
 */
export function scanningOf(
  config: Config,
  hash: (text: string) => string,
  { env, log }: Pick<CollectorOptions, 'env' | 'log'>,
  before?: Scanning,
): Scanning {
  const { directories, disable, secrets_env } = config.patterns;
  const options = scanOptions(config, hash, env);
  for (const name of secrets_env) if (!env[name]) log.warn({ name }, 'secret-variable-not-set');
  // Files of theirs may have changed.
  if (before !== undefined && directories.length === 0 && isDeepStrictEqual(before.options, options)) return before;
  const scanning = createScanning(options);
  if (before !== undefined || directories.length + disable.length + options.secrets.length > 0) scanning.load();
  return scanning;
}

/** Nothing is read or compiled before the first text, or `load`: a start that listens sooner serves sooner. */
export function createScanning(options: ScanOptions): Scanning {
  let engines: Engines | undefined;
  let failure: unknown;
  let steps: Generator<undefined, Engines> | undefined;
  let runSecrets: readonly RunSecret[] = [];
  const step = (): boolean => {
    // What failed once fails for every text, and is not read again for each.
    if (failure !== undefined) throw failure;
    if (engines !== undefined) return false;
    steps ??= enginesInSteps(options);
    try {
      const { done, value } = steps.next();
      if (done === true) engines = value.with(runSecrets);
    } catch (error) {
      failure = error;
      throw error;
    }
    return engines === undefined;
  };
  const load = (): Engines => {
    while (step());
    return engines as Engines;
  };
  return {
    options,
    step,
    load: () => void load(),
    ofRuns(secrets) {
      runSecrets = secrets;
      engines = engines?.with(secrets);
    },
    scan(what, bytes, reserve = fullReserve()) {
      const { by, homes, runs } = engines ?? load();
      const budget = budgetFor(bytes.length, reserve);
      const { matches, cause } = scanLayers(by[what], bytes, { depth: options.depth, budget, reserve });
      if (matches.length === 0 && cause === undefined) return CLEAN;
      const found = matches.map((match) => foundOf(match, bytes, homes, runs));
      return cause === undefined ? { found } : { found, unscanned: cause };
    },
    part(what, bytes, counts) {
      const { by, homes, runs } = engines ?? load();
      const begins = { start: 0, end: 0, verified: false, encodings: [], digest: undefined, bytes: 0 };
      const worth =
        counts && ((pattern: CompiledPattern) => counts(foundOf({ ...begins, pattern }, bytes, homes, runs)));
      const { matches, cause, blockOf, ...open } = scanPart(by[what], bytes, {
        depth: options.depth,
        budget: budgetFor(bytes.length),
        ...(worth === undefined ? {} : { counts: worth }),
      });
      const found = matches.map((match) => foundOf(match, bytes, homes, runs));
      const at = { ...begins, start: open.block, end: open.block };
      const known = blockOf === undefined ? {} : { blockOf: foundOf({ ...at, pattern: blockOf }, bytes, homes, runs) };
      return { found, ...open, ...known, ...(cause === undefined ? {} : { unscanned: cause }) };
    },
    mayBegin: (first, second, third) => (engines ?? load()).mayBegin(first, second, third),
    nameOf(rule) {
      const { response, request } = load().by;
      return [...response.patterns, ...request.patterns].find((pattern) => pattern.id === rule)?.name;
    },
  };
}

const CLEAN: Scanned = { found: [] };
const NO_HOME: HostSet = { empty: true, has: () => false };

/** What is not used up of the reserve is left for the next text of the body. */
function budgetFor(bytes: number, reserve: Pick<Reserve, 'units'> = fullReserve()): Budget {
  let left = bytes * UNITS_PER_BYTE + Math.min(reserve.units, LEAST_UNITS);
  return {
    take(units) {
      left -= units;
      reserve.units = Math.max(0, left);
      return left > 0;
    },
  };
}

function foundOf(match: Match, text: Uint8Array, homes: Engines['homes'], runs: Engines['runs']): Found {
  const { pattern, start, end, verified, encodings, digest = '', bytes } = match;
  const { id, name, severity, kind, category, label } = pattern;
  const home = homes.get(pattern) ?? NO_HOME;
  const about = { rule: id, name, severity, kind, category, label, home };
  const found = { ...about, start, end, verified, encodings, fingerprint: digest, bytes };
  const theirs = runs.get(pattern);
  if (category === 'cloud' && signs(text, start, start + bytes)) return { ...found, signs: true };
  return theirs === undefined ? found : { ...found, runs: theirs };
}

const NAMES_SIGNER = /[?&;](?:awsaccesskeyid|googleaccessid|ossaccesskeyid)(?:=|%(?:25){0,2}3D|\\u003d)$/i;
const NAMES_CREDENTIAL = /\bcredential(?:=|%(?:25){0,2}3D|\\u003d)$/i;
/** The scope a signature is good for: a day first. Without it a word in front of a key excuses nothing. */
const SCOPE = /^(?:\/|%(?:25){0,2}2F|\\u002f|\\\/)\d{8}(?!\d)/i;

/** Behind `X-Amz-Credential=` of a signed URL, or `Credential=` of a signed request (AWS Signature Version 4). */
function signs(bytes: Uint8Array, start: number, end: number): boolean {
  const before = Buffer.from(bytes.subarray(Math.max(0, start - 40), start)).toString('latin1');
  if (NAMES_SIGNER.test(before)) return true;
  return NAMES_CREDENTIAL.test(before) && SCOPE.test(Buffer.from(bytes.subarray(end, end + 24)).toString('latin1'));
}
