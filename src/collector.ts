import { type AdminServer, createAdminServer } from './admin/server.ts';
import { createAdminHandlers } from './collector-admin.ts';
import { hasBudgets } from './collector-budgets.ts';
import { seedFile } from './collector-files.ts';
import { House } from './collector-house.ts';
import { firstLines, listeningLine } from './collector-lines.ts';
import { localAddresses, ownProxy } from './collector-parts.ts';
import { Policies } from './collector-policies.ts';
import { keepApprovals, policyHost } from './collector-policy-host.ts';
import { openStateDir } from './collector-state.ts';
import type { Config } from './config/schema.ts';
import { createCa } from './connection/certificate.ts';
import { createIsSelf } from './inspect/self.ts';

export { configurationProblems, explainConfigured, policyFileProblems, tlsReader } from './collector-check.ts';
export { actionsIn } from './collector-explain.ts';
export { forgetStoredRefusals, rotateStoredAuthority } from './collector-files.ts';
export { type PatternFact, patternFacts, type Tried, tryPatterns } from './collector-patterns.ts';
export { purgeStored } from './collector-purge.ts';
export {
  createReplay,
  type Replay,
  type Replayed,
  type ReplayRules,
  type StoredExchange,
  type StoredFinding,
} from './collector-replay.ts';
export { configuredPolicies } from './collector-replay-policies.ts';
export { sharedHosts } from './collector-shared.ts';
export { constrainedCa } from './connection/constrained.ts';

/** How often what is open and known is told to whoever exports gauges, and what is spent is written down. */
const GAUGES_MS = 5_000;
const SWEEP_MS = 1_000;
const DIGEST_MS = 60_000;
/** `/readyz` tells what the recorder said at most this long ago. */
const PROBLEMS_MS = 1_000;
/** A dead Collector must not hold the process: what is not exported by then stays in the journal (product.md §5). */
const SHUTDOWN_MS = 2_500;

/** A log in the shape of pino's, fields first. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface CollectorOptions {
  readonly config: Config;
  readonly configSource: { readonly file?: string; reload(): Promise<Config> };
  readonly version: string;
  readonly log: Log;
  readonly env: NodeJS.ProcessEnv;
  /** The collector behind `weir run`: listens on the ports of its runs only, and leaves when there are none. */
  readonly background?: Background;
}

/** What `weir run`'s background collector is given. */
export interface Background {
  /** The CA of the process before this one, from memory to memory. */
  readonly ca: { readonly certPem: string; readonly keyPem: string };
  /** Idle this long after the last run (ms), it asks to be stopped. */
  readonly lingerMs: number;
  readonly idle: () => void;
}

export interface Collector {
  start(): Promise<void>;
  /** Addresses and mode, as soon as `start` has resolved. */
  listeningLine(): string;
  /** The rest of what `weir start` says once (product.md §9), when the recorder knows where spans and rows go. */
  firstLines(): Promise<readonly string[]>;
  stop(reason: string): Promise<void>;
  /** A whole new configuration, or a rejection with the reason and the old one stays. */
  reload(actor?: string): Promise<string>;
}

/**
 * Opens the state directory, takes its socket (a second collector ends here), and wires every room; no agent is accepted
 * before `start`. Rejects with an Error whose message is for people.
 */
export async function createCollector(options: CollectorOptions): Promise<Collector> {
  const { config } = options;
  // It is taken in when the stored baseline is there; what is wrong with it is said while somebody looks.
  if (config.baseline.seed !== undefined) seedFile(config.baseline.seed);
  const { env, log } = options;
  let house: House | undefined;
  const proxyOf = (url: string): string | undefined => ownProxy(house?.config ?? config, env, url);
  const policies = new Policies({ settings: config.policies, stateDir: config.state_dir, env, proxyOf, log });
  policies.use(await policies.stage(config.policies));
  const state = openStateDir(config.state_dir, (message) => options.log.warn({}, message));
  const admin = createAdminServer({
    stateDir: state.path,
    handlers: createAdminHandlers(
      () => house,
      () => admin,
    ),
    admin: config.admin.listen,
    health: config.health.listen,
  });
  await admin.start();
  try {
    house = new House(options, state, policies);
  } catch (error) {
    await admin.stop();
    throw error;
  }
  return lifecycle(house, admin);
}

function lifecycle(house: House, admin: AdminServer): Collector {
  const { listener, recorder, corridor, options } = house;
  const timers: NodeJS.Timeout[] = [];
  return {
    async start() {
      try {
        const bound = await listener.start();
        const own = [admin.adminAddress(), admin.healthAddress()].flatMap((text) =>
          text === undefined ? [] : [socketOf(text)],
        );
        const fixed = createIsSelf([...bound, ...own], localAddresses);
        // Runs open and close ports of their own.
        house.isSelf = (address, port) => fixed(address, port) || listener.isSelf(address, port);
        keepApprovals(house);
        house.policies.run(policyHost(house));
      } catch (error) {
        await recorder.shutdown(500);
        await admin.stop();
        throw error;
      }
      timers.push(
        setInterval(() => {
          corridor.sweep();
          // A stream that outgrows its budget ends within a second.
          if (hasBudgets(house.config)) corridor.rejudge();
        }, SWEEP_MS),
        setInterval(() => {
          house.tellGauges();
          house.limits.save();
        }, GAUGES_MS),
        setInterval(() => house.postDigests(false), DIGEST_MS),
        setInterval(() => void house.askRecorder(), PROBLEMS_MS),
      );
      for (const timer of timers) timer.unref();
      leaveWhenIdle(house);
      setImmediate(() => house.warm());
    },
    listeningLine: () => listeningLine(house),
    firstLines: () => firstLines(house),
    reload: (actor = 'SIGHUP') => house.reload(actor),
    async stop(reason) {
      options.log.info({ reason }, 'stopping');
      for (const timer of timers) clearInterval(timer);
      const told = house.policies.stop();
      corridor.drain();
      await listener.drain(house.config.limits.drain_s * 1000);
      await Promise.all([corridor.settled(), told]);
      house.limits.save();
      house.postDigests(true);
      await house.exceptions.flush();
      await recorder.shutdown(SHUTDOWN_MS);
      await admin.stop();
    },
  };
}

/** The background collector ends some time after its last run; one that nobody came to ends too. */
function leaveWhenIdle(house: House): void {
  const { background } = house.options;
  if (background === undefined) return;
  let timer: NodeJS.Timeout | undefined;
  house.runsChanged = () => {
    clearTimeout(timer);
    if (house.runs.count() === 0) timer = setTimeout(background.idle, background.lingerMs);
  };
  house.runsChanged();
}

/** A certificate authority that is in no file; for `Background.ca`. */
export function newAuthority(): Background['ca'] {
  return createCa({ now: Date.now() });
}

function socketOf(text: string): { address: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { address: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}
