import * as fs from 'node:fs';
import * as path from 'node:path';
import { forgetKnown } from './baseline.ts';
import { literal, replaceFile } from './files.ts';
import { allDays, readParquet, refreshView, removeDays, writeParquet } from './history.ts';
import { TABLES, type Table, table } from './schema.ts';
import type { Session } from './session.ts';

/** What to erase: everything that fulfils all that is given. `before` is epoch ms. */
export interface PurgeOptions {
  readonly agent?: string;
  /** This host; sub-domains are hosts of their own. */
  readonly host?: string;
  readonly before?: number;
}

/** What was erased. */
export interface Purged {
  /** Rows deleted from file and history, by table. */
  readonly rows: Readonly<Record<string, number>>;
  /** Files set aside earlier that may still hold such rows: only their owner can decide about them. */
  readonly leftAside: readonly string[];
}

/** Columns that name a destination. */
const HOST_COLUMNS = ['host', 'sni', 'peer_address', 'place'] as const;

/** Deletes rows from the file and its history. The caller rewrites the file afterwards: DuckDB keeps deleted bytes in free blocks. */
export async function purgeRows(
  session: Session,
  history: string,
  options: PurgeOptions,
): Promise<Record<string, number>> {
  if (options.agent === undefined && options.host === undefined && options.before === undefined) {
    throw new Error('purge needs an agent, a host or a time');
  }
  forgetKnown(session);
  const counts: Record<string, number> = {};
  await session.transaction(async () => {
    for (const t of TABLES) {
      const where = condition(t, options);
      counts[t.name] = await session.run(`DELETE FROM ${t.name} WHERE ${where}`);
      const blank = blanked(t, options);
      if (blank !== undefined) await session.run(`UPDATE ${t.name} SET message = ${blank} WHERE message <> ${blank}`);
    }
    await forgetEmptyAgents(session, options);
  });
  for (const [name, days] of allDays(history)) {
    for (const { file } of days) {
      counts[name] = (counts[name] ?? 0) + (await purgeFile(session, table(name), file, options));
    }
  }
  await refreshView(session, history);
  return counts;
}

/** Rewrites one day without the rows; a day with nothing left goes away. */
async function purgeFile(session: Session, t: Table, file: string, options: PurgeOptions): Promise<number> {
  const where = condition(t, options);
  const source = readParquet([file]);
  const blank = blanked(t, options);
  const touched = blank === undefined ? where : `(${where}) OR message <> ${blank}`;
  const found = await session.all(
    `SELECT count(*), count(*) FILTER (WHERE ${where}), count(*) FILTER (WHERE ${touched}) FROM ${source}`,
  );
  const [total, gone, changed] = (found[0] ?? [0, 0, 0]).map(Number) as [number, number, number];
  if (changed === 0) return 0;
  if (gone === total) {
    removeDays([{ day: '', file, bytes: 0 }]);
    return gone;
  }
  const keep = blank === undefined ? '*' : `* REPLACE (${blank} AS message)`;
  await writeParquet(session, `SELECT ${keep} FROM ${source} WHERE NOT (${where})`, `${file}.tmp`);
  replaceFile(`${file}.tmp`, file);
  return gone;
}

/** Never NULL, so that NOT() keeps exactly the rest. */
function condition(t: Table, options: PurgeOptions): string {
  const has = (name: string): boolean => t.columns.some((c) => c.name === name);
  const parts: string[] = [];
  if (options.agent !== undefined) parts.push(`agent = ${literal(options.agent)}`);
  if (options.host !== undefined) {
    const host = literal(options.host);
    const columns = HOST_COLUMNS.filter(has);
    // An agent is not a destination: asked for by host alone it stays.
    parts.push(columns.length === 0 ? 'false' : columns.map((c) => `coalesce(${c} = ${host}, false)`).join(' OR '));
  }
  if (options.before !== undefined) {
    const time = t.time ?? 'last_seen';
    parts.push(`epoch_ms(${time}) < ${Math.trunc(options.before)}`);
  }
  return `coalesce(${parts.map((p) => `(${p})`).join(' AND ')}, false)`;
}

/** Sentences about others that name the purged agent or host, with the name blanked; only when all of it goes. */
function blanked(t: Table, options: PurgeOptions): string | undefined {
  if (!t.columns.some((c) => c.name === 'message') || options.before !== undefined) return undefined;
  const names = [options.agent, options.host].filter((n) => n !== undefined && n !== '');
  if (names.length !== 1) return undefined;
  const name = literal(names[0] as string);
  return `regexp_replace(message, '(^|[^A-Za-z0-9._-])' || regexp_escape(${name}) || '($|[^A-Za-z0-9_-])', '\\1[purged]\\2', 'g')`;
}

/** Agents of which nothing is left when everything before a time goes are gone by `last_seen`; here nothing else is to do. */
async function forgetEmptyAgents(session: Session, options: PurgeOptions): Promise<void> {
  if (options.host === undefined || options.agent === undefined) return;
  await session.run('DELETE FROM agents WHERE agent = $1 AND agent NOT IN (SELECT agent FROM destinations)', [
    options.agent,
  ]);
}

/** Files moved aside beside the database. */
export function asideFiles(file: string): string[] {
  const dir = path.dirname(file);
  const prefix = `${path.basename(file)}.corrupt-`;
  return fs
    .readdirSync(dir)
    .filter((name) => name.startsWith(prefix))
    .map((name) => path.join(dir, name));
}
