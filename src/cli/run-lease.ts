import type { RunClient, RunStream } from '../admin/client-runs.ts';
import { AdminError } from '../admin/protocol.ts';
import type { ReportFacts } from '../model/report.ts';
import type { DirectSeen, RunEnd, RunOpened, RunRequest } from '../model/run.ts';
import { CliError } from './context.ts';
import type { Background } from './run-background.ts';

/** Between two looks for a collector (ms). */
const LOOK_MS = 100;
/** Later, when it has not come back within `COMEBACK_MS`: the command may run for days. */
const SLOW_LOOK_MS = 2000;
/** A supervisor restarts its collector within a second; who is silent for longer has none (ms). */
const NOBODY_MS = 1500;
/** The end of a run waits this long for a collector that died under it (ms). */
const COMEBACK_MS = 10_000;
/** A first start opens a database, on any machine (ms). */
const FIRST_MS = 30_000;
const DIRECT_MS = 1000;
/** Distinct direct connections told; a scanner makes thousands. */
const MAX_DIRECT = 500;

/** The collector's port for one run, through the collector's deaths. */
export interface Lease {
  readonly opened: RunOpened;
  /** Counts so far; told to the collector at most once a second. */
  direct(seen: readonly DirectSeen[]): void;
  /** Ends the run. A text says why there is no report. */
  end(end: Pick<RunEnd, 'code' | 'signal' | 'directWatched'>): Promise<ReportFacts | string>;
  /** Times the collector died. */
  restarts(): number;
  /** Closes what is open without a report. */
  drop(): void;
}

export interface LeaseOptions {
  readonly client: RunClient;
  readonly request: RunRequest;
  /** Starts a supervisor of the background collector. */
  start(): Background;
  /** Whether there is one, ours or another run's. */
  kept(): Promise<boolean>;
}

/** Asks for a port, starting the background collector when nobody answers. Rejects with AdminError or CliError. */
export async function takeLease(options: LeaseOptions): Promise<Lease> {
  const search: Search = { background: undefined, silentSince: Number.NEGATIVE_INFINITY };
  const deadline = Date.now() + FIRST_MS;
  for (;;) {
    const stream = await tryOpen(options, options.request);
    if (stream !== undefined) return new RunLease(options, stream, search);
    const exit = search.background?.exit();
    // Of several first runs one gets to start the collector; ours may have failed where another's does not.
    if (exit !== undefined && exit.code !== 0 && !(await options.kept())) throw failed(search.background);
    if (Date.now() > deadline) throw failed(search.background);
    startIfNobody(options, search);
    await pause(LOOK_MS);
  }
}

interface Search {
  /** The supervisor we started last. */
  background: Background | undefined;
  /** Epoch ms since when nobody has answered. */
  silentSince: number;
}

/** Undefined when there is no collector (any more). */
async function tryOpen({ client }: LeaseOptions, request: RunRequest): Promise<RunStream | undefined> {
  try {
    return await client.open(request);
  } catch (error) {
    if (error instanceof AdminError && error.code === 'no-collector') return undefined;
    throw error;
  }
}

/** A supervisor, ours or another's, is given the time it needs; one that has left is followed by another. */
function startIfNobody({ start }: LeaseOptions, search: Search): void {
  const now = Date.now();
  if (now - search.silentSince <= NOBODY_MS) return;
  if (search.background !== undefined && search.background.exit() === undefined) return;
  search.background = start();
  search.silentSince = now;
}

function failed(background: Background | undefined): CliError {
  const words = background?.words() ?? '';
  return new CliError(`the background collector could not be started.${words === '' ? '' : `\n${words}`}`);
}

class RunLease implements Lease {
  readonly opened: RunOpened;
  readonly #options: LeaseOptions;
  readonly #search: Search;
  readonly #direct: Map<string, DirectSeen> = new Map();
  #stream: RunStream;
  #restarts = 0;
  #over = false;
  /** Pending while there is no collector; resolves when there is one again or the run is over. */
  #comeback: Promise<void> = Promise.resolve();
  #lostAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LeaseOptions, stream: RunStream, search: Search) {
    this.#options = options;
    this.#search = search;
    this.opened = stream.opened;
    this.#stream = stream;
    this.#watch(stream);
  }

  restarts(): number {
    return this.#restarts;
  }

  drop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#stream.close();
  }

  direct(seen: readonly DirectSeen[]): void {
    for (const found of seen) {
      const key = `${found.program}\n${found.address}\n${found.port}\n${found.protocol}`;
      if (this.#direct.size < MAX_DIRECT || this.#direct.has(key)) this.#direct.set(key, found);
    }
    if (this.#timer !== undefined || this.#over) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tell().catch(() => undefined);
    }, DIRECT_MS);
  }

  async end(end: Pick<RunEnd, 'code' | 'signal' | 'directWatched'>): Promise<ReportFacts | string> {
    clearTimeout(this.#timer);
    try {
      for (let attempt = 0; attempt < 3; attempt++) {
        await this.#back();
        try {
          await this.#tell();
          return await this.#options.client.end(this.opened.id, { ...end, restarts: this.#restarts });
        } catch (error) {
          if (!(error instanceof AdminError)) throw error;
          if (error.code !== 'no-collector') return error.message;
          // It died just now: let the loss be noticed, then ask the next one.
          await pause(LOOK_MS);
        }
      }
      return 'the collector has ended and did not come back';
    } finally {
      this.drop();
    }
  }

  /** Waits for a collector, at most `COMEBACK_MS` after it was lost. */
  async #back(): Promise<void> {
    if (this.#lostAt === undefined) return;
    const left = Math.max(2 * LOOK_MS, this.#lostAt + COMEBACK_MS - Date.now());
    await Promise.race([this.#comeback, pause(left)]);
  }

  async #tell(): Promise<void> {
    if (this.#direct.size > 0) await this.#options.client.direct(this.opened.id, [...this.#direct.values()]);
  }

  #watch(stream: RunStream): void {
    stream.ended.then(() => {
      if (this.#over) return;
      this.#lostAt = Date.now();
      this.#comeback = this.#reopen(this.#lostAt);
    });
  }

  /** Asks the next collector for the port the command already has. */
  async #reopen(lostAt: number): Promise<void> {
    const { id, port, caFingerprint } = this.opened;
    const request: RunRequest = { ...this.#options.request, id, port, caFingerprint };
    this.#search.silentSince = lostAt;
    while (!this.#over) {
      // A refusal (our port taken meanwhile, a broken file) may be over at the next look: the command goes on anyway.
      const stream = await tryOpen(this.#options, request).catch(() => undefined);
      if (stream !== undefined) return this.#resume(stream);
      const soon = Date.now() - lostAt < COMEBACK_MS;
      if (soon) startIfNobody(this.#options, this.#search);
      await pause(soon ? LOOK_MS : SLOW_LOOK_MS);
    }
  }

  #resume(stream: RunStream): void {
    if (this.#over) {
      stream.close();
      return;
    }
    this.#restarts++;
    this.#lostAt = undefined;
    this.#stream = stream;
    this.#watch(stream);
    // It knows nothing yet of what went past its predecessor.
    if (this.#direct.size > 0) this.direct([]);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
