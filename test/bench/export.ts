import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openJournal } from '../../src/record/journal.ts';
import { createPumps } from '../../src/record/pumps.ts';
import { createTraces, OTLP_BATCH } from '../../src/telemetry/otlp.ts';
import { createAuthority } from '../support/certs.ts';
import { startWeir } from '../support/weir.ts';
import { exchangeSample } from '../unit/record/samples.ts';
import type { SinkCounts } from './export-sink.ts';
import { generate, median } from './measure.ts';
import type { Latencies, OriginPorts } from './plan.ts';
import { startWorker } from './processes.ts';
import { type Line, table } from './report.ts';

/** `/metrics` tells p99 since the last look. */
const WINDOW_MS = 500;
const HOST = 'plain.bench.weir.test';
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function countsOf(port: number): Promise<SinkCounts> {
  return (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as SinkCounts;
}

/**
 * An hour at 500 spans/s without a collector, then with one: records go through journal, pump and exporter on this thread as they do on
 * the recorder's. The replay is watched for `replayMs`; what it has not reached by then must still be in the journal.
 */
async function outage(records: number, replayMs: number): Promise<readonly Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-bench-journal-'));
  const sink = await startWorker('export-sink.ts', { ids: 2 * records + 2 });
  const url = `http://127.0.0.1:${sink.ready.port}`;
  const log = (): void => undefined;
  const journal = openJournal({ directory, maxBytes: 8 * 2 ** 30, boot: 'bench', log });
  const endpoint = {
    url,
    traces: true,
    logs: false,
    metrics: false,
    protobuf: { traces: false, logs: false, metrics: false },
    sentence: '',
    problems: [],
  };
  const traces = createTraces({
    endpoint,
    version: '0',
    instanceId: 'bench',
    containment: () => 'cooperative',
    unremarkable: 1,
    log,
  });
  let down = true;
  let underWay: Promise<unknown> = Promise.resolve();
  const consumer = {
    ...traces,
    consume: (...given: Parameters<typeof traces.consume>) => {
      if (down) return Promise.reject(new Error('down'));
      const work = traces.consume(...given);
      underWay = work.catch(() => undefined);
      return work;
    },
  };
  const consumers = [{ consumer, maxBatch: OTLP_BATCH, lingerMs: 1000, paced: true }];
  const pumps = createPumps({ journal, directory, consumers, log, backoffMs: 100 });
  try {
    await pumps.start();
    const began = performance.now();
    for (let done = 0; done < records; done += 256) {
      const batch = Array.from({ length: Math.min(256, records - done) }, () => exchangeSample());
      journal.append(batch, { started: done + batch.length, open: 0, dropped: {} }, done / 256 + 1);
      pumps.wake();
      if (done % 4096 === 0) await pause(0);
    }
    const written = (performance.now() - began) / 1000;
    const { bytes } = journal.status();
    down = false;
    pumps.wake(true);
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const from = performance.now();
    while (performance.now() - from < replayMs && (pumps.status()[0]?.lag ?? 0) > 0) await pause(100);
    const seconds = (performance.now() - from) / 1000;
    delay.disable();
    // No more of it, so that what has arrived is what is counted.
    down = true;
    await underWay;
    await pumps.close(500);
    const { exported, journalled, dropped } = pumps.identity();
    const { spans, different } = await countsOf(sink.ready.port);
    const lost = records - exported - journalled + (spans - different) + Math.abs(different - exported);
    const hours = `${(records / 1_800_000).toFixed(2)} h at 500 spans/s`;
    return [
      {
        what: `collector down, ${records} records (${hours}), lost or doubled`,
        value: lost,
        unit: '',
        target: 0,
        better: 'lower',
        note: `${exported} replayed and counted at the collector one by one, ${journalled} still in the journal, dropped ${JSON.stringify(dropped)}`,
      },
      {
        what: 'the same, on disk',
        value: bytes / 2 ** 20,
        unit: 'MiB',
        target: Number.NaN,
        better: 'lower',
        note: `${(bytes / records).toFixed(0)} bytes a record, written in ${written.toFixed(1)} s; the cap is 8192 MiB`,
      },
      {
        what: 'replay, spans/s',
        value: exported / seconds,
        unit: '/s',
        target: Number.NaN,
        better: 'higher',
        note: `paced, one request at a time; event-loop delay p99 of its thread ${(delay.percentile(99) / 1e6).toFixed(1)} ms`,
      },
    ];
  } finally {
    journal.close();
    await sink.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

const VARIANTS: readonly { readonly name: string; readonly protocol?: string; readonly gzip?: boolean }[] = [
  { name: 'no export' },
  { name: 'JSON', protocol: 'http/json' },
  { name: 'JSON, gzip, TLS', protocol: 'http/json', gzip: true },
  { name: 'protobuf', protocol: 'http/protobuf' },
  { name: 'protobuf, gzip, TLS', protocol: 'http/protobuf', gzip: true },
];

/** Event-loop delay (p99) of the traffic thread while 4,000 plain requests a second pass, by how their spans are exported. */
async function delays(perSecond: number, seconds: number): Promise<readonly Line[]> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-bench-export-'));
  const authority = createAuthority();
  const leaf = authority.issue([HOST, '127.0.0.1']);
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const tls = { keyFile: file('key.pem', leaf.key), certFile: file('cert.pem', leaf.cert) };
  const caFile = file('ca.pem', authority.cert);
  const origin = await startWorker<OriginPorts>('origin.ts', tls);
  const lines: Line[] = [];
  try {
    for (const { name, protocol, gzip = false } of VARIANTS) {
      const sink = await startWorker('export-sink.ts', gzip ? tls : {});
      const env = {
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol ?? '',
        ...(gzip ? { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip', OTEL_EXPORTER_OTLP_CERTIFICATE: caFile } : {}),
      };
      const address = `${gzip ? 'https' : 'http'}://127.0.0.1:${sink.ready.port}`;
      const weir = await startWeir({
        env,
        config: {
          telemetry: { endpoint: protocol === undefined ? 'none' : address },
          upstream: { resolve: { [HOST]: `127.0.0.1:${origin.ready.plain}` } },
        },
      });
      try {
        const road = { port: weir.port, prefix: `http://${HOST}`, host: HOST };
        // Compiled first; the delay is told since the last look.
        await generate<Latencies>(road, { kind: 'rate', perSecond, seconds: 1 });
        await weir.admin('/metrics');
        const windows: number[] = [];
        const look = async (): Promise<string> => {
          const { body } = await weir.admin('/metrics');
          const delay = /weir_event_loop_delay_seconds\{weir_thread="traffic"\} (\S+)/.exec(body)?.[1];
          windows.push(Number(delay) * 1000);
          return body;
        };
        const watch = setInterval(look, WINDOW_MS);
        const { count } = await generate<Latencies>(road, { kind: 'rate', perSecond, seconds });
        clearInterval(watch);
        const body = await look();
        const sent = /weir_spans_accepted_total\{weir_consumer="otlp-traces"\} (\S+)/.exec(body)?.[1] ?? '0';
        lines.push({
          what: `event-loop delay of traffic at ${perSecond}/s, p99, ${name}`,
          value: median(windows),
          unit: 'ms',
          target: protocol === undefined ? Number.NaN : 5,
          better: 'lower',
          note: `median of windows of ${WINDOW_MS} ms, best ${Math.min(...windows).toFixed(1)} ms; ${(count / seconds).toFixed(0)} requests/s came through, ${sent} spans exported by the end`,
        });
      } finally {
        await weir.stop();
        await sink.stop();
      }
    }
  } finally {
    await origin.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  return lines;
}

/** Export: an outage of an hour, and what export costs the traffic's thread. About 70 s; `quick` about 20. */
export async function exportLines(quick: boolean): Promise<readonly Line[]> {
  const down = await outage(quick ? 60_000 : 1_800_000, quick ? 5_000 : 15_000);
  return [...down, ...(await delays(4000, quick ? 1 : 4))];
}

if (import.meta.main)
  console.log(table(await exportLines(process.argv.includes('--quick')), [`Node ${process.version}`]));
