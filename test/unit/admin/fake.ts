import type { AdminHandlers, LogLine, StatusReport } from '../../../src/model/admin.ts';
import type { RunOpened } from '../../../src/model/run.ts';

/** A report with one agent, for tests of the admin server and of the command line. */
export const REPORT: StatusReport = {
  version: '0.0.0-test',
  pid: 4121,
  since: Date.UTC(2026, 10, 20, 12),
  mode: 'monitor',
  containment: 'cooperative',
  verified: false,
  runs: 0,
  listeners: [{ address: '127.0.0.1:8080', tls: false }],
  stateDir: '/state',
  interception: 'none',
  reads: 'TLS is not intercepted: hosts, ports, bytes.',
  agents: [
    {
      agent: 'researcher',
      identifiedBy: 'claim',
      mode: 'monitor',
      stopped: false,
      baseline: {
        state: 'learning',
        requests: 412,
        destinations: 6,
        sentence: 'researcher: learning, 412 requests, 6 destinations',
      },
      connections: 3,
      requests: 412,
      requestBytes: 3_100_000,
      responseBytes: 48_000_000,
      wouldBlock: 2,
      blocked: 0,
      lastSeen: Date.UTC(2026, 10, 20, 12, 30),
    },
  ],
  exceptions: [],
  limitsReached: {},
  connections: 3,
  started: 412,
  open: 1,
  dropped: {},
  consumers: [{ name: 'duckdb', exported: 411, journalled: 0, sampledOut: 0, dropped: {} }],
  journalBytes: 1024,
  store: { path: '/state/weir.duckdb', bytes: 4096, sentence: 'rows go to /state/weir.duckdb' },
  telemetry: { sentence: 'spans go nowhere: nothing answers OTLP on 127.0.0.1:4318' },
  problems: [],
};

const OPENED: RunOpened = {
  id: '01JCXXXXXXXXXXXXXXXXXXXXXX',
  proxy: '127.0.0.1:41234',
  port: 41_234,
  mode: 'monitor',
  containment: 'cooperative',
  reads: 'TLS is read where the program trusts Weir’s CA; no body is stored',
};

/** Handlers that remember what they were asked. */
export function fakeHandlers(overrides: Partial<AdminHandlers> = {}) {
  const calls: unknown[][] = [];
  const listeners = new Set<(line: LogLine) => void>();
  const noted =
    <T>(name: string, result: T) =>
    (...args: unknown[]): Promise<T> => {
      calls.push([name, ...args]);
      return Promise.resolve(result);
    };
  const facts = {
    certificatePath: '/state/ca.pem',
    bundlePath: '/state/public/ca-bundle.pem',
    pem: '-----BEGIN CERTIFICATE-----\n',
    fingerprint: 'AA:BB',
    subject: 'CN=Weir',
    notBefore: 0,
    notAfter: 1,
    key: 'EC P-256',
  };
  const handlers: AdminHandlers = {
    status: noted('status', REPORT),
    ready: () => ({ ok: true, problems: [] }),
    metrics: () => Promise.resolve('# TYPE weir_x counter\nweir_x 1\n'),
    preflight: noted('preflight', {
      from: 'monitor' as const,
      to: 'enforce' as const,
      spanMs: 604_800_000,
      exchanges: 412,
      wouldLose: 2,
      examples: [{ agent: 'researcher', destination: 'example.org', rule: 'destination-not-allowed', count: 2 }],
      uninspectable: ['api.example.com'],
      containment: 'cooperative' as const,
    }),
    mode: noted('mode', { message: 'enforce for everybody.', lowered: false }),
    baselines: noted('baselines', []),
    baseline: noted('baseline', { message: 'done' }),
    logs: noted('logs', []),
    subscribe: (line) => {
      listeners.add(line);
      return () => listeners.delete(line);
    },
    prepareQuery: noted('prepareQuery', { snapshotDir: '/state/snapshot' }),
    purge: noted('purge', { rows: 3, message: '3 rows are gone.' }),
    ca: noted('ca', facts),
    rotateCa: noted('rotateCa', facts),
    caTrusted: noted('caTrusted', { forgotten: 0 }),
    policies: noted('policies', {
      policies: [],
      default: 'allow' as const,
      files: [],
      loadedAt: 0,
      problems: [],
      approvals: 0,
    }),
    approve: noted('approve', { ref: '', agent: '', policy: '', request: '', until: 0 }),
    explain: noted('explain', { steps: [] }),
    acceptPolicies: noted('acceptPolicies', { message: 'taken over' }),
    environment: () => ({ proxy: '127.0.0.1:8080', caBundle: '/state/public/ca-bundle.pem' }),
    openRun: noted('openRun', { opened: OPENED, gone: () => void calls.push(['gone']) }),
    directSeen: noted('directSeen', undefined),
    endRun: noted('endRun', undefined as never),
    leave: noted('leave', undefined),
    reload: noted('reload', { message: 'reloaded' }),
    verified: (...args) => void calls.push(['verified', ...args]),
    ...overrides,
  };
  return { handlers, calls, listeners, emit: (line: LogLine) => listeners.forEach((listener) => void listener(line)) };
}

/** A line of `weir logs`. */
export function line(overrides: Partial<LogLine> = {}): LogLine {
  return { at: Date.UTC(2026, 10, 20, 12), id: 'x', kind: 'exchange', agent: 'researcher', rules: [], ...overrides };
}
