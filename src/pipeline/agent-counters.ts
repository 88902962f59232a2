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

/** Close reason of a CONNECT that was refused inside, where the request that reads it counts (connection/tunnel.ts). */
const ANSWERED_INSIDE = 'answered-inside';

/** Counts a closed exchange or tunnel. A CONNECT is counted by what flowed inside it, unless it ended there. */
export function countExchange(agents: Map<string, AgentCounters>, exchange: LiveExchange, closeReason?: string): void {
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
  if (exchange.kind === 'connect' && (exchange.answeredFor === undefined || closeReason === ANSWERED_INSIDE)) return;
  counters.requests++;
  counters.requestBytes += exchange.requestBytes;
  counters.responseBytes += exchange.responseBytes;
  if (ruling.would === 'block') counters.wouldBlock++;
  if (ruling.action === 'block') counters.blocked++;
}
