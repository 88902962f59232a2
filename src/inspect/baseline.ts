import { registrableDomain } from '../model/domain.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { AgentStat, BaselineEdit, BaselineSnapshot, BaselineState, DestinationStat } from '../model/record.ts';
import type { AgentFinding, Baseline, BaselineOptions, Observation, Seed } from './baseline-contract.ts';
import { editAgent, exportOf, readExport, restoredState } from './baseline-edits.ts';
import { contactSeverity, dayFinding, isUpload, volumeFinding } from './baseline-grade.ts';
import {
  type AgentIndex,
  add,
  agentStat,
  type Entry,
  find,
  knowsHost,
  merge,
  methodBit,
  newAgent,
  settle,
} from './baseline-index.ts';
import { floodIsNews, takeDigest, tellNow } from './baseline-novelty.ts';
import { hear, recall, silence } from './baseline-silence.ts';
import { isOverdue, isSettled, sentence } from './baseline-state.ts';
import {
  agentFinding,
  blockedContact,
  firstSeenFinding,
  floodFinding,
  generatedFinding,
  isSibling,
  newMethodFinding,
  newPortFinding,
  siblingFinding,
  unknownFinding,
} from './baseline-words.ts';
import { looksGenerated } from './generated-name.ts';

/** A label that was a secret or random (record/presentable.ts). */
const REDACTED = 'redacted-';
const NO_FINDINGS: readonly Finding[] = [];
const KNOWN: Readonly<Record<BaselineState, Observation>> = {
  learning: { firstSeen: false, state: 'learning', findings: NO_FINDINGS },
  ready: { firstSeen: false, state: 'ready', findings: NO_FINDINGS },
  locked: { firstSeen: false, state: 'locked', findings: NO_FINDINGS },
};
const FIRST_WHILE_LEARNING: Observation = { firstSeen: true, state: 'learning', findings: NO_FINDINGS };

/** An empty baseline; {@link Baseline.load} brings the stored one in. */
export function createBaseline(options: BaselineOptions): Baseline {
  return new Memory(options);
}

class Memory implements Baseline {
  readonly #o: BaselineOptions;
  readonly #agents: Map<string, AgentIndex> = new Map();
  readonly #met: Set<string> = new Set();
  readonly #shown: (host: string) => string;

  constructor(options: BaselineOptions) {
    this.#o = options;
    this.#shown = options.shown ?? ((host) => host);
  }

