import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { CollectorOptions } from './collector.ts';
import { type KeptLimits, keptLimits } from './collector-budgets.ts';
import { scanBudgetOf } from './collector-content.ts';
import { pemFiles } from './collector-files.ts';
import { createLosses } from './collector-losses.ts';
import { createOwnMask, type OwnMask } from './collector-own.ts';
import {
  accountsOf,
  baselineOf,
  baselineReady,
  listenerOf,
  recorderOptions,
  stageData,
  upstreamOf,
} from './collector-parts.ts';
import type { Policies } from './collector-policies.ts';
import { readingStage } from './collector-reading.ts';
import { reload } from './collector-reload.ts';
import { createRuns, type Runs } from './collector-runs.ts';
import { type Scanning, scanningOf } from './collector-scan.ts';
import type { RunSecret } from './collector-secrets.ts';
import { createShown } from './collector-shown.ts';
import { type CompiledStages, compileStages, type ModeOverrides, type StageData } from './collector-stages.ts';
import type { StateDir } from './collector-state.ts';
import type { Config } from './config/schema.ts';
import { type Authority, createAuthority } from './connection/authority.ts';
import { createExceptions, type Exceptions } from './connection/exceptions.ts';
import type { Listener } from './connection/listener.ts';
import type { ScanBudget } from './content/budget.ts';
import type { Accounts } from './inspect/account.ts';
import type { Baseline } from './inspect/baseline-contract.ts';
import type { IsSelf } from './inspect/self.ts';
import { createTokens, type Tokens } from './inspect/tokens.ts';
import type { CaFacts, Containment } from './model/admin.ts';
import type { Severity } from './model/finding.ts';
import type { Upstream } from './model/ports.ts';
import type { EventRecord, WeirRecord } from './model/record.ts';
import { ulid } from './model/ulid.ts';
import type { LiveCorridor } from './pipeline/contract.ts';
import { createCorridor } from './pipeline/corridor.ts';
import type { ReadingStage } from './pipeline/stages.ts';
import { createRecorderClient, type RecorderClient, type RecorderHealth } from './record/client.ts';

/** Exchanges wait for the patterns at most this long after the start, as they do for the baseline. */
const SCAN_WAIT_MS = 2_000;
const NOWHERE = { host: '', port: 0 };

/** Everything that runs, wired: what the lifecycle, the admin handlers and the first lines share. */
export class House {
  readonly options: CollectorOptions;
  readonly state: StateDir;
  readonly since: number = Date.now();
  readonly overrides: ModeOverrides = { agents: new Map(), stopped: new Set(), everyoneStopped: false };
  readonly recorder: RecorderClient;
  readonly baseline: Baseline;
  readonly accounts: Accounts;
  readonly tokens: Tokens = createTokens();
  readonly authority: Authority;
  readonly exceptions: Exceptions;
  readonly corridor: LiveCorridor;
  readonly listener: Listener;
  readonly runs: Runs;
  readonly policies: Policies;
  readonly limits: KeptLimits;
  config: Config;
  stages: CompiledStages;
  containment: Containment = 'cooperative';
  /** A `weir verify` has passed since the start. */
  verified = false;
  /** What the recorder said last that is not as it should be, one sentence each. */
  recorderProblems: readonly string[] = [];
  /** Why rows cannot be kept at the moment. */
  unrecorded: string | undefined = 'the recorder is starting';
  /** The stored baseline is in memory. */
  baselineLoaded = false;
  /** Our own sockets, known once they are bound. */
  isSelf: IsSelf = () => false;
  /** Called when a `weir run` has begun or ended. */
  runsChanged: () => void = () => undefined;
  readonly #data: StageData = stageData();
  readonly #shown: OwnMask;
  readonly #scanBudget: ScanBudget;
  readonly #reading: ReadingStage;
  readonly #losses = createLosses((loss) => this.recorder.post({ ...loss, agent: this.config.agent }));
  #scan: Scanning;
  #runSecrets: readonly RunSecret[] = [];
  #scanWarm: () => void = () => undefined;
  #upstream: Upstream;

