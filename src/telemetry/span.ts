import type { Attributes, HrTime, Link, SpanContext, SpanStatus } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { ExchangeRecord } from '../model/record.ts';
import { ATTR, KNOWN_METHODS, SCOPE } from './semconv.ts';
import { urlOf } from './url.ts';

// Values of the API's enums; importing them would load the API package.
const KIND_CLIENT = 2;
const STATUS_UNSET: SpanStatus = { code: 0 };
const STATUS_ERROR = 2;
const SAMPLED = 1;
const EVENTS: ReadableSpan['events'] = [];
const NO_LINKS: Link[] = [];

/** Epoch milliseconds (fractional) as seconds and nanoseconds. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

/** `http.get`, `http.connect`, `weir.tunnel`; an unknown method does not make a new span name. */
export function spanName(record: ExchangeRecord): string {
  if (record.kind === 'tunnel') return 'weir.tunnel';
  if (record.kind === 'connect') return 'http.connect';
  return KNOWN_METHODS.has(record.method) ? `http.${record.method.toLowerCase()}` : 'http.other';
}

function set(attributes: Attributes, name: string, value: string | number | boolean | undefined): void {
  if (value !== undefined) attributes[name] = value;
}

function setHttp(attributes: Attributes, record: ExchangeRecord): void {
  if (record.kind === 'exchange') {
    if (KNOWN_METHODS.has(record.method)) attributes[ATTR.HTTP_REQUEST_METHOD] = record.method;
    else {
      attributes[ATTR.HTTP_REQUEST_METHOD] = '_OTHER';
      attributes[ATTR.HTTP_REQUEST_METHOD_ORIGINAL] = record.method;
    }
    attributes[ATTR.URL_FULL] = urlOf(record);
    attributes[ATTR.URL_SCHEME] = record.scheme;
    attributes[ATTR.NETWORK_PROTOCOL_VERSION] = record.protocol;
    set(attributes, ATTR.HTTP_RESPONSE_STATUS_CODE, record.status);
    attributes[ATTR.HTTP_REQUEST_BODY_SIZE] = record.requestBytes;
    attributes[ATTR.HTTP_RESPONSE_BODY_SIZE] = record.responseBytes;
    attributes[ATTR.STRATHON_TOOL_NAME] = `http.${record.method.toLowerCase()}`;
  } else {
    if (record.kind === 'connect') attributes[ATTR.HTTP_REQUEST_METHOD] = 'CONNECT';
    attributes[ATTR.NETWORK_TRANSPORT] = 'tcp';
    attributes[ATTR.STRATHON_TOOL_NAME] = 'http.connect';
  }
  attributes[ATTR.STRATHON_HTTP_URL] = urlOf(record);
  attributes[ATTR.STRATHON_SOURCE] = 'egress_proxy';
  attributes[ATTR.STRATHON_AGENT_NAME] = record.agent;
  set(attributes, ATTR.USER_AGENT_ORIGINAL, record.userAgent);
}

function setJudgement(attributes: Attributes, record: ExchangeRecord): void {
  attributes[ATTR.MODE] = record.mode;
  attributes[ATTR.VERDICT] = record.verdict;
  attributes[ATTR.ACTION] = record.action;
  attributes[ATTR.WOULD] = record.would;
  attributes[ATTR.WOULD_BLOCK] = record.would === 'block';
  attributes[ATTR.OUTCOME] = record.outcome;
  attributes[ATTR.DESTINATION_FIRST_SEEN] = record.firstSeen;
  attributes[ATTR.BASELINE_STATE] = record.baselineState;
  if (record.findings.length > 0) {
    const rules = [...new Set(record.findings.map((finding) => finding.rule))];
    attributes[ATTR.FINDING_RULES] = rules;
    attributes[ATTR.STRATHON_POLICY_MATCHED_IDS] = rules.join(',');
  }
  if (record.action !== 'block') return;
  const deciding = record.findings.find((finding) => finding.disposition === 'block');
  set(attributes, ATTR.STRATHON_POLICY_NAME, deciding?.rule);
  set(attributes, ATTR.STRATHON_POLICY_MESSAGE, deciding?.message);
  // Strathon draws and counts every value as an intervention, so monitor sets none, not even for a refusal to proxy to itself.
  if (record.mode === 'monitor') return;
  attributes[ATTR.STRATHON_INTERVENTION_STATE] = 'blocked';
  attributes[ATTR.STRATHON_POLICY_BLOCKED] = true;
}

function setConnection(attributes: Attributes, record: ExchangeRecord): void {
  attributes[ATTR.AGENT] = record.agent;
  attributes[ATTR.AGENT_IDENTIFIED_BY] = record.identifiedBy;
  attributes[ATTR.VISIBILITY] = record.visibility;
  attributes[ATTR.VIA] = record.via;
  attributes[ATTR.SERVER_ADDRESS] = record.host;
  attributes[ATTR.SERVER_PORT] = record.port;
  attributes[ATTR.CLIENT_ADDRESS] = record.clientAddress;
  set(attributes, ATTR.NETWORK_PEER_ADDRESS, record.peerAddress);
  set(attributes, ATTR.NETWORK_PEER_PORT, record.peerPort);
  set(attributes, ATTR.ADDRESS_DELEGATED, record.delegated);
  set(attributes, ATTR.TLS_PROTOCOL_VERSION, record.tlsVersion);
  set(attributes, ATTR.TLS_SNI, record.sni);
  set(attributes, ATTR.TLS_ALPN, record.alpn);
  set(attributes, ATTR.TLS_JA4, record.ja4);
  set(attributes, ATTR.TLS_ECH, record.ech);
  set(attributes, ATTR.TUNNEL_PROTOCOL, record.tunnelProtocol);
  set(attributes, ATTR.INTERCEPTION_SKIPPED, record.interceptionSkipped);
  set(attributes, ATTR.CLOSE_REASON, record.closeReason);
}

