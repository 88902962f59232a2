import type { Duplex } from 'node:stream';
import type { HeadFault } from '../codec/http1-fields.ts';
import type { RequestHead, ResponseHead } from '../codec/http1-head.ts';
import type { Answer } from '../model/answer.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts, Corridor, RelayContext } from '../model/ports.ts';
import { AgentEvents, type AgentOwner } from './http1-agent.ts';
import { renderAnswer } from './http1-answer.ts';
import { forwardRequest, type PendingRequest } from './http1-forward.ts';
import { IdleClock } from './http1-idle.ts';
import { Intake, type IntakeOwner } from './http1-intake.ts';
import { Links, type LinksOwner } from './http1-links.ts';
import * as losses from './http1-losses.ts';
import { holdRequest, type RequestHold, type RequestHoldOwner, withEdits } from './http1-request-filter.ts';
import { routeRequest } from './http1-route.ts';
import { closeGently, closeSoon, reset } from './http1-streams.ts';
import { joinAfterSwitch } from './http1-switch.ts';
import type { Upstream } from './http1-upstream.ts';
import { type Join, tunnelClose } from './splice.ts';

/** One agent stream and the exchanges on it, one after the other. */
export class Http1Session implements AgentOwner, IntakeOwner, LinksOwner, RequestHoldOwner {
  readonly agent: Duplex;
  readonly fixed: Upstream | undefined;
  exchange: Exchange | undefined;
  up: Upstream | undefined;
  agentEnded = false;
  closed = false;
  readonly #context: RelayContext;
  readonly #corridor: Corridor;
  readonly #events: AgentEvents;
  readonly #intake: Intake;
  readonly #links: Links;
  readonly #tunnelled: boolean;
  readonly #idle: IdleClock;
  #head: RequestHead | undefined;
  #join: Join | undefined;
  /** The current request's body passes a filter. */
  #hold: RequestHold | undefined;
  #responseDone = false;
  #poisoned = false;

