import type { WeirRecord } from '../model/record.ts';
import type { BoundList } from './convert.ts';
import type { Session } from './session.ts';

/** Rows of `mcp_tools`: names come from the network. What is new beyond them is not remembered; what is known goes on being counted. */
export const TOOLS_KEPT = 20_000;

/** What a run of records adds to one row of `mcp_tools`. Times epoch ms. */
interface ToolDelta {
  readonly agent: string;
  readonly host: string;
  readonly port: number;
  readonly tool: string;
  readonly firstSeen: number;
  lastSeen: number;
  /** Last time the server offered it; undefined = not in these records. */
  listed: number | undefined;
  calls: number;
  errors: number;
}

/** Which tools a batch tells of: those a server listed and those that were called. */
export function toolDeltas(batch: readonly WeirRecord[]): ToolDelta[] {
  const deltas = new Map<string, ToolDelta>();
  for (const record of batch) {
    if (record.kind !== 'exchange' || record.state !== 'closed' || record.mcp === undefined) continue;
    const { agent, host, port, startedAt, mcp } = record;
    const note = (tool: string): ToolDelta => {
      const key = { agent: agent.toWellFormed(), host: host.toWellFormed(), port, tool: tool.toWellFormed() };
      const name = JSON.stringify(Object.values(key));
      const known = deltas.get(name) ?? {
        ...key,
        firstSeen: startedAt,
        lastSeen: startedAt,
        listed: undefined,
        calls: 0,
        errors: 0,
      };
      deltas.set(name, known);
      known.lastSeen = Math.max(known.lastSeen, startedAt);
      return known;
    };
    for (const tool of mcp.tools ?? []) note(tool).listed = startedAt;
    if (mcp.method !== 'tools/call' || mcp.tool === undefined) continue;
    const called = note(mcp.tool);
    called.calls++;
    if (mcp.errorCode !== undefined || mcp.toolError === true) called.errors++;
  }
  return [...deltas.values()];
}

const LEARN = `
  MERGE INTO mcp_tools AS t USING (SELECT unnest($1) AS agent, unnest($2) AS host, unnest($3) AS port, unnest($4) AS tool,
    unnest($5) AS first_seen, unnest($6) AS last_seen, unnest($7) AS listed_at, unnest($8) AS calls, unnest($9) AS errors) AS s
  ON t.agent = s.agent AND t.host = s.host AND t.port = s.port AND t.tool = s.tool
  WHEN MATCHED THEN UPDATE SET
    last_seen = greatest(t.last_seen, s.last_seen),
    listed_at = CASE WHEN epoch_ms(s.listed_at) = 0 THEN t.listed_at ELSE greatest(coalesce(t.listed_at, s.listed_at), s.listed_at) END,
    calls = t.calls + s.calls,
    errors = t.errors + s.errors`;
const AND_NEW = `
  WHEN NOT MATCHED THEN INSERT VALUES (s.agent, s.host, s.port, s.tool, s.first_seen, s.last_seen,
    CASE WHEN epoch_ms(s.listed_at) = 0 THEN NULL ELSE s.listed_at END, s.calls, s.errors)`;

/** Adds to the inventory. Inside the caller's transaction. */
export async function learnTools(session: Session, batch: readonly WeirRecord[]): Promise<void> {
  const deltas = toolDeltas(batch);
  if (deltas.length === 0) return;
  const [[count] = [0]] = await session.all('SELECT count(*) FROM mcp_tools');
  const texts = (cells: readonly string[]): BoundList => ({ type: 'VARCHAR', cells });
  const full = Number(count) + deltas.length > TOOLS_KEPT;
  await session.runLists(full ? LEARN : LEARN + AND_NEW, [
    texts(deltas.map((d) => d.agent)),
    texts(deltas.map((d) => d.host)),
    { type: 'INTEGER', cells: deltas.map((d) => d.port) },
    texts(deltas.map((d) => d.tool)),
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.firstSeen) },
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.lastSeen) },
    // A list has no empty cells: 0 stands for never.
    { type: 'TIMESTAMPTZ', cells: deltas.map((d) => d.listed ?? 0) },
    { type: 'BIGINT', cells: deltas.map((d) => d.calls) },
    { type: 'BIGINT', cells: deltas.map((d) => d.errors) },
  ]);
}
