import type { Duplex } from 'node:stream';
import { keepHalfOpen } from './http1-streams.ts';

/** Who is told what happens on the agent's transport. */
export interface AgentOwner {
  agentData(chunk: Buffer): void;
  /** FIN: the agent sends nothing more, and may still read. */
  agentFinished(): void;
  agentGone(wasReset: boolean): void;
  agentDrained(): void;
}

/** The listeners on an agent's stream, as one thing that can be taken off again. */
export class AgentEvents {
  readonly #agent: Duplex;
  readonly #owner: AgentOwner;
  #wasReset = false;

  constructor(agent: Duplex, owner: AgentOwner) {
    this.#agent = agent;
    this.#owner = owner;
  }

  /** Listens to everything but data. */
  attach(): void {
    const agent = this.#agent;
    keepHalfOpen(agent);
    agent.on('error', this.#onError);
    agent.on('close', this.#onClose);
    if (agent.destroyed) {
      this.#onClose();
      return;
    }
    agent.on('end', this.#onEnd);
    agent.on('drain', this.#onDrain);
  }

  /** Listens to data; whether it flows is the intake's. */
  read(): void {
    this.#agent.on('data', this.#onData);
    if (this.#agent.readableEnded) this.#owner.agentFinished();
  }

  /** Takes all off but the error listener: there is no moment without one. */
  detach(): void {
    this.#agent.off('data', this.#onData);
    this.#agent.off('end', this.#onEnd);
    this.#agent.off('drain', this.#onDrain);
    this.#agent.off('close', this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => this.#owner.agentData(chunk);
  readonly #onEnd = (): void => this.#owner.agentFinished();
  readonly #onDrain = (): void => this.#owner.agentDrained();
  readonly #onClose = (): void => this.#owner.agentGone(this.#wasReset);
  readonly #onError = (): void => {
    this.#wasReset = true;
  };
}
