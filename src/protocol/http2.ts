import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Corridor, Link, Relay, RelayContext } from '../model/ports.ts';
import type { PairEvents, PairHost } from './http2-events.ts';
import { END_STREAM, type RawFields, requestFacts } from './http2-fields.ts';
import { type Gate, gate } from './http2-gate.ts';
import { agentOptions, streamLimit } from './http2-options.ts';
import { StreamPair } from './http2-stream.ts';
import { LINGER_MS, serially, type UpstreamEvents, UpstreamSide, wantedTls } from './http2-upstream.ts';
import { HeldMeter, type Holding, mayHoldMore, ReceiveWindow } from './http2-window.ts';

/**
 * Relays one HTTP/2 connection: one upstream session per agent session, stream by stream, fields as raw arrays, SETTINGS,
 * GOAWAY and RST_STREAM mirrored. `agent` is decrypted (or cleartext) and begins with the client preface.
 */
export const relayHttp2: Relay = (agent, context) => {
  new SessionRelay(agent, context).start();
};

class SessionRelay implements PairHost, Holding, UpstreamEvents {
  readonly corridor: Corridor;
  readonly #agent: Duplex;
  readonly #context: RelayContext;
  readonly #pairs = new Set<StreamPair>();
  readonly #reach = serially((pair: StreamPair) => this.#reachAndForward(pair));
  readonly #meter: HeldMeter;
  #session: ServerHttp2Session | undefined;
  #window: ReceiveWindow | undefined;
  #upstream: UpstreamSide | undefined;
  #gate: Gate | undefined;
  #headTimer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;
  /** What our SETTINGS say of the upstream's. */
  #announced = { streams: 0, connectProtocol: false };
  /** Complete exchanges whose upload is still being written upstream. */
  #tails = 0;
  /** Why the connection ends; set by the first cause. */
  #reason: string | undefined;
  #over = false;

  constructor(agent: Duplex, context: RelayContext) {
    this.corridor = context.corridor;
    this.#agent = agent;
    this.#context = context;
    this.#meter = new HeldMeter(this, context.limits.heldBytes);
  }

