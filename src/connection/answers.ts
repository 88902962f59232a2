import type { Socket } from 'node:net';
import type { Answer } from '../model/answer.ts';
import type { Corridor } from '../model/ports.ts';

/** How long a refused client may take to read its answer before the socket is cut. */
const LINGER_MS = 2_000;

/** The answer as one HTTP/1.1 message that ends the connection. */
export function renderAnswer(answer: Answer): Buffer {
  let head = `HTTP/1.1 ${answer.status} ${answer.reason}\r\n`;
  for (const [name, value] of answer.headers) head += `${name}: ${value}\r\n`;
  return Buffer.concat([Buffer.from(`${head}connection: close\r\n\r\n`, 'latin1'), Buffer.from(answer.body, 'utf8')]);
}

/**
 * Writes the answer (or other last words) and closes in an orderly way: what the client still sends is read and thrown
 * away, because unread data would turn our close into a reset that destroys the answer on its way (RFC 9112 §9.6).
 */
export function lastWords(socket: Socket, words: Answer | Buffer): void {
  if (socket.destroyed) return;
  socket.on('error', () => {});
  socket.end(Buffer.isBuffer(words) ? words : renderAnswer(words));
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('end', () => socket.destroySoon());
  socket.once('close', () => clearTimeout(timer));
}

/** Fatal TLS alert access_denied (RFC 8446 §6.2), readable by a client that has not begun to encrypt. */
export const ACCESS_DENIED: Buffer = Buffer.from([21, 3, 3, 0, 2, 2, 49]);

/** Empty SETTINGS, then GOAWAY with HTTP_1_1_REQUIRED (RFC 9113 §6.8 and §7): the one answer an HTTP/2 client can read. */
export const HTTP_1_1_REQUIRED: Buffer = Buffer.from([
  0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13,
]);

/**
 * The corridor for a client that is answered inside: whatever the inner request says, nothing is dialled. The inner check
 * runs first, so that the answer carries the inner exchange's own reference when it is refused too.
 */
export function refusing(corridor: Corridor, answer: Answer): Corridor {
  return {
    ready: corridor.ready,
    connection: (facts) => corridor.connection(facts),
    connectionClosed: (connection, reason) => corridor.connectionClosed(connection, reason),
    open: (connection, request, kind) => corridor.open(connection, request, kind),
    openTunnel: (connect) => corridor.openTunnel(connect),
    check(exchange) {
      const checked = corridor.check(exchange);
      return checked.forward ? { forward: false, answer } : checked;
    },
    checkTls(connect, tls, protocol) {
      const checked = corridor.checkTls(connect, tls, protocol);
      return checked.forward ? { forward: false, answer } : checked;
    },
    reach: () => Promise.resolve({ answer }),
    secure: () => Promise.resolve({ failed: 'handshake', detail: 'answered by Weir' }),
    failure: (exchange, code, detail) => corridor.failure(exchange, code, detail),
    reject: (connection, code, detail) => corridor.reject(connection, code, detail),
    onDrain: (connection, drain) => corridor.onDrain(connection, drain),
    close: (exchange, facts) => corridor.close(exchange, facts),
    content: (exchange, direction) => corridor.content(exchange, direction),
    filter: (exchange, direction, length, sink) => corridor.filter(exchange, direction, length, sink),
    checkResponse: (exchange) => corridor.checkResponse(exchange),
    checkTrailers: (exchange, direction, fields) => corridor.checkTrailers(exchange, direction, fields),
    onRevoked: (exchange, revoke) => corridor.onRevoked(exchange, revoke),
  };
}
