import type { BaselineEdit, DestinationStat } from '../model/record.ts';
import { forgetAccounts, forgetKnownAccounts, learnAccounts, mergeAccounts } from './account.ts';
import { type AgentDelta, type DestinationDelta, isPort, SHAPES_KEPT, type Step } from './aggregate.ts';
import { HOURS_UNION, METHODS, METHODS_UNION, SHAPES, SHAPES_UNION } from './baseline-lists.ts';
import type { Session } from './session.ts';

/** Parameters of both ways to learn destinations. MERGE, because the tables have no key (see `createTable`). */
const DESTINATION_LISTS = `(SELECT unnest($1) AS agent, unnest($2) AS host, unnest($3) AS port, unnest($4) AS first_seen,
  unnest($5) AS last_seen, unnest($6) AS count, unnest($7) AS request_bytes, unnest($8) AS response_bytes, unnest($9) AS methods,
  unnest($10) AS path_shapes, unnest($11) AS hours)`;
const LEARN_DESTINATIONS = `
  MERGE INTO destinations AS d USING ${DESTINATION_LISTS} AS s
  ON d.agent = s.agent AND d.host = s.host AND d.port = s.port
  WHEN MATCHED THEN UPDATE SET
    first_seen = least(d.first_seen, s.first_seen),
    last_seen = greatest(d.last_seen, s.last_seen),
    count = d.count + s.count,
    request_bytes = d.request_bytes + s.request_bytes,
    response_bytes = d.response_bytes + s.response_bytes,
    methods = ${METHODS_UNION},
    path_shapes = ${SHAPES_UNION},
    hours = ${HOURS_UNION}
  WHEN NOT MATCHED THEN INSERT
    VALUES (s.agent, s.host, s.port, s.first_seen, s.last_seen, s.count, s.request_bytes, s.response_bytes, ${METHODS}, 'learned',
      ${SHAPES}, s.hours)`;

/** The usual case costs a third: the row is there and knows the methods and shapes, so no key and no list is touched. */
const COUNT_DESTINATIONS = `
  UPDATE destinations AS d SET
    first_seen = least(d.first_seen, s.first_seen),
    last_seen = greatest(d.last_seen, s.last_seen),
    count = d.count + s.count,
    request_bytes = d.request_bytes + s.request_bytes,
    response_bytes = d.response_bytes + s.response_bytes,
    hours = ${HOURS_UNION}
  FROM ${DESTINATION_LISTS} AS s
  WHERE d.agent = s.agent AND d.host = s.host AND d.port = s.port`;

const AGENT_LISTS = `(SELECT unnest($1) AS agent, unnest($2) AS first_seen, unnest($3) AS last_seen, unnest($4) AS requests,
  unnest($5) AS last_new_at)`;
const LEARN_AGENTS = `
  MERGE INTO agents AS a USING ${AGENT_LISTS} AS s ON a.agent = s.agent
  WHEN MATCHED THEN UPDATE SET
    first_seen = least(a.first_seen, s.first_seen),
    last_seen = greatest(a.last_seen, s.last_seen),
    requests = a.requests + s.requests,
    last_new_at = greatest(a.last_new_at, s.last_new_at)
  WHEN NOT MATCHED THEN INSERT VALUES (s.agent, s.first_seen, s.last_seen, s.requests, s.last_new_at, false)`;

const COUNT_AGENTS = `
  UPDATE agents AS a SET
    first_seen = least(a.first_seen, s.first_seen),
    last_seen = greatest(a.last_seen, s.last_seen),
    requests = a.requests + s.requests,
    last_new_at = greatest(a.last_new_at, s.last_new_at)
  FROM ${AGENT_LISTS} AS s
  WHERE a.agent = s.agent`;

/** What an edit does to a destination that is there already. `import` never lowers what is known. */
const ON_EDIT = {
  status: 'status = s.status',
  merge: `first_seen = least(d.first_seen, s.first_seen),
    last_seen = greatest(d.last_seen, s.last_seen),
    count = greatest(d.count, s.count),
    request_bytes = greatest(d.request_bytes, s.request_bytes),
    response_bytes = greatest(d.response_bytes, s.response_bytes),
    methods = ${METHODS_UNION},
    path_shapes = ${SHAPES_UNION},
    hours = ${HOURS_UNION},
    status = CASE WHEN s.status = 'learned' THEN d.status ELSE s.status END`,
} as const;

/** What is known to be in a session's tables. Bounded; losing it costs time only. */
interface Known {
  /** Agents, and destinations with a method or a shape. */
  readonly keys: Set<string>;
  /** Destination → how many shapes were learned of it. */
  readonly shapes: Map<string, number>;
}

const known = new WeakMap<Session, Known>();
const KNOWN_LIMIT = 50_000;

function knownOf(session: Session): Known {
  let found = known.get(session);
  if (found === undefined || found.keys.size > KNOWN_LIMIT) {
    found = { keys: new Set(), shapes: new Map() };
    known.set(session, found);
  }
  return found;
}

