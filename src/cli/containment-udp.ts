import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

/** Codes of connect(2) on a datagram socket, which sends nothing: the kernel itself knows no way there, or forbids it. */
const NO_WAY = new Set([
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'EACCES',
  'EPERM',
  'EINVAL',
]);

/** What one datagram brought: an answer, a failure (error code), or neither within the time. */
export interface UdpExchange {
  readonly answer?: Buffer;
  readonly failure?: string;
}

function open(host: string): Socket {
  return createSocket(isIPv6(host) ? 'udp6' : 'udp4');
}

/** Sends one datagram and waits for the first answer. Never rejects. */
export function exchangeUdp(host: string, port: number, message: Buffer, ms: number): Promise<UdpExchange> {
  return new Promise((resolve) => {
    const socket = open(host);
    const done = (result: UdpExchange): void => {
      clearTimeout(timer);
      finish(socket);
      resolve(result);
    };
    const failed = (error: NodeJS.ErrnoException): void => done({ failure: error.code ?? error.message });
    const timer = setTimeout(() => done({}), ms);
    socket.on('error', failed);
    socket.on('message', (answer) => done({ answer }));
    socket.on('connect', () => socket.send(message, (refused) => refused && failed(refused)));
    // Connected, so that an ICMP refusal reaches us as an error.
    socket.connect(port, host);
  });
}

/**
 * The kernel's reason when it has no way to this host, found without sending anything: an ICMP error from some router, which
 * may concern only that one address, looks the same in a failed connection. Undefined when there is a way.
 */
export function noRoute(host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = open(host);
    const done = (code: string | undefined): void => {
      finish(socket);
      resolve(code !== undefined && NO_WAY.has(code) ? code : undefined);
    };
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code));
    socket.on('connect', () => done(undefined));
    socket.connect(443, host);
  });
}

/** Late errors of a socket that has done its work have nobody to tell. */
function finish(socket: Socket): void {
  socket.removeAllListeners();
  socket.on('error', () => undefined);
  try {
    socket.close();
  } catch {
    // Closed by a result that came before this one.
  }
}
