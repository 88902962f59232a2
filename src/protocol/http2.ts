import {
  type ClientHttp2Session,
  connect,
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { hostPort } from '../model/destination.ts';
import type { Corridor, Link, Relay, RelayContext, UpstreamTls } from '../model/ports.ts';
import { type RawFields, requestFacts } from './http2-fields.ts';
import { type Gate, gate } from './http2-gate.ts';
import { agentOptions, streamLimit, upstreamOptions } from './http2-options.ts';
import { END_STREAM, type PairHost, StreamPair } from './http2-stream.ts';
import { HeldMeter, type Holding, mayHoldMore, ReceiveWindow } from './http2-window.ts';

/** How long a side that is already over may take to go away by itself. */
const LINGER_MS = 5_000;

/**
 * Relays one HTTP/2 connection: one upstream session per agent session, one upstream stream per agent stream, fields as
 * raw arrays, SETTINGS, GOAWAY and RST_STREAM mirrored. `agent` is decrypted (or prior-knowledge cleartext) and begins
 * with the client preface.
 */
export const relayHttp2: Relay = (agent, context) => {
  new SessionRelay(agent, context).start();
};

class SessionRelay implements PairHost, Holding {
  readonly corridor: Corridor;
  readonly #agent: Duplex;
  readonly #context: RelayContext;
  readonly #pairs = new Set<StreamPair>();
  readonly #meter: HeldMeter;
  readonly #waiting: StreamPair[] = [];
  #agentSession: ServerHttp2Session | undefined;
  #agentWindow: ReceiveWindow | undefined;
  #upstream: ClientHttp2Session | undefined;
  #upstreamWindow: ReceiveWindow | undefined;
  #link: Link | undefined;
  #gate: Gate | undefined;
  #headTimer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #announced: { streams: number; connectProtocol: boolean } = { streams: 0, connectProtocol: false };
  #reaching = false;
  #settingsSeen = false;
  #goawayCode = 0;
  #reason: string | undefined;
  #over = false;

  constructor(agent: Duplex, context: RelayContext) {
    this.corridor = context.corridor;
    this.#agent = agent;
    this.#context = context;
    this.#meter = new HeldMeter(this, context.limits.heldBytes);
  }

  start(): void {
    const { firstBytes, limits, link } = this.#context;
    const agent = this.#agent;
    agent.on('error', ignore);
    agent.once('close', () => this.#agentGone());
    if (firstBytes !== undefined && firstBytes.length > 0) agent.unshift(firstBytes);
    if (limits.headMs > 0) {
      this.#headTimer = setTimeout(() => {
        this.corridor.reject(this.#context.connection, 'head-timeout', 'no HTTP/2 preface and SETTINGS');
        this.#end('head-timeout');
        agent.destroy();
      }, limits.headMs);
    }
    if (link === undefined) {
      this.#startAgent();
      return;
    }
    if (!this.#startUpstream(link)) {
      agent.destroy();
      return;
    }
    this.#gate = gate(agent, () => this.#startAgent());
  }

  // What a pair asks of us

  get upstreamDead(): boolean {
    return this.#upstream?.destroyed === true;
  }

  done(pair: StreamPair): void {
    this.#pairs.delete(pair);
    if (this.#pairs.size === 0) this.#armIdle();
  }

  slow(): void {
    this.#meter.watch();
  }

  passedUp(bytes: number): void {
    this.#agentWindow?.passed(bytes, this.#meter.calm);
  }

  passedDown(bytes: number): void {
    this.#upstreamWindow?.passed(bytes, this.#meter.calm);
  }

  // What the meter asks of us

  held(): number {
    let sum = 0;
    for (const pair of this.#pairs) sum += pair.held();
    return sum;
  }

  stalled(): boolean {
    let stalled = false;
    for (const pair of this.#pairs) if (pair.stalled()) stalled = true;
    return stalled;
  }

  // Agent side

  #startAgent(): void {
    const agent = this.#agent;
    if (this.#over || agent.destroyed) return;
    const settings = this.#upstreamSettings();
    let session: ServerHttp2Session;
    try {
      session = performServerHandshake(agent as never, agentOptions(this.#context.limits, settings) as never);
    } catch (error) {
      this.#end(`agent session: ${(error as Error).message}`);
      agent.destroy();
      return;
    }
    this.#agentSession = session;
    this.#announced = {
      streams: streamLimit(this.#context.limits, settings),
      connectProtocol: settings?.enableConnectProtocol === true,
    };
    session.on('stream', (stream, headers, flags, raw) => this.#onStream(stream, headers, flags, raw as RawFields));
    session.on('error', (error) => this.#agentFailed(error));
    session.on('frameError', ignore);
    session.once('remoteSettings', () => clearTimeout(this.#headTimer));
    session.once('goaway', (code) => {
      this.#reason ??= code === 0 ? 'agent-goaway' : `agent-goaway-${code}`;
    });
    session.once('close', () => this.#agentGone());
    this.#agentWindow = new ReceiveWindow(session);
    this.#meter.steer(this.#agentWindow);
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
    else if (this.#upstream !== undefined && this.#link !== undefined) pair.forward(this.#upstream, this.#link);
    else this.#reach(pair);
  }

  /** A protocol violation or a flood that node:http2 has ended the session for (threat E10). */
  #agentFailed(error: NodeJS.ErrnoException): void {
    const socketError = error.code === 'ECONNRESET' || error.code === 'EPIPE';
    this.#reason ??= socketError ? 'agent-reset' : 'agent-error';
    if (!socketError && !this.upstreamDead) {
      this.corridor.reject(this.#context.connection, 'bad-request', `HTTP/2: ${error.message}`);
    }
  }

  #agentGone(): void {
    if (this.#over) return;
    this.#end(this.#reason ?? 'agent-closed');
    this.#agent.destroy();
    const upstream = this.#upstream;
    if (upstream === undefined || upstream.destroyed) return;
    // Streams have been reset by their pairs; what is complete may still go out.
    upstream.close();
    setTimeout(() => {
      upstream.destroy();
      this.#link?.socket.destroy();
    }, LINGER_MS).unref();
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

  /** GOAWAY, then the end of the connection when the last stream is over. */
  #closeAgent(reason: string): void {
    this.#reason ??= reason;
    const session = this.#agentSession;
    if (session === undefined || session.destroyed) {
      this.#agent.destroy();
      return;
    }
    session.close();
    setTimeout(() => {
      if (this.#pairs.size === 0) this.#agent.destroy();
    }, LINGER_MS).unref();
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#headTimer);
    clearTimeout(this.#idleTimer);
    this.#meter.stop();
    this.corridor.connectionClosed(this.#context.connection, reason);
    if (this.#agentSession === undefined) this.#link?.socket.destroy();
  }

  // Upstream side

  #startUpstream(link: Link): boolean {
    const { socket } = link;
    socket.on('error', ignore);
    this.#link = link;
    if (socket.destroyed) {
      this.#end('upstream-closed');
      return false;
    }
    const { authority } = this.#context.connection;
    const name = authority === undefined ? 'upstream.invalid' : hostPort(authority.host, authority.port);
    const options = { ...upstreamOptions(this.#context.limits), createConnection: () => socket };
    let session: ClientHttp2Session;
    try {
      session = connect(`${this.#context.scheme}://${name}`, options);
    } catch (error) {
      this.#end(`upstream session: ${(error as Error).message}`);
      socket.destroy();
      return false;
    }
    this.#upstream = session;
    session.on('error', (error: Error) => {
      this.#reason ??= `upstream-error: ${error.message}`;
    });
    session.on('frameError', ignore);
    session.on('remoteSettings', () => this.#onUpstreamSettings());
    session.on('goaway', (code: number) => this.#onUpstreamGoaway(code));
    session.once('close', () => this.#upstreamGone());
    this.#upstreamWindow = new ReceiveWindow(session);
    this.#meter.steer(this.#upstreamWindow);
    return true;
  }

  #upstreamSettings(): Settings | undefined {
    const session = this.#upstream;
    return session === undefined || session.destroyed || !this.#settingsSeen ? undefined : session.remoteSettings;
  }

  #onUpstreamSettings(): void {
    this.#settingsSeen = true;
    this.#gate?.open();
    const session = this.#agentSession;
    const settings = this.#upstreamSettings();
    if (session === undefined || session.destroyed || session.closed || settings === undefined) return;
    const streams = streamLimit(this.#context.limits, settings);
    // Extended CONNECT cannot be taken back (RFC 8441 §3).
    const connectProtocol = this.#announced.connectProtocol || settings.enableConnectProtocol === true;
    if (streams === this.#announced.streams && connectProtocol === this.#announced.connectProtocol) return;
    this.#announced = { streams, connectProtocol };
    session.settings({ maxConcurrentStreams: streams, ...(connectProtocol ? { enableConnectProtocol: true } : {}) });
  }

  #onUpstreamGoaway(code: number): void {
    this.#goawayCode = code;
    if (code === 0) this.#closeAgent('upstream-goaway');
    else this.#reason ??= `upstream-goaway-${code}`;
  }

  /** The agent gets the end a direct connection would show: GOAWAY with its code, a clean close, or a cut. */
  #upstreamGone(): void {
    if (this.#over) return;
    const session = this.#agentSession;
    if (this.#goawayCode !== 0 && session !== undefined && !session.destroyed) {
      this.#reason ??= 'upstream-goaway';
      session.destroy(this.#goawayCode as never);
      return;
    }
    if (this.#pairs.size === 0) {
      this.#closeAgent('upstream-closed');
      return;
    }
    let cut = false;
    for (const pair of this.#pairs) if (pair.cut) cut = true;
    this.#reason ??= 'upstream-closed';
    if (cut) this.#agent.destroy();
    else this.#closeAgent('upstream-closed');
  }

  // Without an upstream yet (a refused CONNECT answered inside, or a verification): the first allowed stream reaches one.

  #reach(pair: StreamPair): void {
    this.#waiting.push(pair);
    if (!this.#reaching) void this.#serveWaiting();
  }

  async #serveWaiting(): Promise<void> {
    this.#reaching = true;
    for (let pair = this.#waiting.shift(); pair !== undefined; pair = this.#waiting.shift()) {
      if (this.#upstream === undefined && !pair.gone) await this.#reachFor(pair);
      if (this.#upstream !== undefined && this.#link !== undefined) pair.forward(this.#upstream, this.#link);
    }
    this.#reaching = false;
  }

  async #reachFor(pair: StreamPair): Promise<void> {
    const reached = await this.corridor.reach(pair.exchange, this.#wantedTls(pair));
    if ('answer' in reached) {
      pair.answer(reached.answer);
      return;
    }
    const { link } = reached;
    link.socket.on('error', ignore);
    const speaksHttp2 = this.#context.scheme === 'http' || link.tls?.alpn === 'h2';
    if (this.#over || !speaksHttp2) {
      link.socket.destroy();
      if (!this.#over) pair.answer(this.corridor.failure(pair.exchange, 'upstream-tls-failed', 'no HTTP/2 upstream'));
      return;
    }
    if (!this.#startUpstream(link)) this.#agent.destroy();
  }

  #wantedTls(pair: StreamPair): UpstreamTls | undefined {
    if (this.#context.scheme === 'http') return undefined;
    return { servername: this.#context.connection.tls?.sni ?? pair.exchange.destination.host, alpn: ['h2'] };
  }
}

function ignore(): void {}
