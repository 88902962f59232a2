import { ERRORS, type ErrorCode } from '../model/error.ts';
import { fieldOf } from '../model/fields.ts';
import type { CloseFacts } from '../model/ports.ts';
import type { ConnectionRecord, EventRecord, ExchangeRecord } from '../model/record.ts';
import { ulid } from '../model/ulid.ts';
import type { LiveConnection, LiveExchange } from './live.ts';
import type { Told } from './stages.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Connection facts onto the record, only those that are known. */
function addConnectionFacts(
  record: Mutable<
    Pick<ExchangeRecord, 'sni' | 'alpn' | 'ja4' | 'tlsVersion' | 'tunnelProtocol' | 'interceptionSkipped' | 'runId'>
  >,
  connection: LiveConnection,
): void {
  const tls = connection.tls;
  if (tls !== undefined) {
    if (tls.sni !== undefined) record.sni = tls.sni;
    if (tls.alpn.length > 0) record.alpn = tls.alpn.join(',');
    record.ja4 = tls.ja4;
    record.tlsVersion = tls.version;
  }
  if (connection.run !== undefined) record.runId = connection.run.id;
  if (connection.tunnelProtocol !== undefined) record.tunnelProtocol = connection.tunnelProtocol;
  if (connection.interceptionSkipped !== undefined) record.interceptionSkipped = connection.interceptionSkipped;
}

/** What became known while the exchange was under way. */
function addExchangeFacts(record: Mutable<Partial<ExchangeRecord>>, exchange: LiveExchange): void {
  if (exchange.status !== undefined) record.status = exchange.status;
  if (exchange.answeredStatus !== undefined) record.answeredStatus = exchange.answeredStatus;
  if (exchange.peer !== undefined) {
    record.peerAddress = exchange.peer.address;
    record.peerPort = exchange.peer.port;
  }
  if (exchange.delegated === true) record.delegated = true;
  if (exchange.priorRules !== undefined) record.priorRules = exchange.priorRules;
  if (exchange.tenant !== undefined) record.tenant = exchange.tenant;
  if (exchange.credentialFp !== undefined) record.credentialFp = exchange.credentialFp;
  if (exchange.userAgent !== undefined) record.userAgent = exchange.userAgent;
  const timings = exchange.timings;
  if (timings !== undefined) {
    if (timings.dnsMs !== undefined) record.dnsMs = timings.dnsMs;
    if (timings.connectMs !== undefined) record.connectMs = timings.connectMs;
    if (timings.tlsMs !== undefined) record.tlsMs = timings.tlsMs;
  }
  if (exchange.sentMono !== undefined && exchange.headMono !== undefined) {
    record.ttfbMs = Math.max(0, exchange.headMono - exchange.sentMono);
  }
  if (exchange.kind === 'exchange') {
    const contentType = fieldOf(exchange.request.fields, 'content-type');
    if (contentType !== undefined) record.contentType = contentType;
    if (exchange.responseFields !== undefined) {
      const responseType = fieldOf(exchange.responseFields, 'content-type');
      if (responseType !== undefined) record.responseContentType = responseType;
    }
  }
}

function addTrace(record: Mutable<Partial<ExchangeRecord>>, exchange: LiveExchange): void {
  const { trace, connection } = exchange;
  if (trace.parentSpanId !== undefined) record.parentSpanId = trace.parentSpanId;
  if (trace.reparented === true) record.reparented = true;
  if (trace.linkTraceId !== undefined && trace.linkSpanId !== undefined) {
    record.linkTraceId = trace.linkTraceId;
    record.linkSpanId = trace.linkSpanId;
  } else if (connection.connectSpan !== undefined && exchange.kind !== 'connect') {
    record.linkTraceId = connection.connectSpan.traceId;
    record.linkSpanId = connection.connectSpan.spanId;
  }
}

