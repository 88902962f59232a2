import type { Destination } from '../model/destination.ts';
import { closeSoon } from './http1-streams.ts';
import type { Upstream } from './http1-upstream.ts';

/** Upstream transports one agent connection keeps for absolute-form requests; the least recently used goes first. */
const MAX_LINKS = 8;

interface Kept {
  readonly destination: Destination;
  readonly up: Upstream;
}

/**
 * The upstream transports of one agent connection: paired, never shared with another (product.md §3.4). A short list is
 * searched faster than a map key is built.
 */
export class Links {
  #kept: Kept[] = [];

  /** The transport to this destination that may take another request. */
  find(destination: Destination): Upstream | undefined {
    const kept = this.#kept;
    for (let i = kept.length - 1; i >= 0; i--) {
      const { destination: to, up } = kept[i] as Kept;
      if (to.host !== destination.host || to.port !== destination.port || to.scheme !== destination.scheme) continue;
      if (i < kept.length - 1) kept.push(...kept.splice(i, 1));
      return up;
    }
    return undefined;
  }

  add(destination: Destination, up: Upstream): void {
    this.#kept.push({ destination, up });
    if (this.#kept.length > MAX_LINKS) {
      const oldest = this.#kept.shift();
      if (oldest !== undefined) closeSoon(oldest.up.socket);
    }
  }

  remove(up: Upstream): void {
    this.#kept = this.#kept.filter((kept) => kept.up !== up);
  }

  closeAll(): void {
    for (const { up } of this.#kept) closeSoon(up.socket);
    this.#kept = [];
  }
}
