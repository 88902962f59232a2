import type { AccountStat } from '../model/account.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { AgentStat, BaselineEdit, BaselineSnapshot, BaselineState, DestinationStat } from '../model/record.ts';
import type { Readiness } from './baseline-state.ts';

export interface BaselineOptions extends Readiness {
  readonly onUnknown: 'flag' | 'block';
  /** `limits.destinations_per_agent`. */
  readonly destinationsPerAgent: number;
  /** Key an agent learns under (`baseline: as-one` globs share one). Must be cheap: asked per request. */
  readonly asOne: (agent: string) => string;
  /** Epoch ms. */
  readonly clock: () => number;
  readonly riskyCategory: (host: string) => string | undefined;
  /** Name a host is kept under: the one its rows have, so that memory and store agree. Default: as it is. Must be cheap. */
  readonly shown?: (host: string) => string;
  /** Configured names are no newcomers. */
  readonly isConfigured?: (agent: string) => boolean;
}

export interface Observation {
  readonly firstSeen: boolean;
  readonly state: BaselineState;
  readonly findings: readonly Finding[];
}

/** A finding that belongs to an agent and to no exchange. */
export interface AgentFinding {
  readonly agent: string;
  readonly finding: Finding;
}

/** What a seed file brought. */
export interface Seed {
  readonly agent: string;
  readonly destinations: readonly DestinationStat[];
  /** Accounts of the file, and the key its credentials were hashed with; not taken in here. */
  readonly accounts: readonly AccountStat[];
  readonly accountsKey: string | undefined;
}

/** The learned baseline in memory (product.md §6). One per traffic thread; nothing here waits for anything. */
export interface Baseline {
  /** Takes the stored baseline in, beside what was seen since the start. */
  load(snapshot: BaselineSnapshot): void;
  observe(exchange: Exchange): Observation;
  /** Called at close for exchanges that may teach. The key they taught under; undefined where nothing may be learned without a person. */
  teach(exchange: Exchange): string | undefined;
  /** A finding of this room re-graded by what left; others come back as they are. Idempotent. */
  grade(exchange: Exchange, finding: Finding): Finding;
  /** Reported once per agent, and only for names nobody configured. */
  agentFirstSeen(agent: string): Finding | undefined;
  /** Bytes out far beyond the agent's history for this destination; asked at close, cheap for small requests. */
  volume(exchange: Exchange): Finding | undefined;
  edit(verb: BaselineEdit['verb'], agent: string, destinations: readonly DestinationStat[]): void;
  /**
   * Starts an agent that knows nothing yet from an exported file (parsed JSON), all of it accepted. `agent` overrides the name
   * in it. What was taken in, for the store; undefined when the agent has a baseline already. Throws Error when it is no export.
   */
  seed(json: unknown, agent?: string): Seed | undefined;
  /** Name an agent learns under. */
  keyOf(agent: string): string;
  /** Forgets everything and takes this instead (after rows were erased). */
  replace(snapshot: BaselineSnapshot): void;
  export(agent: string): unknown;
  agents(): readonly AgentStat[];
  /** Destinations known, by agent. */
  known(): Readonly<Record<string, number>>;
  sentence(agent: string): string | undefined;
  state(agent: string): BaselineState;
  /** A person accepted (or chose to ignore) this destination. */
  isAccepted(agent: string, host: string, port: number): boolean;
  /** In the baseline, however it came there. */
  knows(agent: string, host: string, port: number): boolean;
  /** Findings of no exchange: hourly digests that are due (all of them with `flush`), silences. Call about once a minute and at the end. */
  due(flush?: boolean): readonly AgentFinding[];
}
