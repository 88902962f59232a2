import { createServer, type Server, type Socket } from 'node:net';

/** Dead peers are found by TCP, never by a clock of ours (product.md §3.2). */
export const KEEPALIVE_MS = 60_000;

/** A listening server that hands over half-open sockets. */
export function plainServer(take: (socket: Socket) => void): Server {
  const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS };
  return createServer(options, take);
}

/** Resolves when no socket is left, or after `ms`. */
export function emptied(live: ReadonlySet<Socket>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const check = (): void => {
      if (live.size > 0) return;
      clearTimeout(timer);
      resolve();
    };
    // After the listener that takes it out of the set.
    for (const socket of live) socket.once('close', check);
  });
}

/** An IPv4 address without its IPv6 mapping. */
export function plain(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