/** To be called when rows went away or a transaction was rolled back. */
export function forgetKnown(session: Session): void {
  known.delete(session);
  forgetKnownAccounts(session);
}

/** Applies one step of a batch inside the caller's transaction; when that fails, `forgetKnown` must be called. */
export async function applyStep(session: Session, step: Step): Promise<void> {
  if (step.kind === 'edit') {
    forgetKnown(session);
    await applyEdit(session, step.edit);
    return mergeAccounts(session, step.edit.agent, step.edit.accounts ?? []);
  }
  const here = knownOf(session);
  const { keys: set } = here;
  await learnDestinations(
    session,
    step.destinations.filter((d) => isKnown(here, d)),
    COUNT_DESTINATIONS,
  );
  const fresh = step.destinations.filter((d) => !isKnown(here, d));
  await learnDestinations(session, fresh, LEARN_DESTINATIONS);
  for (const d of fresh) remember(here, d);
  await learnAgents(
    session,
    step.agents.filter((a) => set.has(a.agent)),
    COUNT_AGENTS,
  );
  const newcomers = step.agents.filter((a) => !set.has(a.agent));
  await learnAgents(session, newcomers, LEARN_AGENTS);
  for (const a of newcomers) set.add(a.agent);
  await learnAccounts(session, step.accounts);
}

/** Of a destination that has as many shapes as are kept, new ones are not worth the dearer way. */
function isKnown({ keys, shapes }: Known, d: DestinationDelta): boolean {
  if (!methodKeys(d).every((key) => keys.has(key))) return false;
  return (shapes.get(placeOf(d)) ?? 0) >= SHAPES_KEPT || shapeKeys(d).every((key) => keys.has(key));
}

function remember({ keys, shapes }: Known, d: DestinationDelta): void {
  for (const key of methodKeys(d)) keys.add(key);
  const fresh = shapeKeys(d).filter((key) => !keys.has(key));
  for (const key of fresh) keys.add(key);
  if (fresh.length > 0) shapes.set(placeOf(d), (shapes.get(placeOf(d)) ?? 0) + fresh.length);
}

/** A line feed keeps them apart from names of agents. */
function placeOf({ agent, host, port }: DestinationDelta): string {
  return `${agent}\n${host}\n${port}\n`;
}

function methodKeys(d: DestinationDelta): string[] {
  return Array.from(d.methods, (method) => placeOf(d) + method);
}

/** A shape begins with a slash, no method does. */
function shapeKeys(d: DestinationDelta): string[] {
  return Array.from(d.pathShapes, (shape) => placeOf(d) + shape);
}

async function learnDestinations(session: Session, deltas: readonly DestinationDelta[], sql: string): Promise<void> {
  if (deltas.length === 0) return;
  const changed = await session.runLists(sql, [
    { type: 'VARCHAR', cells: deltas.map((d) => d.agent) },
    { type: 'VARCHAR', cells: deltas.map((d) => d.host) },
    { type: 'INTEGER', cells: deltas.map((d) => d.port) },
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.firstSeen) },
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.lastSeen) },
    { type: 'BIGINT', cells: deltas.map((d) => d.count) },
    { type: 'BIGINT', cells: deltas.map((d) => d.requestBytes) },
    { type: 'BIGINT', cells: deltas.map((d) => d.responseBytes) },
    // A method cannot hold a line feed (RFC 9110 §5.6.2), so it separates them in one string.
    { type: 'VARCHAR', cells: deltas.map((d) => [...d.methods].join('\n')) },
    { type: 'VARCHAR', cells: deltas.map((d) => [...d.pathShapes].join('\n')) },
    { type: 'INTEGER', cells: deltas.map((d) => d.hours) },
  ]);
  if (changed !== deltas.length) throw new Error(`${deltas.length} destinations were learned, ${changed} stored`);
}

async function learnAgents(session: Session, deltas: readonly AgentDelta[], sql: string): Promise<void> {
  if (deltas.length === 0) return;
  const changed = await session.runLists(sql, [
    { type: 'VARCHAR', cells: deltas.map((d) => d.agent) },
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.firstSeen) },
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.lastSeen) },
    { type: 'BIGINT', cells: deltas.map((d) => d.requests) },
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.lastNewAt) },
  ]);
  if (changed !== deltas.length) throw new Error(`${deltas.length} agents were learned, ${changed} stored`);
}

async function applyEdit(session: Session, edit: BaselineEdit): Promise<void> {
  const { agent, destinations: named } = edit;
  switch (edit.verb) {
    case 'accept':
      if (named.length > 0) return editDestinations(session, edit, 'status', 'accepted');
      await session.run("UPDATE destinations SET status = 'accepted' WHERE agent = $1 AND status = 'learned'", [agent]);
      return;
    case 'ignore':
      if (named.length > 0) return editDestinations(session, edit, 'status', 'ignored');
      await session.run("UPDATE destinations SET status = 'ignored' WHERE agent = $1", [agent]);
      return;
    case 'forget':
      return forget(session, agent, named);
    case 'lock':
    case 'unlock':
      await ensureAgent(session, agent, edit.at);
      await session.run('UPDATE agents SET locked = $2 WHERE agent = $1', [agent, edit.verb === 'lock']);
      return;
    case 'import':
      return importStats(session, edit);
  }
}

