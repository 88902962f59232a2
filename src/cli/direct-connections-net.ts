import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

export type NetFile = 'udp' | 'udp6' | 'tcp' | 'tcp6';

/** One socket of a network namespace, as `/proc/<pid>/net/*` shows it. */
export interface NetSocket {
  readonly protocol: 'tcp' | 'udp';
  /** Whom it is connected to, outgoing; absent for loopback, for listeners and for what came in through one. */
  readonly peer?: { readonly address: string; readonly port: number };
  /** It will not get another peer. */
  readonly settled: boolean;
}

/**
 * Connected states of include/net/tcp_states.h: ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING. Not
 * SYN_SENT: an attempt that a firewall swallows went nowhere. A connected UDP socket is ESTABLISHED too.
 */
const CONNECTED: ReadonlySet<string> = new Set(['01', '04', '05', '08', '09', '0B']);
const [SYN_SENT, TIME_WAIT, LISTEN] = ['02', '06', '0A'];
/** Numbers in these files are in the machine's byte order, one 32-bit word after the other. */
const LITTLE = endianness() === 'LE';
const V4_LOOPBACK = LITTLE ? /7F$/ : /^7F/;
const V6_LOOPBACK = LITTLE ? `${'0'.repeat(24)}01000000` : `${'0'.repeat(31)}1`;
const V4_MAPPED = LITTLE ? `${'0'.repeat(16)}FFFF0000` : `${'0'.repeat(20)}FFFF`;

/**
 * The sockets among `wanted` (inodes), from one file of the network namespace of a process. Undefined when it cannot be
 * read: no IPv6, or the process has gone. Reading a TCP file walks the kernel's whole hash table, whatever is in it:
 * 1 to 4 ms, so callers ask only when they have to.
 */
export function netSockets(
  proc: string,
  pid: number,
  file: NetFile,
  wanted: ReadonlySet<string>,
): Map<string, NetSocket> | undefined {
  const text = read(`${proc}/${pid}/net/${file}`);
  if (text === undefined) return undefined;
  const protocol = file.startsWith('tcp') ? 'tcp' : 'udp';
  const listening = new Set<string>();
  const lines: Line[] = [];
  for (const line of linesOf(text)) {
    if (line.state === TIME_WAIT) continue;
    if (line.state === LISTEN) listening.add(line.localPort);
    if (wanted.has(inodeOf(line.rest))) lines.push(line);
  }
  const sockets = new Map<string, NetSocket>();
  for (const { rest, state, localPort, remote, remotePort } of lines) {
    const port = Number.parseInt(remotePort, 16);
    // A port somebody listens on is where the connection came to, not where it left from.
    const outgoing = CONNECTED.has(state) && port > 0 && !isLoopback(remote) && !listening.has(localPort);
    sockets.set(inodeOf(rest), {
      protocol,
      settled: protocol === 'tcp' && state !== SYN_SENT,
      ...(outgoing ? { peer: { address: addressOf(remote), port } } : {}),
    });
  }
  return sockets;
}

/** Inodes of `wanted` that are unix sockets, which is what most sockets of a program are. */
export function unixSockets(proc: string, pid: number, wanted: ReadonlySet<string>): string[] {
  const lines = (read(`${proc}/${pid}/net/unix`) ?? '').split('\n');
  return lines.map((line) => line.split(/\s+/, 7)[6] ?? '').filter((inode) => wanted.has(inode));
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

interface Line {
  readonly localPort: string;
  readonly remote: string;
  readonly remotePort: string;
  readonly state: string;
  readonly rest: string;
}

/** `sl: LOCAL:PORT REMOTE:PORT ST …`, cut by position: there may be thousands. */
function* linesOf(text: string): Generator<Line> {
  let start = text.indexOf('\n') + 1;
  while (start > 0 && start < text.length) {
    const next = text.indexOf('\n', start);
    const end = next === -1 ? text.length : next;
    const local = text.indexOf(': ', start) + 2;
    const localColon = text.indexOf(':', local);
    if (local > 1 && localColon > 0 && localColon < end) {
      const width = localColon - local;
      const remote = localColon + 6;
      const state = remote + width + 6;
      yield {
        localPort: text.slice(localColon + 1, localColon + 5),
        remote: text.slice(remote, remote + width),
        remotePort: text.slice(remote + width + 1, remote + width + 5),
        state: text.slice(state, state + 2),
        rest: text.slice(state, end),
      };
    }
    start = end + 1;
  }
}

/** Seventh field from the state on: queues, timer, retransmits, uid, timeout, inode. */
function inodeOf(rest: string): string {
  return rest.split(/\s+/, 7)[6] ?? '';
}

/** The unspecified address counts: connecting to it ends on loopback. */
function isLoopback(hex: string): boolean {
  if (/^0+$/.test(hex)) return true;
  if (hex.length === 8) return V4_LOOPBACK.test(hex);
  return hex === V6_LOOPBACK || (hex.startsWith(V4_MAPPED) && V4_LOOPBACK.test(hex.slice(24)));
}

/** Hexadecimal words in the machine's byte order → the address as people write it; IPv4-mapped as IPv4. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (LITTLE) for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  if (bytes.length === 4) return bytes.join('.');
  if (hex.startsWith(V4_MAPPED)) return bytes.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16)).join(':');
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}
