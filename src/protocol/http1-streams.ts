import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * Ends a stream so that a reset stays a reset: RST on TCP. TLS has no reset of its own and Node refuses one there; it is
 * destroyed without `close_notify`, which its peer reads as truncation.
 */
export function reset(stream: Duplex): void {
  const socket = stream as Duplex & Partial<Pick<Socket, 'resetAndDestroy'>> & { readonly encrypted?: boolean };
  if (socket.destroyed) return;
  if (typeof socket.resetAndDestroy === 'function' && socket.encrypted !== true) {
    try {
      socket.resetAndDestroy();
      return;
    } catch {
      // A pipe or another handle that knows no RST (ERR_INVALID_HANDLE_TYPE).
    }
  }
  stream.destroy();
}

function destroyThis(this: Duplex): void {
  this.destroy();
}

/** Sends what is waiting, then FIN, then destroys. Nothing is read any more. */
export function closeSoon(stream: Duplex): void {
  if (stream.destroyed) return;
  if (stream.writableFinished) {
    stream.destroy();
    return;
  }
  stream.once('finish', destroyThis);
  stream.end();
}

/** Time the peer gets to read our last bytes and close, before the kernel would answer its own with a RST (RFC 9112 §9.6). */
const LINGER_MS = 2000;

function linger(this: Duplex): void {
  const timer = setTimeout(() => this.destroy(), LINGER_MS);
  timer.unref();
  this.once('close', () => clearTimeout(timer));
}

/** Sends what is waiting and FIN, then throws away what still comes until the peer ends too, at most {@link LINGER_MS}. */
export function closeGently(stream: Duplex): void {
  if (stream.destroyed) return;
  if (stream.readableEnded) {
    closeSoon(stream);
    return;
  }
  // The time begins when everything is sent: a slow reader gets all of it.
  if (stream.writableFinished) linger.call(stream);
  else stream.once('finish', linger);
  if (!stream.writableEnded) stream.end();
  stream.resume();
}

/** The peer's FIN must not end our writing side: half-closes are relayed, not invented. */
export function keepHalfOpen(stream: Duplex): void {
  stream.allowHalfOpen = true;
}
