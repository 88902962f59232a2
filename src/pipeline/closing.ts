import type { Finding } from '../model/finding.ts';
import type { CloseFacts } from '../model/ports.ts';
import type { LiveExchange } from './live.ts';

/**
 * Whether an exchange teaches the baseline (product.md §6): it was forwarded, nothing severe was found, and the upstream
 * answered (status < 500, or at least one byte in a tunnel). A CONNECT teaches through what flows inside it.
 */
export function teaches(exchange: LiveExchange, facts: CloseFacts): boolean {
  if (exchange.kind === 'connect' || exchange.ruling.action !== 'forward') return false;
  if (facts.outcome !== 'forwarded' && facts.outcome !== 'client-gone') return false;
  if (exchange.findings.some((finding) => finding.severity === 'high' || finding.severity === 'critical')) return false;
  if (exchange.kind === 'tunnel') return exchange.responseBytes > 0;
  return exchange.status !== undefined && exchange.status < 500;
}

/** What Weir answered by itself has one outcome, whatever the transport reports. */
export function settledFacts(exchange: LiveExchange, facts: CloseFacts): CloseFacts {
  const cause = exchange.answeredFor;
  if (cause === undefined || facts.outcome === 'forwarded') return facts;
  if (cause === 'verification') return { ...facts, outcome: 'answered' };
  if (facts.outcome === 'client-gone') return facts;
  if (cause === 'policy-denied' || cause === 'stopped' || cause === 'self-target') {
    return { ...facts, outcome: 'blocked', error: cause };
  }
  return { ...facts, outcome: 'failed', error: cause };
}

/**
 * First contacts are graded by what left, which is known only now. The CONNECT reported the contact at once; what flows
 * inside reports it again only when it weighs more (an upload, a risky category).
 */
export function gradeFirstContact(exchange: LiveExchange): void {
  const { findings, connection } = exchange;
  const { baseline } = exchange.stages;
  for (let i = 0; i < findings.length; i++) {
    const finding = findings[i] as Finding;
    if (finding.inspector === 'baseline') findings[i] = baseline.grade(exchange, finding);
  }
  if (exchange.kind === 'connect') return;
  const contact = connection.firstContact;
  if (contact?.finding === undefined) return;
  const graded = baseline.grade(exchange, contact.finding);
  if (graded.severity === 'info' || graded.severity === contact.finding.severity) return;
  findings.push(graded);
  connection.firstContact = { finding: undefined, shown: true };
}
