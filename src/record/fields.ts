import type { ExchangeRecord } from '../model/record.ts';

/** Every field of an exchange record, in the order in which it travels to the recorder thread. */
export const FIELDS = [
  'kind',
  'state',
  'id',
  'connectionId',
  'traceId',
  'spanId',
  'startedAt',
  'durationMs',
  'agent',
  'identifiedBy',
  'via',
  'visibility',
  'clientAddress',
  'scheme',
  'host',
  'port',
  'protocol',
  'method',
  'target',
  'requestBytes',
  'responseBytes',
  'outcome',
  'mode',
  'verdict',
  'action',
  'would',
  'findings',
  'firstSeen',
  'baselineState',
  'teaches',
  'overheadMs',
  'wasOpen',
  'parentSpanId',
  'linkTraceId',
  'linkSpanId',
  'reparented',
  'peerAddress',
  'peerPort',
  'delegated',
  'status',
  'answeredStatus',
  'errorType',
  'errorDetail',
  'priorRules',
  'baselineAgent',
  'tenant',
  'credentialFp',
  'userAgent',
  'contentType',
  'responseContentType',
  'sni',
  'alpn',
  'ja4',
  'tlsVersion',
  'ech',
  'tunnelProtocol',
  'interceptionSkipped',
  'closeReason',
  'ttfbMs',
  'dnsMs',
  'connectMs',
  'tlsMs',
  'runId',
  'redactions',
  'llm',
  'mcp',
] as const satisfies readonly (keyof ExchangeRecord)[];

type Missing = Exclude<keyof ExchangeRecord, (typeof FIELDS)[number]>;
/** Does not compile when a field of the record is not in the table: it would silently stay behind. */
const COMPLETE: Missing extends never ? true : Missing = true;

/** The values of one record, typed by their place. */
type ValuesOf<T extends readonly (keyof ExchangeRecord)[]> = { -readonly [I in keyof T]: ExchangeRecord[T[I]] };
export type Values = ValuesOf<typeof FIELDS>;

export const COUNT = COMPLETE ? FIELDS.length : 0;
/** One array for all records without findings, so that they do not differ in it. */
const NO_FINDINGS: ExchangeRecord['findings'] = Object.freeze([]);

/** Milliseconds to the microsecond: what follows is noise of the clock, and costs bytes and time wherever it is written. */
const micro = (ms: number): number => Math.round(ms * 1000) / 1000;

// Written out by hand: loads by constant names are ten times faster than by a table of names.
function takeAlways(record: ExchangeRecord, into: Values): void {
  into[0] = record.kind;
  into[1] = record.state;
  into[2] = record.id;
  into[3] = record.connectionId;
  into[4] = record.traceId;
  into[5] = record.spanId;
  into[6] = micro(record.startedAt);
  into[7] = micro(record.durationMs);
  into[8] = record.agent;
  into[9] = record.identifiedBy;
  into[10] = record.via;
  into[11] = record.visibility;
  into[12] = record.clientAddress;
  into[13] = record.scheme;
  into[14] = record.host;
  into[15] = record.port;
  into[16] = record.protocol;
  into[17] = record.method;
  into[18] = record.target;
  into[19] = record.requestBytes;
  into[20] = record.responseBytes;
  into[21] = record.outcome;
  into[22] = record.mode;
  into[23] = record.verdict;
  into[24] = record.action;
  into[25] = record.would;
  into[26] = record.findings.length === 0 ? NO_FINDINGS : record.findings;
  into[27] = record.firstSeen;
  into[28] = record.baselineState;
  into[29] = record.teaches;
  into[30] = micro(record.overheadMs);
}

