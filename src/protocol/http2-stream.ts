import { type ClientHttp2Session, constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Answer } from '../model/answer.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts, ContentTap, Link } from '../model/ports.ts';
import { cutFacts, heldBy, noteLink, sendTrailers } from './http2-ends.ts';
import {
  type AgentRequest,
  type AgentStream,
  bindAgent,
  bindUpstream,
  listenAgent,
  listenUpstreamData,
  type PairEvents,
  type PairHost,
  sawEnd,
  type UpstreamStream,
} from './http2-events.ts';
import { answerFields, fieldObject, marked, type RawFields, regularFrom, upstreamFields } from './http2-fields.ts';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
export const END_STREAM = constants.NGHTTP2_FLAG_END_STREAM;
/** More interim responses than this on one stream are a flood (threat W24), not hints. */
const MAX_INTERIM = 1_000;

/** One agent stream and its upstream stream, one to one: fields, DATA, trailers, ends and resets as they come. */
export class StreamPair implements PairEvents {
  readonly exchange: Exchange;
  readonly #host: PairHost;
  readonly #agent: AgentStream;
  readonly #request: AgentRequest;
  #upstream: UpstreamStream | undefined;
  #requestTap: ContentTap | undefined;
  #responseTap: ContentTap | undefined;
  #requestTrailers: readonly string[] = [];
  #responseTrailers: readonly string[] = [];
  #upstreamError: NodeJS.ErrnoException | undefined;
  #interim = 0;
  /** The response ends with trailers, which Node asks for once everything else is written. */
  #trailersDue = false;
  /** Code to reset the agent stream with as soon as the response is written. */
  #resetAfter: number | undefined;
  #answered = false;
  #responseDone = false;
  #facts: CloseFacts | undefined;
  #finished = false;
  #seen = 0;

