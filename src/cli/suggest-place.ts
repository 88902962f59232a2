import { hostPort } from '../model/destination.ts';
import { compileHostPattern } from '../model/glob.ts';
import { kindOf } from '../model/host.ts';
import type { AgentStat, DestinationStat } from '../model/record.ts';
import { many } from './receipt-words.ts';
import type { Risky } from './suggest-risky.ts';
import type { FindingGroup, RowGroup } from './suggest-rows.ts';

/** What is known of one destination of an agent: learned, seen in the window, said of it. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly count: number;
  /** Epoch ms. */
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly requestBytes: number;
  /** Sorted, without CONNECT. */
  readonly methods: readonly string[];
  /** Absent = not in the baseline. */
  readonly status?: DestinationStat['status'];
  /** Something of it was read, and nothing of it stayed in a tunnel: rules about methods can be held. */
  readonly read: boolean;
  /** How its paths begin, where all of them are known. */
  readonly heads?: readonly string[];
  /** Learned shapes of its paths, where the window has no rows of it. */
  readonly shapes?: readonly string[];
  /** Bit n: used in the hour n of the day (UTC). */
  readonly hours: number;
  /** The window has rows of it, and every one is a failure: the most frequent and how many. */
  readonly failed?: { readonly error: string; readonly count: number };
  readonly blocked: boolean;
  readonly findings: readonly FindingGroup[];
}

/** Why a destination is not put on the list by itself. */
export interface Doubt {
  readonly place: Place;
  /** Said of it, and of all that are kept off for the same reason. */
  readonly reason: string;
  /** Nothing but too little evidence: no reason to distrust its siblings. */
  readonly harmless: boolean;
}

const DISTRUSTED = new Set(['risky-destination', 'generated-name', 'data-in-name', 'internal-address']);
/** A label of a host that held a secret or looked random (record/presentable.ts). */
const REDACTED = /(?:^|\.)redacted-[0-9a-f]{6}(?:\.|$)/;

/** Everything an agent learned or reached in the window, by name. What a person ignored is left out. */
export function placesOf(stat: AgentStat, groups: readonly RowGroup[], findings: readonly FindingGroup[]): Place[] {
  const stats = new Map(stat.destinations.map((one) => [hostPort(one.host, one.port), one]));
  const rows = grouped(groups);
  const told = grouped(findings);
  const names = new Map([...groups, ...stat.destinations].map((one) => [hostPort(one.host, one.port), one]));
  return Array.from(names, ([key, { host, port }]) =>
    placeOf(host, port, stats.get(key), rows.get(key) ?? [], told.get(key) ?? []),
  ).filter(({ status }) => status !== 'ignored');
}

function grouped<T extends { readonly host: string; readonly port: number }>(all: readonly T[]): Map<string, T[]> {
  const map = new Map<string, T[]>();
  for (const one of all) {
    const key = hostPort(one.host, one.port);
    const list = map.get(key);
    if (list === undefined) map.set(key, [one]);
    else list.push(one);
  }
  return map;
}

function placeOf(
  host: string,
  port: number,
  stat: DestinationStat | undefined,
  rows: readonly RowGroup[],
  findings: readonly FindingGroup[],
): Place {
  const sum = (of: (row: RowGroup) => number): number => rows.reduce((n, row) => n + of(row), 0);
  const [count, blocked] = [sum((row) => row.count), sum((row) => row.blocked)];
  const tried = count - blocked;
  // What was not learned widens nothing.
  const methods = new Set(stat?.methods ?? rows.map((row) => row.method));
  const tunnelled = (stat?.methods ?? []).includes('CONNECT') || rows.some(({ kind }) => kind === 'tunnel');
  methods.delete('CONNECT');
  methods.delete('');
  const failure = rows.filter((row) => row.failure !== '').sort((a, b) => b.count - a.count)[0]?.failure ?? '';
  return {
    host,
    port,
    count: stat?.count ?? count,
    firstSeen: stat?.firstSeen ?? Math.min(...rows.map((row) => row.first)),
    lastSeen: stat?.lastSeen ?? Math.max(...rows.map((row) => row.last)),
    requestBytes: stat?.requestBytes ?? sum((row) => row.requestBytes),
    methods: [...methods].sort(),
    ...(stat === undefined ? {} : { status: stat.status }),
    read: !tunnelled && rows.some(({ kind }) => kind === 'exchange'),
    hours: rows.reduce((all, { hours = 0 }) => all | hours, stat?.hours ?? 0),
    ...headsOf(rows),
    // Of what was learned before the window only shapes are left, and not all of them: evidence, and nothing a rule could be made of.
    ...(rows.length === 0 && stat?.pathShapes !== undefined ? { shapes: stat.pathShapes } : {}),
    ...(tried > 0 && sum((row) => row.good) === 0 ? { failed: { error: failure, count: tried } } : {}),
    blocked: count > 0 && tried === 0,
    findings,
  };
}

function headsOf(rows: readonly RowGroup[]): Pick<Place, 'heads'> {
  const good = rows.filter(({ kind, good }) => kind === 'exchange' && good > 0);
  if (good.length === 0 || good.some(({ heads }) => heads === undefined)) return {};
  return { heads: [...new Set(good.flatMap(({ heads = [] }) => heads))].sort() };
}

/** Why this destination needs a person; undefined when its evidence is enough. What a person accepted needs none. */
export function doubtOf(place: Place, risky: Risky, locked: boolean): Doubt | undefined {
  const doubt = (reason: string, harmless = false): Doubt => ({ place, reason, harmless });
  const { host, port, status } = place;
  if (port === 0 || !isExact(host)) return doubt('no rule can name it');
  if (REDACTED.test(host)) return doubt('part of the name was a secret or random and is not kept — review', true);
  if (status === 'accepted') return undefined;
  const told = place.findings.find(({ rule }) => DISTRUSTED.has(rule));
  if (told?.rule === 'internal-address') return doubt(`${told.message} — review, it needs destinations.internal too`);
  const label = risky.of(host);
  if (label !== undefined) return doubt(`${label} — review`);
  if (kindOf(host) !== 'name') return doubt('an address instead of a name — review');
  if (told !== undefined) return doubt(`${told.message} — review`);
  if (status === undefined) return unlearned(place, locked, doubt);
  if (place.failed !== undefined) return doubt(failures(place.failed), true);
  return place.count <= 1 ? doubt('seen once — review', true) : undefined;
}

function unlearned(place: Place, locked: boolean, doubt: (reason: string, harmless?: boolean) => Doubt): Doubt {
  const [severe] = place.findings;
  if (severe !== undefined) return doubt(`not learned: ${severe.message} — review`);
  if (place.blocked) return doubt('was blocked — review');
  if (place.failed !== undefined) return doubt(failures(place.failed), true);
  return doubt(locked ? 'not learned, the baseline is locked — review' : 'not in the baseline — review');
}

function failures({ error, count }: { readonly error: string; readonly count: number }): string {
  return `only failures (${many(count, 'time')}${error === '' ? '' : `, ${error}`}) — review`;
}

function isExact(host: string): boolean {
  try {
    const pattern = compileHostPattern(host);
    return pattern.form === 'exact' && pattern.host === host;
  } catch {
    return false;
  }
}
