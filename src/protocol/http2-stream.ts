import { type ClientHttp2Session, constants, type ServerHttp2Stream } from 'node:http2';
import type { Answer } from '../model/answer.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts, Link } from '../model/ports.ts';
import { CUT, cutFacts, heldBy, noteLink } from './http2-ends.ts';
import {
  type AgentRequest,
  type AgentStream,
  bindAgent,
  bindUpstream,
  type Pair,
  type PairHost,
  sawEnd,
  type UpstreamStream,
} from './http2-events.ts';
import { answerFields, fieldObject } from './http2-fields.ts';
import { grpcFields, grpcTrailers, isGrpc } from './http2-grpc.ts';
import type { Last } from './http2-hold.ts';
import { RequestHalf } from './http2-request.ts';
import { ResponseHalf } from './http2-response.ts';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
/** More interim responses than this on one stream are a flood (threat W24), not hints. */
const MAX_INTERIM = 1_000;

/** One agent stream and its upstream stream, one to one: fields, DATA, trailers, ends and resets as they come. */
export class StreamPair implements Pair {
  readonly exchange: Exchange;
  readonly host: PairHost;
  readonly agent: AgentStream;
  readonly request: RequestHalf;
  readonly response: ResponseHalf;
  upstream: UpstreamStream | undefined;
  answered = false;
  #upstreamError: NodeJS.ErrnoException | undefined;
  #interim = 0;
  #facts: CloseFacts | undefined;
  #finished = false;
  #seen = 0;

