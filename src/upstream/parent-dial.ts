import { isIP, type Socket } from 'node:net';
import { SocksClient } from 'socks';
import { type Destination, hostPort } from '../model/destination.ts';
import { WeirError } from '../model/error.ts';
import { dialAddresses, ignoreError } from './happy-eyeballs.ts';
import type { Parent } from './parent.ts';
import { canonicalIp, type LookupAll, lookupAll } from './resolve.ts';
import type { TlsClient } from './secure.ts';

/** A proxy's answer to CONNECT is small; more than this is not one. */
const MAX_REPLY = 65_536;

export interface ParentDial {
  readonly parent: Parent;
  readonly destination: Destination;
  readonly connectMs: number;
  readonly keepAliveMs: number;
  readonly lookup: LookupAll | undefined;
  readonly tls: TlsClient;
}

/**
 * Opens a transport to `destination` through the parent. Plain HTTP through an HTTP(S) parent is the bare connection to
 * it (the requests are absolute-form); everything else is CONNECT or SOCKS with the name resolved over there. Rejects
 * with WeirError `upstream-proxy-failed`, or `connect-timeout` when `connectMs` is over; no message holds a credential.
 */
export async function dialThroughParent(options: ParentDial): Promise<Socket> {
  const { parent, connectMs } = options;
  const deadline = connectMs > 0 ? performance.now() + connectMs : 0;
  let socket = await reachParent(options);
  if (parent.kind === 'https') socket = await secureParent(socket, options);
  if (isHttp(parent) && options.destination.scheme === 'http') return socket;
  const step = isHttp(parent) ? connectStep : socksStep;
  return negotiate(socket, options, deadline, step);
}

/** Whether plain-HTTP requests are written to this parent in absolute-form. */
export function isHttp(parent: Parent): boolean {
  return parent.kind === 'http' || parent.kind === 'https';
}

function nameOf(parent: Parent): string {
  return `parent proxy ${hostPort(parent.host, parent.port)}`;
}

async function reachParent({ parent, connectMs, keepAliveMs, lookup }: ParentDial): Promise<Socket> {
  try {
    const literal = canonicalIp(parent.host);
    const addresses = literal === undefined ? await lookupAll(parent.host, lookup) : [literal];
    return await dialAddresses({ addresses, port: parent.port, connectMs, keepAliveMs });
  } catch (error) {
    const code = error instanceof WeirError && error.code === 'connect-timeout' ? error.code : 'upstream-proxy-failed';
    throw new WeirError(code, `${nameOf(parent)}: ${(error as Error).message}`, { cause: error });
  }
}

async function secureParent(socket: Socket, { parent, tls }: ParentDial): Promise<Socket> {
  const servername = isIP(parent.host) === 0 ? parent.host : '';
  const secured = await tls(socket, { host: parent.host, port: parent.port, servername, alpn: ['http/1.1'] });
  if ('socket' in secured) return secured.socket;
  socket.destroy();
  throw new WeirError('upstream-proxy-failed', `${nameOf(parent)}: TLS ${secured.failed}: ${secured.detail}`);
}

type Done = (error?: string) => void;
type Step = (socket: Socket, options: ParentDial, done: Done) => void;

/** Runs one handshake under what is left of `connectMs`; on any failure the socket is destroyed. */
function negotiate(socket: Socket, options: ParentDial, deadline: number, step: Step): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let settled = false;
    const onEnd = (): void => finish(`closed before it answered`);
    const onError = (error: NodeJS.ErrnoException): void => finish(error.code ?? 'connection error');
    const finish = (failure?: string, timedOut = false): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.off('end', onEnd).off('close', onEnd).off('error', onError);
      if (failure === undefined) {
        resolve(socket);
        return;
      }
      socket.destroy();
      const target = hostPort(options.destination.host, options.destination.port);
      const detail = `${nameOf(options.parent)} for ${target}: ${failure}`;
      reject(new WeirError(timedOut ? 'connect-timeout' : 'upstream-proxy-failed', detail));
    };
    if (deadline > 0) {
      timer = setTimeout(() => finish('no answer in time', true), Math.max(1, deadline - performance.now()));
    }
    socket.on('end', onEnd).on('close', onEnd).on('error', onError);
    step(socket, options, (failure) => finish(failure));
  });
}

/** CONNECT (RFC 9110 §9.3.6). The reply is read byte-exactly: what follows its head is put back. */
function connectStep(socket: Socket, { parent, destination }: ParentDial, done: Done): void {
  const target = hostPort(destination.host, destination.port);
  const auth = parent.authorization === undefined ? '' : `Proxy-Authorization: ${parent.authorization}\r\n`;
  let head: Buffer = Buffer.alloc(0);
  const onReadable = (): void => {
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
      // The end may straddle two chunks: three bytes are searched again.
      const from = Math.max(0, head.length - 3);
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n', from, 'latin1');
      if (end === -1 && head.length <= MAX_REPLY) continue;
      socket.off('readable', onReadable);
      if (end !== -1 && end + 4 < head.length) socket.unshift(head.subarray(end + 4));
      done(end === -1 ? 'its answer to CONNECT has no end' : refusal(head));
      return;
    }
  };
  socket.on('readable', onReadable);
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${auth}\r\n`, 'latin1');
}

/** Undefined for any 2xx; else what to say, which never repeats the proxy's own words. */
function refusal(head: Buffer): string | undefined {
  const match = /^HTTP\/1\.[01] (\d{3})(?: |\r)/.exec(head.toString('latin1', 0, Math.min(head.length, 64)));
  if (match === null) return 'its answer to CONNECT is not HTTP';
  return match[1]?.startsWith('2') ? undefined : `it answered ${match[1]} to CONNECT`;
}

/** SOCKS4a or SOCKS5 by the `socks` package, over the already dialled socket. */
function socksStep(socket: Socket, { parent, destination }: ParentDial, done: Done): void {
  const client = SocksClient.createConnection({
    proxy: {
      host: parent.host,
      port: parent.port,
      type: parent.kind === 'socks4' ? 4 : 5,
      ...(parent.user === undefined ? {} : { userId: parent.user }),
      ...(parent.password === undefined ? {} : { password: parent.password }),
    },
    command: 'connect',
    destination: { host: destination.host, port: destination.port },
    existing_socket: socket,
    // Our own deadline rules; the package has no "none".
    timeout: 2_147_483_647,
  });
  const early: Buffer[] = [];
  const collect = (chunk: Buffer): void => void early.push(chunk);
  client.then(
    () => {
      // The package emits bytes that followed its reply as 'data' in a setImmediate queued before this one and then
      // lets the socket flow: without a reader in place they would be lost.
      socket.on('data', collect);
      setImmediate(() => {
        socket.off('data', collect);
        socket.pause();
        if (early.length > 0) socket.unshift(Buffer.concat(early));
        // Leaves "explicitly paused", which would keep a later 'data' listener from starting the flow.
        socket.on('readable', ignoreError).off('readable', ignoreError);
        process.nextTick(done);
      });
    },
    (error: Error) => done(error.message),
  );
}