  start(): void {
    const { connection, firstBytes, limits, link } = this.#context;
    const agent = this.#agent;
    this.corridor.onDrain(connection, () => this.#closeAgent('draining'));
    agent.on('error', ignore);
    // The session says why in the same turn, after this listener.
    agent.once('close', () => setImmediate(() => this.#finish('agent-closed')));
    agent.once('end', () => agent.end());
    if (agent.destroyed) {
      link?.socket.destroy();
      this.#finish('agent-closed');
      return;
    }
    if (firstBytes !== undefined && firstBytes.length > 0) agent.unshift(firstBytes);
    if (limits.headMs > 0) {
      this.#headTimer = setTimeout(() => {
        this.corridor.reject(connection, 'head-timeout', 'no HTTP/2 preface and SETTINGS');
        this.#finish('head-timeout');
      }, limits.headMs);
    }
    if (link === undefined) this.#startAgent();
    else if (this.#startUpstream(link)) this.#gate = gate(agent, () => this.#startAgent());
  }

  // What a pair and the meter ask
  get upstreamDead(): boolean {
    return this.#upstream?.dead === true;
  }

  tail(change: 1 | -1): void {
    this.#tails += change;
  }

  done(pair: PairEvents): void {
    this.#pairs.delete(pair as StreamPair);
    if (this.#pairs.size > 0) return;
    if (this.#session?.closed === true) this.#armLinger();
    else this.#armIdle();
  }

  slow(): void {
    this.#meter.watch();
  }

  passedUp(bytes: number): void {
    this.#window?.passed(bytes, this.#meter.calm);
  }

  passedDown(bytes: number): void {
    this.#upstream?.window.passed(bytes, this.#meter.calm);
  }

  held(): number {
    return [...this.#pairs].reduce((sum, pair) => sum + pair.held(), 0);
  }

  stalled(): boolean {
    // Every pair is asked: each compares with its own last answer.
    return [...this.#pairs].filter((pair) => pair.stalled()).length > 0;
  }

  // The agent's session

  #startAgent(): void {
    const agent = this.#agent;
    if (this.#over || agent.destroyed) return;
    const { limits } = this.#context;
    const settings = this.#upstream?.settings;
    try {
      const session = performServerHandshake(agent as never, agentOptions(limits, settings) as never);
      this.#session = session;
      session.on('stream', (stream, headers, flags, raw) => this.#onStream(stream, headers, flags, raw as RawFields));
      session.on('error', (error) => this.#agentFailed(error));
      session.once('remoteSettings', () => clearTimeout(this.#headTimer));
      session.once('goaway', (code) => {
        this.#reason ??= code === 0 ? 'agent-goaway' : `agent-goaway-${code}`;
      });
      session.once('close', () => this.#finish('agent-closed'));
      this.#window = new ReceiveWindow(session);
      this.#meter.steer(this.#window);
    } catch (error) {
      this.#finish(`agent-error: ${(error as Error).message}`);
      return;
    }
    const connectProtocol = settings?.enableConnectProtocol === true;
    this.#announced = { streams: streamLimit(limits, settings), connectProtocol };
    this.#armIdle();
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, raw: RawFields): void {
    const { connection, limits, scheme } = this.#context;
    stream.on('error', ignore);
    clearTimeout(this.#idleTimer);
    const full = limits.streamsPerConnection > 0 && this.#pairs.size >= limits.streamsPerConnection;
    if (full || !mayHoldMore(limits.heldBytes)) {
      this.corridor.reject(connection, 'limit-reached', full ? 'limits.streams_per_connection' : 'limits.held_bytes');
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    const exchange = this.corridor.open(connection, requestFacts(raw, connection, scheme), 'exchange');
    const request = { raw, headers, ended: (flags & END_STREAM) !== 0 };
    const pair = new StreamPair(this, stream, request, exchange);
    this.#pairs.add(pair);
    const checked = this.corridor.check(exchange);
    if (!checked.forward) pair.answer(checked.answer);
    else pair.request.begin(checked.edits, () => this.#forward(pair));
  }

  /** A broken connection, or a violation or flood for which node:http2 has ended the session (threat E10). */
  #agentFailed(error: NodeJS.ErrnoException): void {
    // Once we end it ourselves, what the socket still says is an echo.
    if (this.#reason !== undefined || this.#over) return;
    const broken = error.code === 'ECONNRESET' || error.code === 'EPIPE';
    this.#reason = broken ? 'agent-reset' : 'agent-error';
    if (!broken) this.corridor.reject(this.#context.connection, 'bad-request', `HTTP/2: ${error.message}`);
  }

  /** Only without an upstream does a clock of ours end an idle session; otherwise the upstream's end is mirrored. */
  #armIdle(): void {
    const { keepaliveMs } = this.#context.limits;
    if (keepaliveMs === 0 || this.#upstream !== undefined || this.#over) return;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      if (this.#pairs.size === 0 && this.#upstream === undefined) this.#closeAgent('idle');
    }, keepaliveMs).unref();
  }

  #armLinger(): void {
    this.#lingerTimer ??= setTimeout(() => this.#finish('agent-closed'), LINGER_MS).unref();
  }

  /** GOAWAY, then the end of the connection when the last stream is over. */
  #closeAgent(reason: string): void {
    this.#reason ??= reason;
    if (this.#session === undefined || this.#session.destroyed) {
      this.#finish(reason);
      return;
    }
    this.#session.close();
    if (this.#pairs.size === 0) this.#armLinger();
  }

  /** The one end: every exchange closed, then the connection, both sockets on their way out. */
  #finish(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#headTimer);
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#lingerTimer);
    this.#meter.stop();
    this.#agent.destroy();
    for (const pair of [...this.#pairs]) pair.agentClosed();
    this.#upstream?.leave(this.#tails > 0);
    this.corridor.connectionClosed(this.#context.connection, this.#reason ?? reason);
  }

  // The upstream's session

  #startUpstream(link: Link): boolean {
    try {
      this.#upstream = new UpstreamSide(link, this.#context, this);
    } catch (error) {
      link.socket.destroy();
      this.#finish(`upstream-closed: ${(error as Error).message}`);
      return false;
    }
    this.#meter.steer(this.#upstream.window);
    return true;
  }

  settings(): void {
    this.#gate?.open();
    const session = this.#session;
    const settings = this.#upstream?.settings;
    if (session === undefined || session.destroyed || session.closed || settings === undefined) return;
    const streams = streamLimit(this.#context.limits, settings);
    // Extended CONNECT cannot be taken back (RFC 8441 §3).
    const connectProtocol = this.#announced.connectProtocol || settings.enableConnectProtocol === true;
    if (streams === this.#announced.streams && connectProtocol === this.#announced.connectProtocol) return;
    this.#announced = { streams, connectProtocol };
    session.settings({ maxConcurrentStreams: streams, ...(connectProtocol ? { enableConnectProtocol: true } : {}) });
  }

  goaway(code: number): void {
    if (code === 0) this.#closeAgent('upstream-goaway');
    else this.#reason ??= `upstream-goaway-${code}`;
  }

  /** The agent gets the end a direct connection would show: GOAWAY with its code, a clean close, or a cut. */
  gone(): void {
    const upstream = this.#upstream;
    if (this.#over || upstream === undefined) return;
    const { goawayCode = 0, error } = upstream;
    if (goawayCode !== 0 && this.#session?.destroyed === false) {
      this.#session.destroy(goawayCode as never);
      return;
    }
    if (![...this.#pairs].some((pair) => pair.incomplete)) {
      this.#closeAgent('upstream-closed');
      return;
    }
    this.#reason ??= error === undefined ? 'upstream-closed' : `upstream-closed: ${error.message}`;
    if (error?.code === 'ECONNRESET') {
      this.#finish('upstream-closed');
      return;
    }
    // What was passed on still reaches the agent; then FIN without END_STREAM.
    this.#agent.end();
    for (const pair of [...this.#pairs]) pair.agentClosed();
    this.#armLinger();
  }

  // Without an upstream yet (a refused CONNECT answered inside, or a verification): the first allowed stream reaches one.

  async #reachAndForward(pair: StreamPair): Promise<void> {
    try {
      if (this.#upstream === undefined && !pair.gone) await this.#reachFor(pair);
    } catch (error) {
      pair.answer(this.corridor.failure(pair.exchange, 'internal', (error as Error).message));
    }
    if (this.#upstream !== undefined) this.#forward(pair);
  }

  #forward(pair: StreamPair): void {
    if (this.#upstream === undefined) this.#reach(pair);
    else pair.forward(this.#upstream.session, this.#upstream.link);
  }

  async #reachFor(pair: StreamPair): Promise<void> {
    const reached = await this.corridor.reach(pair.exchange, wantedTls(pair.exchange, this.#context));
    if ('answer' in reached) {
      pair.answer(reached.answer);
      return;
    }
    const { link } = reached;
    const speaksHttp2 = this.#context.scheme === 'http' || link.tls?.alpn === 'h2';
    if (speaksHttp2 && !this.#over) {
      this.#startUpstream(link);
      return;
    }
    link.socket.on('error', ignore).destroy();
    if (!this.#over) pair.answer(this.corridor.failure(pair.exchange, 'upstream-tls-failed', 'no HTTP/2 upstream'));
  }
}

function ignore(): void {}
