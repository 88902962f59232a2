import type { AccountKind, AccountStat } from '../model/account.ts';
import { type AccountDelta, placeKey } from './aggregate.ts';
import { type BoundList, listValues } from './convert.ts';
import type { Session } from './session.ts';

/** Values kept of one kind at one place: memory judges none with more than half of it (`MANY` in inspect/account.ts). */
export const VALUES_KEPT = 64;
/** Places kept per agent, as many as `limits.destinations_per_agent` is at first. */
export const PLACES_KEPT = 10_000;

const COLUMNS = `unnest($1) AS agent, unnest($2) AS place, unnest($3) AS kind, unnest($4) AS value, unnest($5) AS first_seen,
  unnest($6) AS last_seen, unnest($7) AS count`;
const INSERT = `INSERT INTO accounts SELECT ${COLUMNS}`;
const SAME = 'a.agent = s.agent AND a.place = s.place AND a.kind = s.kind AND a.value = s.value';
/** Whether a known row is counted on (traffic) or never lowered (an import: the same file twice changes nothing). */
const ON_KNOWN = {
  add: `UPDATE accounts AS a SET
    first_seen = least(a.first_seen, s.first_seen),
    last_seen = greatest(a.last_seen, s.last_seen),
    count = a.count + s.count
  FROM (SELECT ${COLUMNS}) AS s WHERE ${SAME}`,
  merge: `UPDATE accounts AS a SET
    first_seen = least(a.first_seen, s.first_seen),
    last_seen = greatest(a.last_seen, s.last_seen),
    count = greatest(a.count, s.count)
  FROM (SELECT ${COLUMNS}) AS s WHERE ${SAME}`,
} as const;

/**
 * What a session's table holds, place by place as they are met: so the usual batch asks nothing, and a place that is full
 * costs nothing. Bounded; losing it costs time only.
 */
interface Known {
  /** By agent and `placeKey`. */
  readonly values: Map<string, Map<string, Set<string>>>;
  /** Places in the table, by agent. */
  readonly places: Map<string, number>;
  /** Places and values held here. */
  size: number;
}

const known = new WeakMap<Session, Known>();
const KNOWN_LIMIT = 50_000;

function knownOf(session: Session): Known {
  let found = known.get(session);
  if (found === undefined || found.size > KNOWN_LIMIT) {
    found = { values: new Map(), places: new Map(), size: 0 };
    known.set(session, found);
  }
  return found;
}

/** To be called when rows went away or a transaction was rolled back. */
export function forgetKnownAccounts(session: Session): void {
  known.delete(session);
}

/** Adds to the table what traffic taught, as far as there is room. Inside the caller's transaction. */
export function learnAccounts(session: Session, deltas: readonly AccountDelta[]): Promise<void> {
  return write(session, deltas, 'add');
}

/** Takes in what a person brought or accepted; never lowers what is known. */
export function mergeAccounts(session: Session, agent: string, stats: readonly AccountStat[]): Promise<void> {
  const unique = new Map<string, AccountDelta>();
  for (const stat of stats) {
    const [place, value] = [stat.place.toWellFormed(), stat.value.toWellFormed()];
    unique.set(JSON.stringify([stat.kind, place, value]), { ...stat, agent: agent.toWellFormed(), place, value });
  }
  return write(session, [...unique.values()], 'merge');
}

async function write(session: Session, deltas: readonly AccountDelta[], how: keyof typeof ON_KNOWN): Promise<void> {
  if (deltas.length === 0) return;
  const memory = knownOf(session);
  await meet(session, memory, deltas);
  const old: AccountDelta[] = [];
  const fresh: AccountDelta[] = [];
  for (const delta of deltas) {
    const values = valuesOf(memory, delta);
    if (values === undefined) continue;
    if (values.has(delta.value)) old.push(delta);
    else if (values.size < VALUES_KEPT) {
      values.add(delta.value);
      memory.size++;
      fresh.push(delta);
    }
  }
  await store(session, old, ON_KNOWN[how]);
  await store(session, fresh, INSERT);
}

