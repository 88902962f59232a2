import type { Severity } from '../model/finding.ts';
import type { RecentExchange, RecentQuery } from '../model/recent.ts';
import type { PlainRow, Session } from './session.ts';

const EXCHANGE = `id, ref, started_at, agent, visibility, method, scheme, host, port, path, status, request_bytes, response_bytes,
  duration_ms, mode, verdict, action, would, first_seen, rules, outcome, error_type, state, kind`;

/** The finding that decides: the strongest disposition, then the higher severity (`verdict/judge.ts`). */
const WEIGHT = `CASE disposition WHEN 'block' THEN 30 WHEN 'redact' THEN 20 WHEN 'flag' THEN 10 ELSE 0 END +
  CASE severity WHEN 'critical' THEN 4 WHEN 'high' THEN 3 WHEN 'medium' THEN 2 WHEN 'low' THEN 1 ELSE 0 END`;

/** The newest exchanges, oldest first. History is read only when the open days have too few. */
export async function readRecent(session: Session, options: RecentQuery): Promise<RecentExchange[]> {
  const limit = Math.max(0, Math.min(Math.trunc(options.limit), 100_000));
  if (limit === 0) return [];
  let rows = await readExchanges(session, 'exchanges', options, limit);
  if (rows.length < limit) rows = await readExchanges(session, 'all_exchanges', options, limit);
  const found = rows.map(recentExchange);
  if (options.events === true) found.push(...(await readEvents(session, options, limit)));
  found.sort((a, b) => a.startedAt - b.startedAt || (a.id < b.id ? -1 : 1));
  return found.slice(-limit);
}

function filter(options: RecentQuery, time: string): string {
  const agent = options.agent === undefined ? 'true' : 'agent = $1';
  return `${agent} AND ${options.sinceMs === undefined ? 'true' : `epoch_ms(${time}) > ${Math.trunc(options.sinceMs)}`}`;
}

function readExchanges(session: Session, source: string, options: RecentQuery, limit: number): Promise<PlainRow[]> {
  const blocked = options.blocked === true ? "(action = 'block' OR would = 'block')" : 'true';
  return session.all(
    `WITH e AS MATERIALIZED (
       SELECT ${EXCHANGE} FROM ${source} WHERE ${filter(options, 'started_at')} AND ${blocked}
       ORDER BY started_at DESC, id DESC LIMIT ${limit}),
     f AS (
       SELECT exchange_id, arg_max(severity, ${WEIGHT}) AS severity, arg_max(message, ${WEIGHT}) AS message
       FROM findings WHERE exchange_id IN (SELECT id FROM e) GROUP BY exchange_id)
     SELECT e.*, f.severity, f.message FROM e LEFT JOIN f ON f.exchange_id = e.id`,
    options.agent === undefined ? undefined : [options.agent],
  );
}

/** Findings that have no line of their own among the exchanges (a forwarded CONNECT leaves no row), and the audit trail. */
async function readEvents(session: Session, options: RecentQuery, limit: number): Promise<RecentExchange[]> {
  const values = options.agent === undefined ? undefined : [options.agent];
  const where = filter(options, 'occurred_at');
  const blocked = options.blocked === true;
  const findings = await session.all(
    `SELECT id, occurred_at, agent, host, port, rule, severity, message, 'finding' FROM findings
     WHERE ${where} AND ${blocked ? "kind = 'event' AND disposition = 'block'" : "kind IN ('event', 'connect')"}
       AND (exchange_id IS NULL OR exchange_id NOT IN (SELECT id FROM exchanges))
     ORDER BY occurred_at DESC LIMIT ${limit}`,
    values,
  );
  if (blocked) return findings.map(recentEvent);
  const audit = await session.all(
    `SELECT id, occurred_at, agent, host, port, rule, severity, message, 'audit' FROM audit
     WHERE ${where} ORDER BY occurred_at DESC LIMIT ${limit}`,
    values,
  );
  return [...findings, ...audit].map(recentEvent);
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
    kind: row[23] as RecentExchange['kind'],
    severity: row[24] as Severity | null,
    message: row[25] as string | null,
  };
}

function recentEvent(row: PlainRow): RecentExchange {
  const id = row[0] as string;
  return {
    id,
    ref: id.slice(-10),
    startedAt: row[1] as number,
    agent: row[2] as string,
    visibility: '',
    method: '',
    scheme: '',
    host: (row[3] ?? '') as string,
    port: (row[4] ?? 0) as number,
    path: '',
    status: null,
    requestBytes: 0,
    responseBytes: 0,
    durationMs: 0,
    mode: '',
    verdict: '',
    action: '',
    would: '',
    firstSeen: false,
    rules: [row[5] as string],
    outcome: '',
    errorType: null,
    state: 'closed',
    kind: row[8] as 'finding' | 'audit',
    severity: row[6] as Severity | null,
    message: row[7] as string | null,
  };
}
