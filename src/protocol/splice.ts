import type { Duplex } from 'node:stream';
import type { CloseFacts, ContentFilter, ContentTap, FilterSink, Splice } from '../model/ports.ts';
import { closeGently, closeSoon, keepHalfOpen, reset } from './http1-streams.ts';

/** Why a pair of joined streams ended; the first cause seen. */
export type JoinEnd =
  | 'agent-closed'
  | 'upstream-closed'
  | 'agent-reset'
  | 'upstream-reset'
  | 'idle'
  | 'revoked'
  /** What one side said must not pass. */
  | 'refused';

/** Counters of bytes as on the wire; an `Exchange` is one. */
export interface ByteCounts {
  requestBytes: number;
  responseBytes: number;
}

type Side = 'agent' | 'upstream';

/** Asked who looks at what one side sends: before it goes on, else on a copy. */
export interface JoinLooks {
  filter(side: Side, sink: FilterSink): ContentFilter | undefined;
  tap(side: Side): ContentTap | undefined;
}

/** What is joined. */
export interface Joined {
  readonly agent: Duplex;
  readonly upstream: Duplex;
  readonly counts: ByteCounts;
  /** 0: no clock at all. */
  readonly idleMs: number;
  /** Nobody looks when absent. */
  readonly looks?: JoinLooks | undefined;
  /** Bytes that were read before, by who sent them. */
  readonly first?: { readonly agent?: Buffer | undefined; readonly upstream?: Buffer | undefined };
}

/** One direction. */
interface Lane {
  readonly side: Side;
  readonly from: Duplex;
  readonly to: Duplex;
  filter: ContentFilter | undefined;
  tap: ContentTap | undefined;
  /** The filter wants no more for now. */
  full: boolean;
  /** The filter has said its last word. */
  over: boolean;
}

/**
 * Two streams joined: bytes as they come, back-pressure, half-closes and resets passed on. Owns both from `start` on and
 * calls `done` once, when neither has anything left to give.
 */
