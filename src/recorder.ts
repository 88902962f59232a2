import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import type { Notifier } from './calls/notify.ts';
import type { Consumer } from './model/ports.ts';
import type { RecentQuery } from './model/recent.ts';
import type { BaselineSnapshot, WeirRecord } from './model/record.ts';
import { type Journal, openJournal } from './record/journal.ts';
import { watchLoop } from './record/loop-delay.ts';
import { createUnpacker } from './record/pack.ts';
import { patternsOrNone } from './record/patterns.ts';
import { createPresentation } from './record/presentable.ts';
import type { FromRecorder, PurgeQuery, RecorderData, ReportQuery, ToRecorder } from './record/protocol.ts';
import { createPumps, type Pumps } from './record/pumps.ts';
import {
  healthOf,
  newSnapshot,
  noStore,
  problemsOf,
  purgeAll,
  type Reported,
  removeSnapshots,
  settledReport,
  statusOf,
} from './record/report.ts';
import { StoreSlot } from './record/slot.ts';
import { type Endpoint, resolveEndpoint } from './telemetry/endpoint.ts';
import { createMetrics } from './telemetry/metric.ts';
import { createLogs, createTraces, OTLP_BATCH } from './telemetry/otlp.ts';
import { routeDiagnostics, startOtlpMetrics } from './telemetry/otlp-metrics.ts';
import { writePrometheus } from './telemetry/prometheus.ts';
import { shapeOf } from './telemetry/shape.ts';

/** How long records wait for a store that is slow to open before the journal goes on without knowing its position. */
const STORE_WAIT_MS = 1500;
/** How long a question waits for a store that is being opened: whoever starts Weir may ask at once. */
const CALL_WAIT_MS = 3000;
const STORE_RETRY_MS = 30_000;
const MAINTAIN_MS = 60_000;
/** Snapshots made for queries live this long (threat P9). */
const SNAPSHOT_MS = 3_600_000;
const CONSUMERS_MS = 2_500; // A dead collector holds the end of the process no longer, whatever the deadline.
const STORE_BATCH = 4096; // Not below EAGER_ROWS of store/writer.ts: a full batch is committed without waiting.
const SPAN_LINGER_MS = 1000;

type Level = 'info' | 'warn' | 'error';
type Records = Extract<ToRecorder, { type: 'records' }>;

const data = workerData as RecorderData;
const port = parentPort;

const tell = (message: FromRecorder): void => port?.postMessage(message);
function log(level: Level, event: string, fields: Record<string, unknown> = {}): void {
  tell({ type: 'log', level, event, fields });
}

function storeSlot(journal: Journal): StoreSlot | undefined {
  const { store } = data;
  if (store === undefined) return undefined;
  const open = async () => {
    // Imported here, so that a platform without the native library still records and exports.
    const { openStore } = await import('./store/database.ts');
    const logger = { warn: (message: string): void => log('warn', message) };
    return openStore({ dir: data.stateDir, createdBy: `weir ${data.version}`, log: logger, ...store });
  };
  // A thread that was restarted within a process life: its open rows are still open.
  const former = journal.batch > 0 ? undefined : journal.status().last;
  return new StoreSlot({ open, last: () => journal.status().last, lastOfFormerLives: former, log });
}

/** Everything of the recorder thread: presenter → journal → pumps → consumers. */
class Recorder {
  readonly #journal: Journal;
  readonly #unpack: (text: string) => WeirRecord[];
  readonly #metrics = createMetrics();
  readonly #delay = watchLoop();
  readonly #problems: string[] = [];
  readonly #slot: StoreSlot | undefined;
  #traffic = 0;
  #containment = data.containment;
  #pumps: Pumps | undefined;
  #endpoint: Endpoint | undefined;
  #notifier: Notifier | undefined;
  #otlpMetrics: { shutdown(deadlineMs: number): Promise<void> } | undefined;
  /** Batches that came before the journal could take them. */
  #early: Records[] | undefined = [];
  #subscribed = false;
  #ending = false;
  #opening: Promise<unknown> | undefined;

