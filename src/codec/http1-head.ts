import { CR, LF, LOOSE_VALUE, SP, TARGET, TOKEN } from './http1-chars.ts';
import { type DroppableLine, emptyScan, type FieldScan, fault, type HeadFault, scanFields } from './http1-fields.ts';
import type { HeadLimits, HeadReader } from './http1-reader.ts';

/** How the body of a message is delimited (RFC 9112 §6.3). */
export type BodyKind = 'none' | 'length' | 'chunked' | 'until-close';

/** A request head. Indices count in the buffer it was parsed from. */
export interface RequestHead {
  readonly ok: true;
  readonly method: string;
  /** Request target, latin1, as sent. */
  readonly target: string;
  readonly version: '1.0' | '1.1';
  readonly fields: readonly string[];
  readonly body: 'none' | 'length' | 'chunked';
  /** Bytes of the body when `body` is `length`, else 0. */
  readonly length: number;
  /** The agent means to send another request on this connection. */
  readonly persistent: boolean;
  readonly host: string | undefined;
  /** Value of Upgrade, lower-case. */
  readonly upgrade: string | undefined;
  readonly expectContinue: boolean;
  /** First byte of the method (empty lines before it are not part of the head). */
  readonly start: number;
  readonly targetAt: number;
  readonly targetEnd: number;
  /** First byte after the head. */
  readonly end: number;
  readonly droppable: readonly DroppableLine[] | undefined;
}

/** A response head. Indices count in the buffer it was parsed from. */
export interface ResponseHead {
  readonly ok: true;
  readonly status: number;
  readonly version: '1.0' | '1.1';
  readonly fields: readonly string[];
  readonly body: BodyKind;
  readonly length: number;
  /** The upstream means to take another request on this connection. */
  readonly persistent: boolean;
  readonly upgrade: string | undefined;
  readonly end: number;
}

/** `HTTP/1.0` or `HTTP/1.1` at `at`: the minor version, or -1. */
function minorVersion(bytes: Uint8Array, at: number): number {
  if (
    bytes[at] !== 0x48 ||
    bytes[at + 1] !== 0x54 ||
    bytes[at + 2] !== 0x54 ||
    bytes[at + 3] !== 0x50 ||
    bytes[at + 4] !== 0x2f ||
    bytes[at + 5] !== 0x31 ||
    bytes[at + 6] !== 0x2e
  ) {
    return -1;
  }
  const minor = (bytes[at + 7] as number) - 0x30;
  return minor === 0 || minor === 1 ? minor : -1;
}

function badRequestLine(bytes: Uint8Array, i: number): HeadFault {
  const byte = bytes[i];
  if (byte === LF) return fault('ambiguous-framing', 'the request line ends in a bare LF (RFC 9112 §2.2)');
  return fault('bad-request', 'the request line is not `method target HTTP/1.x`');
}

function requestFraming(scan: FieldScan, minor: number, method: string): HeadFault | undefined {
  if (scan.codings > 0) {
    if (scan.contentLengths > 0) return fault('ambiguous-framing', 'both Content-Length and Transfer-Encoding');
    if (scan.codings > 1 || !scan.chunked)
      return fault('ambiguous-framing', 'Transfer-Encoding is not exactly chunked');
    if (minor === 0) return fault('ambiguous-framing', 'Transfer-Encoding in an HTTP/1.0 request');
  }
  if (scan.hosts > 1) return fault('ambiguous-framing', 'more than one Host');
  if (minor === 1 && scan.hosts === 0) return fault('bad-request', 'no Host in an HTTP/1.1 request');
  // RFC 9110 §9.3.6: CONNECT has no content; readers disagree on what such bytes would be.
  if (method === 'CONNECT' && (scan.codings > 0 || scan.contentLength > 0)) {
    return fault('ambiguous-framing', 'a CONNECT with a body');
  }
  return undefined;
}

/**
 * Parses the request head that {@link HeadReader} found in its `bytes`. Strict: what has no single honest reading
 * (RFC 9112 §6.3, §11.2) is a {@link HeadFault}, never an exception.
 */
