import { type AccountStat, accountUses } from '../model/account.ts';
import { pathShape } from '../model/path-shape.ts';
import type { BaselineEdit, ExchangeRecord, WeirRecord } from '../model/record.ts';

/** How many distinct methods, and shapes of paths, one destination remembers: names come from the network. */
export const METHODS_KEPT = 32;
export const SHAPES_KEPT = 32;
const HOUR_MS = 3_600_000;

/** What a run of records adds to one row of `destinations`. Times epoch ms. */
export interface DestinationDelta {
  readonly agent: string;
  readonly host: string;
  readonly port: number;
  firstSeen: number;
  lastSeen: number;
  count: number;
  requestBytes: number;
  responseBytes: number;
  readonly methods: Set<string>;
  readonly pathShapes: Set<string>;
  /** Bit n: hour n of the day (UTC). */
  hours: number;
}

/** What a run of records adds to one row of `agents`. `lastNewAt` is NaN when nothing was new. */
export interface AgentDelta {
  readonly agent: string;
  firstSeen: number;
  lastSeen: number;
  requests: number;
  lastNewAt: number;
}

/** What a run of records adds to one row of `accounts`. */
export type AccountDelta = { -readonly [K in keyof AccountStat]: AccountStat[K] };

/** The baseline's share of a batch in journal order: traffic is summed up between two edits. */
export type Step =
  | {
      readonly kind: 'traffic';
      readonly destinations: DestinationDelta[];
      readonly agents: AgentDelta[];
      readonly accounts: AccountDelta[];
    }
  | { readonly kind: 'edit'; readonly edit: BaselineEdit };

/** Names are keys as they came and as UTF-8 makes them, so that most records find theirs without more ado. */
interface Sums {
  readonly agents: Map<string, AgentSum>;
  readonly step: {
    readonly destinations: DestinationDelta[];
    readonly agents: AgentDelta[];
    readonly accounts: AccountDelta[];
  };
}

interface AgentSum {
  readonly delta: AgentDelta;
  /** By host and port. */
  readonly hosts: Map<string, Map<number, DestinationDelta>>;
  /** By `placeKey` and value. */
  readonly accounts: Map<string, Map<string, AccountDelta>>;
}

function noSums(): Sums {
  return { agents: new Map(), step: { destinations: [], agents: [], accounts: [] } };
}

/** Cuts a batch into baseline steps. Pure; names are keys of Maps only. */
export function baselineSteps(batch: readonly WeirRecord[]): Step[] {
  const steps: Step[] = [];
  let sums = noSums();
  const flush = (): void => {
    if (sums.agents.size === 0) return;
    steps.push({ kind: 'traffic', ...sums.step });
    sums = noSums();
  };
  for (const record of batch) {
    if (record.kind === 'baseline-edit') {
      flush();
      steps.push({ kind: 'edit', edit: record });
    } else if (teaches(record)) {
      learn(sums, record);
    }
  }
  flush();
  return steps;
}

/** Open rows teach nothing yet: their closing record does, with the final counts. */
function teaches(record: WeirRecord): record is ExchangeRecord {
  return (
    (record.kind === 'exchange' || record.kind === 'connect' || record.kind === 'tunnel') &&
    record.teaches &&
    record.state === 'closed'
  );
}

