import type { Duplex } from 'node:stream';
import type { Answer } from '../model/answer.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts } from '../model/ports.ts';
import { closeGently, closeSoon, reset } from './http1-streams.ts';
import type { Upstream } from './http1-upstream.ts';

/** How the agent's transport is ended. */
export type Ending = (stream: Duplex) => void;

/** What a loss needs of the session it happens in. */
export interface LossOwner {
  readonly agent: Duplex;
  /** The transport this connection came with; it lives and dies with the agent's. */
  readonly fixed: Upstream | undefined;
  readonly exchange: Exchange | undefined;
  /** Carries the current exchange, or carried the last one. */
  readonly up: Upstream | undefined;
  readonly agentEnded: boolean;
  readonly closed: boolean;
  forget(up: Upstream): void;
  failure(code: ErrorCode, detail?: string): Answer;
  /** Ends the exchange with an answer of ours. */
  answer(answer: Answer, facts: CloseFacts, mustClose?: boolean): void;
  /** Ends the exchange and the connection. */
  fail(facts: CloseFacts, reason: string, ending: Ending): void;
  shutdown(reason: string, ending: Ending): void;
}

/** What had begun was ended because of what came after. */
const CUT: CloseFacts = { outcome: 'blocked', error: 'policy-denied', closeReason: 'cut' };

/** An upstream that gives up after the agent's FIN is the agent's doing. */
function blame(owner: LossOwner, facts: CloseFacts): CloseFacts {
  return owner.agentEnded ? { outcome: 'client-gone', error: 'client-gone', closeReason: 'agent-closed' } : facts;
}

/** The agent ended inside its body and already has its response: nothing more can come of this. */
export function halfRequest(owner: LossOwner): void {
  owner.fail(blame(owner, { outcome: 'client-gone' }), 'agent-closed', closeSoon);
}

/** The response is no HTTP, or breaks its framing. */
export function malformed(owner: LossOwner, up: Upstream, detail: string): void {
  if (owner.closed) return;
  up.socket.destroy();
  owner.forget(up);
  const facts: CloseFacts = { outcome: 'failed', error: 'upstream-malformed', detail };
  if (up.answered) owner.fail(facts, 'upstream-malformed', closeSoon);
  else owner.answer(owner.failure('upstream-malformed', detail), facts, true);
}

/** What the upstream switches to may not be opened here. */
export function switchRefused(owner: LossOwner, up: Upstream, answer: Answer): void {
  up.socket.destroy();
  owner.forget(up);
  owner.answer(answer, { outcome: 'blocked' }, true);
}

/** The response may not go on, and nothing of it has: ours goes instead. */
export function responseRefused(owner: LossOwner, up: Upstream, answer: Answer): void {
  if (owner.closed) return;
  up.socket.destroy();
  owner.forget(up);
  owner.answer(answer, { outcome: 'blocked' }, up === owner.fixed);
}

/** The rest of a response that has begun may not go on; what was to be said of it has been. */
export function responseCut(owner: LossOwner): void {
  if (!owner.closed) owner.fail(CUT, 'cut', closeGently);
}

/** The request may not go on. `up`: it has the head, and perhaps a part of the body, which must not look whole to it. */
export function requestStopped(owner: LossOwner, up: Upstream | undefined, answer: Answer): void {
  if (up === undefined) {
    owner.answer(answer, { outcome: 'blocked' });
    return;
  }
  const unanswered = up.awaitingHead;
  reset(up.socket);
  owner.forget(up);
  if (unanswered) owner.answer(answer, { outcome: 'blocked' }, true);
  else owner.fail(CUT, 'cut', closeGently);
}

/** The agent is stopped, or the exchange is no longer allowed. */
export function revoked(owner: LossOwner): void {
  if (owner.exchange === undefined) return;
  const facts: CloseFacts = { outcome: 'blocked', error: 'stopped', closeReason: 'revoked' };
  owner.fail(facts, 'revoked', (agent) => agent.destroy());
}

/** The agent's body breaks its framing: the upstream must not take what it has for a whole request. */
export function bodyBroken(owner: LossOwner, up: Upstream | undefined, detail: string): void {
  if (up !== undefined) reset(up.socket);
  const facts: CloseFacts = { outcome: 'failed', error: 'bad-request', detail };
  if (up?.answered === true) owner.fail(facts, 'refused', closeGently);
  else owner.answer(owner.failure('bad-request', detail), facts, true);
}

