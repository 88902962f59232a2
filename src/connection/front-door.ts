import { EventEmitter } from 'node:events';
import type { Server as HttpServer, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type PrepareRequestFunctionResult, RequestError, Server } from 'proxy-chain';
import type { Answer } from '../model/answer.ts';
import type { Connection } from '../model/connection.ts';
import type { ErrorCode } from '../model/error.ts';
import type { Exchange, RequestFacts } from '../model/exchange.ts';
import type { Link } from '../model/ports.ts';
import { lastWords } from './answers.ts';
import { startTunnel, type TunnelEnv } from './tunnel.ts';

/** Asked by `weir verify` and answered by Weir in every mode, inside TLS or in the clear (product.md §9). */
const VERIFY_HOST = 'verify.weir.invalid';
const NOTHING: Buffer = Buffer.alloc(0);

export interface FrontDoorOptions {
  readonly env: TunnelEnv;
  readonly headBytes: number;
  /** Most fields of a head; 0 = no limit. */
  readonly headers: number;
}

/** Takes sockets whose first token is CONNECT (their first bytes unshifted). */
export interface FrontDoor {
  /** `headRead` is called when the whole head is in: the head timer can stop. */
  take(socket: Socket, connection: Connection, headRead: () => void): void;
  /** The head did not end in time. */
  expire(socket: Socket): void;
}

export function createFrontDoor(options: FrontDoorOptions): FrontDoor {
  return new ConnectServer(options);
}

/** One socket between its first token and its tunnel or refusal. */
interface Visit {
  readonly connection: Connection;
  readonly headRead: () => void;
  /** What `sendSocketResponse` writes: proxy-chain's errors carry no reason phrase. */
  answer?: Answer;
  over: boolean;
}

/**
 * proxy-chain's server with our judgement in front of its 200: identify, judge, resolve and dial in
 * `prepareRequestFunction`; its custom-CONNECT-server hook gives the socket to the sniffer. Its tunnels and forwarder are
 * never reached (product.md §4).
 */
class ConnectServer extends Server implements FrontDoor {
  readonly #env: TunnelEnv;
  readonly #headers: number;
  readonly #visits: WeakMap<Socket, Visit> = new WeakMap();

  constructor(options: FrontDoorOptions) {
    super({ port: 0, authRealm: 'Weir', prepareRequestFunction: ({ request }) => this.#prepare(request) });
    this.#env = options.env;
    this.#headers = options.headers;
    const server = this.server as HttpServer & { maxHeaderSize: number };
    // Heads are timed by the listener, bodies and tunnels by nobody; the parser's own limit is ours plus its request line.
    server.requestTimeout = 0;
    server.headersTimeout = 0;
    server.timeout = 0;
    server.maxHeadersCount = 0;
    server.maxHeaderSize = options.headBytes;
  }

  take(socket: Socket, connection: Connection, headRead: () => void): void {
    this.#visits.set(socket, { connection, headRead, over: false });
    this.server.emit('connection', socket);
  }

  expire(socket: Socket): void {
    const visit = this.#visits.get(socket);
    if (visit !== undefined && !visit.over)
      this.#reject(socket, visit, 'head-timeout', 'the CONNECT did not end in time');
  }

  override onConnect(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    this.#visits.get(socket)?.headRead();
    // At once: after the dial the agent may have half-closed, and nothing can be unshifted onto an ended stream.
    if (head.length > 0) socket.unshift(head);
    // The corridor reads identity from the raw fields; proxy-chain would answer 400 to any scheme but Basic.
    delete request.headers['proxy-authorization'];
    return super.onConnect(request, socket as Parameters<Server['onConnect']>[1], NOTHING);
  }

  /** A socket given to us begins with CONNECT; anything that follows as a plain request was not judged. */
  override async onRequest(request: IncomingMessage): Promise<void> {
    this.sendSocketResponse(request.socket, 400, {}, 'a request after CONNECT');
  }

  override onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
    const visit = this.#visits.get(socket);
    if (visit === undefined || visit.over) return;
    visit.headRead();
    if (error.code === 'ECONNRESET' || !socket.writable) {
      visit.over = true;
      socket.destroy();
      this.#env.corridor.connectionClosed(visit.connection, 'client-gone');
      return;
    }
    const code: ErrorCode = error.code === 'HPE_HEADER_OVERFLOW' ? 'head-too-large' : 'bad-request';
    this.#reject(socket, visit, code, `malformed CONNECT (${error.code ?? error.message})`);
  }

  override sendSocketResponse(socket: Socket, status = 500, _headers = {}, message = ''): void {
    const visit = this.#visits.get(socket);
    if (visit === undefined || visit.over || socket.destroyed) return;
    if (visit.answer !== undefined) this.#refuse(socket, visit, visit.answer);
    else this.#reject(socket, visit, status < 500 ? 'bad-request' : 'internal', message);
  }

  #reject(socket: Socket, visit: Visit, code: ErrorCode, detail: string): void {
    this.#refuse(socket, visit, this.#env.corridor.reject(visit.connection, code, detail));
  }

