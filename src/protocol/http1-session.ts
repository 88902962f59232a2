import type { Duplex } from 'node:stream';
import type { HeadFault } from '../codec/http1-fields.ts';
import type { RequestHead, ResponseHead } from '../codec/http1-head.ts';
import { headForParent, rewriteInPlace } from '../codec/http1-rewrite.ts';
import type { Answer } from '../model/answer.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts, Corridor, Reach, RelayContext } from '../model/ports.ts';
import { renderAnswer } from './http1-answer.ts';
import { Intake, type IntakeOwner } from './http1-intake.ts';
import { Links } from './http1-links.ts';
import { type Route, routeRequest } from './http1-route.ts';
import { closeGently, closeSoon, keepHalfOpen, reset } from './http1-streams.ts';
import { Upstream, type UpstreamOwner } from './http1-upstream.ts';
import { Join, tunnelClose } from './splice.ts';

const UPSTREAM_ALPN = ['http/1.1'];

/** How the agent's transport is ended. */
type Ending = (stream: Duplex) => void;

/** One agent stream and the exchanges on it, one after the other. */
export class Http1Session implements IntakeOwner, UpstreamOwner {
  readonly #agent: Duplex;
  readonly #context: RelayContext;
  readonly #corridor: Corridor;
  readonly #intake: Intake;
  readonly #links = new Links();
  /** The transport this connection came with; it lives and dies with the agent's. */
  readonly #fixed: Upstream | undefined;
  readonly #tunnelled: boolean;
  #exchange: Exchange | undefined;
  #head: RequestHead | undefined;
  /** Carries the current exchange, or carried the last one. */
  #up: Upstream | undefined;
  #join: Join | undefined;
  #responseDone = false;
  #poisoned = false;
  #agentEnded = false;
  #agentReset = false;
  #closed = false;
  #idleSince = performance.now();
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(agent: Duplex, context: RelayContext) {
    this.#agent = agent;
    this.#context = context;
    this.#corridor = context.corridor;
    this.#intake = new Intake(agent, context.limits, this);
    this.#tunnelled = context.link !== undefined || context.connection.via === 'connect';
    if (context.link !== undefined) this.#fixed = new Upstream(context.link, agent, context.limits, this);
  }

