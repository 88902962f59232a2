import type { Severity } from '../model/finding.ts';
import type { ReportDestination, ReportDirect, ReportLeaving, ReportNew, ReportUnread } from '../model/report.ts';
import { number, type ReadAll, type Sources, text } from './report-sources.ts';

/** Rule of a destination first used while its agent was learning; no finding tells it. */
const FIRST_CONTACT = 'first-contact';
/** Inspectors whose findings are news about where, and with which account, an agent goes. */
const NEWS = "('baseline', 'account')";
/** What was found in content that leaves, and in content that came in; not that something was not looked at. */
const CONTENT = "f.inspector IN ('scan', 'scan-response') AND f.rule NOT IN ('unscanned', 'inspector-failed')";
const LIMITS = { top: 20, new: 50, leaving: 50, direct: 20, unread: 20, hosts: 1000 } as const;

const WEIGHT = `CASE severity WHEN 'critical' THEN 4 WHEN 'high' THEN 3 WHEN 'medium' THEN 2 WHEN 'low' THEN 1 ELSE 0 END`;
/** What was done, and what a stricter mode would have done, over all findings of a group. */
const DONE = `CASE WHEN bool_or(action = 'block') THEN 'block' WHEN bool_or(action = 'redact') THEN 'redact' ELSE 'forward' END`;
const WOULD = `CASE WHEN bool_or(disposition = 'block' AND coalesce(action, 'forward') <> 'block') THEN 'block'
  WHEN bool_or(disposition = 'redact' AND coalesce(action, 'forward') = 'forward') THEN 'redact' ELSE 'none' END`;

/** Most requests first. `tokens`: whether they are recorded. */
export async function readTop(all: ReadAll, { exchanges }: Sources, tokens: boolean): Promise<ReportDestination[]> {
  const counted = tokens ? 'sum(llm_input_tokens)::DOUBLE, sum(llm_output_tokens)::DOUBLE' : 'NULL, NULL';
  const rows = await all(
    `SELECT host, port, tenant, count(*)::DOUBLE AS n, sum(request_bytes)::DOUBLE AS sent, sum(response_bytes)::DOUBLE,
       (count(*) FILTER (outcome = 'failed'))::DOUBLE, ${counted} FROM ${exchanges} WHERE action <> 'block'
     GROUP BY host, port, tenant ORDER BY n DESC, sent DESC, host, port, tenant LIMIT ${LIMITS.top}`,
  );
  return rows.map((row) => ({
    host: text(row[0]),
    port: number(row[1]),
    ...(typeof row[2] === 'string' && row[2] !== '' ? { tenant: row[2] } : {}),
    requests: number(row[3]),
    requestBytes: number(row[4]),
    responseBytes: number(row[5]),
    ...(number(row[6]) > 0 ? { failed: number(row[6]) } : {}),
    ...(typeof row[7] === 'number' ? { inputTokens: row[7] } : {}),
    ...(typeof row[8] === 'number' ? { outputTokens: row[8] } : {}),
  }));
}

/** A list and how long it would be uncut. */
export interface Listed<T> {
  readonly list: readonly T[];
  /** Before the list was cut. */
  readonly total: number;
}

/** A name given to `weir run` is no news of that run; otherwise it is news of the agent, wherever it went first. */
export async function readNew(all: ReadAll, from: Sources, single: boolean): Promise<Listed<ReportNew>> {
  const rows = await all(
    `WITH f AS (
       SELECT rule, agent, CASE WHEN rule = 'agent-first-seen' THEN '' ELSE coalesce(host, '') END AS host,
         CASE WHEN rule = 'agent-first-seen' THEN 0 ELSE coalesce(port, 0) END AS port,
         arg_max(message, occurred_at) AS message, arg_max(severity, ${WEIGHT}) AS severity, ${DONE} AS done,
         ${WOULD} AS would, max(${WEIGHT}) AS weight, min(occurred_at) AS at
       FROM ${from.findings}
       WHERE inspector IN ${NEWS} AND ${single ? "rule <> 'agent-first-seen'" : 'true'} GROUP BY ALL),
     sent AS (SELECT agent, host, port, sum(request_bytes)::DOUBLE AS bytes FROM ${from.exchanges} GROUP BY ALL)
     SELECT f.rule, f.agent, f.host, f.port, f.message, coalesce(sent.bytes, 0), f.severity, f.done, f.would,
       (count(*) OVER ())::DOUBLE
     FROM f LEFT JOIN sent USING (agent, host, port)
     ORDER BY f.weight DESC, f.host = '', f.at, f.host, f.rule LIMIT ${LIMITS.new}`,
  );
  return listed(rows, 9, (row) => ({
    rule: text(row[0]),
    agent: text(row[1]),
    host: text(row[2]),
    port: number(row[3]),
    message: text(row[4]),
    requestBytes: number(row[5]),
    severity: text(row[6]) as Severity,
    action: text(row[7]) as NonNullable<ReportNew['action']>,
    would: text(row[8]) as NonNullable<ReportNew['would']>,
  }));
}