  #refuse(socket: Socket, visit: Visit, answer: Answer): void {
    visit.over = true;
    lastWords(socket, answer);
    this.#env.corridor.connectionClosed(visit.connection, 'refused');
  }

  async #prepare(request: IncomingMessage): Promise<PrepareRequestFunctionResult> {
    const { corridor } = this.#env;
    const { socket } = request;
    const visit = this.#visits.get(socket);
    if (visit === undefined) throw new RequestError('', 400);
    const problem = this.#framing(request);
    if (problem !== undefined) return refuse(visit, corridor.reject(visit.connection, problem[0], problem[1]));
    const connect = corridor.open(visit.connection, factsOf(request), 'connect');
    const dial = new Dial(this.#env, visit, connect, socket);
    const checked = corridor.check(connect);
    if (!checked.forward) return this.#refused(visit, dial, checked.answer);
    const reached = await corridor.reach(connect);
    if (dial.over) {
      if ('link' in reached) reached.link.socket.destroy();
      throw new RequestError('', 499);
    }
    if ('answer' in reached) return this.#refused(visit, dial, reached.answer);
    // What follows is the agent's time, not ours.
    connect.sentMono = performance.now();
    connect.peer = reached.link.peer;
    connect.timings = { ...reached.link.timings };
    if (reached.link.delegated) connect.delegated = true;
    return dial.accept(visit, { link: reached.link });
  }

  /** RFC 9110 §9.3.6: a CONNECT has no content; RFC 9112 §3.2: one Host. Refused before anything is judged or dialled. */
  #framing(request: IncomingMessage): readonly [ErrorCode, string] | undefined {
    const { httpVersion, rawHeaders } = request;
    // The parser reads a line without version as HTTP/0.9.
    if (httpVersion !== '1.1' && httpVersion !== '1.0') return ['bad-request', `HTTP/${httpVersion}`];
    if (this.#headers > 0 && rawHeaders.length / 2 > this.#headers) return ['head-too-large', 'too many header fields'];
    let hosts = 0;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = (rawHeaders[i] as string).toLowerCase();
      if (name === 'host' && ++hosts > 1) return ['ambiguous-framing', 'two Host fields on a CONNECT'];
      if (name === 'transfer-encoding' || (name === 'content-length' && rawHeaders[i + 1] !== '0')) {
        return ['ambiguous-framing', 'a CONNECT with content'];
      }
    }
    return undefined;
  }

  /** A refusal that is a judgement is given inside where the client can read it there; every other one is the CONNECT's answer. */
  #refused(visit: Visit, dial: Dial, answer: Answer): PrepareRequestFunctionResult {
    const { connect } = dial;
    const verification = connect.destination.host === VERIFY_HOST && answer.status < 400;
    const judged = answer.status === 403 || answer.status === 429 || answer.status === 508;
    if (verification || (judged && this.#env.interception.answersInside(connect)))
      return dial.accept(visit, { answer });
    dial.end();
    this.#env.corridor.close(connect, { outcome: judged ? 'blocked' : 'failed', closeReason: 'refused' });
    return refuse(visit, answer);
  }
}

/** The time between a CONNECT and its 200: the agent may leave while we dial. */
class Dial {
  readonly connect: Exchange;
  over = false;
  readonly #env: TunnelEnv;
  readonly #connection: Connection;
  readonly #socket: Socket;
  #link: Link | undefined;

  constructor(env: TunnelEnv, visit: Visit, connect: Exchange, socket: Socket) {
    this.#env = env;
    this.#connection = visit.connection;
    this.connect = connect;
    this.#socket = socket;
    socket.once('close', this.#onGone);
    env.corridor.onRevoked(connect, this.#onRevoked);
  }

  /** proxy-chain writes its 200 and emits `connection` on what is returned here. */
  accept(visit: Visit, what: { readonly link: Link } | { readonly answer: Answer }): PrepareRequestFunctionResult {
    if ('link' in what) {
      this.#link = what.link;
      what.link.socket.on('error', () => {});
    }
    const hook = new EventEmitter();
    hook.once('connection', (agent: Socket) => {
      if (this.over) return;
      this.end();
      visit.over = true;
      startTunnel(this.#env, { agent, connection: this.#connection, connect: this.connect, ...what });
    });
    return { customConnectServer: hook as HttpServer };
  }

  end(): void {
    this.over = true;
    this.#socket.off('close', this.#onGone);
  }

  readonly #onGone = (): void => {
    this.#leave('client-gone');
  };

  readonly #onRevoked = (): void => {
    if (this.over) return;
    this.#socket.destroy();
    this.#leave('stopped');
  };

  #leave(error: 'client-gone' | 'stopped'): void {
    if (this.over) return;
    this.end();
    this.#link?.socket.destroy();
    const outcome = error === 'stopped' ? 'blocked' : 'client-gone';
    this.#env.corridor.close(this.connect, { outcome, error, closeReason: error });
    this.#env.corridor.connectionClosed(this.#connection, error);
  }
}

function refuse(visit: Visit, answer: Answer): never {
  visit.answer = answer;
  throw new RequestError(answer.body, answer.status);
}

function factsOf(request: IncomingMessage): RequestFacts {
  const { host } = request.headers;
  return {
    method: 'CONNECT',
    scheme: 'tcp',
    authority: request.url ?? '',
    ...(host === undefined ? {} : { hostField: host }),
    target: '',
    protocol: request.httpVersion === '1.0' ? '1.0' : '1.1',
    fields: request.rawHeaders,
  };
}
