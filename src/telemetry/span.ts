import type { Attributes, HrTime, Link, SpanContext, SpanStatus } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { ExchangeRecord, RunRecord } from '../model/record.ts';
import { putDialects } from './dialects.ts';
import { interventionOf } from './interventions.ts';
import { putLlm } from './llm-attributes.ts';
import { mcpError, mcpSpanName, putMcp } from './mcp-attributes.ts';
import { putDirect, putRun } from './run-span.ts';
import { ATTR, DIRECT_CONNECTION, KNOWN_METHODS, SCOPE } from './semconv.ts';
import { DEFAULT_SHAPE, type SpanShape, shortened } from './shape.ts';
import { urlOf } from './url.ts';

// Values of the API's enums; importing them would load the API package.
export const KIND_CLIENT = 2;
export const KIND_INTERNAL = 0;
const STATUS_UNSET: SpanStatus = { code: 0 };
const STATUS_ERROR = 2;
const SAMPLED = 1;
const EVENTS: ReadableSpan['events'] = [];
const NO_LINKS: Link[] = [];

/** What has a span. */
export type SpanRecord = ExchangeRecord | RunRecord;

/** Epoch milliseconds (fractional) as seconds and nanoseconds. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

/** `http.get`, `http.connect`, `weir.tunnel`, `weir.run`; an unknown method does not make a new span name. */
export function spanName(record: SpanRecord, { genai }: SpanShape = DEFAULT_SHAPE): string {
  if (record.kind === 'run') return 'weir.run';
  if (record.kind === 'tunnel') return 'weir.tunnel';
  if (record.kind === 'connect') return 'http.connect';
  // An agent that traces itself has that span already.
  if (record.mcp !== undefined && (genai === 'on' || (genai === 'auto' && !tracesItself(record))))
    return mcpSpanName(record.mcp);
  return KNOWN_METHODS.has(record.method) ? `http.${record.method.toLowerCase()}` : 'http.other';
}

/** Takes one attribute; undefined = it is not there. */
export type Put = (name: string, value: string | number | boolean | string[] | undefined) => void;

function putHttp(put: Put, record: ExchangeRecord): void {
  const url = urlOf(record);
  if (record.kind === 'exchange') {
    if (KNOWN_METHODS.has(record.method)) put(ATTR.HTTP_REQUEST_METHOD, record.method);
    else {
      put(ATTR.HTTP_REQUEST_METHOD, '_OTHER');
      put(ATTR.HTTP_REQUEST_METHOD_ORIGINAL, record.method);
    }
    put(ATTR.URL_FULL, url);
    put(ATTR.URL_SCHEME, record.scheme);
    put(ATTR.NETWORK_PROTOCOL_VERSION, record.protocol);
    put(ATTR.HTTP_RESPONSE_STATUS_CODE, record.status);
    put(ATTR.HTTP_REQUEST_BODY_SIZE, record.requestBytes);
    put(ATTR.HTTP_RESPONSE_BODY_SIZE, record.responseBytes);
    put(ATTR.STRATHON_TOOL_NAME, `http.${record.method.toLowerCase()}`);
  } else {
    if (record.kind === 'connect') put(ATTR.HTTP_REQUEST_METHOD, 'CONNECT');
    put(ATTR.NETWORK_TRANSPORT, 'tcp');
    put(ATTR.STRATHON_TOOL_NAME, 'http.connect');
  }
  put(ATTR.STRATHON_HTTP_URL, url);
  put(ATTR.STRATHON_SOURCE, 'egress_proxy');
  put(ATTR.STRATHON_AGENT_NAME, record.agent);
  put(ATTR.USER_AGENT_ORIGINAL, record.userAgent);
}

function putJudgement(put: Put, record: ExchangeRecord): void {
  put(ATTR.MODE, record.mode);
  put(ATTR.VERDICT, record.verdict);
  put(ATTR.ACTION, record.action);
  put(ATTR.WOULD, record.would);
  put(ATTR.WOULD_BLOCK, record.would === 'block');
  put(ATTR.OUTCOME, record.outcome);
  put(ATTR.DESTINATION_FIRST_SEEN, record.firstSeen);
  put(ATTR.BASELINE_STATE, record.baselineState);
  if (record.findings.length > 0) {
    const rules = [...new Set(record.findings.map((finding) => finding.rule))];
    put(ATTR.FINDING_RULES, rules);
    put(ATTR.STRATHON_POLICY_MATCHED_IDS, rules.join(','));
  }
  if (record.action !== 'block') return;
  const deciding = record.findings.find((finding) => finding.disposition === 'block');
  put(ATTR.STRATHON_POLICY_ID, deciding?.policy?.id);
  put(ATTR.STRATHON_POLICY_NAME, deciding?.policy?.name ?? deciding?.rule);
  put(ATTR.STRATHON_POLICY_MESSAGE, deciding?.message);
  // Strathon draws and counts every value as an intervention, so monitor sets none, not even for a refusal to proxy to itself.
  if (record.mode === 'monitor') return;
  const [state, flag] = interventionOf(deciding?.policy?.action);
  put(ATTR.STRATHON_INTERVENTION_STATE, state);
  put(flag, true);
  put(ATTR.STRATHON_POLICY_RETRY_AFTER, deciding?.retryAfter);
  put(ATTR.STRATHON_POLICY_REPLACEMENT, deciding?.policy?.replacement);
}

