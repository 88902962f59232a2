import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { startWeir } from '../support/weir.ts';
import { reportDetection } from './detection.ts';
import { exportLines } from './export.ts';
import { heldLines } from './held.ts';
import { compare, generate, median, NONE, QUICK, type Rate, ROUNDS, SECONDS, type Subject } from './measure.ts';
import { monthLines } from './month-lines.ts';
import type { BulkResult, Latencies, Road, Task } from './plan.ts';
import { startWorker } from './processes.ts';
import { replayLines } from './replay-lines.ts';
import { type Line, table } from './report.ts';
import { reportScan } from './scan.ts';
import { openWorld, type World } from './world.ts';

async function requests(world: World, lines: Line[]): Promise<void> {
  const { road, weir, tunnel, relays, mitm } = world;
  const subjects: Subject[] = [
    { name: 'raw splice', road: road.splice(), pid: relays.splice.pid },
    { name: 'bare relay', road: road.bare(), pid: relays.http1.pid },
    { name: 'plain', road: road.plain(), pid: weir.pid },
    { name: 'tunnel', road: road.tunnel(), pid: tunnel.pid },
    { name: 'bare h1', road: road.bareTls('http1-tls'), pid: relays['http1-tls'].pid },
    { name: 'intercepted h1', road: road.intercepted(), pid: weir.pid },
    { name: 'bare h2', road: road.bareTls('http2'), pid: relays.http2.pid, protocol: 'h2' },
    { name: 'intercepted h2', road: road.intercepted('h2'), pid: weir.pid, protocol: 'h2' },
  ];
  if (mitm !== undefined) {
    subjects.push({ name: 'mitmproxy plain', road: road.mitmPlain(), pid: mitm.pid });
    subjects.push({ name: 'mitmproxy TLS', road: road.mitmTls(), pid: mitm.pid });
  }
  const rates = await compare(subjects);
  const of = (name: string): Rate => rates.get(name) ?? NONE;
  const cpu = (what: string, name: string, base: string, limit: number): void => {
    const { cpu: mine, traffic, recorder } = of(name);
    const bare = of(base).cpu;
    const split = `traffic ${traffic.toFixed(1)}, recorder ${recorder.toFixed(1)}, other threads ${(mine - traffic - recorder).toFixed(1)}`;
    lines.push({
      what: `CPU per request, ${what}`,
      value: mine / bare,
      unit: '×',
      target: limit,
      better: 'lower',
      note: `${mine.toFixed(1)} µs (${split}) against ${bare.toFixed(1)} µs bare`,
    });
  };
  const times = (what: string, name: string, base: string, limit: number): void => {
    const [mine, other] = [of(name).perSecond, of(base).perSecond];
    lines.push({
      what: `requests/s, ${what}`,
      value: mine / other,
      unit: '×',
      target: limit,
      better: 'higher',
      note: `${mine.toFixed(0)}/s against ${other.toFixed(0)}/s`,
    });
  };
  cpu('plain / bare relay', 'plain', 'bare relay', 2.0);
  cpu('intercepted HTTP/1 / bare', 'intercepted h1', 'bare h1', 1.7);
  cpu('intercepted HTTP/2 / bare', 'intercepted h2', 'bare h2', 1.5);
  times('bare relay / raw splice', 'bare relay', 'raw splice', 0.85);
  times('plain / bare relay', 'plain', 'bare relay', Number.NaN);
  times('intercepted HTTP/1 / bare', 'intercepted h1', 'bare h1', Number.NaN);
  times('tunnel', 'tunnel', 'raw splice', Number.NaN);
  if (mitm === undefined) return;
  times('plain / mitmproxy', 'plain', 'mitmproxy plain', 12);
  times('intercepted / mitmproxy', 'intercepted h1', 'mitmproxy TLS', 12);
}

async function latency(world: World, lines: Line[]): Promise<void> {
  const seconds = QUICK ? 1.5 : 4;
  const at = (road: Road): Promise<Latencies> => generate(road, { kind: 'rate', perSecond: 500, seconds });
  const { road } = world;
  const pairs = [
    ['plain', await at(road.direct()), await at(road.plain())],
    ['intercepted', await at(road.directTls()), await at(road.intercepted())],
  ] as const;
  for (const [what, direct, mine] of pairs) {
    for (const [key, target] of [
      ['p50', 0.2],
      ['p99', 1],
    ] as const) {
      lines.push({
        what: `added latency at 500/s, ${what}, ${key}`,
        value: mine[key] - direct[key],
        unit: 'ms',
        target,
        better: 'lower',
        note: `${mine[key].toFixed(3)} ms against ${direct[key].toFixed(3)} ms direct`,
      });
    }
  }
  const count = QUICK ? 50 : 200;
  const direct = await generate<Latencies>(road.directTls(), { kind: 'fresh', count });
  const mine = await generate<Latencies>(road.intercepted(), { kind: 'fresh', count });
  lines.push({
    what: 'fresh intercepted connection to first byte, added, p50',
    value: mine.p50 - direct.p50,
    unit: 'ms',
    target: 2,
    better: 'lower',
    note: `${mine.p50.toFixed(2)} ms against ${direct.p50.toFixed(2)} ms direct`,
  });
}

