import type { Http2Session } from 'node:http2';
import { CONNECTION_WINDOW, MAX_WINDOW, MIN_WINDOW, WINDOW } from './http2-options.ts';

/** How often held bytes are measured while somebody reads slowly. */
const TICK_MS = 200;

/** What one relay holds for slow readers. */
export interface Holding {
  /** Bytes held now. */
  held(): number;
  /** Whether a reader has taken nothing since the last call. */
  stalled(): boolean;
}

/** Bytes all HTTP/2 relays of this thread hold, as last measured. */
let total = 0;

/** Whether a new stream may begin: the newest is refused at the limit (product.md §10). 0 = no limit. */
export function mayHoldMore(limit: number): boolean {
  return limit === 0 || total < limit;
}

/** For tests and status. */
export function heldBytes(): number {
  return total;
}

/**
 * The receive window of one session: 1 MiB a stream, doubled up to 8 MiB while bytes flow and nobody stalls, cut back
 * when a reader stalls, cut to the protocol's default when the thread holds half of its limit. A window is the most one
 * unread stream can park here (data-path.md B9).
 */
export class ReceiveWindow {
  readonly #session: Http2Session;
  #size = WINDOW;
  #received = 0;
  #pending = false;

  constructor(session: Http2Session) {
    this.#session = session;
    session.setLocalWindowSize(CONNECTION_WINDOW);
  }

  get size(): number {
    return this.#size;
  }

  /** Counts DATA that was passed on. */
  passed(bytes: number, calm: boolean): void {
    this.#received += bytes;
    if (this.#received < 2 * this.#size || this.#size >= MAX_WINDOW) return;
    this.#received = 0;
    if (calm) this.resize(Math.max(WINDOW, this.#size * 2));
  }

  resize(size: number): void {
    if (size === this.#size || this.#pending || this.#session.destroyed || this.#session.closed) return;
    this.#size = size;
    this.#received = 0;
    // One change at a time: every SETTINGS waits for its acknowledgement (RFC 9113 §6.5.3).
    this.#pending = true;
    this.#session.settings({ initialWindowSize: Math.min(size, MAX_WINDOW) }, () => {
      this.#pending = false;
    });
  }
}

/** Measures one relay while any of its streams waits for a reader, and steers its windows. */
export class HeldMeter {
  readonly #holding: Holding;
  readonly #limit: number;
  readonly #windows: ReceiveWindow[] = [];
  #timer: NodeJS.Timeout | undefined;
  #held = 0;
  #calm = true;

  constructor(holding: Holding, limit: number) {
    this.#holding = holding;
    this.#limit = limit;
  }

  steer(window: ReceiveWindow): void {
    this.#windows.push(window);
  }

  /** Nobody stalls and the thread holds less than a quarter of its limit. */
  get calm(): boolean {
    return this.#calm && (this.#limit === 0 || total < this.#limit / 4);
  }

  /** A reader is slow: measure until all have caught up. */
  watch(): void {
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    total -= this.#held;
    this.#held = 0;
    this.#calm = true;
  }

  #tick(): void {
    const held = this.#holding.held();
    total += held - this.#held;
    this.#held = held;
    this.#calm = !this.#holding.stalled();
    const tight = this.#limit > 0 && total >= this.#limit / 2;
    for (const window of this.#windows) {
      if (tight) window.resize(MIN_WINDOW);
      else if (!this.#calm && window.size > WINDOW) window.resize(WINDOW);
    }
    if (held === 0) this.stop();
  }
}