/** The one record of an exchange, raw (the recorder makes it presentable). `facts` undefined = it is still open; `taught` = key it taught under. */
export function exchangeRecord(
  exchange: LiveExchange,
  nowMono: number,
  facts: CloseFacts | undefined,
  taught: string | undefined,
  told?: Told,
): ExchangeRecord {
  const { connection, destination, ruling, request } = exchange;
  const sent = exchange.sentMono ?? nowMono;
  const overhead = facts?.outcome === 'forwarded' ? Math.max(0, sent - exchange.startedMono - exchange.reachMs) : 0;
  const record: Mutable<ExchangeRecord> = {
    kind: exchange.kind,
    state: facts === undefined ? 'open' : 'closed',
    id: exchange.id,
    connectionId: connection.id,
    traceId: exchange.traceId,
    spanId: exchange.spanId,
    startedAt: exchange.startedAt,
    durationMs: nowMono - exchange.startedMono,
    agent: exchange.identity.agent,
    identifiedBy: exchange.identity.by,
    via: connection.via,
    visibility: connection.visibility,
    clientAddress: connection.client.address,
    scheme: destination.scheme,
    host: destination.host,
    port: destination.port,
    protocol: request.protocol,
    method: request.method,
    target: request.target,
    requestBytes: exchange.requestBytes,
    responseBytes: exchange.responseBytes,
    outcome: facts?.outcome ?? 'forwarded',
    mode: ruling.mode,
    verdict: ruling.verdict,
    action: ruling.action,
    would: ruling.would,
    findings: exchange.findings,
    firstSeen: exchange.firstSeen,
    baselineState: exchange.baselineState,
    teaches: taught !== undefined,
    overheadMs: overhead,
  };
  if (taught !== undefined && taught !== record.agent) record.baselineAgent = taught;
  if (exchange.wasOpen && facts !== undefined) record.wasOpen = true;
  if (facts?.error !== undefined) record.errorType = facts.error;
  if (facts?.detail !== undefined) record.errorDetail = facts.detail;
  if (facts?.closeReason !== undefined) record.closeReason = facts.closeReason;
  addTrace(record, exchange);
  addConnectionFacts(record, connection);
  if (connection.tls?.ech === true) record.ech = true;
  addExchangeFacts(record, exchange);
  if (exchange.redactions !== undefined && exchange.redactions > 0) record.redactions = exchange.redactions;
  if (told?.llm !== undefined) record.llm = told.llm;
  if (told?.mcp !== undefined) record.mcp = told.mcp;
  return record;
}

/** The row of an agent-side transport, or undefined when it never named a destination. */
export function connectionRecord(
  connection: LiveConnection,
  closedAt: number,
  reason: string,
): ConnectionRecord | undefined {
  const destination = connection.destination;
  if (destination === undefined) return undefined;
  const record: Mutable<ConnectionRecord> = {
    kind: 'connection',
    id: connection.id,
    openedAt: connection.openedAt,
    closedAt,
    agent: connection.identity?.agent ?? 'default',
    identifiedBy: connection.identity?.by ?? 'default',
    via: connection.via,
    visibility: connection.visibility,
    clientAddress: connection.client.address,
    clientPort: connection.client.port,
    scheme: destination.scheme,
    host: destination.host,
    port: destination.port,
    exchanges: connection.exchanges,
    closeReason: reason,
  };
  addConnectionFacts(record, connection);
  return record;
}

/** Input refused before it became an exchange: malformed, too large, over a limit. */
export function rejection(connection: LiveConnection, code: ErrorCode, detail: string | undefined): EventRecord {
  const destination = connection.destination;
  return {
    kind: 'finding',
    id: ulid(),
    at: Date.now(),
    agent: connection.identity?.agent ?? 'default',
    connectionId: connection.id,
    ...(connection.run === undefined ? {} : { runId: connection.run.id }),
    ...(destination === undefined ? {} : { host: destination.host, port: destination.port }),
    finding: {
      inspector: 'protocol',
      rule: code,
      severity: 'low',
      disposition: 'block',
      message: detail ?? ERRORS[code].summary,
    },
  };
}
