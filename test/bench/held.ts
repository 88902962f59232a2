import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { listening } from '../support/origins.ts';
import { startWeir, type Weir } from '../support/weir.ts';
import { play } from '../unit/content/filter-support.ts';
import { compare, generate, NONE } from './measure.ts';
import { type Latencies, percentile, type Road } from './plan.ts';
import { type Line, table } from './report.ts';

/** What is held back: added latency, event streams, throughput of redaction, cost of inspection, memory. All but the first in chunks. */

const HOST = 'bench.weir.test';
const MODES = ['redact', 'enforce'] as const;
const BODY = JSON.stringify({ answer: 'a weir measures the water and lets it pass. '.repeat(23) });
const EVENT_EVERY_MS = 10;
const LINE = { kind: 'turn', text: 'words that somebody wrote, with 12 numbers and a name. '.repeat(6), ok: true };
/** About a megabyte; no two lines alike, so that an encoder has something to do. */
const TEXT = Buffer.from(
  Array.from({ length: 2500 }, (_, i) => JSON.stringify({ ...LINE, id: (i * 2654435761).toString(36) })).join('\n'),
);
const CODED = gzipSync(TEXT);
/** Assembled here, so that no scanner takes this file for a leak. */
const SECRET = ['ghp', 'vQ3mZ8pT1xW6rB9nK4cH7sD2fL5gJ0yAeUiO'].join('_');

/** Clock of this process, at both ends. */
function events(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const timer = setInterval(() => {
    const delta = { index: 0, delta: { content: ' and a word' } };
    response.write(`data: ${JSON.stringify({ choices: [delta], at: performance.now() })}\n\n`);
  }, EVENT_EVERY_MS);
  response.on('close', () => clearInterval(timer));
}

function pour(response: ServerResponse, piece: Buffer): void {
  const more = (): void => {
    while (!response.destroyed) if (!response.write(piece)) return;
  };
  response.on('drain', more);
  more();
}

function serve({ url = '/' }: IncomingMessage, response: ServerResponse): void {
  response.on('error', () => undefined);
  const type = { 'content-type': 'application/json' };
  if (url === '/events') events(response);
  else if (url === '/plain') pour(response.writeHead(200, { ...type, 'content-length': 1e8 }), TEXT);
  else if (url === '/gzip') pour(response.writeHead(200, { ...type, 'content-encoding': 'gzip' }), CODED);
  else response.writeHead(200, { ...type, 'content-length': BODY.length }).end(BODY);
}

function get(port: number, proxied: boolean, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { host: HOST, 'proxy-authorization': `Basic ${Buffer.from('researcher:x').toString('base64')}` };
    const target = proxied ? `http://${HOST}${path}` : path;
    const asked = request({ host: '127.0.0.1', port, path: target, headers, agent: false }, resolve);
    asked.on('error', reject).end();
  });
}

/** Milliseconds from the origin's write of an event to its arrival, sorted. */
async function eventTimes(port: number, proxied: boolean, seconds: number): Promise<readonly number[]> {
  const times: number[] = [];
  const streams = await Promise.all(Array.from({ length: 20 }, () => get(port, proxied, '/events')));
  for (const stream of streams) {
    let began = 0;
    stream
      .on('error', () => undefined)
      .on('data', (bytes: Buffer) => {
        const now = performance.now();
        // The first second is for warming up.
        began ||= now;
        if (now - began < 1000) return;
        for (const [, at] of bytes.toString().matchAll(/"at":([\d.]+)/g)) times.push(now - Number(at));
      });
  }
  await sleep((seconds + 1) * 1000);
  for (const stream of streams) stream.destroy();
  return times.sort((a, b) => a - b);
}

/** Most resident memory over idle while so many bodies are under way. */
async function memory(weir: Weir, path: string, count: number, seconds: number): Promise<readonly [number, number]> {
  await sleep(500);
  const idle = await weir.rss();
  let passed = 0;
  const bodies = await Promise.all(Array.from({ length: count }, () => get(weir.port, true, path)));
  for (const body of bodies) {
    body
      .on('error', () => undefined)
      .on('data', (bytes: Buffer) => {
        passed += bytes.length;
      });
  }
  let most = 0;
  for (const until = performance.now() + seconds * 1000; performance.now() < until; await sleep(100))
    most = Math.max(most, await weir.rss());
  for (const body of bodies) body.destroy();
  return [most - idle, passed / 1e6];
}

const info = (what: string, value: number, unit: string, note: string): Line => ({
  what,
  value,
  unit,
  note,
  target: Number.NaN,
  better: unit === 'MB/s' ? 'higher' : 'lower',
});

