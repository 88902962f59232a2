import { createSocket } from 'node:dgram';
import { getServers, Resolver } from 'node:dns';
import { connect, isIPv6 } from 'node:net';
import { parseHostPort } from '../config/values.ts';
import { hostPort } from '../model/destination.ts';

/**
 * One way around the proxy. `closed`: this machine or its firewall refused, or a server known to answer did not. `open`:
 * something answered. `undecided`: silence from an address that may have nothing behind it proves nothing.
 */
export interface WayOut {
  readonly name: 'direct TCP' | 'UDP/443' | 'DNS' | 'IPv6';
  readonly state: 'closed' | 'open' | 'undecided';
  readonly detail: string;
}

export interface ProbeTargets {
  /** `host:port` known to answer. */
  readonly target?: string;
  readonly target6?: string;
  readonly dnsServer?: string;
  /** Milliseconds per attempt. */
  readonly timeout?: number;
}

/** Documentation addresses (RFC 5737, RFC 3849): nobody is behind them, so only an immediate refusal says anything. */
const NOBODY = '192.0.2.1:443';
const NOBODY6 = '[2001:db8::1]:443';
const TIMEOUT_MS = 2000;
/** The network stack or a firewall said no before anything left. */
const REFUSED = new Set([
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EPERM',
  'EACCES',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'ENONET',
]);

/** Tries every way out at once. Never rejects. */
export function probeAll(targets: ProbeTargets): Promise<WayOut[]> {
  const ms = targets.timeout ?? TIMEOUT_MS;
  return Promise.all([
    tcp('direct TCP', targets.target ?? NOBODY, targets.target !== undefined, ms),
    udp(targets.target ?? NOBODY, targets.target !== undefined, ms),
    dns(targets.dnsServer, ms),
    tcp('IPv6', targets.target6 ?? NOBODY6, targets.target6 !== undefined, ms),
  ]);
}

function closedBy(error: NodeJS.ErrnoException, known: boolean, name: WayOut['name'], to: string): WayOut {
  const code = error.code ?? error.message;
  // A reset comes from the other end or from a firewall in between: with a server known to answer it is the firewall.
  if (REFUSED.has(code) || (known && code === 'ECONNREFUSED'))
    return { name, state: 'closed', detail: `${to}: ${code}` };
  if (code === 'ECONNREFUSED')
    return { name, state: 'open', detail: `${to} refused the connection: packets get out and back` };
  return { name, state: 'undecided', detail: `${to}: ${code}` };
}

function silence(known: boolean, name: WayOut['name'], to: string, ms: number): WayOut {
  if (known) return { name, state: 'closed', detail: `${to} did not answer within ${ms} ms` };
  return { name, state: 'undecided', detail: `no answer from ${to}, where nobody is; packets may still get out` };
}

function tcp(name: 'direct TCP' | 'IPv6', to: string, known: boolean, ms: number): Promise<WayOut> {
  return new Promise((resolve) => {
    const { host, port } = parseHostPort(to);
    const socket = connect({ host, port });
    const done = (way: WayOut): void => {
      socket.destroy();
      resolve(way);
    };
    socket.setTimeout(ms, () => done(silence(known, name, to, ms)));
    socket.on('connect', () => done({ name, state: 'open', detail: `${to} was reached directly` }));
    socket.on('error', (error) => done(closedBy(error, known, name, to)));
  });
}

/** A QUIC long header with a version nobody speaks: every QUIC server answers with Version Negotiation (RFC 9000 §6.1). */
function quicProbe(): Buffer {
  const packet = Buffer.alloc(1200);
  packet[0] = 0xc0;
  packet.writeUInt32BE(0x1a2a3a4a, 1);
  packet[5] = 8;
  packet[14] = 8;
  return packet;
}

function udp(to: string, known: boolean, ms: number): Promise<WayOut> {
  return new Promise((resolve) => {
    const { host, port } = parseHostPort(to);
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    const done = (way: WayOut): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.close();
      resolve(way);
    };
    const where = hostPort(host, port);
    const timer = setTimeout(() => done(silence(known, 'UDP/443', where, ms)), ms);
    socket.on('error', (error) => done(closedBy(error, known, 'UDP/443', where)));
    socket.on('message', () => done({ name: 'UDP/443', state: 'open', detail: `${where} answered over UDP` }));
    // Connected, so that an ICMP refusal reaches us as an error.
    socket.connect(port, host, (error?: Error) => {
      if (error) return done(closedBy(error, known, 'UDP/443', where));
      return socket.send(quicProbe(), (failed) => failed && done(closedBy(failed, known, 'UDP/443', where)));
    });
  });
}

/** Any answer, even "no such name", means that a name can carry data out. */
function dns(server: string | undefined, ms: number): Promise<WayOut> {
  const resolver = new Resolver({ timeout: ms, tries: 1 });
  if (server !== undefined) resolver.setServers([server]);
  const asked = server ?? getServers().join(', ');
  if (asked === '') return Promise.resolve({ name: 'DNS', state: 'closed', detail: 'no resolver is configured' });
  return new Promise((resolve) => {
    resolver.resolve4('verify.weir.invalid', (error) => {
      const code = (error as NodeJS.ErrnoException | null)?.code;
      const unanswered = code === 'ETIMEOUT' || code === 'ECONNREFUSED' || code === 'ECANCELLED';
      if (unanswered) resolve({ name: 'DNS', state: 'closed', detail: `${asked}: no answer (${code})` });
      else resolve({ name: 'DNS', state: 'open', detail: `${asked} answered: names can carry data out` });
    });
  });
}
