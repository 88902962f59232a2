import { randomUUID } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import type { RecentExchange, RecentQuery } from '../model/recent.ts';
import type { BaselineSnapshot, Tally, TrafficGauges, WeirRecord } from '../model/record.ts';
import type { ReportFacts } from '../model/report.ts';
import { BATCH, Backlog } from './backlog.ts';
import type { RecorderClient, RecorderClientOptions } from './client-contract.ts';
import { watchLoop } from './loop-delay.ts';
import { noStatus } from './no-status.ts';
import { pack } from './pack.ts';
import type {
  FromRecorder,
  PurgeQuery,
  RecorderData,
  RecorderReady,
  RecorderStatus,
  RecorderVerb,
  ReportQuery,
  ToRecorder,
} from './protocol.ts';
import { startThread } from './thread.ts';

export type { RecorderClient, RecorderClientOptions } from './client-contract.ts';
export type { RecorderHealth, RecorderStatus } from './protocol.ts';

const LINGER_MS = 10;
const RESTART_MS = 1000;
/** Beyond the recorder's own deadline before a thread that does not answer is ended. */
const GRACE_MS = 400;
/** The same for one that answers: as long as DuckDB may take on a busy disk. */
const BUSY_MS = 15_000;
/** The same for one that has not said yet that it takes records. */
const STARTING_MS = 1500;

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Starts the recorder thread. */
export function createRecorderClient(options: RecorderClientOptions): RecorderClient {
  return new Client(options);
}

class Client implements RecorderClient {
  readonly ready: Promise<RecorderReady>;
  readonly #options: RecorderClientOptions;
  #data: RecorderData;
  readonly #backlog: Backlog;
  readonly #calls = new Map<number, Call>();
  readonly #listeners = new Set<(record: WeirRecord) => void>();
  readonly #delay = watchLoop();
  #read: () => Pick<Tally, 'started' | 'open'> = () => ({ started: 0, open: 0 });
  #worker: Worker | undefined;
  #accepting = false;
  #callId = 0;
  #timer: NodeJS.Timeout | undefined;
  #restart: NodeJS.Timeout | undefined;
  #closing = false;
  #patience: NodeJS.Timeout | undefined;
  #settleReady: (ready: RecorderReady) => void = () => {};
  #gone: () => void = () => {};
  #lastDeath: string | undefined;

