import type { Containment, ModeVerb } from './admin.ts';
import type { Mode } from './finding.ts';
import type { InterceptChoice } from './run.ts';

/** What enforcing would have done, shown before the mode is raised (product.md §3 "The flag is enough"). */
export interface Preflight {
  readonly from: Mode;
  readonly to: ModeVerb;
  /** Looked back this far (ms). */
  readonly spanMs: number;
  readonly exchanges: number;
  readonly wouldLose: number;
  /** Of those it cannot be told from their rows. */
  readonly undecidable?: number;
  /** Most frequent first. */
  readonly examples: readonly {
    readonly agent: string;
    readonly destination: string;
    readonly rule: string;
    readonly count: number;
  }[];
  /** Hosts that are tunnelled: content rules cannot see them. */
  readonly uninspectable: readonly string[];
  readonly containment: Containment;
  /** What a replay needs to know of the rules in force; absent = their file says something else by now. */
  readonly rules?: PreflightRules;
  /** Only the latest requests were looked at, the rest would have taken too long. */
  readonly partial?: true;
}

/** Where the rules of the collector come from, beside the command line and the environment it was started with. */
export interface PreflightRules {
  /** Path of the configuration. */
  readonly file?: string;
  /** Address of the receiver of policies. */
  readonly receiver?: string;
  readonly intercept: InterceptChoice;
  /** Said live of single agents. */
  readonly modes: readonly (readonly [agent: string, mode: Mode])[];
}