/** Bytes nobody asked for: whatever they are, no later request may take them for its response. */
export function unsolicited(owner: LossOwner, up: Upstream): void {
  if (owner.closed) return;
  up.socket.destroy();
  owner.forget(up);
  if (owner.exchange !== undefined && (up === owner.up || up === owner.fixed)) {
    owner.fail({ outcome: 'failed', error: 'upstream-malformed' }, 'upstream-unsolicited', closeSoon);
  } else if (up === owner.fixed) owner.shutdown('upstream-unsolicited', closeGently);
}

/** FIN of the upstream, unless it ended a response. */
export function upstreamEnded(owner: LossOwner, up: Upstream): void {
  if (owner.closed) return;
  if (owner.exchange === undefined || up !== owner.up) idleLost(owner, up, false);
  else if (up.awaitingHead) lostBeforeHead(owner, up, false);
  else if (!up.idle) truncated(owner, up, false);
  // An early answer, then FIN: the agent hears of it and may still finish its body.
  else if (!owner.agent.writableEnded) owner.agent.end();
}

/** The upstream's transport is gone. */
export function upstreamClosed(owner: LossOwner, up: Upstream, wasReset: boolean): void {
  if (owner.closed) return;
  if (owner.exchange === undefined || up !== owner.up) idleLost(owner, up, wasReset);
  else if (up.awaitingHead) lostBeforeHead(owner, up, wasReset);
  else if (!up.idle) truncated(owner, up, wasReset);
  else {
    // The response is whole; nobody is left to take the rest of the request.
    const closeReason = wasReset ? 'upstream-reset' : 'upstream-closed';
    owner.fail({ outcome: 'forwarded', closeReason }, closeReason, closeGently);
  }
}

/** As {@link upstreamEnded} or {@link upstreamClosed}, which happened while the end of the response was held back. */
export function upstreamLeft(owner: LossOwner, up: Upstream, wasReset: boolean): void {
  if (up.socket.destroyed) upstreamClosed(owner, up, wasReset);
  else upstreamEnded(owner, up);
}

function idleLost(owner: LossOwner, up: Upstream, wasReset: boolean): void {
  owner.forget(up);
  const error: ErrorCode = wasReset ? 'upstream-reset' : 'upstream-closed';
  if (up !== owner.fixed) closeSoon(up.socket);
  // The request it was to get is still held.
  else if (owner.exchange !== undefined)
    owner.fail({ outcome: 'failed', error }, error, wasReset ? reset : closeGently);
  else owner.shutdown(wasReset ? 'upstream-reset' : 'upstream-closed', wasReset ? reset : closeGently);
}

/**
 * Inside a tunnel and on a used transport the agent sees the close a direct connection would show, and repeats the
 * request or not; on a fresh one the proxy says what happened.
 */
function lostBeforeHead(owner: LossOwner, up: Upstream, wasReset: boolean): void {
  const error: ErrorCode = wasReset ? 'upstream-reset' : 'upstream-closed';
  const facts = blame(owner, { outcome: 'failed', error });
  owner.forget(up);
  if (up === owner.fixed || up.uses > 1 || up.answered || owner.agentEnded) {
    owner.fail(facts, error, wasReset ? reset : closeSoon);
  } else {
    closeSoon(up.socket);
    owner.answer(owner.failure(error), facts);
  }
}

function truncated(owner: LossOwner, up: Upstream, wasReset: boolean): void {
  const error: ErrorCode = wasReset ? 'upstream-reset' : 'body-truncated';
  const facts: CloseFacts = { outcome: 'failed', error };
  if (up.hold?.begun === false && !owner.agentEnded) {
    up.socket.destroy();
    owner.forget(up);
    owner.answer(owner.failure(error), facts, true);
    return;
  }
  const { exchange } = owner;
  const fail = (): void => {
    if (owner.closed || owner.exchange !== exchange) return;
    owner.fail(blame(owner, facts), wasReset ? 'upstream-reset' : 'upstream-closed', wasReset ? reset : closeSoon);
  };
  if (up.hold === undefined) fail();
  else up.hold.breakOff(fail);
}