  constructor(options: CollectorOptions, state: StateDir, policies: Policies) {
    const { config, log } = options;
    this.options = options;
    this.state = state;
    this.config = config;
    this.policies = policies;
    this.#upstream = upstreamOf(config, options.env);
    this.#shown = createOwnMask(createShown(state.key), state.hash);
    this.limits = keptLimits(state.path, () => this.config, this.#shown.host, log);
    this.#scan = scanningOf(config, this.state.hash, options);
    this.secretsOfRuns([]);
    this.#scanBudget = scanBudgetOf(config);
    this.#reading = readingStage({
      tokens: this.tokens,
      said: () => this.policies.said,
      config,
      hash: state.hash,
      failed: (error) => log.warn({ error: String(error) }, 'reader-failed'),
    });
    this.baseline = baselineOf(config, this.#data, this.#shown, (agent) => this.stages.modeFor(agent, NOWHERE));
    this.accounts = accountsOf(config, this.baseline, this.#shown);
    this.stages = this.#compile(config);
    this.authority = createAuthority(
      options.background === undefined
        ? { dir: state.path, ephemeral: false, extraRoots: pemFiles(config.upstream.ca_file) }
        : // Its key is in no file (product.md §4); runs write the public bundle themselves.
          { ephemeral: true, made: options.background.ca },
    );
    this.exceptions = createExceptions({
      file: join(state.path, 'exceptions.json'),
      log: (event, fields) => log.warn(fields, event),
      shown: this.#shown.host,
    });
    this.recorder = createRecorderClient(recorderOptions(options, state));
    this.corridor = createCorridor({
      stages: () => this.stages,
      post: (record) => {
        this.limits.spending.note(record);
        this.recorder.post(this.#shown.record(record));
      },
      ready: Promise.all([
        baselineReady(this, config, log, () => {
          this.baselineLoaded = true;
        }),
        policies.ready,
        // The first exchange would compile the patterns itself, all at once.
        new Promise<void>((resolve) => {
          this.#scanWarm = resolve;
          setTimeout(resolve, SCAN_WAIT_MS).unref();
        }),
      ]).then(() => undefined),
      connectionsPerAgent: () => this.config.limits.connections_per_agent,
      spansPerTraceHour: config.limits.spans_per_trace_hour,
      log: (level, event, fields) => log[level](fields, event),
    });
    this.recorder.ready.then(({ problems }) => {
      this.recorderProblems = problems;
      return this.askRecorder();
    });
    this.listener = listenerOf(config, this.corridor, this.authority, this.exceptions, () => this.stages, log);
    this.runs = createRuns(this, () => this.runsChanged());
    // A run leaves one span when it ends.
    this.recorder.tally(() => {
      const { started, open } = this.corridor.tally();
      return { started: started + this.runs.ended(), open };
    });
  }

  /** Reads what the first exchange would otherwise wait for. */
  warm(): void {
    this.#data.categories.risky('weir.invalid');
    this.#data.tenantOf('weir.invalid', 'GET', '/');
    this.#warmScan();
  }

  /** Step by step: what comes in between is served in between. */
  #warmScan(): void {
    try {
      if (this.#scan.step()) setImmediate(() => this.#warmScan());
      else {
        this.#shown.host('weir.invalid');
        this.#scanWarm();
      }
    } catch (error) {
      this.#scanWarm();
      // Every exchange will say so as well: an inspector that fails is a finding.
      this.options.log.error({ error: (error as Error).message }, 'patterns-unusable');
    }
  }

  /** Secrets in the environments of the runs that go on: looked for, and kept out of what is recorded. */
  secretsOfRuns(secrets: readonly RunSecret[]): void {
    this.#runSecrets = secrets;
    this.#scan.ofRuns(secrets);
    this.#shown.set([...this.#scan.options.secrets, ...secrets]);
  }

  /** Asks the recorder what is wrong, for whoever may not wait for it (`/readyz`). */
  async askRecorder(): Promise<void> {
    try {
      this.heard((await this.recorder.call('health')) as RecorderHealth);
    } catch (error) {
      const sentence = (error as Error).message;
      this.heard({ problems: [sentence], unrecorded: sentence });
    }
  }

  /** What the recorder said of itself. */
  heard(health: RecorderHealth): void {
    this.#losses(health.lost);
    this.recorderProblems = health.problems;
    this.unrecorded = health.unrecorded;
  }

  /** Compiles the configuration and the overrides anew and judges again what is open. Throws and keeps the old set. */
  recompile(next: Config = this.config): void {
    const changed = next !== this.config;
    const before = this.#upstream;
    const scan = this.#scan;
    if (changed) this.#upstream = upstreamOf(next, this.options.env);
    try {
      if (changed) this.#scan = scanningOf(next, this.state.hash, this.options, scan);
      this.stages = this.#compile(next);
      this.config = next;
      this.secretsOfRuns(this.#runSecrets);
      if (changed) this.runs.recompile();
    } catch (error) {
      this.#upstream = before;
      this.#scan = scan;
      throw error;
    }
    this.corridor.rejudge();
  }

  /** SIGHUP and the admin API: a whole new set or the old one. Rejects with the reason. */
  reload(actor: string): Promise<string> {
    return reload(this, actor);
  }

  /** An audit event: row and log (product.md §3). */
  audit(actor: string, verb: string, message: string, agent = this.config.agent, severity: Severity = 'info'): void {
    const finding = { inspector: 'audit', rule: verb, severity, disposition: 'flag', message } as const;
    this.recorder.post({ kind: 'audit', id: ulid(), at: Date.now(), agent, actor, finding });
  }

  /** Less is protected than before: an audit event, and a warning in the log. */
  lowered(actor: string, verb: string, message: string, agent?: string): void {
    this.audit(actor, verb, message, agent, 'medium');
    this.options.log.warn({ actor }, message);
  }

  /** Names and sentences as rows have them. */
  get words(): Pick<OwnMask, 'host' | 'text'> {
    return this.#shown;
  }

  /** What is open and known now, for gauges. */
  tellGauges(): void {
    this.recorder.gauges({ ...this.corridor.gauges(), known: this.baseline.known() });
  }

  /** Findings of agents rather than exchanges: hourly digests, all of them with `flush`. */
  postDigests(flush: boolean): void {
    for (const { agent, finding } of this.baseline.due(flush)) {
      const record: EventRecord = { kind: 'finding', id: ulid(), at: Date.now(), agent, finding };
      this.recorder.post(record satisfies WeirRecord);
    }
  }

  /** The public half of the CA, as `weir ca show` tells it. */
  authorityFacts(): CaFacts {
    const { certPem, files } = this.authority;
    const certificate = new X509Certificate(certPem);
    return {
      certificatePath: files.cert ?? '',
      bundlePath: files.bundle ?? '',
      pem: certPem,
      fingerprint: certificate.fingerprint256,
      ...(this.options.background === undefined ? {} : { ephemeral: true }),
      subject: certificate.subject.replaceAll('\n', ', '),
      notBefore: Date.parse(certificate.validFrom),
      notAfter: Date.parse(certificate.validTo),
      key:
        certificate.publicKey.asymmetricKeyType === 'ec' ? 'EC P-256' : String(certificate.publicKey.asymmetricKeyType),
    };
  }

  #compile(config: Config): CompiledStages {
    return compileStages({
      config,
      data: this.#data,
      baseline: this.baseline,
      accounts: this.accounts,
      upstream: this.#upstream,
      scan: this.#scan,
      scanBudget: this.#scanBudget,
      reading: this.#reading,
      policies: this.policies,
      limits: this.limits,
      overrides: this.overrides,
      isSelf: (address, port) => this.isSelf(address, port),
      containment: () => this.containment,
      hash: this.state.hash,
      shown: this.#shown,
      ...(config.store.required ? { unrecorded: () => this.unrecorded !== undefined } : {}),
    });
  }
}
