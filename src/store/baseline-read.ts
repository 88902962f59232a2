import type { AgentStat, BaselineSnapshot, DestinationStat } from '../model/record.ts';
import { readAccounts } from './account.ts';
import type { PlainRow, Session } from './session.ts';
import { readTokens } from './tokens.ts';

/** Reads the whole baseline: milliseconds, because it is kept summed up (product.md §6). */
export async function readBaseline(session: Pick<Session, 'all'>): Promise<BaselineSnapshot> {
  const agents = await session.all(
    'SELECT agent, first_seen, last_seen, requests, last_new_at, locked FROM agents ORDER BY agent',
  );
  const rows = await session.all(
    `SELECT agent, host, port, first_seen, last_seen, count, request_bytes, response_bytes, methods, status,
       path_shapes, hours
     FROM destinations ORDER BY agent, host, port`,
  );
  const byAgent = new Map<string, DestinationStat[]>();
  for (const row of rows) {
    const agent = row[0] as string;
    const list = byAgent.get(agent);
    if (list === undefined) byAgent.set(agent, [destinationStat(row)]);
    else list.push(destinationStat(row));
  }
  const accounts = await readAccounts(session);
  const snapshot = { agents: agents.map((row) => agentStat(row, byAgent.get(row[0] as string) ?? [])) };
  const tokens = await readTokens(session, Date.now());
  return {
    ...snapshot,
    ...(accounts.length === 0 ? {} : { accounts }),
    ...(tokens.length === 0 ? {} : { tokens }),
  };
}

function agentStat(row: PlainRow, destinations: readonly DestinationStat[]): AgentStat {
  return {
    agent: row[0] as string,
    firstSeen: row[1] as number,
    lastSeen: row[2] as number,
    requests: row[3] as number,
    // Never anything new: as old as the agent itself.
    lastNewAt: (row[4] ?? row[1]) as number,
    locked: row[5] as boolean,
    destinations,
  };
}

function destinationStat(row: PlainRow): DestinationStat {
  return {
    host: row[1] as string,
    port: row[2] as number,
    firstSeen: row[3] as number,
    lastSeen: row[4] as number,
    count: row[5] as number,
    requestBytes: row[6] as number,
    responseBytes: row[7] as number,
    methods: row[8] as readonly string[],
    status: row[9] as DestinationStat['status'],
    ...(Array.isArray(row[10]) && row[10].length > 0 ? { pathShapes: row[10] as readonly string[] } : {}),
    ...(row[11] ? { hours: row[11] as number } : {}),
  };
}
