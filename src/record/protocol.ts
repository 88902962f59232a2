import type { Containment } from '../model/admin.ts';
import type { Mode } from '../model/finding.ts';
import type { HookStatus, NotifyData } from '../model/notify.ts';
import type { BaselineSnapshot, Tally, TrafficGauges, WeirRecord } from '../model/record.ts';
import type { ReportFilter } from '../model/report.ts';
import type { ConsumerStatus } from './pump.ts';
import type { Identity } from './pumps.ts';
import type { UrlDetail } from './target.ts';

/** What the recorder thread is started with; plain values, cloned. */
export interface RecorderData {
  readonly stateDir: string;
  /** Names the process life; the same for every recorder thread of it. */
  readonly boot: string;
  /** Key of the state directory's hashes. */
  readonly key: Uint8Array;
  readonly version: string;
  readonly containment: string;
  /** The file of the patterns records are redacted with. */
  readonly patterns: string;
  readonly telemetry: {
    /** `auto`, `none` or a base URL. */
    readonly endpoint: string;
    readonly url: UrlDetail;
    /** 0 to 1. */
    readonly sampleUnremarkable: number;
    readonly journalMaxBytes: number;
    /** `none`, `inherit` or a URL. */
    readonly proxy: string;
    readonly genai: 'auto' | 'on' | 'off';
    readonly dialects: readonly ('otel' | 'strathon' | 'openinference' | 'langfuse')[];
  };
  /** undefined = no rows (`weir run` without a writable state directory). */
  readonly store:
    | {
        readonly path: string;
        readonly retentionDays: number;
        readonly flushMs: number;
        readonly maxBytes: number;
        readonly minFreeBytes: number;
      }
    | undefined;
  /** Webhooks that are told; absent = none. */
  readonly notify?: NotifyData;
  /** false = records stay in memory only. Default true. */
  readonly journal?: boolean;
}

/** Traffic side to recorder thread. */
export type ToRecorder =
  /** `text` as `pack` writes it. */
  | { readonly type: 'records'; readonly batch: number; readonly text: string; readonly tally: Tally }
  | { readonly type: 'call'; readonly id: number; readonly name: RecorderVerb; readonly args: unknown }
  | { readonly type: 'subscribe'; readonly on: boolean }
  /** `weir.containment` of what is sent from now on. */
  | { readonly type: 'containment'; readonly containment: string }
  | { readonly type: 'gauges'; readonly gauges: TrafficGauges }
  | { readonly type: 'shutdown'; readonly deadlineMs: number };

/** Recorder thread to traffic side. */
export type FromRecorder =
  /** The journal is open; batches up to `batch` of this boot are in it already. */
  | { readonly type: 'accepting'; readonly batch: number }
  | ({ readonly type: 'ready' } & RecorderReady)
  | { readonly type: 'ack'; readonly batch: number }
  | { readonly type: 'result'; readonly id: number; readonly value?: unknown; readonly error?: string }
  | { readonly type: 'event'; readonly records: readonly WeirRecord[] }
  | {
      readonly type: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly event: string;
      readonly fields: Record<string, unknown>;
    }
  /** It has understood that it is to end, and says `bye` when nothing native is under way any more. */
  | { readonly type: 'ending' }
  | { readonly type: 'bye' };

export type RecorderVerb = 'status' | 'health' | 'metrics' | 'recent' | 'snapshot' | 'purge' | 'baseline' | 'report';

/** A report is drawn up when the rows of everything posted before are stored, or after `settleMs`. */
export interface ReportQuery {
  readonly filter: ReportFilter;
  readonly mode: Mode;
  readonly containment: Containment;
  readonly settleMs: number;
}

export interface RecorderReady {
  readonly baseline: BaselineSnapshot;
  /** Where spans, logs and metrics go, in one sentence. */
  readonly endpoint: string;
  /** What is not as it should be, one sentence each. */
  readonly problems: readonly string[];
}

/** What is asked every second: no query of the store is needed for it. */
export interface RecorderHealth {
  readonly problems: readonly string[];
  /** Spans given up for good so far, by where and why; absent when the recorder does not answer. */
  readonly lost?: Readonly<Record<string, number>>;
  /** Why rows cannot be kept at the moment; absent when they can. */
  readonly unrecorded?: string;
}

export interface RecorderStatus extends RecorderHealth {
  readonly dropped: Readonly<Record<string, number>>;
  readonly consumers: readonly ConsumerStatus[];
  /** Absent while the recorder thread does not run. */
  readonly identity?: Identity;
  readonly journalBytes: number;
  readonly storeBytes: number;
  readonly storeSentence: string;
  /** Address spans go to, when they do. */
  readonly endpoint?: string;
  readonly endpointSentence: string;
  readonly notifications?: readonly HookStatus[];
}

export interface PurgeQuery {
  readonly agent?: string;
  readonly host?: string;
  /** Epoch ms. With no other filter and absent: everything. */
  readonly before?: number;
}
