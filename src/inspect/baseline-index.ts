import { registrableDomain } from '../model/domain.ts';
import type { AgentStat, BaselineState, DestinationStat } from '../model/record.ts';
import { type Novelty, newNovelty } from './baseline-novelty.ts';
import { type Hearing, newHearing } from './baseline-silence.ts';

/** `pending` = seen, not (yet) learned; the others are {@link DestinationStat.status}. */
export type EntryStatus = 'pending' | DestinationStat['status'];

/** What is known of one (agent, host, port). Times epoch ms. */
export interface Entry {
  readonly host: string;
  readonly port: number;
  firstSeen: number;
  lastSeen: number;
  count: number;
  requestBytes: number;
  responseBytes: number;
  /** Bits of {@link METHODS}. */
  methods: number;
  /** Bits of methods reported as new and not learned since. */
  told: number;
  status: EntryStatus;
  readonly sent: Sent;
}

/** Bytes out by day (UTC). Days are numbered from 1970. */
export interface Sent {
  day: number;
  /** On that day so far. */
  bytes: number;
  /** Days before it on which anything was sent, and the most on one of them. */
  days: number;
  most: number;
  /** That day's amount was told, and on how many days before that was so. */
  told: boolean;
  toldDays: number;
}

/** One agent's (or one as-one group's) memory. */
export interface AgentIndex {
  readonly agent: string;
  firstSeen: number;
  lastSeen: number;
  requests: number;
  /** When a destination was last learned by traffic. */
  lastNewAt: number;
  locked: boolean;
  state: BaselineState;
  /** Host → its ports. Few hosts have more than one. */
  readonly hosts: Map<string, Entry[]>;
  /** Number of entries, all ports and statuses. */
  size: number;
  /** Number of entries that are not pending. */
  known: number;
  /** Registrable domain → number of known entries below it. */
  readonly domains: Map<string, number>;
  /** Registrable domains met after the bound was reached. */
  readonly overflow: Set<string>;
  readonly novelty: Novelty;
  readonly hearing: Hearing;
}

/** Methods with a bit of their own; anything else shares the last bit, so that made-up methods cost no memory. */
export const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', '_OTHER'];

/** The bit of a method; 0 for CONNECT and tunnels, which show none. */
export function methodBit(method: string): number {
  switch (method) {
    case 'GET':
      return 1;
    case 'HEAD':
      return 2;
    case 'POST':
      return 4;
    case 'PUT':
      return 8;
    case 'PATCH':
      return 16;
    case 'DELETE':
      return 32;
    case 'OPTIONS':
      return 64;
    case 'CONNECT':
    case '':
      return 0;
    default:
      return 128;
  }
}

function methodNames(bits: number): string[] {
  return METHODS.filter((_, i) => (bits & (1 << i)) !== 0);
}

export function newAgent(agent: string, now: number): AgentIndex {
  return {
    agent,
    firstSeen: now,
    lastSeen: now,
    requests: 0,
    lastNewAt: now,
    locked: false,
    state: 'learning',
    hosts: new Map(),
    size: 0,
    known: 0,
    domains: new Map(),
    overflow: new Set(),
    novelty: newNovelty(now),
    hearing: newHearing(now),
  };
}

export function find(index: AgentIndex, host: string, port: number): Entry | undefined {
  const ports = index.hosts.get(host);
  if (ports === undefined) return undefined;
  for (const entry of ports) if (entry.port === port) return entry;
  return undefined;
}

export function add(index: AgentIndex, host: string, port: number, now: number): Entry {
  const entry: Entry = {
    host,
    port,
    firstSeen: now,
    lastSeen: now,
    count: 0,
    requestBytes: 0,
    responseBytes: 0,
    methods: 0,
    told: 0,
    status: 'pending',
    sent: { day: 0, bytes: 0, days: 0, most: 0, told: false, toldDays: 0 },
  };
  const ports = index.hosts.get(host);
  if (ports === undefined) index.hosts.set(host, [entry]);
  else ports.push(entry);
  index.size++;
  return entry;
}

/** Makes an entry known (learned, accepted, ignored) and keeps the counts in step. */
export function settle(index: AgentIndex, entry: Entry, status: DestinationStat['status']): void {
  if (entry.status === 'pending') {
    const domain = registrableDomain(entry.host);
    index.domains.set(domain, (index.domains.get(domain) ?? 0) + 1);
    index.known++;
  }
  entry.status = status;
}

export function remove(index: AgentIndex, entry: Entry): void {
  const ports = index.hosts.get(entry.host);
  const at = ports?.indexOf(entry) ?? -1;
  if (ports === undefined || at < 0) return;
  ports.splice(at, 1);
  if (ports.length === 0) index.hosts.delete(entry.host);
  index.size--;
  if (entry.status === 'pending') return;
  index.known--;
  const domain = registrableDomain(entry.host);
  const left = (index.domains.get(domain) ?? 1) - 1;
  if (left <= 0) index.domains.delete(domain);
  else index.domains.set(domain, left);
}

export function* entries(index: AgentIndex): Generator<Entry> {
  for (const ports of index.hosts.values()) yield* ports;
}

/** Another port of the same host is known. */
export function knowsHost(index: AgentIndex, host: string): boolean {
  return index.hosts.get(host)?.some((entry) => entry.status !== 'pending') === true;
}

/** Takes a stored or imported statistic in; counts of what was learned here meanwhile are added to. */
export function merge(index: AgentIndex, stat: DestinationStat, status: DestinationStat['status']): void {
  const entry = find(index, stat.host, stat.port) ?? add(index, stat.host, stat.port, stat.firstSeen);
  entry.firstSeen = Math.min(entry.firstSeen, stat.firstSeen);
  entry.lastSeen = Math.max(entry.lastSeen, stat.lastSeen);
  entry.count += stat.count;
  entry.requestBytes += stat.requestBytes;
  entry.responseBytes += stat.responseBytes;
  for (const method of stat.methods) {
    entry.methods |= method === '_OTHER' ? 128 : methodBit(method);
  }
  settle(index, entry, status);
  recallSent(entry);
}

const DAY = 86_400_000;
/** Days are not stored: all of it may have been sent on one day of each week. */
const RHYTHM = 7;

function recallSent({ sent, firstSeen, lastSeen, requestBytes }: Entry): void {
  const days = Math.max(1, Math.ceil((lastSeen - firstSeen) / DAY));
  sent.days = Math.max(sent.days, days);
  sent.most = Math.max(sent.most, (requestBytes / days) * Math.min(days, RHYTHM));
}

export function destinationStat(entry: Entry): DestinationStat {
  return {
    host: entry.host,
    port: entry.port,
    firstSeen: entry.firstSeen,
    lastSeen: entry.lastSeen,
    count: entry.count,
    requestBytes: entry.requestBytes,
    responseBytes: entry.responseBytes,
    methods: methodNames(entry.methods),
    status: entry.status === 'pending' ? 'learned' : entry.status,
  };
}

/** What the store keeps of an agent; pending contacts are not part of it. */
export function agentStat(index: AgentIndex): AgentStat {
  const destinations: DestinationStat[] = [];
  for (const entry of entries(index)) if (entry.status !== 'pending') destinations.push(destinationStat(entry));
  return {
    agent: index.agent,
    firstSeen: index.firstSeen,
    lastSeen: index.lastSeen,
    requests: index.requests,
    lastNewAt: index.lastNewAt,
    locked: index.locked,
    destinations,
  };
}
