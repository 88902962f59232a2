import { isForHosts, withoutCase } from './collector-library.ts';
import type { ScanOptions } from './collector-scan.ts';
import { ownPatterns, type RunSecret, runPattern } from './collector-secrets.ts';
import { sourcesInSteps } from './collector-sources.ts';
import { toldBy } from './inspect/leak-rules.ts';
import type { HostSet } from './model/glob.ts';
import type { ScanFor } from './model/scan.ts';
import { compilePattern } from './scan/compile.ts';
import { createEngine, type Engine } from './scan/engine.ts';
import type { CompiledPattern, PatternSource } from './scan/pattern.ts';

/** All that scanning needs, compiled. */
export interface Engines {
  readonly by: Readonly<Record<ScanFor, Engine>>;
  readonly homes: ReadonlyMap<CompiledPattern, HostSet>;
  /** See `ScanPort.mayBegin`. */
  readonly mayBegin: (first: number, second: number, third: number) => boolean;
  /** Of patterns that are secrets of some runs only. */
  readonly runs: ReadonlyMap<CompiledPattern, ReadonlySet<string>>;
  /** The same with secrets of runs, which are compiled; what a built-in pattern knows by itself is not added. */
  with(secrets: readonly RunSecret[]): Engines;
}

/** What `body.candidates` stands for in steps of the engine: its default is the engine's own. */
const STEPS_PER_CANDIDATE = 500;
/** Linting costs, reading what was linted hardly; a step has some milliseconds of it. */
const STEP = 64;
const LINT = 16;

/**
 * Reads and compiles everything in steps of some milliseconds, so that nobody who comes meanwhile waits for all of it. Throws
 * Error with a sentence for people.
 */
export function* enginesInSteps(options: ScanOptions): Generator<undefined, Engines> {
  const library = yield* sourcesInSteps(options.directories, options.disable);
  const told = toldBy(options.rules);
  const sources = [...library, ...ownPatterns(options.secrets)].filter(
    (source) => told('requests', source) || told('responses', source),
  );
  const all = yield* compiledInSteps(sources, compilePattern);
  const hosts = yield* compiledInSteps(sources.filter(isForHosts), compileForHosts);
  const digest = (secret: Uint8Array): string => options.hash(Buffer.from(secret).toString('latin1'));
  const limits = { steps: options.candidates * STEPS_PER_CANDIDATE, digest };
  // The smallest first: the others are then built by code that is warm.
  const host = createEngine(hosts, limits);
  host.prepare();
  yield;
  const request = createEngine(
    all.filter((pattern) => told('requests', pattern)),
    limits,
  );
  request.prepare();
  yield;
  const response = createEngine(
    all.filter((pattern) => told('responses', pattern)),
    limits,
  );
  response.prepare();
  const homes = new Map([...all, ...hosts].map((pattern) => [pattern, homeOf(pattern.home)]));
  const base: Engines = {
    by: { request, response, host },
    homes,
    mayBegin: beginsOf(request.patterns),
    runs: new Map(),
    with: (secrets) => (secrets.length === 0 ? base : extended(base, secrets, limits)),
  };
  return base;
}

function extended(base: Engines, secrets: readonly RunSecret[], limits: Parameters<typeof createEngine>[1]): Engines {
  const { by } = base;
  const unknown = secrets.filter(({ value }) => !isKnown(by.request, value));
  const sources = unknown.map((secret) => ({ secret, source: runPattern(secret) }));
  const exact = sources.map(({ secret, source }) => [compilePattern(source), secret.runs] as const);
  const hosts = sources.map(({ secret, source }) => [compileForHosts(source), secret.runs] as const);
  const more = (engine: Engine, added: typeof exact): Engine =>
    createEngine([...engine.patterns, ...added.map(([pattern]) => pattern)], limits);
  const request = more(by.request, exact);
  return {
    ...base,
    by: { request, response: more(by.response, exact), host: more(by.host, hosts) },
    mayBegin: beginsOf(request.patterns),
    runs: new Map([...exact, ...hosts]),
  };
}

/** A severe credential by its form: its pattern knows more of it, for one thing where it belongs. */
function isKnown(engine: Engine, value: string): boolean {
  const { matches } = engine.scan(Buffer.from(value));
  return matches.some(
    ({ start, end, pattern: { kind, severity } }) =>
      kind === 'credential' &&
      (severity === 'high' || severity === 'critical') &&
      (end - start) * 10 >= value.length * 9,
  );
}

function* compiledInSteps(
  sources: readonly PatternSource[],
  compile: (source: PatternSource) => CompiledPattern,
): Generator<undefined, CompiledPattern[]> {
  const compiled: CompiledPattern[] = [];
  let cost = 0;
  for (const source of sources) {
    compiled.push(compile(source));
    cost += source.layout === undefined ? LINT : 1;
    if (cost < STEP) continue;
    cost = 0;
    yield;
  }
  return compiled;
}

/** First bytes of severe credentials, in twos and threes. */
function beginsOf(patterns: readonly CompiledPattern[]): Engines['mayBegin'] {
  const begins = new Set<number>();
  for (const { kind, category, severity, anchors } of patterns) {
    if (kind !== 'credential' || category === 'generic' || (severity !== 'high' && severity !== 'critical')) continue;
    for (const { bytes, from, to, ignoreCase } of anchors) {
      // What is written in any case is a name with the secret behind it.
      if (from > 0 || to < 0 || ignoreCase) continue;
      const [first = 0, second = 0, third = 0] = bytes;
      begins.add((first << 8) | second).add((first << 16) | (second << 8) | third);
    }
  }
  return (first, second, third) =>
    begins.has(isWord(third) ? (first << 16) | (second << 8) | third : (first << 8) | second);
}

function isWord(byte: number): boolean {
  const lower = byte | 32;
  return (lower >= 97 && lower <= 122) || (byte >= 48 && byte <= 57) || byte === 0x5f || byte === 0x2d;
}

function compileForHosts(source: PatternSource): CompiledPattern {
  try {
    return compilePattern(withoutCase(source));
  } catch {
    // Its expression does not allow it; its own case it keeps.
    return compilePattern(source);
  }
}

/** `home` of a pattern: exact names, and `*.x` for every name below x, also where x is a public suffix. */
function homeOf(home: readonly string[]): HostSet {
  const exact = new Set(home.filter((name) => !name.startsWith('*.')));
  const below = home.filter((name) => name.startsWith('*.')).map((name) => name.slice(1));
  return {
    empty: home.length === 0,
    has: (host) => exact.has(host) || below.some((suffix) => host.endsWith(suffix) && host.length > suffix.length),
  };
}
