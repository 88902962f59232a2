import { isIP, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { ignoreError } from './happy-eyeballs.ts';

/** Sessions kept for resumption, least recently stored dropped first. */
const MAX_SESSIONS = 1000;

interface TlsTarget {
  /** Name or IP literal the certificate must be for when `servername` is empty. */
  readonly host: string;
  readonly port: number;
  /** Empty or an IP literal: no SNI is sent (RFC 6066 §3). */
  readonly servername: string;
  readonly alpn: readonly string[];
}

type TlsResult =
  | { readonly socket: TLSSocket; readonly tlsMs: number }
  | { readonly failed: 'unverifiable' | 'handshake' | 'client-certificate-required'; readonly detail: string };

/**
 * Makes TLS over an open socket. Never rejects; on failure the socket is destroyed. A TLS 1.3 server that insists on a
 * client certificate says so only after the handshake: the socket then emits 'error' with code
 * `ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED` (RFC 8446 §4.4.2.4).
 */
export type TlsClient = (socket: Socket, target: TlsTarget) => Promise<TlsResult>;

/**
 * A TLS client with one SecureContext (system, bundled, NODE_EXTRA_CA_CERTS and `ca` roots; made at first use: it costs
 * tens of milliseconds) and a session cache. TLS 1.2 is the floor; there is no second try.
 */
export function createTlsClient(options: { ca: readonly string[] | undefined; handshakeMs: number }): TlsClient {
  let context: SecureContext | undefined;
  const sessions = new Map<string, Buffer>();
  return (socket, target) => {
    context ??= createSecureContext({ ca: roots(options.ca), minVersion: 'TLSv1.2' });
    return handshake(socket, target, { context, sessions, handshakeMs: options.handshakeMs });
  };
}

function roots(extra: readonly string[] | undefined): string[] {
  const all = new Set([
    ...getCACertificates('bundled'),
    ...getCACertificates('system'),
    ...getCACertificates('extra'),
    ...(extra ?? []),
  ]);
  return [...all];
}

interface Shared {
  readonly context: SecureContext;
  readonly sessions: Map<string, Buffer>;
  readonly handshakeMs: number;
}

function handshake(socket: Socket, target: TlsTarget, shared: Shared): Promise<TlsResult> {
  const startedAt = performance.now();
  // Resumption skips the host name check, so a session may only be offered for the very same name.
  const key = `${target.servername}\n${target.host}\n${target.port}\n${target.alpn.join(',')}`;
  return new Promise((resolve) => {
    let tls: TLSSocket;
    try {
      tls = connect(connectOptions(socket, target, shared, key));
    } catch (error) {
      socket.destroy();
      resolve({ failed: 'handshake', detail: (error as Error).message });
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    let early: Buffer | undefined;
    let answered = false;
    let settled = false;
    const fail = (error: NodeJS.ErrnoException): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      shared.sessions.delete(key);
      tls.destroy();
      socket.destroy();
      resolve(failureOf(error, tls, answered));
    };
    tls.on('error', ignoreError).once('error', fail);
    // In TLS 1.2 this line appears once the keys exist, that is after ServerHelloDone: a handshake_failure from here on
    // answers our (empty) Certificate. Only the label is looked at, never the key.
    tls.once('keylog', (line: Buffer) => {
      answered = line.indexOf('CLIENT_RANDOM ') === 0;
    });
    tls.on('session', (session: Buffer) => {
      if (settled) remember(shared.sessions, key, session);
      else early = session;
    });
    tls.once('secureConnect', () => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      tls.off('error', fail);
      if (early !== undefined) remember(shared.sessions, key, early);
      resolve({ socket: tls, tlsMs: performance.now() - startedAt });
    });
    if (shared.handshakeMs > 0) {
      timer = setTimeout(() => fail(new Error('TLS handshake not finished in time')), shared.handshakeMs);
    }
  });
}

function connectOptions(socket: Socket, target: TlsTarget, shared: Shared, key: string): ConnectionOptions {
  const options: ConnectionOptions = { socket, host: target.host, secureContext: shared.context };
  if (target.servername !== '') {
    if (isIP(target.servername) === 0) options.servername = target.servername;
    else options.host = target.servername;
  }
  if (target.alpn.length > 0) options.ALPNProtocols = [...target.alpn];
  const session = shared.sessions.get(key);
  if (session !== undefined) options.session = session;
  return options;
}

function remember(sessions: Map<string, Buffer>, key: string, session: Buffer): void {
  sessions.delete(key);
  sessions.set(key, session);
  if (sessions.size > MAX_SESSIONS) sessions.delete(sessions.keys().next().value as string);
}

/** Alerts by which servers ask for the certificate we did not send (RFC 8446 §6.2; 1.2 servers use handshake_failure). */
const CERTIFICATE_REQUIRED = 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED';
const AFTER_OUR_CERTIFICATE = new Set([
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
  'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE',
]);

function failureOf(error: NodeJS.ErrnoException, tls: TLSSocket, answered: boolean): TlsResult {
  // OpenSSL's message is a file position; its reason is the readable part.
  const text = (error as { reason?: string }).reason ?? error.message;
  const detail = error.code === undefined ? text : `${error.code}: ${text}`;
  // Set only when the certificate or its name was refused by us. Types say Error; it is the code (a string) or null.
  if ((tls.authorizationError as unknown) != null) return { failed: 'unverifiable', detail };
  const code = error.code ?? '';
  if (code === CERTIFICATE_REQUIRED || (answered && AFTER_OUR_CERTIFICATE.has(code))) {
    return { failed: 'client-certificate-required', detail };
  }
  return { failed: 'handshake', detail };
}
