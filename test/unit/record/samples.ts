import fc from 'fast-check';
import type {
  BaselineEdit,
  ConnectionRecord,
  EventRecord,
  ExchangeRecord,
  RunRecord,
  WeirRecord,
} from '../../../src/model/record.ts';
import { ulid } from '../../../src/model/ulid.ts';

let counter = 0;
const hex = (length: number): string => (++counter).toString(16).padStart(length, '0');

/** A forwarded GET with status 200; `change` makes anything else of it. */
export function exchangeSample(change: Partial<ExchangeRecord> = {}): ExchangeRecord {
  return {
    kind: 'exchange',
    state: 'closed',
    id: ulid(),
    connectionId: ulid(),
    traceId: hex(32),
    spanId: hex(16),
    startedAt: 1_770_000_000_000.25,
    durationMs: 12.5,
    agent: 'researcher',
    identifiedBy: 'claim',
    via: 'absolute-form',
    visibility: 'plaintext',
    clientAddress: '127.0.0.1',
    scheme: 'http',
    host: 'api.example.com',
    port: 80,
    peerAddress: '192.0.2.7',
    peerPort: 80,
    protocol: '1.1',
    method: 'GET',
    target: '/v1/items?page=2',
    status: 200,
    requestBytes: 0,
    responseBytes: 512,
    outcome: 'forwarded',
    mode: 'monitor',
    verdict: 'allow',
    action: 'forward',
    would: 'none',
    findings: [],
    firstSeen: false,
    baselineState: 'ready',
    teaches: true,
    userAgent: 'python-httpx/0.28',
    overheadMs: 0.12,
    ttfbMs: 10,
    ...change,
  };
}

/** A run that ended well and went past Weir twice; `change` makes anything else of it. */
export function runSample(change: Partial<RunRecord> = {}): RunRecord {
  return {
    kind: 'run',
    id: ulid(),
    traceId: hex(32),
    spanId: hex(16),
    startedAt: 1_770_000_000_000.25,
    endedAt: 1_770_000_004_000.5,
    agent: 'researcher',
    program: 'python3',
    mode: 'monitor',
    containment: 'cooperative',
    exitCode: 0,
    restarts: 0,
    directWatched: true,
    direct: [
      { at: 1_770_000_001_000, program: 'node', address: '192.0.2.9', port: 443, count: 2 },
      { at: 1_770_000_002_000, program: 'curl', address: '2001:db8::9', port: 80, count: 1 },
    ],
    ...change,
  };
}

/** Every string field of every record kind filled. */
export function fullSamples(): WeirRecord[] {
  const finding = {
    inspector: 'baseline',
    rule: 'first-seen',
    severity: 'low',
    disposition: 'flag',
    message: 'a sentence',
    blockReason: 'policy',
  } as const;
  const exchange = exchangeSample({
    parentSpanId: hex(16),
    linkTraceId: hex(32),
    linkSpanId: hex(16),
    errorType: 'upstream-reset',
    errorDetail: 'read ECONNRESET',
    findings: [finding],
    priorRules: ['first-seen'],
    tenant: 'github.com/acme',
    credentialFp: 'abcdef012345',
    contentType: 'application/json',
    responseContentType: 'text/html',
    sni: 'api.example.com',
    alpn: 'h2,http/1.1',
    ja4: 't13d1516h2_8daaf6152771_02713d6af862',
    tlsVersion: '1.3',
    tunnelProtocol: 'tls',
    interceptionSkipped: 'client-rejected-ca',
    closeReason: 'agent-end',
    runId: ulid(),
  });
  const connection: ConnectionRecord = {
    kind: 'connection',
    id: ulid(),
    openedAt: 1,
    closedAt: 2,
    agent: 'researcher',
    identifiedBy: 'claim',
    via: 'connect',
    visibility: 'tunnel',
    clientAddress: '127.0.0.1',
    clientPort: 5000,
    scheme: 'tcp',
    host: 'api.example.com',
    port: 443,
    sni: 'api.example.com',
    alpn: 'h2',
    ja4: 'x',
    tlsVersion: '1.3',
    tunnelProtocol: 'tls',
    interceptionSkipped: 'x',
    exchanges: 1,
    closeReason: 'agent-end',
    runId: ulid(),
  };
  const event: EventRecord = {
    kind: 'audit',
    id: ulid(),
    at: 1,
    agent: 'researcher',
    finding,
    connectionId: ulid(),
    host: 'api.example.com',
    port: 443,
    actor: 'cli',
    runId: ulid(),
    program: 'node',
    count: 2,
  };
  const edit: BaselineEdit = {
    kind: 'baseline-edit',
    id: ulid(),
    at: 1,
    agent: 'researcher',
    verb: 'accept',
    destinations: [
      {
        host: 'api.example.com',
        port: 443,
        firstSeen: 1,
        lastSeen: 2,
        count: 3,
        requestBytes: 4,
        responseBytes: 5,
        methods: ['GET'],
        status: 'learned',
      },
    ],
  };
  return [exchange, connection, event, edit, runSample({ exitSignal: 'SIGTERM', abandoned: true })];
}

/** Sequences of records of every kind, exchanges most of all, with fields that come and go. */
export function anyRecords(): fc.Arbitrary<WeirRecord[]> {
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('a', 'b', '\ud800', '\u2028"\\'));
  const change = fc.record(
    {
      kind: fc.constantFrom('exchange', 'connect', 'tunnel'),
      state: fc.constantFrom('open', 'closed'),
      id: text,
      host: text,
      target: text,
      agent: text,
      port: fc.nat(65_535),
      durationMs: fc.nat().map((us) => us / 1000),
      teaches: fc.boolean(),
      findings: fc.array(fc.record({ rule: text, message: text }, { noNullPrototype: true }), { maxLength: 2 }),
      status: fc.constantFrom(200, 404, 503),
      wasOpen: fc.boolean(),
      priorRules: fc.array(text, { maxLength: 2 }),
      errorDetail: text,
      runId: text,
      sni: text,
      ech: fc.boolean(),
      tlsMs: fc.constantFrom(0, 1.5),
    },
    { requiredKeys: [] },
  );
  const others = fullSamples().filter((record) => record.kind !== 'exchange');
  const record = fc.oneof(
    { weight: 6, arbitrary: change.map((fields) => exchangeSample(fields as unknown as Partial<ExchangeRecord>)) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );
  return fc.array(record, { maxLength: 12 });
}