/** Redaction by itself: one secret in every 20 KB, in pieces of 64 KiB. */
async function throughput(megabytes: number): Promise<readonly Line[]> {
  const part = Buffer.concat([TEXT.subarray(0, 20_000), Buffer.from(` ${SECRET} `)]);
  const body = Buffer.concat(Array<Buffer>(Math.ceil((megabytes * 1e6) / part.length)).fill(part));
  const lines: Line[] = [];
  for (const [name, bytes, contentEncoding] of [
    ['plain', body, undefined],
    ['gzip', gzipSync(body), 'gzip'],
  ] as const) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) =>
      bytes.subarray(i * 65_536, (i + 1) * 65_536),
    );
    const options = { contentType: 'application/json', contentEncoding, decodedBytes: 1e9 };
    await play(options, pieces.slice(0, 20));
    const at = performance.now();
    const { replaced } = await play(options, pieces);
    const speed = body.length / 1e3 / (performance.now() - at);
    lines.push(info(`redaction, ${name}`, speed, 'MB/s', `${replaced} labels in ${megabytes} MB of JSON, decoded`));
  }
  return lines;
}

async function inMode(mode: string, port: number, scan = true): Promise<Weir> {
  return startWeir({
    config: {
      mode,
      upstream: { resolve: { [HOST]: `127.0.0.1:${port}` } },
      agents: { researcher: { scan: { requests: scan, responses: scan } } },
    },
  });
}

async function latency(origin: number, weir: Weir, seconds: number): Promise<readonly [Latencies, readonly number[]]> {
  const task = { kind: 'rate', perSecond: 500, seconds } as const;
  // Patterns and code are compiled first.
  await generate<Latencies>(roadTo(weir), { ...task, seconds: 1.5 });
  return [await generate<Latencies>(roadTo(weir), task), await eventTimes(weir.port, origin !== weir.port, seconds)];
}

const roadTo = ({ port }: Pick<Weir, 'port'>): Road => ({ port, prefix: `http://${HOST}`, host: HOST });

async function timesAndMemory(port: number, quick: boolean): Promise<readonly Line[]> {
  const seconds = quick ? 1 : 3;
  const direct = await generate<Latencies>({ port, prefix: '', host: HOST }, { kind: 'rate', perSecond: 500, seconds });
  const bare = await eventTimes(port, false, seconds);
  const monitor = await inMode('monitor', port);
  const [watched, seen] = await latency(port, monitor, seconds).finally(() => monitor.stop());
  const lines: Line[] = [];
  for (const mode of MODES) {
    const weir = await inMode(mode, port);
    try {
      const [mine, streamed] = await latency(port, weir, seconds);
      for (const [key, target] of [
        ['p50', 0.5],
        ['p99', 3],
      ] as const) {
        lines.push({
          what: `added latency at 500/s, ${mode}, ${key}`,
          value: mine[key] - direct[key],
          unit: 'ms',
          target,
          better: 'lower',
          note: `${mine[key].toFixed(3)} ms against ${direct[key].toFixed(3)} ms direct, ${watched[key].toFixed(3)} ms in monitor`,
        });
      }
      const p99 = (times: readonly number[]): number => percentile(times, 0.99);
      lines.push({
        what: `clean event stream, ${mode}, p99`,
        value: p99(streamed),
        unit: 'ms',
        target: 5,
        better: 'lower',
        note: `${streamed.length} events, write to arrival; ${p99(bare).toFixed(3)} ms direct, ${p99(seen).toFixed(3)} ms in monitor`,
      });
      for (const path of ['plain', 'gzip']) {
        const [over, passed] = await memory(weir, `/${path}`, quick ? 50 : 200, quick ? 1.5 : 4);
        lines.push({
          what: `memory over idle, ${quick ? 50 : 200} bodies under way, ${mode}, ${path}`,
          value: over,
          unit: 'MiB',
          target: 600,
          better: 'lower',
          note: `bodies of 100 MB, broken off after ${passed.toFixed(0)} MB of all`,
        });
      }
    } finally {
      await weir.stop();
    }
  }
  return lines;
}

async function inspection(port: number): Promise<Line> {
  const [on, off] = [await inMode('redact', port), await inMode('redact', port, false)];
  try {
    const rates = await compare([
      { name: 'inspection on', road: roadTo(on), pid: on.pid },
      { name: 'inspection off', road: roadTo(off), pid: off.pid },
    ]);
    const [mine, bare] = [rates.get('inspection on') ?? NONE, rates.get('inspection off') ?? NONE];
    return info(
      'CPU per request in redact, bodies looked at and held',
      mine.cpu - bare.cpu,
      'µs',
      `${mine.cpu.toFixed(1)} µs against ${bare.cpu.toFixed(1)} µs with agents.X.scan off`,
    );
  } finally {
    await Promise.all([on.stop(), off.stop()]);
  }
}

/** About a minute; `quick` about 20 s. */
export async function heldLines(quick: boolean): Promise<readonly Line[]> {
  const origin = createServer(serve);
  origin.keepAliveTimeout = 60_000;
  const port = await listening(origin);
  try {
    const lines = await timesAndMemory(port, quick);
    return [...lines, ...(await throughput(quick ? 10 : 40)), await inspection(port)];
  } finally {
    origin.close();
    origin.closeAllConnections();
  }
}

if (import.meta.main)
  console.log(table(await heldLines(process.argv.includes('--quick')), [`Node ${process.version}`]));
