import type { Socket } from 'node:net';
import type { Connection } from '../model/connection.ts';
import type { Corridor, RelayLimits } from '../model/ports.ts';
import { HTTP_1_1_REQUIRED, lastWords } from './answers.ts';
import type { FrontDoor } from './front-door.ts';
import type { Relays } from './tunnel.ts';

const CONNECT = Buffer.from('CONNECT ', 'latin1');
const PREFACE = Buffer.from('PRI * HTTP/2.0', 'latin1');

type ClientFacts = Omit<Parameters<Corridor['connection']>[0], 'via'>;

export interface ArrivalOptions {
  readonly corridor: Corridor;
  readonly relays: Relays;
  readonly relayLimits: RelayLimits;
  readonly frontDoor: FrontDoor;
  /** Until the first head is whole; 0 = no limit. */
  readonly headMs: number;
}

/** Accepted sockets until their first token shows where they belong. */
export interface Arrivals {
  arrive(socket: Socket, facts: ClientFacts): void;
  /** Answers 503 because a limit is reached. */
  refuse(socket: Socket, facts: ClientFacts, limit: string): void;
  /** Closes the sockets that have not said anything yet (drain). */
  dropWaiting(): void;
}

export function createArrivals(options: ArrivalOptions): Arrivals {
  const waiting = new Set<Socket>();
  return {
    arrive(socket, facts) {
      if (socket.destroyed) return;
      // It came and left while the stored baseline was being read: its end will not be told again.
      if (socket.readableEnded) {
        socket.destroy();
        return;
      }
      new Arrival(options, waiting, socket, facts).wait();
    },
    refuse(socket, facts, limit) {
      const connection = options.corridor.connection({ ...facts, via: 'absolute-form' });
      lastWords(socket, options.corridor.reject(connection, 'limit-reached', limit));
      options.corridor.connectionClosed(connection, 'limit-reached');
    },
    dropWaiting() {
      for (const socket of waiting) socket.destroy();
    },
  };
}

class Arrival {
  readonly #options: ArrivalOptions;
  readonly #waiting: Set<Socket>;
  readonly #socket: Socket;
  readonly #facts: ClientFacts;
  #held: Buffer | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ArrivalOptions, waiting: Set<Socket>, socket: Socket, facts: ClientFacts) {
    this.#options = options;
    this.#waiting = waiting;
    this.#socket = socket;
    this.#facts = facts;
  }

  wait(): void {
    this.#waiting.add(this.#socket);
    if (this.#options.headMs > 0) this.#timer = setTimeout(this.#onSilent, this.#options.headMs);
    this.#socket.on('readable', this.#onReadable).once('end', this.#onGone).once('close', this.#onGone);
  }

  #stop(): void {
    this.#waiting.delete(this.#socket);
    this.#socket.off('readable', this.#onReadable).off('end', this.#onGone).off('close', this.#onGone);
  }

  readonly #onReadable = (): void => {
    const chunk = this.#socket.read() as Buffer | null;
    if (chunk === null) return;
    const held = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = held;
    if (held[0] === 0x16) {
      this.#wrongProtocol('TLS on a listener that speaks plain HTTP (use http:// for the proxy URL)');
      return;
    }
    if (begins(held, CONNECT)) {
      if (held.length >= CONNECT.length) this.#connect(held);
    } else if (begins(held, PREFACE)) {
      if (held.length >= PREFACE.length) this.#wrongProtocol('HTTP/2 to the proxy itself', HTTP_1_1_REQUIRED);
    } else {
      this.#relay(held);
    }
  };

  #connect(held: Buffer): void {
    this.#stop();
    const connection = this.#open('connect');
    this.#socket.unshift(held);
    this.#options.frontDoor.take(this.#socket, connection, () => {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    });
    if (this.#timer === undefined) return;
    // From here the timer stands for a head that does not end.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#options.frontDoor.expire(this.#socket), this.#options.headMs);
    this.#socket.once('close', () => clearTimeout(this.#timer));
  }

  #relay(held: Buffer): void {
    this.#stop();
    clearTimeout(this.#timer);
    const { corridor, relayLimits, relays } = this.#options;
    const connection = this.#open('absolute-form');
    relays.http1(this.#socket, { corridor, connection, limits: relayLimits, scheme: 'http', firstBytes: held });
  }

  /** Nothing that follows could be answered in its own protocol by a relay: say so, count it, close. */
  #wrongProtocol(detail: string, words?: Buffer): void {
    this.#stop();
    clearTimeout(this.#timer);
    const { corridor } = this.#options;
    const connection = this.#open('absolute-form');
    const answer = corridor.reject(connection, 'bad-request', detail);
    lastWords(this.#socket, words ?? answer);
    corridor.connectionClosed(connection, 'wrong-protocol');
  }

  #open(via: 'connect' | 'absolute-form'): Connection {
    const { corridor } = this.#options;
    const connection = corridor.connection({ ...this.#facts, via });
    // Whoever owns the socket at its end reports why; this is the backstop that none stays open.
    this.#socket.once('close', () => setImmediate(() => corridor.connectionClosed(connection, 'closed')));
    return connection;
  }

  readonly #onSilent = (): void => {
    this.#stop();
    this.#socket.destroy();
  };

  readonly #onGone = (): void => {
    this.#stop();
    clearTimeout(this.#timer);
    this.#socket.destroy();
  };
}

/** `bytes` is a beginning of `token`, or `token` is one of `bytes`. */
function begins(bytes: Buffer, token: Buffer): boolean {
  const known = Math.min(bytes.length, token.length);
  return bytes.compare(token, 0, known, 0, known) === 0;
}
