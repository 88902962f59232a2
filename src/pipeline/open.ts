import type { AgentIdentity } from '../model/connection.ts';
import type { Destination } from '../model/destination.ts';
import type { RequestFacts } from '../model/exchange.ts';
import { fieldOf } from '../model/fields.ts';
import type { Finding, Ruling } from '../model/finding.ts';
import { ulid } from '../model/ulid.ts';
import type { LiveConnection, LiveExchange } from './live.ts';
import type { Stages } from './stages.ts';
import { newSpanId, type Traces } from './trace.ts';

const UNJUDGED: Ruling = { mode: 'monitor', verdict: 'allow', action: 'forward', would: 'none' };
/** Stands where the authority could not be understood. */
const INVALID = { host: 'invalid', port: 0 } as const;
const STRENGTH = { token: 4, listener: 3, source: 2, claim: 1, default: 0 } as const;

/**
 * Makes an exchange: identity, destination, ids, trace. Never throws; an authority that cannot be understood is marked
 * `invalid` and answered 400 by the check.
 */
export function openExchange(
  stages: Stages,
  traces: Traces,
  connection: LiveConnection,
  request: RequestFacts,
  kind: 'exchange' | 'connect',
): LiveExchange {
  const startedMono = performance.now();
  const trace = traces(fieldOf(request.fields, 'traceparent'));
  const destination = destinationOf(stages, connection, request);
  const before = connection.identity;
  const identity = identityOf(stages, connection, request);
  const spanId = newSpanId();
  const exchange: LiveExchange = {
    kind,
    id: ulid(),
    traceId: trace.traceId,
    spanId,
    trace,
    stages,
    connection,
    startedAt: Date.now(),
    startedMono,
    request,
    destination: typeof destination === 'string' ? { scheme: request.scheme, ...INVALID } : destination,
    identity,
    findings: identity === before ? [] : identityFindings(stages, identity),
    ruling: UNJUDGED,
    firstSeen: false,
    baselineState: 'learning',
    requestBytes: 0,
    responseBytes: 0,
    reachMs: 0,
    wasOpen: false,
    closed: false,
    older: undefined,
    younger: undefined,
  };
  connection.exchanges++;
  if (typeof destination === 'string') exchange.invalid = destination;
  else connection.destination ??= destination;
  rememberClient(exchange, kind === 'connect' && typeof destination !== 'string' ? destination : undefined);
  return exchange;
}

/** The second life of a CONNECT that stays opaque: its id and verdict, a span and findings of its own. */
export function openTunnelOf(connect: LiveExchange): LiveExchange {
  const late = connect.connection.lateFindings ?? [];
  const { revoke: _revoke, taps: _taps, ...facts } = connect;
  delete connect.connection.lateFindings;
  return {
    ...facts,
    kind: 'tunnel',
    spanId: newSpanId(),
    findings: [...late],
    priorRules: connect.findings.filter((finding) => !late.includes(finding)).map((finding) => finding.rule),
    requestBytes: 0,
    responseBytes: 0,
    wasOpen: false,
    closed: false,
  };
}

/** User agent, and on a CONNECT what everything inside it inherits: authority, identity, the span to link to. */
function rememberClient(exchange: LiveExchange, authority: Destination | undefined): void {
  const { connection, request } = exchange;
  const userAgent = fieldOf(request.fields, 'user-agent') ?? connection.userAgent;
  if (userAgent !== undefined) exchange.userAgent = userAgent;
  if (exchange.kind !== 'connect') return;
  if (authority !== undefined) connection.authority = authority;
  connection.connectSpan = { traceId: exchange.traceId, spanId: exchange.spanId };
  if (userAgent !== undefined) connection.userAgent = userAgent;
}

function destinationOf(stages: Stages, connection: LiveConnection, request: RequestFacts): Destination | string {
  if (connection.lastAuthority === request.authority && connection.lastScheme === request.scheme) {
    return connection.lastDestination as Destination;
  }
  const normal = stages.normalise(request.authority, request.scheme);
  if ('error' in normal) return normal.error;
  const destination: Destination = { scheme: request.scheme, host: normal.host, port: normal.port };
  connection.lastAuthority = request.authority;
  connection.lastScheme = request.scheme;
  connection.lastDestination = destination;
  return destination;
}

function identityOf(stages: Stages, connection: LiveConnection, request: RequestFacts): AgentIdentity {
  const { fields } = request;
  const proxyAuthorization = fieldOf(fields, 'proxy-authorization');
  const claimedBy = fieldOf(fields, 'x-weir-agent') ?? fieldOf(fields, 'x-oktsec-agent');
  const credentials =
    proxyAuthorization === undefined && claimedBy === undefined ? undefined : `${proxyAuthorization}\n${claimedBy}`;
  const known = connection.identity;
  // Inside a CONNECT the outer evidence stands unless the request brings its own; on keep-alive the same evidence is not weighed twice.
  if (
    known !== undefined &&
    (credentials === connection.lastCredentials || (credentials === undefined && connection.via === 'connect'))
  ) {
    return known;
  }
  const fresh = stages.identify({
    client: connection.client,
    ...(connection.listenerAgent === undefined ? {} : { listenerAgent: connection.listenerAgent }),
    ...(proxyAuthorization === undefined ? {} : { proxyAuthorization }),
    ...(claimedBy === undefined ? {} : { claimedBy }),
  });
  if (known !== undefined && connection.via === 'connect') return inner(known, fresh);
  connection.lastCredentials = credentials;
  connection.identity = fresh;
  return fresh;
}

/** An inner request may bring stronger evidence than its CONNECT, never weaker; disagreement is a conflict. */
function inner(outer: AgentIdentity, fresh: AgentIdentity): AgentIdentity {
  if (STRENGTH[fresh.by] > STRENGTH[outer.by]) return fresh;
  if (fresh.by === 'default' || fresh.agent === outer.agent) return outer;
  return { ...outer, conflict: `the connection is ${outer.agent}'s (${outer.by}), the request claims ${fresh.agent}` };
}

/** Identity findings, as inspectors would report them (product.md §4 "Agent identity"). */
function identityFindings(stages: Stages, identity: AgentIdentity): Finding[] {
  const findings: Finding[] = [];
  const newcomer = stages.baseline.agentFirstSeen(identity.agent);
  // Whoever bound a port to a name (`weir run`, a listener of the configuration) has named it.
  if (newcomer !== undefined && identity.by !== 'listener') findings.push(newcomer);
  if (identity.conflict !== undefined) {
    findings.push({
      inspector: 'identity',
      rule: 'identity-conflict',
      severity: 'medium',
      disposition: 'flag',
      message: identity.conflict,
    });
  }
  if (identity.invalid === true) {
    findings.push({
      inspector: 'identity',
      rule: 'agent-name-invalid',
      severity: 'low',
      disposition: 'flag',
      message: 'the claimed agent name is not a legal name; recorded as the default agent',
    });
  }
  return findings;
}
