import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { crc32 } from 'node:zlib';
import { AGENT_FIELDS, HOSTS } from '../support/lanes.ts';
import { connectThrough, dial, listening, readHead, secure } from '../support/origins.ts';
import { startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

const GIB = 1 << 30;
const BLOCK = randomBytes(1 << 20);
/** What the collector may grow by while 1 GiB passes: socket buffers and stream high-water marks, not the body. */
const ROOM_MIB = 150;

/** Pushes `size` bytes with back-pressure and gives their checksum. */
async function pour(stream: Duplex, size: number): Promise<number> {
  let sum = 0;
  for (let sent = 0; sent < size; sent += BLOCK.length) {
    sum = crc32(BLOCK, sum);
    if (!stream.write(BLOCK)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  return sum;
}

/** Reads exactly `size` bytes and gives their checksum. */
function drink(stream: Duplex, size: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let sum = 0;
    let got = 0;
    const timer = setTimeout(() => reject(new Error(`only ${got} of ${size} bytes came within 60 s`)), 60_000);
    stream.on('data', (bytes: Buffer) => {
      sum = crc32(bytes, sum);
      got += bytes.length;
      if (got < size) return;
      clearTimeout(timer);
      if (got === size) resolve(sum);
      else reject(new Error(`${got - size} bytes too many`));
    });
    stream.on('close', () => {
      clearTimeout(timer);
      reject(new Error(`closed after ${got} of ${size} bytes`));
    });
  });
}

/** Serves `GET /down` (1 GiB) and `PUT /up` (1 GiB in, the checksum out) on raw sockets. */
async function serve(socket: Duplex): Promise<void> {
  socket.on('error', () => undefined);
  const head = await readHead(socket as Socket);
  if (head.startsWith('GET')) {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${GIB}\r\n\r\n`);
    await pour(socket, GIB);
    return;
  }
  const sum = String(await drink(socket, GIB));
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${sum.length}\r\n\r\n${sum}`);
}

describe('passive: 1 GiB passes with its checksum and without being held', { timeout: 110_000 }, () => {
  let weir: Weir;
  let ca: string;
  const closing: (() => unknown)[] = [];
  let expected = 0;
  let upstreamCa = '';
  before(async () => {
    for (let i = 0; i < GIB / BLOCK.length; i++) expected = crc32(BLOCK, expected);
    const upstream = await openUpstream();
    upstreamCa = upstream.authority.cert;
    const leaf = upstream.authority.issue([HOSTS.tunnel, HOSTS.intercepted]);
    const onSocket = (socket: Duplex): void => void serve(socket).catch(() => socket.destroy());
    const servers: Server[] = [
      createServer(onSocket),
      createTlsServer({ key: leaf.key, cert: leaf.cert, ALPNProtocols: ['http/1.1'] }, onSocket),
    ];
    const [plain, tls] = await Promise.all(servers.map((server) => listening(server)));
    weir = await startWeir({
      config: {
        intercept: { only: [HOSTS.intercepted] },
        upstream: {
          resolve: {
            [HOSTS.plain]: `127.0.0.1:${plain}`,
            [HOSTS.tunnel]: `127.0.0.1:${tls}`,
            [HOSTS.intercepted]: `127.0.0.1:${tls}`,
          },
          ca_file: upstream.caFile,
        },
      },
    });
    ca = await weir.ca();
    closing.push(upstream.close, ...servers.map((server) => () => server.close()));
  });
  after(async () => {
    await weir?.stop();
    for (const close of closing) await close();
  });

  const open = async (lane: 'plain' | 'tunnel' | 'intercepted'): Promise<Duplex> => {
    if (lane === 'plain') return dial(weir.port);
    const host = HOSTS[lane];
    const { socket } = await connectThrough(weir.port, `${host}:443`, AGENT_FIELDS);
    return secure(socket, { servername: host, ca: lane === 'intercepted' ? ca : upstreamCa });
  };

  /** Runs `work` while sampling the collector's memory; the growth must stay within `ROOM_MIB`. */
  const bounded = async (work: () => Promise<void>): Promise<void> => {
    const before = await weir.rss();
    let peak = before;
    const timer = setInterval(() => void weir.rss().then((now) => (peak = Math.max(peak, now))), 50);
    await work().finally(() => clearInterval(timer));
    assert.ok(peak - before < ROOM_MIB, `the collector grew from ${before.toFixed(0)} to ${peak.toFixed(0)} MiB`);
  };

  for (const lane of ['plain', 'tunnel', 'intercepted'] as const) {
    const target = (path: string): string => (lane === 'plain' ? `http://${HOSTS.plain}${path}` : path);
    const fields = `Host: ${HOSTS[lane]}\r\n${lane === 'plain' ? AGENT_FIELDS : ''}`;
    it(`${lane} × 1 GiB down`, () =>
      bounded(async () => {
        const socket = await open(lane);
        socket.write(`GET ${target('/down')} HTTP/1.1\r\n${fields}\r\n`);
        assert.match(await readHead(socket as Socket), /^HTTP\/1\.1 200 OK/);
        assert.equal(await drink(socket, GIB), expected);
        socket.destroy();
      }));
    it(`${lane} × 1 GiB up`, () =>
      bounded(async () => {
        const socket = await open(lane);
        socket.write(`PUT ${target('/up')} HTTP/1.1\r\n${fields}Content-Length: ${GIB}\r\n\r\n`);
        await pour(socket, GIB);
        assert.match(await readHead(socket as Socket), /^HTTP\/1\.1 200 OK/);
        const sum = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
        assert.equal(Number(sum.toString()), expected);
        socket.destroy();
      }));
  }
});
