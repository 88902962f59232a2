import type { ExchangeRecord, WeirRecord } from '../model/record.ts';
import { createHostSlots, createNameCap } from './hosts.ts';
import { decides } from './log.ts';
import { createInstrument, type Instrument } from './registry.ts';
import { ATTR, KNOWN_METHODS } from './semconv.ts';
import { errorType } from './span.ts';

/** Seconds; the buckets the HTTP metric convention asks for. */
const DURATION = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Seconds; what a proxy adds is below a millisecond. */
const OVERHEAD = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];
const CONNECTION = [0.01, 0.1, 1, 5, 10, 30, 60, 300];

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
  }[];
  /** Seconds, by thread; measured where the thread is. */
  readonly eventLoopDelay: Readonly<Record<string, number>>;
}

export interface Metrics {
  readonly instruments: readonly Instrument[];
  /** Counts one record. */
  record(record: WeirRecord): void;
  /** Sets gauges and loss counters; called before every read. */
  health(health: Health): void;
}

function recordInstruments() {
  return {
    duration: createInstrument({
      kind: 'histogram',
      name: 'http.client.request.duration',
      unit: 's',
      description: 'Duration of exchanges, from request head to end of response',
      labels: [
        ATTR.HTTP_REQUEST_METHOD,
        ATTR.SERVER_ADDRESS,
        ATTR.SERVER_PORT,
        ATTR.HTTP_RESPONSE_STATUS_CODE,
        ATTR.ERROR_TYPE,
        ATTR.NETWORK_PROTOCOL_VERSION,
      ],
      bounds: DURATION,
    }),
    overhead: createInstrument({
      kind: 'histogram',
      name: 'weir.proxy.overhead',
      unit: 's',
      description: 'Time Weir itself added before forwarding',
      labels: [ATTR.MODE, ATTR.VISIBILITY],
      bounds: OVERHEAD,
    }),
    tunnel: createInstrument({
      kind: 'histogram',
      name: 'weir.tunnel.duration',
      unit: 's',
      description: 'Life of opaque tunnels',
      labels: [ATTR.AGENT],
      bounds: CONNECTION,
    }),
    requests: createInstrument({
      kind: 'counter',
      name: 'weir.egress.requests',
      unit: '{request}',
      description: 'Exchanges, CONNECTs and tunnels that ended',
      labels: [ATTR.AGENT, 'weir.kind', ATTR.ACTION, ATTR.WOULD, ATTR.MODE, ATTR.OUTCOME],
    }),
    io: createInstrument({
      kind: 'counter',
      name: 'weir.egress.io',
      unit: 'By',
      description: 'Body and tunnel bytes',
      labels: [ATTR.AGENT, ATTR.NETWORK_IO_DIRECTION],
    }),
    decisions: createInstrument({
      kind: 'counter',
      name: 'weir.policy.decisions',
      unit: '{decision}',
      description: 'Exchanges that were blocked or would have been, by rule',
      labels: [ATTR.SECURITY_RULE_NAME, ATTR.ACTION, ATTR.WOULD, ATTR.MODE],
    }),
    findings: createInstrument({
      kind: 'counter',
      name: 'weir.findings',
      unit: '{finding}',
      description: 'Findings by rule',
      labels: [ATTR.SECURITY_RULE_NAME, ATTR.FINDING_SEVERITY, ATTR.ACTION],
    }),
    firstSeen: createInstrument({
      kind: 'counter',
      name: 'weir.destinations.first_seen',
      unit: '{destination}',
      description: 'First contacts',
      labels: [ATTR.AGENT],
    }),
  };
}

