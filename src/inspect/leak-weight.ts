import type { Disposition, Severity } from '../model/finding.ts';
import type { Found, FoundKind } from '../model/scan.ts';

const RANK: Readonly<Record<Severity, number>> = { info: 0, low: 1, medium: 2, high: 3, critical: 4 };

/** Where something was found, as far as it matters for what it means. */
export type LeakPlace = 'host' | 'request' | 'credential-header' | 'cookie' | 'body' | 'response';

export interface Weight {
  readonly severity: Severity;
  readonly disposition: Disposition;
}

/**
 * Patterns worth a finding: credentials and injections from `medium`, personal and financial data from `high`. An e-mail address
 * or a phone number in a request is what requests are made of.
 */
export function isReported(kind: FoundKind, severity: Severity): boolean {
  return RANK[severity] >= (kind === 'pii' || kind === 'financial' ? RANK.high : RANK.medium);
}

/** Credentials that are made to be sent anywhere: their form says nothing of whose they are. */
const ANYBODYS: ReadonlySet<string> = new Set(['jwt-token', 'bearer-token', 'basic-auth']);

/**
 * What a find means (product.md §7.4), undefined = nothing. A credential on its way home is no leak. In a field made for
 * credentials a foreign one is how gateways are used: flagged at most, and only where the pattern knows its home. Elsewhere a
 * severe credential asks for a block. What comes in is flagged.
 */
export function weigh(found: Found, place: LeakPlace, host: string): Weight | undefined {
  const { kind, severity, home } = found;
  if (!isReported(kind, severity)) return undefined;
  if (kind === 'injection') return place === 'response' ? { severity, disposition: 'flag' } : undefined;
  if (kind !== 'credential') return { severity, disposition: 'flag' };
  if (home.has(host)) return undefined;
  if (place === 'response') return { severity, disposition: 'flag' };
  // Heads are made of names and values: that a value is called a token says nothing there.
  if (found.category === 'generic' && RANK[severity] < RANK.high && place !== 'body') return undefined;
  if (place === 'credential-header') return home.empty ? undefined : { severity: 'medium', disposition: 'flag' };
  if (place === 'cookie' && ANYBODYS.has(found.rule)) return undefined;
  return { severity, disposition: RANK[severity] >= RANK.high ? 'block' : 'flag' };
}