  load(snapshot: BaselineSnapshot): void {
    const now = this.#o.clock();
    for (const stat of snapshot.agents) {
      const index = this.#index(this.#o.asOne(stat.agent), stat.firstSeen);
      index.firstSeen = Math.min(index.firstSeen, stat.firstSeen);
      index.lastSeen = Math.max(index.lastSeen, stat.lastSeen);
      index.lastNewAt = index.known > 0 ? Math.max(index.lastNewAt, stat.lastNewAt) : stat.lastNewAt;
      index.requests += stat.requests;
      index.locked ||= stat.locked;
      for (const destination of stat.destinations) merge(index, destination, destination.status);
      index.state = restoredState(index, this.#o, now);
      recall(index.hearing, stat, now);
      this.#met.add(stat.agent);
    }
  }

  observe(exchange: Exchange): Observation {
    const now = exchange.startedAt;
    const { port } = exchange.destination;
    const host = this.#shown(exchange.destination.host);
    const index = this.#index(this.#o.asOne(exchange.identity.agent), now);
    hear(index.hearing, now);
    if (index.state === 'learning') this.#advance(index, now);
    const entry = find(index, host, port);
    if (entry === undefined) return this.#first(index, exchange, host, now);
    const { state } = index;
    if (entry.status !== 'pending') {
      const bit = state === 'learning' ? 0 : methodBit(exchange.request.method) & ~(entry.methods | entry.told);
      if (bit === 0 || entry.methods === 0 || entry.status === 'ignored') return KNOWN[state];
      entry.told |= bit;
      return { firstSeen: false, state, findings: [newMethodFinding(host, exchange.request.method)] };
    }
    if (state === 'learning') return KNOWN.learning;
    return this.#repeat(index, exchange, host);
  }

  /** Seen before and still not known: silent in `flag` (it was told), told again where unknown is blocked or locked out. */
  #repeat(index: AgentIndex, exchange: Exchange, host: string): Observation {
    const { state } = index;
    if (this.#o.onUnknown === 'flag' && state !== 'locked') return KNOWN[state];
    const finding = unknownFinding(exchange.identity.agent, host, exchange.destination.port, this.#o.onUnknown);
    return { firstSeen: false, state, findings: [finding] };
  }

  #first(index: AgentIndex, exchange: Exchange, host: string, now: number): Observation {
    const { port } = exchange.destination;
    if (index.size >= this.#o.destinationsPerAgent) return this.#overflow(index, host, now);
    const known = knowsHost(index, host);
    add(index, host, port, now);
    if (index.state === 'learning') return FIRST_WHILE_LEARNING;
    const { state } = index;
    if (this.#o.onUnknown === 'block') return { firstSeen: true, state, findings: [blockedContact(host)] };
    if (known) return { firstSeen: true, state, findings: [newPortFinding(host, port)] };
    return { firstSeen: true, state, findings: this.#tell(index, host, now) };
  }

  /** Past the bound names are remembered by registrable domain only, and that bounded too; nothing there is ever learned. */
  #overflow(index: AgentIndex, host: string, now: number): Observation {
    const domain = registrableDomain(host);
    const fresh = !index.overflow.has(domain) && index.overflow.size < this.#o.destinationsPerAgent;
    if (fresh) index.overflow.add(domain);
    const findings: Finding[] = [];
    if (floodIsNews(index.novelty, now)) findings.push(floodFinding(index.agent, this.#o.destinationsPerAgent));
    const { state } = index;
    if (state !== 'learning') {
      if (this.#o.onUnknown === 'block') findings.push(blockedContact(host));
      else if (fresh) findings.push(...this.#tell(index, host, now));
    }
    return { firstSeen: fresh, state, findings };
  }

  #tell(index: AgentIndex, host: string, now: number): readonly Finding[] {
    if (!tellNow(index.novelty, host, this.#isRisky(host), now)) return NO_FINDINGS;
    const domain = registrableDomain(host);
    const contact = index.domains.has(domain) ? siblingFinding(host, domain) : firstSeenFinding(host);
    return host.startsWith(REDACTED) || looksGenerated(host) ? [contact, generatedFinding(host)] : [contact];
  }

  #isRisky(host: string): boolean {
    return this.#o.riskyCategory(host) !== undefined;
  }

  teach(exchange: Exchange): string | undefined {
    const now = exchange.startedAt;
    const index = this.#index(this.#o.asOne(exchange.identity.agent), now);
    const entry = find(index, this.#shown(exchange.destination.host), exchange.destination.port);
    if (entry === undefined) return undefined;
    if (entry.status === 'pending' && !this.#learn(index, entry, now)) return undefined;
    index.requests++;
    if (now > index.lastSeen) index.lastSeen = now;
    entry.count++;
    if (now > entry.lastSeen) entry.lastSeen = now;
    entry.requestBytes += exchange.requestBytes;
    entry.responseBytes += exchange.responseBytes;
    if (exchange.kind === 'exchange') entry.methods |= methodBit(exchange.request.method);
    return index.agent;
  }

  /** False for what only a person may make normal. */
  #learn(index: AgentIndex, entry: Entry, now: number): boolean {
    if (index.locked || this.#o.riskyCategory(entry.host) !== undefined) return false;
    if (index.state === 'ready' && this.#o.onUnknown === 'block') return false;
    settle(index, entry, 'learned');
    index.lastNewAt = Math.max(index.lastNewAt, now);
    return true;
  }

  grade(exchange: Exchange, finding: Finding): Finding {
    if (finding.rule !== 'first-seen' || finding.disposition === 'block' || exchange.kind === 'connect') return finding;
    const severity = contactSeverity(exchange, this.#isRisky(exchange.destination.host), isSibling(finding));
    return severity === finding.severity ? finding : { ...finding, severity };
  }

  agentFirstSeen(agent: string): Finding | undefined {
    if (this.#met.has(agent)) return undefined;
    this.#met.add(agent);
    return this.#o.isConfigured?.(agent) === true ? undefined : agentFinding(agent);
  }

  volume(exchange: Exchange): Finding | undefined {
    if (!isUpload(exchange)) return undefined;
    const { host, port } = exchange.destination;
    const index = this.#agents.get(this.#o.asOne(exchange.identity.agent));
    const entry = index === undefined ? undefined : find(index, this.#shown(host), port);
    if (index === undefined || entry === undefined) return undefined;
    const ready = index.state !== 'learning';
    const alone = ready ? volumeFinding(exchange, entry) : undefined;
    // Told by itself it says nothing about the day.
    const today = alone === undefined ? dayFinding(entry, exchange) : undefined;
    return ready ? (alone ?? today) : undefined;
  }

  edit(verb: BaselineEdit['verb'], agent: string, destinations: readonly DestinationStat[]): void {
    const key = this.#o.asOne(agent);
    if (verb === 'forget' && destinations.length === 0) {
      this.#agents.delete(key);
      return;
    }
    const now = this.#o.clock();
    const index = this.#index(key, now);
    editAgent(index, verb, destinations, now);
    // Who imports years of history is no newborn.
    const may = verb === 'unlock' || (verb === 'import' && index.state === 'learning');
    if (may) index.state = restoredState(index, this.#o, now);
  }

  seed(json: unknown, agent?: string): Seed | undefined {
    const file = readExport(json, this.#o.clock());
    const key = this.#o.asOne(agent ?? file.agent);
    // What this agent has learned itself, or a person said here, stands.
    if ((this.#agents.get(key)?.known ?? 0) > 0 || file.destinations.length === 0) return undefined;
    const destinations = file.destinations.map((stat): DestinationStat => {
      return { ...stat, status: stat.status === 'ignored' ? 'ignored' : 'accepted' };
    });
    this.edit('import', key, destinations);
    return { agent: key, destinations, accounts: file.accounts ?? [], accountsKey: file.accountsKey };
  }

  keyOf(agent: string): string {
    return this.#o.asOne(agent);
  }

  replace(snapshot: BaselineSnapshot): void {
    this.#agents.clear();
    this.load(snapshot);
  }

  export(agent: string): unknown {
    const index = this.#agents.get(this.#o.asOne(agent));
    return index === undefined ? undefined : exportOf(agentStat(index), this.#o.clock());
  }

  agents(): readonly AgentStat[] {
    return [...this.#agents.values()].map(agentStat);
  }

  known(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#agents].map(([agent, { known }]) => [agent, known]));
  }

  sentence(agent: string): string | undefined {
    const index = this.#agents.get(this.#o.asOne(agent));
    if (index === undefined) return undefined;
    const now = this.#o.clock();
    this.#advance(index, now);
    return sentence(index, this.#o, now);
  }

  state(agent: string): BaselineState {
    return this.#agents.get(this.#o.asOne(agent))?.state ?? 'learning';
  }

  isAccepted(agent: string, host: string, port: number): boolean {
    const status = this.#status(agent, host, port);
    return status === 'accepted' || status === 'ignored';
  }

  knows(agent: string, host: string, port: number): boolean {
    const status = this.#status(agent, host, port);
    return status !== undefined && status !== 'pending';
  }

  due(flush = false): readonly AgentFinding[] {
    const now = this.#o.clock();
    const out: AgentFinding[] = [];
    for (const index of this.#agents.values()) {
      const digest = takeDigest(index.novelty, now, flush);
      if (digest !== undefined) out.push({ agent: index.agent, finding: digest });
      const quiet = index.state === 'learning' ? undefined : silence(index.agent, index.hearing, now);
      if (quiet !== undefined) out.push({ agent: index.agent, finding: quiet });
    }
    return out;
  }

  #status(agent: string, host: string, port: number): Entry['status'] | undefined {
    const index = this.#agents.get(this.#o.asOne(agent));
    return index === undefined ? undefined : find(index, this.#shown(host), port)?.status;
  }

  #advance(index: AgentIndex, now: number): void {
    if (index.state === 'learning' && (isSettled(index, this.#o, now) || isOverdue(index, this.#o, now))) {
      index.state = 'ready';
    }
  }

  #index(agent: string, now: number): AgentIndex {
    const known = this.#agents.get(agent);
    if (known !== undefined) return known;
    const index = newAgent(agent, now);
    this.#agents.set(agent, index);
    return index;
  }
}
