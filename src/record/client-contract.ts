import type { RecentExchange, RecentQuery } from '../model/recent.ts';
import type { BaselineSnapshot, Tally, TrafficGauges, WeirRecord } from '../model/record.ts';
import type { ReportFacts } from '../model/report.ts';
import type { PurgeQuery, RecorderData, RecorderReady, RecorderStatus, RecorderVerb, ReportQuery } from './protocol.ts';

export interface RecorderClientOptions extends Omit<RecorderData, 'boot' | 'containment'> {
  readonly containment?: string;
  /** Environment of the recorder thread: `OTEL_*` configure export. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (level: 'info' | 'warn' | 'error', event: string, fields: Record<string, unknown>) => void;
  /** Records and estimated bytes that may wait when the recorder stalls. Default 65536 and 64 MiB. */
  readonly backlogRecords?: number;
  readonly backlogBytes?: number;
  /** Entry of the recorder thread; for tests. */
  readonly worker?: URL;
}

/** The traffic side of the recorder thread. Nothing here throws to the traffic, and nothing waits for the recorder. */
export interface RecorderClient {
  /** Takes a raw record; the recorder makes it presentable. */
  post(record: WeirRecord): void;
  /** Where the traffic thread's counters are. */
  tally(read: () => Pick<Tally, 'started' | 'open'>): void;
  /** What is open now; told about every five seconds. */
  gauges(gauges: TrafficGauges): void;
  /** The stored baseline, where spans go, what is wrong. Settles once, with the first recorder that gets that far. */
  readonly ready: Promise<RecorderReady>;
  /** Spans, logs and metrics sent from now on say this as `weir.containment`. */
  containment(containment: string): void;
  status(): Promise<RecorderStatus>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  recent(query: RecentQuery): Promise<readonly RecentExchange[]>;
  /** The stored baseline, now. */
  baseline(): Promise<BaselineSnapshot>;
  /** Writes the open days as Parquet below the state directory. */
  snapshot(): Promise<{ readonly snapshotDir: string }>;
  purge(query: PurgeQuery): Promise<{ readonly rows: number; readonly message: string }>;
  /** What the rows say of a run, an agent or a time, with everything posted until now. */
  report(query: ReportQuery): Promise<ReportFacts>;
  /** Any verb of the recorder. */
  call(name: RecorderVerb, args?: unknown): Promise<unknown>;
  /** Presentable records as they are journalled. Returns the way to stop. */
  onRecord(listener: (record: WeirRecord) => void): () => void;
  /** Journal first, then the consumers until the deadline; what is left is in the journal. */
  shutdown(deadlineMs: number): Promise<void>;
}
