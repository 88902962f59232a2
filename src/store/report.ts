import type { Containment } from '../model/admin.ts';
import type { Mode } from '../model/finding.ts';
import type { ReportFacts, ReportFilter } from '../model/report.ts';
import { readDirect, readFirstContacts, readLeaving, readNew, readTop, readUnread } from './report-lists.ts';
import { first, number, type ReadAll, type Sources, sources, text } from './report-sources.ts';

/** What the rows do not say when there are none. */
export interface ReportContext {
  readonly mode: Mode;
  readonly containment: Containment;
  /** `history/` of an open session, whose tables are the open days only. Not for `openQuery`: its views hold all days. */
  readonly history?: string | undefined;
  /** Epoch ms. */
  readonly now?: number | undefined;
}

const AGENTS_LISTED = 20;

/** Everything the receipt and `weir report` show. Rejects with what `all` rejects with. */
export async function readReport(all: ReadAll, filter: ReportFilter, context: ReportContext): Promise<ReportFacts> {
  const from = sources(filter, context.history);
  const columns = new Set((await all('SELECT column_name FROM (DESCRIBE SELECT * FROM all_exchanges)')).map(first));
  const tokens = columns.has('llm_input_tokens') && columns.has('llm_output_tokens');
  const sums = await readSums(all, from);
  const runs = await readRuns(all, from, filter.run !== undefined);
  const told = await readNew(all, from, filter.run !== undefined);
  const contacts = await readFirstContacts(all, from);
  const leaving = await readLeaving(all, from);
  const direct = await readDirect(all, from);
  const listed = direct.reduce((sum, { count }) => sum + count, 0);
  const agents = (await all(agentsSql(from))).map(first).map(text);
  const start = runs.one?.startedAt ?? sums.from ?? filter.since ?? context.now ?? Date.now();
  return {
    filter,
    agents: agents.length === 0 && runs.one !== undefined ? [runs.one.agent] : agents,
    from: start,
    to: Math.max(start, runs.one?.endedAt ?? sums.to ?? filter.until ?? context.now ?? Date.now()),
    mode: modeOf(runs.one?.mode ?? sums.mode) ?? context.mode,
    containment: containmentOf(runs.containment) ?? context.containment,
    ...(runs.one === undefined ? {} : { run: runs.one.run }),
    runs: runs.count,
    destinations: sums.destinations,
    requests: sums.requests,
    requestBytes: sums.requestBytes,
    responseBytes: sums.responseBytes,
    top: await readTop(all, from, tokens),
    new: [...told.list, ...contacts.list],
    leaving: leaving.list,
    totals: { new: told.total, firstContacts: contacts.total, leaving: leaving.total },
    direct,
    ...(direct.length > 0 && runs.direct > listed ? { directTotal: runs.direct } : {}),
    directWatched: runs.directWatched,
    unread: await readUnread(all, from),
    wouldBlock: sums.wouldBlock,
    blocked: sums.blocked,
    redacted: sums.redacted,
    remarks: remarksOf(runs, sums),
  };
}

interface Sums {
  readonly requests: number;
  readonly destinations: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly wouldBlock: number;
  readonly blocked: number;
  readonly redacted: number;
  readonly interrupted: number;
  readonly mode: unknown;
}