  constructor(host: PairHost, agent: ServerHttp2Stream, request: AgentRequest, exchange: Exchange) {
    this.host = host;
    this.exchange = exchange;
    this.agent = bindAgent(agent, this, request.ended);
    this.request = new RequestHalf(this, request);
    this.response = new ResponseHalf(this);
    host.corridor.onRevoked(exchange, () => this.#revoke());
  }

  /** The agent went away while we were still reaching the upstream. */
  get gone(): boolean {
    return this.agent.closed || this.agent.destroyed;
  }

  /** Relayed, and the response not complete. */
  get incomplete(): boolean {
    return !this.#finished && !this.answered && !this.response.done;
  }

  held(): number {
    return heldBy(this.agent, this.upstream);
  }

  /** Waits for a reader and nothing has moved since the last call. */
  stalled(): boolean {
    const moved = this.exchange.requestBytes + this.exchange.responseBytes;
    const waits = this.agent.writableNeedDrain || this.upstream?.writableNeedDrain === true;
    const stalled = waits && moved === this.#seen;
    this.#seen = moved;
    return stalled;
  }

  forward(session: ClientHttp2Session, link: Link): void {
    const { exchange } = this;
    if (this.gone) return;
    if (session.closed || session.destroyed) {
      // The upstream has said goodbye: the agent may safely try again elsewhere (RFC 9113 §6.8).
      this.#settle({ outcome: 'failed', error: 'upstream-closed', detail: 'upstream session is closing' });
      this.agent.close(NGHTTP2_REFUSED_STREAM);
      return;
    }
    noteLink(exchange, link);
    try {
      this.upstream = bindUpstream(this.request.open(session), this);
    } catch (error) {
      this.answer(this.host.corridor.failure(exchange, 'bad-request', (error as Error).message));
      return;
    }
    exchange.sentMono = performance.now();
    this.request.flow();
  }

  /** Answers by ourselves. When the response has begun it can only be reset. */
  answer(answer: Answer): void {
    const agent = this.agent;
    if (this.gone) return;
    this.answered = true;
    if (agent.headersSent) {
      agent.close(NGHTTP2_INTERNAL_ERROR);
      return;
    }
    const grpc = isGrpc(this.exchange);
    const empty = grpc || answer.body === '' || this.exchange.request.method === 'HEAD';
    // An upload that is answered by us is not read on: the agent is told to stop (RFC 9113 §8.1).
    if (!this.request.read) agent.once('finish', () => setImmediate(() => agent.close(NGHTTP2_NO_ERROR)));
    agent.resume();
    agent.respond(grpc ? grpcFields(answer) : answerFields(answer), { endStream: empty, sendDate: false } as object);
    if (!empty) agent.end(answer.body);
  }

  refuse(answer: Answer): void {
    this.upstream?.close(NGHTTP2_CANCEL);
    this.answer(answer);
  }

  cut(answer: Answer, last: Buffer | undefined): void {
    this.answered = true;
    this.#settle(CUT);
    this.upstream?.close(NGHTTP2_CANCEL);
    this.agent.resume();
    this.response.close(last, isGrpc(this.exchange) ? grpcTrailers(answer) : []);
  }

  leave(toAgent: Buffer | undefined, toUpstream: Buffer | undefined): void {
    this.answered = true;
    this.#settle(CUT);
    this.request.abandon();
    this.response.abandon();
    const { agent, upstream } = this;
    if (upstream !== undefined && !upstream.closed && !upstream.writableEnded) upstream.end(toUpstream);
    if (!agent.closed && !agent.writableEnded) agent.end(toAgent);
    upstream?.resume();
    agent.resume();
  }

  requestStopped(answer: Answer, last: Last): void {
    if (!this.agent.headersSent) this.refuse(answer);
    else if (this.exchange.request.upgrade !== undefined) this.leave(last?.back, last?.forward);
    else this.cut(answer, undefined);
  }

  interim(raw: readonly string[]): void {
    if (this.gone || this.agent.headersSent) return;
    if (++this.#interim > MAX_INTERIM) {
      this.malformed('too many interim responses');
      return;
    }
    try {
      this.agent.additionalHeaders(fieldObject(raw));
    } catch (error) {
      this.malformed((error as Error).message);
    }
  }

  // Ends
  upstreamFailed(error: NodeJS.ErrnoException): void {
    this.#upstreamError ??= error;
  }

  upstreamClosed(): void {
    const upstream = this.upstream as UpstreamStream;
    const agent = this.agent;
    // What is still coming from the agent has no reader any more.
    agent.resume();
    if (this.gone || this.answered) return;
    const code = upstream.rstCode;
    if (sawEnd(upstream)) {
      this.response.done = true;
      if (!sawEnd(agent) || code !== NGHTTP2_NO_ERROR) this.response.resetWhenWritten(code);
    } else if (this.host.upstreamDead) {
      this.response.breakOff(() => this.#settle(cutFacts(this.#upstreamError, this.exchange.headMono !== undefined)));
    } else {
      this.response.breakOff(() => {
        this.#settle({ outcome: 'failed', error: 'upstream-reset', detail: `RST_STREAM ${code}` });
        agent.close(code);
      });
    }
  }

  agentAborted(): void {
    const upstream = this.upstream;
    if (upstream === undefined || upstream.closed) return;
    this.#settle({ outcome: 'client-gone', error: 'client-gone', detail: `RST_STREAM ${this.agent.rstCode}` });
    // A session that died without a word leaves code 0, which upstream would read as "all is well".
    upstream.close(this.agent.session?.destroyed === false ? this.agent.rstCode : NGHTTP2_CANCEL);
    upstream.resume();
    this.agent.resume();
  }

  agentClosed(): void {
    if (this.#finished) return;
    this.#finished = true;
    const responded = this.response.complete;
    this.request.abandon();
    this.response.abandon();
    const upstream = this.upstream;
    const code = this.agent.rstCode;
    // A complete exchange may still have the tail of its upload in our buffer: that goes on.
    const complete = responded && code === NGHTTP2_NO_ERROR && upstream?.writableEnded === true;
    if (upstream !== undefined && !upstream.closed) {
      if (complete) {
        this.host.tail(1);
        upstream.once('close', () => this.host.tail(-1));
      } else upstream.close(code === NGHTTP2_NO_ERROR && !responded ? NGHTTP2_CANCEL : code);
      upstream.resume();
    }
    const gone: CloseFacts = { outcome: 'client-gone', error: 'client-gone', detail: `RST_STREAM ${code}` };
    if (this.answered) this.#settle(code === NGHTTP2_NO_ERROR ? { outcome: 'answered' } : gone);
    else this.#settle(responded ? { outcome: 'forwarded' } : gone);
    this.host.corridor.close(this.exchange, this.#facts as CloseFacts);
    this.host.done(this);
  }

  #revoke(): void {
    if (this.#finished) return;
    this.#settle({ outcome: 'interrupted', closeReason: 'revoked' });
    this.upstream?.close(NGHTTP2_CANCEL);
    this.agent.close(NGHTTP2_CANCEL);
  }

  malformed(detail: string): void {
    const answer = this.host.corridor.failure(this.exchange, 'upstream-malformed', detail);
    this.#settle({ outcome: 'failed', error: 'upstream-malformed', detail });
    this.answer(answer);
    this.upstream?.close(NGHTTP2_CANCEL);
  }

  /** The first cause is the cause. */
  #settle(facts: CloseFacts): void {
    this.#facts ??= facts;
  }
}
