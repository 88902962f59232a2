import type { StoredExchange, StoredFinding } from '../collector.ts';
import type { OpenQuery, QuerySource } from '../store/query.ts';
import { openQuery } from '../store/query.ts';

/** Which rows are replayed. */
export interface ReplayWindow {
  /** Epoch ms. */
  readonly since: number;
  /** A name, or a glob as in `agents:`. */
  readonly agent?: string | undefined;
}

/** Stored exchanges that are alike in everything the rules read. Times epoch ms. */
export interface StoredGroup extends StoredExchange {
  readonly count: number;
  readonly first: number;
  readonly last: number;
  /** Of the latest, at most three. */
  readonly refs: readonly string[];
}

/** Columns that are no columns of the table, or not as the rules want them. */
const MADE: Readonly<Record<string, string>> = {
  ever_dialled: 'e.peer_address IS NOT NULL',
  in_run: 'e.run_id IS NOT NULL',
  // What the agent met when it was no longer learning, and everything it did there since: where unknown is blocked nothing of it is learned.
  unknown: 'met.since IS NOT NULL AND e.started_at >= met.since',
  foreign: 'used.since IS NOT NULL AND e.started_at >= used.since',
  begun: 'e.tunnel_protocol IS NOT NULL OR e.ja4 IS NOT NULL',
  started_at: 'epoch_ms(e.started_at)::DOUBLE',
  port: 'e.port::DOUBLE',
};
/** Between the fields of a finding, and between findings: in no rule id. */
const FIELD = '\u001f';
const NEXT = '\u001e';

/** How many exchanges there are. Rejects with QueryError. */
export async function countRows(source: QuerySource, window: ReplayWindow): Promise<number> {
  const query = await openQuery(source, `SELECT count(*)::DOUBLE FROM all_exchanges e WHERE ${where(window)}`);
  try {
    return Number((await query.next())?.[0]?.[0] ?? 0);
  } finally {
    await query.close();
  }
}

/** From when on there are at most so many exchanges; the window's own beginning when there are no more. Rejects with QueryError. */
export async function latestSince(source: QuerySource, window: ReplayWindow, most: number): Promise<number> {
  const query = await openQuery(
    source,
    `SELECT epoch_ms(e.started_at)::DOUBLE FROM all_exchanges e WHERE ${where(window)}
     ORDER BY e.started_at DESC LIMIT 1 OFFSET ${most - 1}`,
  );
  try {
    return Number((await query.next())?.[0]?.[0] ?? window.since);
  } finally {
    await query.close();
  }
}

/** All exchanges of the window, summed up by these columns; chunk by chunk. Rejects with QueryError. */
export async function* storedGroups(
  source: QuerySource,
  columns: ReadonlySet<string>,
  window: ReplayWindow,
): AsyncGenerator<readonly StoredGroup[]> {
  const names = [...columns].filter((name) => name !== 'detail');
  const cells = names.map((name) => `${MADE[name] ?? `e."${name}"`} AS "${name}"`);
  const found = finding(columns.has('detail'));
  const query = await openQuery(
    source,
    `WITH found AS (
       SELECT exchange_id, string_agg(DISTINCT ${found}, '${NEXT}' ORDER BY ${found}) AS findings
       FROM findings WHERE exchange_id IS NOT NULL AND occurred_at >= ${from(window)} GROUP BY exchange_id)
     SELECT ${cells.join(', ')}, found.findings, count(*)::DOUBLE, min(epoch_ms(e.started_at))::DOUBLE,
       max(epoch_ms(e.started_at))::DOUBLE, arg_max(e.ref, e.started_at, 3)
     FROM all_exchanges e LEFT JOIN found ON found.exchange_id = e.id
       ${columns.has('unknown') ? MET : ''} ${columns.has('foreign') ? USED : ''}
     WHERE ${where(window)} GROUP BY ALL`,
  );
  try {
    for (let rows = await next(query); rows !== undefined; rows = await next(query))
      yield rows.map((row) => groupOf(row, names));
  } finally {
    await query.close();
  }
}

function next(query: OpenQuery): Promise<unknown[][] | undefined> {
  return query.next();
}

function finding(detail: boolean): string {
  const fingerprint = "regexp_extract(message, 'fingerprint ([0-9a-f]{16})', 1)";
  const address = "regexp_extract(message, '\\(([0-9a-fA-F.:]+)\\) is ', 1)";
  const more = detail ? `, CASE inspector WHEN 'address' THEN ${address} ELSE ${fingerprint} END` : '';
  return `concat_ws('${FIELD}', inspector, rule, severity, disposition${more})`;
}

/** First contacts after the learning. */
const MET = `LEFT JOIN (SELECT agent, host, port, min(started_at) AS since FROM all_exchanges
    WHERE first_seen AND baseline_state <> 'learning' GROUP BY ALL) met
  ON met.agent = e.agent AND met.host = e.host AND met.port = e.port`;
/** Credentials and tenants that were reported as never used there. */
const USED = `LEFT JOIN (SELECT x.agent, x.host, x.credential_fp, x.tenant, min(x.started_at) AS since
    FROM all_exchanges x JOIN findings f ON f.exchange_id = x.id AND f.inspector = 'account' GROUP BY ALL) used
  ON used.agent = e.agent AND used.host = e.host AND used.credential_fp IS NOT DISTINCT FROM e.credential_fp
    AND used.tenant IS NOT DISTINCT FROM e.tenant`;

function from({ since }: ReplayWindow): string {
  return `to_timestamp(${Math.max(0, Math.floor(since / 1000))})`;
}

/** `weir verify` asks Weir itself; what is still open is judged no further than by its head. */
function where(window: ReplayWindow): string {
  const named = window.agent?.includes('*') ? 'GLOB' : '=';
  const agent = window.agent === undefined ? '' : ` AND e.agent ${named} '${window.agent.replaceAll("'", "''")}'`;
  return `e.started_at >= ${from(window)} AND e.state = 'closed' AND e.outcome IS DISTINCT FROM 'answered'${agent}`;
}

function groupOf(row: readonly unknown[], names: readonly string[]): StoredGroup {
  const cells: Record<string, unknown> = {};
  for (const [index, name] of names.entries()) cells[name] = row[index];
  const [findings, count, first, last, refs] = row.slice(names.length);
  return {
    cells,
    findings: typeof findings === 'string' ? findingsOf(findings) : NONE,
    count: Number(count),
    first: Number(first),
    last: Number(last),
    refs: Array.isArray(refs) ? refs.map(String) : [],
  };
}

const NONE: readonly StoredFinding[] = [];
const known = new Map<string, readonly StoredFinding[]>();
const KNOWN = 10_000;

/** The same few lists come again and again. */
function findingsOf(text: string): readonly StoredFinding[] {
  const cached = known.get(text);
  if (cached !== undefined) return cached;
  const findings = text.split(NEXT).map((one): StoredFinding => {
    const [inspector = '', rule = '', severity = '', disposition = '', detail] = one.split(FIELD);
    const finding = { inspector, rule, severity, disposition } as StoredFinding;
    return detail ? { ...finding, detail } : finding;
  });
  if (known.size >= KNOWN) known.clear();
  known.set(text, findings);
  return findings;
}
