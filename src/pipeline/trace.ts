import { randomFillSync } from 'node:crypto';

/** The trace an exchange belongs to (W3C Trace Context; product.md §5 "An incoming traceparent is joined"). */
export interface TraceContext {
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly linkTraceId?: string;
  readonly linkSpanId?: string;
  readonly reparented?: boolean;
}

const pool = Buffer.allocUnsafe(8192);
let used = pool.length;

/** Random lower-case hex of `bytes` bytes; never all zero in practice (2^-64 and below). */
function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const hex = pool.toString('hex', used, used + bytes);
  used += bytes;
  return hex;
}

export function newSpanId(): string {
  return randomHex(8);
}

export function newTraceId(): string {
  return randomHex(16);
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-|$)/;

/** Trace and span id of a valid `traceparent` (W3C Trace Context §3.2.2), else undefined. The flags are never read: an agent cannot switch its record off. */
export function parseTraceparent(value: string): { traceId: string; spanId: string } | undefined {
  const match = TRACEPARENT.exec(value);
  if (match === null || value.startsWith('ff')) return undefined;
  const traceId = match[1] as string;
  const spanId = match[2] as string;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  // Version 00 has exactly this length; later versions may append fields (§3.2.1).
  if (value.startsWith('00') && value.length !== 55) return undefined;
  return { traceId, spanId };
}

export type Traces = (traceparent: string | undefined) => TraceContext;

/**
 * Joins incoming contexts, at most `perHour` spans of ours per claimed trace id: beyond that a new root is started and
 * linked, because one trace id for everything makes backends drop the whole trace (telemetry.md §1.9).
 */
export function createTraces(perHour: number, now: () => number): Traces {
  let hour = -1;
  let counts = new Map<string, number>();
  return (traceparent) => {
    if (traceparent === undefined) return { traceId: newTraceId() };
    const parent = parseTraceparent(traceparent);
    if (parent === undefined) return { traceId: newTraceId() };
    const current = Math.floor(now() / 3_600_000);
    // A flood of distinct ids must not grow the map without bound: it starts afresh.
    if (current !== hour || counts.size > 50_000) {
      hour = current;
      counts = new Map();
    }
    const count = (counts.get(parent.traceId) ?? 0) + 1;
    counts.set(parent.traceId, count);
    if (count > perHour) {
      return { traceId: newTraceId(), linkTraceId: parent.traceId, linkSpanId: parent.spanId, reparented: true };
    }
    return { traceId: parent.traceId, parentSpanId: parent.spanId };
  };
}