/** What was used for the first time while the agent was learning, oldest first. */
export async function readFirstContacts(all: ReadAll, { exchanges }: Sources): Promise<Listed<ReportNew>> {
  const rows = await all(
    `SELECT agent, host, port, sum(request_bytes)::DOUBLE, (count(*) OVER ())::DOUBLE FROM ${exchanges}
     GROUP BY agent, host, port HAVING bool_or(first_seen AND baseline_state = 'learning')
     ORDER BY min(started_at), host, port LIMIT ${LIMITS.new}`,
  );
  return listed(rows, 4, (row) => ({
    rule: FIRST_CONTACT,
    agent: text(row[0]),
    host: text(row[1]),
    port: number(row[2]),
    message: 'first contact while learning',
    requestBytes: number(row[3]),
  }));
}

/** What the scan found, by rule and place. */
export async function readLeaving(all: ReadAll, from: Sources): Promise<Listed<ReportLeaving>> {
  const rows = await all(
    `SELECT f.rule, coalesce(e.method, ''), coalesce(f.host, ''), coalesce(split_part(e.path, '?', 1), '') AS path,
       count(*)::DOUBLE AS n, ${DONE.replaceAll('action', 'f.action')}, ${WOULD.replaceAll('action', 'f.action').replaceAll('disposition', 'f.disposition')},
       (count(*) OVER ())::DOUBLE, f.inspector = 'scan-response'
     FROM ${from.findings} AS f
     LEFT JOIN (SELECT id, any_value(method) AS method, any_value(path) AS path FROM ${from.exchanges} GROUP BY id) AS e
       ON e.id = f.exchange_id
     WHERE ${CONTENT} GROUP BY f.rule, f.inspector, e.method, f.host, split_part(e.path, '?', 1)
     ORDER BY f.inspector, max(${WEIGHT.replace('severity', 'f.severity')}) DESC, n DESC, f.rule, f.host, path LIMIT ${LIMITS.leaving}`,
  );
  return listed(rows, 7, (row) => ({
    rule: text(row[0]),
    method: text(row[1]),
    host: text(row[2]),
    path: text(row[3]),
    count: number(row[4]),
    action: text(row[5]) as ReportLeaving['action'],
    would: text(row[6]) as ReportLeaving['would'],
    ...(row[8] === true ? { incoming: true as const } : {}),
  }));
}

/** A finding tells sockets seen so far, so of several about one target the last counts. */
export async function readDirect(all: ReadAll, { findings }: Sources): Promise<ReportDirect[]> {
  const rows = await all(
    `SELECT program, host, port, sum(seen)::DOUBLE AS n FROM (
       SELECT coalesce(program, '') AS program, coalesce(host, '') AS host, coalesce(port, 0) AS port, run_id,
         max(coalesce("count", 1)) AS seen
       FROM ${findings} WHERE rule = 'direct-connection' GROUP BY ALL)
     GROUP BY program, host, port ORDER BY n DESC, program, host, port LIMIT ${LIMITS.direct}`,
  );
  return rows.map((row) => ({
    program: text(row[0]),
    address: text(row[1]),
    port: number(row[2]),
    count: number(row[3]),
  }));
}

/** Tunnels that should have been read, and clients that broke off because of our certificate. */
export async function readUnread(all: ReadAll, { exchanges }: Sources): Promise<ReportUnread[]> {
  const rows = await all(
    `SELECT reason, client, list(host ORDER BY n DESC, host)[1:${LIMITS.hosts}], sum(n)::DOUBLE AS total FROM (
       SELECT interception_skipped AS reason, regexp_extract(coalesce(user_agent, ''), '^[^/ ]+') AS client, host,
         count(*) AS n
       FROM ${exchanges} WHERE interception_skipped IS NOT NULL AND action <> 'block'
         AND (kind = 'tunnel' OR interception_skipped = 'client-rejected-ca') GROUP BY ALL)
     GROUP BY reason, client ORDER BY total DESC, reason, client LIMIT ${LIMITS.unread}`,
  );
  return rows.map((row) => ({
    reason: text(row[0]),
    ...(text(row[1]) === '' ? {} : { client: text(row[1]) }),
    hosts: Array.isArray(row[2]) ? row[2].map(text) : [],
  }));
}

function listed<T>(rows: readonly (readonly unknown[])[], total: number, make: (row: readonly unknown[]) => T) {
  return { list: rows.map(make), total: number(rows[0]?.[total]) };
}
