/** Bounded error codes, used as OTel `error.type` (product.md §4; architecture study §6.8). */
export const ERRORS = {
  'bad-request': { status: 400, summary: 'The request is not valid HTTP' },
  'ambiguous-framing': {
    status: 400,
    summary: 'The message framing has no single honest reading (RFC 9112 §6.3, §11.2)',
  },
  'head-too-large': {
    status: 431,
    summary: 'The head is larger than limits.head_bytes or has more than limits.headers fields',
  },
  'head-timeout': { status: 408, summary: 'The head was not received within limits.head_ms' },
  'limit-reached': { status: 503, summary: 'A configured limit is reached' },
  'not-recorded': { status: 503, summary: 'Traffic that cannot be recorded is refused (store.required)' },
  'self-target': { status: 508, summary: 'The target is Weir itself' },
  'dns-failed': { status: 502, summary: 'The name could not be resolved' },
  'connect-refused': { status: 502, summary: 'The upstream refused the connection' },
  'connect-failed': { status: 502, summary: 'The upstream could not be reached' },
  'connect-timeout': { status: 504, summary: 'The upstream did not accept within limits.connect_ms' },
  'upstream-proxy-failed': { status: 502, summary: 'The parent proxy refused or failed' },
  'upstream-tls-failed': { status: 502, summary: 'The upstream TLS handshake failed' },
  'upstream-unverifiable': { status: 502, summary: 'The upstream certificate cannot be verified' },
  'upstream-closed': { status: 502, summary: 'The upstream closed before a response head' },
  'upstream-reset': { status: 502, summary: 'The upstream reset the connection' },
  'upstream-malformed': { status: 502, summary: 'The upstream response is not valid HTTP' },
  'body-truncated': { status: 502, summary: 'The upstream closed before the announced length' },
  'tls-failed': { status: 502, summary: 'The TLS handshake with the agent failed' },
  'client-gone': { status: 499, summary: 'The agent went away' },
  'policy-denied': { status: 403, summary: 'Blocked by a policy or list' },
  uninspectable: { status: 403, summary: 'The client does not accept inspection of this host' },
  'auth-required': { status: 407, summary: 'The agent must say who it is' },
  stopped: { status: 403, summary: 'The agent is stopped' },
  internal: { status: 500, summary: 'A bug in Weir' },
} as const satisfies Record<string, { status: number; summary: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An expected failure with a bounded code. Thrown only where a result type would be awkward; rescued in the corridor and the CLI. */
export class WeirError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail ?? ERRORS[code].summary, options);
    this.name = 'WeirError';
    this.code = code;
  }
}
