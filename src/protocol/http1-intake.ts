import type { Duplex } from 'node:stream';
import { BodyFramer } from '../codec/http1-body.ts';
import { fault, type HeadFault } from '../codec/http1-fields.ts';
import { parseRequestHead, type RequestHead } from '../codec/http1-head.ts';
import { HeadReader, MORE, REFUSED } from '../codec/http1-reader.ts';
import type { Exchange } from '../model/exchange.ts';
import type { ContentTap, Corridor, RelayLimits } from '../model/ports.ts';
import { lookAt, Tee } from './http1-tee.ts';

/** Who is told what the agent sent. */
export interface IntakeOwner {
  /** A head, with what came of its body: `bytes` is the message from its first byte on and owned by the callee. */
  request(head: RequestHead, bytes: Buffer): void;
  /** More of the body. */
  body(bytes: Buffer): void;
  /** The body is complete; after the `body` call that completed it. */
  requestDone(): void;
  /** Bytes that are no request; nothing is read any more. */
  refused(reason: HeadFault): void;
  /** The body broke its framing; nothing is read any more. */
  bodyBroken(detail: string): void;
  headTimeout(): void;
  /** The agent's FIN has come and every complete request before it is done; `insideHead`: after half a head. */
  inputEnded(insideHead: boolean): void;
}

const HEAD = 0;
const BODY = 1;
/** A message is under way elsewhere: what comes is kept and reading stops. */
const HOLD = 2;
const DISCARD = 3;

const FOR_UPSTREAM = 1;
const FOR_BACKLOG = 2;
const FOR_AGENT = 4;
const FOR_FILTER = 8;

/**
 * The agent's side of HTTP/1: cuts the byte stream into requests, one at a time. The next head is not looked at before
 * `next`, the rest of a body not before `flow`; bytes beyond that wait here, at most one read of them, and stop the reading.
 */
export class Intake {
  readonly #agent: Duplex;
  readonly #limits: RelayLimits;
  readonly #owner: IntakeOwner;
  readonly #reader: HeadReader;
  readonly #tee = new Tee();
  readonly #framer = new BodyFramer(false, this.#tee.note);
  #hasBody = false;
  #state = HEAD;
  #backlog: Buffer | undefined;
  #pumping = false;
  #ended = false;
  #paused = 0;
  #headTimer: NodeJS.Timeout | undefined;

  constructor(agent: Duplex, limits: RelayLimits, owner: IntakeOwner) {
    this.#agent = agent;
    this.#limits = limits;
    this.#owner = owner;
    this.#reader = new HeadReader(limits, true);
  }

  /** The current request is complete. */
  get done(): boolean {
    return this.#framer.done;
  }
  /** Bytes of the next request are already here. */
  get hasBacklog(): boolean {
    return this.#backlog !== undefined;
  }
  /** A request head has begun and is not complete. */
  get headBegun(): boolean {
    return this.#state === HEAD && this.#reader.begun;
  }

