import { join } from 'node:path';
import type { PolicyAlerts } from './collector-policy-alerts.ts';
import { Approvals } from './collector-policy-approvals.ts';
import { PolicyCounts } from './collector-policy-counts.ts';
import { environmentOf } from './collector-policy-facts.ts';
import type { PolicyStage } from './collector-policy-inspector.ts';
import type { PolicyReceiver } from './collector-policy-receiver.ts';
import type { SaidPolicies } from './collector-policy-said.ts';
import { asking, policyStage } from './collector-policy-stage.ts';
import { watchFiles } from './collector-policy-watch.ts';
import type { Config } from './config/schema.ts';
import { parseSecureUrl } from './config/values.ts';
import type { Exchange } from './model/exchange.ts';
import type { Inspector } from './model/ports.ts';
import type { Examined } from './policy/examine.ts';
import type { PolicySet } from './policy/policy.ts';
import type { Throttle } from './policy/throttle.ts';

type Engine = typeof import('./collector-policy-engine.ts');
type Environment = Readonly<Record<string, string | undefined>>;

export interface PolicyLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** What the house does for its policies. */
export interface PolicyHost {
  readonly isSelf: (address: string, port: number) => boolean;
  /** Somewhere requests are really stopped. */
  readonly enforcing: () => boolean;
  /** There is another set: stages are compiled and what is open is judged again. */
  readonly swapped: () => void;
  /** A block of this exchange would be one: nobody has to approve what monitor lets pass. */
  readonly stops: (exchange: Exchange) => boolean;
  /** As rows have it. */
  readonly shownHost: (host: string) => string;
  /** Audit event: less is stopped than before. */
  readonly loosened: (message: string) => void;
}

/** The policies of one configuration, read and compiled; not in force yet. */
export interface Staged {
  readonly settings: Config['policies'];
  readonly files: PolicySet | undefined;
  readonly receiver: PolicyReceiver | undefined;
}

export interface PoliciesOptions {
  readonly settings: Config['policies'];
  readonly stateDir: string;
  readonly env: Environment;
  /** Parent proxy of our own calls to an address; absent = none. */
  readonly proxyOf?: (url: string) => string | undefined;
  readonly log: PolicyLog;
}

/** How long the end of the process waits for webhooks of policies. */
const ALERTS_MS = 1_000;
/** How long the first requests wait for a receiver that was never asked before. */
const FIRST_PULL_MS = 2_000;

/**
 * The policies of a collector: read, pulled, swapped, counted, approved. The engine (a CEL parser, RE2, an HTTP client) is loaded when
 * there is something for it: a start without policies pays nothing.
 */
export class Policies {
  readonly counts: PolicyCounts;
  readonly approvals: Approvals = new Approvals();
  /** Settles when the first set of a receiver is in, or after a while. */
  readonly ready: Promise<void>;
  readonly #options: PoliciesOptions;
  readonly #environment: string | undefined;
  #isReady: () => void = () => undefined;
  #host: PolicyHost | undefined;
  #engine: Engine | undefined;
  #throttle: Throttle | undefined;
  #said: SaidPolicies | undefined;
  #staged: Staged;
  #set: PolicySet | undefined;
  #examined: readonly Examined[] | undefined;
  #loadedAt: number = Date.now();
  #problems: readonly string[] = [];
  #alerts: PolicyAlerts | undefined;
  #unwatch: () => void = () => undefined;

  constructor(options: PoliciesOptions) {
    const { settings, env, log } = options;
    this.#options = options;
    this.#staged = { settings, files: undefined, receiver: undefined };
    this.#environment = environmentOf(env);
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    this.counts = new PolicyCounts((policy, reason) =>
      log.warn({ policy: policy.name, where: policy.where, reason }, 'policy-not-evaluated'),
    );
  }

