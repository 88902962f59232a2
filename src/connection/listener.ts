import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { RunPort } from '../model/connection.ts';
import type { Corridor, RelayLimits } from '../model/ports.ts';
import { createArrivals } from './arrival.ts';
import { createFrontDoor } from './front-door.ts';
import { createInterception, type InterceptionOptions } from './interception.ts';
import { emptied, KEEPALIVE_MS, plain, plainServer } from './sockets.ts';
import type { Relays } from './tunnel.ts';

export interface ListenAddress {
  readonly address: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Agent this port is bound to. */
  readonly agent?: string;
  readonly run?: RunPort;
  /** PEM; with `clientCa` a client certificate of that authority is required. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
}

export interface ListenerLimits {
  readonly connections: number;
  /** Of one agent on a port bound to it; other agents are counted by the corridor, which knows them. */
  readonly connectionsPerAgent: number;
  /** Milliseconds until the first head must be whole; 0 = no limit. */
  readonly headMs: number;
  readonly clientHelloMs: number;
  readonly headBytes: number;
  readonly headers: number;
}

export interface ListenerOptions {
  readonly listen: readonly ListenAddress[];
  readonly limits: ListenerLimits;
  readonly corridor: Corridor;
  readonly relays: Relays;
  readonly relayLimits: RelayLimits;
  readonly interception: InterceptionOptions;
  /** Whether this peer address may use Weir at all. */
  readonly allowFrom?: (address: string) => boolean;
  readonly log: (event: string, fields: object) => void;
  /** Addresses of this machine, for wildcard listeners; asked each time. */
  readonly localAddresses?: () => readonly string[];
}

export interface BoundAddress {
  readonly address: string;
  readonly port: number;
  readonly agent?: string;
}

/** A port that can be closed by itself. */
export interface OpenPort {
  readonly port: number;
  /** Accepts no more and waits until its connections are gone, at most `ms`; what is left goes on. */
  close(ms: number): Promise<void>;
}

export interface ListenerStats {
  readonly open: number;
  readonly accepted: number;
  /** Refused before a byte was read. */
  readonly refusedAtLimit: number;
  readonly refusedAddress: number;
}

export interface Listener {
  /** Binds all addresses or none. Rejects with the system error; `address`, `port` and `code` are kept on it. */
  start(): Promise<BoundAddress[]>;
  /** Of `start`, and of ports opened since. */
  addresses(): readonly BoundAddress[];
  /** Binds one more address. Rejects like `start`. */
  open(listen: ListenAddress): Promise<OpenPort>;
  /** Whether dialling this address and port would reach one of our own sockets. */
  isSelf(address: string, port: number): boolean;
  stats(): ListenerStats;
  /** Accepts no more, waits for open connections up to `ms`, then closes what is left. */
  drain(ms: number): Promise<void>;
  /** Closes everything at once. */
  close(): void;
}

export function createListener(options: ListenerOptions): Listener {
  return new Gate(options);
}

