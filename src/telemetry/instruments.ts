import { createInstrument } from './registry.ts';
import { ATTR } from './semconv.ts';

/** Seconds; the buckets the HTTP metric convention asks for. */
const DURATION = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Seconds; what a proxy adds is below a millisecond. */
const OVERHEAD = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];
const CONNECTION = [0.01, 0.1, 1, 5, 10, 30, 60, 300];

/** Fed by records. */
export function recordInstruments() {
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
    connection: createInstrument({
      kind: 'histogram',
      name: 'http.client.connection.duration',
      unit: 's',
      description: 'Life of connections of agents, by the destination they were for',
      labels: [ATTR.SERVER_ADDRESS, ATTR.SERVER_PORT],
      bounds: CONNECTION,
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
    // The name Strathon's panels and alerts ask for (strathon-compat §6.24); `weir.policy.decisions` tells more.
    matches: createInstrument({
      kind: 'counter',
      name: 'strathon.receiver.policy_matches',
      unit: '{match}',
      description: 'Matches of policies that are not in shadow, by action',
      labels: ['action'],
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

/** Set before every read. */
export function healthInstruments() {
  return {
    up: createInstrument({ kind: 'gauge', name: 'weir.up', unit: '', description: 'Weir is running' }),
    started: createInstrument({
      kind: 'counter',
      name: 'weir.spans.started',
      unit: '{span}',
      description: 'Exchanges, CONNECTs, tunnels and runs begun, over all process lives',
    }),
    open: createInstrument({
      kind: 'gauge',
      name: 'weir.exchanges.open',
      unit: '{exchange}',
      description: 'Begun and not yet ended',
    }),
    active: createInstrument({
      kind: 'gauge',
      name: 'http.client.active_requests',
      unit: '{request}',
      description: 'Exchanges under way',
    }),
    connections: createInstrument({
      kind: 'gauge',
      name: 'http.client.open_connections',
      unit: '{connection}',
      description: 'Open connections of agents',
    }),
    tunnels: createInstrument({
      kind: 'gauge',
      name: 'weir.tunnel.active',
      unit: '{tunnel}',
      description: 'Open tunnels, by agent',
      labels: [ATTR.AGENT],
    }),
    known: createInstrument({
      kind: 'gauge',
      name: 'weir.destinations.known',
      unit: '{destination}',
      description: 'Destinations in the baseline, by agent',
      labels: [ATTR.AGENT],
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
    oldest: createInstrument({
      kind: 'gauge',
      name: 'weir.journal.oldest_age',
      unit: 's',
      description: 'Age of the oldest record that waits in the journal for a consumer',
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
