import type { BaselineEdit, ExchangeRecord, WeirRecord } from '../model/record.ts';

/** How many distinct methods one destination remembers: names come from the network. */
export const METHODS_KEPT = 32;

/** What a run of records adds to one row of `destinations`. Times epoch ms. */
export interface DestinationDelta {
  readonly agent: string;
  readonly host: string;
  readonly port: number;
  firstSeen: number;
  lastSeen: number;
  count: number;
  requestBytes: number;
  responseBytes: number;
  readonly methods: Set<string>;
}

/** What a run of records adds to one row of `agents`. `lastNewAt` is NaN when nothing was new. */
export interface AgentDelta {
  readonly agent: string;
  firstSeen: number;
  lastSeen: number;
  requests: number;
  lastNewAt: number;
}

/** The baseline's share of a batch in journal order: traffic is summed up between two edits. */
export type Step =
  | { readonly kind: 'traffic'; readonly destinations: DestinationDelta[]; readonly agents: AgentDelta[] }
  | { readonly kind: 'edit'; readonly edit: BaselineEdit };

interface Sums {
  readonly destinations: Map<string, DestinationDelta>;
  readonly agents: Map<string, AgentDelta>;
}

/** Cuts a batch into baseline steps. Pure; names are keys of Maps only. */
export function baselineSteps(batch: readonly WeirRecord[]): Step[] {
  const steps: Step[] = [];
  let sums: Sums = { destinations: new Map(), agents: new Map() };
  const flush = (): void => {
    if (sums.agents.size === 0) return;
    steps.push({ kind: 'traffic', destinations: [...sums.destinations.values()], agents: [...sums.agents.values()] });
    sums = { destinations: new Map(), agents: new Map() };
  };
  for (const record of batch) {
    if (record.kind === 'baseline-edit') {
      flush();
      steps.push({ kind: 'edit', edit: record });
    } else if (teaches(record)) {
      learn(sums, record);
    }
  }
  flush();
  return steps;
}

/** Open rows teach nothing yet: their closing record does, with the final counts. */
function teaches(record: WeirRecord): record is ExchangeRecord {
  return (
    (record.kind === 'exchange' || record.kind === 'connect' || record.kind === 'tunnel') &&
    record.teaches &&
    record.state === 'closed'
  );
}

/** Whether a key can stand in the table: one that cannot must not hold up the journal. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 65_535;
}

/** DuckDB stores UTF-8: names that differ only in broken UTF-16 are one key there, so they must be one here. */
function learn(sums: Sums, r: ExchangeRecord): void {
  if (!isPort(r.port)) return;
  const agentName = (r.baselineAgent ?? r.agent).toWellFormed();
  const host = r.host.toWellFormed();
  const key = `${agentName}\0${host}\0${r.port}`;
  const known = sums.destinations.get(key);
  if (known === undefined) {
    sums.destinations.set(key, {
      agent: agentName,
      host,
      port: r.port,
      firstSeen: r.startedAt,
      lastSeen: r.startedAt,
      count: 1,
      requestBytes: r.requestBytes,
      responseBytes: r.responseBytes,
      methods: new Set([r.method]),
    });
  } else {
    known.firstSeen = Math.min(known.firstSeen, r.startedAt);
    known.lastSeen = Math.max(known.lastSeen, r.startedAt);
    known.count++;
    known.requestBytes += r.requestBytes;
    known.responseBytes += r.responseBytes;
    known.methods.add(r.method);
  }
  const newAt = r.firstSeen ? r.startedAt : Number.NaN;
  const agent = sums.agents.get(agentName);
  if (agent === undefined) {
    const seen = { firstSeen: r.startedAt, lastSeen: r.startedAt };
    sums.agents.set(agentName, { agent: agentName, ...seen, requests: 1, lastNewAt: newAt });
    return;
  }
  agent.firstSeen = Math.min(agent.firstSeen, r.startedAt);
  agent.lastSeen = Math.max(agent.lastSeen, r.startedAt);
  agent.requests++;
  if (r.firstSeen) agent.lastNewAt = Number.isNaN(agent.lastNewAt) ? newAt : Math.max(agent.lastNewAt, newAt);
}
