import type { LlmFacts } from '../model/llm.ts';
import type { McpFacts } from '../model/mcp.ts';
import type { ConnectionRecord, EventRecord, ExchangeRecord, RunRecord } from '../model/record.ts';
import { refOf } from '../model/ulid.ts';

/** A cell before it meets DuckDB: times are epoch ms. */
export type Cell = string | number | boolean | null | readonly string[];
/** Cells in the order of the table's columns (`schema.ts`). */
export type Row = readonly Cell[];

/** Close reason of a CONNECT that was refused inside (connection/tunnel.ts). */
const ANSWERED_INSIDE = 'answered-inside';

/**
 * Whether this record leaves a row in `exchanges`. A forwarded CONNECT leaves none: its tunnel (same id) or the exchanges
 * inside it do, and so does the request that reads the refusal of a blocked one inside. While it is still being dialled it has an open row like everything that lasts.
 */
export function hasExchangeRow(record: ExchangeRecord): boolean {
  if (record.kind !== 'connect' || record.state === 'open') return true;
  return record.outcome !== 'forwarded' && record.closeReason !== ANSWERED_INSIDE;
}

/** Row of `exchanges`. */
export function exchangeRow(r: ExchangeRecord): Row {
  const tunnel = r.kind === 'tunnel';
  return [
    r.id,
    refOf(r.id),
    r.connectionId,
    r.traceId,
    r.spanId,
    r.parentSpanId ?? null,
    r.kind,
    r.state,
    r.startedAt,
    r.agent,
    r.identifiedBy,
    r.clientAddress,
    r.userAgent ?? null,
    r.via,
    tunnel ? 'tunnel' : r.visibility,
    tunnel ? 'CONNECT' : r.method,
    r.scheme,
    r.host,
    r.port,
    r.tenant ?? null,
    r.target,
    r.credentialFp ?? null,
    r.protocol,
    r.peerAddress ?? null,
    r.peerPort ?? null,
    r.contentType ?? null,
    r.responseContentType ?? null,
    r.status ?? r.answeredStatus ?? null,
    r.requestBytes,
    r.responseBytes,
    r.durationMs,
    r.ttfbMs ?? null,
    r.overheadMs,
    r.dnsMs ?? null,
    r.connectMs ?? null,
    r.tlsMs ?? null,
    r.mode,
    r.verdict,
    r.action,
    r.would,
    r.would === 'block',
    r.firstSeen,
    r.baselineState,
    rulesOf(r),
    r.outcome,
    r.errorType ?? null,
    r.errorDetail ?? null,
    r.sni ?? null,
    r.alpn ?? null,
    r.ja4 ?? null,
    r.tlsVersion ?? null,
    r.ech ?? null,
    r.tunnelProtocol ?? null,
    r.interceptionSkipped ?? null,
    r.closeReason ?? null,
    r.runId ?? null,
    r.redactions ?? null,
    ...llmCells(r.llm),
    r.mcp?.method ?? null,
    r.mcp?.tool ?? null,
    r.mcp?.session ?? null,
    mcpError(r.mcp) ?? null,
  ];
}

/** A request that never got an answer has cells as well: that it was asked is known. */
function llmCells(llm: LlmFacts | undefined): Cell[] {
  if (llm === undefined) return NO_LLM;
  const { api, request, response, timeToFirstToken, cost } = llm;
  return [
    api.kind,
    api.provider,
    response?.model ?? request.model ?? null,
    response?.usage?.input ?? null,
    response?.usage?.output ?? null,
    response?.usage?.cacheRead ?? null,
    response === undefined ? null : response.toolCallNames,
    response === undefined ? null : response.finishReasons,
    timeToFirstToken === undefined ? null : timeToFirstToken * 1000,
    cost ?? null,
  ];
}

function mcpError(mcp: McpFacts | undefined): string | undefined {
  if (mcp?.errorCode !== undefined) return String(mcp.errorCode);
  return mcp?.toolError === true ? 'tool_error' : undefined;
}

const NO_LLM: Cell[] = Array.from({ length: 10 }, () => null);

/** A tunnel's row stands for its CONNECT too: what the CONNECT reported is among its rules. */
const ASKS = { allow: 0, flag: 1, redact: 2, block: 3 } as const;

function rulesOf(r: ExchangeRecord): readonly string[] {
  // The one that decides first: it is the one that is quoted.
  const own = [...r.findings].sort((a, b) => ASKS[b.disposition] - ASKS[a.disposition]).map((f) => f.rule);
  return r.priorRules === undefined ? own : [...new Set([...r.priorRules, ...own])];
}

/** Row of `connections`. */
export function connectionRow(r: ConnectionRecord): Row {
  return [
    r.id,
    r.openedAt,
    r.closedAt,
    r.agent,
    r.identifiedBy,
    r.clientAddress,
    r.clientPort,
    r.via,
    r.visibility,
    r.scheme,
    r.host,
    r.port,
    r.sni ?? null,
    r.alpn ?? null,
    r.ja4 ?? null,
    r.tlsVersion ?? null,
    r.tunnelProtocol ?? null,
    r.interceptionSkipped ?? null,
    r.exchanges,
    r.closeReason,
    r.runId ?? null,
  ];
}

/** Rows of `findings` for one exchange; the id is stable so that a replaced open row replaces its findings too. */
export function findingRows(r: ExchangeRecord): Row[] {
  return r.findings.map((f, i) => [
    `${r.id}-${r.kind}-${i}`,
    r.id,
    r.connectionId,
    r.kind,
    r.startedAt,
    r.agent,
    r.host,
    r.port,
    f.inspector,
    f.rule,
    f.severity,
    f.disposition,
    f.message,
    r.action,
    r.runId ?? null,
    null,
    null,
  ]);
}

/** Row of `findings` for an event that belongs to no exchange. */
export function eventFindingRow(r: EventRecord): Row {
  const f = r.finding;
  return [
    r.id,
    null,
    r.connectionId ?? null,
    'event',
    r.at,
    r.agent,
    r.host ?? null,
    r.port ?? null,
    f.inspector,
    f.rule,
    f.severity,
    f.disposition,
    f.message,
    null,
    r.runId ?? null,
    r.program ?? null,
    r.count ?? null,
  ];
}

/** Row of `runs`. */
export function runRow(r: RunRecord): Row {
  return [
    r.id,
    refOf(r.id),
    r.traceId,
    r.spanId,
    r.startedAt,
    r.endedAt,
    r.agent,
    r.program,
    r.mode,
    r.containment,
    r.exitCode ?? null,
    r.exitSignal ?? null,
    r.abandoned === true,
    r.restarts,
    r.directWatched,
    r.direct.reduce((sum, { count }) => sum + count, 0),
  ];
}

/** Row of `audit`. */
export function auditRow(r: EventRecord): Row {
  const f = r.finding;
  return [r.id, r.at, r.actor ?? null, r.agent, f.rule, f.severity, f.message, r.host ?? null, r.port ?? null];
}