  start(): void {
    const agent = this.#agent;
    keepHalfOpen(agent);
    agent.on('error', this.#onAgentError);
    agent.on('close', this.#onAgentClose);
    this.#fixed?.attach();
    if (agent.destroyed) {
      this.#onAgentClose();
      return;
    }
    agent.on('end', this.#onAgentEnd);
    agent.on('drain', this.#onAgentDrain);
    if (this.#context.limits.keepaliveMs > 0) this.#armIdle(this.#context.limits.keepaliveMs);
    const first = this.#context.firstBytes;
    if (first !== undefined && first.length > 0) this.#intake.take(first);
    if (this.#closed) return;
    agent.on('data', this.#onAgentData);
    if (agent.readableEnded) this.#onAgentEnd();
    else this.#intake.listen();
  }

  // The agent's side.

  readonly #onAgentData = (chunk: Buffer): void => this.#intake.take(chunk);

  readonly #onAgentEnd = (): void => {
    if (this.#agentEnded) return;
    this.#agentEnded = true;
    if (this.#closed) return;
    if (this.#exchange !== undefined) {
      if (this.#responseDone && !this.#intake.done) this.#halfRequest();
      else this.#passAgentEnd();
    } else if (this.#intake.headBegun) this.#reject('bad-request', 'the connection ended inside a request head');
    else if (!this.#intake.hasBacklog) this.#shutdown('agent-closed', closeGently);
  };

  readonly #onAgentDrain = (): void => {
    this.#up?.agentDrained();
    this.#intake.agentDrained();
  };

  readonly #onAgentError = (): void => {
    this.#agentReset = true;
  };

  readonly #onAgentClose = (): void => {
    if (this.#closed) return;
    const reason = this.#agentReset ? 'agent-reset' : 'agent-closed';
    if (this.#exchange !== undefined) {
      this.#settle({ outcome: 'client-gone', error: 'client-gone', closeReason: reason });
      this.#abandon(this.#agentReset);
    }
    this.#shutdown(reason, closeSoon);
  };

  request(head: RequestHead, bytes: Buffer): void {
    const { connection, scheme } = this.#context;
    const route = routeRequest(head, connection, scheme, this.#tunnelled);
    if (!route.ok) {
      this.refused(route);
      return;
    }
    const exchange = this.#corridor.open(connection, route.facts, 'exchange');
    this.#exchange = exchange;
    this.#head = head;
    this.#responseDone = false;
    const checked = this.#corridor.check(exchange);
    if (!checked.forward) {
      this.#answer(checked.answer, { outcome: 'blocked' });
      return;
    }
    this.#corridor.onRevoked(exchange, this.#revoke);
    const up = this.#fixed ?? this.#links.find(exchange.destination);
    if (up === undefined || (up.ended && up !== this.#fixed)) this.#dial(exchange, route, head, bytes);
    else this.#send(exchange, up, route, head, bytes);
  }

  body(bytes: Buffer): void {
    const up = this.#up as Upstream;
    if (!up.socket.write(bytes)) this.#intake.stall();
    (this.#exchange as Exchange).requestBytes += bytes.length;
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
    const exchange = this.#exchange as Exchange;
    const up = this.#up as Upstream;
    reset(up.socket);
    const facts: CloseFacts = { outcome: 'failed', error: 'bad-request', detail };
    if (!up.answered) this.#answer(this.#corridor.failure(exchange, 'bad-request', detail), facts, true);
    else this.#fail(facts, 'refused', closeGently);
  }

  // The way to the upstream.

  #dial(exchange: Exchange, route: Route, head: RequestHead, bytes: Buffer): void {
    this.#up = undefined;
    const tls =
      route.facts.scheme === 'https' ? { servername: exchange.destination.host, alpn: UPSTREAM_ALPN } : undefined;
    this.#corridor.reach(exchange, tls).then(
      (reach) => this.#reached(exchange, route, head, bytes, reach),
      () => {
        if (this.#exchange !== exchange) return;
        this.#answer(this.#corridor.failure(exchange, 'internal'), { outcome: 'failed', error: 'internal' });
      },
    );
  }

  #reached(exchange: Exchange, route: Route, head: RequestHead, bytes: Buffer, reach: Reach): void {
    if (this.#exchange !== exchange) {
      if ('link' in reach) reach.link.socket.on('error', () => {}).destroy();
      return;
    }
    if ('answer' in reach) {
      this.#answer(reach.answer, { outcome: 'failed' });
      return;
    }
    const up = new Upstream(reach.link, this.#agent, this.#context.limits, this);
    this.#links.add(exchange.destination, up);
    up.attach();
    this.#send(exchange, up, route, head, bytes);
  }

  #send(exchange: Exchange, up: Upstream, route: Route, head: RequestHead, bytes: Buffer): void {
    this.#up = up;
    up.begin(exchange);
    const parent = up.link.absoluteForm;
    let out = bytes;
    if (parent === undefined) {
      const start = rewriteInPlace(bytes, head, route.plan);
      if (start > 0) out = bytes.subarray(start);
    } else {
      const rewritten = headForParent(bytes, head, route.parentPrefix, parent.proxyAuthorization);
      out = Buffer.concat([rewritten, bytes.subarray(head.end)]);
    }
    const roomy = up.socket.write(out);
    exchange.sentMono = performance.now();
    exchange.requestBytes += bytes.length - head.end;
    if (!roomy) this.#intake.stall();
    this.#intake.flow();
    if (this.#agentEnded) this.#passAgentEnd();
  }

  /** The agent's FIN goes on when nothing of its can follow. */
  #passAgentEnd(): void {
    const socket = this.#up?.socket;
    if (socket !== undefined && !this.#intake.hasBacklog && !socket.writableEnded) socket.end();
  }

  // The upstream's side.

  responseDone(_up: Upstream, extra: boolean): void {
    this.#responseDone = true;
    this.#poisoned = extra;
    if (this.#intake.done) this.#finish();
    else if (this.#agentEnded) this.#halfRequest();
  }

  upstreamDrained(up: Upstream): void {
    if (up === this.#up) this.#intake.unstall();
  }

  switched(up: Upstream, head: ResponseHead, rest: Buffer): void {
    const exchange = this.#exchange as Exchange;
    const connection = this.#context.connection;
    exchange.responseBytes += rest.length;
    const protocol = head.upgrade ?? exchange.request.upgrade ?? 'connect';
    if (protocol !== 'websocket') connection.tunnelProtocol = protocol;
    const kept = this.#intake.release();
    if (kept !== undefined) {
      up.socket.write(kept);
      exchange.requestBytes += kept.length;
    }
    clearTimeout(this.#idleTimer);
    this.#links.remove(up);
    this.#links.closeAll();
    this.#closed = true;
    this.#join = new Join(this.#agent, up.socket, exchange, this.#context.limits.tunnelIdleMs, (end) => {
      this.#settle(tunnelClose(end));
      this.#corridor.connectionClosed(connection, end);
    });
    this.#detachAgent();
    up.detach();
    this.#join.start();
  }

  malformed(up: Upstream, detail: string): void {
    if (this.#closed) return;
    up.socket.destroy();
    this.#links.remove(up);
    const facts: CloseFacts = { outcome: 'failed', error: 'upstream-malformed', detail };
    if (up.answered) this.#fail(facts, 'upstream-malformed', closeSoon);
    else this.#answer(this.#corridor.failure(this.#exchange as Exchange, 'upstream-malformed', detail), facts, true);
  }

  unsolicited(up: Upstream): void {
    if (this.#closed) return;
    up.socket.destroy();
    this.#links.remove(up);
    if (this.#exchange !== undefined && up === this.#up) {
      this.#fail({ outcome: 'failed', error: 'upstream-malformed' }, 'upstream-unsolicited', closeSoon);
    } else if (up === this.#fixed) this.#shutdown('upstream-unsolicited', closeGently);
  }

  upstreamEnded(up: Upstream): void {
    if (this.#closed) return;
    if (this.#exchange === undefined || up !== this.#up) this.#idleLost(up, false);
    else if (up.awaitingHead) this.#lostBeforeHead(up, false);
    else if (!up.idle) this.#truncated(false);
    // An early answer, then FIN: the agent hears of it and may still finish its body.
    else if (!this.#agent.writableEnded) this.#agent.end();
  }

  upstreamClosed(up: Upstream, wasReset: boolean): void {
    if (this.#closed) return;
    if (this.#exchange === undefined || up !== this.#up) this.#idleLost(up, wasReset);
    else if (up.awaitingHead) this.#lostBeforeHead(up, wasReset);
    else if (!up.idle) this.#truncated(wasReset);
    else {
      // The response is whole; nobody is left to take the rest of the body.
      this.#settle({ outcome: 'forwarded', closeReason: wasReset ? 'upstream-reset' : 'upstream-closed' });
      this.#shutdown('upstream-closed', closeGently);
    }
  }

  /** The agent ended inside its body and already has its response: nothing more can come of this. */
  #halfRequest(): void {
    this.#fail(this.#blame({ outcome: 'client-gone' }), 'agent-closed', closeSoon);
  }

  #idleLost(up: Upstream, wasReset: boolean): void {
    this.#links.remove(up);
    if (up === this.#fixed) {
      this.#shutdown(wasReset ? 'upstream-reset' : 'upstream-closed', wasReset ? reset : closeGently);
    } else closeSoon(up.socket);
  }

  /**
   * Inside a tunnel and on a used transport the agent sees the close a direct connection would show, and repeats the
   * request or not; on a fresh one the proxy says what happened.
   */
  #lostBeforeHead(up: Upstream, wasReset: boolean): void {
    const error: ErrorCode = wasReset ? 'upstream-reset' : 'upstream-closed';
    const facts = this.#blame({ outcome: 'failed', error });
    this.#links.remove(up);
    if (up === this.#fixed || up.uses > 1 || up.answered || this.#agentEnded) {
      this.#fail(facts, error, wasReset ? reset : closeSoon);
    } else {
      closeSoon(up.socket);
      this.#answer(this.#corridor.failure(this.#exchange as Exchange, error), facts);
    }
  }

  #truncated(wasReset: boolean): void {
    const facts: CloseFacts = { outcome: 'failed', error: wasReset ? 'upstream-reset' : 'body-truncated' };
    this.#fail(this.#blame(facts), wasReset ? 'upstream-reset' : 'upstream-closed', wasReset ? reset : closeSoon);
  }

  /** An upstream that gives up after the agent's FIN is the agent's doing. */
  #blame(facts: CloseFacts): CloseFacts {
    return this.#agentEnded ? { outcome: 'client-gone', error: 'client-gone', closeReason: 'agent-closed' } : facts;
  }

  // Endings.

  #finish(): void {
    const head = this.#head as RequestHead;
    const up = this.#up as Upstream;
    this.#settle({ outcome: 'forwarded' });
    if (this.#poisoned) {
      up.socket.destroy();
      this.#shutdown('upstream-unsolicited', closeGently);
    } else if (!head.persistent || !up.persistent || this.#agent.writableEnded || (up.ended && up === this.#fixed)) {
      this.#shutdown(up.ended ? 'upstream-closed' : 'connection-close', closeGently);
    } else {
      if (up.ended) this.#links.remove(up);
      this.#intake.unstall();
      this.#nextRequest();
    }
  }

  #nextRequest(): void {
    if (this.#agentEnded && !this.#intake.hasBacklog) {
      this.#shutdown('agent-closed', closeGently);
      return;
    }
    this.#idleSince = performance.now();
    this.#intake.next();
  }

  /** An answer of ours ends the exchange; the connection stays when no request body is in the way. */
  #answer(answer: Answer, facts: CloseFacts, mustClose = false): void {
    const head = this.#head as RequestHead;
    const close = mustClose || !this.#intake.done || !head.persistent || head.version === '1.0';
    this.#agent.write(renderAnswer(answer, { headOnly: head.method === 'HEAD', close }));
    this.#settle(facts);
    if (close) this.#shutdown('answered', closeGently);
    else this.#nextRequest();
  }

  #reject(code: ErrorCode, detail?: string): void {
    const answer = this.#corridor.reject(this.#context.connection, code, detail);
    this.#agent.write(renderAnswer(answer, { headOnly: false, close: true }));
    this.#shutdown('refused', closeGently);
  }

  #fail(facts: CloseFacts, reason: string, ending: Ending): void {
    this.#settle(facts);
    this.#abandon(false);
    this.#shutdown(reason, ending);
  }

  #settle(facts: CloseFacts): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    this.#corridor.close(exchange, facts);
  }

  /** Nobody waits for the upstream of the current exchange any more. */
  #abandon(withReset: boolean): void {
    const up = this.#up;
    if (up === undefined) return;
    if (withReset) reset(up.socket);
    else up.socket.destroy();
    this.#links.remove(up);
  }

  #shutdown(reason: string, ending: Ending): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#idleTimer);
    this.#intake.discard();
    this.#links.closeAll();
    if (this.#fixed !== undefined) closeSoon(this.#fixed.socket);
    ending(this.#agent);
    this.#corridor.connectionClosed(this.#context.connection, reason);
  }

  readonly #revoke = (): void => {
    if (this.#join !== undefined) {
      this.#join.revoke();
      return;
    }
    if (this.#exchange === undefined) return;
    this.#fail({ outcome: 'blocked', error: 'stopped', closeReason: 'revoked' }, 'revoked', (agent) => agent.destroy());
  };

  #detachAgent(): void {
    const agent = this.#agent;
    agent.off('data', this.#onAgentData);
    agent.off('end', this.#onAgentEnd);
    agent.off('drain', this.#onAgentDrain);
    agent.off('close', this.#onAgentClose);
    // The error listener stays: it does no harm, and there is no moment without one.
  }

  /** One timer for the life of the connection: requests only note when they end. */
  #armIdle(ms: number): void {
    const { keepaliveMs } = this.#context.limits;
    this.#idleTimer = setTimeout(() => {
      const busy = this.#exchange !== undefined || this.#intake.headBegun;
      const left = busy ? keepaliveMs : keepaliveMs - (performance.now() - this.#idleSince);
      if (left <= 0) this.#shutdown('idle', closeGently);
      else this.#armIdle(Math.ceil(left));
    }, ms);
    this.#idleTimer.unref();
  }
}
