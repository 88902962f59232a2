import type { Duplex } from 'node:stream';
import type { CloseFacts, ContentTap, Splice } from '../model/ports.ts';
import { closeSoon, keepHalfOpen, reset } from './http1-streams.ts';

/** Why a pair of joined streams ended; the first cause seen. */
export type JoinEnd = 'agent-closed' | 'upstream-closed' | 'agent-reset' | 'upstream-reset' | 'idle' | 'revoked';

/** Counters of bytes as on the wire; an `Exchange` is one. */
export interface ByteCounts {
  requestBytes: number;
  responseBytes: number;
}

/** Who looks at the two directions, after what was written on. */
export interface JoinTaps {
  readonly agent: ContentTap | undefined;
  readonly upstream: ContentTap | undefined;
}

/**
 * Two streams joined: bytes as they come, back-pressure, half-closes and resets passed on. Owns both from `start` on and
 * calls `done` once, when neither has anything left to give.
 */
export class Join {
  readonly #agent: Duplex;
  readonly #upstream: Duplex;
  readonly #counts: ByteCounts;
  readonly #idleMs: number;
  readonly #done: (end: JoinEnd) => void;
  readonly #taps: JoinTaps | undefined;
  #first: JoinEnd | undefined;
  #settled = false;
  #open = 2;
  #lastMono = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `idleMs` 0: no clock at all. */
  constructor(
    agent: Duplex,
    upstream: Duplex,
    counts: ByteCounts,
    idleMs: number,
    done: (end: JoinEnd) => void,
    taps?: JoinTaps,
  ) {
    this.#agent = agent;
    this.#upstream = upstream;
    this.#counts = counts;
    this.#idleMs = idleMs;
    this.#done = done;
    this.#taps = taps;
  }

  start(): void {
    this.#listen(this.#agent, this.#upstream, 'agent');
    this.#listen(this.#upstream, this.#agent, 'upstream');
    if (this.#idleMs > 0) {
      this.#lastMono = performance.now();
      this.#arm(this.#idleMs);
    }
  }

  /** Destroys both. */
  revoke(): void {
    this.#abort('revoked');
  }

  #listen(from: Duplex, to: Duplex, side: 'agent' | 'upstream'): void {
    const clocked = this.#idleMs > 0;
    const tap = this.#taps?.[side];
    keepHalfOpen(from);
    from.on('error', () => this.#fail(side, to));
    from.on('close', () => this.#closed(side, from, to));
    if (from.destroyed) {
      this.#closed(side, from, to);
      return;
    }
    from.on('end', () => this.#ended(side, to));
    if (from.readableEnded) {
      this.#ended(side, to);
      return;
    }
    from.on('data', (chunk: Buffer) => {
      if (!to.write(chunk)) from.pause();
      if (side === 'agent') this.#counts.requestBytes += chunk.length;
      else this.#counts.responseBytes += chunk.length;
      if (clocked) this.#lastMono = performance.now();
      tap?.push(chunk);
    });
    to.on('drain', () => from.resume());
    if (to.writableNeedDrain) from.pause();
    else from.resume();
  }

  #ended(side: 'agent' | 'upstream', to: Duplex): void {
    this.#first ??= `${side}-closed`;
    if (!to.destroyed && !to.writableEnded) to.end();
  }

  /** A reset, or a write that met one. */
  #fail(side: 'agent' | 'upstream', other: Duplex): void {
    if (this.#settled) return;
    this.#settle(`${side}-reset`);
    reset(other);
  }

  #closed(side: 'agent' | 'upstream', from: Duplex, other: Duplex): void {
    this.#open -= 1;
    // Destroyed before its FIN was read: by its owner, nobody will write to it or read from it again.
    if (!from.readableEnded) {
      this.#settle(`${side}-closed`);
      closeSoon(other);
    } else if (this.#open === 0) this.#settle(this.#first ?? `${side}-closed`);
  }

  #abort(end: JoinEnd): void {
    this.#settle(end);
    this.#agent.destroy();
    this.#upstream.destroy();
  }

  #settle(end: JoinEnd): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#done(end);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#idleMs - (performance.now() - this.#lastMono);
      if (left <= 0) this.#abort('idle');
      else this.#arm(Math.ceil(left));
    }, ms);
    this.#timer.unref();
  }
}

/** What the record says of a tunnel that ended this way. */
export function tunnelClose(end: JoinEnd): CloseFacts {
  if (end === 'revoked') return { outcome: 'blocked', error: 'stopped', closeReason: end };
  return { outcome: 'forwarded', closeReason: end };
}

/** An opaque tunnel (`Splice` of the ports): bytes both ways until both ends are done; closes `tunnel` and its connection. */
export const splice: Splice = (agent, link, tunnel, context) => {
  tunnel.peer = link.peer;
  tunnel.delegated = link.delegated;
  tunnel.sentMono ??= performance.now();
  const join = new Join(agent, link.socket, tunnel, context.limits.tunnelIdleMs, (end) => {
    context.corridor.close(tunnel, tunnelClose(end));
    context.corridor.connectionClosed(tunnel.connection, end);
  });
  const first = context.firstBytes;
  if (first !== undefined && first.length > 0 && !link.socket.destroyed) {
    link.socket.write(first);
    tunnel.requestBytes += first.length;
  }
  join.start();
  context.corridor.onRevoked(tunnel, () => join.revoke());
};
