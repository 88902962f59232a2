import { createAdminClient } from '../admin/client.ts';
import { AdminError } from '../admin/protocol.ts';
import type { Config } from '../config/schema.ts';
import { refuseNewerState } from '../config/state-version.ts';
import { openQuery, type QuerySource } from '../store/query.ts';

export type StoredRow = Readonly<Record<string, unknown>>;

/** Where the rows can be read now: what a running collector writes out for us, or the file itself when none runs. Throws StateError. */
export async function storedSource(config: Config): Promise<QuerySource> {
  const stateDir = config.state_dir;
  const client = createAdminClient({ stateDir, actor: 'cli query' });
  try {
    const { snapshotDir } = await client.prepareQuery();
    return { stateDir, snapshotDir };
  } catch (error) {
    if (!(error instanceof AdminError && error.code === 'no-collector')) throw error;
    refuseNewerState(stateDir);
    return { stateDir, directFile: config.store.path };
  } finally {
    await client.close();
  }
}

/** All rows of a small query. Rejects with QueryError. */
export async function storedRows(source: QuerySource, sql: string): Promise<StoredRow[]> {
  const query = await openQuery(source, sql);
  const rows: StoredRow[] = [];
  try {
    for (let chunk = await query.next(); chunk !== undefined; chunk = await query.next())
      for (const row of chunk) rows.push(Object.fromEntries(query.columns.map(({ name }, i) => [name, row[i]])));
    return rows;
  } finally {
    query.close();
  }
}