class Gate implements Listener {
  readonly #options: ListenerOptions;
  readonly #servers: Set<Server> = new Set();
  readonly #bound: BoundAddress[] = [];
  readonly #live: Set<Socket> = new Set();
  readonly #perAgent: Map<string, number> = new Map();
  readonly #arrivals: ReturnType<typeof createArrivals>;
  #ready = false;
  #accepted = 0;
  #refusedAtLimit = 0;
  #refusedAddress = 0;
  #onEmpty: (() => void) | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { corridor, limits, relays, relayLimits } = options;
    const interception = createInterception(options.interception, limits.headMs > 0 ? limits.headMs : 120_000);
    const env = { corridor, relays, relayLimits, interception, clientHelloMs: limits.clientHelloMs };
    const frontDoor = createFrontDoor({ env, headBytes: limits.headBytes, headers: limits.headers });
    this.#arrivals = createArrivals({ corridor, relays, relayLimits, frontDoor, headMs: limits.headMs });
  }

  async start(): Promise<BoundAddress[]> {
    void this.#options.corridor.ready.then(() => {
      this.#ready = true;
    });
    try {
      for (const listen of this.#options.listen) await this.#bind(listen);
    } catch (error) {
      this.close();
      throw error;
    }
    return [...this.#bound];
  }

  addresses(): readonly BoundAddress[] {
    return this.#bound;
  }

  async open(listen: ListenAddress): Promise<OpenPort> {
    const live = new Set<Socket>();
    const { server, bound } = await this.#bind(listen, live);
    const close = async (ms: number): Promise<void> => {
      server.close();
      this.#servers.delete(server);
      const at = this.#bound.indexOf(bound);
      if (at >= 0) this.#bound.splice(at, 1);
      if (live.size > 0) await emptied(live, ms);
    };
    return { port: bound.port, close };
  }

  isSelf(address: string, port: number): boolean {
    const target = plain(address);
    for (const bound of this.#bound) {
      if (bound.port !== port) continue;
      // The unspecified address as a target is this machine's loopback.
      if (target === bound.address || target === '0.0.0.0' || target === '::') return true;
      if ((bound.address === '0.0.0.0' || bound.address === '::') && this.#isLocal(target)) return true;
    }
    return false;
  }

  stats(): ListenerStats {
    return {
      open: this.#live.size,
      accepted: this.#accepted,
      refusedAtLimit: this.#refusedAtLimit,
      refusedAddress: this.#refusedAddress,
    };
  }

  async drain(ms: number): Promise<void> {
    this.#stopAccepting();
    this.#arrivals.dropWaiting();
    if (this.#live.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.close();
  }

  close(): void {
    this.#stopAccepting();
    for (const socket of this.#live) socket.destroy();
  }

  #stopAccepting(): void {
    for (const server of this.#servers) server.close();
    this.#servers.clear();
  }

  async #bind(listen: ListenAddress, live?: Set<Socket>): Promise<{ server: Server; bound: BoundAddress }> {
    const take = (socket: Socket): void => {
      if (live !== undefined) {
        live.add(socket);
        socket.once('close', () => live.delete(socket));
      }
      this.#onSocket(socket, listen);
    };
    const server = listen.tls === undefined ? plainServer(take) : this.#tlsServer(listen.tls, take);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(Object.assign(error, { address: listen.address, port: listen.port }));
      });
      server.listen({ host: listen.address, port: listen.port, ipv6Only: this.#ipv6Only(listen) }, resolve);
    });
    server.on('error', (error) => this.#options.log('listener-error', { error: error.message }));
    this.#servers.add(server);
    const { address, port } = server.address() as { address: string; port: number };
    const bound = { address, port, ...(listen.agent === undefined ? {} : { agent: listen.agent }) };
    this.#bound.push(bound);
    return { server, bound };
  }

  /** `::` takes IPv4 too, unless `0.0.0.0` is listed beside it for the same port. */
  #ipv6Only(listen: ListenAddress): boolean {
    return this.#options.listen.some(({ address, port }) => address === '0.0.0.0' && port === listen.port);
  }

  #tlsServer(tls: NonNullable<ListenAddress['tls']>, take: (socket: Socket) => void): Server {
    const server = createTlsServer({
      cert: tls.cert,
      key: tls.key,
      ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: this.#options.limits.headMs > 0 ? this.#options.limits.headMs : 120_000,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
    });
    // Handshakes under way are no connections yet; this bounds them too.
    server.maxConnections = this.#options.limits.connections;
    server.on('connection', (raw: Socket) => raw.on('error', ignore));
    server.on('secureConnection', (socket) => {
      // Not before: a half-open TLSSocket never reports an end during its handshake.
      socket.allowHalfOpen = true;
      take(socket);
    });
    server.on('tlsClientError', (error, socket) => {
      socket.on('error', ignore);
      socket.destroy();
      this.#options.log('listener-tls-error', { error: (error as NodeJS.ErrnoException).code ?? error.message });
    });
    return server;
  }

  #onSocket(socket: Socket, { agent, run }: ListenAddress): void {
    socket.on('error', ignore);
    const address = plain(socket.remoteAddress ?? '');
    if (address === '' || this.#options.allowFrom?.(address) === false) {
      this.#refusedAddress++;
      this.#options.log('peer-refused', { address });
      socket.destroy();
      return;
    }
    this.#accepted++;
    this.#live.add(socket);
    const count = agent === undefined ? 0 : (this.#perAgent.get(agent) ?? 0) + 1;
    if (agent !== undefined) this.#perAgent.set(agent, count);
    socket.once('close', () => this.#onClosed(socket, agent));
    const facts = {
      client: { address, port: socket.remotePort ?? 0 },
      ...(agent === undefined ? {} : { listenerAgent: agent }),
      ...(run === undefined ? {} : { run }),
    };
    const { connections, connectionsPerAgent } = this.#options.limits;
    if (this.#live.size > connections || count > connectionsPerAgent) {
      this.#refusedAtLimit++;
      const which = this.#live.size > connections ? 'limits.connections' : 'limits.connections_per_agent';
      this.#arrivals.refuse(socket, facts, which);
    } else if (this.#ready) {
      this.#arrivals.arrive(socket, facts);
    } else {
      void this.#options.corridor.ready.then(() => this.#arrivals.arrive(socket, facts));
    }
  }

  #onClosed(socket: Socket, agent: string | undefined): void {
    this.#live.delete(socket);
    if (agent !== undefined) {
      const left = (this.#perAgent.get(agent) ?? 1) - 1;
      if (left > 0) this.#perAgent.set(agent, left);
      else this.#perAgent.delete(agent);
    }
    if (this.#live.size === 0) this.#onEmpty?.();
  }

  #isLocal(address: string): boolean {
    if (address.startsWith('127.') || address === '::1') return true;
    return this.#options.localAddresses?.().includes(address) === true;
  }
}

function ignore(): void {}
