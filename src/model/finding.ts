export type Severity = 'info' | 'low' | 'medium' | 'high' | 'critical';
/** What one finding asks for. Order of strength: allow < flag < redact < block. */
export type Disposition = 'allow' | 'flag' | 'redact' | 'block';
export type Mode = 'monitor' | 'redact' | 'enforce';

/** What an inspector noticed. Never carries the secret: rule, place, keyed fingerprint. */
export interface Finding {
  readonly inspector: string;
  /** Stable rule id, e.g. `destination-not-allowed`, `first-seen`, `name-mismatch`, `identity-conflict`. */
  readonly rule: string;
  readonly severity: Severity;
  readonly disposition: Disposition;
  /** One sentence for people. Passes `printable()` and redaction before it leaves the process. */
  readonly message: string;
  /** Value of `X-Strathon-Block-Reason` when this finding decides a block; `policy` when absent. */
  readonly blockReason?: string;
  /**
   * Everything the finding is about can be taken out: these places of the head, or `body` when the body's filter does it. Absent =
   * it cannot (a host name, a rate).
   */
  readonly located?: 'body' | readonly Cut[];
  /** Seconds until it is worth another try, when the finding decides a block. */
  readonly retryAfter?: number;
  /** The policy that speaks, in Strathon's words. */
  readonly policy?: FindingPolicy;
  /** Never hidden by learning and never lowered by mode: refused even in monitor (self-target 508). */
  readonly absolute?: { readonly status: number };
}

/** What answers and spans name of a policy (strathon-compat §1.3, §6.19). */
export interface FindingPolicy {
  /** Of the policy; the name for the synthetic ones (`_default_deny`, `_fail_closed`, `_fail_closed_unloaded`). */
  readonly id: string;
  readonly name: string;
  readonly action: string;
  /** Evaluated only: what it would have done is in the message. */
  readonly shadow?: true;
  /** 403 or 429, when the finding decides. */
  readonly status?: number;
  /** What the agent is to do instead (steer). */
  readonly replacement?: string;
}

/** Characters of a head that a label stands in for. */
export interface Cut {
  /** The request target, or the index of a field line (`fields[2 * i]` is its name) whose value is meant. */
  readonly part: 'target' | number;
  readonly start: number;
  readonly end: number;
  readonly label: string;
}

/** What we think (mode-free). */
export interface Verdict {
  readonly disposition: Disposition;
  /** Rule of the strongest finding, or undefined when nothing was found. */
  readonly rule?: string;
}

/** What is done. `would` is what a stricter mode would have done. */
export interface Ruling {
  readonly mode: Mode;
  readonly verdict: Disposition;
  readonly action: 'forward' | 'redact' | 'block';
  readonly would: 'none' | 'redact' | 'block';
}
