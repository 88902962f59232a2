import type { ClientHttp2Stream, Http2Stream, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { Readable } from 'node:stream';
import type { Answer } from '../model/answer.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Corridor } from '../model/ports.ts';
import type { RawFields } from './http2-fields.ts';
import type { Last } from './http2-hold.ts';
import type { RequestHalf } from './http2-request.ts';
import type { ResponseHalf } from './http2-response.ts';

/** What a pair needs of its session relay. */
export interface PairHost {
  readonly corridor: Corridor;
  /** The agent stream is gone and the exchange closed. */
  done(pair: PairEvents): void;
  /** An upload goes on upstream although its exchange is complete (+1), or has ended (-1). */
  tail(change: 1 | -1): void;
  /** A reader is slow. */
  slow(): void;
  passedUp(bytes: number): void;
  passedDown(bytes: number): void;
  /** Whether the upstream session is dead, so that its end is mirrored as a whole and not stream by stream. */
  readonly upstreamDead: boolean;
}

export interface AgentRequest {
  readonly raw: RawFields;
  readonly headers: IncomingHttpHeaders;
  /** HEADERS carried END_STREAM. */
  readonly ended: boolean;
}

/** What happens on the two streams of a pair. */
export interface PairEvents {
  readonly request: RequestHalf;
  readonly response: ResponseHalf;
  agentAborted(): void;
  agentClosed(): void;
  interim(raw: readonly string[]): void;
  upstreamFailed(error: NodeJS.ErrnoException): void;
  upstreamClosed(): void;
}

/** A pair as its two halves see it. */
export interface Pair extends PairEvents {
  readonly host: PairHost;
  readonly exchange: Exchange;
  readonly agent: AgentStream;
  readonly upstream: UpstreamStream | undefined;
  /** The agent went away. */
  readonly gone: boolean;
  /** We have answered, or ended what had begun. */
  readonly answered: boolean;
  /** Our answer instead of the upstream's, which has not begun. */
  refuse(answer: Answer): void;
  /** The response has begun and may not go on: `last`, then its end. */
  cut(answer: Answer, last: Buffer | undefined): void;
  /** Ends both directions of what was switched to, with last bytes for each side. */
  leave(toAgent: Buffer | undefined, toUpstream: Buffer | undefined): void;
  requestStopped(answer: Answer, last: Last): void;
  malformed(detail: string): void;
}

const PAIR: unique symbol = Symbol('pair');
const ENDED: unique symbol = Symbol('END_STREAM received');
interface Bound {
  [PAIR]: PairEvents;
  [ENDED]: boolean;
}
export type AgentStream = ServerHttp2Stream & Bound;
export type UpstreamStream = ClientHttp2Stream & Bound;

/** Whether the peer ended the stream itself: END_STREAM was received, not a reset or the end of the session. */
export function sawEnd(stream: Bound): boolean {
  return stream[ENDED];
}

/** Ties an agent stream to its pair: for now only its end is listened for. */
export function bindAgent(stream: ServerHttp2Stream, pair: PairEvents, ended: boolean): AgentStream {
  const bound = stream as AgentStream;
  bound[PAIR] = pair;
  // A short body may have come with the HEADERS, before this stream was announced.
  bound[ENDED] = ended || bound.state.remoteClose === 1;
  bound.push = pushWatchingEnd;
  bound.on('close', onAgentClose);
  return bound;
}

/** Starts the flow from the agent. */
export function listenAgent(stream: AgentStream): void {
  stream.on('trailers', onRequestTrailers).on('wantTrailers', onAgentWantsTrailers).on('drain', onAgentDrain);
  stream.on('data', onRequestData).on('end', onRequestEnd).on('aborted', onAgentAborted);
}

/** Ties an upstream stream to its pair; DATA is listened for separately. */
export function bindUpstream(stream: ClientHttp2Stream, pair: PairEvents): UpstreamStream {
  const bound = stream as UpstreamStream;
  bound[PAIR] = pair;
  bound[ENDED] = false;
  bound.push = pushWatchingEnd;
  bound.on('error', onUpstreamError).on('headers', onInterim).on('response', onResponse).on('close', onUpstreamClose);
  bound.on('trailers', onResponseTrailers).on('drain', onUpstreamDrain).on('wantTrailers', onUpstreamWantsTrailers);
  return bound;
}

/** Starts the flow from the upstream. Not before 'response': DATA of the same packet could overtake it. */
export function listenUpstreamData(stream: UpstreamStream): void {
  stream.on('data', onResponseData).on('end', onResponseEnd);
}

/** Node ends a stream's readable side for END_STREAM, resets and dead sessions alike; only the first finds it not closed. */
function pushWatchingEnd(this: Http2Stream & Bound, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null && !this.closed) this[ENDED] = true;
  return Readable.prototype.push.call(this, chunk, encoding);
}

// One function per event, not one closure per stream: the pair is found through the stream.
function onAgentClose(this: AgentStream): void {
  this[PAIR].agentClosed();
}
function onAgentAborted(this: AgentStream): void {
  this[PAIR].agentAborted();
}
function onRequestData(this: AgentStream, chunk: Buffer): void {
  this[PAIR].request.data(chunk);
}
function onRequestEnd(this: AgentStream): void {
  this[PAIR].request.end();
}
function onRequestTrailers(this: AgentStream, _headers: unknown, _flags: number, raw: string[]): void {
  this[PAIR].request.trailers(raw);
}
function onAgentDrain(this: AgentStream): void {
  this[PAIR].response.agentDrained();
}
function onAgentWantsTrailers(this: AgentStream): void {
  this[PAIR].response.agentWantsTrailers();
}
function onUpstreamError(this: UpstreamStream, error: Error): void {
  this[PAIR].upstreamFailed(error);
}
function onUpstreamClose(this: UpstreamStream): void {
  this[PAIR].upstreamClosed();
}
function onUpstreamDrain(this: UpstreamStream): void {
  this[PAIR].request.upstreamDrained();
}
function onUpstreamWantsTrailers(this: UpstreamStream): void {
  this[PAIR].request.upstreamWantsTrailers();
}
function onInterim(this: UpstreamStream, _headers: unknown, _flags: number, raw: string[]): void {
  this[PAIR].interim(raw);
}
function onResponse(this: UpstreamStream, headers: IncomingHttpHeaders, flags: number, raw: RawFields): void {
  this[PAIR].response.head(raw, headers, flags);
}
function onResponseData(this: UpstreamStream, chunk: Buffer): void {
  this[PAIR].response.data(chunk);
}
function onResponseEnd(this: UpstreamStream): void {
  this[PAIR].response.end();
}
function onResponseTrailers(this: UpstreamStream, _headers: unknown, _flags: number, raw: string[]): void {
  this[PAIR].response.trailers(raw);
}
