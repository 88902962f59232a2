export interface JournalOptions {
  /** Directory of the segments; undefined = in memory only (the state directory cannot be written). */
  readonly directory: string | undefined;
  /** `telemetry.journal.max_bytes`; ordinary records of the oldest segments go first, then segments. */
  readonly maxBytes: number;
  /** Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Records kept in memory for consumers that keep up. Default 8192; 65536 without a directory. */
  readonly tailRecords?: number;
  /** And about this many bytes of them. Default 16 MiB; 64 MiB without a directory. */
  readonly tailBytes?: number;
  /** Names the process life: same id after a crash of the recorder thread alone. */
  readonly boot: string;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

export interface JournalStatus {
  /** Sequence numbers of the oldest and newest record held. */
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
  readonly segments: number;
  /** Spans ever appended. */
  readonly spans: number;
  /** Why nothing is being written at the moment. */
  readonly problem?: string;
}
