import type { Duplex } from 'node:stream';
import type { HeadFault } from '../codec/http1-fields.ts';
import type { RequestHead, ResponseHead } from '../codec/http1-head.ts';
import type { Answer } from '../model/answer.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts, Corridor, Reach, RelayContext } from '../model/ports.ts';
import { AgentEvents, type AgentOwner } from './http1-agent.ts';
import { renderAnswer } from './http1-answer.ts';
import { forwardRequest, type PendingRequest } from './http1-forward.ts';
import { IdleClock } from './http1-idle.ts';
import { Intake, type IntakeOwner } from './http1-intake.ts';
import { Links } from './http1-links.ts';
import * as losses from './http1-losses.ts';
import { routeRequest } from './http1-route.ts';
import { closeGently, closeSoon, reset } from './http1-streams.ts';
import { joinAfterSwitch } from './http1-switch.ts';
import { Upstream, type UpstreamOwner } from './http1-upstream.ts';
import { type Join, tunnelClose } from './splice.ts';

const UPSTREAM_ALPN = ['http/1.1'];

/** One agent stream and the exchanges on it, one after the other. */
export class Http1Session implements AgentOwner, IntakeOwner, UpstreamOwner {
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
  readonly #links = new Links();
  readonly #tunnelled: boolean;
  readonly #idle: IdleClock;
  #head: RequestHead | undefined;
  #join: Join | undefined;
  #responseDone = false;
  #poisoned = false;

  constructor(agent: Duplex, context: RelayContext) {
    const { link, limits } = context;
    this.agent = agent;
    this.#context = context;
    this.#corridor = context.corridor;
    this.#events = new AgentEvents(agent, this);
    this.#intake = new Intake(agent, limits, this);
    this.#tunnelled = link !== undefined || context.connection.via === 'connect';
    this.fixed = link === undefined ? undefined : new Upstream(link, agent, context, this);
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
    if (this.exchange !== undefined && this.#responseDone && !this.#intake.done) losses.halfRequest(this);
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
    const up = this.fixed ?? this.#links.find(exchange.destination);
    const pending = { exchange, route, head, bytes };
    if (up === undefined || (up.ended && up !== this.fixed)) this.#dial(pending);
    else this.#send(up, pending);
  }

  body(bytes: Buffer): void {
    if (!(this.up as Upstream).socket.write(bytes)) this.#intake.stall();
    (this.exchange as Exchange).requestBytes += bytes.length;
  }

  requestDone(): void {
    if (this.#responseDone) this.#finish();
  }
  refused(reason: HeadFault): void {
    this.#reject(reason.code, reason.detail);
  }
  headTimeout(): void {
    this.#reject('head-timeout');
  }

  bodyBroken(detail: string): void {
    losses.bodyBroken(this, this.up as Upstream, detail);
  }

  // The way to the upstream.

  #dial(pending: PendingRequest): void {
    this.up = undefined;
    const exchange = pending.exchange;
    const tls = { servername: exchange.destination.host, alpn: UPSTREAM_ALPN };
    this.#corridor.reach(exchange, exchange.request.scheme === 'https' ? tls : undefined).then(
      (reach) => this.#reached(pending, reach),
      () => this.#reached(pending, { answer: this.#corridor.failure(exchange, 'internal') }),
    );
  }

  #reached(pending: PendingRequest, reach: Reach): void {
    if (this.exchange !== pending.exchange) {
      if ('link' in reach) reach.link.socket.on('error', () => {}).destroy();
      return;
    }
    if ('answer' in reach) {
      this.answer(reach.answer, { outcome: 'failed' });
      return;
    }
    const up = new Upstream(reach.link, this.agent, this.#context, this);
    this.#links.add(pending.exchange.destination, up);
    up.attach();
    this.#send(up, pending);
  }

  #send(up: Upstream, pending: PendingRequest): void {
    this.up = up;
    if (!forwardRequest(up, pending)) this.#intake.stall();
    this.#intake.flow(this.#corridor, pending.exchange);
    if (this.agentEnded) this.#passAgentEnd();
  }

  /** The agent's FIN goes on when nothing of its can follow. */
  #passAgentEnd(): void {
    const socket = this.up?.socket;
    if (socket !== undefined && !this.#intake.hasBacklog && !socket.writableEnded) socket.end();
  }

  // The upstream's side.

  responseDone(_up: Upstream, extra: boolean): void {
    this.#responseDone = true;
    this.#poisoned = extra;
    if (this.#intake.done) this.#finish();
    else if (this.agentEnded) losses.halfRequest(this);
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
    else this.#nextRequest();
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
    else if (this.exchange !== undefined) {
      const facts: CloseFacts = { outcome: 'blocked', error: 'stopped', closeReason: 'revoked' };
      this.fail(facts, 'revoked', (agent) => agent.destroy());
    }
  };
}
