import type { Answer } from '../model/answer.ts';
import type { Destination } from '../model/destination.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding, Ruling, Verdict } from '../model/finding.ts';
import type { LlmFacts } from '../model/llm.ts';
import type { McpFacts } from '../model/mcp.ts';
import type { ContentFilter, Identify, Inspector, Permit, Resolved, Upstream } from '../model/ports.ts';
import type { BaselineState } from '../model/record.ts';

/** What the corridor asks of the learned baseline (inspect/baseline.ts). */
export interface BaselineReader {
  /** Is this destination new to the agent? Raises the findings novelty and risky categories deserve. */
  observe(exchange: Exchange): {
    readonly firstSeen: boolean;
    readonly state: BaselineState;
    readonly findings: readonly Finding[];
  };
  /** Called once when an exchange ends that may teach (product.md §6). The key it taught under; undefined when it taught nothing. */
  teach(exchange: Exchange): string | undefined;
  /** Re-grades a first contact by what left: info for a small read, medium for an upload or a risky category. */
  grade(exchange: Exchange, finding: Finding): Finding;
  /** Bytes out far beyond the agent's own history for this destination; asked at close. */
  volume(exchange: Exchange): Finding | undefined;
  /** First exchange of an agent this store has never seen. */
  agentFirstSeen(agent: string): Finding | undefined;
}

/** What the corridor asks of the learned credentials and tenants (inspect/account.ts). */
export interface AccountReader {
  observe(exchange: Exchange, account: Account, state: BaselineState): readonly Finding[];
  /** Called once when an exchange ends that teaches. */
  teach(exchange: Exchange, account: Account, state: BaselineState): void;
}

/** One body as it is looked at. */
export interface BodyTap {
  push(payload: Uint8Array): void;
  /** No more comes; a promise while it is still being decoded. Asked once. */
  finish(): readonly Finding[] | Promise<readonly Finding[]>;
}

/** Where a stage puts what may pass of one body, and what it found there. */
export interface StageSink {
  data(payload: Buffer): void;
  /** All has been given. */
  end(findings: readonly Finding[], redactions: number): void;
  /** Nothing more may pass; the findings are of those that block. */
  stop(findings: readonly Finding[], last?: { readonly forward?: Buffer; readonly back?: Buffer }): void;
  drained(): void;
}

/** What the corridor asks of whoever looks at bodies. */
export interface ContentStage {
  /** Undefined = this body need not be looked at. */
  tap(exchange: Exchange, direction: 'request' | 'response'): BodyTap | undefined;
  /** Undefined = nothing of this body is held back (always so in monitor): `tap` is asked instead. */
  filter?(
    exchange: Exchange,
    direction: 'request' | 'response',
    length: number | undefined,
    sink: StageSink,
  ): ContentFilter | undefined;
  /** Trailer values (flat name, value list) with what was found in them, and, where that is what is done, what is to be sent instead. */
  trailers?(
    exchange: Exchange,
    direction: 'request' | 'response',
    fields: readonly string[],
  ): { readonly findings: readonly Finding[]; readonly values?: ReadonlyMap<number, string> } | undefined;
  /** The ruling with what was found too late to refuse anything; `takenOut`: it was, before its bytes were written on. */
  judgeLate(ruling: Ruling, findings: readonly Finding[], takenOut?: true): Ruling;
}

/** What the corridor asks of whoever reads application protocols out of bodies (LLM APIs, MCP). It judges nothing while bytes pass. */
export interface ReadingStage {
  /** A copy of one body is wanted; undefined = it is of no protocol that is read. */
  copy(
    exchange: Exchange,
    direction: 'request' | 'response',
  ):
    | {
        push(payload: Uint8Array): void;
        /** No more comes; `complete`: the framing said so. A promise while it is still being decoded. */
        finish(complete: boolean): Promise<void> | undefined;
      }
    | undefined;
  /** Its request must not go on before {@link judge} was asked of it. */
  holds?(exchange: Exchange): boolean;
  /** What is thought of a body that has been read to its end; asked once per direction. */
  judge?(exchange: Exchange, direction: 'request' | 'response'): readonly Finding[];
  /** All that was read of an exchange, once its bodies have ended; asked once. */
  told(exchange: Exchange): Told | undefined;
  /** A reader failed. */
  failed(error: unknown): void;
}

export interface Told {
  readonly llm?: LlmFacts;
  readonly mcp?: McpFacts;
  /** What the facts themselves show to be unusual; judged as late as they are known. */
  readonly findings?: readonly Finding[];
}

interface Account {
  readonly tenant?: string;
  readonly credentialFp?: string;
}

/**
 * One whole configuration, compiled: the corridor reads the current set once per exchange, a reload swaps the whole set.
 */
export interface Stages {
  readonly identify: Identify;
  /** In order; each phase is run whole, every inspector in every mode. */
  readonly inspectors: readonly Inspector[];
  readonly baseline: BaselineReader;
  readonly accounts: AccountReader;
  readonly upstream: Upstream;
  judge(findings: readonly Finding[]): Verdict;
  apply(verdict: Verdict, findings: readonly Finding[], exchange: Exchange): Ruling;
  mintPermit(ruling: Ruling, destination: Destination, resolved: Resolved): Permit | undefined;
  refuse(exchange: Exchange): Answer;
  fail(code: ErrorCode, exchange: Exchange | undefined, detail?: string): Answer;
  /** Answers `verify.weir.invalid` in every mode; undefined for any other destination. */
  verification(exchange: Exchange): Answer | undefined;
  /** Tenant and credential fingerprint of a request that is not opaque. */
  account(exchange: Exchange): Account;
  /** Absent = nobody looks at bodies. */
  readonly content?: ContentStage;
  /** Absent = no application protocol is read. */
  readonly reading?: ReadingStage;
  /** New values of response fields that must not go on as they are, whatever was found. Absent = none ever. */
  withdraw?(exchange: Exchange): ReadonlyMap<number, string> | undefined;
  /** The agent was stopped with `weir mode A stop`. */
  stopped(agent: string): boolean;
  /** `store.required` and nothing can be recorded now: nothing may go out either. Absent = never asked. */
  unrecorded?: () => boolean;
  normalise(
    authority: string,
    scheme: 'http' | 'https' | 'tcp',
  ): { readonly host: string; readonly port: number } | { readonly error: string };
}
