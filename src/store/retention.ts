import { readMeta, writeMeta } from './append.ts';
import { type DayFile, sizeOf } from './files.ts';
import { allDays, countRows, DAY_MS, dayOf, ROLLED, refreshView, removeDays } from './history.ts';
import { META } from './schema.ts';
import type { Session } from './session.ts';

/** Retention never deletes a larger share than this at once while it does not trust the clock (threat O17). */
const SHARE = 0.2;
/** A step of the clock that no sleep between two calls explains. */
const JUMP_MS = DAY_MS;
/** How long the clock has to be watched to be believed after a jump. */
const WATCH_MS = DAY_MS;

/** How the wall clock went since the last call, in ms. */
export interface Elapsed {
  readonly now: number;
  /** Monotonic time since the previous call in this process; undefined at the first one. */
  readonly monotonic: number | undefined;
}

/** What retention did. `held` is the sentence to show when it would not believe the clock. */
export interface Retained {
  readonly deleted: number;
  readonly held: string | undefined;
}

/** Deletes everything older than `retentionDays` (0 = nothing), unless the clock jumped and it would be a lot. */
export async function retainDays(
  session: Session,
  history: string,
  retentionDays: number,
  elapsed: Elapsed,
): Promise<Retained> {
  const trusted = await watchClock(session, elapsed);
  const cutoff = retentionDays > 0 ? elapsed.now - retentionDays * DAY_MS : Number.NEGATIVE_INFINITY;
  if (retentionDays <= 0 || !(cutoff > 0)) return { deleted: 0, held: undefined };
  const day = dayOf(cutoff);
  const begin = `TIMESTAMPTZ '${day} 00:00:00+00'`;
  const old: DayFile[] = [...allDays(history).values()].flat().filter((f) => f.day < day);
  const oldRows = await session.all(
    ROLLED.map((t) => `SELECT count(*) FROM ${t.name} WHERE ${t.time} < ${begin}`).join(' UNION ALL '),
  );
  const inFile = oldRows.reduce((sum, row) => sum + Number(row[0]), 0);
  if (inFile === 0 && old.length === 0) return { deleted: 0, held: undefined };
  const doomed = inFile + (await countRows(session, old));
  if (!trusted && doomed > SHARE * (await countAll(session, history))) {
    return {
      deleted: 0,
      held: `the clock jumped to ${new Date(elapsed.now).toISOString()}: retention would delete ${doomed} rows at once and waits until the clock has been steady for 24 h (weir purge --before deletes now)`,
    };
  }
  if (inFile > 0) for (const t of ROLLED) await session.run(`DELETE FROM ${t.name} WHERE ${t.time} < ${begin}`);
  await dropDays(session, history, old);
  return { deleted: doomed, held: undefined };
}

/** The view names the files it reads: it is made anew whenever one goes. */
async function dropDays(session: Session, history: string, files: readonly DayFile[]): Promise<void> {
  if (files.length === 0) return;
  removeDays(files);
  await refreshView(session, history);
}

/**
 * Whether the wall clock is believed. It is, when it went forward like the monotonic clock, or (across restarts and
 * sleep) by less than a day. After a jump it must be watched for 24 h in sum; going back to where it was ends it at once.
 */
async function watchClock(session: Session, elapsed: Elapsed): Promise<boolean> {
  const { now } = elapsed;
  const before = Number((await readMeta(session, META.trustedClock)) ?? now);
  const watched = Number((await readMeta(session, META.clockWatched)) ?? 0);
  const step = now - before;
  const steady = step < JUMP_MS || (elapsed.monotonic !== undefined && step - elapsed.monotonic < JUMP_MS);
  if (steady || watched + (elapsed.monotonic ?? 0) >= WATCH_MS) {
    await writeMeta(session, META.trustedClock, String(now));
    if (watched !== 0) await writeMeta(session, META.clockWatched, '0');
    return true;
  }
  // While watched the trusted time stays where it was, so that the next call (or start) still sees the jump.
  await writeMeta(session, META.clockWatched, String(watched + (elapsed.monotonic ?? 0)));
  return false;
}

async function countAll(session: Session, history: string): Promise<number> {
  const rows = await session.all(ROLLED.map((t) => `SELECT count(*) FROM ${t.name}`).join(' UNION ALL '));
  const files = [...allDays(history).values()].flat();
  return rows.reduce((sum, row) => sum + Number(row[0]), 0) + (await countRows(session, files));
}

/** Bytes the rows take: blocks in use (a file does not shrink), log, history. */
export async function usedBytes(session: Session, history: string): Promise<number> {
  const rows = await session.all(
    'SELECT used_blocks * block_size FROM pragma_database_size() WHERE database_name = current_database()',
  );
  const days = [...allDays(history).values()].flat();
  const log = sizeOf(`${session.file}.wal`);
  return Number(rows[0]?.[0] ?? 0) + log + days.reduce((sum, d) => sum + d.bytes, 0);
}

/** What keeping `store.max_bytes` did. */
export interface Shed {
  /** Rows given up. */
  readonly rows: number;
  /** Still too large although rows went: DuckDB keeps partly emptied row groups until the file is rewritten. */
  readonly rewrite: boolean;
}

/**
 * Gives up exchanges and their connections oldest first until `maxBytes` hold (0 = no limit): days of history, then as
 * many rows of the file as its share above the limit. Findings and aggregates stay.
 */
export async function retainBytes(session: Session, history: string, maxBytes: number): Promise<Shed> {
  if (maxBytes <= 0 || (await usedBytes(session, history)) <= maxBytes) return { rows: 0, rewrite: false };
  // Rows take several times their space in the log: nothing is given up for what a checkpoint makes small.
  await session.checkpoint();
  let rows = await shedDays(session, history, maxBytes);
  const used = await usedBytes(session, history);
  if (used > maxBytes) {
    // A tenth below the limit, so that the next minutes have room.
    const share = Math.min(1, 1 - (0.9 * maxBytes) / used);
    rows += await shedShare(session, 'exchanges', 'started_at', share);
    rows += await shedShare(session, 'connections', 'opened_at', share);
    if (rows > 0) await session.checkpoint();
  }
  if (rows === 0) return { rows, rewrite: false };
  await session.run('UPDATE meta SET value = (value::BIGINT + $2)::VARCHAR WHERE key = $1', [META.shedBytes, rows]);
  return { rows, rewrite: (await usedBytes(session, history)) > maxBytes };
}

/** Whole days of history, oldest first. */
async function shedDays(session: Session, history: string, maxBytes: number): Promise<number> {
  let rows = 0;
  for (;;) {
    const days = allDays(history);
    const files = [...(days.get('exchanges') ?? []), ...(days.get('connections') ?? [])];
    const oldest = files.reduce((min, f) => (min === '' || f.day < min ? f.day : min), '');
    if (oldest === '' || (await usedBytes(session, history)) <= maxBytes) return rows;
    const gone = files.filter((f) => f.day === oldest);
    rows += await countRows(session, gone);
    await dropDays(session, history, gone);
  }
}

function shedShare(session: Session, name: string, time: string, share: number): Promise<number> {
  // The millisecond covers the rounding of the quantile, so that a share is never empty.
  return session.run(
    `DELETE FROM ${name} WHERE ${time} <=
       (SELECT to_timestamp(approx_quantile(epoch(${time}), ${share})) + INTERVAL 1 MILLISECOND FROM ${name})`,
  );
}
