import type { Containment } from './admin.ts';
import type { Mode, Severity } from './finding.ts';

/** What a report covers. Times epoch ms; at least one of the three is given. */
export interface ReportFilter {
  readonly run?: string | undefined;
  readonly agent?: string | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** Traffic to one destination; `tenant` where the host belongs to many parties. */
export interface ReportDestination {
  readonly host: string;
  readonly port: number;
  readonly tenant?: string;
  readonly requests: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Requests that ended in an error of name resolution, connection or protocol. Absent = none. */
  readonly failed?: number;
  /** Tokens, where they were recorded. */
  readonly inputTokens?: number;
  readonly outputTokens?: number;
}

/** Something never seen before of this agent. */
export interface ReportNew {
  /** Rule of the finding, e.g. `never-seen`, `credential-never-seen`, `tenant-never-seen`; `first-contact` while learning. */
  readonly rule: string;
  readonly agent: string;
  readonly host: string;
  readonly port: number;
  readonly message: string;
  readonly requestBytes: number;
  readonly severity?: Severity;
  /** What was done or would be; absent = forwarded. */
  readonly action?: 'forward' | 'redact' | 'block';
  readonly would?: 'none' | 'redact' | 'block';
}

/** A finding about content that leaves (or came in). */
export interface ReportLeaving {
  readonly rule: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly count: number;
  /** What was done or would be. */
  readonly action: 'forward' | 'redact' | 'block';
  readonly would: 'none' | 'redact' | 'block';
  /** It came in with an answer. */
  readonly incoming?: true;
}

export interface ReportDirect {
  readonly program: string;
  readonly address: string;
  readonly port: number;
  readonly count: number;
}

/** Hosts of which nothing was read although interception was wanted. */
export interface ReportUnread {
  /** `client-rejected-ca`, `upstream-unverifiable`, … */
  readonly reason: string;
  /** Client that caused it, as far as known (first word of its User-Agent). */
  readonly client?: string;
  readonly hosts: readonly string[];
}

/** Everything the receipt and `weir report` show, from the record alone. */
export interface ReportFacts {
  readonly filter: ReportFilter;
  /** Agents that occur, most requests first. */
  readonly agents: readonly string[];
  /** First and last thing covered, epoch ms. */
  readonly from: number;
  readonly to: number;
  readonly mode: Mode;
  readonly containment: Containment;
  /** Present for one run. */
  readonly run?: {
    readonly id: string;
    readonly program: string;
    readonly code?: number;
    readonly signal?: string;
    readonly restarts: number;
  };
  /** Runs covered, for `weir report`. */
  readonly runs: number;
  readonly destinations: number;
  readonly requests: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Most requests first, at most 20. */
  readonly top: readonly ReportDestination[];
  /** Gravest first; first contacts while learning last. At most 100. */
  readonly new: readonly ReportNew[];
  /** Gravest first, at most 50. */
  readonly leaving: readonly ReportLeaving[];
  /** How many there are of what the lists above cut; `new` without the first contacts while learning. Absent = as listed. */
  readonly totals?: { readonly new: number; readonly firstContacts: number; readonly leaving: number };
  readonly direct: readonly ReportDirect[];
  /** Sockets seen around Weir in all, where more were counted than `direct` names. */
  readonly directTotal?: number;
  /** Whether direct connections were looked for at all. */
  readonly directWatched: boolean;
  readonly unread: readonly ReportUnread[];
  readonly wouldBlock: number;
  readonly blocked: number;
  readonly redacted: number;
  /** Sentences about the record itself: gaps, restarts, rows not stored in time. */
  readonly remarks: readonly string[];
}
