import type { Answer } from '../model/answer.ts';
import type { Connection, TlsFacts } from '../model/connection.ts';
import { type ErrorCode, WeirError } from '../model/error.ts';
import type { Exchange, RequestFacts } from '../model/exchange.ts';
import type {
  Checked,
  CloseFacts,
  ContentFilter,
  ContentTap,
  Corridor,
  HeadEdits,
  Link,
  Reach,
  Secured,
  UpstreamTls,
} from '../model/ports.ts';
import type { Tally, TrafficGauges } from '../model/record.ts';
import { refOf, ulid } from '../model/ulid.ts';
import type { AgentCounters } from './agent-counters.ts';
import { answered, inspect, judge, observe, stillAllowed, upstreamOf } from './checkpoint.ts';
import { conclude } from './closing.ts';
import type { CorridorOptions, LiveCorridor } from './contract.ts';
import { dialResolved } from './dial.ts';
import { editsOf, filterContent, responseHead, trailers } from './filtered.ts';
import type { LiveConnection, LiveExchange } from './live.ts';
import { LiveList, openOf } from './live-list.ts';
import { openExchange, openTunnelOf } from './open.ts';
import { copyContent, filterAndRead } from './reading.ts';
import { connectionRecord, exchangeRecord, rejection } from './record.ts';
import { afterTaps } from './tapped.ts';
import { createTraces, type Traces } from './trace.ts';

/** An exchange or tunnel older than this has an open row (product.md §5). */
const OPEN_ROW_MS = 5_000;
const FORWARD: Checked = { forward: true };
const passing = (edits: HeadEdits | undefined): Checked => (edits === undefined ? FORWARD : { forward: true, edits });

/** Builds the one straight path. All state is this thread's; nothing here touches a socket, a file or a clock but `performance`. */
export function createCorridor(options: CorridorOptions): LiveCorridor {
  return new Passage(options);
}

class Passage implements LiveCorridor {
  readonly ready: Promise<void>;
  readonly #options: CorridorOptions;
  readonly #traces: Traces;
  readonly #live = new LiveList();
  /** Connections that can be asked to end. */
  readonly #drainable: Set<LiveConnection> = new Set();
  /** Ended, and their records wait for a decoder. */
  readonly #late: Set<Promise<unknown>> = new Set();
  readonly #perAgent: Map<string, number> = new Map();
  readonly #agents: Map<string, AgentCounters> = new Map();
  readonly #counters: Record<string, number> = Object.create(null);
  #connections = 0;
  #started = 0;

  constructor(options: CorridorOptions) {
    this.#options = options;
    this.ready = options.ready;
    this.#traces = createTraces(options.spansPerTraceHour, Date.now);
  }

  connection(facts: Parameters<Corridor['connection']>[0]): LiveConnection {
    this.#connections++;
    return {
      id: ulid(),
      openedAt: Date.now(),
      client: facts.client,
      ...(facts.listenerAgent === undefined ? {} : { listenerAgent: facts.listenerAgent }),
      ...(facts.run === undefined ? {} : { run: facts.run }),
      via: facts.via,
      visibility: facts.via === 'connect' ? 'tunnel' : 'plaintext',
      exchanges: 0,
    };
  }

