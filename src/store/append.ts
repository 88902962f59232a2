import type { ConnectionRecord, EventRecord, ExchangeRecord, RunRecord, WeirRecord } from '../model/record.ts';
import { baselineSteps } from './aggregate.ts';
import { applyStep, forgetKnown } from './baseline.ts';
import type { BoundList } from './convert.ts';
import { learnTools } from './mcp-tools.ts';
import {
  auditRow,
  connectionRow,
  eventFindingRow,
  exchangeRow,
  findingRows,
  hasExchangeRow,
  type Row,
  runRow,
} from './row.ts';
import { META } from './schema.ts';
import { GROUP_ROWS, type Session } from './session.ts';

/** A batch as rows: what goes away and what comes. Pure; journal order decides when ids repeat. */
export interface Plan {
  /** Ids whose open row is replaced. */
  readonly replaced: readonly string[];
  /** `[exchange id, kind]` whose findings are replaced. */
  readonly replacedFindings: readonly (readonly [string, string])[];
  readonly exchanges: readonly ExchangeRecord[];
  readonly connections: readonly ConnectionRecord[];
  readonly findings: readonly Row[];
  readonly audit: readonly EventRecord[];
  readonly runs: readonly RunRecord[];
  /** Records whose row is not stored because the disk is nearly full; their findings and aggregates are. */
  readonly shed: number;
}

/** Maps a batch. `shedding` keeps only findings, audit and aggregates (`store.min_free_bytes`). */
export function planBatch(batch: readonly WeirRecord[], shedding: boolean): Plan {
  const exchanges = new Map<string, ExchangeRecord>();
  const findings = new Map<string, Row[]>();
  const replaced: string[] = [];
  const replacedFindings: [string, string][] = [];
  const connections: ConnectionRecord[] = [];
  const events: Row[] = [];
  const audit: EventRecord[] = [];
  const runs: RunRecord[] = [];
  let shed = 0;
  for (const record of batch) {
    switch (record.kind) {
      case 'exchange':
      case 'connect':
      case 'tunnel': {
        if (record.wasOpen) {
          replaced.push(record.id);
          replacedFindings.push([record.id, record.kind]);
        }
        exchanges.delete(record.id);
        if (hasExchangeRow(record)) {
          if (shedding) shed++;
          else exchanges.set(record.id, record);
        }
        // Also when there are none now: an open row of the same batch may have had some.
        if (record.wasOpen || record.findings.length > 0) findings.set(findingsKey(record), findingRows(record));
        break;
      }
      case 'connection':
        if (shedding) shed++;
        else connections.push(record);
        break;
      case 'run':
        if (shedding) shed++;
        else runs.push(record);
        break;
      case 'finding':
        events.push(eventFindingRow(record));
        break;
      case 'audit':
        audit.push(record);
        break;
      case 'baseline-edit':
        break;
    }
  }
  return {
    replaced,
    replacedFindings,
    exchanges: [...exchanges.values()],
    connections,
    findings: [...findings.values()].flat().concat(events),
    audit,
    runs,
    shed,
  };
}

function findingsKey(record: ExchangeRecord): string {
  return `${record.id}\0${record.kind}`;
}

/**
 * Writes batches and moves the cursor in ONE transaction: after a `kill -9` the journal is replayed from the cursor, so
 * every record is here exactly once. Rejects with nothing written. Returns the number of rows shed per batch.
 */
export async function appendBatches(
  session: Session,
  batches: readonly (readonly WeirRecord[])[],
  cursor: number,
  shedding: boolean,
): Promise<number[]> {
  const records = batches.length === 1 ? (batches[0] as readonly WeirRecord[]) : batches.flat();
  const plan = planBatch(records, shedding);
  const most = Math.max(plan.exchanges.length, plan.connections.length, plan.findings.length);
  // Neither here nor there on a full disk: what matters is whether the rows go in.
  if (session.appended() + most > GROUP_ROWS) await session.checkpoint().catch(() => undefined);
  try {
    await session.transaction(() => writePlan(session, plan, records, cursor));
  } catch (error) {
    forgetKnown(session);
    throw error;
  }
  return shedding ? batches.map((batch) => planBatch(batch, true).shed) : batches.map(() => 0);
}

async function writePlan(session: Session, plan: Plan, records: readonly WeirRecord[], cursor: number): Promise<void> {
  await removeReplaced(session, plan);
  await session.append('exchanges', plan.exchanges, exchangeRow);
  await session.append('connections', plan.connections, connectionRow);
  await session.append('findings', plan.findings, (row) => row);
  await session.append('audit', plan.audit, auditRow);
  await session.append('runs', plan.runs, runRow);
  for (const step of baselineSteps(records)) await applyStep(session, step);
  await learnTools(session, records);
  if (plan.shed > 0) {
    await session.run('UPDATE meta SET value = (value::BIGINT + $2)::VARCHAR WHERE key = $1', [
      META.shedFree,
      plan.shed,
    ]);
  }
  await session.run('UPDATE meta SET value = $2 WHERE key = $1', [META.cursor, String(cursor)]);
}

async function removeReplaced(session: Session, plan: Plan): Promise<void> {
  if (plan.replaced.length === 0) return;
  const sorted = [...plan.replaced].sort();
  const ids: BoundList = { type: 'VARCHAR', cells: sorted };
  const ends: BoundList = { type: 'VARCHAR', cells: [sorted[0] as string, sorted.at(-1) as string] };
  // Ids begin with their time: the range lets DuckDB skip every row group of other hours.
  const range = 'BETWEEN $2[1] AND $2[2]';
  await session.runLists(`DELETE FROM exchanges WHERE id ${range} AND id IN (SELECT unnest($1)) AND state = 'open'`, [
    ids,
    ends,
  ]);
  await session.runLists(
    `DELETE FROM findings WHERE exchange_id ${range} AND (exchange_id, kind) IN (SELECT (unnest($1), unnest($3)))`,
    [
      { type: 'VARCHAR', cells: plan.replacedFindings.map((f) => f[0]) },
      ends,
      { type: 'VARCHAR', cells: plan.replacedFindings.map((f) => f[1]) },
    ],
  );
}

/** Journal sequence number of the last record in this file. */
export async function readCursor(session: Session): Promise<number | undefined> {
  const value = await readMeta(session, META.cursor);
  return value === undefined ? undefined : Number(value);
}

/** A value of `meta`; undefined when NULL or absent. */
export async function readMeta(session: Session, key: string): Promise<string | undefined> {
  const rows = await session.all('SELECT value FROM meta WHERE key = $1', [key]);
  return (rows[0]?.[0] ?? undefined) as string | undefined;
}

/** Sets a value of `meta`. */
export async function writeMeta(session: Session, key: string, value: string | null): Promise<void> {
  await session.run(
    `MERGE INTO meta AS m USING (SELECT $1::VARCHAR AS key, $2::VARCHAR AS value) AS s ON m.key = s.key
     WHEN MATCHED THEN UPDATE SET value = s.value
     WHEN NOT MATCHED THEN INSERT VALUES (s.key, s.value)`,
    [key, value],
  );
}
