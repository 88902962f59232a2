import { Approvals } from './collector-policy-approvals.ts';
import { PolicyCounts } from './collector-policy-counts.ts';
import type { PolicyStage } from './collector-policy-inspector.ts';
import type { Config } from './config/schema.ts';
import type { Exchange } from './model/exchange.ts';
import type { Inspector } from './model/ports.ts';
import type { LiveExchange } from './pipeline/live.ts';
import type { Attributes, AttributeValue } from './policy/cel-context.ts';
import type { PolicySet } from './policy/policy.ts';
import type { Throttle } from './policy/throttle.ts';

type Engine = typeof import('./collector-policy-engine.ts');

export interface PolicyLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** The policies of one configuration, read and compiled; not in force yet. */
export interface Staged {
  readonly settings: Config['policies'];
  readonly files: PolicySet | undefined;
}

/** What a stage asks for beside the policies themselves. */
export interface StageWants {
  readonly readsTls: (exchange: Exchange) => boolean;
}

/**
 * The policies of a collector: read, swapped, counted, approved. The engine (a CEL parser, RE2) is loaded when the first policy is:
 * a start without policies pays nothing for them.
 */
export class Policies {
  readonly counts: PolicyCounts;
  readonly approvals: Approvals = new Approvals();
  readonly #environment: string | undefined;
  #engine: Engine | undefined;
  #throttle: Throttle | undefined;
  #staged: Staged;
  #set: PolicySet | undefined;

  constructor(settings: Config['policies'], env: Readonly<Record<string, string | undefined>>, log: PolicyLog) {
    this.#staged = { settings, files: undefined };
    this.#environment = environmentOf(env);
    this.counts = new PolicyCounts((policy, reason) =>
      log.warn({ policy: policy.name, where: policy.where, reason }, 'policy-not-evaluated'),
    );
  }

  /** Reads and compiles what a configuration names. Rejects with PolicyError; nothing has changed then. */
  async stage(settings: Config['policies']): Promise<Staged> {
    if (settings.files.length === 0) return { settings, files: undefined };
    const engine = await this.#load();
    return { settings, files: engine.readPolicyFiles(settings.files) };
  }

  /** From the next compilation of stages on. Returns what was in force, to go back to. */
  use(staged: Staged): Staged {
    const before = this.#staged;
    this.#staged = staged;
    this.#combine();
    return before;
  }

  /** The set as the next stages get it. */
  get set(): PolicySet | undefined {
    return this.#set;
  }

  /** Nothing to ask: no inspector at all. */
  inspectors(wants: StageWants): readonly Inspector[] {
    const { counts, approvals } = this;
    const engine = this.#engine;
    const { settings } = this.#staged;
    if (engine === undefined || this.#set === undefined) return [];
    this.#throttle ??= engine.createThrottle();
    const throttle = this.#throttle;
    const environment = this.#environment;
    const stage: PolicyStage = {
      set: this.#set,
      onAbsent: settings.on_absent,
      throttleStatus: settings.throttle_status,
      tally: counts,
      throttled: (policy, agent) => throttle.take(policy, agent, performance.now()),
      approved: (policy, exchange) => approvals.approved(policy, exchange),
      asked: (policy, exchange) => approvals.want(policy, exchange),
      more: (exchange, { protocol }) => moreOf(exchange as LiveExchange, environment, protocol),
      readsTls: wants.readsTls,
    };
    return engine.policyInspectors(stage);
  }

  async #load(): Promise<Engine> {
    this.#engine ??= await import('./collector-policy-engine.ts');
    return this.#engine;
  }

  #combine(): void {
    const parts = [this.#staged.files].filter((set) => set !== undefined);
    this.#set = this.#engine === undefined || parts.length === 0 ? undefined : this.#engine.createSet(parts);
    this.counts.keep(this.#set?.policies ?? []);
  }
}

/** What an exchange does not hold for everybody: the baseline's word, tenant, credential, environment. */
type Read = (exchange: LiveExchange, environment?: string, protocol?: string) => AttributeValue | undefined;

const MORE: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['weir.baseline.state', ({ baselineState }) => baselineState],
  ['weir.destination.tenant', ({ tenant }) => tenant],
  ['weir.credential.fingerprint', ({ credentialFp }) => credentialFp],
  ['strathon.project.environment', (_, environment) => environment],
  ['deployment.environment', (_, environment) => environment],
  ['weir.tunnel.protocol', (_, __, protocol) => protocol],
]);

function moreOf(exchange: LiveExchange, environment?: string, protocol?: string): Attributes {
  return {
    get: (key) => MORE.get(key)?.(exchange, environment, protocol),
    keys: () => MORE.keys(),
  };
}

/** `deployment.environment.name`, or its old name, of OTEL_RESOURCE_ATTRIBUTES: what spans say, policies say too. */
function environmentOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const pairs = (env['OTEL_RESOURCE_ATTRIBUTES'] ?? '').split(',').map((pair) => pair.split('=', 2));
  const named = (name: string): string | undefined => pairs.find(([key]) => key?.trim() === name)?.[1]?.trim();
  const value = named('deployment.environment.name') ?? named('deployment.environment');
  return value === undefined || value === '' ? undefined : value;
}