  /** Reads and compiles what a configuration names. Rejects with PolicyError; nothing has changed then. */
  async stage(settings: Config['policies']): Promise<Staged> {
    const url = receiverUrl(settings, this.#options.env);
    if (settings.files.length === 0 && url === undefined) return { settings, files: undefined, receiver: undefined };
    const engine = await this.#load();
    const files = settings.files.length === 0 ? undefined : engine.readPolicyFiles(settings.files);
    const known = this.#staged.receiver;
    if (url === undefined) return { settings, files, receiver: undefined };
    return { settings, files, receiver: known?.url === url ? known : await this.#receiver(url) };
  }

  /** From the next compilation of stages on. Returns what was in force, to go back to. */
  use(staged: Staged): Staged {
    const before = this.#staged;
    this.#staged = staged;
    this.#problems = [];
    this.#loadedAt = Date.now();
    this.#combine();
    return before;
  }

  /** After `use`, once it is certain: watches the files, asks the receiver, lets go of what was before. */
  run(host: PolicyHost, before?: Staged): void {
    this.#host = host;
    const { settings, receiver } = this.#staged;
    this.#unwatch();
    this.#unwatch = settings.files.length === 0 ? () => undefined : watchFiles(settings.files, () => this.reread());
    if (before?.receiver !== receiver) before?.receiver?.stop();
    if (receiver === undefined) this.#isReady();
    else if (before?.receiver !== receiver || before === undefined) {
      if (receiver.set !== undefined) this.#isReady();
      setTimeout(() => this.#isReady(), FIRST_PULL_MS).unref();
      void receiver.start().then(() => this.#isReady());
    } else void receiver.ask();
  }

  async stop(): Promise<void> {
    this.#unwatch();
    this.#staged.receiver?.stop();
    await this.#alerts?.close(ALERTS_MS);
  }

  /** The set as the next stages get it; undefined = nothing to ask, or a receiver that was never heard. */
  get set(): PolicySet | undefined {
    return this.#set;
  }

  /** Every policy of the set, looked at without a request. */
  examined(): readonly Examined[] {
    if (this.#set === undefined || this.#engine === undefined) return [];
    this.#examined ??= this.#engine.examine(this.#set);
    return this.#examined;
  }

  /** A receiver is configured and nothing was ever loaded from it: everything is refused (strathon-compat §6.9). */
  get unloaded(): boolean {
    return this.#staged.receiver !== undefined && this.#staged.receiver.set === undefined;
  }

  get state() {
    const { settings, files, receiver } = this.#staged;
    return { settings, files, receiver, problems: this.#problems, loadedAt: this.#loadedAt };
  }

  /** What is no longer stopped that was; nothing when nothing was asked before. */
  lessThan(before: PolicySet | undefined): string[] {
    const engine = this.#engine;
    if (engine === undefined || before === undefined) return [];
    const text = engine.loosenedText(engine.loosened(before, this.#set ?? engine.createSet([])));
    return text === '' ? [] : [`policies: ${text}`];
  }

  /** Files again: all of them, or the old set and why. */
  reread(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    const { log } = this.#options;
    const before = this.#set;
    try {
      const files = engine.readPolicyFiles(this.#staged.settings.files);
      this.#problems = [];
      const old = this.#staged.files;
      if (old !== undefined && engine.fingerprintOf(old) === engine.fingerprintOf(files)) return;
      this.#staged = { ...this.#staged, files };
      this.#loadedAt = Date.now();
    } catch (error) {
      const problems = error instanceof engine.PolicyError ? error.problems : [String(error)];
      if (problems.join('\n') !== this.#problems.join('\n')) log.warn({ problems }, 'policies-kept');
      this.#problems = problems;
      return;
    }
    this.#combine();
    this.#swap(this.lessThan(before).join(''), 'policy files changed');
  }

  /** Policies on what is said in LLM calls; undefined when there are none. */
  get said(): SaidPolicies | undefined {
    return this.#said;
  }

  /** What stages ask: nothing when there is nothing to ask. */
  inspectors(readsTls: PolicyStage['readsTls']): readonly Inspector[] {
    const engine = this.#engine;
    const { receiver, files } = this.#staged;
    if (engine === undefined || (files === undefined && receiver === undefined)) return [];
    const stage = this.#stage(engine, readsTls);
    this.#said = engine.saidPolicies(stage);
    return engine.policyInspectors(stage);
  }

  /** The same for a request that is not made: no token is taken, nothing counted, nobody told. */
  asking(readsTls: PolicyStage['readsTls']): readonly Inspector[] {
    const engine = this.#engine;
    const { receiver, files } = this.#staged;
    if (engine === undefined || (files === undefined && receiver === undefined)) return [];
    return engine.policyInspectors(asking(this.#stage(engine, readsTls), this.#throttle));
  }

  #stage(engine: Engine, readsTls: PolicyStage['readsTls']): PolicyStage {
    this.#throttle ??= engine.createThrottle();
    return policyStage({
      set: this.#set,
      unsaid: this.#set === undefined ? undefined : engine.withoutSaid(this.#set),
      settings: this.#staged.settings,
      counts: this.counts,
      approvals: this.approvals,
      throttle: this.#throttle,
      environment: this.#environment,
      readsTls,
      hasSaid: () => this.#said !== undefined,
      stops: (exchange) => this.#host?.stops(exchange) === true,
      tell: (policy, exchange) => this.#alerts?.tell(policy, exchange),
    });
  }

  async #receiver(url: string): Promise<PolicyReceiver> {
    const { PolicyReceiver: Receiver } = await import('./collector-policy-receiver.ts');
    const { stateDir, env, log } = this.#options;
    const receiver = new Receiver({
      url,
      key: env['STRATHON_API_KEY'] || undefined,
      file: join(stateDir, 'private', 'policies.json'),
      isSelf: (address, port) => this.#host?.isSelf(address, port) === true,
      via: () => this.#options.proxyOf?.(url),
      enforcing: () => this.#host?.enforcing() === true,
      acceptShrink: () => this.#staged.settings.accept_shrink,
      changed: (less) => {
        this.#combine();
        this.#swap(less, `policies of ${new URL(url).origin} changed`);
      },
      log: (level, fields, message) => log[level](fields, message),
    });
    await receiver.restore();
    return receiver;
  }

  async #load(): Promise<Engine> {
    this.#engine ??= await import('./collector-policy-engine.ts');
    return this.#engine;
  }

  #combine(): void {
    const parts = [this.#staged.files, this.#staged.receiver?.set].filter((set) => set !== undefined);
    const wanting = this.#engine === undefined || this.unloaded || parts.length === 0;
    this.#set = wanting ? undefined : this.#engine?.createSet(parts);
    this.#examined = undefined;
    void this.#openAlerts();
    this.counts.keep(this.#set?.policies ?? []);
  }

  /** The HTTP client is loaded when a policy names somebody to tell. */
  async #openAlerts(): Promise<void> {
    const tells = this.#set?.policies.some(({ config }) => config.webhookUrl !== undefined) === true;
    if (!tells || this.#alerts !== undefined) return this.#alerts?.keep(this.#set?.policies ?? []);
    const { PolicyAlerts: Alerts } = await import('./collector-policy-alerts.ts');
    this.#alerts ??= new Alerts({
      isSelf: (address, port) => this.#host?.isSelf(address, port) === true,
      proxyOf: this.#options.proxyOf,
      shown: (host) => this.#host?.shownHost(host) ?? '',
      log: (level, event, fields) => this.#options.log[level](fields, event),
    });
  }

  #swap(less: string, message: string): void {
    this.#options.log.info({ policies: this.#set?.policies.length ?? 0 }, message);
    this.#host?.swapped();
    if (less !== '') this.#host?.loosened(`${message}: ${less}`);
  }
}

/** The configuration's word, else the environment's. Throws Error for an address that would send the key in clear. */
export function receiverUrl({ receiver }: Config['policies'], env: Environment): string | undefined {
  const named = receiver ?? (env['STRATHON_EGRESS_RECEIVER_URL'] || undefined);
  if (named === undefined || receiver !== undefined) return named;
  try {
    return parseSecureUrl(named);
  } catch (error) {
    throw new Error(`STRATHON_EGRESS_RECEIVER_URL ${(error as Error).message}`, { cause: error });
  }
}
