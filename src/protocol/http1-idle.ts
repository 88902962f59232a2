/**
 * The keep-alive clock of one agent connection: one timer for its life, re-armed for what is left. A request only notes
 * when it ended, so the clock costs the hot path nothing, and it never runs under a request.
 */
export class IdleClock {
  readonly #ms: number;
  readonly #isBusy: () => boolean;
  readonly #expired: () => void;
  #since = performance.now();
  #timer: NodeJS.Timeout | undefined;

  /** `ms` 0: no clock. */
  constructor(ms: number, isBusy: () => boolean, expired: () => void) {
    this.#ms = ms;
    this.#isBusy = isBusy;
    this.#expired = expired;
    if (ms > 0) this.#arm(ms);
  }

  /** Idle from now on. */
  restart(): void {
    this.#since = performance.now();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#isBusy() ? this.#ms : this.#ms - (performance.now() - this.#since);
      if (left <= 0) this.#expired();
      else this.#arm(Math.ceil(left));
    }, ms);
    this.#timer.unref();
  }
}
