import type { PayloadTap } from '../codec/http1-body.ts';
import type { ContentTap } from '../model/ports.ts';

/**
 * Payload between framing and whoever looks at it: noted while the framer reads, handed over when it has been written on,
 * because a chunk is written on before it is scanned (product.md §11).
 */
export class Tee {
  /** Who looks at the current body. */
  tap: ContentTap | undefined;
  #slices: Buffer[] = [];
  #wanted = true;

  /** For the framer. */
  readonly note: PayloadTap = (payload) => {
    if (this.#wanted) this.#slices.push(payload);
  };

  /** A new message: nothing of the last one is looked at any more. */
  reset(): void {
    this.tap = undefined;
    this.#wanted = true;
    if (this.#slices.length > 0) this.#slices = [];
  }

  /** What was noted has been written; `done`: the body is complete. */
  written(done: boolean): void {
    const { tap } = this;
    this.#wanted = tap !== undefined;
    if (tap !== undefined) for (const slice of this.#slices) tap.push(slice);
    if (this.#slices.length > 0) this.#slices = [];
    if (!done || tap === undefined) return;
    this.tap = undefined;
    tap.end();
  }
}
