import { networkInterfaces } from 'node:os';
import type { CollectorOptions, Log } from './collector.ts';
import { importAccounts } from './collector-baseline.ts';
import { listenerTls, pemFiles, seedFile } from './collector-files.ts';
import type { House } from './collector-house.ts';
import { dataFile, dataOf } from './collector-library.ts';
import type { Shown } from './collector-shown.ts';
import { baselineKeyOf, type CompiledStages, type StageData } from './collector-stages.ts';
import type { StateDir } from './collector-state.ts';
import type { Config } from './config/schema.ts';
import type { Authority } from './connection/authority.ts';
import type { Exceptions } from './connection/exceptions.ts';
import { createListener, type Listener } from './connection/listener.ts';
import { type Accounts, createAccounts } from './inspect/account.ts';
import { createBaseline } from './inspect/baseline.ts';
import type { Baseline } from './inspect/baseline-contract.ts';
import { type Categories, compileCategories } from './inspect/categories.ts';
import { createAgentKeys } from './inspect/identity.ts';
import { compileTenants, type TenantOf } from './inspect/tenant.ts';
import { compileCidrs, LOCAL_NETWORKS } from './model/cidr.ts';
import type { Exchange } from './model/exchange.ts';
import type { NotifyData } from './model/notify.ts';
import type { RelayLimits, Upstream } from './model/ports.ts';
import { ulid } from './model/ulid.ts';
import type { LiveCorridor } from './pipeline/contract.ts';
import { relayHttp1 } from './protocol/http1.ts';
import { relayHttp2 } from './protocol/http2.ts';
import { splice } from './protocol/splice.ts';
import type { createRecorderClient } from './record/client.ts';
import { bypass, inheritedProxy, LOOPBACK } from './upstream/parent.ts';
import { createUpstream } from './upstream/upstream.ts';

/** Decisions wait for the stored baseline at most this long after the start; then they go on without it and say so. */
const BASELINE_WAIT_MS = 2_000;

/** The data files, read and compiled when first asked: a start that listens sooner serves sooner. */
export function stageData(): StageData {
  let categories: Categories | undefined;
  let tenants: TenantOf | undefined;
  const compiled = (): Categories => {
    categories ??= compileCategories(dataOf('destinations'));
    return categories;
  };
  return {
    categories: {
      get names() {
        return compiled().names;
      },
      of: (host) => compiled().of(host),
      risky: (host) => compiled().risky(host),
    },
    tenantOf(host, method, target) {
      tenants ??= compileTenants(dataOf('tenants'));
      return tenants(host, method, target);
    },
  };
}

export function recorderOptions(
  options: CollectorOptions,
  state: StateDir,
): Parameters<typeof createRecorderClient>[0] {
  const { config, version, env, log } = options;
  return {
    stateDir: state.path,
    key: state.key,
    version,
    env,
    patterns: dataFile('redaction.json'),
    telemetry: {
      endpoint: config.telemetry.endpoint,
      url: config.telemetry.url,
      sampleUnremarkable: config.telemetry.sample.unremarkable,
      journalMaxBytes: config.telemetry.journal.max_bytes,
      proxy: config.telemetry.proxy,
      genai: config.telemetry.genai,
      dialects: config.telemetry.dialects,
    },
    store: {
      path: config.store.path,
      retentionDays: config.store.retention_days,
      flushMs: config.store.flush_ms,
      maxBytes: config.store.max_bytes,
      minFreeBytes: config.store.min_free_bytes,
    },
    ...(config.notify.length === 0 ? {} : { notify: notifyOf(config, options.env) }),
    log: (level, event, fields) => log[level](fields, event),
  };
}

function notifyOf(config: Config, env: CollectorOptions['env']): NotifyData {
  const { notify, listen } = config;
  return {
    targets: notify.map(({ url, secret, on }) => ({
      url,
      on,
      proxy: ownProxy(config, env, url),
      ...(secret === undefined ? {} : { secret }),
    })),
    ownPorts: listen.map(({ port }) => port),
  };
}

export function baselineOf(
  config: Config,
  data: StageData,
  shown: Shown,
  modeOf: Parameters<typeof baselineKeyOf>[1],
): Baseline {
  const { baseline, limits } = config;
  const asOne = baselineKeyOf(config, modeOf);
  const keys = createAgentKeys(config.agents.keys(), config.agent);
  return createBaseline({
    readyAfterRequests: baseline.ready_after_requests,
    readyAfterHours: baseline.ready_after_hours,
    learningMaxDays: baseline.learning_max_days,
    onUnknown: baseline.on_unknown,
    destinationsPerAgent: limits.destinations_per_agent,
    asOne,
    shown: shown.host,
    clock: Date.now,
    riskyCategory: (host) => data.categories.risky(host)?.name,
    isConfigured: keys.known,
  });
}

export function accountsOf(config: Config, baseline: Baseline, shown: Shown): Accounts {
  return createAccounts({
    asOne: (agent) => baseline.keyOf(agent),
    onUnknown: config.baseline.on_unknown,
    placesPerAgent: config.limits.destinations_per_agent,
    shown: shown.host,
  });
}

/** What a stored baseline and a seed go into. */
type Seeded = Pick<House, 'recorder' | 'baseline' | 'accounts' | 'tokens' | 'state'>;

