import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HookStatus } from '../model/notify.ts';
import type { ReportFacts } from '../model/report.ts';
import { ulid } from '../model/ulid.ts';
import { purgeMatch } from './erase.ts';
import type { Journal } from './journal.ts';
import type { PurgeQuery, RecorderHealth, RecorderStatus, ReportQuery } from './protocol.ts';
import type { Pumps } from './pumps.ts';
import type { StoreLike, StoreSlot } from './slot.ts';

const SETTLE_LOOK_MS = 20;

/** What the recorder's parts say of themselves, for status and start. */
export interface Reported {
  readonly journal: Journal;
  readonly pumps: Pumps | undefined;
  readonly slot: StoreSlot | undefined;
  readonly endpoint:
    | {
        readonly url: string | undefined;
        readonly traces: boolean;
        readonly sentence: string;
        readonly problems: readonly string[];
      }
    | undefined;
  readonly notifier: { status(): readonly HookStatus[]; problems(): string[] } | undefined;
  /** Found at the start. */
  readonly problems: readonly string[];
}

/** Sentences about what is not as it should be. */
export function problemsOf({ journal, pumps, slot, endpoint, notifier, problems }: Reported): string[] {
  const found = [...problems, ...(endpoint?.problems ?? []), ...(slot?.store?.problems() ?? [])];
  if (slot?.problem !== undefined) found.push(`rows are not stored: ${slot.problem}`);
  const unwritten = journal.status().problem;
  if (unwritten !== undefined) found.push(`the journal is not written: ${unwritten}`);
  for (const { name, lastError, lag } of pumps?.status() ?? []) {
    if (lastError === undefined || name === slot?.name) continue;
    found.push(`${name} fails: ${lastError}; ${lag} records wait in the journal`);
  }
  return [...found, ...(notifier?.problems() ?? [])];
}

/** Without userinfo, path and query: any of them may be a credential. */
function shown(url: string | undefined): string {
  return url === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : new URL(url).origin;
}

/** Why a question to the store has no answer. */
export function noStore(slot: StoreSlot | undefined): string {
  return slot === undefined ? 'rows are not stored' : (slot.problem ?? 'the store is being opened');
}

/** What keeps rows from being kept now (`store.required`). */
function unrecordedOf({ journal, pumps, slot }: Reported): string | undefined {
  if (slot?.store === undefined) return noStore(slot);
  return journal.status().problem ?? pumps?.status().find(({ name }) => name === slot.name)?.lastError;
}

export function healthOf(parts: Reported): RecorderHealth {
  const unrecorded = unrecordedOf(parts);
  return { problems: problemsOf(parts), lost: lostBy(parts), ...(unrecorded === undefined ? {} : { unrecorded }) };
}

function lostBy({ journal, pumps }: Reported): Record<string, number> {
  const lost: Record<string, number> = { ...journal.books().dropped };
  for (const { name, dropped } of pumps?.status() ?? []) {
    for (const [reason, count] of Object.entries(dropped)) lost[`${name} ${reason}`] = count;
  }
  return lost;
}

export async function statusOf(parts: Reported): Promise<RecorderStatus> {
  const { journal, pumps, slot, endpoint, notifier } = parts;
  const summary = await slot?.store?.summary().catch(() => undefined);
  return {
    dropped: { ...journal.books().dropped },
    consumers: pumps?.status() ?? [],
    ...(pumps === undefined ? {} : { identity: pumps.identity() }),
    journalBytes: journal.status().bytes,
    storeBytes: summary?.bytes ?? 0,
    storeSentence:
      summary === undefined
        ? noStore(slot)
        : `${(summary.bytes / 1e6).toFixed(1)} MB, ${summary.historyDays} closed days in history`,
    ...(endpoint?.traces === true ? { endpoint: shown(endpoint.url) } : {}),
    endpointSentence: endpoint?.sentence ?? 'the recorder is starting',
    ...(notifier === undefined ? {} : { notifications: notifier.status() }),
    ...healthOf(parts),
  };
}

/** Draws up a report when the rows of everything journalled until now are stored, or says that some are not. */
export async function settledReport(
  { journal, pumps, slot }: Reported,
  store: StoreLike,
  { filter, mode, containment, settleMs }: ReportQuery,
): Promise<ReportFacts> {
  const { last } = journal.status();
  const settled = (): boolean => {
    const duckdb = pumps?.status().find(({ name }) => name === slot?.name);
    return duckdb === undefined || journal.status().last - duckdb.lag >= last;
  };
  const end = performance.now() + settleMs;
  while (!settled() && performance.now() < end) await sleep(SETTLE_LOOK_MS);
  const facts = await store.report(filter, { mode, containment });
  const late = 'some rows are not stored yet: weir report shows them later';
  return settled() ? facts : { ...facts, remarks: [...facts.remarks, late] };
}

/** Erases from journal, store and snapshots; no filter = everything. */
export async function purgeAll(
  journal: Journal,
  store: StoreLike,
  stateDir: string,
  query: PurgeQuery,
): Promise<{ rows: number; message: string }> {
  const everything = query.agent === undefined && query.host === undefined && query.before === undefined;
  const filter = everything ? { before: Date.now() + 1 } : query;
  const journalled = journal.purge(purgeMatch(filter));
  removeSnapshots(stateDir, 0);
  const { rows: erased, leftAside } = await store.purge(filter);
  let rows = 0;
  for (const count of Object.values(erased)) rows += count;
  const rest = leftAside.length === 0 ? '' : `; files set aside earlier may still hold some: ${leftAside.join(', ')}`;
  return { rows, message: `${rows} rows and ${journalled} journal records erased${rest}` };
}

/** A directory for one snapshot of the open days. Throws I/O errors. */
export function newSnapshot(stateDir: string): string {
  const directory = join(stateDir, 'snapshots', ulid());
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** Snapshots expire (threat P9): they are copies of rows that may be purged. */
export function removeSnapshots(stateDir: string, olderThanMs: number): void {
  const directory = join(stateDir, 'snapshots');
  try {
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      if (Date.now() - statSync(path).mtimeMs >= olderThanMs) rmSync(path, { recursive: true, force: true });
    }
  } catch {
    // No snapshot was ever made.
  }
}
