import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename } from 'node:path';

/** Who listens on a TCP port of this machine, as far as `/proc` lets us see. */
export interface PortOwner {
  readonly pid: number;
  readonly program: string;
}

const LISTEN = '0A';

/** Finds the listening process through `/proc` (Linux; other users' processes are invisible without privileges). */
export function portOwner(port: number): PortOwner | undefined {
  try {
    const inodes = listeningInodes(port);
    if (inodes.size === 0) return undefined;
    for (const pid of readdirSync('/proc')) {
      if (/^\d+$/.test(pid) && holds(pid, inodes)) return { pid: Number(pid), program: programOf(pid) };
    }
  } catch {
    // No /proc, or the process went away meanwhile: the error line then names the port only.
  }
  return undefined;
}

/** The command's name; `comm` would be a thread's name for Node and Java. */
function programOf(pid: string): string {
  const [command = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0', 1);
  return basename(command) || readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

function listeningInodes(port: number): Set<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set<string>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(file, 'utf8').split('\n').slice(1)) {
      const field = line.trim().split(/\s+/);
      if (field[3] === LISTEN && field[1]?.endsWith(`:${hex}`) && field[9] !== undefined) inodes.add(field[9]);
    }
  }
  return inodes;
}

function holds(pid: string, inodes: ReadonlySet<string>): boolean {
  let descriptors: string[];
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return false;
  }
  return descriptors.some((fd) => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    } catch {
      return false;
    }
  });
}

/** The next port above `port` that can be bound on the host, tried up to 20 times. */
export async function freePortAfter(host: string, port: number): Promise<number> {
  for (let candidate = port + 1; candidate <= Math.min(port + 20, 65535); candidate++) {
    if (await canBind(host, candidate)) return candidate;
  }
  return 0;
}

async function canBind(host: string, port: number): Promise<boolean> {
  return tryListen(host, port).then(
    () => true,
    () => false,
  );
}

/** Binds and releases an address. Rejects with the system's error. */
export function tryListen(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}
