import { readMeta } from './append.ts';
import { allDays } from './history.ts';
import { usedBytes } from './retention.ts';
import { META, table } from './schema.ts';
import type { PlainRow, Session } from './session.ts';

/** Which exchanges `weir logs` wants. */
export interface RecentOptions {
  readonly agent?: string;
  /** Only what was blocked, or would have been. */
  readonly blocked?: boolean;
  readonly limit: number;
  /** Only exchanges begun after this moment (epoch ms). */
  readonly sinceMs?: number;
}

/** One line of `weir logs`. Times epoch ms. */
export interface RecentExchange {
  readonly id: string;
  readonly ref: string;
  readonly startedAt: number;
  readonly agent: string;
  readonly visibility: string;
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly status: number | null;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly mode: string;
  readonly verdict: string;
  readonly action: string;
  readonly would: string;
  readonly firstSeen: boolean;
  readonly rules: readonly string[];
  readonly outcome: string;
  readonly errorType: string | null;
  readonly state: string;
}

const RECENT = `id, ref, started_at, agent, visibility, method, scheme, host, port, path, status, request_bytes, response_bytes,
  duration_ms, mode, verdict, action, would, first_seen, rules, outcome, error_type, state`;

/** The newest exchanges, oldest first. History is read only when the open days have too few. */
export async function readRecent(session: Session, options: RecentOptions): Promise<RecentExchange[]> {
  const limit = Math.max(0, Math.min(Math.trunc(options.limit), 100_000));
  if (limit === 0) return [];
  const where = [
    options.agent === undefined ? 'true' : 'agent = $1',
    options.blocked ? "(action = 'block' OR would = 'block')" : 'true',
    options.sinceMs === undefined ? 'true' : `epoch_ms(started_at) > ${Math.trunc(options.sinceMs)}`,
  ].join(' AND ');
  const values = options.agent === undefined ? undefined : [options.agent];
  const from = (source: string): Promise<PlainRow[]> =>
    session.all(
      `SELECT ${RECENT} FROM ${source} WHERE ${where} ORDER BY started_at DESC, id DESC LIMIT ${limit}`,
      values,
    );
  let rows = await from('exchanges');
  if (rows.length < limit) rows = await from('all_exchanges');
  return rows.reverse().map(recentExchange);
}

function recentExchange(row: PlainRow): RecentExchange {
  return {
    id: row[0] as string,
    ref: row[1] as string,
    startedAt: row[2] as number,
    agent: row[3] as string,
    visibility: row[4] as string,
    method: row[5] as string,
    scheme: row[6] as string,
    host: row[7] as string,
    port: row[8] as number,
    path: row[9] as string,
    status: row[10] as number | null,
    requestBytes: row[11] as number,
    responseBytes: row[12] as number,
    durationMs: row[13] as number,
    mode: row[14] as string,
    verdict: row[15] as string,
    action: row[16] as string,
    would: row[17] as string,
    firstSeen: row[18] as boolean,
    rules: row[19] as readonly string[],
    outcome: row[20] as string,
    errorType: row[21] as string | null,
    state: row[22] as string,
  };
}

/** What `weir status` says about the store. */
export interface StoreSummary {
  readonly file: string;
  readonly schemaVersion: number;
  readonly cursor: number | undefined;
  /** Rows in the file (open days), by table. */
  readonly rows: Readonly<Record<string, number>>;
  readonly historyDays: number;
  /** Blocks in use, log and history. */
  readonly bytes: number;
  /** Begin of the oldest and the newest exchange in the file, epoch ms. */
  readonly oldest: number | undefined;
  readonly newest: number | undefined;
  /** Rows given up since the file was made. */
  readonly shed: { readonly maxBytes: number; readonly minFreeBytes: number };
}

/** Reads counts that DuckDB keeps anyway; no table is scanned. */
export async function readSummary(session: Session, history: string): Promise<StoreSummary> {
  const names = ['exchanges', 'connections', 'findings', 'destinations', 'agents', 'audit'] as const;
  const counts = await session.all(`SELECT ${names.map((n) => `(SELECT count(*) FROM ${table(n).name})`).join(', ')}`);
  const ends = await session.all('SELECT min(started_at), max(started_at) FROM exchanges');
  const cursor = await readMeta(session, META.cursor);
  return {
    file: session.file,
    schemaVersion: Number(await readMeta(session, META.version)),
    cursor: cursor === undefined ? undefined : Number(cursor),
    rows: Object.fromEntries(names.map((n, i) => [n, Number(counts[0]?.[i] ?? 0)])),
    historyDays: allDays(history).get('exchanges')?.length ?? 0,
    bytes: await usedBytes(session, history),
    oldest: (ends[0]?.[0] ?? undefined) as number | undefined,
    newest: (ends[0]?.[1] ?? undefined) as number | undefined,
    shed: {
      maxBytes: Number((await readMeta(session, META.shedBytes)) ?? 0),
      minFreeBytes: Number((await readMeta(session, META.shedFree)) ?? 0),
    },
  };
}
