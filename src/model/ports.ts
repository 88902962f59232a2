import type { Duplex } from 'node:stream';
import type { Answer } from './answer.ts';
import type { AgentIdentity, Connection, RunPort, TlsFacts } from './connection.ts';
import type { Destination } from './destination.ts';
import type { ErrorCode } from './error.ts';
import type { Exchange, Outcome, RequestFacts } from './exchange.ts';
import type { Finding } from './finding.ts';
import type { WeirRecord } from './record.ts';

/** Right to dial: minted only by `verdict/enforce.ts`, carries exactly the judged addresses. */
export interface Permit {
  readonly brand: 'permit';
  readonly destination: Destination;
  /** Judged addresses to dial, in order; empty when `delegated`. */
  readonly addresses: readonly string[];
  /** Port to dial when `upstream.resolve` names another one. */
  readonly port?: number;
  /** A parent proxy resolves the name. */
  readonly delegated: boolean;
}

/** An open upstream transport. One owner; destroyed with it. */
export interface Link {
  readonly socket: Duplex;
  readonly peer: { readonly address: string; readonly port: number };
  /** Requests must be written in absolute-form (plain HTTP through an HTTP parent), with this Proxy-Authorization if any. */
  readonly absoluteForm?: { readonly proxyAuthorization?: string };
  readonly timings: { dnsMs?: number; connectMs?: number; tlsMs?: number };
  readonly delegated: boolean;
  readonly tls?: { readonly version: string; readonly cipher: string; readonly alpn?: string };
}

export type Reach = { readonly link: Link } | { readonly answer: Answer };
export type Checked =
  | { readonly forward: true; readonly edits?: HeadEdits }
  | { readonly forward: false; readonly answer: Answer };

export type Secured =
  | { readonly link: Link }
  | { readonly failed: 'unverifiable' | 'handshake' | 'client-certificate-required'; readonly detail: string };

export interface CloseFacts {
  readonly outcome: Outcome;
  readonly error?: ErrorCode;
  /** Free text of the cause for the log and the record (redacted later). */
  readonly detail?: string;
  readonly closeReason?: string;
}

/** Looks at one body on a copy. Never throws, never delays: what it is given has been written on already. */
export interface ContentTap {
  /** Payload as it passed, without framing. Valid during the call. */
  push(payload: Uint8Array): void;
  /** The body is complete. Otherwise `Corridor.close` is its end. */
  end(): void;
}

/** Where a filter puts what may pass. Called during `write` and `end`, or later: a decoder works beside the traffic. */
export interface FilterSink {
  /** Payload that may go on, in order. The callee's from now on. */
  data(payload: Buffer): void;
  /** All has been given. `redactions`: places that were rewritten in this body. */
  end(redactions: number): void;
  /**
   * Nothing more may pass, nor anything that was written and has not been given. `forward` and `back` are the last bytes for the
   * receiver and for the sender of this body, where its protocol knows such (a WebSocket close frame, an SSE event).
   */
  stop(answer: Answer, last?: { readonly forward?: Buffer; readonly back?: Buffer }): void;
  /** `write` has returned false, and more is wanted now. */
  drained(): void;
}

/** Looks at one body before it goes on. Redact and enforce only: in monitor a body has a `ContentTap`. */
export interface ContentFilter {
  /**
   * `whole`: nothing is given before `end`, then all in one `data`, whose length may differ: the head waits for it.
   * `same`: as many bytes go out as came in; the framing stays as it is.
   * `free`: any length; the framing must not promise one.
   */
  readonly shape: 'whole' | 'same' | 'free';
  /** Payload as it came, without framing; the callee's from now on. False = stop reading until `drained`. */
  write(payload: Buffer): boolean;
  /** The body is complete. */
  end(): void;
  /** The body was broken off; nothing is given any more. */
  abandon(): void;
  /**
   * The body was broken off by its sender: what still waits is given as far as nothing in it may become what stops it, then the sink's
   * `end` or `stop` is called, perhaps later. Absent = `abandon`.
   */
  breakOff?(): void;
}

