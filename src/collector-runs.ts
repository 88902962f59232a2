import type { House } from './collector-house.ts';
import { upstreamOf } from './collector-parts.ts';
import { interceptionOf } from './collector-stages.ts';
import type { OpenPort } from './connection/listener.ts';
import type { RunPort } from './model/connection.ts';
import { hostPort } from './model/destination.ts';
import type { Mode } from './model/finding.ts';
import { parseAuthority } from './model/host.ts';
import type { Upstream } from './model/ports.ts';
import type { RunRecord } from './model/record.ts';
import type { ReportFacts } from './model/report.ts';
import type { DirectSeen, InterceptChoice, RunEnd, RunOpened, RunRequest } from './model/run.ts';
import { ulid } from './model/ulid.ts';
import { newSpanId, newTraceId } from './pipeline/trace.ts';

/** Secrets of all runs that are looked for at once. */
const MAX_SECRETS = 256;
const LOOPBACK = '127.0.0.1';
/** Runs at once; each holds a port. */
const MAX_RUNS = 1000;
/** Connections of a command that has ended are waited for this long before its receipt is drawn up. */
const LAST_CONNECTIONS_MS = 1_000;
/** The receipt waits this long for the rows of its run. */
const SETTLE_MS = 4_000;
const NOWHERE = { host: '', port: 0 };

/** `weir run`'s side of the collector: a port, a mode, an interception and an upstream for each run. */
export interface Runs {
  open(request: RunRequest): Promise<{ readonly opened: RunOpened; readonly gone: () => void }>;
  direct(id: string, seen: readonly DirectSeen[]): void;
  end(id: string, end: RunEnd): Promise<ReportFacts>;
  /** Runs going on. */
  count(): number;
  /** Ceilings of those. */
  modes(): readonly Mode[];
  /** Ended since the start; each leaves one span. */
  ended(): number;
  /** After a reload: parent proxies and interception are compiled anew. */
  recompile(): void;
}

interface LiveRun {
  readonly id: string;
  readonly request: RunRequest;
  readonly startedAt: number;
  readonly direct: Map<string, RunRecord['direct'][number]>;
  port: OpenPort | undefined;
  upstream: Upstream | undefined;
  reads: (host: string) => boolean;
  over: boolean;
}

/** `changed` is called when a run has begun or ended. */
export function createRuns(house: House, changed: () => void): Runs {
  return new RunBook(house, changed);
}

class RunBook implements Runs {
  readonly #house: House;
  readonly #changed: () => void;
  readonly #live: Map<string, LiveRun> = new Map();
  #ended = 0;

  constructor(house: House, changed: () => void) {
    this.#house = house;
    this.#changed = changed;
  }

  count(): number {
    return this.#live.size;
  }

  modes(): readonly Mode[] {
    return [...this.#live.values()].map((run) => this.#modeOf(run));
  }

  ended(): number {
    return this.#ended;
  }

  async open(request: RunRequest): Promise<{ readonly opened: RunOpened; readonly gone: () => void }> {
    if (this.#live.size >= MAX_RUNS) throw new Error(`${MAX_RUNS} runs are going on at once; end one`);
    if (request.id !== undefined && this.#live.has(request.id)) throw new Error('this run has its port already');
    const run: LiveRun = {
      id: request.id ?? ulid(),
      request,
      startedAt: Date.now(),
      direct: new Map(),
      port: undefined,
      upstream: undefined,
      reads: () => false,
      over: false,
    };
    this.#compile(run);
    this.#live.set(run.id, run);
    try {
      this.#secrets();
      this.#changed();
      run.port = await this.#house.listener.open({
        address: LOOPBACK,
        port: request.port ?? 0,
        agent: request.agent,
        run: portOf(run),
      });
    } catch (error) {
      this.#live.delete(run.id);
      this.#secrets();
      this.#changed();
      throw bindError(error, request.port);
    }
    const gone = (): void => void this.#close(run, undefined).catch(() => undefined);
    return { opened: this.#opened(run, run.port.port), gone };
  }

  direct(id: string, seen: readonly DirectSeen[]): void {
    const run = this.#live.get(id);
    if (run === undefined) throw new Error('there is no such run');
    for (const found of seen) this.#sawDirect(run, found);
  }

  async end(id: string, end: RunEnd): Promise<ReportFacts> {
    const run = this.#live.get(id);
    if (run === undefined) throw new Error('there is no such run');
    const { containment, recorder } = this.#house;
    const mode = this.#modeOf(run);
    await this.#close(run, end);
    return recorder.report({ filter: { run: id }, mode, containment, settleMs: SETTLE_MS });
  }

  recompile(): void {
    for (const run of this.#live.values()) this.#compile(run);
    this.#secrets();
  }

  /** What a new configuration changes. Throws Error for an unknown category. */
  #compile(run: LiveRun): void {
    const { config, stages } = this.#house;
    const { request } = run;
    const choice = choiceOf(request, config.intercept);
    run.reads = this.#caChanged(request) ? () => false : interceptionOf(choice, stages.categories);
    const environment = this.#withoutSelf(request.environment);
    const own = Object.keys(environment).length > 0 || request.roots !== undefined;
    run.upstream = own ? upstreamOf(config, environment, request.roots) : undefined;
  }

  /** A parent proxy that is Weir itself (a run inside a run, or a shell that points here already) would be a loop. */
  #withoutSelf(environment: RunRequest['environment']): Record<string, string> {
    const kept = Object.entries(environment).filter(([name, value]) => {
      if (!/_proxy$/i.test(name) || /^no_proxy$/i.test(name)) return true;
      const url = value.includes('://') ? value : `http://${value}`;
      if (!URL.canParse(url)) return true;
      const { hostname, port } = new URL(url);
      const parsed = parseAuthority(`${hostname}:${port || '80'}`, undefined);
      if ('error' in parsed) return true;
      const address = parsed.host === 'localhost' ? LOOPBACK : parsed.host;
      return !this.#house.isSelf(address, parsed.port);
    });
    return Object.fromEntries(kept);
  }

  #caChanged(request: RunRequest): boolean {
    return request.caFingerprint !== undefined && request.caFingerprint !== this.#house.authorityFacts().fingerprint;
  }

