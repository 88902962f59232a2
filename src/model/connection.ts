import type { Destination } from './destination.ts';
import type { Mode } from './finding.ts';
import type { Upstream } from './ports.ts';

export type Visibility = 'tunnel' | 'intercepted' | 'plaintext';
export type IdentifiedBy = 'token' | 'listener' | 'source' | 'claim' | 'default';

/** Which agent, by which evidence (product.md §4 "Agent identity"). */
export interface AgentIdentity {
  readonly agent: string;
  readonly by: IdentifiedBy;
  /** Weaker evidence that disagreed, e.g. a claimed name against a bound listener; becomes the finding `identity-conflict`. */
  readonly conflict?: string;
  /** The name was not a legal agent name; becomes the finding `agent-name-invalid`. */
  readonly invalid?: boolean;
  /** Set when the request must be answered 407 (a name with a token claimed without it, or `identify: required`). */
  readonly challenge?: string;
}

/** Facts of a ClientHello. Strings are raw network input: redacted and made printable by the recorder, never before. */
export interface TlsFacts {
  readonly sni?: string;
  readonly alpn: readonly string[];
  readonly ja4: string;
  /** Highest version offered, e.g. `1.3`. */
  readonly version: string;
  readonly ech: boolean;
}

/** What a port of `weir run` brings along beside its agent. Changes with a reload, hence no part of a connection's facts. */
export interface RunPort {
  readonly id: string;
  /** Ceiling for this run only. */
  readonly mode?: Mode;
  /** TLS of this host is to be read in this run. */
  readsTls(host: string): boolean;
  /** The parent proxy and roots the command had without Weir; undefined = the collector's own. */
  upstream(): Upstream | undefined;
}

/** One agent-side transport, as the accept side knows it. Facts, never the socket. */
export interface Connection {
  readonly id: string;
  /** Epoch ms. */
  readonly openedAt: number;
  readonly client: { readonly address: string; readonly port: number };
  /** Agent the listening port is bound to. */
  readonly listenerAgent?: string;
  /** The listening port belongs to a `weir run`. */
  readonly run?: RunPort;
  via: 'absolute-form' | 'connect';
  visibility: Visibility;
  /** Identity from the CONNECT; an inner request may add stronger evidence, never weaker. */
  identity?: AgentIdentity;
  /** CONNECT authority: what rules match for everything inside. */
  authority?: Destination;
  tls?: TlsFacts;
  /** First-bytes protocol of an opaque tunnel (`tls`, `ssh`, `unknown`, `server-first`, an `Upgrade` token). */
  tunnelProtocol?: string;
  /** Why interception was not done although configured, e.g. `upstream-unverifiable`, `client-rejected-ca`. */
  interceptionSkipped?: string;
  /** User agent seen on the CONNECT. */
  userAgent?: string;
  /** Trace and span of the CONNECT, linked from every exchange inside. */
  connectSpan?: { readonly traceId: string; readonly spanId: string };
  /** Bytes read from / written to the agent over the life of the transport. */
  exchanges: number;
}
