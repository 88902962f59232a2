import { type ClientHttp2Session, connect, type Settings } from 'node:http2';
import { hostPort } from '../model/destination.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Link, RelayContext, UpstreamTls } from '../model/ports.ts';
import { upstreamOptions } from './http2-options.ts';
import { ReceiveWindow } from './http2-window.ts';

/** How long a side that is already over may take to go away by itself, ms. */
export const LINGER_MS = 5_000;
/** Time for frames that are already queued. */
const FLUSH_MS = 250;

export interface UpstreamEvents {
  settings(): void;
  goaway(code: number): void;
  /** The session is over; its streams have closed. */
  gone(): void;
}

/** The upstream session of one relay. Owns the link. */
export class UpstreamSide {
  readonly session: ClientHttp2Session;
  readonly link: Link;
  readonly window: ReceiveWindow;
  /** The upstream's SETTINGS, once they are here. */
  settings: Settings | undefined;
  /** Code of its GOAWAY; undefined = none came. */
  goawayCode: number | undefined;
  /** What ended the session, when it was an error. */
  error: NodeJS.ErrnoException | undefined;

  /** Throws when the link is already dead; the caller destroys it. */
  constructor(link: Link, context: RelayContext, events: UpstreamEvents) {
    const { socket } = link;
    this.link = link;
    socket.on('error', (error) => {
      this.error ??= error;
    });
    if (socket.destroyed) throw new Error('upstream connection closed');
    const { authority } = context.connection;
    const name = authority === undefined ? 'upstream.invalid' : hostPort(authority.host, authority.port);
    const options = { ...upstreamOptions(context.limits), createConnection: () => socket };
    const session = connect(`${context.scheme}://${name}`, options);
    this.session = session;
    // The links are half-open sockets; an HTTP/2 peer that has sent FIN has nothing more to say on any stream.
    socket.once('end', () => socket.end());
    session.on('error', (error: Error) => {
      this.error ??= error;
    });
    session.on('remoteSettings', (settings) => {
      this.settings = settings;
      events.settings();
    });
    session.on('goaway', (code: number) => {
      this.goawayCode = code;
      events.goaway(code);
    });
    session.once('close', () => events.gone());
    this.window = new ReceiveWindow(session);
  }

  get dead(): boolean {
    return this.session.destroyed;
  }

  /** The agent is gone: resets still go out, complete uploads (`tails`) may finish, then the link goes. */
  leave(tails: boolean): void {
    const { session, link } = this;
    if (session.destroyed) {
      link.socket.destroy();
      return;
    }
    session.close();
    const timer = setTimeout(
      () => {
        session.destroy();
        link.socket.destroy();
      },
      tails ? LINGER_MS : FLUSH_MS,
    ).unref();
    link.socket.once('close', () => clearTimeout(timer));
  }
}

/** What to ask of upstream TLS for a stream that came before its upstream. */
export function wantedTls(exchange: Exchange, context: RelayContext): UpstreamTls | undefined {
  if (context.scheme === 'http') return undefined;
  return { servername: context.connection.tls?.sni ?? exchange.destination.host, alpn: ['h2'] };
}

/** Calls `serve`, which must not reject, for one item after another in the order they were pushed. */
export function serially<T>(serve: (item: T) => Promise<void>): (item: T) => void {
  const waiting: T[] = [];
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await serve(item);
    running = false;
  };
  return (item) => {
    waiting.push(item);
    if (!running) void run();
  };
}
