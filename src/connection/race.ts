import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { bannerProtocol, createSniffer, isSettings, type Sniffed, type Sniffer } from './sniff.ts';

/** Protocol of a tunnel in which nothing was said that could be judged. */
export const SILENCE = '';

/** How long the server's SETTINGS may wait for the agent's preface: a client that speaks HTTP/2 sends it at once. */
const PREFACE_MS = 250;

/** Who spoke first inside a CONNECT, and what. */
export interface First {
  readonly sniffed: Sniffed;
  /** What was read of the agent and could not be put back because its stream has ended. */
  readonly held?: Buffer;
  /** A ClientHello was begun and not finished in time. */
  readonly withheld: boolean;
}

/**
 * Waits for the first bytes of the agent or, for protocols in which the server speaks first, of the upstream: however late
 * they come (product.md §4). Calls `decided` once, with both streams paused and what was read put back.
 */
export class Race {
  readonly #agent: Socket;
  readonly #upstream: Duplex | undefined;
  readonly #helloMs: number;
  readonly #decided: (first: First) => void;
  readonly #sniffer: Sniffer = createSniffer();
  #over = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(agent: Socket, upstream: Duplex | undefined, helloMs: number, decided: (first: First) => void) {
    this.#agent = agent;
    this.#upstream = upstream;
    this.#helloMs = helloMs;
    this.#decided = decided;
  }

  start(): void {
    // The agent said all it will ever say: only the server can still speak.
    if (this.#agent.readableEnded) {
      this.#decide({ kind: 'opaque', protocol: SILENCE });
      return;
    }
    this.#agent.on('readable', this.#onAgent).once('end', this.#onEnd);
    this.#upstream?.on('readable', this.#onUpstream).once('end', this.#onUpstreamEnd);
  }

  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#agent.off('readable', this.#onAgent).off('end', this.#onEnd);
    this.#upstream?.off('readable', this.#onUpstream).off('end', this.#onUpstreamEnd);
  }

  readonly #onAgent = (): void => {
    if (this.#over) return;
    const chunk = this.#agent.read() as Buffer | null;
    if (chunk === null) return;
    const result = this.#sniffer.push(chunk);
    if (result === 'more') this.#timer ??= setTimeout(this.#onSlow, this.#helloMs);
    else this.#decide(result);
  };

  readonly #onUpstream = (): void => {
    // A TLS server never speaks before a whole ClientHello; what it sends into half of one is for the splice to pass on.
    if (this.#over || this.#upstream === undefined || this.#sniffer.helloBegun) return;
    const bytes = this.#upstream.read() as Buffer | null;
    if (bytes === null) return;
    if (isSettings(bytes)) {
      // An HTTP/2 server sends its SETTINGS without waiting (RFC 9113 §3.4); whose turn it is the agent's preface says.
      this.#upstream.off('readable', this.#onUpstream);
      this.#timer ??= setTimeout(() => this.#serverFirst(bytes), PREFACE_MS);
      this.#upstream.unshift(bytes);
      return;
    }
    this.#upstream.unshift(bytes);
    this.#serverFirst(bytes);
  };

  #serverFirst(bytes: Buffer): void {
    if (!this.#over) this.#decide({ kind: 'opaque', protocol: bannerProtocol(bytes) });
  }

  /** The agent closed its direction without deciding anything: the upstream may still have something to say. */
  readonly #onEnd = (): void => {
    if (!this.#over) this.#decide(this.#undecided());
  };

  /** The agent hears of it as it would directly, and is still read: an upstream in league must not open an unread tunnel. */
  readonly #onUpstreamEnd = (): void => {
    if (!this.#over && !this.#agent.writableEnded) this.#agent.end();
  };

  readonly #onSlow = (): void => {
    if (!this.#over) this.#decide(this.#undecided(), this.#sniffer.helloBegun);
  };

  #undecided(): Sniffed {
    if (this.#sniffer.helloBegun) return { kind: 'opaque', protocol: 'tls' };
    return { kind: 'opaque', protocol: this.#sniffer.taken().length === 0 ? SILENCE : 'unknown' };
  }

  #decide(sniffed: Sniffed, withheld = false): void {
    this.stop();
    const held = this.#giveBack();
    this.#decided({ sniffed, withheld, ...(held === undefined ? {} : { held }) });
  }

  #giveBack(): Buffer | undefined {
    const held = this.#sniffer.taken();
    if (held.length === 0) return undefined;
    if (this.#agent.readableEnded) return held;
    this.#agent.unshift(held);
    return undefined;
  }
}