function takeSometimes(record: ExchangeRecord, into: Values): void {
  into[31] = record.wasOpen;
  into[32] = record.parentSpanId;
  into[33] = record.linkTraceId;
  into[34] = record.linkSpanId;
  into[35] = record.reparented;
  into[36] = record.peerAddress;
  into[37] = record.peerPort;
  into[38] = record.delegated;
  into[39] = record.status;
  into[40] = record.answeredStatus;
  into[41] = record.errorType;
  into[42] = record.errorDetail;
  into[43] = record.priorRules;
  into[44] = record.baselineAgent;
  into[45] = record.tenant;
  into[46] = record.credentialFp;
  into[47] = record.userAgent;
  into[48] = record.contentType;
  into[49] = record.responseContentType;
  into[50] = record.sni;
  into[51] = record.alpn;
  into[52] = record.ja4;
  into[53] = record.tlsVersion;
  into[54] = record.ech;
  into[55] = record.tunnelProtocol;
  into[56] = record.interceptionSkipped;
  into[57] = record.closeReason;
  into[58] = record.ttfbMs === undefined ? undefined : micro(record.ttfbMs);
  into[59] = record.dnsMs === undefined ? undefined : micro(record.dnsMs);
  into[60] = record.connectMs === undefined ? undefined : micro(record.connectMs);
  into[61] = record.tlsMs === undefined ? undefined : micro(record.tlsMs);
  into[62] = record.runId;
  into[63] = record.redactions;
  into[64] = record.llm;
  into[65] = record.mcp;
}

export function read(record: ExchangeRecord, into: Values): void {
  takeAlways(record, into);
  takeSometimes(record, into);
}

/** All fields absent. */
export const nothing = (): Values => new Array<undefined>(COUNT).fill(undefined) as unknown as Values;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function always(v: Values): Mutable<ExchangeRecord> {
  return {
    kind: v[0],
    state: v[1],
    id: v[2],
    connectionId: v[3],
    traceId: v[4],
    spanId: v[5],
    startedAt: v[6],
    durationMs: v[7],
    agent: v[8],
    identifiedBy: v[9],
    via: v[10],
    visibility: v[11],
    clientAddress: v[12],
    scheme: v[13],
    host: v[14],
    port: v[15],
    protocol: v[16],
    method: v[17],
    target: v[18],
    requestBytes: v[19],
    responseBytes: v[20],
    outcome: v[21],
    mode: v[22],
    verdict: v[23],
    action: v[24],
    would: v[25],
    findings: v[26],
    firstSeen: v[27],
    baselineState: v[28],
    teaches: v[29],
    overheadMs: v[30],
  };
}

function sometimes(v: Values, record: Mutable<ExchangeRecord>): void {
  if (v[31] !== undefined) record.wasOpen = v[31];
  if (v[32] !== undefined) record.parentSpanId = v[32];
  if (v[33] !== undefined) record.linkTraceId = v[33];
  if (v[34] !== undefined) record.linkSpanId = v[34];
  if (v[35] !== undefined) record.reparented = v[35];
  if (v[36] !== undefined) record.peerAddress = v[36];
  if (v[37] !== undefined) record.peerPort = v[37];
  if (v[38] !== undefined) record.delegated = v[38];
  if (v[39] !== undefined) record.status = v[39];
  if (v[40] !== undefined) record.answeredStatus = v[40];
  if (v[41] !== undefined) record.errorType = v[41];
  if (v[42] !== undefined) record.errorDetail = v[42];
  if (v[43] !== undefined) record.priorRules = v[43];
  if (v[44] !== undefined) record.baselineAgent = v[44];
  if (v[45] !== undefined) record.tenant = v[45];
  if (v[46] !== undefined) record.credentialFp = v[46];
  if (v[47] !== undefined) record.userAgent = v[47];
  if (v[48] !== undefined) record.contentType = v[48];
  if (v[49] !== undefined) record.responseContentType = v[49];
  if (v[50] !== undefined) record.sni = v[50];
  if (v[51] !== undefined) record.alpn = v[51];
  if (v[52] !== undefined) record.ja4 = v[52];
  if (v[53] !== undefined) record.tlsVersion = v[53];
  if (v[54] !== undefined) record.ech = v[54];
  if (v[55] !== undefined) record.tunnelProtocol = v[55];
  if (v[56] !== undefined) record.interceptionSkipped = v[56];
  if (v[57] !== undefined) record.closeReason = v[57];
  if (v[58] !== undefined) record.ttfbMs = v[58];
  if (v[59] !== undefined) record.dnsMs = v[59];
  if (v[60] !== undefined) record.connectMs = v[60];
  if (v[61] !== undefined) record.tlsMs = v[61];
  if (v[62] !== undefined) record.runId = v[62];
  if (v[63] !== undefined) record.redactions = v[63];
  if (v[64] !== undefined) record.llm = v[64];
  if (v[65] !== undefined) record.mcp = v[65];
}

/** The record of these values; what is undefined is absent. */
export function build(values: Values): ExchangeRecord {
  const record = always(values);
  sometimes(values, record);
  return record;
}
