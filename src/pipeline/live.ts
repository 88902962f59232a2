import type { Connection } from '../model/connection.ts';
import type { Destination } from '../model/destination.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { BaselineState } from '../model/record.ts';
import type { Stages } from './stages.ts';
import type { Looking } from './tapped.ts';
import type { TraceContext } from './trace.ts';

/** A connection with what the corridor remembers between its exchanges. */
export interface LiveConnection extends Connection {
  /** Last authority string and what it normalised to: keep-alive requests to one host normalise once. */
  lastAuthority?: string;
  lastScheme?: string;
  lastDestination?: Destination;
  /** Last Proxy-Authorization and claim, and the identity they gave. */
  lastCredentials?: string | undefined;
  /** Destination of the connection row: the CONNECT authority or the first exchange's. */
  destination?: Destination;
  /** Counted against `limits.connections_per_agent` under this name. */
  countedFor?: string;
  closed?: boolean;
  drain?: () => void;
  /** First contact reported by the CONNECT: carried to what flows inside, which alone knows what left. */
  firstContact?: { readonly finding: Finding | undefined; shown: boolean };
  /** What the CONNECT that others flow inside of was judged by: so are they. */
  judged?: { readonly findings: readonly Finding[]; readonly refused: boolean };
  /** Findings that appeared after the CONNECT record had left. */
  lateFindings?: Finding[];
}

export interface LateFindings {
  readonly findings: readonly Finding[];
  /** They were taken out before their bytes were written on. */
  readonly takenOut?: true;
}

/** An exchange with what only the corridor reads and writes. */
export interface LiveExchange extends Exchange {
  readonly connection: LiveConnection;
  /** The set this exchange is judged by, from open to close. */
  readonly stages: Stages;
  readonly trace: TraceContext;
  invalid?: string;
  baselineState: BaselineState;
  tenant?: string;
  credentialFp?: string;
  userAgent?: string;
  answeredStatus?: number;
  /** Why Weir answered by itself: decides outcome and `error.type` whatever the transport says. */
  answeredFor?: ErrorCode | 'verification';
  /** Milliseconds spent resolving, dialling and in upstream handshakes. */
  reachMs: number;
  /** An open row has been posted. */
  wasOpen: boolean;
  closed: boolean;
  priorRules?: readonly string[];
  revoke?: () => void;
  /** Places rewritten in heads and bodies. */
  redactions?: number;
  /** Its bodies, when they are looked at. */
  taps?: readonly Looking[];
  revoked?: boolean;
  /** Found too late to refuse anything. */
  late?: readonly LateFindings[];
  /** Neighbours in the list of open exchanges, by age; only `LiveList` writes them. */
  older: LiveExchange | undefined;
  younger: LiveExchange | undefined;
}
