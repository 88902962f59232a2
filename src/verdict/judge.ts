import type { Disposition, Finding, Severity, Verdict } from '../model/finding.ts';

/** Order of dispositions. */
export const STRENGTH: Readonly<Record<Disposition, number>> = { allow: 0, flag: 1, redact: 2, block: 3 };
const WEIGHT: Readonly<Record<Severity, number>> = { info: 0, low: 1, medium: 2, high: 3, critical: 4 };
const NOTHING: Verdict = { disposition: 'allow' };

/**
 * The finding that decides: an absolute one before all, then the strongest disposition, then the higher severity, then the
 * first reported. Undefined when nothing was found.
 */
export function deciding(findings: readonly Finding[]): Finding | undefined {
  let best: Finding | undefined;
  let bestRank = -1;
  for (const finding of findings) {
    const rank =
      (finding.absolute === undefined ? 0 : 1000) + STRENGTH[finding.disposition] * 10 + WEIGHT[finding.severity];
    if (rank > bestRank) {
      best = finding;
      bestRank = rank;
    }
  }
  return best;
}

/** Findings → verdict, the same in every mode. */
export function judge(findings: readonly Finding[]): Verdict {
  if (findings.length === 0) return NOTHING;
  const finding = deciding(findings) as Finding;
  return { disposition: finding.absolute === undefined ? finding.disposition : 'block', rule: finding.rule };
}
