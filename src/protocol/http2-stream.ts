import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type Http2Stream,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { Readable } from 'node:stream';
import type { Answer } from '../model/answer.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts, Corridor, Link } from '../model/ports.ts';
import { answerFields, fieldObject, marked, type RawFields, regularFrom, upstreamFields } from './http2-fields.ts';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
export const END_STREAM = constants.NGHTTP2_FLAG_END_STREAM;
/** More interim responses than this on one stream are a flood (threat W24), not hints. */
const MAX_INTERIM = 1_000;

/** What a pair needs of its session relay. */
export interface PairHost {
  readonly corridor: Corridor;
  /** The agent stream is gone and the exchange closed. */
  done(pair: StreamPair): void;
  /** A reader is slow. */
  slow(): void;
  passedUp(bytes: number): void;
  passedDown(bytes: number): void;
  /** Whether the upstream session is dead, so that its end is mirrored as a whole and not stream by stream. */
  readonly upstreamDead: boolean;
}

const PAIR: unique symbol = Symbol('pair');
const ENDED: unique symbol = Symbol('END_STREAM received');
type AgentStream = ServerHttp2Stream & { [PAIR]: StreamPair };
type UpstreamStream = ClientHttp2Stream & { [PAIR]: StreamPair; [ENDED]: boolean };

export interface AgentRequest {
  readonly raw: RawFields;
  readonly headers: IncomingHttpHeaders;
  /** HEADERS carried END_STREAM. */
  readonly ended: boolean;
}

/** One agent stream and its upstream stream, one to one: fields, DATA, trailers, ends and resets as they come. */
export class StreamPair {
  readonly exchange: Exchange;
  readonly #host: PairHost;
  readonly #agent: AgentStream;
  readonly #request: AgentRequest;
  #upstream: UpstreamStream | undefined;
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
  #closed: CloseFacts | undefined;
  #finished = false;
  #seen = 0;

