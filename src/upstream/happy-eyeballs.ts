import { connect, isIPv6, type Socket } from 'node:net';
import { hostPort } from '../model/destination.ts';
import { type ErrorCode, WeirError } from '../model/error.ts';

/** Connection Attempt Delay, RFC 8305 §5 (recommended 250 ms). */
const STAGGER_MS = 250;

export interface DialOptions {
  readonly addresses: readonly string[];
  readonly port: number;
  /** Limit for all attempts together, ms; 0 = none. */
  readonly connectMs: number;
  /** TCP keep-alive: idle time before the first probe, ms. */
  readonly keepAliveMs: number;
}

/** Nothing may crash on an error between the dial and the moment the owner attaches its own listener. */
export function ignoreError(): void {}

/**
 * Dials IP literals in RFC 8305 order: families alternate, starting with the family of the first address; the next
 * attempt starts after 250 ms or when one fails. Never resolves a name. Rejects with WeirError `connect-refused`,
 * `connect-timeout` or `connect-failed`, whose message lists every address tried. The socket has `allowHalfOpen`, no
 * Nagle delay, TCP keep-alive, and one no-op error listener.
 */
export function dialAddresses(options: DialOptions): Promise<Socket> {
  if (options.addresses.length === 0) {
    return Promise.reject(new WeirError('connect-failed', 'no address to dial'));
  }
  return new Promise((resolve, reject) => {
    new Race(options, resolve, reject).next();
  });
}

/** RFC 8305 §4: alternate families, keeping the resolver's order within each. */
export function interleave(addresses: readonly string[]): string[] {
  const v6First = isIPv6(addresses[0] ?? '');
  const first: string[] = [];
  const second: string[] = [];
  for (const address of addresses) (isIPv6(address) === v6First ? first : second).push(address);
  const order: string[] = [];
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    const a = first[i];
    const b = second[i];
    if (a !== undefined) order.push(a);
    if (b !== undefined) order.push(b);
  }
  return order;
}

/** The attempts of one dial; ends when one has connected, all have failed or the time is over. */
class Race {
  readonly #options: DialOptions;
  readonly #order: string[];
  readonly #resolve: (socket: Socket) => void;
  readonly #reject: (error: WeirError) => void;
  readonly #open = new Map<Socket, string>();
  readonly #tried: string[] = [];
  readonly #codes = new Set<string>();
  readonly #startedAt = performance.now();
  #index = 0;
  #stagger: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #settled = false;

  constructor(options: DialOptions, resolve: (socket: Socket) => void, reject: (error: WeirError) => void) {
    this.#options = options;
    this.#order = options.addresses.length === 1 ? [...options.addresses] : interleave(options.addresses);
    this.#resolve = resolve;
    this.#reject = reject;
    if (options.connectMs > 0) this.#deadline = setTimeout(() => this.#expire(), options.connectMs);
  }

  next(): void {
    const address = this.#order[this.#index++];
    if (address === undefined) return;
    const socket = connect({
      host: address,
      port: this.#options.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: this.#options.keepAliveMs,
    });
    this.#open.set(socket, address);
    socket.on('error', ignoreError);
    const onError = (error: NodeJS.ErrnoException): void => this.#failed(socket, error.code ?? error.message);
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.off('error', onError);
      this.#won(socket);
    });
    if (this.#index < this.#order.length) this.#stagger = setTimeout(() => this.next(), STAGGER_MS);
  }

  #won(socket: Socket): void {
    if (this.#settled) {
      socket.destroy();
      return;
    }
    this.#open.delete(socket);
    this.#finish();
    this.#resolve(socket);
  }

  #failed(socket: Socket, code: string): void {
    const address = this.#open.get(socket);
    socket.destroy();
    if (address === undefined || this.#settled) return;
    this.#open.delete(socket);
    this.#codes.add(code);
    this.#tried.push(`${hostPort(address, this.#options.port)} ${code}`);
    if (this.#index < this.#order.length) {
      clearTimeout(this.#stagger);
      this.next();
    } else if (this.#open.size === 0) {
      this.#finish();
      this.#reject(new WeirError(codeOf(this.#codes), `tried ${this.#tried.join(', ')}`));
    }
  }

  #expire(): void {
    const waited = Math.round(performance.now() - this.#startedAt);
    for (const address of this.#open.values()) {
      this.#tried.push(`${hostPort(address, this.#options.port)} no answer in ${waited} ms`);
    }
    this.#finish();
    this.#reject(new WeirError('connect-timeout', `tried ${this.#tried.join(', ')}`));
  }

  #finish(): void {
    this.#settled = true;
    clearTimeout(this.#stagger);
    clearTimeout(this.#deadline);
    for (const socket of this.#open.keys()) socket.destroy();
    this.#open.clear();
  }
}

/** A refusal is an answer from the host and says most; a silent time-out says more than an unreachable network. */
function codeOf(codes: ReadonlySet<string>): ErrorCode {
  if (codes.has('ECONNREFUSED')) return 'connect-refused';
  if (codes.has('ETIMEDOUT')) return 'connect-timeout';
  return 'connect-failed';
}