function putConnection(put: Put, record: ExchangeRecord): void {
  put(ATTR.AGENT, record.agent);
  put(ATTR.AGENT_IDENTIFIED_BY, record.identifiedBy);
  put(ATTR.VISIBILITY, record.visibility);
  put(ATTR.VIA, record.via);
  put(ATTR.SERVER_ADDRESS, record.host);
  put(ATTR.SERVER_PORT, record.port);
  put(ATTR.CLIENT_ADDRESS, record.clientAddress);
  put(ATTR.NETWORK_PEER_ADDRESS, record.peerAddress);
  put(ATTR.NETWORK_PEER_PORT, record.peerPort);
  put(ATTR.ADDRESS_DELEGATED, record.delegated);
  put(ATTR.TLS_PROTOCOL_VERSION, record.tlsVersion);
  put(ATTR.TLS_SNI, record.sni);
  put(ATTR.TLS_ALPN, record.alpn);
  put(ATTR.TLS_JA4, record.ja4);
  put(ATTR.TLS_ECH, record.ech);
  put(ATTR.TUNNEL_PROTOCOL, record.tunnelProtocol);
  put(ATTR.INTERCEPTION_SKIPPED, record.interceptionSkipped);
  put(ATTR.CLOSE_REASON, record.closeReason);
}

function putMeasures(put: Put, record: ExchangeRecord): void {
  put(ATTR.EXCHANGE_ID, record.id);
  put(ATTR.CONNECTION_ID, record.connectionId);
  put(ATTR.RUN_ID, record.runId);
  put(ATTR.PROXY_OVERHEAD_MS, record.overheadMs);
  put(ATTR.REQUEST_BODY_SIZE, record.requestBytes);
  put(ATTR.RESPONSE_BODY_SIZE, record.responseBytes);
  put(ATTR.RESPONSE_STATUS_CODE, record.answeredStatus);
  put(ATTR.TTFB_MS, record.ttfbMs);
  put(ATTR.DNS_MS, record.dnsMs);
  put(ATTR.CONNECT_MS, record.connectMs);
  put(ATTR.TLS_MS, record.tlsMs);
  put(ATTR.DESTINATION_TENANT, record.tenant);
  put(ATTR.CREDENTIAL_FINGERPRINT, record.credentialFp);
  put(ATTR.REQUEST_CONTENT_TYPE, record.contentType);
  put(ATTR.RESPONSE_CONTENT_TYPE, record.responseContentType);
  put(ATTR.ERROR_DETAIL, record.errorDetail);
  put(ATTR.TRACE_REPARENTED, record.reparented);
  put(ATTR.REDACTIONS, record.redactions);
}

/** Every attribute of the span, in order. */
export function putAttributes(
  put: Put,
  record: SpanRecord,
  error: string | undefined,
  shape: SpanShape = DEFAULT_SHAPE,
): void {
  if (shape.valueLength !== undefined) {
    const { valueLength, ...rest } = shape;
    putAttributes(shortened(put, valueLength), record, error, rest);
    return;
  }
  if (record.kind === 'run') {
    putRun(put, record);
    return;
  }
  putHttp(put, record);
  putJudgement(put, record);
  putConnection(put, record);
  putMeasures(put, record);
  putCalls(put, record, shape);
  if (shape.dialects.length > 1 || shape.dialects[0] !== 'otel') putDialects(put, record, shape);
  put(ATTR.ERROR_TYPE, error);
}

/** What was called. Usage is priced by Strathon's receiver, which would count it beside the agent's own (strathon-compat §6.21). */
function putCalls(put: Put, record: ExchangeRecord, shape: SpanShape): void {
  const { llm, mcp } = record;
  if ((llm === undefined && mcp === undefined) || shape.genai === 'off') return;
  const own = shape.genai === 'auto' && tracesItself(record);
  if (llm !== undefined) {
    const unpriced = shape.genai === 'auto' && shape.dialects.includes('strathon');
    putLlm(put, llm, own, shape.version, unpriced);
  }
  if (mcp !== undefined) putMcp(put, mcp, own);
}