/** Settles when the stored baseline (and the seed) is in memory, or after two seconds: traffic never waits for a database. */
export function baselineReady(house: Seeded, config: Config, log: Log, loaded: () => void): Promise<void> {
  const { recorder, baseline, accounts } = house;
  const loading = recorder.ready.then((ready) => {
    baseline.load(ready.baseline);
    accounts.load(ready.baseline.accounts ?? []);
    house.tokens.load(ready.baseline.tokens ?? []);
    if (config.baseline.seed !== undefined) seed(house, config.baseline.seed, log);
    loaded();
  });
  const giveUp = new Promise<void>((resolve) => {
    setTimeout(() => resolve(), BASELINE_WAIT_MS).unref();
  });
  loading.catch((error: unknown) => log.error({ error: String(error) }, 'baseline-not-loaded'));
  return Promise.race([loading.catch(() => undefined), giveUp]);
}

/** In memory and through the journal into the store, so that `show`, `export` and the next start agree. */
function seed(house: Seeded, file: string, log: Log): void {
  try {
    const taken = house.baseline.seed(seedFile(file));
    if (taken === undefined) return;
    const { agent, destinations } = taken;
    const accounts = importAccounts(house, agent, taken.accounts, taken.accountsKey);
    const edit = { kind: 'baseline-edit', id: ulid(), at: Date.now(), verb: 'import', agent, destinations } as const;
    house.recorder.post(accounts.length === 0 ? edit : { ...edit, accounts });
    log.info({ file, agent, destinations: destinations.length, accounts: accounts.length }, 'baseline-seeded');
  } catch (error) {
    log.error({ file, error: String(error) }, 'baseline-seed-unusable');
  }
}

/** `env` is whose proxy variables are inherited; `roots` (PEM) are trusted beside those of the configuration. */
/** The parent proxy our own calls take to this address, as agents' requests do; what is on this machine is called directly. */
export function ownProxy(config: Config, env: NodeJS.ProcessEnv, address: string): string | undefined {
  const { proxy } = config.upstream;
  if (proxy === 'none') return undefined;
  const inherited = inheritedProxy(env);
  const url = proxy === 'inherit' ? inherited.proxy?.url : proxy;
  const { hostname, port, protocol } = new URL(address);
  const to = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (protocol === 'https:' ? 443 : 80)) };
  const direct = bypass(proxy === 'inherit' ? inherited.noProxy : LOOPBACK);
  return direct({ scheme: 'tcp', ...to }) ? undefined : url;
}

export function upstreamOf(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  roots?: string,
): Upstream {
  const { proxy, resolve, ca_file } = config.upstream;
  const inherited = proxy === 'inherit' ? inheritedProxy(env) : { noProxy: [] };
  return createUpstream({
    resolve: Object.fromEntries(resolve),
    proxy: proxy === 'inherit' ? inherited.proxy : proxy === 'none' ? undefined : { url: proxy },
    noProxy: inherited.noProxy,
    ca: [...pemFiles(ca_file), ...(roots === undefined ? [] : [roots])],
    connectMs: config.limits.connect_ms,
  });
}

export function listenerOf(
  config: Config,
  corridor: LiveCorridor,
  authority: Authority,
  exceptions: Exceptions,
  stages: () => CompiledStages,
  log: Log,
): Listener {
  const { limits } = config;
  const relayLimits: RelayLimits = {
    headBytes: limits.head_bytes,
    headers: limits.headers,
    headMs: limits.head_ms,
    keepaliveMs: limits.keepalive_s * 1000,
    tunnelIdleMs: limits.tunnel_idle_s * 1000,
    streamsPerConnection: limits.streams_per_connection,
    heldBytes: limits.held_bytes,
  };
  const enforced = ({ identity, destination, connection }: Exchange): boolean =>
    stages().modeFor(identity.agent, destination, connection.run?.mode) === 'enforce';
  return createListener({
    listen: config.listen.map(listenAddress),
    limits: {
      connections: limits.connections,
      connectionsPerAgent: limits.connections_per_agent,
      headMs: limits.head_ms,
      clientHelloMs: limits.client_hello_ms,
      headBytes: limits.head_bytes,
      headers: limits.headers,
    },
    corridor,
    relays: { http1: relayHttp1, http2: relayHttp2, splice },
    relayLimits,
    interception: {
      wants: (connect) => stages().readsTls(connect),
      authority,
      exceptions,
      onUnverifiable: (connect) => (enforced(connect) && config.tls.on_unverifiable === 'block' ? 'block' : 'splice'),
      // In enforce what a client will not have read is refused, not waved through (product.md §3.5).
      exceptionsApply: (connect) => !enforced(connect),
    },
    ...(config.allow_from.length === 0 ? {} : { allowFrom: allowed(config.allow_from) }),
    log: (event, fields) => log.debug(fields, event),
    localAddresses: () => [...localAddresses()],
  });
}

function listenAddress(entry: Config['listen'][number]): Parameters<typeof createListener>[0]['listen'][number] {
  const tls = listenerTls(entry);
  return {
    address: entry.host,
    port: entry.port,
    ...(entry.agent === undefined ? {} : { agent: entry.agent }),
    ...(tls === undefined ? {} : { tls }),
  };
}

/** Loopback may always use Weir; others as `allow_from` says. */
function allowed(entries: readonly string[]): (address: string) => boolean {
  const ranges = compileCidrs(entries.flatMap((entry) => (entry === 'local-networks' ? LOCAL_NETWORKS : [entry])));
  const loopback = compileCidrs(['127.0.0.0/8', '::1/128']);
  return (address) => loopback(address) || ranges(address);
}

/** Every address of this machine. */
export function* localAddresses(): Generator<string> {
  for (const list of Object.values(networkInterfaces())) for (const { address } of list ?? []) yield address;
}
