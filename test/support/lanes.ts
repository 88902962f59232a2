import type { Authority } from './certs.ts';
import { connectThrough, dial, type RawOrigin, secure } from './origins.ts';
import { Peer } from './peer.ts';

/** How bytes travel from the scripted agent to the scripted origin. */
export type LaneName = 'direct' | 'direct-tls' | 'plain' | 'connect' | 'tunnel' | 'intercepted';

/** One way to reach one origin; a scenario runs unchanged on each. */
export interface Lane {
  readonly name: LaneName;
  readonly host: string;
  readonly origin: RawOrigin;
  /** Request target for a path: absolute-form on the plain lane. */
  target(path: string): string;
  /** Extra request lines a proxy client sends on this lane (with CRLF), never seen by an origin. */
  readonly fields: string;
  open(): Promise<Peer>;
}

export interface LaneParts {
  readonly plain: RawOrigin;
  readonly tls: RawOrigin;
  readonly authority: Authority;
  /** Port of the proxy and its CA; absent = direct lanes only. */
  readonly proxy?: { readonly port: number; readonly ca: string };
}

/** Names the product is configured with: `plain.test`, `tunnel.test` (never intercepted) and `read.test` (intercepted). */
export const HOSTS = { plain: 'plain.test', tunnel: 'tunnel.test', intercepted: 'read.test' } as const;

export const AGENT_FIELDS = `Proxy-Authorization: Basic ${Buffer.from('researcher:x').toString('base64')}\r\n`;

/** `upstream.resolve` for the three names. */
export function resolveMap(plain: RawOrigin, tls: RawOrigin): Record<string, string> {
  return {
    [HOSTS.plain]: `127.0.0.1:${plain.port}`,
    [HOSTS.tunnel]: `127.0.0.1:${tls.port}`,
    [HOSTS.intercepted]: `127.0.0.1:${tls.port}`,
  };
}

/** Builds one lane. The direct lanes take the host name of the lane they are compared with, so the bytes can be equal. */
export function lane(name: LaneName, parts: LaneParts, host: string = defaultHost(name)): Lane {
  const overTls = name === 'direct-tls' || name === 'tunnel' || name === 'intercepted';
  const origin = overTls ? parts.tls : parts.plain;
  const common = { name, host, origin };
  if (name === 'plain') {
    return {
      ...common,
      target: (path) => `http://${host}${path}`,
      fields: `${AGENT_FIELDS}Proxy-Connection: keep-alive\r\n`,
      open: async () => peerOf(await dial(proxyOf(parts).port)),
    };
  }
  const target = (path: string): string => path;
  if (name === 'direct') return { ...common, target, fields: '', open: async () => peerOf(await dial(origin.port)) };
  if (name === 'connect') {
    return { ...common, target, fields: '', open: async () => peerOf(await tunnelTo(parts, `${host}:80`)) };
  }
  return {
    ...common,
    target,
    fields: '',
    open: async () => {
      const socket = name === 'direct-tls' ? await dial(origin.port) : await tunnelTo(parts, `${host}:443`);
      const ca = name === 'intercepted' ? proxyOf(parts).ca : parts.authority.cert;
      return new Peer(await secure(socket, { servername: host, ca }), socket);
    },
  };
}

function defaultHost(name: LaneName): string {
  if (name === 'tunnel' || name === 'direct-tls') return HOSTS.tunnel;
  return name === 'intercepted' ? HOSTS.intercepted : HOSTS.plain;
}

function proxyOf(parts: LaneParts): { readonly port: number; readonly ca: string } {
  if (parts.proxy === undefined) throw new Error('this lane needs a proxy');
  return parts.proxy;
}

const peerOf = (socket: Awaited<ReturnType<typeof dial>>): Peer => new Peer(socket, socket);

async function tunnelTo(parts: LaneParts, authority: string): Promise<Awaited<ReturnType<typeof dial>>> {
  const { socket, head } = await connectThrough(proxyOf(parts).port, authority, AGENT_FIELDS);
  if (!/^HTTP\/1\.1 200 /.test(head)) throw new Error(`CONNECT ${authority} was answered: ${head.split('\r\n')[0]}`);
  return socket;
}
