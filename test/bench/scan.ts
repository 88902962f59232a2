import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { enginesInSteps } from '../../src/collector-engines.ts';
import { scanOptions } from '../../src/collector-scan.ts';
import { defaultConfig } from '../../src/config/load.ts';
import { fullReserve } from '../../src/model/scan.ts';
import { createEngine, type Engine } from '../../src/scan/engine.ts';
import { scanLayers } from '../../src/scan/layers.ts';
import { builtInScanning } from '../support/judged.ts';
import { type Line, table } from './report.ts';
import { ADVERSARIAL, KINDS, SIZES } from './scan-texts.ts';

/** As long as the windows bodies are scanned in. */
const WINDOW = 128 << 10;
const ROUNDS = 12;

type Scan = (bytes: Buffer) => void;

function windowsOf(text: Buffer): Buffer[] {
  const count = Math.ceil(text.length / WINDOW);
  return Array.from({ length: count }, (_, i) => text.subarray(i * WINDOW, (i + 1) * WINDOW));
}

/** The best time each text took in some rounds, together, milliseconds: others use the machine as well. */
function time(texts: readonly Buffer[], scan: Scan, rounds = ROUNDS): number {
  const best = new Float64Array(texts.length).fill(Number.POSITIVE_INFINITY);
  for (let round = 0; round < rounds; round++) {
    texts.forEach((text, i) => {
      const began = performance.now();
      scan(text);
      best[i] = Math.min(best[i] as number, performance.now() - began);
    });
  }
  return best.reduce((sum, one) => sum + one, 0);
}

/** What is compared: with the WebAssembly module and in TypeScript alone, the limits of a collector where they count. */
function subjects(): Readonly<
  Record<'credentials' | 'request' | 'response', { readonly fast: Scan; readonly plain: Scan }>
> {
  const scanning = builtInScanning();
  const options = scanOptions(defaultConfig(), String, {});
  const steps = enginesInSteps(options);
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  const { by } = step.value;
  const only = by.request.patterns.filter(({ kind }) => kind === 'credential');
  const engine = createEngine(only);
  const alone = createEngine(only, { plain: true });
  const decoded = ({ patterns }: Engine): Scan => {
    const plain = createEngine(patterns, { plain: true });
    return (bytes) => void scanLayers(plain, bytes, { depth: options.depth });
  };
  return {
    credentials: { fast: (bytes) => void engine.scan(bytes), plain: (bytes) => void alone.scan(bytes) },
    request: { fast: (bytes) => void scanning.scan('request', bytes), plain: decoded(by.request) },
    response: { fast: (bytes) => void scanning.scan('response', bytes), plain: decoded(by.response) },
  };
}

type Subjects = ReturnType<typeof subjects>;

function kindLines({ credentials, request, response }: Subjects): Line[] {
  return Object.entries(KINDS).flatMap(([kind, texts]) => {
    const windows = texts.flatMap(windowsOf);
    const bytes = windows.reduce((sum, { length }) => sum + length, 0);
    const speed = (scan: Scan, rounds?: number): number => bytes / time(windows, scan, rounds) / 1000;
    const line = (what: string, { fast, plain }: Subjects['request'], target: number): Line => ({
      what: `${kind}, ${what}`,
      value: speed(fast),
      unit: 'MB/s',
      target,
      better: 'higher',
      note: `in TypeScript alone ${speed(plain, 3).toFixed(0)} MB/s`,
    });
    const clean = kind !== 'binary';
    return [
      line('credentials alone', credentials, kind === 'code' || kind === 'JSON' ? 1000 : Number.NaN),
      line('all of a request, decoded', request, clean ? 400 : Number.NaN),
      line('all of a response, decoded', response, clean ? 400 : Number.NaN),
    ];
  });
}

function sizeLines({ request, response }: Subjects): Line[] {
  const line = (what: keyof typeof SIZES, { fast, plain }: Subjects['request'], target: number): Line => {
    const texts = SIZES[what];
    const each = (scan: Scan, rounds?: number): number => (time(texts, scan, rounds) / texts.length) * 1000;
    return {
      what: `${what}, everything on`,
      value: each(fast, 40),
      unit: 'µs',
      target,
      better: 'lower',
      note: `in TypeScript alone ${each(plain, 4).toFixed(1)} µs; ${texts.length} different ones`,
    };
  };
  return [
    line('500 B tool call', request, Number.NaN),
    line('20 KB chat request', request, 50),
    line('10 KB response', response, 30),
    line('1000 query parameters', request, 500),
  ];
}

/** As one body: what it costs too much at its beginning it lacks at its end. */
function timeOfBody(windows: readonly Buffer[], scanning: ReturnType<typeof builtInScanning>): number {
  const reserve = fullReserve();
  return time(windows, (bytes) => void scanning.scan('response', bytes, reserve), 1);
}

/** Every input is read whole at 100 MB/s or more, or given up within that time and said to be unscanned. */
function adversarialLines(): Line[] {
  const scanning = builtInScanning();
  return Object.entries(ADVERSARIAL).map(([what, text]) => {
    const windows = windowsOf(text);
    const reserve = fullReserve();
    const causes = new Set(windows.map((window) => scanning.scan('response', window, reserve).unscanned ?? ''));
    causes.delete('');
    const ms = Math.min(...Array.from({ length: 3 }, () => timeOfBody(windows, scanning)));
    const stopped = causes.size > 0;
    return {
      what: `adversarial: ${what.replaceAll('|', '\\|')}`,
      value: text.length / ms / 1000,
      unit: 'MB/s',
      target: stopped ? Number.NaN : 100,
      better: 'higher',
      note: stopped ? `stopped: ${[...causes].join(', ')}` : 'read to its end',
    };
  });
}

/** Prints the table of scanning, and puts it between its markers in README.md when `keep` says so. */
export function reportScan(keep: boolean): void {
  const began = Date.now();
  const busy = loadavg()[0] ?? 0;
  const all = subjects();
  const lines = [...kindLines(all), ...sizeLines(all), ...adversarialLines()];
  const text = table(lines, [
    `Node ${process.version}`,
    `one core of ${cpus()[0]?.model ?? 'an unknown CPU'}`,
    `load average before ${busy.toFixed(1)}`,
    `windows of ${WINDOW >> 10} KiB`,
    `${((Date.now() - began) / 1000).toFixed(0)} s`,
  ]);
  console.log(`\n${text}`);
  if (!keep) return;
  const file = new URL('README.md', import.meta.url);
  const old = readFileSync(file, 'utf8');
  const [start, end] = ['<!-- scan -->', '<!-- /scan -->'];
  const [from, to] = [old.indexOf(start), old.indexOf(end)];
  if (from < 0 || to < 0) throw new Error('test/bench/README.md has lost the markers of its scanning table');
  writeFileSync(file, `${old.slice(0, from + start.length)}\n\n${text}\n${old.slice(to)}`);
}

// `node test/bench/scan.ts` measures scanning alone; `--keep` writes its table.
if (import.meta.main) reportScan(process.argv.includes('--keep'));