function setMeasures(attributes: Attributes, record: ExchangeRecord): void {
  attributes[ATTR.EXCHANGE_ID] = record.id;
  attributes[ATTR.CONNECTION_ID] = record.connectionId;
  attributes[ATTR.PROXY_OVERHEAD_MS] = record.overheadMs;
  attributes[ATTR.REQUEST_BODY_SIZE] = record.requestBytes;
  attributes[ATTR.RESPONSE_BODY_SIZE] = record.responseBytes;
  set(attributes, ATTR.RESPONSE_STATUS_CODE, record.answeredStatus);
  set(attributes, ATTR.TTFB_MS, record.ttfbMs);
  set(attributes, ATTR.DNS_MS, record.dnsMs);
  set(attributes, ATTR.CONNECT_MS, record.connectMs);
  set(attributes, ATTR.TLS_MS, record.tlsMs);
  set(attributes, ATTR.DESTINATION_TENANT, record.tenant);
  set(attributes, ATTR.CREDENTIAL_FINGERPRINT, record.credentialFp);
  set(attributes, ATTR.REQUEST_CONTENT_TYPE, record.contentType);
  set(attributes, ATTR.RESPONSE_CONTENT_TYPE, record.responseContentType);
  set(attributes, ATTR.ERROR_DETAIL, record.errorDetail);
  set(attributes, ATTR.TRACE_REPARENTED, record.reparented);
}

/** `error.type` of span and metric: the status code of a 4xx/5xx, else our code; undefined when nothing is wrong. */
export function errorType(record: ExchangeRecord): string | undefined {
  // Cancellation by the caller is not an error (semantic conventions, recording errors).
  if (record.outcome === 'client-gone' || record.outcome === 'answered' || record.outcome === 'interrupted')
    return undefined;
  if (record.outcome === 'blocked') return record.errorType ?? 'policy-denied';
  if (record.outcome === 'failed') return record.errorType ?? 'internal';
  if (record.status !== undefined && record.status >= 400) return String(record.status);
  return record.errorType;
}

function statusOf(record: ExchangeRecord, error: string | undefined): SpanStatus {
  if (error === undefined) return STATUS_UNSET;
  if (record.outcome !== 'blocked') return { code: STATUS_ERROR };
  const deciding = record.findings.find((finding) => finding.disposition === 'block');
  return deciding === undefined ? { code: STATUS_ERROR } : { code: STATUS_ERROR, message: deciding.message };
}

function context(traceId: string, spanId: string, isRemote: boolean): SpanContext {
  return { traceId, spanId, traceFlags: SAMPLED, ...(isRemote ? { isRemote } : {}) };
}

function linksOf(record: ExchangeRecord): Link[] {
  if (record.linkTraceId === undefined || record.linkSpanId === undefined) return NO_LINKS;
  // What a reparented span links to was claimed by the agent; a CONNECT span is our own.
  return [{ context: context(record.linkTraceId, record.linkSpanId, record.reparented === true) }];
}

/** The span of a closed exchange, CONNECT or tunnel. Pure; `resource` is the only thing not taken from the record. */
export function toSpan(record: ExchangeRecord, resource: Resource, version: string): ReadableSpan {
  const attributes: Attributes = {};
  setHttp(attributes, record);
  setJudgement(attributes, record);
  setConnection(attributes, record);
  setMeasures(attributes, record);
  const error = errorType(record);
  set(attributes, ATTR.ERROR_TYPE, error);
  const own = context(record.traceId, record.spanId, false);
  return {
    name: spanName(record),
    kind: KIND_CLIENT,
    spanContext: () => own,
    ...(record.parentSpanId === undefined
      ? {}
      : { parentSpanContext: context(record.traceId, record.parentSpanId, true) }),
    startTime: hrTime(record.startedAt),
    endTime: hrTime(record.startedAt + record.durationMs),
    status: statusOf(record, error),
    attributes,
    links: linksOf(record),
    events: EVENTS,
    duration: hrTime(record.durationMs),
    ended: true,
    resource,
    instrumentationScope: { name: SCOPE, version },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** What `telemetry.sample.unremarkable` may thin: a known, unflagged exchange that went through without an error. */
export function unremarkable(record: ExchangeRecord): boolean {
  return (
    record.outcome === 'forwarded' &&
    record.findings.length === 0 &&
    !record.firstSeen &&
    record.verdict === 'allow' &&
    record.baselineState !== 'learning' &&
    errorType(record) === undefined
  );
}

/** Same answer for every span of a trace: the last 32 bits of the trace id against the ratio. */
export function sampled(traceId: string, ratio: number): boolean {
  if (ratio >= 1) return true;
  if (ratio <= 0) return false;
  const value = Number.parseInt(traceId.slice(-8), 16);
  return Number.isNaN(value) || value < ratio * 0x1_0000_0000;
}
