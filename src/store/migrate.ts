import * as fs from 'node:fs';
import { messageOf, StoreError } from './error.ts';
import { literal, makePrivate, replaceFile } from './files.ts';
import { createTable, META, META_DDL, SCHEMA_VERSION, TABLES } from './schema.ts';
import type { Session } from './session.ts';

/** One step of the schema: SQL that turns version `to - 1` into `to`. Runs on a copy, in one transaction. */
export interface Migration {
  readonly to: number;
  readonly statements: readonly string[];
}

/** Every step since version 1. Written out, never taken from `schema.ts`: what a step made stays what it made. */
export const MIGRATIONS: readonly Migration[] = [
  {
    to: 2,
    statements: [
      'ALTER TABLE exchanges ADD COLUMN run_id VARCHAR',
      'ALTER TABLE connections ADD COLUMN run_id VARCHAR',
      'ALTER TABLE findings ADD COLUMN run_id VARCHAR',
      'ALTER TABLE findings ADD COLUMN program VARCHAR',
      'ALTER TABLE findings ADD COLUMN count INTEGER',
      `CREATE TABLE runs (id VARCHAR, ref VARCHAR, trace_id VARCHAR, span_id VARCHAR, started_at TIMESTAMPTZ,
        ended_at TIMESTAMPTZ, agent VARCHAR, program VARCHAR, mode VARCHAR, containment VARCHAR, exit_code INTEGER,
        exit_signal VARCHAR, abandoned BOOLEAN, restarts INTEGER, direct_watched BOOLEAN, direct_connections INTEGER)`,
      `CREATE TABLE accounts (agent VARCHAR NOT NULL, place VARCHAR NOT NULL, kind VARCHAR NOT NULL,
        value VARCHAR NOT NULL, first_seen TIMESTAMPTZ, last_seen TIMESTAMPTZ, count BIGINT)`,
    ],
  },
  {
    to: 3,
    statements: [
      'ALTER TABLE destinations ADD COLUMN path_shapes VARCHAR[]',
      'ALTER TABLE destinations ADD COLUMN hours INTEGER',
      'ALTER TABLE exchanges ADD COLUMN redactions INTEGER',
      'ALTER TABLE exchanges ADD COLUMN llm_api VARCHAR',
      'ALTER TABLE exchanges ADD COLUMN llm_provider VARCHAR',
      'ALTER TABLE exchanges ADD COLUMN llm_model VARCHAR',
      'ALTER TABLE exchanges ADD COLUMN llm_input_tokens BIGINT',
      'ALTER TABLE exchanges ADD COLUMN llm_output_tokens BIGINT',
      'ALTER TABLE exchanges ADD COLUMN llm_cached_tokens BIGINT',
      'ALTER TABLE exchanges ADD COLUMN llm_tool_calls VARCHAR[]',
      'ALTER TABLE exchanges ADD COLUMN llm_finish VARCHAR[]',
      'ALTER TABLE exchanges ADD COLUMN llm_ttft_ms DOUBLE',
      'ALTER TABLE exchanges ADD COLUMN llm_cost DOUBLE',
      'ALTER TABLE exchanges ADD COLUMN mcp_method VARCHAR',
      'ALTER TABLE exchanges ADD COLUMN mcp_tool VARCHAR',
      'ALTER TABLE exchanges ADD COLUMN mcp_session VARCHAR',
      'ALTER TABLE exchanges ADD COLUMN mcp_error VARCHAR',
      `CREATE TABLE mcp_tools (agent VARCHAR NOT NULL, host VARCHAR NOT NULL, port INTEGER NOT NULL, tool VARCHAR NOT NULL,
        first_seen TIMESTAMPTZ, last_seen TIMESTAMPTZ, listed_at TIMESTAMPTZ, calls BIGINT, errors BIGINT)`,
    ],
  },
];

/** What a file has to become; injected by tests, so that the machinery is tested before the first real migration. */
export interface Target {
  readonly version: number;
  readonly migrations: readonly Migration[];
}

export const CURRENT: Target = { version: SCHEMA_VERSION, migrations: MIGRATIONS };

/** Opens a session on a file; given by `engine.ts`. */
export type Open = (file: string) => Promise<Session>;

/** Makes the tables in an empty file. */
export async function createSchema(session: Session, target: Target, createdBy: string): Promise<void> {
  await session.transaction(async () => {
    await session.run(META_DDL);
    for (const t of TABLES) await session.run(createTable(t));
    const initial: readonly (readonly [string, string | null])[] = [
      [META.version, String(SCHEMA_VERSION)],
      [META.createdBy, createdBy],
      [META.cursor, null],
      [META.rolling, null],
      [META.trustedClock, null],
      [META.clockWatched, '0'],
      [META.shedBytes, '0'],
      [META.shedFree, '0'],
    ];
    for (const [key, value] of initial) await session.run('INSERT INTO meta VALUES ($1, $2)', [key, value]);
    for (const step of stepsFrom(SCHEMA_VERSION, target)) await applyMigration(session, step);
  });
}

