import { printable } from '../model/printable.ts';
import type { Log } from './otlp.ts';

/** Count in the answer of a Collector that took only a part (`ExportTracePartialSuccess`, `ExportLogsPartialSuccess`). */
type Rejected = 'rejectedSpans' | 'rejectedLogRecords';

interface Delegate {
  _responseHandler?: { handleResponse(response: unknown): void };
  _transport?: { send(data: Uint8Array, timeoutMillis: number): Promise<unknown> };
}

/** A Collector that refuses a part of every batch is told of once in this time. */
const SAY_MS = 60_000;
const MESSAGE_CHARACTERS = 300;

/**
 * Reads what an exporter's Collector answers to an export that succeeded: the returned function gives the number of items of the
 * last export that it did not take, once. They are gone for good, sending them again is forbidden (OTLP specification, "Partial
 * Success"). The SDK hands the answer to a handler that only logs it, and has no option for another one: ours takes its place.
 * An exporter that keeps it elsewhere counts none.
 */
export function countRejected(
  exporter: object,
  field: Rejected,
  log: Log,
  clock = () => performance.now(),
): () => number {
  let last = 0;
  let unsaid = 0;
  let saidAt = Number.NEGATIVE_INFINITY;
  const take = (): number => {
    const rejected = last;
    last = 0;
    return rejected;
  };
  const delegate = (exporter as { _delegate?: Delegate })._delegate;
  if (typeof delegate?._responseHandler?.handleResponse !== 'function') return take;
  delegate._responseHandler = {
    handleResponse(response) {
      const partial = (response as { partialSuccess?: Record<string, unknown> | null } | null)?.partialSuccess;
      if (typeof partial !== 'object' || partial === null) return;
      last = countOf(partial[field]);
      unsaid += last;
      const message = typeof partial['errorMessage'] === 'string' ? partial['errorMessage'] : '';
      // Without either it is a full success, with a message alone a hint.
      if (last === 0 && message === '') return;
      if (clock() - saidAt < SAY_MS) return;
      saidAt = clock();
      const what = field === 'rejectedSpans' ? 'spans' : 'log events';
      const lost = unsaid === 0 ? 'warns' : `did not take all it was sent (${what} lost: ${unsaid})`;
      log('warn', `the collector ${lost}: ${printable(message, MESSAGE_CHARACTERS) || 'it does not say why'}`);
      unsaid = 0;
    },
  };
  return take;
}

/**
 * Reads how long the Collector asked to be left alone (`Retry-After` of a 429 or 503): the returned function gives the milliseconds
 * of the last export that failed, once. The SDK waits that long itself where its own timeout allows it, and says nothing of it where
 * not. An exporter that keeps its transport elsewhere tells nothing.
 */
export function watchRetryAfter(exporter: object): () => number | undefined {
  let last: number | undefined;
  const transport = (exporter as { _delegate?: Delegate })._delegate?._transport;
  if (typeof transport?.send === 'function') {
    const send = transport.send.bind(transport);
    transport.send = async (data, timeoutMillis) => {
      last = undefined;
      const answer = await send(data, timeoutMillis);
      const { status, retryInMillis } = answer as { status?: unknown; retryInMillis?: unknown };
      if (status === 'retryable' && typeof retryInMillis === 'number' && retryInMillis > 0) last = retryInMillis;
      return answer;
    };
  }
  return () => {
    const asked = last;
    last = undefined;
    return asked;
  };
}

/** Both of an exporter. */
export const watchAnswers = (exporter: object, field: Rejected, log: Log) => ({
  rejected: countRejected(exporter, field, log),
  retryAfter: watchRetryAfter(exporter),
});

/** An int64 of protobuf, which JSON has as text (a number is accepted as well); anything else is none. */
function countOf(value: unknown): number {
  const count = typeof value === 'string' || typeof value === 'number' ? Number(value) : 0;
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}
