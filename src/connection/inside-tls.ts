import type { TLSSocket } from 'node:tls';
import type { TlsFacts } from '../model/connection.ts';
import type { Link, Secured } from '../model/ports.ts';
import { ACCESS_DENIED } from './answers.ts';
import { leafName, readableAlpn } from './interception.ts';
import { rejectsCertificate, type Terminated } from './tls.ts';
import type { Tunnel } from './tunnel.ts';

const NO_WORDS: Buffer = Buffer.alloc(0);

/** What happens to a CONNECT after its ClientHello was read and its names were judged. */
export class InsideTls {
  readonly #tunnel: Tunnel;
  readonly #facts: TlsFacts;

  constructor(tunnel: Tunnel, facts: TlsFacts) {
    this.#tunnel = tunnel;
    this.#facts = facts;
  }

  /** Tunnel, intercept or refuse. */
  begin(): void {
    const tunnel = this.#tunnel;
    const decision = tunnel.env.interception.decide(tunnel.connect, this.#facts);
    if (decision.do === 'tunnel') {
      tunnel.splice('tls');
      return;
    }
    if (decision.do === 'intercept') {
      void this.#upstreamFirst();
      return;
    }
    tunnel.connection.interceptionSkipped = decision.reason;
    if (decision.pass) {
      tunnel.spliceUnread(this.#facts);
      return;
    }
    tunnel.env.corridor.failure(tunnel.connect, 'uninspectable', decision.reason);
    tunnel.abort({ outcome: 'blocked', error: 'uninspectable', detail: decision.reason }, ACCESS_DENIED);
  }

  /** Answers the agent's handshake and lets a relay without upstream give the refusal inside it. */
  terminate(): void {
    const offered = readableAlpn(this.#facts);
    this.#accept(offered.includes('http/1.1') ? 'http/1.1' : offered[0]);
  }

  /** product.md §3.1: the upstream handshake comes first, with the client's offer; the client gets what it chose. */
  async #upstreamFirst(): Promise<void> {
    const tunnel = this.#tunnel;
    const { corridor, interception } = tunnel.env;
    const link = tunnel.unwatchLink() as Link;
    const servername = this.#facts.sni ?? tunnel.connect.destination.host;
    let secured: Secured;
    try {
      secured = await corridor.secure(tunnel.connect, link, { servername, alpn: readableAlpn(this.#facts) });
    } catch (error) {
      secured = { failed: 'handshake', detail: (error as Error).message };
    }
    if (tunnel.done) {
      if ('link' in secured) secured.link.socket.destroy();
      return;
    }
    if ('failed' in secured) return this.#unverifiable(secured);
    const { socket, tls } = secured.link;
    // A TLS 1.3 server refuses a missing client certificate only after its handshake is over (product.md §3.1).
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code?.includes('CERTIFICATE_REQUIRED') === true) interception.wantsClientCertificate(tunnel.connect);
    });
    tunnel.watch(secured.link);
    if (tls !== undefined) tunnel.connect.upstreamTls = tls;
    this.#accept(tls?.alpn !== undefined && this.#facts.alpn.includes(tls.alpn) ? tls.alpn : undefined);
  }

  async #unverifiable(secured: Extract<Secured, { failed: string }>): Promise<void> {
    const tunnel = this.#tunnel;
    const { corridor, interception } = tunnel.env;
    const { connect } = tunnel;
    tunnel.link?.socket.destroy();
    tunnel.link = undefined;
    if (secured.failed === 'client-certificate-required') interception.wantsClientCertificate(connect);
    tunnel.connection.interceptionSkipped = `upstream-${secured.failed}`;
    if (interception.onUnverifiable(connect) === 'block') {
      const error = secured.failed === 'unverifiable' ? 'upstream-unverifiable' : 'upstream-tls-failed';
      const answer = corridor.failure(connect, error, secured.detail);
      tunnel.answerInside(answer, { outcome: 'failed', error, detail: secured.detail });
      return this.terminate();
    }
    const reached = await corridor.reach(connect);
    if (tunnel.done) {
      if ('link' in reached) reached.link.socket.destroy();
      return;
    }
    if ('answer' in reached) return tunnel.abort({ outcome: 'failed', error: 'connect-failed' });
    tunnel.watch(reached.link);
    tunnel.spliceUnread(this.#facts);
  }

  #accept(alpn: string | undefined): void {
    const tunnel = this.#tunnel;
    const host = leafName(this.#facts, tunnel.connect.destination.host);
    tunnel.unwatchAgent();
    tunnel.env.interception.terminator.accept(tunnel.agent, host, alpn, (result) => this.#terminated(result));
  }

  #terminated(result: Terminated): void {
    const tunnel = this.#tunnel;
    if ('failed' in result) {
      this.#rejected(result.failed, result.detail);
      return;
    }
    if (tunnel.done) {
      result.socket.destroy();
      return;
    }
    tunnel.agent = result.socket;
    tunnel.connection.visibility = 'intercepted';
    tunnel.settle();
    this.#awaitRequest(result.socket);
  }

  /**
   * The relay gets the stream with its first application byte. A client that closes before is one that may have rejected
   * our certificate without an alert (product.md §3.5).
   */
  #awaitRequest(socket: TLSSocket): void {
    const tunnel = this.#tunnel;
    const upstream = tunnel.unwatchLink()?.socket;
    let code = 'closed';
    const stop = (): void => {
      socket.off('readable', onReadable).off('end', onGone).off('close', onGone);
      upstream?.off('end', onUpstreamGone).off('close', onUpstreamGone);
    };
    const onReadable = (): void => {
      if (socket.readableLength === 0) return;
      stop();
      tunnel.env.interception.accepted(tunnel.connect, this.#facts);
      tunnel.relay(socket.alpnProtocol === 'h2' ? 'http2' : 'http1', socket, 'https');
    };
    const onGone = (): void => {
      stop();
      this.#rejected(code, 'closed before the first request');
    };
    const onUpstreamGone = (): void => {
      stop();
      tunnel.abort({ outcome: 'forwarded', closeReason: 'upstream-closed' }, NO_WORDS);
    };
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? code;
    });
    if (socket.destroyed) {
      onGone();
      return;
    }
    socket.on('readable', onReadable).once('end', onGone).once('close', onGone);
    if (upstream?.destroyed === true) {
      onUpstreamGone();
      return;
    }
    upstream?.once('end', onUpstreamGone).once('close', onUpstreamGone);
  }

  #rejected(code: string, detail: string): void {
    const tunnel = this.#tunnel;
    if (tunnel.done) return;
    tunnel.env.interception.failed(tunnel.connect, this.#facts, code);
    const rejected = rejectsCertificate(code);
    if (rejected) tunnel.connection.interceptionSkipped = 'client-rejected-ca';
    const left = code === 'closed' || code === 'ECONNRESET' || code === 'EPIPE';
    const error = rejected ? 'uninspectable' : left ? 'client-gone' : 'tls-failed';
    const outcome = error === 'client-gone' ? 'client-gone' : 'failed';
    tunnel.abort({
      outcome,
      error,
      detail: `${code}: ${detail}`,
      closeReason: rejected ? 'client-rejected-ca' : error,
    });
  }
}
