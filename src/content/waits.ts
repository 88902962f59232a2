/**
 * Who sends nothing for so long, in ms, has sent a message: what is open in it only because anything might begin there goes on. A
 * timer of Node is late by up to one more; bytes that were written together are there by then.
 */
const QUIET_MS = 1;

export interface WaitsOptions {
  /** Longest time bytes wait, in ms; 0 = no time counts. */
  readonly holdMs: number;
  /** The sender is silent. */
  readonly still: () => void;
  /** The time is up. */
  readonly late: () => void;
}

/** The clocks of bytes that wait. */
export class Waits {
  readonly #options: WaitsOptions;
  #late: NodeJS.Timeout | undefined;
  #still: NodeJS.Timeout | undefined;

  constructor(options: WaitsOptions) {
    this.#options = options;
  }

  /** Bytes came, and some wait. */
  wait(): void {
    const { holdMs, late, still } = this.#options;
    if (holdMs === 0) return;
    this.#late ??= setTimeout(() => {
      this.#late = undefined;
      late();
    }, holdMs);
    clearTimeout(this.#still);
    this.#still = setTimeout(still, QUIET_MS);
  }

  /** What waits from here on has not waited before. */
  restart(): void {
    clearTimeout(this.#late);
    this.#late = undefined;
  }

  /** Nothing waits any more. */
  clear(): void {
    this.restart();
    clearTimeout(this.#still);
    this.#still = undefined;
  }
}