export class Join {
  readonly #joined: Joined;
  readonly #done: (end: JoinEnd) => void;
  readonly #lanes: readonly Lane[];
  #first: JoinEnd | undefined;
  /** How it ended; nothing goes on any more. */
  #end: JoinEnd | undefined;
  #told = false;
  #open = 2;
  #lastMono = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(joined: Joined, done: (end: JoinEnd) => void) {
    const { agent, upstream, looks } = joined;
    this.#joined = joined;
    this.#done = done;
    this.#lanes = [this.#lane('agent', agent, upstream, looks), this.#lane('upstream', upstream, agent, looks)];
  }

  start(): void {
    const { first, idleMs } = this.#joined;
    for (const lane of this.#lanes) this.#listen(lane, first?.[lane.side]);
    // Messages have no end to wait for: whoever wants to hold all of them refuses them.
    for (const { filter } of this.#lanes) if (filter?.shape === 'whole') filter.end();
    if (idleMs > 0 && this.#end === undefined) {
      this.#lastMono = performance.now();
      this.#arm(idleMs);
    }
  }

  /** Destroys both. */
  revoke(): void {
    this.#abort('revoked');
  }

  #lane(side: Side, from: Duplex, to: Duplex, looks: JoinLooks | undefined): Lane {
    const lane: Lane = { side, from, to, filter: undefined, tap: undefined, full: false, over: false };
    lane.filter = looks?.filter(side, {
      data: (payload) => {
        if (this.#end === undefined && !to.destroyed && !to.writableEnded && !to.write(payload)) from.pause();
      },
      drained: () => {
        lane.full = false;
        if (!to.writableNeedDrain) from.resume();
      },
      end: () => {
        lane.over = true;
        if (this.#end === undefined) this.#passEnd(to);
        else this.#tell();
      },
      stop: (_answer, last) => {
        lane.over = true;
        this.#refuse(lane, last);
      },
    });
    if (lane.filter === undefined) lane.tap = looks?.tap(side);
    return lane;
  }

  #listen(lane: Lane, first: Buffer | undefined): void {
    const { from, to, side } = lane;
    keepHalfOpen(from);
    from.on('error', () => this.#fail(side, to));
    if (first !== undefined && first.length > 0) this.#take(lane, first);
    from.on('close', () => this.#closed(side, from, to));
    if (from.destroyed) {
      this.#closed(side, from, to);
      return;
    }
    from.on('end', () => this.#ended(lane));
    if (from.readableEnded) {
      this.#ended(lane);
      return;
    }
    from.on('data', (chunk: Buffer) => this.#take(lane, chunk));
    to.on('drain', () => {
      if (!lane.full) from.resume();
    });
    if (to.writableNeedDrain || lane.full) from.pause();
    else from.resume();
  }

  #take(lane: Lane, chunk: Buffer): void {
    const { from, to, side, filter } = lane;
    // Only a stream that is closed gently still gives anything then.
    if (this.#end !== undefined) return;
    const { counts, idleMs } = this.#joined;
    if (side === 'agent') counts.requestBytes += chunk.length;
    else counts.responseBytes += chunk.length;
    if (idleMs > 0) this.#lastMono = performance.now();
    if (filter === undefined) {
      if (!to.write(chunk)) from.pause();
      lane.tap?.push(chunk);
    } else if (!filter.write(chunk)) {
      lane.full = true;
      from.pause();
    }
  }

  #ended(lane: Lane): void {
    this.#first ??= `${lane.side}-closed`;
    if (lane.filter === undefined || lane.over) this.#passEnd(lane.to);
    else lane.filter.end();
  }

  #passEnd(to: Duplex): void {
    if (!to.destroyed && !to.writableEnded) to.end();
  }

  /** What one side said must not pass: both are told what their protocol knows for that, and closed. */
  #refuse({ from, to }: Lane, last: Parameters<FilterSink['stop']>[1]): void {
    if (this.#end !== undefined) {
      this.#tell();
      return;
    }
    if (last?.forward !== undefined && !to.writableEnded && !to.destroyed) to.write(last.forward);
    if (last?.back !== undefined && !from.writableEnded && !from.destroyed) from.write(last.back);
    this.#settle('refused');
    closeGently(to);
    closeGently(from);
  }

  /** A reset, or a write that met one. */
  #fail(side: Side, other: Duplex): void {
    if (this.#end !== undefined) return;
    this.#settle(`${side}-reset`);
    reset(other);
  }

  #closed(side: Side, from: Duplex, other: Duplex): void {
    this.#open -= 1;
    // Destroyed before its FIN was read: by its owner, nobody will write to it or read from it again.
    if (!from.readableEnded) {
      this.#settle(`${side}-closed`);
      closeSoon(other);
    } else if (this.#open === 0) this.#settle(this.#first ?? `${side}-closed`);
  }

  #abort(end: JoinEnd): void {
    this.#settle(end);
    for (const { from } of this.#lanes) from.destroy();
  }

  #settle(end: JoinEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    clearTimeout(this.#timer);
    for (const { filter, over } of this.#lanes) if (!over) filter?.end();
    this.#tell();
  }

  /** What filters have found belongs to the exchange: it waits for them, they wait for nothing but a decoder. */
  #tell(): void {
    if (this.#told || this.#lanes.some(({ filter, over }) => filter !== undefined && !over)) return;
    this.#told = true;
    this.#done(this.#end as JoinEnd);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#joined.idleMs - (performance.now() - this.#lastMono);
      if (left <= 0) this.#abort('idle');
      else this.#arm(Math.ceil(left));
    }, ms);
    this.#timer.unref();
  }
}

/** What the record says of a tunnel that ended this way. */
export function tunnelClose(end: JoinEnd): CloseFacts {
  if (end === 'revoked') return { outcome: 'blocked', error: 'stopped', closeReason: end };
  if (end === 'refused') return { outcome: 'blocked', error: 'policy-denied', closeReason: end };
  return { outcome: 'forwarded', closeReason: end };
}

/** An opaque tunnel (`Splice` of the ports): bytes both ways until both ends are done; closes `tunnel` and its connection. */
export const splice: Splice = (agent, link, tunnel, context) => {
  tunnel.peer = link.peer;
  tunnel.delegated = link.delegated;
  tunnel.sentMono ??= performance.now();
  const { corridor, firstBytes, limits } = context;
  const first = { agent: firstBytes };
  const joined: Joined = { agent, upstream: link.socket, counts: tunnel, idleMs: limits.tunnelIdleMs, first };
  const join = new Join(joined, (end) => {
    corridor.close(tunnel, tunnelClose(end));
    corridor.connectionClosed(tunnel.connection, end);
  });
  join.start();
  corridor.onRevoked(tunnel, () => join.revoke());
};
