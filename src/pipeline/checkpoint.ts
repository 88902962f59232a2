import type { Answer } from '../model/answer.ts';
import type { TlsFacts } from '../model/connection.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Finding } from '../model/finding.ts';
import type { Checked, Inspector, Resolved, Upstream } from '../model/ports.ts';
import type { LiveExchange } from './live.ts';

/**
 * Runs every inspector of a phase and collects what they report on the exchange. Inspectors fail one by one: a throw
 * becomes a finding with verdict *block*, which monitor and redact forward and enforce stops (product.md §3).
 */
export function inspect(
  exchange: LiveExchange,
  phase: Inspector['phase'],
  facts: { readonly resolved?: Resolved; readonly tls?: TlsFacts; readonly protocol?: string },
): void {
  for (const inspector of exchange.stages.inspectors) {
    if (inspector.phase !== phase) continue;
    try {
      for (const finding of inspector.inspect(exchange, facts)) {
        // What a CONNECT carries is judged again when it stays closed after all.
        if (phase !== 'tls' || !isKnown(exchange, finding)) exchange.findings.push(finding);
      }
    } catch (error) {
      exchange.findings.push(failed(inspector.id, error));
    }
  }
}

function isKnown({ findings }: LiveExchange, { inspector, rule, message }: Finding): boolean {
  return findings.some((known) => known.rule === rule && known.inspector === inspector && known.message === message);
}

/** What a failed inspector leaves: verdict *block*, whatever it would have found. */
export function failed(inspector: string, error: unknown): Finding {
  return {
    inspector,
    rule: 'inspector-failed',
    severity: 'high',
    disposition: 'block',
    message: `${inspector} failed: ${error instanceof Error ? error.message : String(error)}`,
    blockReason: 'inspector-failed',
  };
}

/** Findings → verdict → ruling. True when the exchange may go on. */
export function judge(exchange: LiveExchange): boolean {
  const { stages, findings } = exchange;
  exchange.ruling = stages.apply(stages.judge(findings), findings, exchange);
  return exchange.ruling.action !== 'block';
}

/** Judges an open exchange again by other stages than it was opened with; what they find anew is added to it. */
export function stillAllowed(exchange: LiveExchange, stages: LiveExchange['stages']): boolean {
  const known = exchange.findings.length;
  const again: LiveExchange = { ...exchange, stages, findings: [] };
  inspect(again, 'request', {});
  inspect(again, 'policy', {});
  if (judge(again)) return true;
  const rules = new Set(exchange.findings.map((finding) => finding.rule));
  exchange.findings.push(...again.findings.filter((finding) => !rules.has(finding.rule)));
  if (exchange.findings.length > known) exchange.ruling = again.ruling;
  return false;
}

/** A `weir run` may have come with a parent proxy and roots of its own. */
export function upstreamOf({ connection, stages }: LiveExchange): Upstream {
  return connection.run?.upstream() ?? stages.upstream;
}

/** Novelty: recorded on the exchange; on a CONNECT it is carried to what flows inside. Then the policies, which read all of it. */
export function observe(exchange: LiveExchange): void {
  const { connection } = exchange;
  const seen = exchange.stages.baseline.observe(exchange);
  exchange.firstSeen = seen.firstSeen;
  exchange.baselineState = seen.state;
  for (const finding of seen.findings) exchange.findings.push(finding);
  for (const finding of exchange.stages.accounts.observe(exchange, exchange, seen.state))
    exchange.findings.push(finding);
  if (exchange.kind === 'connect' && seen.firstSeen) {
    connection.firstContact = {
      finding: seen.findings[0],
      shown: false,
    };
  } else if (connection.firstContact?.shown === false) {
    // The row a person looks at is the inner exchange's, not the CONNECT's.
    connection.firstContact.shown = true;
    exchange.firstSeen = true;
  }
  inspect(exchange, 'policy', {});
}

/** Notes that Weir answers by itself, and why. */
export function answered(exchange: LiveExchange, answer: Answer, cause: ErrorCode | 'verification'): Checked {
  exchange.answeredStatus = answer.status;
  exchange.answeredFor = cause === 'policy-denied' && answer.status === 508 ? 'self-target' : cause;
  return { forward: false, answer };
}
