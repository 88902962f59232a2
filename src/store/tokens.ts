import type { TokenHistory } from '../model/llm.ts';
import type { Session } from './session.ts';

const CALLS = 200;
const DAYS = 7;
const TOTAL = 'coalesce(llm_input_tokens, 0) + coalesce(llm_output_tokens, 0)';
const SPENT = `FROM exchanges WHERE state = 'closed' AND llm_api IS NOT NULL AND ${TOTAL} > 0`;

/** What agents spent on LLM calls lately, as far as the open days tell. */
export async function readTokens(session: Pick<Session, 'all'>, now: number): Promise<TokenHistory[]> {
  // A file no collector has migrated yet lacks the columns.
  const columns = await session.all(
    "SELECT 1 FROM duckdb_columns() WHERE table_name = 'exchanges' AND column_name = 'llm_input_tokens'",
  );
  if (columns.length === 0) return [];
  const calls = await session.all(
    `SELECT agent, list(total ORDER BY started_at)::DOUBLE[] FROM (
       SELECT agent, started_at, ${TOTAL} AS total, row_number() OVER (PARTITION BY agent ORDER BY started_at DESC) AS n ${SPENT}
     ) WHERE n <= ${CALLS} GROUP BY agent ORDER BY agent LIMIT 1000`,
  );
  const hours = await session.all(
    `SELECT agent, (epoch_ms(started_at) // 3600000)::DOUBLE AS hour, sum(${TOTAL})::DOUBLE ${SPENT}
     AND epoch_ms(started_at) >= ${Math.trunc(now - DAYS * 86_400_000)} GROUP BY agent, hour ORDER BY agent, hour`,
  );
  const byAgent = Map.groupBy(hours, ([agent]) => agent);
  return calls.map(([agent, totals]) => ({
    agent: agent as string,
    calls: (totals as number[]).map(Number),
    hours: (byAgent.get(agent as string) ?? []).map((row) => [Number(row[1]), Number(row[2])] as const),
  }));
}