  constructor(options: RecorderClientOptions) {
    const { env: _env, log: _log, backlogRecords, backlogBytes, worker: _worker, ...data } = options;
    this.#options = options;
    this.#data = { ...data, containment: options.containment ?? 'cooperative', boot: randomUUID() };
    this.#backlog = new Backlog({
      maxRecords: backlogRecords ?? 65_536,
      maxBytes: backlogBytes ?? 64 * 1024 * 1024,
      started: () => this.#read().started,
    });
    this.ready = new Promise((resolve) => {
      this.#settleReady = resolve;
    });
    this.#start();
  }

  #start(): void {
    const { env, log } = this.#options;
    let worker: Worker;
    try {
      worker = startThread(this.#data, env, this.#options.worker);
    } catch (error) {
      this.#died((error as Error).message);
      return;
    }
    this.#worker = worker;
    // In the same tick: messages before a listener are lost (data-path B6).
    worker.on('message', (message: FromRecorder) => this.#receive(message));
    worker.on('messageerror', (error) => log('error', 'recorder-message', { error: error.message }));
    worker.on('error', (error: unknown) => {
      this.#lastDeath = error instanceof Error ? error.message : String(error);
    });
    worker.on('exit', (code) => {
      if (this.#worker !== worker) return;
      this.#died(this.#lastDeath ?? `exit ${code}`);
    });
    worker.unref();
  }

  #died(reason: string): void {
    this.#worker = undefined;
    this.#accepting = false;
    this.#lastDeath = reason;
    for (const call of this.#calls.values()) call.reject(new Error(`the recorder has ended: ${reason}`));
    this.#calls.clear();
    this.#gone();
    if (this.#closing) return;
    this.#backlog.rewind();
    this.#options.log('error', 'recorder-died', { reason, waiting: this.#backlog.pending });
    this.#restart = setTimeout(() => this.#start(), RESTART_MS);
    this.#restart.unref();
  }

  #receive(message: FromRecorder): void {
    switch (message.type) {
      case 'accepting':
        this.#accepting = true;
        this.#lastDeath = undefined;
        this.#backlog.acknowledge(message.batch);
        if (this.#listeners.size > 0) this.#send({ type: 'subscribe', on: true });
        this.#flush(false);
        return;
      case 'ending':
        // Its thread must not be ended while DuckDB works in it, DuckDB would take the process with it: the thread says when.
        clearTimeout(this.#patience);
        this.#patience = setTimeout(this.#gone, BUSY_MS);
        return;
      case 'ack':
        this.#backlog.acknowledge(message.batch);
        // Without a timer, what waits was held up by the window alone: nobody else would send it.
        if (this.#timer === undefined || this.#closing) this.#flush(false);
        else if (this.#backlog.pending >= BATCH) this.#flush(true);
        return;
      case 'ready':
        this.#settleReady({ baseline: message.baseline, endpoint: message.endpoint, problems: message.problems });
        return;
      case 'result': {
        const call = this.#calls.get(message.id);
        this.#calls.delete(message.id);
        if (message.error === undefined) call?.resolve(message.value);
        else call?.reject(new Error(message.error));
        return;
      }
      case 'event':
        this.#tell(message.records);
        return;
      case 'log':
        this.#options.log(message.level, message.event, message.fields);
        return;
      case 'bye':
        this.#gone();
    }
  }

  #tell(records: readonly WeirRecord[]): void {
    for (const record of records) {
      for (const listener of this.#listeners) {
        try {
          listener(record);
        } catch (error) {
          this.#options.log('error', 'record-listener', { error: String(error) });
        }
      }
    }
  }

  post(record: WeirRecord): void {
    if (!this.#backlog.add(record)) return;
    if (this.#backlog.pending >= BATCH) this.#flush(true);
    else if (this.#timer === undefined) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#flush(false);
      }, LINGER_MS);
      this.#timer.unref();
    }
  }

  #flush(whole: boolean, force = false): void {
    if (!this.#accepting) return;
    for (let batch = this.#backlog.next(whole, force); batch !== undefined; batch = this.#backlog.next(whole, force)) {
      const { number, records, tally } = batch;
      try {
        this.#worker?.postMessage({ type: 'records', batch: number, text: pack(records), tally } satisfies ToRecorder);
      } catch (error) {
        // Something in it cannot be written down: a bug of ours, which must not stop the others.
        this.#backlog.giveUp(batch, 'clone');
        this.#options.log('error', 'record-not-clonable', { error: (error as Error).message });
      }
    }
  }

  #send(message: ToRecorder): void {
    try {
      this.#worker?.postMessage(message);
    } catch (error) {
      this.#options.log('error', 'recorder-message', { error: (error as Error).message });
    }
  }

  tally(read: () => Pick<Tally, 'started' | 'open'>): void {
    this.#read = read;
  }

  gauges(gauges: TrafficGauges): void {
    this.#send({ type: 'gauges', gauges });
  }

  call(name: RecorderVerb, args?: unknown): Promise<unknown> {
    if (this.#worker === undefined) {
      return Promise.reject(new Error(`the recorder is not running: ${this.#lastDeath ?? 'it has been shut down'}`));
    }
    const id = ++this.#callId;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#send({ type: 'call', id, name, args });
    });
  }

  containment(containment: string): void {
    // For a thread that takes the place of this one, too.
    this.#data = { ...this.#data, containment };
    this.#send({ type: 'containment', containment });
  }

  async status(): Promise<RecorderStatus> {
    try {
      return (await this.call('status')) as RecorderStatus;
    } catch (error) {
      return noStatus(this.#backlog.dropped(), (error as Error).message);
    }
  }

  metrics(): Promise<string> {
    return this.call('metrics', { traffic: this.#delay.take() }) as Promise<string>;
  }

  recent(query: RecentQuery): Promise<readonly RecentExchange[]> {
    return this.call('recent', query) as Promise<readonly RecentExchange[]>;
  }

  baseline(): Promise<BaselineSnapshot> {
    return this.call('baseline') as Promise<BaselineSnapshot>;
  }

  snapshot(): Promise<{ readonly snapshotDir: string }> {
    return this.call('snapshot') as Promise<{ readonly snapshotDir: string }>;
  }

  purge(query: PurgeQuery): Promise<{ readonly rows: number; readonly message: string }> {
    return this.call('purge', query) as Promise<{ readonly rows: number; readonly message: string }>;
  }

  async report(query: ReportQuery): Promise<ReportFacts> {
    await this.ready;
    this.#flush(false);
    return (await this.call('report', query)) as ReportFacts;
  }

  onRecord(listener: (record: WeirRecord) => void): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#send({ type: 'subscribe', on: true });
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#send({ type: 'subscribe', on: false });
    };
  }

  async shutdown(deadlineMs: number): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#restart);
    this.#delay.stop();
    const worker = this.#worker;
    if (worker === undefined) {
      if (!this.#backlog.idle) this.#options.log('error', 'records-lost', { waiting: this.#backlog.pending });
      return;
    }
    worker.ref();
    await new Promise<void>((resolve) => {
      this.#gone = resolve;
      // One that is still starting may be opening the database, and can say so only when its modules are there.
      this.#patience = setTimeout(resolve, deadlineMs + (this.#accepting ? GRACE_MS : STARTING_MS));
      // Before it accepts, the thread keeps what arrives and takes it in order.
      this.#accepting = true;
      this.#flush(false, true);
      this.#send({ type: 'shutdown', deadlineMs });
    });
    clearTimeout(this.#patience);
    this.#worker = undefined;
    await worker.terminate();
  }
}