async function editDestinations(
  session: Session,
  edit: BaselineEdit,
  how: keyof typeof ON_EDIT,
  status?: DestinationStat['status'],
): Promise<void> {
  // The same destination twice in one MERGE is an error; the last one counts.
  const usable = edit.destinations.filter((d) => isPort(d.port));
  const unique = new Map(usable.map((d) => [`${d.host.toWellFormed()}\0${d.port}`, d]));
  const stats = [...unique.values()];
  await session.runLists(
    `MERGE INTO destinations AS d
     USING (SELECT unnest($1) AS agent, unnest($2) AS host, unnest($3) AS port, unnest($4) AS first_seen, unnest($5) AS last_seen,
                   unnest($6) AS count, unnest($7) AS request_bytes, unnest($8) AS response_bytes, unnest($9) AS methods,
                   unnest($10) AS path_shapes, unnest($11) AS hours, unnest($12) AS status) AS s
     ON d.agent = s.agent AND d.host = s.host AND d.port = s.port
     WHEN MATCHED THEN UPDATE SET ${ON_EDIT[how]}
     WHEN NOT MATCHED THEN INSERT
       VALUES (s.agent, s.host, s.port, s.first_seen, s.last_seen, s.count, s.request_bytes, s.response_bytes, ${METHODS}, s.status,
         ${SHAPES}, s.hours)`,
    [
      { type: 'VARCHAR', cells: stats.map(() => edit.agent) },
      { type: 'VARCHAR', cells: stats.map((d) => d.host) },
      { type: 'INTEGER', cells: stats.map((d) => d.port) },
      { type: 'TIMESTAMPTZ', cells: stats.map((d) => d.firstSeen) },
      { type: 'TIMESTAMPTZ', cells: stats.map((d) => d.lastSeen) },
      { type: 'BIGINT', cells: stats.map((d) => d.count) },
      { type: 'BIGINT', cells: stats.map((d) => d.requestBytes) },
      { type: 'BIGINT', cells: stats.map((d) => d.responseBytes) },
      { type: 'VARCHAR', cells: stats.map((d) => d.methods.join('\n')) },
      { type: 'VARCHAR', cells: stats.map((d) => (d.pathShapes ?? []).join('\n')) },
      { type: 'INTEGER', cells: stats.map((d) => d.hours ?? 0) },
      { type: 'VARCHAR', cells: stats.map((d) => status ?? d.status) },
    ],
  );
  await ensureAgent(session, edit.agent, edit.at);
}

async function forget(session: Session, agent: string, named: readonly DestinationStat[]): Promise<void> {
  await forgetAccounts(session, agent, named);
  if (named.length === 0) {
    await session.run('DELETE FROM destinations WHERE agent = $1', [agent]);
    await session.run('DELETE FROM agents WHERE agent = $1', [agent]);
    return;
  }
  await session.runLists(
    `DELETE FROM destinations WHERE (agent, host, port) IN
       (SELECT (unnest($1), unnest($2), unnest($3)))`,
    [
      { type: 'VARCHAR', cells: named.map(() => agent) },
      { type: 'VARCHAR', cells: named.map((d) => d.host) },
      { type: 'INTEGER', cells: named.map((d) => d.port) },
    ],
  );
}

/** An agent known only by an edit has taught nothing: no requests, nothing new. */
async function ensureAgent(session: Session, agent: string, at: number): Promise<void> {
  await session.runLists(
    `MERGE INTO agents AS a USING (SELECT unnest($1) AS agent, unnest($2) AS at) AS s ON a.agent = s.agent
     WHEN NOT MATCHED THEN INSERT VALUES (s.agent, s.at, s.at, 0, NULL, false)`,
    [
      { type: 'VARCHAR', cells: [agent] },
      { type: 'TIMESTAMPTZ', cells: [at] },
    ],
  );
}

/** `baseline import` and `baseline.seed`: the agent is as old and as busy as the stats say, so that a new pod is not a newborn. */
async function importStats(session: Session, edit: BaselineEdit): Promise<void> {
  if (edit.destinations.length === 0) return ensureAgent(session, edit.agent, edit.at);
  await editDestinations(session, edit, 'merge');
  await session.run(
    `UPDATE agents SET
       first_seen = least(agents.first_seen, d.first_seen),
       last_seen = greatest(agents.last_seen, d.last_seen),
       requests = greatest(agents.requests, d.requests),
       last_new_at = greatest(agents.last_new_at, d.last_new_at)
     FROM (SELECT min(first_seen) AS first_seen, max(last_seen) AS last_seen, sum(count)::BIGINT AS requests,
                  max(first_seen) AS last_new_at
           FROM destinations WHERE agent = $1) AS d
     WHERE agents.agent = $1`,
    [edit.agent],
  );
}