  constructor(host: PairHost, agent: ServerHttp2Stream, request: AgentRequest, exchange: Exchange) {
    this.#host = host;
    this.exchange = exchange;
    this.#request = request;
    this.#agent = bindAgent(agent, this, request.ended);
    host.corridor.onRevoked(exchange, () => this.#revoke());
  }

  /** The agent went away while we were still reaching the upstream. */
  get gone(): boolean {
    return this.#agent.closed || this.#agent.destroyed;
  }

  /** Relayed, and the response not complete. */
  get incomplete(): boolean {
    return !this.#finished && !this.#answered && !this.#responseDone;
  }

  held(): number {
    return heldBy(this.#agent, this.#upstream);
  }

  /** Waits for a reader and nothing has moved since the last call. */
  stalled(): boolean {
    const moved = this.exchange.requestBytes + this.exchange.responseBytes;
    const waits = this.#agent.writableNeedDrain || this.#upstream?.writableNeedDrain === true;
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
      this.#agent.close(NGHTTP2_REFUSED_STREAM);
      return;
    }
    noteLink(exchange, link);
    const { raw, headers, ended } = this.#request;
    try {
      const fields = upstreamFields(raw, headers);
      const stream = session.request(fields, { endStream: ended, waitForTrailers: !ended });
      this.#upstream = bindUpstream(stream, this);
    } catch (error) {
      this.answer(this.#host.corridor.failure(exchange, 'bad-request', (error as Error).message));
      return;
    }
    exchange.sentMono = performance.now();
    if (!ended) this.#requestTap = this.#host.corridor.content(exchange, 'request');
    listenAgent(this.#agent);
  }

  /** Answers by ourselves. When the response has begun it can only be reset. */
  answer(answer: Answer): void {
    const agent = this.#agent;
    if (this.gone) return;
    this.#answered = true;
    if (agent.headersSent) {
      agent.close(NGHTTP2_INTERNAL_ERROR);
      return;
    }
    const empty = answer.body === '' || this.exchange.request.method === 'HEAD';
    // An upload that is answered by us is not read on: the agent is told to stop (RFC 9113 §8.1).
    if (!this.#request.ended) agent.once('finish', () => setImmediate(() => agent.close(NGHTTP2_NO_ERROR)));
    agent.resume();
    agent.respond(answerFields(answer), { endStream: empty, sendDate: false } as object);
    if (!empty) agent.end(answer.body);
  }

  // Agent → upstream

  requestData(chunk: Buffer): void {
    const upstream = this.#upstream;
    if (upstream === undefined || upstream.closed || upstream.writableEnded) return;
    this.exchange.requestBytes += chunk.length;
    this.#host.passedUp(chunk.length);
    if (!upstream.write(chunk)) {
      this.#agent.pause();
      this.#host.slow();
    }
    this.#requestTap?.push(chunk);
  }

  requestTrailers(raw: readonly string[]): void {
    this.#requestTrailers = raw;
  }

  requestEnd(): void {
    const upstream = this.#upstream;
    // A reset also ends the readable side: it must not look like END_STREAM upstream.
    if (upstream === undefined || !sawEnd(this.#agent)) return;
    if (!upstream.closed && !upstream.writableEnded) upstream.end();
    this.#requestTap?.end();
  }

  upstreamDrain(): void {
    this.#agent.resume();
  }

  upstreamWantsTrailers(): void {
    if (this.#upstream !== undefined) sendTrailers(this.#upstream, this.#requestTrailers);
  }

  // Upstream → agent

  interim(raw: readonly string[]): void {
    if (this.gone || this.#agent.headersSent) return;
    if (++this.#interim > MAX_INTERIM) {
      this.#malformed('too many interim responses');
      return;
    }
    try {
      this.#agent.additionalHeaders(fieldObject(raw));
    } catch (error) {
      this.#malformed((error as Error).message);
    }
  }

  response(raw: RawFields, headers: IncomingHttpHeaders, flags: number): void {
    const { exchange } = this;
    exchange.headMono = performance.now();
    exchange.status = Number(headers[':status']);
    exchange.responseFields = raw.slice(regularFrom(raw));
    if (this.gone || this.#answered) return;
    const endStream = (flags & END_STREAM) !== 0;
    try {
      const options = { endStream, waitForTrailers: !endStream, sendDate: false };
      this.#agent.respond(marked(raw, headers), options as object);
    } catch (error) {
      this.#malformed((error as Error).message);
      return;
    }
    this.#trailersDue = !endStream;
    if (!endStream) this.#responseTap = this.#host.corridor.content(exchange, 'response');
    if (this.#upstream !== undefined) listenUpstreamData(this.#upstream);
  }

  responseData(chunk: Buffer): void {
    this.exchange.responseBytes += chunk.length;
    const agent = this.#agent;
    if (agent.closed || agent.writableEnded) return;
    this.#host.passedDown(chunk.length);
    if (!agent.write(chunk)) {
      this.#upstream?.pause();
      this.#host.slow();
    }
    this.#responseTap?.push(chunk);
  }

  responseTrailers(raw: readonly string[]): void {
    this.#responseTrailers = raw;
  }

  responseEnd(): void {
    if (this.#upstream === undefined || !sawEnd(this.#upstream)) return;
    this.#responseDone = true;
    if (!this.#agent.closed && !this.#agent.writableEnded) this.#agent.end();
  }

  agentDrain(): void {
    this.#upstream?.resume();
  }

  agentWantsTrailers(): void {
    this.#trailersDue = false;
    sendTrailers(this.#agent, this.#responseTrailers);
    if (this.#resetAfter !== undefined) this.#resetSoon(this.#resetAfter);
  }

  // Ends
  upstreamFailed(error: NodeJS.ErrnoException): void {
    this.#upstreamError ??= error;
  }

  upstreamClosed(): void {
    const upstream = this.#upstream as UpstreamStream;
    const agent = this.#agent;
    // What is still coming from the agent has no reader any more.
    agent.resume();
    if (this.gone || this.#answered) return;
    const code = upstream.rstCode;
    if (sawEnd(upstream)) {
      this.#responseDone = true;
      // RST_STREAM after a complete response (RFC 9113 §8.1): first everything that is still to be written.
      if (sawEnd(agent) && code === NGHTTP2_NO_ERROR) return;
      if (this.#trailersDue) this.#resetAfter = code;
      else this.#resetSoon(code);
    } else if (this.#host.upstreamDead) {
      this.#settle(cutFacts(this.#upstreamError, this.exchange.headMono !== undefined));
    } else {
      this.#settle({ outcome: 'failed', error: 'upstream-reset', detail: `RST_STREAM ${code}` });
      agent.close(code);
    }
  }

  agentAborted(): void {
    const upstream = this.#upstream;
    if (upstream === undefined || upstream.closed) return;
    this.#settle({ outcome: 'client-gone', error: 'client-gone', detail: `RST_STREAM ${this.#agent.rstCode}` });
    // A session that died without a word leaves code 0, which upstream would read as "all is well".
    upstream.close(this.#agent.session?.destroyed === false ? this.#agent.rstCode : NGHTTP2_CANCEL);
    upstream.resume();
    this.#agent.resume();
  }

  agentClosed(): void {
    if (this.#finished) return;
    this.#finished = true;
    const upstream = this.#upstream;
    const code = this.#agent.rstCode;
    // A complete exchange may still have the tail of its upload in our buffer: that goes on.
    const complete = this.#responseDone && code === NGHTTP2_NO_ERROR && upstream?.writableEnded === true;
    if (upstream !== undefined && !upstream.closed) {
      if (complete) {
        this.#host.tail(1);
        upstream.once('close', () => this.#host.tail(-1));
      } else upstream.close(code === NGHTTP2_NO_ERROR && !this.#responseDone ? NGHTTP2_CANCEL : code);
      upstream.resume();
    }
    const gone: CloseFacts = { outcome: 'client-gone', error: 'client-gone', detail: `RST_STREAM ${code}` };
    if (this.#answered) this.#settle(code === NGHTTP2_NO_ERROR ? { outcome: 'answered' } : gone);
    else this.#settle(this.#responseDone ? { outcome: 'forwarded' } : gone);
    this.#host.corridor.close(this.exchange, this.#facts as CloseFacts);
    this.#host.done(this);
  }

  #revoke(): void {
    if (this.#finished) return;
    this.#settle({ outcome: 'interrupted', closeReason: 'revoked' });
    this.#upstream?.close(NGHTTP2_CANCEL);
    this.#agent.close(NGHTTP2_CANCEL);
  }

  #malformed(detail: string): void {
    const answer = this.#host.corridor.failure(this.exchange, 'upstream-malformed', detail);
    this.#settle({ outcome: 'failed', error: 'upstream-malformed', detail });
    this.answer(answer);
    this.#upstream?.close(NGHTTP2_CANCEL);
  }

  /** Node sends trailers in a setImmediate; this one comes after it. */
  #resetSoon(code: number): void {
    setImmediate(() => this.#agent.close(code));
  }

  /** The first cause is the cause. */
  #settle(facts: CloseFacts): void {
    this.#facts ??= facts;
  }
}
