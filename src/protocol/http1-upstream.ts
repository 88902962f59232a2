import type { Duplex } from 'node:stream';
import { BodyFramer } from '../codec/http1-body.ts';
import { parseResponseHead, type ResponseHead } from '../codec/http1-head.ts';
import { HeadReader, MORE, REFUSED } from '../codec/http1-reader.ts';
import type { Answer } from '../model/answer.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Corridor, Link, RelayContext, RelayLimits } from '../model/ports.ts';
import * as losses from './http1-losses.ts';
import { holdResponse, type ResponseHold, type ResponseHoldOwner } from './http1-response-filter.ts';
import { judgeHead } from './http1-response-head.ts';
import { switchedTo } from './http1-switch.ts';
import { lookAt, Tee } from './http1-tee.ts';
import { UpstreamEvents, type UpstreamListener } from './http1-upstream-events.ts';

/** Who is told what the upstream did; what goes wrong is handled by `http1-losses.ts` for it. */
export interface UpstreamOwner extends losses.LossOwner {
  /** The response is complete. `extra`: bytes nobody asked for came with its end. */
  responseDone(up: Upstream, extra: boolean): void;
  /** 101, or 2xx to a CONNECT: the head is forwarded, `rest` came behind it. */
  switched(up: Upstream, head: ResponseHead, rest: Buffer): void;
  upstreamDrained(up: Upstream): void;
}

const IDLE = 0;
const HEAD = 1;
const BODY = 2;
/** The response has come completely, and a filter has not given all of it. */
const HELD = 3;

/**
 * One upstream transport of one agent connection. Writes responses to the agent as they come; each chunk goes on in one
 * piece, whatever mixture of heads and body it is.
 */
export class Upstream implements ResponseHoldOwner, UpstreamListener {
  readonly link: Link;
  readonly socket: Duplex;
  readonly corridor: Corridor;
  /** Exchanges begun on it. */
  uses = 0;
  /** Bytes of a response to the current exchange went to the agent. */
  answered = false;
  /** The last response allows another request. */
  persistent = true;
  /** FIN was read, or the transport is gone. */
  ended = false;
  readonly #agent: Duplex;
  readonly #limits: RelayLimits;
  readonly #owner: UpstreamOwner;
  readonly #reader: HeadReader;
  readonly #events: UpstreamEvents;
  readonly #tee = new Tee();
  readonly #framer = new BodyFramer(true, this.#tee.note);
  #phase = IDLE;
  #exchange: Exchange | undefined;
  #upgradeAsked = false;
  /** Why nothing is read: the agent, the filter. */
  #stalled = false;
  #choked = false;
  /** The current response passes a filter. */
  #hold: ResponseHold | undefined;
  /** Bytes nobody asked for came behind it. */
  #extra = false;

  constructor(link: Link, agent: Duplex, context: RelayContext, owner: UpstreamOwner) {
    const { corridor, limits } = context;
    this.link = link;
    this.socket = link.socket;
    this.#agent = agent;
    this.#limits = limits;
    this.corridor = corridor;
    this.#owner = owner;
    this.#reader = new HeadReader(limits, false);
    this.#events = new UpstreamEvents(this.socket, this);
  }

  /** No response is expected, or it has come completely. */
  get idle(): boolean {
    return this.#phase === IDLE;
  }
  /** The final response head has not come yet. */
  get awaitingHead(): boolean {
    return this.#phase === HEAD;
  }

  /** What holds the response back that is under way. */
  get hold(): ResponseHold | undefined {
    return this.#hold;
  }

  /** Begins to read. */
  attach(): void {
    this.#events.attach();
  }
  /** Stops reading, for a caller that takes the socket over and listens already. */
  detach(): void {
    this.#events.detach();
  }