  connectionClosed(connection: Connection, reason: string): void {
    const state = connection as LiveConnection;
    if (state.closed === true) return;
    state.closed = true;
    this.#drainable.delete(state);
    this.#connections--;
    if (state.countedFor !== undefined) {
      const left = (this.#perAgent.get(state.countedFor) ?? 1) - 1;
      if (left <= 0) this.#perAgent.delete(state.countedFor);
      else this.#perAgent.set(state.countedFor, left);
    }
    const record = connectionRecord(state, Date.now(), reason);
    if (record !== undefined) this.#options.post(record);
  }

  open(connection: Connection, request: RequestFacts, kind: 'exchange' | 'connect'): LiveExchange {
    const state = connection as LiveConnection;
    const exchange = openExchange(this.#options.stages(), this.#traces, state, request, kind);
    if (exchange.invalid !== undefined) this.#count('bad-authority');
    if (state.countedFor === undefined) {
      const { agent } = exchange.identity;
      state.countedFor = agent;
      this.#perAgent.set(agent, (this.#perAgent.get(agent) ?? 0) + 1);
    }
    return this.#begin(exchange);
  }

  openTunnel(connect: Exchange): LiveExchange {
    return this.#begin(openTunnelOf(connect as LiveExchange));
  }

  check(exchange: Exchange): Checked {
    const state = exchange as LiveExchange;
    const { stages, connection } = state;
    if (state.invalid !== undefined) return this.#fail(state, 'bad-request', state.invalid);
    const verification = stages.verification(state);
    if (verification !== undefined) return answered(state, verification, 'verification');
    if (state.identity.challenge !== undefined) return this.#fail(state, 'auth-required', state.identity.challenge);
    if (stages.stopped(state.identity.agent)) return this.#fail(state, 'stopped');
    if (stages.unrecorded?.() === true) return this.#fail(state, 'not-recorded');
    if ((this.#perAgent.get(connection.countedFor as string) ?? 0) > this.#options.connectionsPerAgent()) {
      this.#count('limit-connections-per-agent');
      return this.#fail(state, 'limit-reached', 'limits.connections_per_agent');
    }
    const account = stages.account(state);
    if (account.tenant !== undefined) state.tenant = account.tenant;
    if (account.credentialFp !== undefined) state.credentialFp = account.credentialFp;
    inspect(state, 'request', {});
    observe(state);
    return judge(state) ? passing(editsOf(state, state.request.fields, 0)) : this.#refuse(state);
  }

  checkTls(connect: Exchange, tls: TlsFacts | undefined, protocol: string): Checked {
    const state = connect as LiveExchange;
    // A CONNECT that said nothing is no open exchange any more: kill switch and lists are asked again when it wakes.
    const stages = this.#options.stages();
    if (stages.stopped(state.identity.agent)) return this.#fail(state, 'stopped');
    const before = state.findings.length;
    if (state.stages !== stages && !stillAllowed(state, stages)) {
      if (state.closed) state.connection.lateFindings = state.findings.slice(before);
      return this.#refuse(state);
    }
    inspect(state, 'tls', tls === undefined ? { protocol } : { tls, protocol });
    if (state.findings.length === before) return FORWARD;
    // The CONNECT record may have left already: what is found now belongs to the tunnel.
    if (state.closed) state.connection.lateFindings = state.findings.slice(before);
    return judge(state) ? FORWARD : this.#refuse(state);
  }

  async reach(exchange: Exchange, tls?: UpstreamTls): Promise<Reach> {
    const state = exchange as LiveExchange;
    const began = performance.now();
    try {
      const resolved = await upstreamOf(state).resolve(state.destination);
      return await dialResolved(state, resolved, tls, () => this.#refuse(state));
    } catch (error) {
      const failure = error instanceof WeirError ? error : new WeirError('internal', String(error));
      if (failure.code === 'internal')
        this.#options.log('error', 'internal-error', { where: 'reach', error: String(error) });
      return { answer: this.failure(state, failure.code, failure.message) };
    } finally {
      state.reachMs += performance.now() - began;
    }
  }

  async secure(exchange: Exchange, link: Link, tls: UpstreamTls): Promise<Secured> {
    const state = exchange as LiveExchange;
    const began = performance.now();
    const secured = await upstreamOf(state).secure(link, state.destination, tls);
    state.reachMs += performance.now() - began;
    return secured;
  }

  failure(exchange: Exchange, code: ErrorCode, detail?: string): Answer {
    const state = exchange as LiveExchange;
    const answer = state.stages.fail(code, state, detail);
    answered(state, answer, code);
    return answer;
  }

  reject(connection: Connection, code: ErrorCode, detail?: string): Answer {
    this.#count(code);
    const record = rejection(connection as LiveConnection, code, detail);
    this.#options.post(record);
    this.#options.log('debug', 'rejected', { code, ref: refOf(record.id) });
    return this.#options.stages().fail(code, undefined, detail);
  }

  close(exchange: Exchange, facts: CloseFacts): void {
    const state = exchange as LiveExchange;
    if (state.closed) return;
    state.closed = true;
    const ended = performance.now();
    afterTaps(state.taps, this.#late, () => this.#conclude(state, facts, ended));
  }

  content(exchange: Exchange, direction: 'request' | 'response'): ContentTap | undefined {
    return copyContent(exchange as LiveExchange, direction);
  }

  filter(...[exchange, direction, length, sink]: Parameters<Corridor['filter']>): ContentFilter | undefined {
    const state = exchange as LiveExchange;
    return filterAndRead(state, direction, length, sink, (out) => filterContent(state, direction, length, out));
  }

  checkResponse(exchange: Exchange): Checked {
    const state = exchange as LiveExchange;
    const checked = responseHead(state);
    return checked === 'refuse' ? this.#refuse(state) : passing(checked);
  }

  checkTrailers(...[exchange, direction, fields]: Parameters<Corridor['checkTrailers']>) {
    return trailers(exchange as LiveExchange, direction, fields);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#late);
  }

  onRevoked(exchange: Exchange, revoke: () => void): void {
    (exchange as LiveExchange).revoke = revoke;
  }

  onDrain(connection: Connection, drain: () => void): void {
    (connection as LiveConnection).drain = drain;
    this.#drainable.add(connection as LiveConnection);
  }

  drain(): void {
    for (const connection of [...this.#drainable]) connection.drain?.();
  }

  tally(): Pick<Tally, 'started' | 'open'> {
    return { started: this.#started, open: this.#live.size };
  }

  gauges(): Omit<TrafficGauges, 'known'> {
    return { ...openOf(this.#live), connections: this.#connections };
  }

  counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  openConnections(): number {
    return this.#connections;
  }

  connectionsOf(agent: string): number {
    return this.#perAgent.get(agent) ?? 0;
  }

  agents(): ReadonlyMap<string, AgentCounters> {
    return this.#agents;
  }

  sweep(run?: string): void {
    const now = performance.now();
    // By age: the first young one ends the walk.
    for (const exchange of this.#live) {
      if (run === undefined && now - exchange.startedMono < OPEN_ROW_MS) break;
      if (exchange.closed || exchange.wasOpen || (run !== undefined && exchange.connection.run?.id !== run)) continue;
      this.#options.post(exchangeRecord(exchange, now, undefined, undefined));
      exchange.wasOpen = true;
    }
  }

  rejudge(): void {
    const stages = this.#options.stages();
    // All of them first: what revokes one may end others.
    for (const exchange of [...this.#live]) {
      if (exchange.closed || exchange.revoke === undefined || exchange.revoked === true) continue;
      if (!stages.stopped(exchange.identity.agent) && stillAllowed(exchange, stages)) continue;
      exchange.revoked = true;
      this.#count('revoked');
      exchange.revoke();
    }
  }

  /** Open until here, for whoever counts what was begun and is not recorded yet. */
  #conclude(exchange: LiveExchange, facts: CloseFacts, endedMono: number): void {
    this.#live.delete(exchange);
    this.#options.post(conclude(exchange, facts, endedMono, this.#agents, this.#traces));
  }

  #begin(exchange: LiveExchange): LiveExchange {
    this.#started++;
    this.#live.add(exchange);
    return exchange;
  }

  #refuse(exchange: LiveExchange): Checked {
    return answered(exchange, exchange.stages.refuse(exchange), 'policy-denied');
  }

  #fail(exchange: LiveExchange, code: ErrorCode, detail?: string): Checked {
    return answered(exchange, exchange.stages.fail(code, exchange, detail), code);
  }

  #count(code: string): void {
    this.#counters[code] = (this.#counters[code] ?? 0) + 1;
  }
}