/** The agent's own spans tell of its calls; a context inside an MCP message asks for a span under it. */
function tracesItself(record: ExchangeRecord): boolean {
  const { parentSpanId, mcp } = record;
  return parentSpanId !== undefined && mcp?.traceparent?.includes(parentSpanId) !== true;
}

/** `error.type` of an exchange: the status code of a 4xx/5xx, else our code; undefined when nothing is wrong. */
export function errorType(record: SpanRecord): string | undefined {
  // How the command ended is its own affair: `grep` exits 1 when it finds nothing.
  if (record.kind === 'run') return undefined;
  // Cancellation by the caller is not an error (semantic conventions, recording errors).
  if (record.outcome === 'client-gone' || record.outcome === 'answered' || record.outcome === 'interrupted')
    return undefined;
  if (record.outcome === 'blocked') return record.errorType ?? 'policy-denied';
  if (record.outcome === 'failed') return record.errorType ?? 'internal';
  if (record.status !== undefined && record.status >= 400) return String(record.status);
  return record.errorType;
}

/** `error.type` of the span: an MCP message may fail where its exchange does not. */
export function spanError(record: SpanRecord): string | undefined {
  const error = errorType(record);
  return error === undefined && record.kind !== 'run' && record.mcp !== undefined ? mcpError(record.mcp) : error;
}

export function statusOf(record: SpanRecord, error: string | undefined): SpanStatus {
  if (error === undefined || record.kind === 'run') return STATUS_UNSET;
  if (record.outcome !== 'blocked') return { code: STATUS_ERROR };
  const deciding = record.findings.find((finding) => finding.disposition === 'block');
  return deciding === undefined ? { code: STATUS_ERROR } : { code: STATUS_ERROR, message: deciding.message };
}

function context(traceId: string, spanId: string, isRemote: boolean): SpanContext {
  return { traceId, spanId, traceFlags: SAMPLED, ...(isRemote ? { isRemote } : {}) };
}

export function linksOf(record: SpanRecord): Link[] {
  if (record.kind === 'run' || record.linkTraceId === undefined || record.linkSpanId === undefined) return NO_LINKS;
  // What a reparented span links to was claimed by the agent; a CONNECT span is our own.
  return [{ context: context(record.linkTraceId, record.linkSpanId, record.reparented === true) }];
}

/** Epoch ms. */
export function endOf(record: SpanRecord): number {
  return record.kind === 'run' ? record.endedAt : record.startedAt + record.durationMs;
}

function collect(write: (put: Put) => void): Attributes {
  const attributes: Attributes = {};
  write((name, value) => {
    if (value !== undefined) attributes[name] = value;
  });
  return attributes;
}

function eventsOf(record: SpanRecord): ReadableSpan['events'] {
  if (record.kind !== 'run') return EVENTS;
  return record.direct.map((direct) => ({
    name: DIRECT_CONNECTION,
    time: hrTime(direct.at),
    attributes: collect((put) => putDirect(put, direct)),
    droppedAttributesCount: 0,
  }));
}

function parentOf(record: SpanRecord): { readonly parentSpanContext?: SpanContext } {
  if (record.kind === 'run' || record.parentSpanId === undefined) return {};
  return { parentSpanContext: context(record.traceId, record.parentSpanId, true) };
}

/** The span of a closed exchange, CONNECT, tunnel or run. Pure; `resource` is the only thing not taken from the record. */
export function toSpan(
  record: SpanRecord,
  resource: Resource,
  version: string,
  shape: SpanShape = DEFAULT_SHAPE,
): ReadableSpan {
  const error = spanError(record);
  const own = context(record.traceId, record.spanId, false);
  return {
    name: spanName(record, shape),
    kind: record.kind === 'run' ? KIND_INTERNAL : KIND_CLIENT,
    spanContext: () => own,
    ...parentOf(record),
    startTime: hrTime(record.startedAt),
    endTime: hrTime(endOf(record)),
    status: statusOf(record, error),
    attributes: collect((put) => putAttributes(put, record, error, shape)),
    links: linksOf(record),
    events: eventsOf(record),
    duration: hrTime(record.kind === 'run' ? record.endedAt - record.startedAt : record.durationMs),
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
    // That a body was not looked at to its end says nothing of the exchange.
    record.findings.every((finding) => finding.rule === 'unscanned') &&
    !record.firstSeen &&
    (record.verdict === 'allow' || record.verdict === 'flag') &&
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
