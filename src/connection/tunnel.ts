import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Answer } from '../model/answer.ts';
import type { Connection, TlsFacts } from '../model/connection.ts';
import type { Exchange } from '../model/exchange.ts';
import type { CloseFacts, Corridor, Link, Relay, RelayLimits, Splice } from '../model/ports.ts';
import { ACCESS_DENIED, lastWords, refusing } from './answers.ts';
import { InsideTls } from './inside-tls.ts';
import type { Interception } from './interception.ts';
import { type First, Race, SILENCE } from './race.ts';

/** A CONNECT is reported at the latest this long after its 200: a never-seen host shows at once (product.md §5). */
const SETTLE_MS = 250;

/** Close reason of a refused CONNECT whose refusal the request inside gets: that request leaves the row. */
const ANSWERED_INSIDE = 'answered-inside';

export interface Relays {
  readonly http1: Relay;
  readonly http2: Relay;
  readonly splice: Splice;
}

/** What every tunnel of a listener shares. */
export interface TunnelEnv {
  readonly corridor: Corridor;
  readonly relays: Relays;
  readonly relayLimits: RelayLimits;
  readonly interception: Interception;
  /** How long a ClientHello, or a first line, may take once its first byte came. */
  readonly clientHelloMs: number;
}

/** A CONNECT that was answered 200: with the upstream it reached, or with the refusal to be given inside. */
export interface Accepted {
  readonly agent: Socket;
  readonly connection: Connection;
  readonly connect: Exchange;
  readonly link?: Link;
  readonly answer?: Answer;
}

/** From the 200 of a CONNECT to the hand-over to a relay. Both sockets are closed on every other way out. */
export function startTunnel(env: TunnelEnv, accepted: Accepted): void {
  new Tunnel(env, accepted).start();
}

/** One CONNECT between its 200 and its relay. Public members are for the TLS stage (`inside-tls.ts`), which continues it. */
export class Tunnel {
  readonly env: TunnelEnv;
  /** The TLS socket instead of the raw one once TLS is terminated. */
  agent: Socket;
  readonly connection: Connection;
  readonly connect: Exchange;
  link: Link | undefined;
  /** Handed over, or closed: every late event is void. */
  done = false;
  #answer: Answer | undefined;
  #settled = false;
  #settleTimer: NodeJS.Timeout | undefined;
  #silenceTimer: NodeJS.Timeout | undefined;
  #race: Race | undefined;

  constructor(env: TunnelEnv, accepted: Accepted) {
    this.env = env;
    this.agent = accepted.agent;
    this.connection = accepted.connection;
    this.connect = accepted.connect;
    this.link = accepted.link;
    this.#answer = accepted.answer;
  }

