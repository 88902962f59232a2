import type { Visibility } from './connection.ts';
import type { Disposition, Finding, Mode, Ruling } from './finding.ts';

/** One policy as it is asked, and what came of it since the start. Times epoch ms. */
export interface PolicyLine {
  readonly id: string;
  readonly name: string;
  readonly action: string;
  readonly priority: number;
  readonly applies_to: readonly string[];
  readonly agents: readonly string[];
  readonly enabled: boolean;
  readonly shadow: boolean;
  /** `policies.yaml:12`, or the receiver. */
  readonly where: string;
  readonly expression: string;
  readonly can_match_in_tunnel: boolean;
  readonly matches: number;
  readonly shadow_matches: number;
  readonly errors: number;
  readonly not_applicable: number;
  readonly last_match_at?: number;
}

/** The policies in force and where they come from. Times epoch ms. */
export interface PolicyReport {
  readonly policies: readonly PolicyLine[];
  readonly default: 'allow' | 'block';
  readonly files: readonly string[];
  readonly loadedAt: number;
  /** Why what the files say now is not in force. */
  readonly problems: readonly string[];
  readonly receiver?: {
    readonly url: string;
    /** When the set in force was received; absent = never. */
    readonly loadedAt?: number;
    readonly checkedAt?: number;
    readonly problem?: string;
    /** What a newer set no longer stops: it waits for `weir policy accept`. */
    readonly held?: string;
  };
  /** Approvals open now. */
  readonly approvals: number;
}

/** What `weir approve` opened. */
export interface ApprovalResult {
  readonly ref: string;
  readonly agent: string;
  readonly policy: string;
  readonly request: string;
  /** Epoch ms. */
  readonly until: number;
}

/** A request that is asked about without being made. */
export interface ExplainRequest {
  readonly agent: string;
  readonly method: string;
  /** http or https. */
  readonly url: string;
}

/** Mode → what is done about one verdict. */
export type ModeActions = Readonly<Record<Mode, Pick<Ruling, 'action' | 'would'>>>;

/** One thing that is judged: a request, or the CONNECT before it. */
export interface Explained {
  /** `GET https://example.org:443/x`, without secrets. */
  readonly what: string;
  readonly agent: string;
  readonly visibility: Visibility;
  /** Every inspector that is asked, in order; those without a finding included. */
  readonly inspectors: readonly string[];
  readonly findings: readonly Pick<Finding, 'inspector' | 'rule' | 'severity' | 'disposition' | 'message'>[];
  readonly verdict: Disposition;
  /** The finding that decides. */
  readonly rule?: string;
  /** The mode that applies here. */
  readonly mode: Mode;
  /** `weir mode … stop` holds the agent: refused whatever the verdict. */
  readonly stopped: boolean;
  readonly modes: ModeActions;
}

export interface ExplainReport {
  readonly steps: readonly Explained[];
}

/** What the admin server asks about policies. Every method may reject with an Error whose message is for people. */
export interface PolicyHandlers {
  policies(): Promise<PolicyReport>;
  /** Opens what the refusal with this ref asked a person for. Rejects when nobody here knows it. */
  approve(ref: string, forMs: number, actor: string): Promise<ApprovalResult>;
  /** What would happen to a request; nothing is sent, learned or recorded. */
  explain(request: ExplainRequest): Promise<ExplainReport>;
  /** Takes over the set of a receiver that is held back. Rejects when there is none. */
  acceptPolicies(actor: string): Promise<{ readonly message: string }>;
}
