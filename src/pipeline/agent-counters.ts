import type { IdentifiedBy } from '../model/connection.ts';
import type { LiveExchange } from './live.ts';

/** What one agent did since the start; what `weir status` shows. */
export interface AgentCounters {
  identifiedBy: IdentifiedBy;
  requests: number;
  requestBytes: number;
  responseBytes: number;
  wouldBlock: number;
  blocked: number;
  /** Epoch ms. */
  lastSeen: number;
}

const STRENGTH: Readonly<Record<IdentifiedBy, number>> = { token: 4, listener: 3, source: 2, claim: 1, default: 0 };

/** Counts a closed exchange or tunnel. A CONNECT is counted by what flowed inside it, unless it ended there. */
export function countExchange(agents: Map<string, AgentCounters>, exchange: LiveExchange): void {
  const { identity, ruling } = exchange;
  let counters = agents.get(identity.agent);
  if (counters === undefined) {
    counters = {
      identifiedBy: identity.by,
      requests: 0,
      requestBytes: 0,
      responseBytes: 0,
      wouldBlock: 0,
      blocked: 0,
      lastSeen: 0,
    };
    agents.set(identity.agent, counters);
  }
  if (STRENGTH[identity.by] > STRENGTH[counters.identifiedBy]) counters.identifiedBy = identity.by;
  counters.lastSeen = exchange.startedAt;
  if (exchange.kind === 'connect' && exchange.answeredFor === undefined) return;
  counters.requests++;
  counters.requestBytes += exchange.requestBytes;
  counters.responseBytes += exchange.responseBytes;
  if (ruling.would === 'block') counters.wouldBlock++;
  if (ruling.action === 'block') counters.blocked++;
}
