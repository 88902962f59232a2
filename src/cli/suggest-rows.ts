import type { Config } from '../config/schema.ts';
import type { OpenQuery } from '../store/query.ts';
import { storedSource } from './stored.ts';

/** Exchanges of one agent with one destination that are alike; what went on in the window. Times epoch ms. */
export interface RowGroup {
  readonly agent: string;
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly kind: string;
  /** All of them, and those that were blocked when they happened. */
  readonly count: number;
  readonly blocked: number;
  /** Answered without an error status; in a tunnel: anything came back. */
  readonly good: number;
  readonly first: number;
  readonly last: number;
  readonly requestBytes: number;
  /** The most frequent error or error status; empty when there was none. */
  readonly failure: string;
  /** How the paths of the good ones begin, three segments at most; undefined = too many to tell, or none was read. */
  readonly heads?: readonly string[];
  /** Bit n: in the hour n of some day (UTC) something went well. */
  readonly hours?: number;
}

/** What inspectors said of one agent's destination in the window, by rule. */
export interface FindingGroup {
  readonly agent: string;
  readonly host: string;
  readonly port: number;
  readonly rule: string;
  /** The latest sentence. */
  readonly message: string;
  readonly count: number;
  readonly first: number;
  readonly last: number;
}

export interface Rows {
  readonly groups: readonly RowGroup[];
  readonly findings: readonly FindingGroup[];
}

/** What keeps a destination off a list, beside everything severe. A first contact is not among it: that is what lists are for. */
const TOLD = "rule IN ('internal-address', 'risky-destination', 'generated-name', 'data-in-name')";
const HEAD = "regexp_extract(path, '^(?:/[^/?#]*){1,3}')";
/** More beginnings than these are no shape. */
const HEADS = 200;
const GOOD = `(kind = 'tunnel' AND response_bytes > 0) OR (kind <> 'tunnel' AND status < 400 AND outcome IN ('forwarded', 'client-gone'))`;

/** Reads the rows since then, summed up. Rejects with QueryError or StateError. */
export async function readRows(config: Config, since: number): Promise<Rows> {
  const [{ openQuery }, source] = await Promise.all([import('../store/query.ts'), storedSource(config)]);
  const from = `to_timestamp(${Math.max(0, Math.floor(since / 1000))})`;
  const groups = await rowsOf(
    await openQuery(
      source,
      // `weir verify` asks Weir itself: nothing went anywhere.
      `SELECT agent, host, port::DOUBLE, method, kind, count(*)::DOUBLE, (count(*) FILTER (action = 'block'))::DOUBLE,
         (count(*) FILTER (${GOOD}))::DOUBLE, min(epoch_ms(started_at))::DOUBLE, max(epoch_ms(started_at))::DOUBLE,
         coalesce(sum(request_bytes), 0)::DOUBLE, mode(coalesce(error_type, status::VARCHAR)) FILTER (NOT coalesce(${GOOD}, false)),
         CASE WHEN kind = 'exchange' AND count(DISTINCT ${HEAD}) <= ${HEADS} THEN list(DISTINCT ${HEAD}) FILTER (${GOOD}) END,
         bit_or(1 << extract(hour FROM started_at)::INTEGER) FILTER (${GOOD})
       FROM all_exchanges WHERE started_at >= ${from} AND outcome IS DISTINCT FROM 'answered' AND state = 'closed'
       GROUP BY agent, host, port, method, kind ORDER BY agent, host, port, method, kind`,
    ),
  );
  const findings = await rowsOf(
    await openQuery(
      source,
      `SELECT agent, host, port::DOUBLE, rule, arg_max(message, occurred_at), count(*)::DOUBLE, min(epoch_ms(occurred_at))::DOUBLE,
         max(epoch_ms(occurred_at))::DOUBLE
       FROM findings WHERE occurred_at >= ${from} AND host <> '' AND (${TOLD} OR severity IN ('high', 'critical'))
       GROUP BY agent, host, port, rule ORDER BY agent, host, port, rule`,
    ),
  );
  return { groups: groups.map(groupOf), findings: findings.map(findingOf) };
}

async function rowsOf(query: OpenQuery): Promise<unknown[][]> {
  const rows: unknown[][] = [];
  try {
    for (let chunk = await query.next(); chunk !== undefined; chunk = await query.next()) rows.push(...chunk);
    return rows;
  } finally {
    await query.close();
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number => (Number.isFinite(Number(value)) ? Number(value) : 0);

function groupOf(row: readonly unknown[]): RowGroup {
  return {
    agent: text(row[0]),
    host: text(row[1]),
    port: number(row[2]),
    method: text(row[3]),
    kind: text(row[4]),
    count: number(row[5]),
    blocked: number(row[6]),
    good: number(row[7]),
    first: number(row[8]),
    last: number(row[9]),
    requestBytes: number(row[10]),
    failure: text(row[11]),
    ...(Array.isArray(row[12]) ? { heads: row[12].map(String) } : {}),
    ...(row[13] === null || row[13] === undefined ? {} : { hours: number(row[13]) }),
  };
}

function findingOf(row: readonly unknown[]): FindingGroup {
  return {
    agent: text(row[0]),
    host: text(row[1]),
    port: number(row[2]),
    rule: text(row[3]),
    message: text(row[4]),
    count: number(row[5]),
    first: number(row[6]),
    last: number(row[7]),
  };
}
