import type { ExchangeRecord, TrafficGauges, WeirRecord } from '../model/record.ts';
import { createCallMetrics } from './call-metric.ts';
import { createHostSlots, createNameCap } from './hosts.ts';
import { healthInstruments, recordInstruments } from './instruments.ts';
import { decides } from './log.ts';
import { type Instrument, observe, type Series } from './registry.ts';
import { createSelfMetrics, type SelfMetrics } from './self-metric.ts';
import { KNOWN_METHODS } from './semconv.ts';
import { errorType } from './span.ts';

/** What only the recorder knows, for the gauges and the loss counters. */
export interface Health {
  readonly started: number;
  readonly open: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly journalBytes: number;
  readonly consumers: readonly {
    readonly name: string;
    readonly lag: number;
    readonly accepted: number;
    readonly sampledOut: number;
    readonly dropped: Readonly<Record<string, number>>;
    /** Epoch ms of the oldest record it has not got, when it is behind. */
    readonly oldest?: number;
  }[];
  /** Seconds, by thread; measured where the thread is. */
  readonly eventLoopDelay: Readonly<Record<string, number>>;
}

export interface Metrics {
  readonly instruments: readonly Instrument[];
  /** What the SDK's exporters count themselves with. */
  readonly meterProvider: SelfMetrics['meterProvider'];
  /** Counts one record. */
  record(record: WeirRecord): void;
  /** What is open and known. */
  gauges(gauges: TrafficGauges): void;
  /** Sets gauges and loss counters; called before every read. */
  health(health: Health): void;
}

/** The series of a record, kept for the next one like it. */
interface Counted {
  readonly record: ExchangeRecord;
  readonly agent: string;
  readonly requests: Series;
  sent?: Series;
  received?: Series;
  duration?: Series;
  overhead?: Series;
}

/** Whether two records of one host count in the same series: everything `seriesOf` reads. */
function alike(a: ExchangeRecord, b: ExchangeRecord): boolean {
  return (
    a.agent === b.agent &&
    a.kind === b.kind &&
    a.action === b.action &&
    a.would === b.would &&
    a.mode === b.mode &&
    a.outcome === b.outcome &&
    a.method === b.method &&
    a.port === b.port &&
    a.status === b.status &&
    a.errorType === b.errorType &&
    a.protocol === b.protocol &&
    a.visibility === b.visibility
  );
}

const NONE: readonly string[] = [];