  /** The agent took what waited for it. */
  agentDrained(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    if (!this.#choked) this.socket.resume();
  }

  /** The exchange is over: nothing of its response is held any more. */
  release(): void {
    this.#hold?.abandon();
    this.#hold = undefined;
    if (this.#phase === HELD) this.#phase = IDLE;
    this.choke(false);
  }

  /** A request is about to be written. */
  begin(exchange: Exchange): void {
    const link = this.link;
    this.agentDrained();
    this.#exchange = exchange;
    this.#upgradeAsked = exchange.request.upgrade !== undefined;
    this.#phase = HEAD;
    this.answered = false;
    exchange.peer = link.peer;
    exchange.delegated = link.delegated;
    if (this.uses === 0) exchange.timings = link.timings;
    if (link.tls !== undefined) exchange.upstreamTls = link.tls;
    this.uses += 1;
  }

  upstreamData(chunk: Buffer): void {
    if (this.#phase === HEAD) this.#head(chunk);
    else if (this.#phase === BODY) this.#body(chunk, 0);
    else if (this.#phase === HELD) this.#extra = true;
    else losses.unsolicited(this.#owner, this);
  }

  upstreamFinished(): void {
    if (this.ended) return;
    this.ended = true;
    if (this.#phase === HELD) return;
    if (this.#phase !== BODY || !this.#framer.finish()) losses.upstreamEnded(this.#owner, this);
    else if (this.#hold !== undefined) {
      this.#phase = HELD;
      this.#hold.end();
    } else {
      this.#phase = IDLE;
      this.#owner.responseDone(this, false);
    }
  }

  upstreamGone(): void {
    this.ended = true;
    if (this.#phase !== HELD) losses.upstreamClosed(this.#owner, this, this.#events.wasReset);
  }

  upstreamDrained(): void {
    this.#owner.upstreamDrained(this);
  }

  write(bytes: Buffer): void {
    this.answered = true;
    if (this.#agent.write(bytes)) return;
    this.#stalled = true;
    this.socket.pause();
  }

  choke(choked: boolean): void {
    if (choked === this.#choked) return;
    this.#choked = choked;
    if (choked) this.socket.pause();
    else if (!this.#stalled) this.socket.resume();
  }

  #malformed(detail: string): void {
    this.#phase = IDLE;
    losses.malformed(this.#owner, this, detail);
  }

  /** Any number of informational heads, then the final one (RFC 9110 §15.2). */
  #head(chunk: Buffer): void {
    const exchange = this.#exchange as Exchange;
    let rest = chunk;
    while (rest.length > 0) {
      const found = this.#reader.push(rest);
      if (found === MORE) return;
      const head =
        found === REFUSED ? this.#reader.fault : parseResponseHead(this.#reader, this.#limits, exchange.request.method);
      if (head === undefined || !head.ok) {
        this.#malformed(head?.detail ?? 'not a response');
        return;
      }
      const bytes = this.#reader.bytes;
      if (head.status >= 200 || head.status === 101) {
        this.#final(exchange, head, bytes);
        return;
      }
      this.write(bytes.subarray(0, head.end));
      rest = bytes.subarray(head.end);
    }
  }

  #final(exchange: Exchange, head: ResponseHead, received: Buffer): void {
    const judged = judgeHead(this.corridor, exchange, head, received);
    if ('answer' in judged) {
      this.#phase = IDLE;
      losses.responseRefused(this.#owner, this, judged.answer);
      return;
    }
    const { bytes, end } = judged;
    if (head.status === 101 || (head.status < 300 && exchange.request.method === 'CONNECT')) {
      this.#switch(head, bytes, end);
      return;
    }
    this.persistent = head.persistent;
    this.#phase = BODY;
    this.#framer.start(head.body, head.length);
    this.#tee.reset();
    this.#extra = false;
    if (head.body !== 'none') {
      this.#hold = holdResponse(
        this,
        { exchange, head, headBytes: bytes.subarray(0, end) },
        this.corridor,
        this.#limits,
      );
      if (this.#hold?.endsConnection === true) this.persistent = false;
      this.#tee.tap = this.#hold ?? lookAt(this.corridor, exchange, 'response', this.#framer);
    }
    this.#body(bytes, end);
  }

  #switch(head: ResponseHead, bytes: Buffer, end: number): void {
    if (head.status === 101 && !this.#upgradeAsked) {
      this.#malformed('101 to a request that asked for no upgrade');
      return;
    }
    this.#phase = IDLE;
    if (head.status === 101) {
      const exchange = this.#exchange as Exchange;
      // What is unread from here on may be so only where that is allowed: the agent hears of no switch before.
      const checked = this.corridor.checkTls(exchange, undefined, switchedTo(exchange, head));
      if (!checked.forward) {
        losses.switchRefused(this.#owner, this, checked.answer);
        return;
      }
    }
    this.write(bytes.subarray(0, head.end));
    this.#owner.switched(this, head, bytes.subarray(end));
  }

  /** Forwards `bytes` (a head up to `from`, body from there) as far as the response goes. */
  #body(bytes: Buffer, from: number): void {
    const end = this.#framer.push(bytes, from);
    if (this.#framer.error !== undefined) {
      this.#malformed(this.#framer.error);
      return;
    }
    if (this.#hold !== undefined) {
      this.#held(this.#hold, bytes, from, end);
      return;
    }
    this.write(end === bytes.length ? bytes : bytes.subarray(0, end));
    (this.#exchange as Exchange).responseBytes += end - from;
    this.#tee.written(this.#framer.done);
    if (this.#framer.done) {
      this.#phase = IDLE;
      this.#owner.responseDone(this, end < bytes.length);
    }
  }

  #held(hold: ResponseHold, bytes: Buffer, from: number, end: number): void {
    if (this.#framer.done) {
      this.#phase = HELD;
      this.#extra = end < bytes.length;
    }
    hold.raw(bytes.subarray(from, end));
    if (hold.tooLong) {
      this.#malformed('the trailers are too long');
      return;
    }
    this.#tee.written(this.#framer.done);
    hold.flush();
  }

  holdDone(hold: ResponseHold): void {
    if (hold !== this.#hold) return;
    this.#hold = undefined;
    this.#phase = IDLE;
    const exchange = this.#exchange;
    this.#owner.responseDone(this, this.#extra);
    // The agent has not finished its request, and nobody is left to take it.
    if (this.ended && this.#owner.exchange === exchange) losses.upstreamLeft(this.#owner, this, this.#events.wasReset);
  }

  holdStopped(hold: ResponseHold, answer: Answer, begun: boolean): void {
    if (hold !== this.#hold) return;
    this.#phase = IDLE;
    if (begun) losses.responseCut(this.#owner);
    else losses.responseRefused(this.#owner, this, answer);
  }
}
