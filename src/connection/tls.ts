import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Authority } from './authority.ts';

/** One `tls.Server` costs about 20 KB; least recently used are dropped first. */
const MAX_SERVERS = 1000;
/**
 * X25519 first: the post-quantum hybrid of OpenSSL's default costs 14 % CPU per handshake on a leg that rarely leaves
 * the machine (measured, engine.md D).
 */
const CURVES = 'X25519:P-256:P-384:P-521';

export type Terminated =
  | { readonly socket: TLSSocket }
  /** `code` of the TLS error (an alert of the client, mostly), `closed` when the client left without one. */
  | { readonly failed: string; readonly detail: string };

/** The agent-side half of interception: TLS with our leaf. */
export interface Terminator {
  /**
   * Takes over `raw`, whose buffer holds the untouched ClientHello, and answers it for `host` with the one given ALPN
   * protocol (none when undefined). `settle` is called exactly once.
   */
  accept(raw: Socket, host: string, alpn: string | undefined, settle: (result: Terminated) => void): void;
}

export function createTerminator(authority: Authority, options: { handshakeMs: number }): Terminator {
  return new ServerTerminator(authority, options.handshakeMs);
}

interface Kept {
  readonly server: Server;
  readonly renewAt: number;
  readonly generation: number;
}

class ServerTerminator implements Terminator {
  readonly #authority: Authority;
  readonly #handshakeMs: number;
  readonly #servers: Map<string, Kept> = new Map();
  /** Handshakes under way: one listener per server, not one per connection, which would leak 53 KB each (data-path B2). */
  readonly #waiting: WeakMap<object, (result: Terminated) => void> = new WeakMap();

  constructor(authority: Authority, handshakeMs: number) {
    this.#authority = authority;
    this.#handshakeMs = handshakeMs;
  }

  accept(raw: Socket, host: string, alpn: string | undefined, settle: (result: Terminated) => void): void {
    let settled = false;
    const finish = (result: Terminated): void => {
      if (settled) return;
      settled = true;
      this.#waiting.delete(raw);
      raw.off('close', onClose);
      settle(result);
    };
    // The backstop: whatever the TLS layer makes of it, the handshake is over when its transport is.
    const onClose = (): void => {
      setImmediate(finish, { failed: 'closed', detail: 'the client closed during the TLS handshake' });
    };
    if (raw.destroyed) {
      onClose();
      return;
    }
    this.#waiting.set(raw, finish);
    raw.once('close', onClose);
    // A half-open TLSSocket never reports an end during its handshake; half-close is given back when that is over.
    raw.allowHalfOpen = false;
    try {
      this.#serverFor(host, alpn).emit('connection', raw);
    } catch (error) {
      raw.destroy();
      finish({ failed: 'internal', detail: (error as Error).message });
    }
  }

  #serverFor(host: string, alpn: string | undefined): Server {
    const key = `${alpn ?? ''}\n${host}`;
    const { generation } = this.#authority;
    const known = this.#servers.get(key);
    this.#servers.delete(key);
    if (known !== undefined && known.renewAt > Date.now() && known.generation === generation) {
      this.#servers.set(key, known);
      return known.server;
    }
    const leaf = this.#authority.leaf(host);
    const server = createServer({
      key: leaf.key,
      cert: leaf.cert,
      ecdhCurve: CURVES,
      handshakeTimeout: this.#handshakeMs,
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
    });
    server.on('secureConnection', (socket) => {
      socket.allowHalfOpen = true;
      this.#settle(socket, { socket });
    });
    server.on('tlsClientError', (error, socket) => {
      socket.on('error', () => {});
      const { code } = error as NodeJS.ErrnoException;
      this.#settle(socket, { failed: code ?? 'tls-error', detail: error.message });
    });
    this.#servers.set(key, { server, renewAt: leaf.renewAt, generation });
    if (this.#servers.size > MAX_SERVERS) this.#servers.delete(this.#servers.keys().next().value as string);
    return server;
  }

  #settle(socket: TLSSocket, result: Terminated): void {
    // `_parent` is the socket that was wrapped. Matching by address fails exactly when it matters: a client that sent its
    // alert and closed has no peer address any more.
    const { _parent: raw } = socket as TLSSocket & { _parent?: Socket };
    const finish = raw === undefined ? undefined : this.#waiting.get(raw);
    if (finish !== undefined) finish(result);
    else if ('socket' in result) socket.destroy();
  }
}

/**
 * Whether a handshake error says "I do not accept this certificate" (RFC 8446 §6.2 alerts 42-49 and 51). OpenSSL spells
 * them differently by version, so the words are looked for.
 */
export function rejectsCertificate(code: string): boolean {
  return (
    code.includes('ALERT_UNKNOWN_CA') ||
    code.includes('ALERT_BAD_CERTIFICATE') ||
    code.includes('ALERT_CERTIFICATE_') ||
    code.includes('ALERT_UNSUPPORTED_CERTIFICATE') ||
    code.includes('ALERT_ACCESS_DENIED') ||
    code.includes('ALERT_DECRYPT_ERROR')
  );
}

/** The client and we have no version, cipher or signature algorithm in common: asking again would not help. */
export function incompatible(code: string): boolean {
  return (
    code.includes('NO_SHARED_CIPHER') ||
    code.includes('UNSUPPORTED_PROTOCOL') ||
    code.includes('NO_SUITABLE_') ||
    code.includes('NO_SHARED_SIGNATURE') ||
    code.includes('ALERT_HANDSHAKE_FAILURE') ||
    code.includes('ALERT_PROTOCOL_VERSION')
  );
}