  constructor() {
    const patterns = patternsOrNone(data.patterns, this.#problems);
    const url = patterns.length === 0 ? 'host' : data.telemetry.url;
    this.#unpack = createUnpacker(createPresentation({ patterns, key: Buffer.from(data.key), url }));
    const directory = data.journal === false ? undefined : join(data.stateDir, 'journal');
    this.#journal = openJournal({ directory, maxBytes: data.telemetry.journalMaxBytes, boot: data.boot, log });
    for (const record of this.#journal.interrupted) this.#metrics.record(record);
    this.#slot = storeSlot(this.#journal);
  }

  async start(): Promise<void> {
    const opening = this.#slot?.tryOpen() ?? Promise.resolve(false);
    this.#opening = opening;
    const [endpoint] = await Promise.all([
      resolveEndpoint(data.telemetry.endpoint, process.env),
      Promise.race([opening, sleep(STORE_WAIT_MS, undefined, { ref: false })]),
    ]);
    if (this.#ending) return;
    this.#endpoint = endpoint;
    // The HTTP client is loaded where somebody is to be told.
    if (data.notify !== undefined)
      this.#notifier = (await import('./calls/notify.ts')).createNotifier(data.notify, log);
    this.#pumps = createPumps({
      journal: this.#journal,
      directory: data.journal === false ? undefined : join(data.stateDir, 'journal'),
      consumers: this.#consumers(endpoint),
      log,
    });
    await this.#pumps.start();
    this.#accept();
    if (await opening) this.#pumps.wake(true);
    const baseline = await this.#loadBaseline();
    tell({ type: 'ready', baseline, endpoint: endpoint.sentence, problems: problemsOf(this.#parts()) });
    this.#startTimers();
    if (endpoint.traces || endpoint.logs || endpoint.metrics) await this.#startTelemetry(endpoint);
  }

  #otlp(endpoint: Endpoint) {
    const containment = (): string => this.#containment;
    const { proxy } = data.telemetry;
    const { meterProvider } = this.#metrics;
    return { endpoint, version: data.version, instanceId: data.boot, containment, proxy, meterProvider, log };
  }

  #consumers(endpoint: Endpoint) {
    const shape = shapeOf(data.telemetry, process.env);
    const options = { ...this.#otlp(endpoint), unremarkable: data.telemetry.sampleUnremarkable, shape };
    const consumers: { consumer: Consumer; maxBatch: number; lingerMs: number; paced: boolean }[] = [];
    const add = (consumer: Consumer, maxBatch: number, lingerMs: number, paced = false) =>
      consumers.push({ consumer, maxBatch, lingerMs, paced });
    if (this.#slot !== undefined) add(this.#slot, STORE_BATCH, 0);
    if (endpoint.traces) add(createTraces(options), OTLP_BATCH, SPAN_LINGER_MS, true);
    if (endpoint.logs) add(createLogs(options), OTLP_BATCH, SPAN_LINGER_MS, true);
    if (this.#notifier !== undefined) add(this.#notifier, STORE_BATCH, 0);
    return consumers;
  }

  /** From now on batches go straight to the journal. */
  #accept(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    tell({ type: 'accepting', batch: this.#journal.batch });
    for (const batch of early) this.#take(batch);
  }

  async #loadBaseline(): Promise<BaselineSnapshot> {
    try {
      return (await this.#slot?.store?.loadBaseline()) ?? { agents: [] };
    } catch (error) {
      this.#problems.push(`the stored baseline cannot be read: ${(error as Error).message}`);
      return { agents: [] };
    }
  }

  #startTimers(): void {
    setInterval(() => this.#journal.retry(), 1000).unref();
    setInterval(() => {
      if (this.#slot?.store !== undefined) return;
      this.#slot?.tryOpen().then((open) => (open ? this.#pumps?.wake(true) : undefined));
    }, STORE_RETRY_MS).unref();
    setInterval(() => {
      this.#slot?.store
        ?.maintain(Date.now())
        .catch((error: unknown) => log('warn', 'maintain', { error: String(error) }));
      removeSnapshots(data.stateDir, SNAPSHOT_MS);
    }, MAINTAIN_MS).unref();
  }

  async #startTelemetry(endpoint: Endpoint): Promise<void> {
    await routeDiagnostics(process.env, log);
    if (!endpoint.metrics || this.#ending) return;
    this.#otlpMetrics = await startOtlpMetrics({
      ...this.#otlp(endpoint),
      env: process.env,
      instruments: this.#metrics.instruments,
      refresh: () => this.#refresh(),
    });
  }

  #take(message: Records): void {
    if (this.#early !== undefined) return void this.#early.push(message);
    // A recorder that was restarted is sent again what may already be in the journal.
    if (message.batch <= this.#journal.batch) {
      tell({ type: 'ack', batch: message.batch });
      return;
    }
    const records = this.#unpack(message.text);
    for (const record of records) this.#metrics.record(record);
    this.#journal.append(records, message.tally, message.batch);
    tell({ type: 'ack', batch: message.batch });
    this.#pumps?.wake();
    if (this.#subscribed) tell({ type: 'event', records });
  }

  receive(message: ToRecorder): void {
    switch (message.type) {
      case 'records':
        this.#take(message);
        return;
      case 'subscribe':
        this.#subscribed = message.on;
        return;
      case 'containment':
        this.#containment = message.containment;
        return;
      case 'gauges':
        this.#metrics.gauges(message.gauges);
        return;
      case 'call':
        this.#call(message.name, message.args).then(
          (value) => tell({ type: 'result', id: message.id, value }),
          (error: unknown) => tell({ type: 'result', id: message.id, error: (error as Error).message }),
        );
        return;
      case 'shutdown':
        this.#end(message.deadlineMs).catch((error: unknown) => {
          log('error', 'recorder-end', { error: String(error) });
          tell({ type: 'bye' });
        });
    }
  }

  async #call(name: Extract<ToRecorder, { type: 'call' }>['name'], args: unknown): Promise<unknown> {
    if (name === 'status') return statusOf(this.#parts());
    if (name === 'health') return healthOf(this.#parts());
    if (name === 'metrics') {
      this.#traffic = (args as { traffic: number }).traffic;
      this.#refresh();
      return writePrometheus(this.#metrics.instruments);
    }
    const store = await this.#slot?.soon(CALL_WAIT_MS);
    if (store === undefined) throw new Error(noStore(this.#slot));
    switch (name) {
      case 'recent':
        return store.recent(args as RecentQuery);
      case 'baseline':
        return store.loadBaseline();
      case 'snapshot': {
        const snapshotDir = newSnapshot(data.stateDir);
        await store.snapshot(snapshotDir);
        return { snapshotDir };
      }
      case 'report':
        return settledReport(this.#parts(), store, args as ReportQuery);
      case 'purge':
        return purgeAll(this.#journal, store, data.stateDir, args as PurgeQuery);
    }
  }

  #parts(): Reported {
    const parts = { journal: this.#journal, pumps: this.#pumps, slot: this.#slot, endpoint: this.#endpoint };
    return { ...parts, notifier: this.#notifier, problems: this.#problems };
  }

  #refresh(): void {
    const books = this.#journal.books();
    this.#metrics.health({
      started: books.started,
      open: books.open,
      dropped: books.dropped,
      journalBytes: this.#journal.status().bytes,
      consumers: this.#pumps?.status() ?? [],
      eventLoopDelay: { traffic: this.#traffic, recorder: this.#delay.take() },
    });
  }

  async #end(deadlineMs: number): Promise<void> {
    this.#ending = true;
    tell({ type: 'ending' });
    if (this.#early !== undefined) this.#accept();
    const left = Math.min(deadlineMs, CONSUMERS_MS);
    // A call of DuckDB's that is cut off with its thread takes the whole process down: opening is waited for.
    await this.#opening;
    await Promise.all([(this.#pumps ?? this.#slot)?.close(left), this.#otlpMetrics?.shutdown(left)]);
    // Whatever DuckDB is still busy with is interrupted and waited for; the journal has what it had not taken.
    await this.#slot?.close(0);
    this.#journal.close();
    tell({ type: 'bye' });
    port?.close();
  }
}

const recorder = new Recorder();
port?.on('message', (message: ToRecorder) => recorder.receive(message));
// A thread that cannot start ends; the traffic side keeps the records and starts another one.
await recorder.start();
