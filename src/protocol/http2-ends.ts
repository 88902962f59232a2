import { constants, type Http2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts, Link } from '../model/ports.ts';
import { fieldObject } from './http2-fields.ts';

/** What had begun was ended because of what came after. */
export const CUT: CloseFacts = { outcome: 'blocked', error: 'policy-denied', closeReason: 'cut' };

/** How an exchange is recorded whose upstream connection ended under it. */
export function cutFacts(error: NodeJS.ErrnoException | undefined, headSeen: boolean): CloseFacts {
  return { outcome: 'failed', error: cutCode(error?.code, headSeen), detail: detailOf(error) };
}

function cutCode(code: string | undefined, headSeen: boolean): ErrorCode {
  if (code === 'ECONNRESET') return 'upstream-reset';
  if (code === 'ERR_HTTP2_ERROR') return 'upstream-malformed';
  return headSeen ? 'body-truncated' : 'upstream-closed';
}

function detailOf(error: NodeJS.ErrnoException | undefined): string {
  if (error === undefined) return 'upstream connection closed';
  return error.code === undefined ? error.message : `${error.code}: ${error.message}`;
}

/** Where the exchange went. */
export function noteLink(exchange: Exchange, link: Link): void {
  exchange.peer = link.peer;
  exchange.timings = link.timings;
  if (link.delegated) exchange.delegated = true;
  if (link.tls !== undefined) exchange.upstreamTls = link.tls;
}

/** Bytes both streams of a pair hold for their readers. */
export function heldBy(agent: Duplex, upstream: Duplex | undefined): number {
  if (upstream === undefined) return 0;
  return agent.readableLength + agent.writableLength + upstream.readableLength + upstream.writableLength;
}

/** Answers `wantTrailers`. An empty list becomes an empty DATA frame with END_STREAM, as a stream without trailers ends. */
export function sendTrailers(stream: Http2Stream, raw: readonly string[]): void {
  try {
    stream.sendTrailers(fieldObject(raw));
  } catch {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}
