import type { Severity } from './finding.ts';

/** Which exchanges (and events) `weir logs` wants. */
export interface RecentQuery {
  readonly agent?: string;
  /** Only what was blocked, or would have been. */
  readonly blocked?: boolean;
  /** Findings of no exchange and audit events too. */
  readonly events?: boolean;
  readonly limit: number;
  /** Only what began after this moment (epoch ms). */
  readonly sinceMs?: number;
}

/** One line of `weir logs`. Times epoch ms. An event has no method, and its host only when it concerns one. */
export interface RecentExchange {
  readonly id: string;
  readonly ref: string;
  readonly startedAt: number;
  readonly agent: string;
  readonly visibility: string;
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly status: number | null;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly mode: string;
  readonly verdict: string;
  readonly action: string;
  readonly would: string;
  readonly firstSeen: boolean;
  readonly rules: readonly string[];
  readonly outcome: string;
  readonly errorType: string | null;
  readonly state: string;
  readonly kind: 'exchange' | 'connect' | 'tunnel' | 'finding' | 'audit';
  /** Of the finding that weighs most. */
  readonly severity: Severity | null;
  readonly message: string | null;
}
