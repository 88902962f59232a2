import type { Containment } from './admin.ts';
import type { Mode } from './finding.ts';
import type { ReportFacts } from './report.ts';

/** What `weir run` asks of the collector: a loopback port of its own, bound to its agent, for as long as the call lasts. */
export interface RunRequest {
  readonly agent: string;
  /** Base name of the command, for the record; arguments may hold secrets and stay out. */
  readonly program: string;
  /** The port the child already has in its environment (after a restart of the collector); else any free one. */
  readonly port?: number | undefined;
  /** The run this continues after a restart. */
  readonly id?: string | undefined;
  /** As in the configuration; default: the collector's own setting, or all where that is `none`. */
  readonly intercept?: InterceptChoice | undefined;
  /** Ceiling for this run only. Default: as configured. */
  readonly mode?: Mode | undefined;
  /** Proxy variables the command would have had without Weir: its parent proxy and the hosts that skip it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Secret-looking variables of the command, by name: looked for in what leaves, in memory only (`patterns.env_secrets`). */
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  /** PEM roots the command would have trusted without Weir, trusted upstream for this run. */
  readonly roots?: string | undefined;
  /** SHA-256 of the CA the child was given before a restart; with another CA its TLS is tunnelled, not broken. */
  readonly caFingerprint?: string | undefined;
}

export type InterceptChoice =
  | 'none'
  | 'all'
  | { readonly only: readonly string[] }
  | { readonly except: readonly string[] };

/** First line of the answer to `POST /runs`; the answer then stays open until the run ends. */
export interface RunOpened {
  readonly id: string;
  /** Loopback `host:port`. */
  readonly proxy: string;
  readonly port: number;
  readonly mode: Mode;
  readonly containment: Containment;
  /** PEM of the CA the child must trust; absent when nothing of this run is intercepted. */
  readonly ca?: string;
  readonly caFingerprint?: string;
  /** The child holds an older CA: its TLS passes unread. */
  readonly caChanged?: boolean;
  /** One sentence: what is read and what is not. */
  readonly reads: string;
}

/** A connection of the child tree that does not end at Weir (product.md §9 "Evidence of going around"). */
export interface DirectSeen {
  /** Name of the process. */
  readonly program: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** Distinct sockets seen so far. */
  readonly count: number;
}

/** How the command ended. */
export interface RunEnd {
  readonly code?: number | undefined;
  readonly signal?: string | undefined;
  /** Times the collector died and was started again. */
  readonly restarts: number;
  /** Whether the child tree's sockets were sampled. */
  readonly directWatched: boolean;
}

/** The collector's side of `weir run`. */
export interface RunHandlers {
  /** Binds the port. `gone` is called by the server when the caller's connection ends without `endRun`. */
  openRun(request: RunRequest): Promise<{ readonly opened: RunOpened; readonly gone: () => void }>;
  /** Reports direct connections, counts so far. */
  directSeen(id: string, seen: readonly DirectSeen[]): void;
  /** Closes the port, records the run, waits until its rows are stored (bounded) and draws up the receipt. */
  endRun(id: string, end: RunEnd): Promise<ReportFacts>;
}
