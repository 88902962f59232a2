import type { Duplex } from 'node:stream';
import type { Destination } from '../model/destination.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Reach, RelayContext } from '../model/ports.ts';
import type { PendingRequest } from './http1-forward.ts';
import { closeSoon } from './http1-streams.ts';
import { Upstream, type UpstreamOwner } from './http1-upstream.ts';

/** Upstream transports one agent connection keeps for absolute-form requests; the least recently used goes first. */
const MAX_LINKS = 8;

const ALPN = ['http/1.1'];

/** Who has requests sent. */
export interface LinksOwner extends UpstreamOwner {
  send(up: Upstream, pending: PendingRequest): void;
}

interface Kept {
  readonly destination: Destination;
  readonly up: Upstream;
}

/**
 * The upstream transports of one agent connection: paired, never shared with another (product.md §3.4). A short list is
 * searched faster than a map key is built.
 */
export class Links {
  /** The transport the connection came with. */
  readonly fixed: Upstream | undefined;
  readonly #agent: Duplex;
  readonly #context: RelayContext;
  readonly #owner: LinksOwner;
  #kept: Kept[] = [];

  constructor(agent: Duplex, context: RelayContext, owner: LinksOwner) {
    const { link } = context;
    this.#agent = agent;
    this.#context = context;
    this.#owner = owner;
    this.fixed = link === undefined ? undefined : new Upstream(link, agent, context, owner);
  }

  /** Has this request sent on the transport it belongs on; a new one is dialled when there is none. */
  forward(pending: PendingRequest): void {
    const up = this.fixed ?? this.#find(pending.exchange.destination);
    if (up === undefined || (up.ended && up !== this.fixed)) void this.#dial(pending);
    else this.#owner.send(up, pending);
  }

  async #dial(pending: PendingRequest): Promise<void> {
    const { exchange } = pending;
    const reach = await this.#reach(exchange);
    if (this.#owner.exchange !== exchange) {
      if ('link' in reach) reach.link.socket.on('error', () => {}).destroy();
      return;
    }
    if ('answer' in reach) {
      this.#owner.answer(reach.answer, { outcome: 'failed' });
      return;
    }
    const up = new Upstream(reach.link, this.#agent, this.#context, this.#owner);
    this.#add(exchange.destination, up);
    up.attach();
    this.#owner.send(up, pending);
  }

  async #reach(exchange: Exchange): Promise<Reach> {
    const { corridor } = this.#context;
    const tls = { servername: exchange.destination.host, alpn: ALPN };
    try {
      return await corridor.reach(exchange, exchange.request.scheme === 'https' ? tls : undefined);
    } catch {
      return { answer: corridor.failure(exchange, 'internal') };
    }
  }

  /** The transport to this destination that may take another request. */
  #find(destination: Destination): Upstream | undefined {
    const kept = this.#kept;
    for (let i = kept.length - 1; i >= 0; i--) {
      const { destination: to, up } = kept[i] as Kept;
      if (to.host !== destination.host || to.port !== destination.port || to.scheme !== destination.scheme) continue;
      if (i < kept.length - 1) kept.push(...kept.splice(i, 1));
      return up;
    }
    return undefined;
  }

  #add(destination: Destination, up: Upstream): void {
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