  /** The agent sends no more. */
  end(): void {
    this.#ended = true;
    if (!this.#pumping) this.#checkEnd();
  }

  /** Begins to read, unless the first bytes already said to wait. */
  listen(): void {
    if (this.#paused === 0) this.#agent.resume();
  }

  /** Takes what the agent sent. */
  take(chunk: Buffer): void {
    if (this.#state === BODY) this.#body(chunk);
    else if (this.#state === HEAD) this.#head(chunk);
    else if (this.#state === HOLD) this.#keep(chunk);
  }

  /** The way upstream is open and what was here has been written: the rest of the body may come. */
  flow(corridor: Corridor, exchange: Exchange): void {
    if (this.#hasBody) {
      this.#tee.tap = lookAt(corridor, exchange, 'request', this.#framer);
      this.#tee.written(this.#framer.done);
    }
    this.read();
  }

  /** What is here of the body goes to `filter` now, the rest when it is read. */
  divert(filter: ContentTap): void {
    this.#tee.tap = filter;
    this.#tee.written(this.#framer.done);
  }

  /** The rest of the body may come. */
  read(): void {
    if (this.#framer.done) return;
    this.#state = BODY;
    this.#pump();
  }

  /** The exchange is over: the next request may come. */
  next(): void {
    this.#state = HEAD;
    this.#pump();
  }

  /** Throws away everything from now on. */
  discard(): void {
    this.#state = DISCARD;
    this.#backlog = undefined;
    clearTimeout(this.#headTimer);
  }

  /** What was kept; the caller takes over the reading. */
  release(): Buffer | undefined {
    const kept = this.#backlog;
    this.discard();
    return kept;
  }

  /** The upstream does not keep up. */
  stall(): void {
    this.#pause(FOR_UPSTREAM);
  }
  unstall(): void {
    this.#unpause(FOR_UPSTREAM);
  }
  /** The filter does not keep up. */
  choke(): void {
    this.#pause(FOR_FILTER);
  }
  unchoke(): void {
    this.#unpause(FOR_FILTER);
  }
  /** The agent took the answers that were waiting for it. */
  agentDrained(): void {
    this.#unpause(FOR_AGENT);
    this.#pump();
  }

  #pause(reason: number): void {
    if (this.#paused === 0) this.#agent.pause();
    this.#paused |= reason;
  }
  #unpause(reason: number): void {
    if ((this.#paused & reason) === 0) return;
    this.#paused &= ~reason;
    if (this.#paused === 0) this.#agent.resume();
  }

  #keep(rest: Buffer): void {
    this.#backlog = this.#backlog === undefined ? rest : Buffer.concat([this.#backlog, rest]);
    this.#pause(FOR_BACKLOG);
  }

  /** A loop, not a recursion: a thousand pipelined requests may be answered by us without any waiting between them. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#backlog !== undefined && this.#state <= BODY) {
      if (this.#agent.writableNeedDrain && this.#state === HEAD) {
        // An agent that asks and does not read must not make us hold its answers.
        this.#pause(FOR_AGENT);
        break;
      }
      const kept = this.#backlog;
      this.#backlog = undefined;
      this.take(kept);
    }
    this.#pumping = false;
    if (this.#backlog === undefined) this.#unpause(FOR_BACKLOG);
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (this.#ended && this.#state === HEAD && this.#backlog === undefined) this.#owner.inputEnded(this.#reader.begun);
  }

  #head(chunk: Buffer): void {
    const found = this.#reader.push(chunk);
    if (found === MORE) {
      if (this.#reader.begun && this.#headTimer === undefined) this.#startHeadTimer();
      return;
    }
    if (this.#headTimer !== undefined) this.#stopHeadTimer();
    const head = found === REFUSED ? this.#reader.fault : parseRequestHead(this.#reader, this.#limits);
    if (head === undefined || !head.ok) {
      this.discard();
      this.#owner.refused(head ?? fault('bad-request', 'not a request'));
      return;
    }
    const bytes = this.#reader.bytes;
    this.#tee.reset();
    this.#hasBody = head.body !== 'none';
    this.#framer.start(head.body, head.length);
    const end = this.#framer.push(bytes, head.end);
    if (this.#framer.error !== undefined) {
      this.discard();
      this.#owner.refused(fault('ambiguous-framing', this.#framer.error));
      return;
    }
    this.#state = HOLD;
    if (end === bytes.length) this.#owner.request(head, bytes);
    else {
      this.#keep(bytes.subarray(end));
      this.#owner.request(head, bytes.subarray(0, end));
    }
  }

  #body(chunk: Buffer): void {
    const end = this.#framer.push(chunk, 0);
    if (this.#framer.error !== undefined) {
      const detail = this.#framer.error;
      this.discard();
      this.#owner.bodyBroken(detail);
      return;
    }
    this.#owner.body(end === chunk.length ? chunk : chunk.subarray(0, end));
    this.#tee.written(this.#framer.done);
    if (end < chunk.length) this.#keep(chunk.subarray(end));
    if (this.#framer.done && this.#state === BODY) {
      this.#state = HOLD;
      this.#owner.requestDone();
    }
  }

  #startHeadTimer(): void {
    if (this.#limits.headMs <= 0) return;
    this.#headTimer = setTimeout(() => {
      this.discard();
      this.#owner.headTimeout();
    }, this.#limits.headMs);
    this.#headTimer.unref();
  }
  #stopHeadTimer(): void {
    clearTimeout(this.#headTimer);
    this.#headTimer = undefined;
  }
}
