import type { BodyFramer, PayloadTap } from '../codec/http1-body.ts';
import { listFields } from '../codec/http1-edit.ts';
import type { Exchange } from '../model/exchange.ts';
import type { ContentTap, Corridor } from '../model/ports.ts';

/** Who looks at a body on a copy: at its payload, and at the trailers behind it if there are any. */
export function lookAt(
  corridor: Corridor,
  exchange: Exchange,
  direction: 'request' | 'response',
  framer: BodyFramer,
): ContentTap | undefined {
  const tap = corridor.content(exchange, direction);
  if (tap === undefined) return undefined;
  return {
    push: (payload) => tap.push(payload),
    end: () => {
      tap.end();
      // They have been written on, so what is to stand in their place has nowhere to go.
      if (framer.trailers.length > 2) corridor.checkTrailers(exchange, direction, listFields(framer.trailers));
    },
  };
}

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
