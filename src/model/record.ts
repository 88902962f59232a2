import type { AccountStat } from './account.ts';
import type { IdentifiedBy, Visibility } from './connection.ts';
import type { Outcome } from './exchange.ts';
import type { Disposition, Finding, Mode } from './finding.ts';
import type { LlmFacts, TokenHistory } from './llm.ts';
import type { McpFacts } from './mcp.ts';

/** Counters of the traffic thread at the moment a batch was posted; part of the loss identity (product.md §5). */
export interface Tally {
  /** Exchanges, CONNECTs and tunnels begun since this process started (each has one span). */
  readonly started: number;
  /** Begun and not yet closed. */
  readonly open: number;
  /** Records dropped before the journal, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** What is open and known at a moment, for gauges. */
export interface TrafficGauges {
  /** Exchanges under way. */
  readonly requests: number;
  /** Agent-side transports. */
  readonly connections: number;
  /** Open tunnels by agent. */
  readonly tunnels: Readonly<Record<string, number>>;
  /** Destinations in the baseline by agent. */
  readonly known: Readonly<Record<string, number>>;
}

/**
 * The one thing that leaves the traffic thread for an exchange, CONNECT or tunnel. Flat, structured-clone-able.
 * Span, metric, log event and row are pure projections of it. Raw when posted; `record/presentable.ts` rewrites every
 * string before the journal is written.
 */
export interface ExchangeRecord {
  readonly kind: 'exchange' | 'connect' | 'tunnel';
  /** Still open (older than 5 s): a row, not a span. The closing record has `wasOpen`. */
  readonly state: 'open' | 'closed';
  readonly wasOpen?: boolean;
  readonly id: string;
  readonly connectionId: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly linkTraceId?: string;
  readonly linkSpanId?: string;
  /** The claimed trace had too many spans: new root, linked. */
  readonly reparented?: boolean;
  /** Epoch ms (fractional). */
  readonly startedAt: number;
  readonly durationMs: number;
  readonly agent: string;
  readonly identifiedBy: IdentifiedBy;
  readonly via: 'absolute-form' | 'connect';
  readonly visibility: Visibility;
  readonly clientAddress: string;
  readonly scheme: 'http' | 'https' | 'tcp';
  readonly host: string;
  readonly port: number;
  readonly peerAddress?: string;
  readonly peerPort?: number;
  readonly delegated?: boolean;
  readonly protocol: '1.0' | '1.1' | '2';
  readonly method: string;
  /** Path and query as sent (redacted later); '' for CONNECT and tunnels. */
  readonly target: string;
  readonly status?: number;
  /** Status of our own answer when nothing came from upstream. */
  readonly answeredStatus?: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly outcome: Outcome;
  readonly errorType?: string;
  readonly errorDetail?: string;
  readonly mode: Mode;
  readonly verdict: Disposition;
  readonly action: 'forward' | 'redact' | 'block';
  readonly would: 'none' | 'redact' | 'block';
  readonly findings: readonly Finding[];
  /** Tunnel records: rules the CONNECT record already reported as findings (so that they count once). */
  readonly priorRules?: readonly string[];
  readonly firstSeen: boolean;
  readonly baselineState: BaselineState;
  /** Whether this record teaches the baseline (product.md §6). */
  readonly teaches: boolean;
  /** Key it taught under, where that is not the agent (`baseline: as-one`). */
  readonly baselineAgent?: string;
  readonly tenant?: string;
  readonly credentialFp?: string;
  readonly userAgent?: string;
  readonly contentType?: string;
  readonly responseContentType?: string;
  readonly sni?: string;
  readonly alpn?: string;
  readonly ja4?: string;
  readonly tlsVersion?: string;
  readonly ech?: boolean;
  readonly tunnelProtocol?: string;
  readonly interceptionSkipped?: string;
  readonly closeReason?: string;
  /** Time Weir itself added before forwarding (ms): judging and queueing, not DNS, dialling or the upstream. */
  readonly overheadMs: number;
  /** The `weir run` it belongs to. */
  readonly runId?: string;
  /** Request sent → response head (ms). */
  readonly ttfbMs?: number;
  readonly dnsMs?: number;
  readonly connectMs?: number;
  readonly tlsMs?: number;
  /** Places rewritten in heads and bodies. */
  readonly redactions?: number;
  /** The call of an LLM API it was. */
  readonly llm?: LlmFacts;
  /** The message to an MCP server it was. */
  readonly mcp?: McpFacts;
}

/** One agent-side transport to one destination; row only, no span. */
export interface ConnectionRecord {
  readonly kind: 'connection';
  readonly id: string;
  readonly openedAt: number;
  readonly closedAt: number;
  readonly agent: string;
  readonly identifiedBy: IdentifiedBy;
  readonly via: 'absolute-form' | 'connect';
  readonly visibility: Visibility;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly scheme: 'http' | 'https' | 'tcp';
  readonly host: string;
  readonly port: number;
  readonly sni?: string;
  readonly alpn?: string;
  readonly ja4?: string;
  readonly tlsVersion?: string;
  readonly tunnelProtocol?: string;
  readonly interceptionSkipped?: string;
  readonly exchanges: number;
  readonly closeReason: string;
  readonly runId?: string;
}

/** A finding that belongs to no exchange (malformed input, identity, silence), or an audit event. */
export interface EventRecord {
  readonly kind: 'finding' | 'audit';
  readonly id: string;
  readonly at: number;
  readonly agent: string;
  readonly finding: Finding;
  readonly connectionId?: string;
  readonly host?: string;
  readonly port?: number;
  /** Verbs for audit rows: mode, baseline accept, purge, reload … and who asked. */
  readonly actor?: string;
  readonly runId?: string;
  /** `direct-connection`: who connected past Weir, and how many sockets were seen. */
  readonly program?: string;
  readonly count?: number;
}

/** One `weir run`, told when it ends: a row of `runs` and the span `weir.run`, with what went around it as span events. */
export interface RunRecord {
  readonly kind: 'run';
  readonly id: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Epoch ms. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly agent: string;
  readonly program: string;
  readonly mode: Mode;
  readonly containment: string;
  readonly exitCode?: number;
  readonly exitSignal?: string;
  /** The runner ended without saying how. */
  readonly abandoned?: boolean;
  readonly restarts: number;
  /** Whether the child tree's sockets were sampled. */
  readonly directWatched: boolean;
  readonly direct: readonly {
    readonly at: number;
    readonly program: string;
    readonly address: string;
    readonly port: number;
    readonly count: number;
  }[];
}

export type BaselineState = 'learning' | 'ready' | 'locked';

/** A change of the learned baseline made by a person; applied by the store in journal order. */
export interface BaselineEdit {
  readonly kind: 'baseline-edit';
  readonly id: string;
  readonly at: number;
  readonly agent: string;
  readonly verb: 'accept' | 'ignore' | 'forget' | 'lock' | 'unlock' | 'import';
  /** Destinations it names; empty = the whole agent. */
  readonly destinations: readonly DestinationStat[];
  /** `import`, `accept`: accounts that are known from now on. */
  readonly accounts?: readonly AccountStat[];
}

/** What is learned of one (agent, host, port). Times epoch ms. */
export interface DestinationStat {
  readonly host: string;
  readonly port: number;
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly count: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly methods: readonly string[];
  /** `/v1/users/*`, at most 32 of 80 characters; absent = none was read, or they were not asked of the store. */
  readonly pathShapes?: readonly string[];
  /** Bit n: used in the hour n of some day (UTC). */
  readonly hours?: number;
  /** `learned` by traffic, `accepted` by a person (or seed), `ignored` (never flagged, never suggested). */
  readonly status: 'learned' | 'accepted' | 'ignored';
}

export interface AgentStat {
  readonly agent: string;
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly requests: number;
  readonly lastNewAt: number;
  readonly locked: boolean;
  readonly destinations: readonly DestinationStat[];
  /** Whose account it uses; absent = nothing known or not asked for. */
  readonly accounts?: readonly AccountStat[];
  /** Equal where credentials were hashed with the same key: those of another state directory mean nothing in this one. */
  readonly accountsKey?: string;
}

/** What the recorder hands the traffic thread at start. */
export interface BaselineSnapshot {
  readonly agents: readonly AgentStat[];
  /** Absent = none. */
  readonly accounts?: readonly AccountStat[];
  readonly tokens?: readonly TokenHistory[];
}

export type WeirRecord = ExchangeRecord | ConnectionRecord | EventRecord | RunRecord | BaselineEdit;
