import { givenRules, scanOptions } from './collector-scan.ts';
import { ownPatterns } from './collector-secrets.ts';
import { patternSources } from './collector-sources.ts';
import type { Config } from './config/schema.ts';
import { toldBy } from './inspect/leak-rules.ts';
import type { PatternFacts } from './inspect/leak-weight.ts';
import type { Severity } from './model/finding.ts';
import type { FoundKind } from './model/scan.ts';
import { compilePatterns } from './scan/compile.ts';
import { createEngine } from './scan/engine.ts';
import { scanLayers } from './scan/layers.ts';

/** One pattern as `weir patterns` tells it. */
export interface PatternFact {
  readonly id: string;
  readonly name: string;
  readonly severity: Severity;
  readonly kind: FoundKind;
  readonly category: string;
  readonly label: string;
  readonly home: readonly string[];
  readonly keywords: readonly string[];
  readonly expression: string;
  readonly validator?: string;
  readonly reference: string;
  readonly file: string;
  /** Not in `patterns.disable`. */
  readonly enabled: boolean;
  /** Severe enough for a finding in traffic. */
  readonly reported: boolean;
}

/** One find in a text, without the secret. */
export interface TriedFound {
  readonly id: string;
  readonly name: string;
  readonly severity: Severity;
  readonly kind: FoundKind;
  readonly label: string;
  readonly line: number;
  readonly column: number;
  readonly start: number;
  readonly end: number;
  /** Length of the plain secret in bytes. */
  readonly bytes: number;
  readonly verified: boolean;
  readonly encodings: readonly string[];
  /** What every value of this form begins with, and nothing of the secret. */
  readonly masked: string;
  readonly reported: boolean;
}

export interface Tried {
  readonly found: readonly TriedFound[];
  /** Why the text was not looked at to its end. */
  readonly unscanned?: string;
}

/** The library, built in and the operator's, also what is switched off. Throws Error with a sentence for people. */
export function patternFacts(config: Config): readonly PatternFact[] {
  const off = new Set(config.patterns.disable);
  const reported = reportedBy(config);
  return patternSources(config.patterns.directories, []).map((source) => ({
    id: source.id,
    name: source.name,
    severity: source.severity,
    kind: source.kind,
    category: source.category,
    label: source.label,
    home: source.home,
    keywords: source.keywords,
    expression: source.expression,
    ...(source.validator === undefined ? {} : { validator: source.validator }),
    reference: source.reference,
    file: source.file,
    enabled: !off.has(source.id),
    reported: reported(source),
  }));
}

/** Looks for everything the configuration has switched on in one text, also what traffic would not be flagged for. */
export function tryPatterns(config: Config, env: NodeJS.ProcessEnv, bytes: Uint8Array): Tried {
  const { directories, disable, depth, secrets } = scanOptions(config, String, env);
  const patterns = compilePatterns([...patternSources(directories, disable), ...ownPatterns(secrets)]);
  const reported = reportedBy(config);
  const { matches, cause } = scanLayers(createEngine(patterns), bytes, { depth });
  const found = matches.map(({ pattern, start, end, bytes: length, verified, encodings }): TriedFound => {
    const before = Buffer.from(bytes.subarray(0, start));
    const lineStart = before.lastIndexOf(10) + 1;
    return {
      id: pattern.id,
      name: pattern.name,
      severity: pattern.severity,
      kind: pattern.kind,
      label: pattern.label,
      line: before.reduce((lines, byte) => (byte === 10 ? lines + 1 : lines), 1),
      column: start - lineStart + 1,
      start,
      end,
      bytes: length,
      verified,
      encodings,
      masked: masked(pattern.literals, bytes.subarray(start, end), pattern.id),
      reported: reported(pattern),
    };
  });
  return cause === undefined ? { found } : { found, unscanned: cause };
}

function reportedBy(config: Config): (pattern: PatternFacts) => boolean {
  const told = toldBy(givenRules(config));
  return (pattern) => told('requests', pattern) || told('responses', pattern);
}

/** `ghp_…`: a literal that is part of the form. An own secret is nothing but its literal. */
function masked(literals: readonly string[], covered: Uint8Array, id: string): string {
  const text = Buffer.from(covered).toString('latin1');
  const literal = id.startsWith('own-secret-') ? undefined : literals.find((one) => text.startsWith(one));
  return literal === undefined || literal.length > 12 || literal.length * 2 > text.length ? '…' : `${literal}…`;
}