  constructor(host: PairHost, agent: ServerHttp2Stream, request: AgentRequest, exchange: Exchange) {
    this.#host = host;
    this.exchange = exchange;
    this.#request = request;
    this.#agent = agent as AgentStream;
    this.#agent[PAIR] = this;
    agent.on('close', onAgentClose);
    host.corridor.onRevoked(exchange, () => this.#revoke());
  }

  /** The agent went away while we were still reaching the upstream. */
  get gone(): boolean {
    return this.#agent.closed || this.#agent.destroyed;
  }

  /** Its upstream ended before the response was complete. */
  get cut(): boolean {
    return !this.#finished && !this.#answered && !this.#responseDone;
  }

  get blocked(): boolean {
    return this.#upstream !== undefined && (this.#agent.writableNeedDrain || this.#upstream.writableNeedDrain);
  }

  held(): number {
    const upstream = this.#upstream;
    if (upstream === undefined) return 0;
    return this.#agent.readableLength + this.#agent.writableLength + upstream.readableLength + upstream.writableLength;
  }

  /** Waits for a reader and nothing has moved since the last call. */
  stalled(): boolean {
    const moved = this.exchange.requestBytes + this.exchange.responseBytes;
    const stalled = this.blocked && moved === this.#seen;
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
    exchange.peer = link.peer;
    exchange.timings = link.timings;
    if (link.delegated) exchange.delegated = true;
    if (link.tls !== undefined) exchange.upstreamTls = link.tls;
    const { raw, headers, ended } = this.#request;
    let upstream: UpstreamStream;
    try {
      const fields = upstreamFields(raw, headers);
      upstream = session.request(fields, { endStream: ended, waitForTrailers: !ended }) as UpstreamStream;
    } catch (error) {
      this.answer(this.#host.corridor.failure(exchange, 'bad-request', (error as Error).message));
      return;
    }
    exchange.sentMono = performance.now();
    this.#upstream = upstream;
    upstream[PAIR] = this;
    upstream[ENDED] = false;
    upstream.push = pushWatchingEnd;
    upstream
      .on('error', onUpstreamError)
      .on('headers', onInterim)
      .on('response', onResponse)
      .on('trailers', onResponseTrailers);
    upstream.on('close', onUpstreamClose);
    if (!ended) upstream.on('drain', onUpstreamDrain).on('wantTrailers', onUpstreamWantsTrailers);
    const agent = this.#agent;
    agent.on('trailers', onRequestTrailers).on('wantTrailers', onAgentWantsTrailers).on('drain', onAgentDrain);
    agent.on('data', onRequestData).on('end', onRequestEnd).on('aborted', onAgentAborted);
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
    if (!this.#request.ended) agent.once('finish', onAnswerSent);
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
  }

  requestTrailers(raw: readonly string[]): void {
    this.#requestTrailers = raw;
  }

  requestEnd(): void {
    const upstream = this.#upstream;
    // A reset also ends the readable side: that is not END_STREAM and must not look like it upstream.
    if (this.#agent.closed && !this.#responseDone) return;
    if (upstream !== undefined && !upstream.closed && !upstream.writableEnded) upstream.end();
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
    if (this.gone) return;
    const endStream = (flags & END_STREAM) !== 0;
    try {
      const options = { endStream, waitForTrailers: !endStream, sendDate: false };
      this.#agent.respond(marked(raw, headers), options as object);
    } catch (error) {
      this.#malformed((error as Error).message);
      return;
    }
    this.#trailersDue = !endStream;
    // Not earlier: DATA of the same packet could overtake the 'response' event.
    this.#upstream?.on('data', onResponseData).on('end', onResponseEnd);
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
  }

  responseTrailers(raw: readonly string[]): void {
    this.#responseTrailers = raw;
  }

  responseEnd(): void {
    if (this.#upstream?.[ENDED] !== true) return;
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

  upstreamClosed(): void {
    const upstream = this.#upstream as UpstreamStream;
    const agent = this.#agent;
    if (upstream[ENDED]) this.#responseDone = true;
    // What is still coming from the agent has no reader any more.
    agent.resume();
    if (this.gone) return;
    const code = upstream.rstCode;
    if (this.#responseDone) {
      // RST_STREAM after a complete response (RFC 9113 §8.1): first everything that is still to be written.
      if (agent.readableEnded && code === NGHTTP2_NO_ERROR) return;
      if (this.#trailersDue) this.#resetAfter = code;
      else this.#resetSoon(code);
      return;
    }
    if (this.#host.upstreamDead) {
      this.#settle({ outcome: 'failed', error: this.#cutCode(), detail: detailOf(this.#upstreamError) });
      return;
    }
    this.#settle({ outcome: 'failed', error: 'upstream-reset', detail: `RST_STREAM ${code}` });
    agent.close(code);
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
    if (upstream !== undefined && !upstream.closed && !complete) {
      upstream.close(code === NGHTTP2_NO_ERROR && !this.#responseDone ? NGHTTP2_CANCEL : code);
      upstream.resume();
    }
    const gone: CloseFacts = { outcome: 'client-gone', error: 'client-gone', detail: `RST_STREAM ${code}` };
    if (this.#answered) this.#settle(code === NGHTTP2_NO_ERROR ? { outcome: 'answered' } : gone);
    else this.#settle(this.#responseDone ? { outcome: 'forwarded' } : gone);
    this.#host.corridor.close(this.exchange, this.#closed as CloseFacts);
    this.#host.done(this);
  }

  upstreamFailed(error: NodeJS.ErrnoException): void {
    this.#upstreamError ??= error;
  }

  #cutCode(): ErrorCode {
    const code = this.#upstreamError?.code;
    if (code === 'ECONNRESET') return 'upstream-reset';
    if (code === 'ERR_HTTP2_ERROR') return 'upstream-malformed';
    return this.exchange.headMono === undefined ? 'upstream-closed' : 'body-truncated';
  }

  /** Node sends trailers in a setImmediate; this one comes after it. */
  #resetSoon(code: number): void {
    setImmediate(() => this.#agent.close(code));
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

  /** The first cause is the cause. */
  #settle(facts: CloseFacts): void {
    this.#closed ??= facts;
  }
}

function detailOf(error: NodeJS.ErrnoException | undefined): string {
  if (error === undefined) return 'upstream connection closed';
  return error.code === undefined ? error.message : `${error.code}: ${error.message}`;
}

function sendTrailers(stream: Http2Stream, raw: readonly string[]): void {
  try {
    stream.sendTrailers(fieldObject(raw));
  } catch {
    stream.close(NGHTTP2_INTERNAL_ERROR);
  }
}

/** Node ends a stream's readable side for END_STREAM, resets and dead sessions alike; only the first finds it not closed. */
function pushWatchingEnd(this: UpstreamStream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null && !this.closed) this[ENDED] = true;
  return Readable.prototype.push.call(this, chunk, encoding);
}

// One function per event, not one per stream: the pair is found through the stream.
function onAgentClose(this: AgentStream): void {
  this[PAIR].agentClosed();
}
function onAgentAborted(this: AgentStream): void {
  this[PAIR].agentAborted();
}
function onRequestData(this: AgentStream, chunk: Buffer): void {
  this[PAIR].requestData(chunk);
}
function onRequestEnd(this: AgentStream): void {
  this[PAIR].requestEnd();
}
function onRequestTrailers(this: AgentStream, _headers: unknown, _flags: number, raw: string[]): void {
  this[PAIR].requestTrailers(raw);
}
function onAgentDrain(this: AgentStream): void {
  this[PAIR].agentDrain();
}
function onAgentWantsTrailers(this: AgentStream): void {
  this[PAIR].agentWantsTrailers();
}
function onAnswerSent(this: AgentStream): void {
  setImmediate(() => this.close(NGHTTP2_NO_ERROR));
}
function onUpstreamError(this: UpstreamStream, error: Error): void {
  this[PAIR].upstreamFailed(error);
}
function onUpstreamClose(this: UpstreamStream): void {
  this[PAIR].upstreamClosed();
}
function onUpstreamDrain(this: UpstreamStream): void {
  this[PAIR].upstreamDrain();
}
function onUpstreamWantsTrailers(this: UpstreamStream): void {
  this[PAIR].upstreamWantsTrailers();
}
function onInterim(this: UpstreamStream, _headers: unknown, _flags: number, raw: string[]): void {
  this[PAIR].interim(raw);
}
function onResponse(this: UpstreamStream, headers: IncomingHttpHeaders, flags: number, raw: RawFields): void {
  this[PAIR].response(raw, headers, flags);
}
function onResponseData(this: UpstreamStream, chunk: Buffer): void {
  this[PAIR].responseData(chunk);
}
function onResponseEnd(this: UpstreamStream): void {
  this[PAIR].responseEnd();
}
function onResponseTrailers(this: UpstreamStream, _headers: unknown, _flags: number, raw: string[]): void {
  this[PAIR].responseTrailers(raw);
}
