import type { Answer } from '../model/answer.ts';
import type { TlsFacts } from '../model/connection.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Finding } from '../model/finding.ts';
import type { Checked, Inspector, Resolved, Upstream } from '../model/ports.ts';
import type { LateFindings, LiveExchange } from './live.ts';

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
        // What a CONNECT carries is judged again when it stays closed after all; an address may be inherited and found again.
        if ((phase !== 'tls' && phase !== 'address') || !isKnown(exchange, finding)) exchange.findings.push(finding);
      }
    } catch (error) {
      exchange.findings.push(failed(inspector.id, error));
    }
  }
}

function isKnown({ findings }: LiveExchange, { inspector, rule, message }: Finding): boolean {
  return findings.some((known) => known.rule === rule && known.inspector === inspector && known.message === message);
}

/** Asked of every exchange anew, with the lists of its own time. */
const ASKED_AGAIN: ReadonlySet<string> = new Set(['destination', 'baseline', 'account']);

/**
 * What asks for a block or a redaction of a CONNECT asks it of everything inside: its name, addresses and TLS are looked at once, and
 * the row a person looks at is the inner exchange's. When the CONNECT was refused, all of it is why the request inside is.
 */
function inherit(exchange: LiveExchange): void {
  const { judged } = exchange.connection;
  if (exchange.kind !== 'exchange' || judged === undefined) return;
  for (const { located: _located, ...finding } of judged.findings) {
    const { disposition, inspector, policy, retryAfter, rule } = finding;
    if (disposition !== 'block' && disposition !== 'redact') continue;
    // A rate is about its moment.
    const anew = ASKED_AGAIN.has(inspector) || policy !== undefined || retryAfter !== undefined;
    if ((anew && !judged.refused) || exchange.findings.some((known) => known.rule === rule)) continue;
    exchange.findings.push(finding);
  }
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
  const allowed = weigh(exchange);
  const { connection, findings, kind } = exchange;
  // Not the exchange itself: a connection outlives many reloads, and an exchange holds the stages of its time.
  if (kind === 'connect') connection.judged = { findings, refused: !allowed };
  return allowed;
}

function weigh(exchange: LiveExchange): boolean {
  const { stages, late = [] } = exchange;
  const known = new Set(late.flatMap(({ findings }) => findings));
  const findings = known.size === 0 ? exchange.findings : exchange.findings.filter((finding) => !known.has(finding));
  exchange.ruling = stages.apply(stages.judge(findings), findings, exchange);
  for (const one of late) judgeLate(exchange, one);
  return exchange.ruling.action !== 'block';
}

/** What was found too late to refuse anything: nothing that comes is refused for it either. */
export function noteLate(exchange: LiveExchange, late: LateFindings): void {
  if (late.findings.length === 0) return;
  for (const finding of late.findings) exchange.findings.push(finding);
  exchange.late = [...(exchange.late ?? []), late];
  judgeLate(exchange, late);
}

function judgeLate(exchange: LiveExchange, { findings, takenOut }: LateFindings): void {
  exchange.ruling = exchange.stages.content?.judgeLate(exchange.ruling, findings, takenOut) ?? exchange.ruling;
}

/** Judges an open exchange again by other stages than it was opened with; what they find anew is added to it. */
export function stillAllowed(exchange: LiveExchange, stages: LiveExchange['stages']): boolean {
  const known = exchange.findings.length;
  const again: LiveExchange = { ...exchange, stages, findings: [] };
  inspect(again, 'request', {});
  inspect(again, 'policy', {});
  if (weigh(again)) return true;
  const rules = new Set(exchange.findings.map((finding) => finding.rule));
  exchange.findings.push(...again.findings.filter((finding) => !rules.has(finding.rule)));
  if (exchange.findings.length > known) exchange.ruling = again.ruling;
  return false;
}

/** A `weir run` may have come with a parent proxy and roots of its own. */
export function upstreamOf({ connection, stages }: LiveExchange): Upstream {
  return connection.run?.upstream() ?? stages.upstream;
}

/**
 * What the CONNECT was judged by. Novelty: recorded on the exchange; on a CONNECT it is carried to what flows inside. Then the
 * policies, which read all of it.
 */
export function observe(exchange: LiveExchange): void {
  const { connection } = exchange;
  inherit(exchange);
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
