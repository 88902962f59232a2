import type { Attributes } from '@opentelemetry/api';
import type { Finding, Severity } from '../model/finding.ts';
import type { EventRecord, ExchangeRecord, WeirRecord } from '../model/record.ts';
import { ATTR, EVENT } from './semconv.ts';

/** A log event before the SDK makes a LogRecord of it. */
export interface LogEvent {
  readonly eventName: string;
  /** OpenTelemetry severity number: 9 INFO, 13 WARN, 17 ERROR. */
  readonly severityNumber: 9 | 13 | 17;
  readonly severityText: 'INFO' | 'WARN' | 'ERROR';
  /** Epoch ms. */
  readonly at: number;
  /** For people; everything else is in the attributes. */
  readonly body: string;
  readonly attributes: Attributes;
  readonly traceId?: string;
  readonly spanId?: string;
}

type Level = Pick<LogEvent, 'severityNumber' | 'severityText'>;
const INFO: Level = { severityNumber: 9, severityText: 'INFO' };
const WARN: Level = { severityNumber: 13, severityText: 'WARN' };
const ERROR: Level = { severityNumber: 17, severityText: 'ERROR' };
const LEVELS: Readonly<Record<Severity, Level>> = { info: INFO, low: INFO, medium: WARN, high: WARN, critical: ERROR };

function findingAttributes(finding: Finding): Attributes {
  return {
    [ATTR.SECURITY_RULE_NAME]: finding.rule,
    [ATTR.SECURITY_RULE_CATEGORY]: finding.inspector,
    [ATTR.FINDING_SEVERITY]: finding.severity,
    [ATTR.FINDING_DISPOSITION]: finding.disposition,
  };
}

function exchangeAttributes(record: ExchangeRecord): Attributes {
  return {
    [ATTR.AGENT]: record.agent,
    [ATTR.SERVER_ADDRESS]: record.host,
    [ATTR.SERVER_PORT]: record.port,
    [ATTR.EXCHANGE_ID]: record.id,
    [ATTR.CONNECTION_ID]: record.connectionId,
    ...(record.runId === undefined ? {} : { [ATTR.RUN_ID]: record.runId }),
    [ATTR.VISIBILITY]: record.visibility,
    [ATTR.MODE]: record.mode,
    [ATTR.ACTION]: record.action,
    [ATTR.WOULD]: record.would,
    [ATTR.BASELINE_STATE]: record.baselineState,
  };
}

function findingEvent(record: ExchangeRecord, finding: Finding): LogEvent {
  const first = finding.rule === 'first-seen';
  if (finding.blockReason === 'credential-leak') return credentialEvent(record, finding);
  const level = first ? (record.baselineState === 'learning' ? INFO : WARN) : LEVELS[finding.severity];
  return {
    eventName: first ? EVENT.FIRST_SEEN : EVENT.FINDING,
    ...level,
    at: record.startedAt,
    body: finding.message,
    attributes: { ...exchangeAttributes(record), ...findingAttributes(finding) },
    traceId: record.traceId,
    spanId: record.spanId,
  };
}

/** telemetry.md §1.7: WARN, whatever was done about it; a block has an event of its own. */
function credentialEvent(record: ExchangeRecord, finding: Finding): LogEvent {
  return {
    eventName: EVENT.CREDENTIAL,
    ...WARN,
    at: record.startedAt,
    body: finding.message,
    attributes: { ...exchangeAttributes(record), ...findingAttributes(finding), [ATTR.DETECTOR_ID]: finding.rule },
    traceId: record.traceId,
    spanId: record.spanId,
  };
}

/** TLS that was to be read and was not. */
function interceptionEvent(record: ExchangeRecord, reason: string): LogEvent {
  return {
    eventName: EVENT.INTERCEPTION_FAILED,
    ...WARN,
    at: record.startedAt,
    body: `TLS of ${record.host}:${record.port} was not read for ${record.agent}: ${reason}`,
    attributes: { ...exchangeAttributes(record), [ATTR.INTERCEPTION_SKIPPED]: reason },
    traceId: record.traceId,
    spanId: record.spanId,
  };
}

function decisionEvent(record: ExchangeRecord): LogEvent {
  const wanted = record.action === 'block' ? 'block' : record.would;
  const deciding = record.findings.find((finding) => finding.disposition === wanted) ?? record.findings[0];
  const what = record.action === 'block' ? 'blocked' : `would ${record.would}`;
  return {
    eventName: EVENT.DECISION,
    ...(record.action === 'block' ? ERROR : WARN),
    at: record.startedAt,
    body: `${what}: ${record.agent} to ${record.host}:${record.port}${deciding === undefined ? '' : ` (${deciding.rule})`}`,
    attributes: {
      ...exchangeAttributes(record),
      ...(deciding === undefined ? {} : findingAttributes(deciding)),
      [ATTR.VERDICT]: record.verdict,
    },
    traceId: record.traceId,
    spanId: record.spanId,
  };
}

