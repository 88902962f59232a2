import type { AccountStat } from '../model/account.ts';
import { hostPort } from '../model/destination.ts';
import { normaliseHost } from '../model/host.ts';
import type { AgentStat, BaselineEdit, BaselineState, DestinationStat } from '../model/record.ts';
import { type AgentIndex, add, entries, find, merge, remove, settle } from './baseline-index.ts';
import { isOverdue, isSettled, type Readiness } from './baseline-state.ts';
import { HOUR } from './baseline-words.ts';

/**
 * A person's word on a baseline. `destinations` empty = the whole agent: everything seen and not yet known for `accept` and
 * `ignore`. Port 0 = every port of the host.
 */
export function editAgent(
  index: AgentIndex,
  verb: BaselineEdit['verb'],
  named: readonly DestinationStat[],
  now: number,
): void {
  const destinations = named.flatMap(normalised);
  // Only a list that was empty means everything, not one whose names were all wrong.
  if (named.length > 0 && destinations.length === 0) return;
  if (verb === 'lock' || verb === 'unlock') {
    index.locked = verb === 'lock';
    index.state = index.locked ? 'locked' : 'ready';
    return;
  }
  if (verb === 'import') {
    const fresh = index.known === 0;
    for (const stat of destinations) take(index, stat);
    adopt(index, fresh);
    return;
  }
  if (verb === 'forget') {
    for (const stat of destinations) for (const entry of matching(index, stat)) remove(index, entry);
    return;
  }
  const status = verb === 'accept' ? 'accepted' : 'ignored';
  if (destinations.length === 0) {
    for (const entry of entries(index)) if (entry.status === 'pending') settle(index, entry, status);
    return;
  }
  for (const stat of destinations) {
    const known = matching(index, stat);
    if (known.length === 0 && stat.port > 0) known.push(add(index, stat.host, stat.port, now));
    for (const entry of known) settle(index, entry, status);
  }
}

/** An imported statistic never lowers what is known: the same file twice changes nothing. */
function take(index: AgentIndex, stat: DestinationStat): void {
  const entry = find(index, stat.host, stat.port);
  if (entry === undefined) {
    merge(index, stat, stat.status);
    return;
  }
  const { count, requestBytes, responseBytes } = entry;
  const status = stat.status === 'learned' && entry.status !== 'pending' ? entry.status : stat.status;
  merge(index, stat, status);
  entry.count = Math.max(count, stat.count);
  entry.requestBytes = Math.max(requestBytes, stat.requestBytes);
  entry.responseBytes = Math.max(responseBytes, stat.responseBytes);
}

/** The agent is as old and as busy as its destinations say; the store does the same with its rows. */
function adopt(index: AgentIndex, fresh: boolean): void {
  let requests = 0;
  let newest = fresh ? 0 : index.lastNewAt;
  for (const entry of entries(index)) {
    if (entry.status === 'pending') continue;
    requests += entry.count;
    newest = Math.max(newest, entry.firstSeen);
    index.firstSeen = Math.min(index.firstSeen, entry.firstSeen);
    index.lastSeen = Math.max(index.lastSeen, entry.lastSeen);
  }
  index.requests = Math.max(index.requests, requests);
  if (index.known > 0) index.lastNewAt = newest;
}

/** As people type it (`Example.ORG`, `bücher.example`) → as the index keeps it; nothing for what is no host. */
function normalised(stat: DestinationStat): DestinationStat[] {
  const normal = normaliseHost(stat.host);
  return 'error' in normal ? [] : [normal.host === stat.host ? stat : { ...stat, host: normal.host }];
}

function matching(index: AgentIndex, stat: DestinationStat) {
  if (stat.port === 0) return [...(index.hosts.get(stat.host) ?? [])];
  const entry = find(index, stat.host, stat.port);
  return entry === undefined ? [] : [entry];
}

/**
 * The state of an agent read back from the store, which keeps facts and no state. Ready once is ready for good, so it is ready
 * when any gap between its first contacts was long enough, not only the last one.
 */
export function restoredState(index: AgentIndex, r: Readiness, now: number): BaselineState {
  if (index.locked) return 'locked';
  if (isSettled(index, r, now) || isOverdue(index, r, now)) return 'ready';
  if (index.requests < r.readyAfterRequests) return 'learning';
  const news: number[] = [];
  for (const entry of entries(index)) if (entry.status === 'learned') news.push(entry.firstSeen);
  news.sort((a, b) => a - b);
  for (let i = 1; i < news.length; i++) {
    if ((news[i] as number) - (news[i - 1] as number) >= r.readyAfterHours * HOUR) return 'ready';
  }
  return 'learning';
}

