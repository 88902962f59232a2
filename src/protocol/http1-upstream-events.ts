import type { Duplex } from 'node:stream';
import { keepHalfOpen } from './http1-streams.ts';

/** Who is told what happens on an upstream transport. */
export interface UpstreamListener {
  upstreamData(chunk: Buffer): void;
  /** FIN: it sends nothing more, and may still read. */
  upstreamFinished(): void;
  upstreamGone(): void;
  upstreamDrained(): void;
}

/** The listeners on an upstream's stream, as one thing that can be taken off again. */
export class UpstreamEvents {
  /** Its end was a reset. */
  wasReset = false;
  readonly #socket: Duplex;
  readonly #listener: UpstreamListener;

  constructor(socket: Duplex, listener: UpstreamListener) {
    this.#socket = socket;
    this.#listener = listener;
  }

  /** Begins to read. */
  attach(): void {
    const socket = this.#socket;
    keepHalfOpen(socket);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    if (socket.destroyed) {
      queueMicrotask(this.#onClose);
      return;
    }
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('data', this.#onData);
    if (socket.readableEnded) queueMicrotask(this.#onEnd);
    socket.resume();
  }

  /** Stops reading, for a caller that takes the socket over and listens already. */
  detach(): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => this.#listener.upstreamData(chunk);
  readonly #onEnd = (): void => this.#listener.upstreamFinished();
  readonly #onDrain = (): void => this.#listener.upstreamDrained();
  readonly #onClose = (): void => this.#listener.upstreamGone();
  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.wasReset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
  };
}