/** What must change in a head before it goes on: secrets that were found in it, taken out. */
export interface HeadEdits {
  /** The request target as it is to be sent. */
  readonly target?: string;
  /** New values by index of the field line (`fields[2 * i]` is its name). */
  readonly values?: ReadonlyMap<number, string>;
}

/**
 * The one straight path as transports see it: open → check → reach → (relay) → close. A transport never sees a finding,
 * a verdict or a mode: only "forward" or an `Answer` to render.
 */
export interface Corridor {
  connection(facts: {
    readonly client: { readonly address: string; readonly port: number };
    readonly listenerAgent?: string;
    readonly run?: RunPort;
    readonly via: 'absolute-form' | 'connect';
  }): Connection;
  /** Closes the connection's own row. Idempotent. */
  connectionClosed(connection: Connection, reason: string): void;
  /** Makes the exchange: identity settled, names normalised, ids chosen, `started` counted. Never throws. */
  open(connection: Connection, request: RequestFacts, kind: 'exchange' | 'connect'): Exchange;
  /** The second life of a CONNECT that stays opaque: shares id and verdict with it, has its own span, linked. */
  openTunnel(connect: Exchange): Exchange;
  /** Identity, destination and request phases. Sync: everything it reads is in memory. */
  check(exchange: Exchange): Checked;
  /** Names facts that appear only after the 200 (SNI, ECH, opaque protocol) or with a 101 (what it switches to): judged again. */
  checkTls(connect: Exchange, tls: TlsFacts | undefined, protocol: string): Checked;
  /** Resolve, judge every address, dial exactly a judged one (TLS too when asked). Never rejects. */
  reach(exchange: Exchange, tls?: UpstreamTls): Promise<Reach>;
  /**
   * Upstream TLS over an open link, with the agent's ALPN list ("upstream first", product.md §3.1). A failure is a value:
   * `unverifiable` and `failed` make the mirror splice the untouched ClientHello to a fresh socket in monitor.
   */
  secure(exchange: Exchange, link: Link, tls: UpstreamTls): Promise<Secured>;
  /** An answer for a failure the transport met itself (upstream reset before a head, malformed response …). */
  failure(exchange: Exchange, code: ErrorCode, detail?: string): Answer;
  /** An answer for input that is refused before it is an exchange (malformed, too large, limit). Recorded and counted. */
  reject(connection: Connection, code: ErrorCode, detail?: string): Answer;
  /** Exactly once per exchange, on every exit: builds and posts the record. */
  close(exchange: Exchange, facts: CloseFacts): void;
  /**
   * Asked once per body, when there is one (for `response`: after the head's facts are on the exchange). Undefined = it need not
   * be looked at.
   */
  content(exchange: Exchange, direction: 'request' | 'response'): ContentTap | undefined;
  /**
   * Asked once per body before its head goes on, when there is one (for `response`: after the head's facts are on the exchange);
   * `length` = the declared one. Undefined = nothing is held back: ask `content`.
   */
  filter(
    exchange: Exchange,
    direction: 'request' | 'response',
    length: number | undefined,
    sink: FilterSink,
  ): ContentFilter | undefined;
  /** The final response head, with its facts on the exchange, before it goes on. */
  checkResponse(exchange: Exchange): Checked;
  /** Trailer fields (flat name, value list) before they go on: the values to send instead, undefined = as they are. */
  checkTrailers(
    exchange: Exchange,
    direction: 'request' | 'response',
    fields: readonly string[],
  ): ReadonlyMap<number, string> | undefined;
  /** Aborts when the agent is stopped (`weir mode A stop`) or the policy no longer allows this exchange. */
  onRevoked(exchange: Exchange, revoke: () => void): void;
  /** Weir is about to end: what rests between two exchanges closes now, what is under way after its last exchange. */
  onDrain(connection: Connection, drain: () => void): void;
  /** Settles when the baseline is loaded (or 2 s have passed); the listener waits for it once. */
  readonly ready: Promise<void>;
}

/** What to ask of upstream TLS. */
export interface UpstreamTls {
  readonly servername: string;
  readonly alpn: readonly string[];
}

export interface IdentityEvidence {
  readonly client: { readonly address: string };
  readonly listenerAgent?: string;
  readonly proxyAuthorization?: string;
  readonly claimedBy?: string;
}
export type Identify = (evidence: IdentityEvidence) => AgentIdentity;

