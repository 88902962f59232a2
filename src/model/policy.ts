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

/** What the admin server asks about policies. Every method may reject with an Error whose message is for people. */
export interface PolicyHandlers {
  policies(): Promise<PolicyReport>;
  /** Opens what the refusal with this ref asked a person for. Rejects when nobody here knows it. */
  approve(ref: string, forMs: number, actor: string): Promise<ApprovalResult>;
  /** Takes over the set of a receiver that is held back. Rejects when there is none. */
  acceptPolicies(actor: string): Promise<{ readonly message: string }>;
}