export function parseRequestHead(reader: HeadReader, limits: HeadLimits): RequestHead | HeadFault {
  const { bytes, start, end } = reader;
  let i = start;
  while (TOKEN[bytes[i] as number] === 1) i++;
  const methodEnd = i;
  if (methodEnd === start || bytes[i] !== SP) return badRequestLine(bytes, i);
  const targetAt = ++i;
  while (TARGET[bytes[i] as number] === 1) i++;
  const targetEnd = i;
  if (targetEnd === targetAt || bytes[i] !== SP) return badRequestLine(bytes, i);
  const minor = minorVersion(bytes, i + 1);
  if (minor < 0) return fault('bad-request', 'the version is not HTTP/1.0 or HTTP/1.1');
  i += 9;
  if (bytes[i] !== CR || bytes[i + 1] !== LF) return badRequestLine(bytes, i);
  const text = bytes.toString('latin1', start, end);
  const method = text.slice(0, methodEnd - start);
  const scan = emptyScan();
  const section = { bytes, text, base: start, at: i + 2, maxFields: limits.headers, response: false };
  const failed = scanFields(section, scan) ?? requestFraming(scan, minor, method);
  if (failed !== undefined) return failed;
  return {
    ok: true,
    method,
    target: text.slice(targetAt - start, targetEnd - start),
    version: minor === 1 ? '1.1' : '1.0',
    fields: scan.fields,
    body: scan.codings > 0 ? 'chunked' : scan.contentLength > 0 ? 'length' : 'none',
    length: Math.max(scan.contentLength, 0),
    persistent: minor === 1 ? !scan.close : scan.keepAlive && !scan.close,
    host: scan.host,
    upgrade: scan.upgrade?.toLowerCase(),
    expectContinue: scan.expectContinue,
    start,
    targetAt,
    targetEnd,
    end: scan.end,
    droppable: scan.droppable,
  };
}

/** RFC 9112 §6.3 in its order: no body by status or method, then chunked, then a length, then until the connection ends. */
function responseBody(scan: FieldScan, status: number, method: string): BodyKind {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'none';
  if (method === 'CONNECT' && status < 300) return 'none';
  if (scan.chunked) return 'chunked';
  if (scan.contentLengths > 0) return scan.contentLength > 0 ? 'length' : 'none';
  return 'until-close';
}

/** Digits of the status code at `at`, or -1. */
function statusCode(bytes: Uint8Array, at: number): number {
  let status = 0;
  for (let i = at; i < at + 3; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    status = status * 10 + digit;
  }
  return status < 100 ? -1 : status;
}

/**
 * Parses the response head that {@link HeadReader} found, as the answer to a request with `method`. As strict as for
 * requests about framing, lenient about reason phrases and value bytes.
 */
export function parseResponseHead(reader: HeadReader, limits: HeadLimits, method: string): ResponseHead | HeadFault {
  const { bytes, start, end } = reader;
  const minor = minorVersion(bytes, start);
  if (minor < 0 || bytes[start + 8] !== SP) return fault('bad-request', 'the status line is not `HTTP/1.x status`');
  const status = statusCode(bytes, start + 9);
  let i = start + 12;
  if (status < 0 || (bytes[i] !== SP && bytes[i] !== CR)) return fault('bad-request', 'the status is not three digits');
  while (LOOSE_VALUE[bytes[i] as number] === 1) i++;
  if (bytes[i] !== CR || bytes[i + 1] !== LF) {
    return fault('ambiguous-framing', 'the status line does not end in CRLF (RFC 9112 §2.2)');
  }
  const text = bytes.toString('latin1', start, end);
  const scan = emptyScan();
  const section = { bytes, text, base: start, at: i + 2, maxFields: limits.headers, response: true };
  const failed = scanFields(section, scan);
  if (failed !== undefined) return failed;
  if (scan.codings > 0) {
    if (scan.contentLengths > 0) return fault('ambiguous-framing', 'both Content-Length and Transfer-Encoding');
    if (scan.codings > 1 || !scan.chunked)
      return fault('ambiguous-framing', 'Transfer-Encoding is not exactly chunked');
  }
  const body = responseBody(scan, status, method);
  // RFC 9112 §6.1: after an HTTP/1.0 message with Transfer-Encoding the connection is not used again.
  const reusable = minor === 1 ? !scan.close : scan.keepAlive && !scan.close && scan.codings === 0;
  return {
    ok: true,
    status,
    version: minor === 1 ? '1.1' : '1.0',
    fields: scan.fields,
    body,
    length: body === 'length' ? scan.contentLength : 0,
    persistent: reusable && body !== 'until-close',
    upgrade: scan.upgrade?.toLowerCase(),
    end: scan.end,
  };
}
