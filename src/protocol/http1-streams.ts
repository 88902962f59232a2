import type { Duplex } from 'node:stream';

/** What Node's sockets have beyond their types: the handle below TLS, which alone can send a RST for it. */
interface Resettable {
  readonly encrypted?: boolean;
  readonly resetAndDestroy?: () => unknown;
  readonly _handle?: { readonly _parent?: { reset?(done: () => void): number } } | null;
}

/**
 * Ends a stream so that a reset stays a reset: RST on TCP, and on the TCP below TLS (`resetAndDestroy` refuses TLS
 * sockets; without this the peer would see a FIN). A stream that knows no RST is destroyed.
 */
export function reset(stream: Duplex): void {
  if (stream.destroyed) return;
  const socket = stream as Duplex & Resettable;
  try {
    if (socket.encrypted === true) socket._handle?._parent?.reset?.(() => {});
    else if (typeof socket.resetAndDestroy === 'function') socket.resetAndDestroy();
  } catch {
    // A pipe, or a handle already gone: destroyed like any other stream.
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
