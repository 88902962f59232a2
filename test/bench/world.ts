import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAuthority } from '../support/certs.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import type { OriginPorts, RelayTask, Road } from './plan.ts';
import { startProcess, startWorker, type Worker } from './processes.ts';

export const HOST = 'bench.weir.test';

/** Everything that runs during the bench. */
export interface World {
  readonly origin: Worker<OriginPorts>;
  readonly weir: Weir;
  /** A second collector that tunnels instead of intercepting. */
  readonly tunnel: Weir;
  readonly relays: Readonly<Record<RelayTask['kind'], Worker>>;
  readonly mitm: (Worker & { readonly version: string; readonly caFile: string }) | undefined;
  readonly road: Roads;
  close(): Promise<void>;
}

/** Ways of the generator, by name. */
export interface Roads {
  direct(): Road;
  directTls(): Road;
  splice(): Road;
  bare(): Road;
  plain(): Road;
  tunnel(): Road;
  intercepted(alpn?: string): Road;
  bareTls(kind: 'pipe' | 'http1-tls' | 'http2'): Road;
  mitmPlain(): Road;
  mitmTls(): Road;
}

function weirConfig(ports: OriginPorts, caFile: string, intercept: string): Record<string, unknown> {
  return {
    intercept,
    upstream: {
      resolve: {
        [HOST]: `127.0.0.1:${ports.tls}`,
        [`h2.${HOST}`]: `127.0.0.1:${ports.h2}`,
        [`plain.${HOST}`]: `127.0.0.1:${ports.plain}`,
      },
      ca_file: caFile,
    },
    telemetry: { endpoint: `http://127.0.0.1:${ports.otlp}` },
    limits: { connections: 20_000, connections_per_agent: 20_000 },
  };
}

/** Starts origin, relays, both collectors and, where python3 has it, mitmproxy. */
export async function openWorld(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-bench-'));
  const authority = createAuthority();
  const leaf = authority.issue([HOST, `h2.${HOST}`, `plain.${HOST}`, '127.0.0.1']);
  const [keyFile, certFile, caFile] = ['key.pem', 'cert.pem', 'ca.pem'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([writeFile(keyFile, leaf.key), writeFile(certFile, leaf.cert), writeFile(caFile, authority.cert)]);
  const origin = await startWorker<OriginPorts>('origin.ts', { keyFile, certFile });
  const ports = origin.ready;
  const relay = (kind: RelayTask['kind'], upstreamPort: number): Promise<Worker> =>
    startWorker('relay.ts', {
      kind,
      upstreamPort,
      host: kind === 'http2' ? `h2.${HOST}` : HOST,
      keyFile,
      certFile,
      caFile,
    } satisfies RelayTask);
  const relays = {
    splice: await relay('splice', ports.plain),
    pipe: await relay('pipe', ports.tls),
    http1: await relay('http1', ports.plain),
    'http1-tls': await relay('http1-tls', ports.tls),
    http2: await relay('http2', ports.h2),
  };
  const weir = await startWeir({ config: weirConfig(ports, caFile, 'all') });
  const tunnel = await startWeir({ config: weirConfig(ports, caFile, 'none') });
  const mitm = await startMitm(directory);
  const world = { origin, weir, tunnel, relays, mitm };
  return {
    ...world,
    road: roads(world, caFile),
    close: async () => {
      await Promise.all([
        weir.stop(),
        tunnel.stop(),
        origin.stop(),
        mitm?.stop(),
        ...Object.values(relays).map((r) => r.stop()),
      ]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function roads(world: Omit<World, 'road' | 'close'>, caFile: string): Roads {
  const { weir, tunnel, relays, mitm } = world;
  const ports = world.origin.ready;
  const plain = (port: number, prefix = ''): Road => ({ port, prefix, host: `plain.${HOST}` });
  const secure = (port: number, host: string, ca: string, alpn = 'http/1.1', connect?: string): Road => ({
    port,
    prefix: '',
    host,
    tls: { servername: host, caFile: ca, alpn },
    ...(connect === undefined ? {} : { connect }),
  });
  const h2 = `h2.${HOST}`;
  return {
    direct: () => plain(ports.plain),
    directTls: () => secure(ports.tls, HOST, caFile),
    splice: () => plain(relays.splice.ready.port),
    bare: () => plain(relays.http1.ready.port, `http://plain.${HOST}`),
    plain: () => plain(weir.port, `http://plain.${HOST}`),
    tunnel: () => secure(tunnel.port, HOST, caFile, 'http/1.1', `${HOST}:443`),
    intercepted: (alpn = 'http/1.1') =>
      alpn === 'h2'
        ? secure(weir.port, h2, weir.caFile, alpn, `${h2}:443`)
        : secure(weir.port, HOST, weir.caFile, alpn, `${HOST}:443`),
    bareTls: (kind) =>
      kind === 'http2'
        ? secure(relays.http2.ready.port, h2, caFile, 'h2', `${h2}:443`)
        : secure(relays[kind].ready.port, HOST, caFile, 'http/1.1', `${HOST}:443`),
    mitmPlain: () => ({
      port: mitm?.ready.port ?? 0,
      prefix: `http://127.0.0.1:${ports.plain}`,
      host: `127.0.0.1:${ports.plain}`,
    }),
    mitmTls: () => ({
      port: mitm?.ready.port ?? 0,
      prefix: '',
      host: HOST,
      connect: `127.0.0.1:${ports.tls}`,
      tls: { servername: HOST, caFile: mitm?.caFile ?? '', alpn: 'http/1.1' },
    }),
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

async function startMitm(directory: string): Promise<World['mitm']> {
  const python = process.env['WEIR_BENCH_PYTHON'] ?? process.env['WEIR_TEST_PYTHON'] ?? 'python3';
  if (spawnSync(python, ['-c', 'import mitmproxy'], { stdio: 'ignore' }).status !== 0) return undefined;
  const script = fileURLToPath(new URL('mitm.py', import.meta.url));
  const port = await freePort();
  const worker = await startProcess<{ port: number; version: string }>(python, [script, String(port), directory]);
  await eventually(() => accepts(port), 'mitmproxy accepts', 20_000);
  return { ...worker, version: worker.ready.version, caFile: join(directory, 'mitmproxy-ca-cert.pem') };
}

async function accepts(port: number): Promise<boolean> {
  const { connect } = await import('node:net');
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
