import { readMeta } from './append.ts';
import { allDays } from './history.ts';
import { usedBytes } from './retention.ts';
import { META, table } from './schema.ts';
import type { Session } from './session.ts';

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
  const names = [
    'exchanges',
    'connections',
    'findings',
    'destinations',
    'agents',
    'accounts',
    'audit',
    'runs',
    'mcp_tools',
  ] as const;
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
