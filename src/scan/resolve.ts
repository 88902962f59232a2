import type { Severity } from '../model/finding.ts';
import type { Encoding } from './offsets.ts';
import type { CompiledPattern } from './pattern.ts';

/** A secret or phrase found. Offsets are bytes from the start of the stream. */
export interface Match {
  readonly pattern: CompiledPattern;
  /** What to redact: the group `secret` of the expression, or all of the match; of overlapping matches their union. */
  readonly start: number;
  readonly end: number;
  /** A validator or a checksum confirmed it. */
  readonly verified: boolean;
  /** What had to be undone to read it, outermost first; empty for plain text. */
  readonly encodings: readonly Encoding[];
  /** Of the plain secret, by the engine's `digest`: equal for the same secret in any encoding and at any place. */
  readonly digest: string | undefined;
  /** Length of the plain secret. */
  readonly bytes: number;
}

/** Makes the fingerprint of a secret. The bytes are the engine's own: they may not be kept. */
export type Digest = (secret: Uint8Array) => string;

const RANK: Record<Severity, number> = { info: 0, low: 1, medium: 2, high: 3, critical: 4 };

/**
 * Which of two overlapping matches gives the name: the more severe, then the verified, then the one whose pattern needs a longer literal
 * (`sk-ant-` says more than `sk-`), then the longer, then the earlier, then by id, so that the order of finding never decides.
 */
function compare(a: Match, b: Match): number {
  return (
    RANK[b.pattern.severity] - RANK[a.pattern.severity] ||
    Number(b.verified) - Number(a.verified) ||
    (b.pattern.literals[0]?.length ?? 0) - (a.pattern.literals[0]?.length ?? 0) ||
    b.end - b.start - (a.end - a.start) ||
    a.start - b.start ||
    a.encodings.length - b.encodings.length ||
    (a.pattern.id < b.pattern.id ? -1 : 1)
  );
}

function merged(matches: readonly Match[]): Match[] {
  const sorted = matches.toSorted((a, b) => a.start - b.start || b.end - a.end || compare(a, b));
  const out: Match[] = [];
  for (const match of sorted) {
    const last = out.at(-1);
    if (last === undefined || match.start >= last.end) out.push(match);
    else
      out[out.length - 1] = {
        ...(compare(last, match) <= 0 ? last : match),
        start: last.start,
        end: Math.max(last.end, match.end),
      };
  }
  return out;
}

/**
 * Overlapping matches of data (credentials, personal and financial data) become one with the range of all: what one of them covers is
 * never left over, and it counts once. Injections overlap only among themselves: they say what to think of a text, not what to take out.
 * @returns by start, then data before injections.
 */
export function resolve(matches: readonly Match[]): readonly Match[] {
  // Nearly all texts have none, and these are most of what is scanned.
  if (matches.length === 0) return matches;
  const data = merged(matches.filter((match) => match.pattern.kind !== 'injection'));
  const injections = merged(matches.filter((match) => match.pattern.kind === 'injection'));
  return [...data, ...injections].sort((a, b) => a.start - b.start);
}
