/**
 * The keep-alive clock of one agent connection: one timer for its life, re-armed for what is left. A request only notes
 * when it ended, so the clock costs the hot path nothing, and it never runs under a request.
 */
export class IdleClock {
  readonly #ms: number;
  readonly #isBusy: () => boolean;
  readonly #expired: (reason: 'idle' | 'draining') => void;
  #draining = false;
  #since = performance.now();
  #timer: NodeJS.Timeout | undefined;

  /** `ms` 0: no clock. */
  constructor(ms: number, isBusy: () => boolean, expired: (reason: 'idle' | 'draining') => void) {
    this.#ms = ms;
    this.#isBusy = isBusy;
    this.#expired = expired;
    if (ms > 0) this.#arm(ms);
  }

  /** Idle from now on. False: the connection has been closed instead of waiting for another request. */
  restart(): boolean {
    this.#since = performance.now();
    if (this.#draining) this.#expired('draining');
    return !this.#draining;
  }

  /** Weir is about to end: now when nothing is under way, else after it. */
  drain(): void {
    this.#draining = true;
    if (!this.#isBusy()) this.#expired('draining');
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#isBusy() ? this.#ms : this.#ms - (performance.now() - this.#since);
      if (left <= 0) this.#expired('idle');
      else this.#arm(Math.ceil(left));
    }, ms);
    this.#timer.unref();
  }
}