  constructor(agent: Duplex, context: RelayContext) {
    const { corridor, link, limits } = context;
    this.agent = agent;
    this.#context = context;
    this.#corridor = corridor;
    this.#events = new AgentEvents(agent, this);
    this.#intake = new Intake(agent, limits, this);
    this.#tunnelled = link !== undefined || context.connection.via === 'connect';
    this.#links = new Links(agent, context, this);
    this.fixed = this.#links.fixed;
    this.#idle = new IdleClock(
      limits.keepaliveMs,
      () => this.exchange !== undefined || this.#intake.headBegun,
      (reason) => this.shutdown(reason, closeGently),
    );
  }

  start(): void {
    this.#corridor.onDrain(this.#context.connection, () => this.#idle.drain());
    this.#events.attach();
    this.fixed?.attach();
    const first = this.#context.firstBytes;
    if (first !== undefined && first.length > 0 && !this.closed) this.#intake.take(first);
    if (this.closed) return;
    this.#events.read();
    this.#intake.listen();
  }

  // The agent's side.

  agentData(chunk: Buffer): void {
    this.#intake.take(chunk);
  }
  agentFinished(): void {
    if (this.agentEnded || this.closed) return;
    this.agentEnded = true;
    const broken = this.exchange !== undefined && !this.#intake.done;
    if (broken) this.#hold?.abandon();
    if (broken && (this.#responseDone || this.#hold?.whole === true)) losses.halfRequest(this);
    else this.#intake.end();
    if (this.exchange !== undefined) this.#passAgentEnd();
  }
  inputEnded(insideHead: boolean): void {
    if (insideHead) this.#reject('bad-request', 'the connection ended inside a request head');
    else this.shutdown('agent-closed', closeGently);
  }
  agentDrained(): void {
    this.up?.agentDrained();
    this.#intake.agentDrained();
  }
  agentGone(wasReset: boolean): void {
    if (this.closed) return;
    const reason = wasReset ? 'agent-reset' : 'agent-closed';
    if (this.exchange !== undefined) {
      this.#settle({ outcome: 'client-gone', error: 'client-gone', closeReason: reason });
      this.#abandon(wasReset);
    }
    this.shutdown(reason, closeSoon);
  }

  request(head: RequestHead, bytes: Buffer): void {
    const { connection, scheme } = this.#context;
    const route = routeRequest(head, connection, scheme, this.#tunnelled);
    if (!route.ok) {
      this.refused(route);
      return;
    }
    const exchange = this.#corridor.open(connection, route.facts, 'exchange');
    this.exchange = exchange;
    this.#head = head;
    this.#responseDone = false;
    const checked = this.#corridor.check(exchange);
    if (!checked.forward) {
      this.answer(checked.answer, { outcome: 'blocked' });
      return;
    }
    this.#corridor.onRevoked(exchange, this.#revoke);
    const pending = withEdits({ exchange, route, head, bytes }, checked.edits);
    const hold = holdRequest(this, this.#intake, pending, this.#context);
    this.#hold = hold;
    this.up = undefined;
    if (hold === undefined) this.forward(pending);
    else hold.begin();
  }

  body(bytes: Buffer): void {
    if (this.#hold !== undefined) this.#hold.raw(bytes);
    else {
      if (!(this.up as Upstream).socket.write(bytes)) this.#intake.stall();
      (this.exchange as Exchange).requestBytes += bytes.length;
    }
  }

  requestDone(): void {
    if (this.#responseDone && this.#requestOver) this.#finish();
  }
  refused(reason: HeadFault): void {
    this.#reject(reason.code, reason.detail);
  }
  headTimeout(): void {
    this.#reject('head-timeout');
  }

  bodyBroken(detail: string): void {
    losses.bodyBroken(this, this.up, detail);
  }

  // The way to the upstream.

  forward(pending: PendingRequest): void {
    this.#links.forward(pending);
  }

  bodyGiven(): void {
    if (this.agentEnded) this.#passAgentEnd();
    this.requestDone();
  }

  send(up: Upstream, pending: PendingRequest): void {
    this.up = up;
    if (!forwardRequest(up, pending)) this.#intake.stall();
    if (this.#hold === undefined) this.#intake.flow(this.#corridor, pending.exchange);
    else this.#hold.attach(up);
    if (this.agentEnded) this.#passAgentEnd();
  }

  get #requestOver(): boolean {
    return this.#intake.done && this.#hold?.over !== false;
  }

  /** The agent's FIN goes on when nothing of its can follow. */
  #passAgentEnd(): void {
    const socket = this.up?.socket;
    if (socket === undefined || this.#hold?.over === false) return;
    if (!this.#intake.hasBacklog && !socket.writableEnded) socket.end();
  }

  // The upstream's side.

  responseDone(_up: Upstream, extra: boolean): void {
    this.#responseDone = true;
    this.#poisoned = extra;
    if (this.#requestOver) this.#finish();
    else if (this.agentEnded && !this.#intake.done) losses.halfRequest(this);
  }

  upstreamDrained(up: Upstream): void {
    if (up === this.up) this.#intake.unstall();
  }

  switched(up: Upstream, head: ResponseHead, rest: Buffer): void {
    const { connection, limits } = this.#context;
    const exchange = this.exchange as Exchange;
    this.#idle.stop();
    this.#links.remove(up);
    this.#links.closeAll();
    this.closed = true;
    const kept = this.#intake.release();
    const change = { agent: this.agent, up, exchange, head, rest, kept, idleMs: limits.tunnelIdleMs };
    this.#join = joinAfterSwitch(change, (end) => {
      this.#settle(tunnelClose(end));
      this.#corridor.connectionClosed(connection, end);
    });
    this.#events.detach();
    up.detach();
    this.#join.start();
  }

  // Endings.

  #finish(): void {
    const head = this.#head as RequestHead;
    const up = this.up as Upstream;
    this.#settle({ outcome: 'forwarded' });
    if (this.#poisoned) {
      up.socket.destroy();
      this.shutdown('upstream-unsolicited', closeGently);
    } else if (!head.persistent || !up.persistent || this.agent.writableEnded || (up.ended && up === this.fixed)) {
      this.shutdown(up.ended ? 'upstream-closed' : 'connection-close', closeGently);
    } else {
      if (up.ended) this.#links.remove(up);
      this.#intake.unstall();
      this.#nextRequest();
    }
  }

  #nextRequest(): void {
    if (this.#idle.restart()) this.#intake.next();
  }

  answer(answer: Answer, facts: CloseFacts, mustClose = false): void {
    const head = this.#head as RequestHead;
    // Without its body read, the next request could not be found.
    const close = mustClose || !this.#intake.done || !head.persistent || head.version === '1.0';
    this.agent.write(renderAnswer(answer, { headOnly: head.method === 'HEAD', close }));
    this.#settle(facts);
    if (close) this.shutdown('answered', closeGently);
    else {
      this.#intake.unstall();
      this.#nextRequest();
    }
  }

  forget(up: Upstream): void {
    this.#links.remove(up);
  }
  failure(code: ErrorCode, detail?: string): Answer {
    return this.#corridor.failure(this.exchange as Exchange, code, detail);
  }

  #reject(code: ErrorCode, detail?: string): void {
    const answer = this.#corridor.reject(this.#context.connection, code, detail);
    this.agent.write(renderAnswer(answer, { headOnly: false, close: true }));
    this.shutdown('refused', closeGently);
  }

  fail(facts: CloseFacts, reason: string, ending: losses.Ending): void {
    this.#settle(facts);
    this.#abandon(false);
    this.shutdown(reason, ending);
  }

  #settle(facts: CloseFacts): void {
    const exchange = this.exchange;
    if (exchange === undefined) return;
    this.exchange = undefined;
    this.#hold?.abandon();
    this.#hold = undefined;
    this.up?.release();
    this.#corridor.close(exchange, facts);
  }

  /** Nobody waits for the upstream of the current exchange any more. */
  #abandon(withReset: boolean): void {
    const up = this.up;
    if (up === undefined) return;
    if (withReset) reset(up.socket);
    else up.socket.destroy();
    this.#links.remove(up);
  }

  shutdown(reason: string, ending: losses.Ending): void {
    if (this.closed) return;
    this.closed = true;
    this.#idle.stop();
    this.#intake.discard();
    this.#links.closeAll();
    if (this.fixed !== undefined) closeSoon(this.fixed.socket);
    ending(this.agent);
    this.#corridor.connectionClosed(this.#context.connection, reason);
  }

  readonly #revoke = (): void => {
    if (this.#join !== undefined) this.#join.revoke();
    else losses.revoked(this);
  };
}
