import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A plain HTTP server on loopback that takes everything and counts what really arrived. */
export interface Origin {
  readonly port: number;
  /** Requests that arrived whole, and bytes of their bodies. */
  readonly requests: number;
  readonly bytes: number;
  close(): Promise<void>;
}

/** Opens one on an ephemeral port. Rejects when there is no port to be had. */
export async function openOrigin(): Promise<Origin> {
  const seen = { requests: 0, bytes: 0 };
  const server = createServer((request, response) => {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => {
      seen.bytes += chunk.length;
    });
    request.on('end', () => {
      seen.requests++;
      response.setHeader('content-type', 'application/json');
      response.end('{"ok":true}\n');
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      server.removeListener('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    get requests() {
      return seen.requests;
    },
    get bytes() {
      return seen.bytes;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
