import { constants, type Http2Stream } from 'node:http2';
import type { ErrorCode } from '../model/error.ts';
import type { CloseFacts } from '../model/ports.ts';
import { fieldObject } from './http2-fields.ts';

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

/** Answers `wantTrailers`. An empty list becomes an empty DATA frame with END_STREAM, as a stream without trailers ends. */
export function sendTrailers(stream: Http2Stream, raw: readonly string[]): void {
  try {
    stream.sendTrailers(fieldObject(raw));
  } catch {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}
