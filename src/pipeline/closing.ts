import type { Finding } from '../model/finding.ts';
import type { CloseFacts } from '../model/ports.ts';
import type { ExchangeRecord } from '../model/record.ts';
import { type AgentCounters, countExchange } from './agent-counters.ts';
import type { LiveExchange } from './live.ts';
import { exchangeRecord } from './record.ts';
import type { Told } from './stages.ts';
import type { Traces } from './trace.ts';

/**
 * Whether an exchange teaches the baseline (product.md §6): it was forwarded, nothing severe was found, and the upstream
 * answered (status < 500, or at least one byte in a tunnel). A CONNECT teaches through what flows inside it.
 */
function teaches(exchange: LiveExchange, facts: CloseFacts): boolean {
  if (exchange.kind === 'connect' || exchange.ruling.action !== 'forward') return false;
  if (facts.outcome !== 'forwarded' && facts.outcome !== 'client-gone') return false;
  if (exchange.findings.some((finding) => finding.severity === 'high' || finding.severity === 'critical')) return false;
  if (exchange.kind === 'tunnel') return exchange.responseBytes > 0;
  return exchange.status !== undefined && exchange.status < 500;
}

/** What Weir answered by itself has one outcome, whatever the transport reports. */
function settledFacts(exchange: LiveExchange, facts: CloseFacts): CloseFacts {
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
function gradeFirstContact(exchange: LiveExchange): void {
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

/** All that happens when everything about an exchange is known: graded, taught, counted, and made a record. `endedMono` is when it ended. */
export function conclude(
  exchange: LiveExchange,
  facts: CloseFacts,
  endedMono: number,
  agents: Map<string, AgentCounters>,
  traces: Traces,
): ExchangeRecord {
  const { stages } = exchange;
  const settled = settledFacts(exchange, facts);
  gradeFirstContact(exchange);
  const volume = exchange.kind === 'connect' ? undefined : stages.baseline.volume(exchange);
  if (volume !== undefined) exchange.findings.push(volume);
  const taught = teaches(exchange, settled) ? stages.baseline.teach(exchange) : undefined;
  if (taught !== undefined) stages.accounts.teach(exchange, exchange, exchange.baselineState);
  const told = tell(exchange);
  countExchange(agents, exchange, settled.closeReason);
  const record = exchangeRecord(exchange, endedMono, settled, taught, told);
  return joined(record, told?.mcp?.traceparent, traces);
}

/** What was read of its bodies; unusual facts are judged like bytes that have gone on. A reader that throws costs no record. */
function tell(exchange: LiveExchange): Told | undefined {
  const { reading, content } = exchange.stages;
  let told: Told | undefined;
  try {
    told = reading?.told(exchange);
  } catch (error) {
    reading?.failed(error);
  }
  if (told?.findings === undefined || told.findings.length === 0) return told;
  for (const finding of told.findings) exchange.findings.push(finding);
  exchange.ruling = content?.judgeLate(exchange.ruling, told.findings) ?? exchange.ruling;
  return told;
}

/** A context inside an MCP message (SEP-414) is joined like one in the head, unless the head had one; the span keeps its id. */
function joined(record: ExchangeRecord, traceparent: string | undefined, traces: Traces): ExchangeRecord {
  if (traceparent === undefined || record.parentSpanId !== undefined || record.reparented === true) return record;
  const { traceId, parentSpanId, reparented } = traces(traceparent);
  if (parentSpanId === undefined) return reparented === true ? { ...record, reparented } : record;
  return { ...record, traceId, parentSpanId };
}
