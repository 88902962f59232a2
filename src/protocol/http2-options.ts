import type { ClientSessionOptions, ServerSessionOptions, Settings } from 'node:http2';
import type { RelayLimits } from '../model/ports.ts';

/** Stream window at the start, and again as soon as a reader stalls. */
export const WINDOW = 1_048_576;
/** Stream window of a reader that keeps up: 80 ms round trips then carry 94 MB/s (data-path.md B9). */
export const MAX_WINDOW = 8_388_608;
/** Stream window under memory pressure: the protocol's default. */
export const MIN_WINDOW = 65_535;
/**
 * Connection window. Node gives it back on receipt, so it bounds no memory; it must only not be narrower than one
 * stream's, with room for a second one.
 */
export const CONNECTION_WINDOW = 2 * MAX_WINDOW;

/**
 * Node's defaults that would end a healthy session, widened but bounded (data-path.md B2): 33 cancelled streams a
 * second, 128 fields, 64 KiB of fields sent, 10 MB of session memory. `strict…: false` because judging field syntax is
 * the upstream's business; nghttp2 still refuses what is malformed (RFC 9113 §8.1.1).
 */
function common(limits: RelayLimits): ClientSessionOptions & ServerSessionOptions {
  const fields = limits.headers > 0 ? limits.headers : 65_535;
  return {
    maxHeaderListPairs: fields + 8,
    maxSendHeaderBlockLength: 4 * headBytes(limits),
    maxSessionMemory: 100,
    maxOutstandingPings: 100,
    streamResetBurst: 5_000,
    streamResetRate: 500,
    strictSingleValueFields: false,
    strictFieldWhitespaceValidation: false,
  } as ClientSessionOptions & ServerSessionOptions;
}

function headBytes(limits: RelayLimits): number {
  return limits.headBytes > 0 ? limits.headBytes : 1_048_576;
}

/** SETTINGS_MAX_HEADER_LIST_SIZE counts 32 octets per field on top (RFC 9113 §6.5.2). */
function listSize(limits: RelayLimits): number {
  return headBytes(limits) + 32 * (limits.headers > 0 ? limits.headers : 1_000);
}

/** Streams the agent may have open: what the upstream grants, at most our own limit. */
export function streamLimit(limits: RelayLimits, upstream: Settings | undefined): number {
  const own = limits.streamsPerConnection > 0 ? limits.streamsPerConnection : 2 ** 31 - 1;
  return Math.min(own, upstream?.maxConcurrentStreams ?? own);
}

export function agentOptions(limits: RelayLimits, upstream: Settings | undefined): ServerSessionOptions {
  return {
    ...common(limits),
    settings: {
      initialWindowSize: WINDOW,
      maxConcurrentStreams: streamLimit(limits, upstream),
      maxHeaderListSize: listSize(limits),
      // RFC 8441 §3: only when the upstream said so.
      ...(upstream?.enableConnectProtocol === true ? { enableConnectProtocol: true } : {}),
    },
  };
}

export function upstreamOptions(limits: RelayLimits): ClientSessionOptions {
  return {
    ...common(limits),
    peerMaxConcurrentStreams: streamLimit(limits, undefined),
    settings: { enablePush: false, initialWindowSize: WINDOW, maxHeaderListSize: listSize(limits) },
  };
}