function healthInstruments() {
  return {
    up: createInstrument({ kind: 'gauge', name: 'weir.up', unit: '', description: 'Weir is running' }),
    started: createInstrument({
      kind: 'counter',
      name: 'weir.spans.started',
      unit: '{span}',
      description: 'Exchanges, CONNECTs and tunnels begun, over all process lives',
    }),
    open: createInstrument({
      kind: 'gauge',
      name: 'weir.exchanges.open',
      unit: '{exchange}',
      description: 'Begun and not yet ended',
    }),
    dropped: createInstrument({
      kind: 'counter',
      name: 'weir.spans.dropped',
      unit: '{span}',
      description: 'Spans lost, by consumer (`journal` = before the journal) and reason',
      labels: [ATTR.CONSUMER, ATTR.REASON],
    }),
    accepted: createInstrument({
      kind: 'counter',
      name: 'weir.spans.accepted',
      unit: '{span}',
      description: 'Spans a consumer of the journal has taken',
      labels: [ATTR.CONSUMER],
    }),
    sampledOut: createInstrument({
      kind: 'counter',
      name: 'weir.spans.sampled_out',
      unit: '{span}',
      description: 'Spans thinned by telemetry.sample',
      labels: [ATTR.CONSUMER],
    }),
    lag: createInstrument({
      kind: 'gauge',
      name: 'weir.journal.lag',
      unit: '{record}',
      description: 'Records that wait in the journal for a consumer',
      labels: [ATTR.CONSUMER],
    }),
    journalBytes: createInstrument({
      kind: 'gauge',
      name: 'weir.journal.size',
      unit: 'By',
      description: 'Bytes of journal segments',
    }),
    delay: createInstrument({
      kind: 'gauge',
      name: 'weir.event_loop.delay',
      unit: 's',
      description: 'Event-loop delay (p99 since the last look), by thread',
      labels: ['weir.thread'],
    }),
  };
}

const NONE: readonly string[] = [];

/** Instruments of telemetry reference §1.11 that concern Weir, fed by records; bounded in every label. */
export function createMetrics(): Metrics {
  const own = recordInstruments();
  const state = healthInstruments();
  const hosts = createHostSlots();
  const agentName = createNameCap(1000);
  const ruleName = createNameCap(500);

  const exchange = (record: ExchangeRecord): void => {
    if (record.state !== 'closed') return;
    const agent = agentName(record.agent);
    own.requests.add([agent, record.kind, record.action, record.would, record.mode, record.outcome], 1);
    if (record.requestBytes > 0) own.io.add([agent, 'transmit'], record.requestBytes);
    if (record.responseBytes > 0) own.io.add([agent, 'receive'], record.responseBytes);
    if (record.firstSeen && record.kind !== 'tunnel') own.firstSeen.add([agent], 1);
    for (const finding of record.findings) {
      own.findings.add([ruleName(finding.rule), finding.severity, record.action], 1);
    }
    if (decides(record)) {
      const wanted = record.action === 'block' ? 'block' : record.would;
      const rule = record.findings.find((finding) => finding.disposition === wanted)?.rule ?? '';
      own.decisions.add([ruleName(rule), record.action, record.would, record.mode], 1);
    }
    if (record.kind === 'tunnel') own.tunnel.observe([agent], record.durationMs / 1000);
    if (record.kind !== 'exchange') return;
    own.duration.observe(
      [
        KNOWN_METHODS.has(record.method) ? record.method : '_OTHER',
        hosts.nameFor(record.host),
        String(record.port),
        record.status === undefined ? '' : String(record.status),
        errorType(record) ?? '',
        record.protocol,
      ],
      record.durationMs / 1000,
    );
    if (record.outcome === 'forwarded') {
      own.overhead.observe([record.mode, record.visibility], record.overheadMs / 1000);
    }
  };

  return {
    instruments: [...Object.values(own), ...Object.values(state)],
    record(record) {
      if (record.kind === 'exchange' || record.kind === 'connect' || record.kind === 'tunnel') exchange(record);
      else if (record.kind === 'finding') {
        own.findings.add([ruleName(record.finding.rule), record.finding.severity, ''], 1);
      }
    },
    health(health) {
      state.up.set(NONE, 1);
      state.started.set(NONE, health.started);
      state.open.set(NONE, health.open);
      state.journalBytes.set(NONE, health.journalBytes);
      for (const [reason, count] of Object.entries(health.dropped)) state.dropped.set(['journal', reason], count);
      for (const consumer of health.consumers) {
        state.lag.set([consumer.name], consumer.lag);
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
