import { Duplex } from 'node:stream';
import { scanBudgetOf } from '../../src/collector-content.ts';
import { dataFile } from '../../src/collector-library.ts';
import { accountsOf, baselineOf, stageData } from '../../src/collector-parts.ts';
import type { Policies } from '../../src/collector-policies.ts';
import { type PolicyStage, policyInspectors } from '../../src/collector-policy-inspector.ts';
import { readingStage } from '../../src/collector-reading.ts';
import { createScanning, type Scanning, scanOptions } from '../../src/collector-scan.ts';
import { createShown } from '../../src/collector-shown.ts';
import { type CompiledStages, compileStages } from '../../src/collector-stages.ts';
import { defaultConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import type { Accounts } from '../../src/inspect/account.ts';
import type { Baseline } from '../../src/inspect/baseline-contract.ts';
import { createTokens } from '../../src/inspect/tokens.ts';
import type { TlsFacts } from '../../src/model/connection.ts';
import type { Exchange } from '../../src/model/exchange.ts';
import type { Upstream } from '../../src/model/ports.ts';
import type { EventRecord, ExchangeRecord, WeirRecord } from '../../src/model/record.ts';
import { ulid } from '../../src/model/ulid.ts';
import type { LiveCorridor } from '../../src/pipeline/contract.ts';
import { createCorridor } from '../../src/pipeline/corridor.ts';
import type { LiveConnection } from '../../src/pipeline/live.ts';
import type { PolicySet } from '../../src/policy/policy.ts';
import { createThrottle } from '../../src/policy/throttle.ts';
import { loadPatterns } from '../../src/record/patterns.ts';
import { createPresentation } from '../../src/record/presentable.ts';

/** One request of an agent. */
export interface Sent {
  readonly agent: string;
  readonly url: string;
  readonly method?: string;
  /** Flat list of names and values. */
  readonly fields?: readonly string[];
  readonly body?: Buffer;
  /** Bytes out where no body is given. */
  readonly requestBytes?: number;
  readonly responseBytes?: number;
  readonly status?: number;
  readonly protocol?: '1.1' | '2';
  /** `https:` only: the tunnel stays closed. */
  readonly closed?: boolean;
  readonly tls?: Partial<TlsFacts>;
  /** What flows in a closed tunnel. */
  readonly tunnelled?: string;
  /** Address the agent connects from. */
  readonly from?: string;
  /** In a `weir run` that reads TLS, or does not. */
  readonly run?: boolean;
}

/** Weir from open to record with the real stages, without sockets: the clock is the test's, upstreams answer by themselves. */
export interface SimulatedHouse {
  config: Config;
  readonly baseline: Baseline;
  readonly accounts: Accounts;
  readonly corridor: LiveCorridor;
  readonly stages: CompiledStages;
  /** Epoch ms. */
  now: number;
  /** Other rules from here on; what was learned stays. */
  use(config: Config, policies?: PolicySet): void;
  /** The record of the exchange, or of the tunnel where it stays closed. */
  send(sent: Sent): ExchangeRecord;
  /** The same, and the record of the CONNECT that shares its id; `all` is everything that was recorded of it, the last first. */
  sendBoth(sent: Sent): {
    readonly record: ExchangeRecord;
    readonly connect: ExchangeRecord | undefined;
    readonly all: readonly ExchangeRecord[];
  };
  /** What agents themselves are told of: digests, silence. */
  due(): readonly EventRecord[];
  /** As it is stored. */
  presentable<T extends WeirRecord>(record: T): T;
  close(): void;
}

const ADDRESS = '93.184.216.34';
/** What a house keeps its hashes with; that of a state directory makes its records belong there. */
export interface HouseKey {
  readonly key: Buffer;
  hash(text: string): string;
}

const quickHash = (text: string): string => {
  // FNV-1a: as good as a keyed hash where nobody attacks.
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return (value >>> 0).toString(16).padStart(16, '0');
};

const KEY: HouseKey = { key: Buffer.alloc(32, 7), hash: quickHash };
let scanning: Scanning | undefined;

/** Makes a house; `Date.now` is its clock until it is closed. */
export function simulatedHouse(
  input: Parameters<typeof defaultConfig>[0] = {},
  at: number = Date.UTC(2026, 0, 5),
  { key, hash }: HouseKey = KEY,
): SimulatedHouse {
  const real = Date.now;
  let now = at;
  Date.now = () => now;
  const config = defaultConfig({ state_dir: '/nonexistent', ...input });
  scanning ??= createScanning(scanOptions(config, quickHash, {}));
  const scan = scanning;
  const presentation = createPresentation({
    patterns: loadPatterns(dataFile('redaction.json')),
    key,
    url: config.telemetry.url,
  });
  const shown = createShown(key);
  const data = stageData();
  let stages: CompiledStages;
  const baseline = baselineOf(config, data, shown, (agent) => stages.modeFor(agent, { host: '', port: 0 }));
  const accounts = accountsOf(config, baseline, shown);
  const compile = (next: Config, policies?: PolicySet): CompiledStages =>
    compileStages({
      config: next,
      data,
      baseline,
      accounts,
      upstream: UPSTREAM,
      scan,
      scanBudget: scanBudgetOf(next),
      reading: readingStage({
        config: next,
        hash,
        tokens: createTokens(),
        said: () => undefined,
        failed: () => undefined,
      }),
      ...(policies === undefined ? {} : { policies: asked(policies, next) }),
      overrides: { agents: new Map(), stopped: new Set(), everyoneStopped: false },
      isSelf: () => false,
      containment: () => 'cooperative',
      hash,
      shown,
    });
  stages = compile(config);
  const records: WeirRecord[] = [];
  const corridor = createCorridor({
    stages: () => stages,
    post: (record) => void records.push(record),
    ready: Promise.resolve(),
    connectionsPerAgent: () => 1_000_000,
    spansPerTraceHour: 1_000_000,
    log: () => undefined,
  });
  return {
    config,
    baseline,
    accounts,
    corridor,
    get stages() {
      return stages;
    },
    get now() {
      return now;
    },
    set now(at: number) {
      now = at;
    },
    use(next, policies) {
      this.config = next;
      stages = compile(next, policies);
    },
    send(sent) {
      return this.sendBoth(sent).record;
    },
    sendBoth(sent) {
      records.length = 0;
      const { id, kind } = pass(corridor, stages, sent);
      const all = records.filter((record): record is ExchangeRecord => 'outcome' in record).reverse();
      const record = all.find((one) => one.id === id && one.kind === kind);
      if (record === undefined) throw new Error(`no record of ${sent.url}`);
      const connect = kind === 'tunnel' ? all.find((one) => one.kind === 'connect') : undefined;
      return { record, connect, all };
    },
    due: () =>
      baseline.due().map(({ agent, finding }) => ({ kind: 'finding', id: ulid(now), at: now, agent, finding })),
    presentable: (record) => presentation.record(record) as typeof record,
    close() {
      Date.now = real;
    },
  };
}

const UPSTREAM: Upstream = {
  resolve: async () => ({ addresses: [ADDRESS], delegated: false, byOperator: false, dnsMs: 1 }),
  dial: async () => ({
    socket: new Duplex(),
    peer: { address: ADDRESS, port: 1 },
    timings: {},
    delegated: false,
  }),
  secure: async (link) => ({ link }),
};

/** Policies as the collector asks them, without files, counts and doors. */
function asked(set: PolicySet, config: Config): Policies {
  const nothing = () => undefined;
  const throttle = createThrottle();
  const policies: Pick<Policies, 'inspectors'> = {
    inspectors: (readsTls: PolicyStage['readsTls']) =>
      policyInspectors({
        set,
        onAbsent: config.policies.on_absent,
        throttleStatus: config.policies.throttle_status,
        tally: { matched: nothing, shadowMatched: nothing, failed: nothing, notApplicable: nothing },
        throttled: (policy, agent) => throttle.take(policy, agent, Date.now()),
        approved: () => false,
        asked: nothing,
        more: (exchange) => moreOf(exchange),
        readsTls,
      }),
  };
  return policies as Policies;
}

function moreOf(exchange: Exchange): ReadonlyMap<string, string> {
  const { baselineState, tenant, credentialFp } = exchange as Exchange & {
    baselineState?: string;
    tenant?: string;
    credentialFp?: string;
  };
  const more: [string, string | undefined][] = [
    ['weir.baseline.state', baselineState],
    ['weir.destination.tenant', tenant],
    ['weir.credential.fingerprint', credentialFp],
    ['deployment.environment', 'test'],
  ];
  return new Map(more.filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function pass(corridor: LiveCorridor, stages: CompiledStages, sent: Sent): Exchange {
  const { protocol, host, target } = parts(sent.url);
  const by = ['X-Weir-Agent', sent.agent];
  const via = protocol === 'http' ? 'absolute-form' : 'connect';
  const { run } = sent;
  const connection = corridor.connection({
    client: { address: sent.from ?? '127.0.0.1', port: 5 },
    via,
    ...(run === undefined ? {} : { run: { id: ulid(), readsTls: () => run, upstream: () => undefined } }),
  }) as LiveConnection;
  if (protocol === 'https') {
    const stopped = connect(corridor, stages, connection, sent, host, by);
    if (stopped !== undefined) return stopped;
  }
  const method = sent.method ?? 'GET';
  const exchange = corridor.open(
    connection,
    {
      method,
      scheme: protocol,
      authority: host,
      hostField: host,
      target,
      protocol: sent.protocol ?? '1.1',
      fields: [...(protocol === 'http' ? by : []), ...(sent.fields ?? [])],
    },
    'exchange',
  );
  if (corridor.check(exchange).forward) answer(corridor, exchange, sent);
  else corridor.close(exchange, { outcome: 'blocked' });
  return exchange;
}

/** The CONNECT; what it ended with, where nothing inside is read. */
function connect(
  corridor: LiveCorridor,
  stages: CompiledStages,
  connection: LiveConnection,
  sent: Sent,
  host: string,
  by: readonly string[],
): Exchange | undefined {
  const authority = /:\d+$/.test(host) ? host : `${host}:443`;
  const opened = corridor.open(
    connection,
    { method: 'CONNECT', scheme: 'tcp', authority, target: '', protocol: '1.1', fields: by },
    'connect',
  );
  if (!corridor.check(opened).forward) {
    corridor.close(opened, { outcome: 'blocked' });
    return opened;
  }
  const name = opened.destination.host;
  const plain = sent.tunnelled !== undefined && sent.tunnelled !== 'tls';
  if (!plain)
    connection.tls = { sni: name, alpn: ['h2', 'http/1.1'], ja4: 't13d', version: '1.3', ech: false, ...sent.tls };
  const closed = plain || sent.closed === true || !stages.readsTls(opened);
  const protocol = plain ? (sent.tunnelled as string) : 'tls';
  if (plain) connection.tunnelProtocol = protocol;
  if (!corridor.checkTls(opened, connection.tls, plain ? protocol : 'tls').forward) {
    corridor.close(opened, { outcome: 'blocked' });
    return opened;
  }
  if (!closed) {
    corridor.close(opened, { outcome: 'forwarded' });
    connection.visibility = 'intercepted';
    return undefined;
  }
  const tunnel = corridor.openTunnel(opened);
  corridor.close(opened, { outcome: 'forwarded' });
  tunnel.peer = { address: ADDRESS, port: 443 };
  tunnel.requestBytes = sent.requestBytes ?? sent.body?.length ?? 700;
  tunnel.responseBytes = sent.responseBytes ?? 4000;
  corridor.close(tunnel, { outcome: 'forwarded' });
  return tunnel;
}

/** The upstream takes the body and answers. */
function answer(corridor: LiveCorridor, exchange: Exchange, sent: Sent): void {
  const { body } = sent;
  exchange.peer = { address: ADDRESS, port: exchange.destination.port };
  exchange.sentMono = performance.now();
  if (body !== undefined && !upload(corridor, exchange, body)) {
    corridor.close(exchange, { outcome: 'blocked' });
    return;
  }
  exchange.requestBytes = sent.requestBytes ?? body?.length ?? 0;
  exchange.responseBytes = sent.responseBytes ?? 500;
  exchange.status = sent.status ?? 200;
  exchange.responseFields = ['Content-Type', 'application/json'];
  corridor.close(exchange, { outcome: 'forwarded' });
}

/** False when it was stopped. */
function upload(corridor: LiveCorridor, exchange: Exchange, body: Buffer): boolean {
  let stopped = false;
  const sink = {
    data: () => undefined,
    end: () => undefined,
    drained: () => undefined,
    stop: () => {
      stopped = true;
    },
  };
  const filter = corridor.filter(exchange, 'request', body.length, sink);
  if (filter !== undefined) {
    filter.write(body);
    filter.end();
    return !stopped;
  }
  const tap = corridor.content(exchange, 'request');
  tap?.push(body);
  tap?.end();
  return true;
}

/** Split by hand: a parser would put odd targets right. */
function parts(url: string): { readonly protocol: 'http' | 'https'; readonly host: string; readonly target: string } {
  const [, protocol = '', host = '', target = ''] = /^(https?):\/\/([^/?#]*)(.*)$/s.exec(url) ?? [];
  if (protocol !== 'http' && protocol !== 'https') throw new Error(`not a URL: ${url}`);
  return { protocol, host, target: target === '' ? '/' : target };
}
