import type { IdentifiedBy } from './connection.ts';
import type { Mode, Severity } from './finding.ts';
import type { HookStatus } from './notify.ts';
import type { PolicyHandlers } from './policy.ts';
import type { Preflight } from './preflight.ts';
import type { AgentStat, BaselineState, WeirRecord } from './record.ts';
import type { RunHandlers } from './run.ts';

/** What the environment allows an agent to get around (product.md §4 "What kind of enforcement is this?"). */
export type Containment = 'cooperative' | 'separate-user' | 'network';

/** One of several things that are not as they should be; `next` is what to type or change. */
export interface Problem {
  /** Stable id for scripts, e.g. `store-degraded`, `export-failing`, `ca-bundle-missing`. */
  readonly code: string;
  readonly severity: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly next?: string;
}

/** A running listener. */
export interface ListenerStatus {
  /** `host:port` really bound (port 0 resolved). */
  readonly address: string;
  readonly agent?: string;
  readonly tls: boolean;
}

/** What `weir status` says of one agent. */
export interface AgentStatus {
  readonly agent: string;
  /** Strongest evidence seen. */
  readonly identifiedBy: IdentifiedBy;
  readonly mode: Mode;
  /** `weir mode <agent> stop` holds it. */
  readonly stopped: boolean;
  readonly baseline: {
    readonly state: BaselineState;
    readonly requests: number;
    readonly destinations: number;
    /** The stated sentence of product.md §6: “researcher: learning, 412 requests, …”. */
    readonly sentence: string;
  };
  readonly connections: number;
  readonly requests: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly wouldBlock: number;
  readonly blocked: number;
  /** Epoch ms; absent when not seen since the start. */
  readonly lastSeen?: number;
}

/** A learned exception from interception (product.md §3.5). */
export interface ExceptionStatus {
  readonly agent: string;
  /** Host, or a client kind (JA4) for clients that reject our CA. */
  readonly subject: string;
  readonly reason: string;
  /** Epoch ms. */
  readonly until: number;
  /** What cures it, e.g. `weir ca trust --only github.com`. */
  readonly fix: string;
}

/** The loss identity of one consumer: `started = exported + journalled + open + sampledOut + dropped{reason}`. */
export interface ConsumerStatus {
  readonly name: string;
  readonly exported: number;
  /** In the journal, not yet taken by this consumer. */
  readonly journalled: number;
  readonly sampledOut: number;
  readonly dropped: Readonly<Record<string, number>>;
  /** The last error while it is failing. */
  readonly failing?: string;
}

/**
 * What became of every exchange, CONNECT and tunnel begun, over all process lives of this state directory:
 * `started = exported + journalled + open + sampledOut + dropped{reason}` (product.md §5 "Loss").
 */
export interface LossIdentity {
  /** The consumer it is drawn up for: spans when they are exported, else rows. */
  readonly consumer?: string | undefined;
  readonly started: number;
  readonly exported: number;
  readonly journalled: number;
  readonly open: number;
  readonly sampledOut: number;
  readonly dropped: Readonly<Record<string, number>>;
  /** False means a bug. */
  readonly holds: boolean;
}

/** Everything `weir status` shows; the human form is a projection of it, nothing is computed twice. */
export interface StatusReport {
  readonly version: string;
  readonly pid: number;
  /** Epoch ms of the start. */
  readonly since: number;
  readonly mode: Mode;
  readonly containment: Containment;
  /** A `weir verify` has passed since the start. */
  readonly verified: boolean;
  /** `weir run`s going on. */
  readonly runs: number;
  /** Started by `weir run`: it leaves after the last one. */
  readonly background?: boolean;
  readonly listeners: readonly ListenerStatus[];
  /** TCP addresses of admin and health, when there are any. */
  readonly adminAddress?: string;
  readonly healthAddress?: string;
  readonly stateDir: string;
  readonly configFile?: string;
  /** `none`, `all`, `only …`, `except …` in one line. */
  readonly interception: string;
  /** One sentence: what is read and what is not. */
  readonly reads: string;
  /** Bundle for clients to trust; absent when interception is off everywhere. */
  readonly caBundle?: string;
  readonly agents: readonly AgentStatus[];
  readonly exceptions: readonly ExceptionStatus[];
  /** Times a limit refused something, `connections_per_agent` → count. */
  readonly limitsReached: Readonly<Record<string, number>>;
  readonly connections: number;
  /** Exchanges, CONNECTs and tunnels begun since the start, and those still open. */
  readonly started: number;
  readonly open: number;
  /** Given up before the journal, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly consumers: readonly ConsumerStatus[];
  /** Absent while the recorder does not run. */
  readonly identity?: LossIdentity;
  readonly journalBytes: number;
  readonly store: { readonly path: string; readonly bytes: number; readonly sentence: string };
  readonly telemetry: { readonly endpoint?: string; readonly sentence: string };
  /** Where policies come from and how many there are, in one sentence; absent = none are configured. */
  readonly policies?: string;
  /** Absent = nobody is notified. */
  readonly notifications?: readonly HookStatus[];
  readonly problems: readonly Problem[];
}

