import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { dataFile } from './collector-parts.ts';
import type { Config } from './config/schema.ts';
import { isReported } from './inspect/leak-weight.ts';
import type { HostSet } from './model/glob.ts';
import type { Found, ScanFor, Scanned, ScanPort } from './model/scan.ts';
import { compilePattern, compilePatterns } from './scan/compile.ts';
import { createEngine, type Engine } from './scan/engine.ts';
import { scanLayers } from './scan/layers.ts';
import type { CompiledPattern, PatternSource } from './scan/pattern.ts';
import { readPatterns } from './scan/read.ts';
import type { Match } from './scan/resolve.ts';

export interface ScanOptions {
  /** Directories beside the built-in one (`patterns.directories`). */
  readonly directories: readonly string[];
  /** Ids that are switched off (`patterns.disable`). */
  readonly disable: readonly string[];
  /** Expressions run per text (`body.candidates`). */
  readonly candidates: number;
  /** Encodings inside one another (`body.decode_depth`). */
  readonly depth: number;
  /** Keyed hash of the state directory. */
  readonly hash: (text: string) => string;
}

/** The scanner as the rooms get it, and the library behind it. */
export interface Scanning extends ScanPort {
  /** Reads and compiles all; else the first text does. Throws Error with a sentence for people. */
  load(): void;
}

/** Work one text may cost: a multiple of its length, and something for short ones. Units are about bytes read. */
const UNITS_PER_BYTE = 64;
const LEAST_UNITS = 1 << 20;
/** What `body.candidates` stands for in steps of the engine: its default is the engine's own. */
const STEPS_PER_CANDIDATE = 500;

/** Patterns of the built-in directory and others. Throws Error that names file, id and what is wrong. */
export function patternSources(directories: readonly string[], disable: readonly string[]): PatternSource[] {
  const off = new Set(disable);
  const sources: PatternSource[] = [];
  const known = new Set<string>();
  for (const directory of [dataFile(''), ...directories]) {
    for (const name of readdirSync(directory).sort()) {
      if (!/\.ya?ml$/.test(name)) continue;
      const file = join(directory, name);
      const text = readFileSync(file, 'utf8');
      // Other data lies beside them.
      if (!/^"?patterns"?:|^\{\s*"patterns"/m.test(text)) continue;
      for (const source of readPatterns(parse(text), file)) {
        known.add(source.id);
        if (!off.has(source.id)) sources.push(source);
      }
    }
  }
  const unknown = disable.find((id) => !known.has(id));
  if (unknown !== undefined) throw new Error(`patterns.disable: ${unknown} is no pattern. See: weir patterns list`);
  return sources;
}

export function scanOptions(config: Config, hash: (text: string) => string): ScanOptions {
  const { patterns, body } = config;
  return {
    directories: patterns.directories,
    disable: patterns.disable,
    candidates: body.candidates,
    depth: body.decode_depth,
    hash,
  };
}

/** Nothing is read or compiled before the first text, or `load`: a start that listens sooner serves sooner. */
export function createScanning(options: ScanOptions): Scanning {
  let engines: Readonly<Record<ScanFor, Engine>> | undefined;
  let homes = new Map<CompiledPattern, HostSet>();
  const digest = (secret: Uint8Array): string => options.hash(Buffer.from(secret).toString('latin1'));
  const load = (): Readonly<Record<ScanFor, Engine>> => {
    if (engines !== undefined) return engines;
    const sources = patternSources(options.directories, options.disable);
    const all = compilePatterns(sources).filter(({ kind, severity }) => isReported(kind, severity));
    const limits = { steps: options.candidates * STEPS_PER_CANDIDATE, digest };
    engines = {
      request: createEngine(
        all.filter(({ kind }) => kind !== 'injection'),
        limits,
      ),
      response: createEngine(all, limits),
      host: createEngine(hostPatterns(sources, all), limits),
    };
    homes = new Map([...all, ...engines.host.patterns].map((pattern) => [pattern, homeOf(pattern.home)]));
    return engines;
  };
  const scan = (what: ScanFor, bytes: Uint8Array): Scanned => {
    let left = bytes.length * UNITS_PER_BYTE + LEAST_UNITS;
    const budget = {
      take(units: number): boolean {
        left -= units;
        return left > 0;
      },
    };
    const { matches, cause } = scanLayers(load()[what], bytes, { depth: options.depth, budget });
    if (matches.length === 0 && cause === undefined) return CLEAN;
    const found = matches.map((match) => foundOf(match, homes));
    return cause === undefined ? { found } : { found, unscanned: cause };
  };
  return {
    scan,
    load: () => void load(),
    nameOf(rule) {
      const { response, request } = load();
      return [...response.patterns, ...request.patterns].find((pattern) => pattern.id === rule)?.name;
    },
  };
}

const CLEAN: Scanned = { found: [] };

function foundOf(match: Match, homes: ReadonlyMap<CompiledPattern, HostSet>): Found {
  const { pattern, start, end, verified, encodings, digest = '', bytes } = match;
  const { id, name, severity, kind, category, label } = pattern;
  const home = homes.get(pattern) ?? homeOf(pattern.home);
  return {
    rule: id,
    name,
    severity,
    kind,
    category,
    label,
    home,
    start,
    end,
    verified,
    encodings,
    fingerprint: digest,
    bytes,
  };
}

/** Names are lower-cased on the way, so credentials are compared without regard to case there; those with a form of their own only. */
function hostPatterns(sources: readonly PatternSource[], all: readonly CompiledPattern[]): CompiledPattern[] {
  const severe = new Set(
    all
      .filter(({ kind, severity, entropy }) => {
        return kind === 'credential' && entropy === 0 && (severity === 'high' || severity === 'critical');
      })
      .map(({ id }) => id),
  );
  return sources
    .filter(({ id, trigger }) => severe.has(id) && trigger === 'keywords')
    .flatMap((source) => {
      try {
        return [compilePattern({ ...source, ignoreCase: true, validator: undefined, confirm: undefined })];
      } catch {
        // Its expression does not allow it; its own case it keeps.
        return [compilePattern(source)];
      }
    });
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