/** Limits the relays keep. Milliseconds and bytes; 0 = none. */
export interface RelayLimits {
  readonly headBytes: number;
  readonly headers: number;
  readonly headMs: number;
  readonly keepaliveMs: number;
  readonly tunnelIdleMs: number;
  readonly streamsPerConnection: number;
  /** Sum of bytes HTTP/2 relays may hold for slow readers in this thread; HTTP/1 and tunnels hold one read per direction. */
  readonly heldBytes: number;
}

/** Everything a protocol room gets to relay one agent-side stream. */
export interface RelayContext {
  readonly corridor: Corridor;
  readonly connection: Connection;
  readonly limits: RelayLimits;
  /** Scheme of the exchanges on this stream when the request target does not say (inside CONNECT). */
  readonly scheme: 'http' | 'https';
  /**
   * The already-dialled (and, when intercepted, already TLS-secured) upstream of this connection. Absent for absolute-form
   * proxying and for a refused CONNECT that is answered inside: then the relay calls `corridor.reach` when it is allowed to forward.
   */
  readonly link?: Link;
  /** Bytes already read from the agent, to be taken first. */
  readonly firstBytes?: Buffer;
}
/** protocol/http1.ts, protocol/http2.ts. Owns both sockets from the call on; calls `corridor.connectionClosed` at the end. */
export type Relay = (agent: Duplex, context: RelayContext) => void;
/** protocol/splice.ts: bytes both ways with half-close and counting; closes `tunnel` through the corridor. */
export type Splice = (
  agent: Duplex,
  link: Link,
  tunnel: Exchange,
  context: { readonly corridor: Corridor; readonly limits: RelayLimits; readonly firstBytes?: Buffer },
) => void;

/** What the corridor needs of `upstream/`. */
export interface Resolved {
  readonly addresses: readonly string[];
  readonly port?: number;
  /** A parent proxy will resolve the name. */
  readonly delegated: boolean;
  /** The address comes from `upstream.resolve`: the operator's word, exempt from the address guard. */
  readonly byOperator: boolean;
  readonly dnsMs: number;
}
export interface Upstream {
  /** Rejects with WeirError('dns-failed'). */
  resolve(destination: Destination): Promise<Resolved>;
  /** Dials one of the permit's addresses (happy eyeballs over them), through the parent proxy if there is one. Rejects with WeirError. */
  dial(permit: Permit): Promise<Link>;
  secure(link: Link, destination: Destination, tls: UpstreamTls): Promise<Secured>;
}

/** One inspector: pure, in memory, sync. */
export interface Inspector {
  readonly id: string;
  /**
   * `request`: before anything is resolved; `policy`: right after it, with what the others found and what the baseline knows;
   * `address`: with the resolved addresses; `tls`: facts first visible after the 200.
   */
  readonly phase: 'request' | 'policy' | 'address' | 'tls' | 'response';
  inspect(
    exchange: Exchange,
    facts: { readonly resolved?: Resolved; readonly tls?: TlsFacts; readonly protocol?: string },
  ): readonly Finding[];
}

/** A reader of the journal with its own cursor (product.md §5 "Loss"). */
export interface Consumer {
  readonly name: string;
  /**
   * Records in journal order up to the sequence number `last`; `numbers` = those of the records, where some between them are gone.
   * Resolves when they are durable or acknowledged; rejects to be retried later with back-off,
   * and not before the `retryAfterMs` the error may have.
   */
  consume(batch: readonly WeirRecord[], last: number, numbers?: readonly number[]): Promise<ConsumeResult>;
  /** Where to resume: sequence number of the last record it holds. Undefined = the journal keeps its cursor. */
  cursor?(): Promise<number | undefined>;
  /** Waiting work is finished or left to the journal within `deadlineMs`. */
  close(deadlineMs: number): Promise<void>;
}
export interface ConsumeResult {
  readonly accepted: number;
  readonly sampledOut: number;
  /** Given up for good, by reason (e.g. `rejected-400`). */
  readonly dropped: Readonly<Record<string, number>>;
}
