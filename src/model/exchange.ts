import type { AgentIdentity, Connection } from './connection.ts';
import type { Destination } from './destination.ts';
import type { Finding, Ruling } from './finding.ts';

/** Raw request facts a transport hands to the corridor. All strings are latin1 as on the wire. */
export interface RequestFacts {
  readonly method: string;
  /** `http` | `https` for requests, `tcp` for CONNECT. */
  readonly scheme: 'http' | 'https' | 'tcp';
  /** Host and port the rules match: request-target authority (absolute-form), CONNECT authority, else Host. Unnormalised. */
  readonly authority: string;
  /** Host / `:authority` field as sent, when it may differ from `authority`. */
  readonly hostField?: string;
  /** Origin-form target (path and query), `*`, or '' for CONNECT. */
  readonly target: string;
  readonly protocol: '1.0' | '1.1' | '2';
  /** Flat [name, value, name, value, …] in order, names as sent. */
  readonly fields: readonly string[];
  /** `websocket` etc. when the request asks for an upgrade. */
  readonly upgrade?: string;
}

/** How an exchange or tunnel ended. */
export type Outcome = 'forwarded' | 'blocked' | 'failed' | 'client-gone' | 'answered' | 'interrupted';

/**
 * One request and its response (or a CONNECT, or a tunnel) while it lives. The corridor makes it; the transport that
 * carries it writes the counters; `Corridor.close` turns it into the one record that leaves.
 */
export interface Exchange {
  readonly kind: 'exchange' | 'connect' | 'tunnel';
  readonly id: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly connection: Connection;
  /** Epoch ms and the monotonic clock at the same instant (performance.now()). */
  readonly startedAt: number;
  readonly startedMono: number;
  readonly request: RequestFacts;
  readonly destination: Destination;
  readonly identity: AgentIdentity;
  readonly findings: Finding[];
  ruling: Ruling;
  firstSeen: boolean;

  // Written by the transport:
  /** Body bytes as on the wire, agent → upstream (tunnel: all bytes). */
  requestBytes: number;
  /** Body bytes as on the wire, upstream → agent (tunnel: all bytes). */
  responseBytes: number;
  status?: number;
  /** performance.now() when the first byte was written upstream / the response head arrived. */
  sentMono?: number;
  headMono?: number;
  peer?: { readonly address: string; readonly port: number };
  /** Upstream name was resolved by a parent proxy. */
  delegated?: boolean;
  timings?: { dnsMs?: number; connectMs?: number; tlsMs?: number };
  upstreamTls?: { version: string; cipher: string; alpn?: string };
  responseFields?: readonly string[];
}