  start(): void {
    const { agent, link } = this;
    if (link !== undefined) this.connect.status = 200;
    this.#settleTimer = setTimeout(() => this.settle(), SETTLE_MS);
    agent.on('error', ignore);
    agent.once('close', this.#onAgentClose);
    this.env.corridor.onRevoked(this.connect, this.#onRevoked);
    if (link !== undefined) this.watch(link);
    if (agent.destroyed) {
      this.#onAgentClose();
      return;
    }
    const { headMs } = this.env.relayLimits;
    // Nobody else watches a client that is to be answered by us and does not ask.
    if (this.#answer !== undefined && headMs > 0) this.#silenceTimer = setTimeout(this.#onSilence, headMs);
    this.#race = new Race(agent, link?.socket, this.env.clientHelloMs, this.#onFirst);
    this.#race.start();
  }

  /** Follows an upstream socket until the hand-over. */
  watch(link: Link): void {
    this.link = link;
    link.socket.on('error', ignore);
    if (link.socket.destroyed) setImmediate(this.#onLinkClose);
    else link.socket.once('close', this.#onLinkClose);
  }

  /** The TLS client takes over the upstream socket; its end is reported by the handshake's result. */
  unwatchLink(): Link | undefined {
    const { link } = this;
    link?.socket.off('close', this.#onLinkClose);
    return link;
  }

  /** The TLS server takes over the agent's socket; its end is reported by the handshake's result. */
  unwatchAgent(): void {
    this.agent.off('close', this.#onAgentClose);
  }

  /** Reports the CONNECT, once. A refusal that comes after that is reported as a tunnel that was closed. */
  settle(facts?: CloseFacts): void {
    clearTimeout(this.#settleTimer);
    const { corridor } = this.env;
    const closing =
      facts ??
      (this.#answer === undefined
        ? ({ outcome: 'forwarded' } as const)
        : ({ outcome: 'blocked', closeReason: ANSWERED_INSIDE } as const));
    if (!this.#settled) {
      this.#settled = true;
      corridor.close(this.connect, closing);
    } else if (facts !== undefined && facts.outcome !== 'forwarded') {
      corridor.close(corridor.openTunnel(this.connect), facts);
    }
  }

  /** Ends everything; `words` are the last thing the agent reads. */
  abort(facts: CloseFacts, words?: Buffer): void {
    if (this.done) return;
    this.release();
    this.settle(facts);
    this.link?.socket.destroy();
    if (words === undefined) this.agent.destroy();
    else lastWords(this.agent, words);
    this.env.corridor.connectionClosed(this.connection, facts.closeReason ?? facts.error ?? facts.outcome);
  }

  /** Nothing of this stage acts on the sockets any more; the error listeners stay. */
  release(): void {
    this.done = true;
    clearTimeout(this.#silenceTimer);
    this.#race?.stop();
    this.agent.off('close', this.#onAgentClose);
    this.link?.socket.off('close', this.#onLinkClose);
  }

  /** Hands the agent's stream to a relay. */
  relay(kind: 'http1' | 'http2', agent: Duplex, scheme: 'http' | 'https', firstBytes?: Buffer): void {
    const { env, connection, link } = this;
    this.settle();
    this.release();
    const corridor = this.#answer === undefined ? env.corridor : refusing(env.corridor, this.#answer);
    env.relays[kind](agent, {
      corridor,
      connection,
      limits: env.relayLimits,
      scheme,
      ...(link === undefined ? {} : { link }),
      ...(firstBytes === undefined ? {} : { firstBytes }),
    });
  }

  /** Bytes both ways from here on. */
  splice(protocol: string, firstBytes?: Buffer): void {
    const { env, agent, connection, connect, link } = this;
    if (link === undefined) {
      this.abort({ outcome: 'blocked', closeReason: 'answered-by-weir' });
      return;
    }
    connection.visibility = 'tunnel';
    if (protocol !== SILENCE) connection.tunnelProtocol = protocol;
    this.settle();
    this.release();
    const tunnel = env.corridor.openTunnel(connect);
    env.relays.splice(agent, link, tunnel, {
      corridor: env.corridor,
      limits: env.relayLimits,
      ...(firstBytes === undefined ? {} : { firstBytes }),
    });
  }

  /** TLS that was to be read and stays closed: judged once more, as the tunnel it is now. */
  spliceUnread(facts: TlsFacts): void {
    if (this.env.corridor.checkTls(this.connect, facts, 'tls').forward) this.splice('tls');
    else this.abort({ outcome: 'blocked', error: 'policy-denied' }, ACCESS_DENIED);
  }

  /** From here on this CONNECT is answered by Weir: the upstream is let go. */
  answerInside(answer: Answer, facts: CloseFacts): void {
    this.settle(facts);
    this.#answer = answer;
    this.unwatchLink()?.socket.destroy();
    this.link = undefined;
  }

  get answered(): boolean {
    return this.#answer !== undefined;
  }

  readonly #onFirst = ({ sniffed, held, withheld }: First): void => {
    if (withheld && this.env.interception.answersInside(this.connect)) {
      // A ClientHello withheld until the sniffer gives up would be a way around interception.
      this.abort({ outcome: 'failed', error: 'head-timeout', detail: 'the ClientHello did not arrive in time' });
      return;
    }
    if (sniffed.kind === 'tls') {
      this.#tls(sniffed.facts);
      return;
    }
    const protocol = sniffed.kind === 'opaque' ? sniffed.protocol : sniffed.kind === 'http1' ? 'http/1.1' : 'h2';
    if (!this.answered && !this.#judge(undefined, protocol)) {
      if (sniffed.kind === 'opaque') {
        this.abort({ outcome: 'blocked', error: 'policy-denied' }, NO_WORDS);
        return;
      }
    }
    if (sniffed.kind === 'opaque') {
      this.splice(protocol, held);
      return;
    }
    this.connection.visibility = 'plaintext';
    this.relay(sniffed.kind, this.agent, 'http', held);
  };

  #tls(facts: TlsFacts): void {
    this.connection.tls = facts;
    const inside = new InsideTls(this, facts);
    if (this.answered) {
      inside.terminate();
      return;
    }
    if (!this.#judge(facts, 'tls')) {
      if (this.env.interception.answersInside(this.connect)) {
        inside.terminate();
        return;
      }
      this.abort({ outcome: 'blocked', error: 'policy-denied' }, ACCESS_DENIED);
      return;
    }
    inside.begin();
  }

  /** Judges what only the first bytes show; a refusal becomes the answer to be given inside. */
  #judge(facts: TlsFacts | undefined, protocol: string): boolean {
    const checked = this.env.corridor.checkTls(this.connect, facts, protocol);
    if (checked.forward) return true;
    if (protocol === 'http/1.1' || protocol === 'h2' || this.#canAnswer(facts)) {
      this.answerInside(checked.answer, { outcome: 'blocked', error: 'policy-denied' });
    }
    return false;
  }

  #canAnswer(facts: TlsFacts | undefined): boolean {
    return facts !== undefined && this.env.interception.answersInside(this.connect);
  }

  readonly #onAgentClose = (): void => {
    this.abort({ outcome: 'client-gone', error: 'client-gone', closeReason: 'client-gone' });
  };

  readonly #onLinkClose = (): void => {
    // A reset is passed on as one: a client tells "try again" from "done" by it.
    const cause = this.link?.socket.errored as NodeJS.ErrnoException | null | undefined;
    if (cause?.code === 'ECONNRESET' && !this.done) reset(this.agent);
    this.abort({ outcome: 'failed', error: 'upstream-closed', closeReason: 'upstream-closed' });
  };

  readonly #onSilence = (): void => {
    this.abort({ outcome: 'blocked', error: 'head-timeout', closeReason: 'head-timeout' }, NO_WORDS);
  };

  readonly #onRevoked = (): void => {
    this.abort({ outcome: 'blocked', error: 'stopped', closeReason: 'revoked' });
  };
}

const NO_WORDS: Buffer = Buffer.alloc(0);

function reset(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    // Not a TCP handle (a TLS listener).
    socket.destroy();
  }
}

function ignore(): void {}
