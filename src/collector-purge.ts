import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createAdminServer } from './admin/server.ts';
import { createAdminHandlers, erasedWhat } from './collector-admin.ts';
import { openStateDir, type StateDir } from './collector-state.ts';
import type { Config } from './config/schema.ts';
import { refuseNewerState } from './config/state-version.ts';
import { createExceptions } from './connection/exceptions.ts';
import type { PurgeFilter, PurgeResult } from './model/admin.ts';
import { ulid } from './model/ulid.ts';
import { type Journal, openJournal } from './record/journal.ts';
import { purgeAll } from './record/report.ts';

const CLOSE_MS = 15_000;

export interface StoredPurge {
  readonly config: Config;
  readonly filter: PurgeFilter;
  /** Who asks, for the audit row. */
  readonly actor: string;
  readonly version: string;
  readonly warn: (message: string) => void;
}

/**
 * `weir purge` where no collector runs, on the files themselves. It holds the collector's socket meanwhile, so that none
 * begins to write them. Rejects with AdminError (one began first), StateError, StoreError, or Error with a sentence.
 */
export async function purgeStored(purge: StoredPurge): Promise<PurgeResult> {
  const { config, warn } = purge;
  const dir = config.state_dir;
  refuseNewerState(dir);
  if (!existsSync(config.store.path) && !existsSync(join(dir, 'journal')))
    return { rows: 0, message: `nothing is recorded in ${dir}` };
  const state = openStateDir(dir, warn);
  const admin = createAdminServer({
    stateDir: dir,
    handlers: createAdminHandlers(
      () => undefined,
      () => admin,
    ),
  });
  await admin.start();
  try {
    return await erase(purge, state);
  } finally {
    await admin.stop();
  }
}

async function erase({ config, filter, actor, version, warn }: StoredPurge, state: StateDir): Promise<PurgeResult> {
  const { store: settings, telemetry } = config;
  const { openStore } = await import('./store/database.ts');
  const store = await openStore({
    dir: state.path,
    path: settings.path,
    retentionDays: settings.retention_days,
    flushMs: settings.flush_ms,
    maxBytes: settings.max_bytes,
    minFreeBytes: settings.min_free_bytes,
    createdBy: `weir ${version}`,
    log: { warn },
  });
  let journal: Journal | undefined;
  try {
    // Nobody consumes it here: what waits in it for the store or for OTLP and is not erased waits on.
    journal = openJournal({
      directory: join(state.path, 'journal'),
      maxBytes: telemetry.journal.max_bytes,
      boot: randomUUID(),
      log: (_, message, fields) => warn(`${message} ${JSON.stringify(fields ?? {})}`),
    });
    const { problem } = journal.status();
    if (problem !== undefined) throw new Error(`nothing was erased, the journal cannot be written: ${problem}`);
    const purged = await purgeAll(journal, store, state.path, filter);
    if (filter.before === undefined) await eraseExceptions(state.path, filter, warn);
    const message = `${purged.rows} rows erased: ${erasedWhat(filter, state.hash)}`;
    const finding = { inspector: 'audit', rule: 'purge', severity: 'info', disposition: 'flag', message } as const;
    journal.append([{ kind: 'audit', id: ulid(), at: Date.now(), agent: config.agent, actor, finding }]);
    return purged;
  } finally {
    journal?.close();
    await store.close(CLOSE_MS);
  }
}

async function eraseExceptions(dir: string, filter: PurgeFilter, warn: (message: string) => void): Promise<void> {
  const exceptions = createExceptions({
    file: join(dir, 'exceptions.json'),
    log: (event, fields) => warn(`${event} ${JSON.stringify(fields)}`),
  });
  if (filter.agent === undefined && filter.host === undefined) exceptions.clear();
  else exceptions.forget(filter);
  await exceptions.flush();
}
