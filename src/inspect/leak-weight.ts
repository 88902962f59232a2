import type { Disposition, Severity } from '../model/finding.ts';
import type { Found, FoundKind } from '../model/scan.ts';

/** Where something was found, as far as it matters for what it means. */
export type LeakPlace =
  | 'host'
  | 'request'
  | 'credential-header'
  | 'cookie'
  | 'signature'
  | 'body'
  | 'response'
  | 'response-head'
  | 'handed-out';

export interface Weight {
  readonly severity: Severity;
  readonly disposition: Disposition;
}

/** What a find of one severity asks for; `allow` = it is not told. */
export type BySeverity = Readonly<Record<Severity, Disposition>>;

/** What the finds of one direction ask for (`scan.requests`, `scan.responses`). */
export interface Dispositions {
  readonly kinds: Readonly<Record<FoundKind, BySeverity>>;
  /** By category of the pattern: stands before its kind. */
  readonly categories: ReadonlyMap<string, BySeverity>;
}

export interface BothWays {
  readonly requests: Dispositions;
  readonly responses: Dispositions;
}

const SEVERITIES: readonly Severity[] = ['info', 'low', 'medium', 'high', 'critical'];

/** The same for every severity from `least` on; `allow` below it. */
export function from(least: Severity, disposition: Disposition): BySeverity {
  const rank = SEVERITIES.indexOf(least);
  return Object.fromEntries(
    SEVERITIES.map((severity, i) => [severity, i < rank ? 'allow' : disposition]),
  ) as unknown as BySeverity;
}

/**
 * Credentials and injections count from `medium`, personal and financial data from `high`: an e-mail address or a phone number in a
 * request is what requests are made of. A severe credential that leaves asks for a block, one that comes in to be taken out;
 * instructions in what an agent asks are its own.
 */
export const DEFAULTS: BothWays = {
  requests: {
    kinds: {
      credential: { ...from('medium', 'flag'), high: 'block', critical: 'block' },
      pii: from('high', 'flag'),
      financial: from('high', 'flag'),
      injection: from('info', 'allow'),
    },
    categories: new Map(),
  },
  responses: {
    kinds: {
      credential: { ...from('medium', 'flag'), high: 'redact', critical: 'redact' },
      pii: from('high', 'redact'),
      financial: from('high', 'redact'),
      injection: from('medium', 'flag'),
    },
    categories: new Map(),
  },
};

/** What is known of a pattern before anything was found. */
export interface PatternFacts {
  readonly kind: FoundKind;
  readonly severity: Severity;
  readonly category: string;
}

/** Whether anything is told of a pattern in one direction by these rules. */
export function isTold(rules: BothWays, direction: keyof BothWays, pattern: PatternFacts): boolean {
  return disposed(rules, direction, pattern) !== 'allow';
}

/** Patterns worth a finding where nothing else is configured. */
export function isReported(kind: FoundKind, severity: Severity): boolean {
  const pattern = { kind, severity, category: '' };
  return isTold(DEFAULTS, 'requests', pattern) || isTold(DEFAULTS, 'responses', pattern);
}

function disposed(rules: BothWays, direction: keyof BothWays, { kind, severity, category }: PatternFacts): Disposition {
  const { kinds, categories } = rules[direction];
  const own = kinds[kind][severity];
  // A category of injections is about what comes in: what an agent asks is looked at only where its kind is.
  if (kind === 'injection' && direction === 'requests' && own === 'allow') return own;
  return categories.get(category)?.[severity] ?? own;
}

/**
 * Whether what is only flagged here may be taken out when somebody asks for that: not where a session, a signature or a gateway's
 * key would go with it.
 */
export function mayGo(place: LeakPlace): boolean {
  return place !== 'credential-header' && place !== 'handed-out' && place !== 'signature' && place !== 'host';
}

/** Credentials that are made to be sent anywhere: their form says nothing of whose they are. */
const ANYBODYS: ReadonlySet<string> = new Set(['jwt-token', 'bearer-token', 'basic-auth']);

/**
 * What a find means (product.md §7.4), undefined = nothing. A credential on its way home, or from there, is no leak. In a field made
 * for credentials a foreign one is how gateways are used: flagged at most, and only where the pattern knows its home. What a server
 * hands to its own client (a token anybody issues) is flagged at most, and quiet where servers do so by design.
 */
export function weigh(found: Found, place: LeakPlace, host: string, rules: BothWays = DEFAULTS): Weight | undefined {
  const { kind, severity, home, category } = found;
  const incoming = place === 'response' || place === 'response-head' || place === 'handed-out';
  const disposition = disposed(rules, incoming ? 'responses' : 'requests', found);
  if (disposition === 'allow') return undefined;
  if (kind !== 'credential') return { severity, disposition };
  if (home.has(host)) return undefined;
  const anybodys = ANYBODYS.has(found.rule);
  // Heads are made of names and values: that a value is called a token says nothing there.
  const severe = severity === 'high' || severity === 'critical';
  if (category === 'generic' && !severe && place !== 'body' && place !== 'response') return undefined;
  // A signed URL names the key it was signed with, never the secret itself.
  if (place === 'signature' || found.signs) return undefined;
  if (incoming) {
    if (anybodys && place !== 'response') return undefined;
    if (place === 'handed-out') return home.empty ? undefined : { severity: 'medium', disposition: 'flag' };
    return { severity, disposition: anybodys ? 'flag' : disposition };
  }
  if (place === 'credential-header') return home.empty ? undefined : { severity: 'medium', disposition: 'flag' };
  if (place === 'cookie' && anybodys) return undefined;
  return { severity, disposition };
}
