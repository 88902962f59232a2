import { readFileSync } from 'node:fs';
import { connect as h2connect } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { AGENT_FIELDS } from '../support/lanes.ts';
import { readHead } from '../support/origins.ts';
import { type BulkResult, type Latencies, type LoadResult, percentile, type Road, type Task } from './plan.ts';

/**
 * The load generator: raw sockets, keep-alive, one request in flight per connection. It parses one response to learn its
 * length and then only counts bytes, so that it measures the proxy and not itself.
 */
const { road, task } = JSON.parse(process.argv[2] ?? '{}') as { road: Road; task: Task };
const ca = road.tls === undefined ? undefined : readFileSync(road.tls.caFile);

function tcp(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: road.port, host: '127.0.0.1', noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}

async function open(): Promise<Socket> {
  const raw = await tcp();
  raw.on('error', () => undefined);
  if (road.connect !== undefined) {
    raw.write(`CONNECT ${road.connect} HTTP/1.1\r\nHost: ${road.connect}\r\n${AGENT_FIELDS}\r\n`);
    const head = await readHead(raw);
    if (!head.startsWith('HTTP/1.1 200') && !head.startsWith('HTTP/1.0 200'))
      throw new Error(`CONNECT refused: ${head}`);
  }
  const { tls } = road;
  if (tls === undefined) return raw;
  return new Promise((resolve, reject) => {
    const secure = tlsConnect({ socket: raw, servername: tls.servername, ca, ALPNProtocols: [tls.alpn] });
    secure.once('error', reject);
    secure.once('secureConnect', () => resolve(secure));
  });
}

function requestFor(path: string): Buffer {
  const proxy = road.prefix === '' ? '' : AGENT_FIELDS;
  return Buffer.from(
    `GET ${road.prefix}${path} HTTP/1.1\r\nHost: ${road.host}\r\n${proxy}User-Agent: bench/1\r\nAccept: */*\r\nAuthorization: Bearer abcdefghijklmnopqrstuvwxyz\r\n\r\n`,
  );
}

const REQUEST = requestFor('/v1/things/42?limit=10');

/** A keep-alive connection that answers `ask` once per complete response. */
async function keepAlive(): Promise<(done: () => void) => void> {
  const socket = await open();
  let size = 0;
  let got = 0;
  let head = Buffer.alloc(0);
  let finished: () => void = () => undefined;
  socket.on('error', () => fail('error'));
  socket.on('close', () => fail('closed'));
  socket.on('data', (bytes: Buffer) => {
    got += bytes.length;
    if (size === 0) {
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const text = head.toString('latin1', 0, end);
      if (!text.startsWith('HTTP/1.1 200')) throw new Error(`unexpected answer: ${text.split('\r\n')[0]}`);
      size = end + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1]);
    }
    if (got < size) return;
    got = 0;
    finished();
  });
  return (done) => {
    finished = done;
    socket.write(REQUEST);
  };
}

let errors = 0;
let over = false;
function fail(_why: string): void {
  if (!over) errors++;
}

async function loadHttp1(connections: number, seconds: number): Promise<LoadResult> {
  const asks = await Promise.all(Array.from({ length: connections }, keepAlive));
  let requests = 0;
  for (const ask of asks) {
    const again = (): void => {
      requests++;
      if (!over) ask(again);
    };
    ask(again);
  }
  return counted(() => requests, seconds);
}

/** Counts over a window that begins when everything is warm. */
async function counted(requests: () => number, seconds: number): Promise<LoadResult> {
  await new Promise((resolve) => setTimeout(resolve, 700));
  const before = requests();
  const at = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  over = true;
  const took = (performance.now() - at) / 1000;
  const counted = requests() - before;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { requests: counted, seconds: took, errors, total: requests() };
}

async function loadHttp2(connections: number, seconds: number): Promise<LoadResult> {
  let requests = 0;
  const streamsEach = 16;
  for (let i = 0; i < connections; i++) {
    const socket = await open();
    const session = h2connect(`https://${road.host}`, { createConnection: () => socket });
    session.on('error', () => fail('session'));
    const once = (): void => {
      const stream = session.request({ ':path': '/v1/things/42?limit=10', 'user-agent': 'bench/1' });
      stream.on('error', () => fail('stream'));
      stream.resume();
      stream.on('end', () => {
        requests++;
        if (!over) once();
      });
    };
    for (let n = 0; n < streamsEach; n++) once();
  }
  return counted(() => requests, seconds);
}

function latencies(times: number[]): Latencies {
  times.sort((a, b) => a - b);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), count: times.length };
}

async function atRate(perSecond: number, seconds: number): Promise<Latencies> {
  const idle = await Promise.all(Array.from({ length: 16 }, keepAlive));
  const times: number[] = [];
  const start = performance.now();
  const warm = 500;
  let sent = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now();
      if (now - start > seconds * 1000 + warm) {
        clearInterval(timer);
        setTimeout(resolve, 100);
        return;
      }
      for (; sent < ((now - start) / 1000) * perSecond; sent++) {
        const ask = idle.shift();
        if (ask === undefined) return;
        const at = performance.now();
        ask(() => {
          if (at - start > warm) times.push(performance.now() - at);
          idle.push(ask);
        });
      }
    }, 1);
  });
  over = true;
  return latencies(times);
}

async function bulk(streams: number, bytes: number): Promise<BulkResult> {
  const sockets = await Promise.all(Array.from({ length: streams }, open));
  const share = Math.floor(bytes / streams);
  const start = performance.now();
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve, reject) => {
          let got = 0;
          socket.on('data', (part: Buffer) => {
            got += part.length;
            if (got >= share) resolve();
          });
          socket.on('close', () => (got < share ? reject(new Error(`closed after ${got} of ${share}`)) : undefined));
          socket.write(requestFor(`/bulk/${share}`));
        }),
    ),
  );
  return { megabytesPerSecond: (share * streams) / 1e6 / ((performance.now() - start) / 1000) };
}

/** New connection to first response byte. */
async function fresh(count: number): Promise<Latencies> {
  const times: number[] = [];
  for (let i = 0; i < count + 20; i++) {
    const at = performance.now();
    const socket = await open();
    socket.write(REQUEST);
    await new Promise<void>((resolve, reject) => {
      socket.once('data', () => resolve());
      socket.once('close', () => reject(new Error('closed')));
    });
    if (i >= 20) times.push(performance.now() - at);
    socket.destroy();
  }
  over = true;
  return latencies(times);
}

/** Opens `count` connections, one request each, and holds them until it is killed. */
async function hold(count: number): Promise<object> {
  for (let i = 0; i < count; i += 50) {
    const asks = await Promise.all(Array.from({ length: Math.min(50, count - i) }, keepAlive));
    await Promise.all(asks.map((ask) => new Promise<void>((resolve) => ask(resolve))));
  }
  return { held: count, errors };
}

async function perform(): Promise<object> {
  if (task.kind === 'load')
    return task.protocol === 'h1'
      ? loadHttp1(task.connections, task.seconds)
      : loadHttp2(task.connections, task.seconds);
  if (task.kind === 'rate') return atRate(task.perSecond, task.seconds);
  if (task.kind === 'bulk') return bulk(task.streams, task.bytes);
  return task.kind === 'fresh' ? fresh(task.count) : hold(task.count);
}

console.log(JSON.stringify({ up: true }));
console.log(JSON.stringify(await perform()));
if (task.kind !== 'hold') process.exit(0);