/** Whether a key can stand in the table: one that cannot must not hold up the journal. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 65_535;
}

function learn(sums: Sums, r: ExchangeRecord): void {
  if (!isPort(r.port)) return;
  const sum = agentSum(sums, r);
  const agent = sum.delta;
  agent.firstSeen = Math.min(agent.firstSeen, r.startedAt);
  agent.lastSeen = Math.max(agent.lastSeen, r.startedAt);
  agent.requests++;
  if (r.firstSeen)
    agent.lastNewAt = Number.isNaN(agent.lastNewAt) ? r.startedAt : Math.max(agent.lastNewAt, r.startedAt);
  const known = destinationSum(sums, sum, r);
  known.firstSeen = Math.min(known.firstSeen, r.startedAt);
  known.lastSeen = Math.max(known.lastSeen, r.startedAt);
  known.count++;
  known.requestBytes += r.requestBytes;
  known.responseBytes += r.responseBytes;
  known.methods.add(r.method);
  known.hours |= 1 << (Math.floor(r.startedAt / HOUR_MS) % 24);
  if (r.kind === 'exchange' && known.pathShapes.size < SHAPES_KEPT) learnShape(known, r.target);
  if ((r.credentialFp !== undefined || r.tenant !== undefined) && r.baselineState !== 'locked') {
    learnAccounts(sums, sum, r);
  }
}

function learnShape({ pathShapes }: DestinationDelta, target: string): void {
  const shape = pathShape(target).toWellFormed();
  if (shape !== '') pathShapes.add(shape);
}

/** A POST that reads; told by its type too, because `telemetry.url: host` keeps no path (gitprotocol-http "Smart Service git-upload-pack"). */
const GIT_FETCH = { type: 'application/x-git-upload-pack-request', target: '/git-upload-pack' } as const;

function learnAccounts(sums: Sums, { delta: { agent }, accounts }: AgentSum, r: ExchangeRecord): void {
  const { host, method, tenant, credentialFp } = r;
  const target = r.contentType === GIT_FETCH.type ? GIT_FETCH.target : r.target;
  for (const use of accountUses({ host, method, target, tenant, credentialFp })) {
    const place = use.place.toWellFormed();
    const value = use.value.toWellFormed();
    const key = placeKey(use.kind, place);
    let values = accounts.get(key);
    if (values === undefined) {
      values = new Map();
      accounts.set(key, values);
    }
    let known = values.get(value);
    if (known === undefined) {
      known = { agent, place, kind: use.kind, value, firstSeen: r.startedAt, lastSeen: r.startedAt, count: 0 };
      values.set(value, known);
      sums.step.accounts.push(known);
    }
    known.firstSeen = Math.min(known.firstSeen, r.startedAt);
    known.lastSeen = Math.max(known.lastSeen, r.startedAt);
    known.count++;
  }
}

/** One name for a place of one kind: the kind is one of ours. */
export function placeKey(kind: AccountStat['kind'], place: string): string {
  return `${kind} ${place}`;
}

/** DuckDB stores UTF-8: names that differ only in broken UTF-16 are one key there, so they must be one here. */
function agentSum(sums: Sums, r: ExchangeRecord): AgentSum {
  const name = r.baselineAgent ?? r.agent;
  const known = sums.agents.get(name);
  if (known !== undefined) return known;
  const agent = name.toWellFormed();
  let sum = sums.agents.get(agent);
  if (sum === undefined) {
    const seen = { firstSeen: r.startedAt, lastSeen: r.startedAt };
    sum = { delta: { agent, ...seen, requests: 0, lastNewAt: Number.NaN }, hosts: new Map(), accounts: new Map() };
    sums.agents.set(agent, sum);
    sums.step.agents.push(sum.delta);
  }
  sums.agents.set(name, sum);
  return sum;
}

function destinationSum(sums: Sums, { delta, hosts }: AgentSum, r: ExchangeRecord): DestinationDelta {
  let ports = hosts.get(r.host);
  const known = ports?.get(r.port);
  if (known !== undefined) return known;
  const host = r.host.toWellFormed();
  ports ??= hosts.get(host) ?? new Map();
  hosts.set(host, ports);
  hosts.set(r.host, ports);
  const twin = ports.get(r.port);
  if (twin !== undefined) return twin;
  const seen = { firstSeen: r.startedAt, lastSeen: r.startedAt };
  const none = {
    count: 0,
    requestBytes: 0,
    responseBytes: 0,
    methods: new Set<string>(),
    pathShapes: new Set<string>(),
    hours: 0,
  };
  const fresh: DestinationDelta = { agent: delta.agent, host, port: r.port, ...seen, ...none };
  ports.set(r.port, fresh);
  sums.step.destinations.push(fresh);
  return fresh;
}