async function readSums(all: ReadAll, { exchanges }: Sources): Promise<Sums> {
  const [row = []] = await all(
    `SELECT count(*)::DOUBLE, (count(DISTINCT (host, port, coalesce(tenant, ''))) FILTER (action <> 'block'))::DOUBLE,
       sum(request_bytes)::DOUBLE, sum(response_bytes)::DOUBLE,
       min(epoch_ms(started_at))::DOUBLE, max(epoch_ms(started_at) + coalesce(duration_ms, 0))::DOUBLE,
       (count(*) FILTER (would = 'block'))::DOUBLE, (count(*) FILTER (action = 'block'))::DOUBLE,
       (count(*) FILTER (action = 'redact'))::DOUBLE, (count(*) FILTER (outcome = 'interrupted'))::DOUBLE,
       arg_max(mode, started_at)
     FROM ${exchanges}`,
  );
  const n = row.map(number);
  const found = (n[0] ?? 0) > 0;
  return {
    requests: n[0] ?? 0,
    destinations: n[1] ?? 0,
    requestBytes: n[2] ?? 0,
    responseBytes: n[3] ?? 0,
    from: found ? n[4] : undefined,
    to: found ? n[5] : undefined,
    wouldBlock: n[6] ?? 0,
    blocked: n[7] ?? 0,
    redacted: n[8] ?? 0,
    interrupted: n[9] ?? 0,
    mode: row[10],
  };
}

function agentsSql({ exchanges }: Sources): string {
  return `SELECT agent FROM ${exchanges} GROUP BY agent ORDER BY count(*) DESC, agent LIMIT ${AGENTS_LISTED}`;
}

interface Runs {
  readonly count: number;
  readonly restarts: number;
  readonly abandoned: number;
  readonly directWatched: boolean;
  readonly direct: number;
  readonly containment: unknown;
  readonly one: Run | undefined;
}

interface Run {
  readonly agent: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly mode: unknown;
  readonly run: NonNullable<ReportFacts['run']>;
}

async function readRuns(all: ReadAll, { runs }: Sources, single: boolean): Promise<Runs> {
  const [row = []] = await all(
    `SELECT count(*)::DOUBLE, sum(restarts)::DOUBLE, (count(*) FILTER (abandoned))::DOUBLE, bool_or(direct_watched),
       sum(direct_connections)::DOUBLE, arg_max(containment, started_at) FROM ${runs}`,
  );
  const [one] = single
    ? await all(
        `SELECT id, agent, program, epoch_ms(started_at)::DOUBLE, epoch_ms(ended_at)::DOUBLE, mode, exit_code,
           exit_signal, restarts FROM ${runs} ORDER BY started_at DESC LIMIT 1`,
      )
    : [];
  return {
    count: number(row[0]),
    restarts: number(row[1]),
    abandoned: number(row[2]),
    directWatched: row[3] === true,
    direct: number(row[4]),
    containment: row[5],
    one: one === undefined ? undefined : runOf(one),
  };
}

function runOf(row: readonly unknown[]): Run {
  return {
    agent: text(row[1]),
    startedAt: number(row[3]),
    endedAt: number(row[4]),
    mode: row[5],
    run: {
      id: text(row[0]),
      program: text(row[2]),
      ...(typeof row[6] === 'number' ? { code: row[6] } : {}),
      ...(typeof row[7] === 'string' ? { signal: row[7] } : {}),
      restarts: number(row[8]),
    },
  };
}

function remarksOf(runs: Runs, sums: Sums): string[] {
  const remarks: string[] = [];
  const { restarts, abandoned } = runs;
  if (restarts > 0) {
    const times = restarts === 1 ? 'once' : `${restarts} times`;
    remarks.push(`the collector died ${times} and was started again; what passed in between was not seen`);
  }
  if (abandoned > 0) {
    const who = runs.one !== undefined || abandoned === 1 ? 'weir run' : `weir run ${abandoned} times`;
    remarks.push(`${who} ended without saying how the command did`);
  }
  if (sums.interrupted > 0) {
    const what = sums.interrupted === 1 ? '1 exchange was' : `${sums.interrupted} exchanges were`;
    remarks.push(`${what} open when a collector ended; how they ended was not seen`);
  }
  return remarks;
}

const MODES: readonly Mode[] = ['monitor', 'redact', 'enforce'];
const CONTAINMENTS: readonly Containment[] = ['cooperative', 'separate-user', 'network'];

function modeOf(value: unknown): Mode | undefined {
  return MODES.find((mode) => mode === value);
}

function containmentOf(value: unknown): Containment | undefined {
  return CONTAINMENTS.find((containment) => containment === value);
}