/** Makes tables that an early Weir gave a PRIMARY KEY anew without it (see `createTable` in schema.ts). */
export async function dropKeys(session: Session): Promise<void> {
  const keyed = await session.all("SELECT table_name FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'");
  if (keyed.length === 0) return;
  await session.transaction(async () => {
    for (const [name] of keyed) {
      const own = TABLES.find((t) => t.name === name);
      if (own === undefined && name !== 'meta') continue;
      // The columns are those the table has, whatever migrations it went through.
      await session.run(`CREATE TABLE ${name}_keyless AS FROM ${name}`);
      const keys = own === undefined ? ['key'] : own.columns.filter((c) => c.key).map((c) => c.name);
      for (const key of keys) await session.run(`ALTER TABLE ${name}_keyless ALTER "${key}" SET NOT NULL`);
      await session.run(`DROP TABLE ${name}`);
      await session.run(`ALTER TABLE ${name}_keyless RENAME TO ${name}`);
    }
  });
}

/** The version a file says it has; undefined when it is not a store at all. */
export async function readVersion(session: Session): Promise<number | undefined> {
  const rows = await session.all('SELECT value FROM meta WHERE key = $1', [META.version]).catch(() => []);
  const version = Number(rows[0]?.[0] ?? Number.NaN);
  return Number.isInteger(version) && version > 0 ? version : undefined;
}

/** Refuses a file of a newer Weir: never read with half an understanding, never moved aside. */
export function refuseNewer(file: string, version: number, target: Target): void {
  if (version <= target.version) return;
  throw new StoreError(
    'newer',
    `${file} was written by a newer Weir (schema version ${version}, this one knows ${target.version}): use the newer weir, or another state directory with --state-dir`,
  );
}

/**
 * Brings an older file up to date on a copy that is swapped in; until the rename the old file is untouched and stays
 * locked. Resolves with the session on the new file; the old session is closed. Rejects leaving the old file as it was.
 */
export async function migrate(session: Session, from: number, target: Target, open: Open): Promise<Session> {
  return swapInCopy(session, open, async (copy) => {
    await copy.transaction(async () => {
      for (const step of stepsFrom(from, target)) await applyMigration(copy, step);
    });
  });
}

/** Copies the database into a fresh file, lets `change` work on it, and puts it in the old one's place. */
export async function swapInCopy(
  session: Session,
  open: Open,
  change?: (copy: Session) => Promise<void>,
): Promise<Session> {
  const { file } = session;
  const copyFile = copyOf(file);
  removeCopy(file);
  try {
    await copyInto(session, copyFile);
    makePrivate(copyFile);
    if (change !== undefined) {
      const copy = await open(copyFile);
      try {
        await change(copy);
        await copy.checkpoint();
      } finally {
        copy.close();
      }
    }
    if (fs.existsSync(`${file}.wal`) || fs.existsSync(`${copyFile}.wal`)) {
      throw new Error(`the log of ${file} is not empty`);
    }
    replaceFile(copyFile, file);
  } catch (error) {
    removeCopy(file);
    throw new Error(`${file} could not be rewritten: ${messageOf(error)}`, { cause: error });
  }
  // The old inode was locked until here, so nobody could come between.
  session.close();
  return open(file);
}

/** Where a copy is made; a leftover of a crash is removed at the next start. */
export function copyOf(file: string): string {
  return `${file}.new`;
}

/** Removes an unfinished copy. */
export function removeCopy(file: string): void {
  fs.rmSync(copyOf(file), { force: true });
  fs.rmSync(`${copyOf(file)}.wal`, { force: true });
}

/** After this the write-ahead log is gone: everything is in the main file and in the copy. */
async function copyInto(session: Session, copyFile: string): Promise<void> {
  await session.checkpoint();
  const name = String((await session.all('SELECT current_database()'))[0]?.[0]);
  await session.run(`ATTACH ${literal(copyFile)} AS weir_copy`);
  try {
    await session.run(`COPY FROM DATABASE "${name.replaceAll('"', '""')}" TO weir_copy`);
    await session.run('CHECKPOINT weir_copy');
  } finally {
    await session.run('DETACH weir_copy').catch(() => undefined);
  }
}

function stepsFrom(version: number, target: Target): Migration[] {
  return target.migrations.filter((m) => m.to > version && m.to <= target.version).sort((a, b) => a.to - b.to);
}

async function applyMigration(session: Session, step: Migration): Promise<void> {
  for (const statement of step.statements) await session.run(statement);
  await session.run('UPDATE meta SET value = $2 WHERE key = $1', [META.version, String(step.to)]);
}
