import type { Duplex } from 'node:stream';
import { BodyFramer } from '../codec/http1-body.ts';
import { parseResponseHead, type ResponseHead } from '../codec/http1-head.ts';
import { HeadReader, MORE, REFUSED } from '../codec/http1-reader.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Corridor, Link, RelayContext, RelayLimits } from '../model/ports.ts';
import * as losses from './http1-losses.ts';
import { keepHalfOpen } from './http1-streams.ts';
import { switchedTo } from './http1-switch.ts';
import { Tee } from './http1-tee.ts';

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

/**
 * One upstream transport of one agent connection. Writes responses to the agent as they come; each chunk goes on in one
 * piece, whatever mixture of heads and body it is.
 */
export class Upstream {
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
  readonly #tee = new Tee();
  readonly #framer = new BodyFramer(true, this.#tee.note);
  #phase = IDLE;
  #exchange: Exchange | undefined;
  #upgradeAsked = false;
  #wasReset = false;
  #stalled = false;

  constructor(link: Link, agent: Duplex, context: RelayContext, owner: UpstreamOwner) {
    const { corridor, limits } = context;
    this.link = link;
    this.socket = link.socket;
    this.#agent = agent;
    this.#limits = limits;
    this.corridor = corridor;
    this.#owner = owner;
    this.#reader = new HeadReader(limits, false);
  }

  /** No response is expected, or it has come completely. */
  get idle(): boolean {
    return this.#phase === IDLE;
  }
  /** The final response head has not come yet. */
  get awaitingHead(): boolean {
    return this.#phase === HEAD;
  }

  /** Begins to read. */
  attach(): void {
    const socket = this.socket;
    keepHalfOpen(socket);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    if (socket.destroyed) {
      queueMicrotask(this.#onClose);
      return;
    }
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('data', this.#onData);
    if (socket.readableEnded) queueMicrotask(this.#onEnd);
    socket.resume();
  }

  /** Stops reading, for a caller that takes the socket over and listens already. */
  detach(): void {
    const socket = this.socket;
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
  }

  /** The agent took what waited for it. */
  agentDrained(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    this.socket.resume();
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

  readonly #onData = (chunk: Buffer): void => {
    if (this.#phase === HEAD) this.#head(chunk);
    else if (this.#phase === BODY) this.#body(chunk, 0);
    else losses.unsolicited(this.#owner, this);
  };

  readonly #onEnd = (): void => {
    if (this.ended) return;
    this.ended = true;
    if (this.#phase === BODY && this.#framer.finish()) {
      this.#phase = IDLE;
      this.#owner.responseDone(this, false);
    } else losses.upstreamEnded(this.#owner, this);
  };

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#wasReset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
  };

  readonly #onClose = (): void => {
    this.ended = true;
    losses.upstreamClosed(this.#owner, this, this.#wasReset);
  };

  readonly #onDrain = (): void => {
    this.#owner.upstreamDrained(this);
  };

  #send(bytes: Buffer): void {
    this.answered = true;
    if (this.#agent.write(bytes)) return;
    this.#stalled = true;
    this.socket.pause();
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
      this.#send(bytes.subarray(0, head.end));
      rest = bytes.subarray(head.end);
    }
  }

  #final(exchange: Exchange, head: ResponseHead, bytes: Buffer): void {
    exchange.headMono = performance.now();
    exchange.status = head.status;
    exchange.responseFields = head.fields;
    if (head.status === 101 || (head.status < 300 && exchange.request.method === 'CONNECT')) {
      this.#switch(head, bytes);
      return;
    }
    this.persistent = head.persistent;
    this.#phase = BODY;
    this.#framer.start(head.body, head.length);
    this.#tee.reset();
    if (head.body !== 'none') this.#tee.tap = this.corridor.content(exchange, 'response');
    this.#body(bytes, head.end);
  }

  #switch(head: ResponseHead, bytes: Buffer): void {
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
    this.#send(bytes.subarray(0, head.end));
    this.#owner.switched(this, head, bytes.subarray(head.end));
  }

  /** Forwards `bytes` (a head up to `from`, body from there) as far as the response goes. */
  #body(bytes: Buffer, from: number): void {
    const end = this.#framer.push(bytes, from);
    if (this.#framer.error !== undefined) {
      this.#malformed(this.#framer.error);
      return;
    }
    this.#send(end === bytes.length ? bytes : bytes.subarray(0, end));
    (this.#exchange as Exchange).responseBytes += end - from;
    this.#tee.written(this.#framer.done);
    if (this.#framer.done) {
      this.#phase = IDLE;
      this.#owner.responseDone(this, end < bytes.length);
    }
  }
}