async function bulk(world: World, lines: Line[]): Promise<void> {
  const { road } = world;
  const bytes = QUICK ? 3e8 : 1e9;
  for (const streams of [1, 8]) {
    const speed = async (way: Road): Promise<number> => {
      const all: number[] = [];
      for (let round = 0; round < (QUICK ? 1 : 2); round++) {
        all.push((await generate<BulkResult>(way, { kind: 'bulk', streams, bytes })).megabytesPerSecond);
      }
      return Math.max(...all);
    };
    const [splice, plain, pipe, tunnel, intercepted] = [
      await speed(road.splice()),
      await speed(road.plain()),
      await speed(road.bareTls('pipe')),
      await speed(road.tunnel()),
      await speed(road.intercepted()),
    ];
    const add = (what: string, mine: number, base: number, against: string): void => {
      lines.push({
        what: `bulk, ${streams} stream${streams > 1 ? 's' : ''}, ${what}`,
        value: mine / base,
        unit: '×',
        target: 0.85,
        better: 'higher',
        note: `${mine.toFixed(0)} MB/s against ${base.toFixed(0)} MB/s ${against}`,
      });
    };
    add('plain', plain, splice, 'raw splice');
    add('intercepted', intercepted, pipe, 'TLS-to-TLS pipe');
    lines.push({
      what: `bulk, ${streams} stream${streams > 1 ? 's' : ''}, tunnel (TLS at both ends in the bench)`,
      value: tunnel,
      unit: 'MB/s',
      target: Number.NaN,
      better: 'higher',
      note: 'the ends decide',
    });
  }
}

async function memory(lines: Line[], world: World): Promise<void> {
  const growth = async (
    what: string,
    road: Road,
    collector: World['weir'],
    count: number,
    target: number,
  ): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const before = await collector.rss();
    console.error(`  ${what}`);
    const worker = await startWorker<object>('load.ts', { road, task: { kind: 'hold', count } satisfies Task });
    try {
      await worker.next();
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const after = await collector.rss();
      lines.push({
        what,
        value: after - before,
        unit: 'MiB',
        target,
        better: 'lower',
        note: `${before.toFixed(0)} → ${after.toFixed(0)} MiB`,
      });
    } finally {
      await worker.stop();
    }
  };
  const [tunnels, read] = QUICK ? [500, 200] : [4000, 1000];
  // Fewer connections say nothing about the targets, which are for 4,000 and 1,000.
  await growth(`${tunnels} idle tunnels`, world.road.tunnel(), world.tunnel, tunnels, QUICK ? Number.NaN : 150);
  await growth(
    `${read} idle intercepted connections`,
    world.road.intercepted(),
    world.weir,
    read,
    QUICK ? Number.NaN : 200,
  );
}

/** Fresh collectors: idle memory, and time from spawn to the first accepted connection. */
async function starting(lines: Line[]): Promise<void> {
  const times: number[] = [];
  let idle = Number.NaN;
  for (let round = 0; round < ROUNDS; round++) {
    const weir = await startWeir({});
    times.push(weir.listeningMs);
    if (round === 0) {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      idle = await weir.rss();
    }
    await weir.stop();
  }
  lines.push({
    what: 'memory, idle',
    value: idle,
    unit: 'MiB',
    target: 200,
    better: 'lower',
    note: 'fresh collector after 3 s',
  });
  lines.push({
    what: 'start to listening',
    value: median(times),
    unit: 'ms',
    target: 250,
    better: 'lower',
    note: 'spawn to the listening line, from the sources (type stripping); the target is for dist',
  });
}

async function main(): Promise<void> {
  const began = Date.now();
  const busy = loadavg()[0] ?? 0;
  const lines: Line[] = [];
  await starting(lines);
  lines.push(...monthLines());
  lines.push(...(await replayLines(QUICK ? 50_000 : 1_000_000)));
  lines.push(...(await exportLines(QUICK)));
  lines.push(...(await heldLines(QUICK)));
  const world = await openWorld();
  const versions = [
    `Node ${process.version}`,
    world.mitm === undefined ? 'mitmproxy not found (WEIR_BENCH_PYTHON)' : `mitmproxy ${world.mitm.version}`,
    `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`,
    `load average before ${busy.toFixed(1)}`,
    `${ROUNDS} interleaved round${ROUNDS > 1 ? 's' : ''} of ${SECONDS} s, loopback`,
  ];
  try {
    for (const step of [memory, latency] as const) {
      if (step === memory) await memory(lines, world);
      else await latency(world, lines);
    }
    await requests(world, lines);
    await bulk(world, lines);
  } finally {
    await world.close();
  }
  const text = table(lines, [...versions, `${((Date.now() - began) / 1000).toFixed(0)} s in all`]);
  console.log(text);
  if (!QUICK) rewrite(text);
  reportDetection(!QUICK);
  reportScan(!QUICK);
}

/** Replaces what stands between the markers of README.md. */
function rewrite(text: string): void {
  const file = new URL('README.md', import.meta.url);
  const old = readFileSync(file, 'utf8');
  const [start, end] = ['<!-- measured -->', '<!-- /measured -->'];
  const from = old.indexOf(start);
  const to = old.indexOf(end);
  if (from < 0 || to < 0) throw new Error('test/bench/README.md has lost its markers');
  writeFileSync(file, `${old.slice(0, from + start.length)}\n\n${text}\n${old.slice(to)}`);
}

await main();