/** The values known at a place, which is made known when its agent may have one more; undefined when not. */
function valuesOf(memory: Known, { agent, kind, place }: AccountDelta): Set<string> | undefined {
  const key = placeKey(kind, place);
  const found = memory.values.get(agent)?.get(key);
  if (found !== undefined) return found;
  const places = memory.places.get(agent) ?? 0;
  if (places >= PLACES_KEPT) return undefined;
  memory.places.set(agent, places + 1);
  return hold(memory, agent, key);
}

function hold(memory: Known, agent: string, key: string): Set<string> {
  let places = memory.values.get(agent);
  if (places === undefined) {
    places = new Map();
    memory.values.set(agent, places);
  }
  let values = places.get(key);
  if (values === undefined) {
    values = new Set();
    places.set(key, values);
    memory.size++;
  }
  return values;
}

/** Reads what the table holds of places not met before. */
async function meet(session: Session, memory: Known, deltas: readonly AccountDelta[]): Promise<void> {
  const strange = new Map<string, AccountDelta>();
  for (const delta of deltas) {
    const key = placeKey(delta.kind, delta.place);
    if (memory.values.get(delta.agent)?.has(key) !== true) strange.set(`${key}\n${delta.agent}`, delta);
  }
  if (strange.size === 0) return;
  const asked = [...strange.values()];
  const rows = await session.all(
    `SELECT agent, kind, place, value FROM accounts
     WHERE (agent, kind, place) IN (SELECT (unnest($1), unnest($2), unnest($3)))`,
    listValues([texts(asked.map((d) => d.agent)), texts(asked.map((d) => d.kind)), texts(asked.map((d) => d.place))]),
  );
  for (const [agent, kind, place, value] of rows as [string, AccountKind, string, string][]) {
    hold(memory, agent, placeKey(kind, place)).add(value);
    memory.size++;
  }
  const agents = new Set(asked.map((d) => d.agent).filter((agent) => !memory.places.has(agent)));
  if (agents.size === 0) return;
  const counts = await session.all(
    `SELECT agent, count(*) FROM (SELECT DISTINCT agent, kind, place FROM accounts WHERE agent IN (SELECT unnest($1)))
     GROUP BY agent`,
    listValues([texts([...agents])]),
  );
  for (const [agent, count] of counts) memory.places.set(agent as string, count as number);
}

function texts(cells: readonly string[]): BoundList {
  return { type: 'VARCHAR', cells };
}

async function store(session: Session, deltas: readonly AccountDelta[], sql: string): Promise<void> {
  if (deltas.length === 0) return;
  const changed = await session.runLists(sql, [
    texts(deltas.map((d) => d.agent)),
    texts(deltas.map((d) => d.place)),
    texts(deltas.map((d) => d.kind)),
    texts(deltas.map((d) => d.value)),
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.firstSeen) },
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.lastSeen) },
    { type: 'BIGINT', cells: deltas.map((d) => d.count) },
  ]);
  if (changed !== deltas.length) throw new Error(`${deltas.length} accounts were learned, ${changed} stored`);
}

/** Forgets what an agent uses at these hosts, and writes to where they are the service; none named = everywhere. */
export async function forgetAccounts(
  session: Session,
  agent: string,
  named: readonly { readonly host: string }[],
): Promise<void> {
  if (named.length === 0) {
    await session.run('DELETE FROM accounts WHERE agent = $1', [agent]);
    return;
  }
  await session.runLists('DELETE FROM accounts WHERE (agent, place) IN (SELECT (unnest($1), unnest($2)))', [
    texts(named.map(() => agent)),
    texts(named.map((d) => d.host)),
  ]);
}

/** Everything known, the oldest of a place first. None of a file no collector has migrated yet, which lacks the table. */
export async function readAccounts(session: Pick<Session, 'all'>): Promise<AccountStat[]> {
  const tables = await session.all(
    "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND table_name = 'accounts'",
  );
  if (tables.length === 0) return [];
  const rows = await session.all(
    `SELECT agent, place, kind, value, first_seen, last_seen, count FROM accounts
     ORDER BY agent, kind, place, first_seen, value`,
  );
  return rows.map(([agent, place, kind, value, firstSeen, lastSeen, count]) => ({
    agent: agent as string,
    place: place as string,
    kind: kind as AccountKind,
    value: value as string,
    firstSeen: firstSeen as number,
    lastSeen: lastSeen as number,
    count: count as number,
  }));
}
