/** An answer Weir gives itself: refusal, failure, verification. Transports render it in their protocol; nobody else writes one. */
export interface Answer {
  readonly status: number;
  /** Reason phrase, printable ASCII, ≤ 200 characters (HTTP/1 status line, CONNECT refusals). */
  readonly reason: string;
  /** Lower-case names; content-type and content-length are included, `connection` is the transport's. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}
