import type { Exchange } from '../model/exchange.ts';
import type { Finding, Severity } from '../model/finding.ts';
import { type Entry, methodBit } from './baseline-index.ts';
import { bytesOutFinding, bytesOutInDayFinding } from './baseline-words.ts';

/** Request data under this many bytes is a look, not an upload. */
const SMALL_BYTES = 1024;
/** A tunnel shows bytes only: a TLS handshake of the agent's side and one small request fit in this. */
const TUNNEL_BYTES = SMALL_BYTES + 3072;
/** GET, HEAD, OPTIONS. */
const READS = 0b100_0011;

/** Below this many bytes no single request is far beyond anything. */
const VOLUME_FLOOR = 1 << 20;
const VOLUME_FACTOR = 20;
/** Requests before an average means something. */
const VOLUME_HISTORY = 20;

/**
 * How much a first contact weighs, by what left (product.md §6): a read under 1 KiB of request data is info, an upload or a
 * risky category medium. A sibling of a known domain weighs less.
 */
export function contactSeverity(exchange: Exchange, risky: boolean, sibling: boolean): Severity {
  if (risky) return 'medium';
  const { request, requestBytes } = exchange;
  const upload = sibling ? 'low' : 'medium';
  if (exchange.kind === 'tunnel') return requestBytes < TUNNEL_BYTES ? 'info' : upload;
  const reads = (methodBit(request.method) & READS) !== 0 || requestBytes === 0;
  return reads && requestBytes + request.target.length < SMALL_BYTES ? 'info' : upload;
}

/** A single exchange that sends far more than this agent ever sent to this destination on average. */
export function volumeFinding(exchange: Exchange, entry: Entry): Finding | undefined {
  if (exchange.requestBytes < VOLUME_FLOOR || entry.count < VOLUME_HISTORY || entry.status === 'ignored')
    return undefined;
  const usual = entry.requestBytes / entry.count;
  if (exchange.requestBytes <= usual * VOLUME_FACTOR) return undefined;
  return bytesOutFinding(entry.host, exchange.requestBytes, Math.round(usual));
}

/** Below this many bytes nothing adds up to much within a day. */
const SMALL_PART = 4096;
/** What was sent in a day is news above this, and above so many times the most of any day before. */
const DAY_FLOOR = 16 << 20;
const DAY_FACTOR = 8;
/** Days before there is a rhythm. */
const DAYS = 3;
const DAY = 86_400_000;

/** What is sent bit by bit: more in a day than ever, by far. Told once a day; called once for every exchange that counts. */
export function dayFinding({ host, sent, status }: Entry, { startedAt, requestBytes }: Exchange): Finding | undefined {
  const day = Math.floor(startedAt / DAY);
  if (day > sent.day) {
    if (sent.bytes > 0) sent.days++;
    // What was told is no measure for the next day, until it has become a habit.
    if (!sent.told || ++sent.toldDays >= DAYS) sent.most = Math.max(sent.most, sent.bytes);
    sent.day = day;
    sent.bytes = 0;
    sent.told = false;
  }
  sent.bytes += requestBytes;
  if (sent.told || sent.days < DAYS || status === 'ignored') return undefined;
  if (sent.bytes <= Math.max(DAY_FLOOR, sent.most * DAY_FACTOR)) return undefined;
  sent.told = true;
  return bytesOutInDayFinding(host, sent.bytes, Math.round(sent.most));
}

/** Cheap first question of {@link volumeFinding} and {@link dayFinding}. */
export function isUpload(exchange: Exchange): boolean {
  return exchange.requestBytes >= SMALL_PART;
}