  #modeOf(run: LiveRun): Mode {
    return this.#house.stages.modeFor(run.request.agent, NOWHERE, run.request.mode);
  }

  #opened(run: LiveRun, port: number): RunOpened {
    const { request } = run;
    const { config, authority, containment } = this.#house;
    const changed = this.#caChanged(request);
    const choice = choiceOf(request, config.intercept);
    const reads = choice !== 'none' && !changed;
    return {
      id: run.id,
      proxy: hostPort(LOOPBACK, port),
      port,
      mode: this.#modeOf(run),
      containment,
      ...(reads ? { ca: authority.certPem, caFingerprint: this.#house.authorityFacts().fingerprint } : {}),
      ...(changed ? { caChanged: true } : {}),
      reads: changed
        ? 'TLS is not read any more: the command holds the CA of a collector that has ended'
        : sentenceOf(choice),
    };
  }

  #sawDirect(run: LiveRun, { program, address, port, protocol, count }: DirectSeen): void {
    const key = `${program}\n${address}\n${port}\n${protocol}`;
    const known = run.direct.get(key);
    const at = known?.at ?? Date.now();
    run.direct.set(key, { at, program, address, port, count });
    if (known !== undefined) return;
    this.#house.recorder.post({
      kind: 'finding',
      id: ulid(),
      at,
      agent: run.request.agent,
      host: address,
      port,
      runId: run.id,
      program,
      count,
      finding: {
        inspector: 'direct',
        rule: 'direct-connection',
        severity: 'medium',
        disposition: 'flag',
        message: `${program} connected to ${hostPort(address, port)} (${protocol}) without going through Weir`,
      },
    });
  }

  /** Once: the port is closed, what is still open gets its rows, and the run's own record leaves. */
  async #close(run: LiveRun, end: RunEnd | undefined): Promise<void> {
    if (run.over) return;
    run.over = true;
    await run.port?.close(end === undefined ? 0 : LAST_CONNECTIONS_MS);
    const { corridor, recorder, containment } = this.#house;
    corridor.sweep(run.id);
    this.#ended++;
    recorder.post({
      kind: 'run',
      id: run.id,
      traceId: newTraceId(),
      spanId: newSpanId(),
      startedAt: run.startedAt,
      endedAt: Date.now(),
      agent: run.request.agent,
      program: run.request.program,
      mode: this.#modeOf(run),
      containment,
      ...(end?.code === undefined ? {} : { exitCode: end.code }),
      ...(end?.signal === undefined ? {} : { exitSignal: end.signal }),
      ...(end === undefined ? { abandoned: true } : {}),
      restarts: end?.restarts ?? 0,
      directWatched: end?.directWatched ?? run.direct.size > 0,
      direct: [...run.direct.values()],
    });
    this.#live.delete(run.id);
    this.#secrets();
    this.#changed();
  }

  /** What the environments of all commands hold; the same secret in two of them is one. */
  #secrets(): void {
    const { patterns } = this.#house.config;
    const known = new Map<string, { variable: string; runs: Set<string> }>();
    for (const { id, request } of this.#live.values()) {
      for (const [variable, value] of Object.entries(request.secrets ?? {})) {
        const one = known.get(value) ?? { variable, runs: new Set() };
        if (patterns.env_secrets === 'off' || (known.size === MAX_SECRETS && !known.has(value))) continue;
        known.set(value, one);
        one.runs.add(id);
      }
    }
    const secrets = [...known].map(([value, { variable, runs }]) => ({
      value,
      variable,
      runs,
      where: `the variable ${variable}`,
    }));
    this.#house.secretsOfRuns(secrets);
  }
}

function portOf(run: LiveRun): RunPort {
  const { mode } = run.request;
  return {
    id: run.id,
    ...(mode === undefined ? {} : { mode }),
    readsTls: (host) => run.reads(host),
    upstream: () => run.upstream,
  };
}

function bindError(error: unknown, port: number | undefined): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'EADDRINUSE' || port === undefined) return error as Error;
  return new Error(`port ${port}, which the command has in its environment, is taken by another program`, {
    cause: error,
  });
}

/** The child has the CA, so that a run reads TLS unless it was asked not to (product.md §4). */
function choiceOf({ intercept }: RunRequest, configured: InterceptChoice): InterceptChoice {
  return intercept ?? (configured === 'none' ? 'all' : configured);
}

function sentenceOf(choice: InterceptChoice): string {
  if (choice === 'none') return 'TLS is not read: hosts, ports, bytes and times are seen; plain HTTP is read';
  const which =
    choice === 'all'
      ? ''
      : 'only' in choice
        ? ` of ${choice.only.join(', ')}`
        : ` except of ${choice.except.join(', ')}`;
  return `TLS${which} is read where the program trusts Weir’s CA; no body is stored`;
}
