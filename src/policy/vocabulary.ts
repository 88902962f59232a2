/**
 * What policies can read of a request when it is judged, by how much of it Weir can see. The names are those of the record
 * (product.md §5) and Strathon's (strathon-compat §1.2); who builds `attrs` sets no others.
 */

/** Known for every exchange and for a tunnel whose content stays closed. Which of them are set depends on the request. */
const ALWAYS = [
  'strathon.tool.name',
  'strathon.http.url',
  'strathon.source',
  'strathon.agent.name',
  'strathon.agent.id',
  'strathon.project.environment',
  'gen_ai.tool.name',
  'gen_ai.agent.name',
  'gen_ai.agent.id',
  'http.request.method',
  'server.address',
  'server.port',
  'client.address',
  'network.transport',
  'user_agent.original',
  'tls.protocol.version',
  'deployment.environment',
  'weir.agent',
  'weir.agent.identified_by',
  'weir.visibility',
  'weir.via',
  'weir.destination.first_seen',
  'weir.destination.tenant',
  'weir.baseline.state',
  'weir.finding.rules',
  'weir.exchange.id',
  'weir.connection.id',
  'weir.run.id',
  'weir.tunnel.protocol',
  'weir.interception_skipped',
  'weir.tls.sni',
  'weir.tls.ja4',
  'weir.tls.alpn',
  'weir.tls.ech',
] as const;

/** Needs the content: plain HTTP, or TLS that is intercepted. */
const CONTENT = [
  'url.full',
  'url.scheme',
  'url.path',
  'url.query',
  'network.protocol.version',
  'weir.request.content_type',
  'weir.credential.fingerprint',
  'gen_ai.prompt',
  'gen_ai.request.model',
  'gen_ai.provider.name',
  'gen_ai.operation.name',
  'gen_ai.completion',
] as const;

/** What is said in a call of an LLM API: known when its request has been read, asked after the policies of the head. */
export const SAID_IN_REQUEST: ReadonlySet<string> = new Set(['gen_ai.prompt', 'gen_ai.request.model']);
/** The same of its answer, when that has been given. */
export const SAID_IN_ANSWER = 'gen_ai.completion';

/** Of the record, but known only when everything is over, or a consequence of what policies say. */
const AFTERWARDS = [
  'http.request.body.size',
  'http.response.body.size',
  'http.response.status_code',
  'error.type',
  'network.peer.address',
  'network.peer.port',
  'weir.request.body.size',
  'weir.response.body.size',
  'weir.response.content_type',
  'weir.response.status_code',
  'weir.mode',
  'weir.verdict',
  'weir.action',
  'weir.would',
  'weir.would_block',
  'weir.outcome',
  'weir.close_reason',
  'weir.address.delegated',
  'weir.proxy.overhead_ms',
  'weir.timing.ttfb_ms',
  'weir.timing.dns_ms',
  'weir.timing.connect_ms',
  'weir.timing.tls_ms',
] as const;

/** Every attribute a policy can read here. */
export const READABLE: ReadonlySet<string> = new Set<string>([...ALWAYS, ...CONTENT]);

/** Those that are never set while TLS is tunnelled. */
export const NEEDS_CONTENT: ReadonlySet<string> = new Set<string>(CONTENT);

/** Those a record has and a policy never sees. */
export const KNOWN_LATER: ReadonlySet<string> = new Set<string>(AFTERWARDS);

/** What a CONNECT that stays a tunnel looks like, whoever sends it (strathon-compat §6.17). */
export const TUNNEL_NAME = 'http.connect';
export const TUNNEL: ReadonlyMap<string, string> = new Map([
  ['strathon.tool.name', TUNNEL_NAME],
  ['gen_ai.tool.name', TUNNEL_NAME],
  ['strathon.source', 'egress_proxy'],
  ['http.request.method', 'CONNECT'],
  ['network.transport', 'tcp'],
  ['weir.visibility', 'tunnel'],
]);