/** A decision is made once: a tunnel shares its CONNECT's, unless what decided was found only after the CONNECT had been reported. */
export function decides(record: ExchangeRecord): boolean {
  if (record.action !== 'block' && record.would === 'none') return false;
  if (record.kind !== 'tunnel') return true;
  const wanted = record.action === 'block' ? 'block' : record.would;
  return record.findings.some((finding) => finding.disposition === wanted);
}

/**
 * Events of an exchange; `from` skips the findings that its open row has already reported. Learning hides only novelty: a
 * first contact without a finding of its own is still an event.
 */
export function exchangeEvents(record: ExchangeRecord, from = 0): LogEvent[] {
  const events: LogEvent[] = [];
  let first = false;
  for (const [index, finding] of record.findings.entries()) {
    if (finding.rule === 'first-seen') first = true;
    if (index >= from) events.push(findingEvent(record, finding));
  }
  if (record.firstSeen && !first && record.state === 'closed' && record.kind !== 'tunnel') {
    events.push({
      eventName: EVENT.FIRST_SEEN,
      ...INFO,
      at: record.startedAt,
      body: `${record.agent} reached ${record.host}:${record.port} for the first time`,
      attributes: exchangeAttributes(record),
      traceId: record.traceId,
      spanId: record.spanId,
    });
  }
  if (record.kind === 'tunnel' && record.state === 'closed' && record.interceptionSkipped !== undefined)
    events.push(interceptionEvent(record, record.interceptionSkipped));
  const decision = record.state === 'closed' && decides(record) ? decisionEvent(record) : undefined;
  if (decision !== undefined) events.push(decision);
  return events;
}

function eventOf(record: EventRecord): LogEvent {
  const { finding } = record;
  const attributes: Attributes = { [ATTR.AGENT]: record.agent, ...findingAttributes(finding) };
  if (record.host !== undefined) attributes[ATTR.SERVER_ADDRESS] = record.host;
  if (record.port !== undefined) attributes[ATTR.SERVER_PORT] = record.port;
  if (record.connectionId !== undefined) attributes[ATTR.CONNECTION_ID] = record.connectionId;
  if (record.actor !== undefined) attributes[ATTR.ACTOR] = record.actor;
  if (record.runId !== undefined) attributes[ATTR.RUN_ID] = record.runId;
  if (record.count !== undefined) attributes[ATTR.COUNT] = record.count;
  if (record.program !== undefined) {
    attributes[ATTR.PROCESS_EXECUTABLE_NAME] = record.program;
    // Seen on a socket: an address, not a name somebody asked for.
    if (record.host !== undefined) attributes[ATTR.NETWORK_PEER_ADDRESS] = record.host;
    if (record.port !== undefined) attributes[ATTR.NETWORK_PEER_PORT] = record.port;
  }
  return {
    eventName:
      record.kind === 'audit' ? EVENT.AUDIT : finding.rule === 'telemetry-dropped' ? EVENT.DROPPED : EVENT.FINDING,
    ...LEVELS[finding.severity],
    at: record.at,
    body: finding.message,
    attributes,
  };
}

/** Log events of any record. Connections and baseline edits are rows only, runs are spans and rows. */
export function toLogEvents(record: WeirRecord, from = 0): LogEvent[] {
  switch (record.kind) {
    case 'exchange':
    case 'connect':
    case 'tunnel':
      return exchangeEvents(record, from);
    case 'finding':
    case 'audit':
      return [eventOf(record)];
    default:
      return [];
  }
}

/** Findings an open row has already reported, per span, so that the closing record does not repeat them. */
export function createReported(max = 10_000): {
  before(record: ExchangeRecord): number;
  commit(record: ExchangeRecord): void;
} {
  const reported = new Map<string, number>();
  return {
    before: (record) => (record.wasOpen === true ? (reported.get(record.spanId) ?? 0) : 0),
    commit(record) {
      if (record.state === 'closed') {
        if (record.wasOpen === true) reported.delete(record.spanId);
      } else if (record.findings.length > 0) {
        if (reported.size >= max) reported.delete(reported.keys().next().value as string);
        reported.set(record.spanId, record.findings.length);
      }
    },
  };
}
