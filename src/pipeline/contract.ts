import type { Corridor } from '../model/ports.ts';
import type { Tally, TrafficGauges, WeirRecord } from '../model/record.ts';
import type { AgentCounters } from './agent-counters.ts';
import type { Stages } from './stages.ts';

export interface CorridorOptions {
  /** The current compiled configuration; read once per exchange. */
  readonly stages: () => Stages;
  readonly post: (record: WeirRecord) => void;
  /** Settles when the baseline is loaded. */
  readonly ready: Promise<void>;
  readonly connectionsPerAgent: () => number;
  readonly spansPerTraceHour: number;
  readonly log: (level: 'debug' | 'warn' | 'error', event: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** The corridor with what the collector steers it by. */
export interface LiveCorridor extends Corridor {
  tally(): Pick<Tally, 'started' | 'open'>;
  /** What is open, for gauges. */
  gauges(): Omit<TrafficGauges, 'known'>;
  /** Refusals and limits met, by code (for `weir status` and metrics). */
  counters(): Readonly<Record<string, number>>;
  /** Posts open rows for what is older than 5 s, or for all of one `weir run`. Called about once a second. */
  sweep(run?: string): void;
  /** Judges every open exchange and tunnel again (after a reload or `weir mode … stop`) and revokes what is no longer allowed. */
  rejudge(): void;
  /** Asks every connection to end after what is under way on it. */
  drain(): void;
  /** Resolves when the exchanges closed so far have left their records: those with encoded bodies wait for the decoder. */
  settled(): Promise<void>;
  openConnections(): number;
  /** Open connections of one agent. */
  connectionsOf(agent: string): number;
  agents(): ReadonlyMap<string, AgentCounters>;
}
