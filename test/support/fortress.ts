import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import type { LogLine, StatusReport } from '../../src/model/admin.ts';
import { assemble, type Later } from './assemble.ts';
import { type Authority, createAuthority, type Leaf } from './certs.ts';
import { connectThrough, dial, listening, secure } from './origins.ts';
import { Peer } from './peer.ts';
import { claim } from './watched.ts';
import { eventually, startWeir, type Weir } from './weir.ts';

/** An upstream that writes down every application byte it gets and answers each blank line with a small 200. */
export interface Witness {
  readonly port: number;
  /** TCP connections accepted. */
  accepted(): number;
  /** Every application byte of every connection, in order of arrival. */
  heard(): string;
  forget(): void;
  close(): Promise<void>;
}

/** What the witness sends for one head it has read. */
export type Reply = (head: string, socket: Socket) => void;

/** `/stream` begins and does not end, `/switch` agrees to any upgrade, CONNECT too; everything else is a small 200. */
const OBEDIENT: Reply = (head, socket) => {
  const asked = /\r\nUpgrade: ([^\r]+)/i.exec(head)?.[1];
  if (/^CONNECT /.test(head)) socket.write('HTTP/1.1 200 Connected\r\n\r\n');
  else if (/^\S+ \S*\/switch /.test(head) && asked !== undefined) {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${asked}\r\n\r\n`);
  } else if (/^\S+ \S*\/stream /.test(head)) {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n');
  } else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
};

/** Starts a witness; it reads as leniently as the worst server, so that whatever reaches it counts. */
export async function witness(leaf?: Leaf, reply: Reply = OBEDIENT, host = '127.0.0.1'): Promise<Witness> {
  const open = new Set<Socket>();
  let accepted = 0;
  let heard = '';
  const serve = (socket: Socket): void => {
    let pending = '';
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      const text = bytes.toString('latin1');
      heard += text;
      pending += text;
      for (let at = pending.search(/\r?\n\r?\n/); at >= 0; at = pending.search(/\r?\n\r?\n/)) {
        const head = pending.slice(0, at);
        pending = pending.slice(at).replace(/^\r?\n\r?\n/, '');
        if (/ HTTP\/1/.test(head)) reply(head, socket);
      }
    });
  };
  const track = (socket: Socket): void => {
    accepted++;
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => open.delete(socket));
  };
  const server = leaf === undefined ? createServer(serve) : createTls({ ...leaf, ALPNProtocols: ['http/1.1'] }, serve);
  server.on('connection', track);
  server.on('tlsClientError', () => undefined);
  const port = await listening(server, host);
  return {
    port,
    accepted: () => accepted,
    heard: () => heard,
    forget: () => {
      heard = '';
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** How the attacker's bytes travel: absolute-form, cleartext inside a CONNECT, or inside intercepted TLS. */
export type Road = 'plain' | 'connect' | 'intercepted';
export const ROADS: readonly Road[] = ['plain', 'connect', 'intercepted'];

export interface Fortress {
  readonly weir: Weir;
  readonly authority: Authority;
  readonly plain: Witness;
  readonly tls: Witness;
  /** The witness a road leads to, and the host it has there. */
  target(road: Road): { readonly witness: Witness; readonly host: string };
  /** A fresh stream on this road, ready for requests. */
  open(road: Road, agent?: string): Promise<Peer>;
  close(): Promise<void>;
}

/** Hosts of the fortress: `read.test` is intercepted, `tunnel.test` and `*.plain.test` are not. */
const ALLOWED = ['plain.test', 'tunnel.test', 'read.test'];

/**
 * A Weir between an attacker and two witnesses. `strict` is an agent in enforce that may use exactly the three hosts; every
 * other name is in monitor.
 */
export function openFortress(
  config: Record<string, unknown> = {},
  more?: (
    later: Later,
    authority: Authority,
  ) => Promise<{ readonly resolve?: Record<string, string>; readonly config?: Record<string, unknown> }>,
): Promise<Fortress> {
  return assemble(async (later) => {
    const authority = createAuthority();
    const directory = await mkdtemp(join(tmpdir(), 'weir-fortress-'));
    later(() => rm(directory, { recursive: true, force: true }));
    const caFile = join(directory, 'upstream-ca.pem');
    await writeFile(caFile, authority.cert);
    const plain = await witness();
    later(plain.close);
    const tls = await witness(authority.issue(['tunnel.test', 'read.test']));
    later(tls.close);
    const extra = (await more?.(later, authority)) ?? {};
    const weir = await startWeir({
      config: {
        intercept: { only: ['read.test'] },
        upstream: {
          resolve: {
            'plain.test': `127.0.0.1:${plain.port}`,
            '*.plain.test': `127.0.0.1:${plain.port}`,
            'tunnel.test': `127.0.0.1:${tls.port}`,
            'read.test': `127.0.0.1:${tls.port}`,
            ...extra.resolve,
          },
          ca_file: caFile,
        },
        agents: { strict: { mode: 'enforce', allowed_domains: ALLOWED }, 'open-enforce': { mode: 'enforce' } },
        ...config,
        ...extra.config,
      },
    });
    later(weir.stop);
    const ca = await weir.ca();
    const target: Fortress['target'] = (road) =>
      road === 'intercepted' ? { witness: tls, host: 'read.test' } : { witness: plain, host: 'plain.test' };
    const open: Fortress['open'] = async (road, agent = 'attacker') => {
      if (road === 'plain') {
        const socket = await dial(weir.port);
        return new Peer(socket, socket);
      }
      const { host } = target(road);
      const port = road === 'connect' ? 80 : 443;
      const { socket, head } = await connectThrough(weir.port, `${host}:${port}`, claim(agent));
      assert.match(head, /^HTTP\/1\.1 200 /);
      if (road === 'connect') return new Peer(socket, socket);
      return new Peer(await secure(socket, { servername: host, ca }), socket);
    };
    return { weir, authority, plain, tls, target, open };
  });
}

/** Everything the other side sends until it ends. */
export async function lastWords(peer: Peer): Promise<string> {
  await peer.ended();
  const text = peer.received.toString('latin1');
  peer.destroy();
  return text;
}

/** How often a limit or refusal was counted, by code. */
export async function refusals(weir: Weir): Promise<Readonly<Record<string, number>>> {
  return (await weir.status()).limitsReached;
}

/** The lines of `weir logs` that satisfy `wanted`, once there are as many as expected (8 s); fails with what there was. */
export async function linesOf(weir: Weir, count: number, wanted: (line: LogLine) => boolean): Promise<LogLine[]> {
  let found: LogLine[] = [];
  for (let left = 80; left > 0 && found.length < count; left--) {
    const answer = await weir.admin('/logs?limit=5000');
    // 500 while the store is still being opened.
    found = answer.status === 200 ? (JSON.parse(answer.body) as LogLine[]).filter(wanted) : [];
    if (found.length < count) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(found.length, count, JSON.stringify(found, undefined, 1).slice(-4000));
  return found;
}

/** Waits until nothing is open. */
export async function quiet(weir: Weir, ms = 8000): Promise<StatusReport> {
  return await eventually(
    async () => {
      const status = await weir.status();
      return status.open === 0 && status.connections === 0 && status;
    },
    'every connection is closed',
    ms,
  );
}

/** Weir still does its work: one plain request goes through. */
export async function stillServes(fortress: Fortress): Promise<void> {
  const peer = await fortress.open('plain');
  await peer.send(
    `GET http://plain.test/alive HTTP/1.1\r\nHost: plain.test\r\n${claim('witness')}Connection: close\r\n\r\n`,
  );
  assert.match(await lastWords(peer), /^HTTP\/1\.1 200 OK\r\n/);
}