/** Instruments of telemetry reference §1.11 that concern Weir, fed by records; bounded in every label. */
export function createMetrics(): Metrics {
  const own = recordInstruments();
  const state = healthInstruments();
  const calls = createCallMetrics(errorType);
  const self = createSelfMetrics();
  const hosts = createHostSlots();
  const portName = createNameCap(100);
  const actionName = createNameCap(20);
  const agentName = createNameCap(1000);
  const ruleName = createNameCap(500);
  /** By host with a name of its own, so no more than there are slots. */
  const lately = new Map<string, Counted>();

  /** Where a record counts. Exchanges with a host are mostly like the last one with it. */
  const seriesOf = (record: ExchangeRecord): Counted => {
    const last = lately.get(record.host);
    if (last !== undefined && alike(last.record, record)) return last;
    const agent = agentName(record.agent);
    const counted: Counted = {
      record,
      agent,
      requests: own.requests.at([agent, record.kind, record.action, record.would, record.mode, record.outcome]),
    };
    if (record.kind !== 'exchange') return counted;
    const host = hosts.nameFor(record.host);
    counted.duration = own.duration.at([
      KNOWN_METHODS.has(record.method) ? record.method : '_OTHER',
      host,
      portName(String(record.port)),
      record.status === undefined ? '' : String(record.status),
      errorType(record) ?? '',
      record.protocol,
    ]);
    if (record.outcome === 'forwarded') counted.overhead = own.overhead.at([record.mode, record.visibility]);
    // One that has no name of its own must be counted until it has.
    if (host === record.host) lately.set(host, counted);
    return counted;
  };

  const findings = (record: ExchangeRecord): void => {
    for (const finding of record.findings) {
      own.findings.add([ruleName(finding.rule), finding.severity, record.action], 1);
      const { policy } = finding;
      if (policy !== undefined && policy.shadow !== true) own.matches.add([actionName(policy.action)], 1);
    }
    if (!decides(record)) return;
    const wanted = record.action === 'block' ? 'block' : record.would;
    const rule = record.findings.find((finding) => finding.disposition === wanted)?.rule ?? '';
    own.decisions.add([ruleName(rule), record.action, record.would, record.mode], 1);
  };

  /** Gone to zero is told as zero. */
  const byAgent = (instrument: Instrument, counts: Readonly<Record<string, number>>): void => {
    const sums = new Map<string, number>();
    for (const series of instrument.series.values()) sums.set(series.values[0] ?? '', 0);
    for (const [agent, count] of Object.entries(counts)) {
      const name = agentName(agent);
      sums.set(name, (sums.get(name) ?? 0) + count);
    }
    for (const [name, count] of sums) instrument.set([name], count);
  };

  const exchange = (record: ExchangeRecord): void => {
    if (record.state !== 'closed') return;
    const counted = seriesOf(record);
    counted.requests.value++;
    if (record.requestBytes > 0) {
      counted.sent ??= own.io.at([counted.agent, 'transmit']);
      counted.sent.value += record.requestBytes;
    }
    if (record.responseBytes > 0) {
      counted.received ??= own.io.at([counted.agent, 'receive']);
      counted.received.value += record.responseBytes;
    }
    if (record.firstSeen && record.kind !== 'tunnel') own.firstSeen.add([counted.agent], 1);
    findings(record);
    if (record.llm !== undefined || record.mcp !== undefined) calls.record(record, counted.agent);
    if (record.kind === 'tunnel') own.tunnel.observe([counted.agent], record.durationMs / 1000);
    if (counted.duration !== undefined) observe(counted.duration, own.duration.bounds, record.durationMs / 1000);
    if (counted.overhead !== undefined) observe(counted.overhead, own.overhead.bounds, record.overheadMs / 1000);
  };

  return {
    instruments: [...Object.values(own), ...calls.instruments, ...Object.values(state), ...self.instruments],
    meterProvider: self.meterProvider,
    record(record) {
      if (record.kind === 'exchange' || record.kind === 'connect' || record.kind === 'tunnel') exchange(record);
      else if (record.kind === 'connection') {
        const seconds = Math.max(0, record.closedAt - record.openedAt) / 1000;
        own.connection.observe([hosts.nameFor(record.host), portName(String(record.port))], seconds);
      } else if (record.kind === 'finding') {
        own.findings.add([ruleName(record.finding.rule), record.finding.severity, ''], 1);
      }
    },
    gauges({ requests, connections, tunnels, known }) {
      state.active.set(NONE, requests);
      state.connections.set(NONE, connections);
      byAgent(state.tunnels, tunnels);
      byAgent(state.known, known);
    },
    health(health) {
      state.up.set(NONE, 1);
      state.started.set(NONE, health.started);
      state.open.set(NONE, health.open);
      state.journalBytes.set(NONE, health.journalBytes);
      for (const [reason, count] of Object.entries(health.dropped)) state.dropped.set(['journal', reason], count);
      for (const consumer of health.consumers) {
        state.lag.set([consumer.name], consumer.lag);
        const age = consumer.oldest === undefined ? 0 : Math.max(0, Date.now() - consumer.oldest) / 1000;
        state.oldest.set([consumer.name], age);
        state.accepted.set([consumer.name], consumer.accepted);
        state.sampledOut.set([consumer.name], consumer.sampledOut);
        for (const [reason, count] of Object.entries(consumer.dropped)) {
          state.dropped.set([consumer.name, reason], count);
        }
      }
      for (const [thread, delay] of Object.entries(health.eventLoopDelay)) state.delay.set([thread], delay);
    },
  };
}
