import type { Exchange } from '../model/exchange.ts';
import { fieldOf } from '../model/fields.ts';
import type { Attributes, AttributeValue } from './cel-context.ts';
import type { PolicyFacts } from './decide.ts';
import { TUNNEL_NAME } from './vocabulary.ts';

/** How one attribute is read from an exchange; undefined = it is not set. */
type Read = (exchange: Exchange) => AttributeValue | undefined;

const NOTHING: ReadonlyMap<string, AttributeValue> = new Map();

/**
 * What policies see of an exchange as it is judged (strathon-compat §1.2, §6.7). Nothing is computed before a policy reads it.
 * @param more what the exchange does not hold (baseline, tenant, credential, environment, what was read of an LLM body) or not yet
 * @param now milliseconds since 1970
 */
export function factsOf(exchange: Exchange, now: number, more: Attributes = NOTHING): PolicyFacts {
  const attrs: Attributes = {
    get(key) {
      const read = READS.get(key);
      return read?.(exchange) ?? more.get(key);
    },
    keys: () => new Set([...READS.keys(), ...more.keys()]),
  };
  return { name: nameOf(exchange), agent: exchange.identity.agent, attrs, now };
}

/** `http.post`, so that `applies_to: [http]`, `[post]` and `[http.post]` all fit; `http.connect` for CONNECT and its tunnel. */
function nameOf({ kind, request }: Exchange): string {
  return kind === 'exchange' ? `http.${request.method.toLowerCase()}` : TUNNEL_NAME;
}

const DEFAULT_PORT: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** `scheme://host[:port]/path?query`, the port only when it is not the scheme's: as mitmproxy prints it. Raw, for rules only. */
function urlOf(exchange: Exchange): string {
  const { host, port } = exchange.destination;
  const scheme = schemeOf(exchange) ?? 'https';
  const name = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${name}${port === DEFAULT_PORT[scheme] ? '' : `:${port}`}${targetOf(exchange)}`;
}

function schemeOf({ kind, destination }: Exchange): string | undefined {
  return kind === 'exchange' && destination.scheme !== 'tcp' ? destination.scheme : undefined;
}

/** Path and query; `/` for CONNECT and for `*`. */
function targetOf({ kind, request: { target } }: Exchange): string {
  if (kind !== 'exchange' || target === '' || target === '*') return '/';
  return target.startsWith('/') ? target : `/${target}`;
}

function queryOf(exchange: Exchange): string | undefined {
  const target = targetOf(exchange);
  const mark = target.indexOf('?');
  return mark < 0 ? undefined : target.slice(mark + 1);
}

/** Only where the request itself is seen. */
function ofContent(read: Read): Read {
  return (exchange) => (exchange.kind === 'exchange' ? read(exchange) : undefined);
}

function mediaType({ request }: Exchange): string | undefined {
  return fieldOf(request.fields, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase();
}

const agent: Read = ({ identity }) => identity.agent;

const READS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['strathon.tool.name', nameOf],
  ['gen_ai.tool.name', nameOf],
  ['strathon.http.url', urlOf],
  ['strathon.source', () => 'egress_proxy'],
  ['strathon.agent.name', agent],
  ['strathon.agent.id', agent],
  ['gen_ai.agent.name', agent],
  ['gen_ai.agent.id', agent],
  ['weir.agent', agent],
  ['weir.agent.identified_by', ({ identity }) => identity.by],
  ['http.request.method', ({ kind, request }) => (kind === 'exchange' ? request.method : 'CONNECT')],
  ['url.full', ofContent(urlOf)],
  ['url.scheme', schemeOf],
  ['url.path', ofContent((exchange) => targetOf(exchange).split('?', 1)[0])],
  ['url.query', ofContent(queryOf)],
  ['server.address', ({ destination }) => destination.host],
  ['server.port', ({ destination }) => destination.port],
  ['client.address', ({ connection }) => connection.client.address],
  ['network.transport', ({ kind }) => (kind === 'exchange' ? undefined : 'tcp')],
  ['network.protocol.version', ofContent(({ request }) => request.protocol)],
  ['user_agent.original', ({ request, connection }) => fieldOf(request.fields, 'user-agent') ?? connection.userAgent],
  ['weir.request.content_type', ofContent(mediaType)],
  ['tls.protocol.version', ({ connection }) => connection.tls?.version],
  ['weir.tls.sni', ({ connection }) => connection.tls?.sni],
  ['weir.tls.ja4', ({ connection }) => connection.tls?.ja4],
  ['weir.tls.alpn', ({ connection }) => connection.tls?.alpn],
  ['weir.tls.ech', ({ connection }) => connection.tls?.ech],
  ['weir.visibility', ({ connection }) => connection.visibility],
  ['weir.via', ({ connection }) => connection.via],
  ['weir.tunnel.protocol', ({ connection }) => connection.tunnelProtocol],
  ['weir.interception_skipped', ({ connection }) => connection.interceptionSkipped],
  ['weir.exchange.id', ({ id }) => id],
  ['weir.connection.id', ({ connection }) => connection.id],
  ['weir.run.id', ({ connection }) => connection.run?.id],
  ['weir.destination.first_seen', ({ firstSeen }) => firstSeen],
  ['weir.finding.rules', ({ findings }) => [...new Set(findings.map(({ rule }) => rule))]],
]);

/** Attributes `factsOf` reads itself; everything else comes with `more`. */
export const READ_FROM_EXCHANGE: ReadonlySet<string> = new Set(READS.keys());
