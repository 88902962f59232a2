import type { ReportDestination, ReportFacts } from '../../../src/model/report.ts';

/** That hour of 20 November 2026, local time. */
export function at(hour: number, minute: number): number {
  return new Date(2026, 10, 20, hour, minute).getTime();
}

export function destination(host: string, requests: number, requestBytes: number): ReportDestination {
  return { host, port: 443, requests, requestBytes, responseBytes: 0 };
}

/** Facts of a report about nothing, from 14:02 to 14:41. */
export function facts(more: Partial<ReportFacts>): ReportFacts {
  return {
    filter: {},
    agents: [],
    from: at(14, 2),
    to: at(14, 41),
    mode: 'monitor',
    containment: 'cooperative',
    runs: 0,
    destinations: 0,
    requests: 0,
    requestBytes: 0,
    responseBytes: 0,
    top: [],
    new: [],
    leaving: [],
    direct: [],
    directWatched: false,
    unread: [],
    wouldBlock: 0,
    blocked: 0,
    redacted: 0,
    remarks: [],
    ...more,
  };
}

/** The receipt printed in the specification, as facts. */
export const EXAMPLE: ReportFacts = facts({
  filter: { run: 'run' },
  agents: ['claude'],
  run: { id: 'run', program: 'claude', code: 0, restarts: 0 },
  runs: 1,
  destinations: 7,
  requests: 412,
  requestBytes: 3_100_000,
  responseBytes: 48_000_000,
  top: [
    { ...destination('api.anthropic.com', 388, 2_900_000), inputTokens: 1_200_000, outputTokens: 38_000 },
    { ...destination('github.com', 6, 180_000), tenant: 'github.com/acme' },
  ],
  new: [
    {
      rule: 'first-seen',
      agent: 'claude',
      host: 'files.example.net',
      port: 443,
      message: 'this agent reached a destination it has never connected to (files.example.net)',
      requestBytes: 41_000,
      severity: 'medium',
    },
    {
      rule: 'credential-never-seen',
      agent: 'claude',
      host: 'api.anthropic.com',
      port: 443,
      message: 'claude used a credential it has never used',
      requestBytes: 2_900_000,
    },
  ],
  leaving: [
    {
      rule: 'aws-access-key',
      method: 'POST',
      host: 'api.github.com',
      path: '/gists',
      count: 1,
      action: 'forward',
      would: 'block',
    },
  ],
  direct: [{ program: 'ssh', address: '140.82.112.4', port: 22, count: 2 }],
  directWatched: true,
  unread: [
    { reason: 'client-rejected-ca', client: 'gh', hosts: ['github.com', 'api.github.com', 'uploads.github.com'] },
  ],
  wouldBlock: 2,
});
