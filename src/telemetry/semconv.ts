/**
 * Every attribute name Weir emits, in one table: OpenTelemetry semantic conventions 1.45 where they exist, Strathon's names
 * beside them, `weir.*` for what is ours. Names others rely on (product.md §5): never rename.
 */
export const ATTR = {
  // Stable OpenTelemetry HTTP, URL, server, network.
  /** One of the known methods, else `_OTHER`. */
  HTTP_REQUEST_METHOD: 'http.request.method',
  /** The method as sent, when it is not a known one. */
  HTTP_REQUEST_METHOD_ORIGINAL: 'http.request.method_original',
  /** Status received from upstream; absent when nothing came from there. */
  HTTP_RESPONSE_STATUS_CODE: 'http.response.status_code',
  /** Body bytes on the wire, agent to upstream. */
  HTTP_REQUEST_BODY_SIZE: 'http.request.body.size',
  /** Body bytes on the wire, upstream to agent. */
  HTTP_RESPONSE_BODY_SIZE: 'http.response.body.size',
  /** Status code of a 4xx/5xx, else a bounded error code. */
  ERROR_TYPE: 'error.type',
  /** Presentable URL: no userinfo, no fragment, query values only where harmless; host only for what was blocked. */
  URL_FULL: 'url.full',
  /** `http` or `https`. */
  URL_SCHEME: 'url.scheme',
  /** The origin, never the proxy. */
  SERVER_ADDRESS: 'server.address',
  /** Port of the origin. */
  SERVER_PORT: 'server.port',
  /** Agent's address as seen by Weir. */
  CLIENT_ADDRESS: 'client.address',
  /** Address that was dialled; absent when a parent proxy resolved the name. */
  NETWORK_PEER_ADDRESS: 'network.peer.address',
  /** Port that was dialled. */
  NETWORK_PEER_PORT: 'network.peer.port',
  /** `1.0`, `1.1` or `2`. */
  NETWORK_PROTOCOL_VERSION: 'network.protocol.version',
  /** `tcp` on CONNECT and tunnel spans. */
  NETWORK_TRANSPORT: 'network.transport',
  /** `transmit` or `receive`, metrics only. */
  NETWORK_IO_DIRECTION: 'network.io.direction',
  /** User agent as sent. */
  USER_AGENT_ORIGINAL: 'user_agent.original',
  /** Highest TLS version the agent offered. */
  TLS_PROTOCOL_VERSION: 'tls.protocol.version',
  // Processes (Development), of runs and of what went past Weir.
  /** Base name of the command of a run, or of the program that connected past Weir. */
  PROCESS_EXECUTABLE_NAME: 'process.executable.name',
  /** Exit code of the command; absent when a signal ended it. */
  PROCESS_EXIT_CODE: 'process.exit.code',
  // Security rules (Development), on log events.
  /** Rule id of a finding. */
  SECURITY_RULE_NAME: 'security_rule.name',
  /** Inspector that has the rule. */
  SECURITY_RULE_CATEGORY: 'security_rule.category',
  /** The sentence of a finding. */
  SECURITY_RULE_DESCRIPTION: 'security_rule.description',
  // Strathon's names, so that its policies and dashboards see the same calls.
  /** `http.<method>`, `http.connect`. */
  STRATHON_TOOL_NAME: 'strathon.tool.name',
  /** Same value as url.full; `https://host[:port]/` for CONNECT. */
  STRATHON_HTTP_URL: 'strathon.http.url',
  /** Always `egress_proxy`. */
  STRATHON_SOURCE: 'strathon.source',
  /** Same as weir.agent. */
  STRATHON_AGENT_NAME: 'strathon.agent.name',
  /** `blocked` when something was really blocked; never set in monitor. */
  STRATHON_INTERVENTION_STATE: 'strathon.agent.intervention.state',
  /** True when something was really blocked. */
  STRATHON_POLICY_BLOCKED: 'strathon.policy.blocked',
  /** Rule that blocked. */
  STRATHON_POLICY_NAME: 'strathon.policy.name',
  /** Id of the policy that decided; absent when another inspector did. */
  STRATHON_POLICY_ID: 'strathon.policy.id',
  STRATHON_POLICY_THROTTLED: 'strathon.policy.throttled',
  STRATHON_POLICY_STEERED: 'strathon.policy.steered',
  STRATHON_POLICY_APPROVAL_REQUESTED: 'strathon.policy.approval_requested',
  /** What the agent was told to do instead. */
  STRATHON_POLICY_REPLACEMENT: 'strathon.policy.replacement',
  /** Seconds. */
  STRATHON_POLICY_RETRY_AFTER: 'strathon.policy.retry_after_seconds',
  /** Its sentence. */
  STRATHON_POLICY_MESSAGE: 'strathon.policy.message',
  /** Comma-joined rules with a finding. */
  STRATHON_POLICY_MATCHED_IDS: 'strathon.policy.matched_ids',
  // Ours.
  /** Agent name. */
  AGENT: 'weir.agent',
  /** Evidence for the name: token, listener, source, claim, default. */
  AGENT_IDENTIFIED_BY: 'weir.agent.identified_by',
  /** tunnel, intercepted or plaintext: how much Weir could read. */
  VISIBILITY: 'weir.visibility',
  /** absolute-form or connect. */
  VIA: 'weir.via',
  /** monitor, redact or enforce. */
  MODE: 'weir.mode',
  /** What we think: allow, flag, redact, block. */
  VERDICT: 'weir.verdict',
  /** What was done: forward, redact, block. */
  ACTION: 'weir.action',
  /** What a stricter mode would have done: none, redact, block. */
  WOULD: 'weir.would',
  /** weir.would is block. */
  WOULD_BLOCK: 'weir.would_block',
  /** How it ended: forwarded, blocked, failed, client-gone, answered, interrupted. */
  OUTCOME: 'weir.outcome',
  /** Rule ids of all findings. */
  FINDING_RULES: 'weir.finding.rules',
  /** Rule that found a credential. */
  DETECTOR_ID: 'weir.detector.id',
  /** Severity of one finding. */
  FINDING_SEVERITY: 'weir.finding.severity',
  /** What one finding asks for. */
  FINDING_DISPOSITION: 'weir.finding.disposition',
  /** The agent had never reached this host and port. */
  DESTINATION_FIRST_SEEN: 'weir.destination.first_seen',
  /** Party on a shared host (owner, bucket, workspace). */
  DESTINATION_TENANT: 'weir.destination.tenant',
  /** Keyed hash of the credential used. */
  CREDENTIAL_FINGERPRINT: 'weir.credential.fingerprint',
  /** learning, ready or locked. */
  BASELINE_STATE: 'weir.baseline.state',
  /** ULID; people quote its last ten characters. */
  EXCHANGE_ID: 'weir.exchange.id',
  /** ULID of the agent-side transport. */
  CONNECTION_ID: 'weir.connection.id',
  /** Time Weir itself added before forwarding. */
  PROXY_OVERHEAD_MS: 'weir.proxy.overhead_ms',
  /** Body bytes (tunnel: all bytes), agent to upstream. */
  REQUEST_BODY_SIZE: 'weir.request.body.size',
  /** Body bytes (tunnel: all bytes), upstream to agent. */
  RESPONSE_BODY_SIZE: 'weir.response.body.size',
  /** Places rewritten in heads and bodies of the exchange. */
  REDACTIONS: 'weir.redactions',
  /** Status of Weir's own answer when nothing came from upstream. */
  RESPONSE_STATUS_CODE: 'weir.response.status_code',
  /** First-bytes protocol of an opaque tunnel. */
  TUNNEL_PROTOCOL: 'weir.tunnel.protocol',
  /** Why a tunnel or exchange ended. */
  CLOSE_REASON: 'weir.close_reason',
  /** Free text of a failure. */
  ERROR_DETAIL: 'weir.error.detail',
  /** Why interception was not done although configured. */
  INTERCEPTION_SKIPPED: 'weir.interception_skipped',
  /** Server name of the ClientHello. */
  TLS_SNI: 'weir.tls.sni',
  /** JA4 of the ClientHello. */
  TLS_JA4: 'weir.tls.ja4',
  /** Protocols offered by ALPN. */
  TLS_ALPN: 'weir.tls.alpn',
  /** Encrypted ClientHello was offered. */
  TLS_ECH: 'weir.tls.ech',
  /** A parent proxy resolved the name. */
  ADDRESS_DELEGATED: 'weir.address.delegated',
  /** Request sent to response head. */
  TTFB_MS: 'weir.timing.ttfb_ms',
  /** Name resolution. */
  DNS_MS: 'weir.timing.dns_ms',
  /** TCP connect. */
  CONNECT_MS: 'weir.timing.connect_ms',
  /** Upstream TLS handshake. */
  TLS_MS: 'weir.timing.tls_ms',
  /** Request media type. */
  REQUEST_CONTENT_TYPE: 'weir.request.content_type',
  /** Response media type. */
  RESPONSE_CONTENT_TYPE: 'weir.response.content_type',
  /** The claimed trace had too many spans: new root, linked. */
  TRACE_REPARENTED: 'weir.trace.reparented',
  /** ULID of the `weir run` it belongs to. */
  RUN_ID: 'weir.run.id',
  /** Times the collector died during a run and was started again. */
  RUN_RESTARTS: 'weir.run.restarts',
  /** Signal that ended the command. */
  RUN_EXIT_SIGNAL: 'weir.run.exit_signal',
  /** `weir run` ended without saying how the command did. */
  RUN_ABANDONED: 'weir.run.abandoned',
  /** The sockets of the command and its children were sampled: without it no event proves nothing. */
  RUN_DIRECT_WATCHED: 'weir.run.direct_watched',
  /** Sockets seen past Weir. */
  COUNT: 'weir.count',
  /** Who caused an audit event. */
  ACTOR: 'weir.actor',
  /** Resource: cooperative, separate-user or network. */
  CONTAINMENT: 'weir.containment',
  /** Metrics: why records were lost. */
  REASON: 'weir.reason',
  /** Metrics: which consumer of the journal. */
  CONSUMER: 'weir.consumer',
} as const;

/** Names of the log events (product.md §5; telemetry reference §1.7). */
export const EVENT = {
  FIRST_SEEN: 'weir.destination.first_seen',
  FINDING: 'weir.finding',
  DECISION: 'weir.policy.decision',
  AUDIT: 'weir.audit',
  CREDENTIAL: 'weir.credential.detected',
  INTERCEPTION_FAILED: 'weir.tls.interception_failed',
  DROPPED: 'weir.telemetry.dropped',
} as const;

/** Span event of `weir.run`: connections of one program to one address past Weir. */
export const DIRECT_CONNECTION = 'direct-connection';

/** RFC 9110, RFC 5789 (PATCH) and QUERY; everything else is `_OTHER`. */
export const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'QUERY',
  'TRACE',
]);

/** Attributes above this many UTF-8 bytes are cut by common backends. */
export const ATTRIBUTE_BYTES = 2048;

/** Instrumentation scope of spans and log records. */
export const SCOPE = 'weir';
