import type { ScanOptions } from './collector-scan.ts';
import { ownPatterns } from './collector-secrets.ts';
import { sourcesInSteps } from './collector-sources.ts';
import { isReported } from './inspect/leak-weight.ts';
import type { HostSet } from './model/glob.ts';
import type { ScanFor } from './model/scan.ts';
import { compilePattern } from './scan/compile.ts';
import { createEngine, type Engine } from './scan/engine.ts';
import type { CompiledPattern, PatternSource } from './scan/pattern.ts';

/** All that scanning needs, compiled. */
export interface Engines {
  readonly by: Readonly<Record<ScanFor, Engine>>;
  readonly homes: ReadonlyMap<CompiledPattern, HostSet>;
}

/** What `body.candidates` stands for in steps of the engine: its default is the engine's own. */
const STEPS_PER_CANDIDATE = 500;
/** Patterns compiled in one step: some milliseconds. */
const STEP = 4;

/**
 * Reads and compiles everything in steps of some milliseconds, so that nobody who comes meanwhile waits for all of it. Throws
 * Error with a sentence for people.
 */
export function* enginesInSteps(options: ScanOptions): Generator<undefined, Engines> {
  const library = yield* sourcesInSteps(options.directories, options.disable);
  const sources = [...library, ...ownPatterns(options.secrets)].filter(({ kind, severity }) =>
    isReported(kind, severity),
  );
  const all = yield* compiledInSteps(sources, compilePattern);
  const hosts = yield* compiledInSteps(sources.filter(isForHosts), withoutCase);
  const digest = (secret: Uint8Array): string => options.hash(Buffer.from(secret).toString('latin1'));
  const limits = { steps: options.candidates * STEPS_PER_CANDIDATE, digest };
  const request = createEngine(
    all.filter(({ kind }) => kind !== 'injection'),
    limits,
  );
  yield;
  const response = createEngine(all, limits);
  yield;
  const host = createEngine(hosts, limits);
  const homes = new Map([...all, ...hosts].map((pattern) => [pattern, homeOf(pattern.home)]));
  return { by: { request, response, host }, homes };
}

function* compiledInSteps(
  sources: readonly PatternSource[],
  compile: (source: PatternSource) => CompiledPattern,
): Generator<undefined, CompiledPattern[]> {
  const compiled: CompiledPattern[] = [];
  for (const [index, source] of sources.entries()) {
    compiled.push(compile(source));
    if (index % STEP === STEP - 1) yield;
  }
  return compiled;
}

/** Names are lower-cased on the way, so severe credentials with a form of their own are compared without regard to case there. */
function isForHosts({ kind, severity, entropy, trigger }: PatternSource): boolean {
  const severe = severity === 'high' || severity === 'critical';
  return kind === 'credential' && severe && entropy === 0 && trigger === 'keywords';
}

function withoutCase(source: PatternSource): CompiledPattern {
  try {
    return compilePattern({ ...source, ignoreCase: true, validator: undefined, confirm: undefined });
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
