import type { Duplex } from 'node:stream';

/** What Node's TCP sockets have beyond their types, and where a TLS socket keeps the one below it. */
interface Resettable {
  readonly connecting?: boolean;
  readonly encrypted?: boolean;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  readonly _handle?: { readonly reset?: unknown; readonly _parentWrap?: Resettable | null } | null;
  /** What `resetAndDestroy` sets: `destroy` then closes with RST. */
  resetAndClosing?: boolean;
}

/** libuv refuses a RST while a shutdown is under way, and Node then leaks the handle (it spins at exit). */
function isShuttingDown(socket: Resettable): boolean {
  return socket.writableEnded && !socket.writableFinished;
}

/**
 * Ends a stream so that a reset stays a reset, at once. `resetAndDestroy` is not that: it sends FIN first, waits for
 * what is unsent, and refuses TLS. A stream that knows no RST is destroyed.
 */
export function reset(stream: Duplex): void {
  if (stream.destroyed) return;
  const socket: Resettable = stream as Duplex & Resettable;
  const tcp = socket.encrypted === true ? socket._handle?._parentWrap : socket;
  if (tcp?._handle?.reset !== undefined && tcp.connecting !== true && !isShuttingDown(socket) && !isShuttingDown(tcp)) {
    tcp.resetAndClosing = true;
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