/** What `weir baseline export` writes and `seed` and `import` read. */
export interface BaselineExport {
  readonly weirBaseline: 1;
  readonly agent: string;
  /** ISO 8601, UTC. */
  readonly exportedAt: string;
  readonly destinations: readonly DestinationStat[];
  readonly accounts?: readonly AccountStat[];
  /** See `AgentStat.accountsKey`. */
  readonly accountsKey?: string;
}

export function exportOf(stat: AgentStat, now: number): BaselineExport {
  const destinations = stat.destinations.toSorted((a, b) => {
    const [left, right] = [hostPort(a.host, a.port), hostPort(b.host, b.port)];
    return left < right ? -1 : left > right ? 1 : 0;
  });
  return { weirBaseline: 1, agent: stat.agent, exportedAt: new Date(now).toISOString(), destinations };
}

/** Validates an exported baseline; what has no date is dated `now`. Throws Error with a sentence for people. */
export function readExport(json: unknown, now: number): BaselineExport {
  const file = json as Partial<BaselineExport> | null;
  if (typeof file !== 'object' || file === null || file.weirBaseline !== 1 || !Array.isArray(file.destinations)) {
    throw new Error('this is no file of weir baseline export (no "weirBaseline": 1)');
  }
  if (typeof file.agent !== 'string') throw new Error('the exported baseline names no agent');
  const destinations = file.destinations.map((entry: unknown, i) => readStat(entry, i, now));
  const read = { weirBaseline: 1, agent: file.agent, exportedAt: String(file.exportedAt), destinations } as const;
  if (file.accounts === undefined) return read;
  if (!Array.isArray(file.accounts)) throw new Error('the accounts of the exported baseline are no list');
  const { agent } = file;
  const accounts = file.accounts.map((entry: unknown, i) => readAccount(entry, agent, i, now));
  return { ...read, accounts, ...(typeof file.accountsKey === 'string' ? { accountsKey: file.accountsKey } : {}) };
}

function readStat(entry: unknown, i: number, now: number): DestinationStat {
  const stat = entry as Partial<DestinationStat> | null;
  const normal = typeof stat?.host === 'string' ? normaliseHost(stat.host) : undefined;
  const port = stat?.port;
  if (
    normal === undefined ||
    'error' in normal ||
    !Number.isInteger(port) ||
    (port as number) < 1 ||
    (port as number) > 65535
  ) {
    throw new Error(`destination ${i + 1} of the exported baseline has no host and port`);
  }
  const status = stat?.status;
  return {
    host: normal.host,
    port: port as number,
    firstSeen: number(stat?.firstSeen) || now,
    lastSeen: number(stat?.lastSeen) || now,
    count: number(stat?.count),
    requestBytes: number(stat?.requestBytes),
    responseBytes: number(stat?.responseBytes),
    methods: Array.isArray(stat?.methods) ? stat.methods.filter((m) => typeof m === 'string') : [],
    ...shapesOf(stat?.pathShapes),
    ...hoursOf(stat?.hours),
    status: status === 'accepted' || status === 'ignored' ? status : 'learned',
  };
}

const SHAPES = 32;
const SHAPE_MAX = 80;

function shapesOf(given: unknown): Pick<DestinationStat, 'pathShapes'> {
  if (!Array.isArray(given)) return {};
  const isShape = (one: unknown): one is string =>
    typeof one === 'string' && one.length <= SHAPE_MAX && /^\/[^\n]*$/.test(one);
  return { pathShapes: given.filter(isShape).slice(0, SHAPES) };
}

function hoursOf(given: unknown): Pick<DestinationStat, 'hours'> {
  return Number.isInteger(given) && (given as number) > 0 && (given as number) < 1 << 24
    ? { hours: given as number }
    : {};
}

/** Longer names of a place or a value are none. */
const NAME_MAX = 255;

function readAccount(entry: unknown, agent: string, i: number, now: number): AccountStat {
  const stat = entry as Partial<AccountStat> | null;
  const { kind, value } = stat ?? {};
  const place = typeof stat?.place === 'string' ? placeOf(kind, stat.place) : undefined;
  if (place === undefined || typeof value !== 'string' || value === '' || value.length > NAME_MAX) {
    throw new Error(`account ${i + 1} of the exported baseline has no kind, place and value`);
  }
  return {
    agent,
    place,
    kind: kind as AccountStat['kind'],
    value,
    firstSeen: number(stat?.firstSeen) || now,
    lastSeen: number(stat?.lastSeen) || now,
    count: number(stat?.count),
  };
}

/** A credential is used with a host; the service a tenant belongs to need not be one (`s3`). */
function placeOf(kind: unknown, place: string): string | undefined {
  if (kind === 'tenant') return place === '' || place.length > NAME_MAX ? undefined : place;
  const normal = kind === 'credential' ? normaliseHost(place) : { error: 'no kind' };
  return 'error' in normal ? undefined : normal.host;
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
}