/** `/readyz`. */
export interface Readiness {
  readonly ok: boolean;
  readonly problems: readonly Problem[];
}

/** Who asked, for the audit row: `cli uid=1000` or `token 127.0.0.1`. */
export type Actor = string;

/** What `weir logs` asks for. Times epoch ms. */
export interface LogQuery {
  readonly agent?: string;
  /** Only what was blocked or would have been. */
  readonly blocked?: boolean;
  readonly since?: number;
  /** Newest n; default 200. */
  readonly limit?: number;
}

/** One line of `weir logs`; already presentable (redacted), still to be made printable by the terminal side. */
export interface LogLine {
  readonly at: number;
  readonly id: string;
  readonly kind: WeirRecord['kind'];
  readonly agent: string;
  readonly method?: string;
  readonly destination?: string;
  readonly path?: string;
  readonly status?: number;
  readonly outcome?: string;
  readonly visibility?: string;
  readonly action?: string;
  readonly would?: string;
  readonly requestBytes?: number;
  readonly responseBytes?: number;
  readonly durationMs?: number;
  readonly severity?: Severity;
  readonly rules: readonly string[];
  /** The finding's sentence, when there is one. */
  readonly message?: string;
}

export type ModeVerb = Mode | 'stop' | 'resume';

export interface ModeResult {
  /** One sentence of what is so now. */
  readonly message: string;
  readonly lowered: boolean;
}

export type BaselineVerb = 'accept' | 'ignore' | 'forget' | 'lock' | 'unlock' | 'import';

export interface BaselineRequest {
  readonly verb: BaselineVerb;
  readonly agent: string;
  /** `host` or `host:port`; empty = the whole agent. */
  readonly destinations: readonly string[];
  /** Content of an export, for `import`. */
  readonly document?: AgentStat;
  readonly actor: Actor;
}

export interface PurgeFilter {
  readonly agent?: string;
  readonly host?: string;
  /** Epoch ms: rows older than this. Absent with no other filter = everything. */
  readonly before?: number;
}

export interface PurgeResult {
  readonly rows: number;
  readonly message: string;
}

/** What `weir env` needs to write its lines. */
export interface EnvironmentFacts {
  /** Loopback `host:port` to point an agent at. */
  readonly proxy: string;
  /** Bundle path, when interception is on for anything. */
  readonly caBundle?: string;
  /** The agent has a token, which stays out of this answer. */
  readonly token?: boolean;
}

/** The public half of the CA. */
export interface CaFacts {
  readonly certificatePath: string;
  readonly bundlePath: string;
  readonly pem: string;
  /** SHA-256 of the DER, colon-separated hex. */
  readonly fingerprint: string;
  readonly subject: string;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Key kind, e.g. `EC P-256`. */
  readonly key: string;
  /** The key is in memory only and ends with the collector (`weir run`). */
  readonly ephemeral?: boolean;
}

/** What the admin server asks of the collector. Runs have a stream of their own in the server. Every method may reject with an Error whose message is for people. */
export interface AdminHandlers extends RunHandlers, PolicyHandlers {
  status(): Promise<StatusReport>;
  ready(): Readiness;
  /** Prometheus text format 0.0.4. */
  metrics(): Promise<string>;
  preflight(agent: string | undefined, mode: ModeVerb): Promise<Preflight>;
  /** Lowering protection is an audit event and a WARN log. Rejects for an unknown agent. */
  mode(agent: string | undefined, mode: ModeVerb, actor: Actor): Promise<ModeResult>;
  /** All agents, or one. */
  baselines(agent?: string): Promise<readonly AgentStat[]>;
  baseline(request: BaselineRequest): Promise<{ readonly message: string }>;
  /** Newest last. */
  logs(query: LogQuery): Promise<readonly LogLine[]>;
  /** Live lines; the callback must not block. Returns the way to stop. */
  subscribe(line: (line: LogLine) => void): () => void;
  /** Writes the open days as Parquet (`<table>.parquet`) and says where. */
  prepareQuery(): Promise<{ readonly snapshotDir: string }>;
  purge(filter: PurgeFilter, actor: Actor): Promise<PurgeResult>;
  ca(): Promise<CaFacts>;
  /** A new CA; the old bundle stays trusted by nobody new. */
  rotateCa(actor: Actor): Promise<CaFacts>;
  /** The CA has come into a trust store: whoever refused it is asked again. `forgotten`: how many client kinds had. */
  caTrusted(actor: Actor): Promise<{ readonly forgotten: number }>;
  environment(agent?: string): EnvironmentFacts;
  /** A whole new configuration, or the old one and why. */
  reload(actor: Actor): Promise<{ readonly message: string }>;
  /** A background collector without runs ends, so that `weir start` can take over. Rejects when it may not. */
  leave(actor: Actor): void;
  /** `weir verify` passed or failed its containment part: recorded in status. */
  verified(result: { readonly containment?: Containment }, actor: Actor): void;
}
