import { keyAmong } from '../../../src/cli/learned.ts';
import { type ListOptions, suggestList } from '../../../src/cli/suggest-list.ts';
import { readRisky } from '../../../src/cli/suggest-risky.ts';
import type { FindingGroup, RowGroup } from '../../../src/cli/suggest-rows.ts';
import { stoppedBy } from '../../../src/cli/suggest-stopped.ts';
import type { Frame, Suggestion } from '../../../src/cli/suggest-words.ts';
import type { AgentStat, DestinationStat } from '../../../src/model/record.ts';
import { account, DAY, NOON, stat } from '../store/help.ts';

export const FRAME: Frame = {
  now: NOON,
  since: NOON - 30 * DAY,
  by: 'host, port and method',
  command: 'weir policy suggest --agent researcher',
  config: '~/.config/weir/weir.yaml',
};

export function rows(host: string, more: Partial<RowGroup> = {}): RowGroup {
  const count = more.count ?? 3;
  return {
    agent: 'researcher',
    host,
    port: 443,
    method: 'GET',
    kind: 'exchange',
    count,
    blocked: 0,
    good: count,
    first: NOON - DAY,
    last: NOON,
    requestBytes: 5000,
    failure: '',
    ...more,
  };
}

export function told(host: string, rule: string, message: string, more: Partial<FindingGroup> = {}): FindingGroup {
  return { agent: 'researcher', host, port: 443, rule, message, count: 2, first: NOON, last: NOON, ...more };
}

export function agent(destinations: readonly DestinationStat[], more: Partial<AgentStat> = {}): AgentStat {
  return {
    agent: 'researcher',
    firstSeen: NOON - 8 * DAY,
    lastSeen: NOON,
    requests: destinations.reduce((n, { count }) => n + count, 0),
    lastNewAt: NOON - 3 * 3_600_000,
    locked: false,
    destinations,
    ...more,
  };
}

/** What the command makes of these, without the command. */
export function suggestion(one: AgentStat, more: Partial<ListOptions> = {}): Suggestion {
  const { groups = [], findings = [], risky = readRisky(), names = false } = more;
  const of = <T extends { readonly agent: string }>(all: readonly T[]): T[] =>
    all.filter((row) => keyAmong([one], row.agent) === one.agent);
  const list = suggestList(one, { groups: of(groups), findings: of(findings), risky, names });
  return {
    ...list,
    requests: one.requests,
    learned: one.destinations.length,
    locked: one.locked,
    firstSeen: one.firstSeen,
    lastNewAt: one.lastNewAt,
    stopped: stoppedBy(list.entries, of(groups), one, names),
  };
}

/** Everything a list can hold, once. */
export const EXAMPLE: AgentStat = agent(
  [
    stat('api.anthropic.com', {
      count: 412,
      requestBytes: 2_900_000,
      firstSeen: NOON - 8 * DAY,
      methods: ['GET', 'POST'],
    }),
    stat('github.com', { count: 4, requestBytes: 180_000, methods: ['GET', 'POST'] }),
    stat('known.example', { count: 7, port: 80 }),
    ...['a', 'b', 'c'].map((name) => stat(`${name}.cdn.example.com`, { count: 5, requestBytes: 100 })),
    stat('x.cdn.example.com'),
    stat('pastebin.com', { count: 2, status: 'accepted' }),
    stat('unused.example', { count: 0, status: 'accepted' }),
    stat('ignored.example', { count: 5, status: 'ignored' }),
    stat('once.example.net'),
    stat('192.0.2.7', { count: 9, port: 8080 }),
    stat('redacted-0123ab.example.org', { count: 9 }),
    stat('db.corp.example', { count: 9, port: 5432, methods: [] }),
    stat('gone.example.net', { count: 6 }),
  ],
  { accounts: [account('github.com', 'github.com/acme', 'tenant'), account('s3', 's3/reports', 'tenant')] },
);

export const EXAMPLE_ROWS: readonly RowGroup[] = [
  rows('api.anthropic.com', { method: 'POST', count: 400 }),
  rows('api.anthropic.com', { count: 12 }),
  rows('known.example', { port: 80, count: 7 }),
  rows('github.com', { kind: 'tunnel', method: 'CONNECT', count: 4 }),
  rows('once.example.net', { count: 1 }),
  rows('down.example', { good: 0, count: 3, failure: 'ECONNREFUSED' }),
  rows('gone.example.net', { good: 0, count: 6, failure: '404' }),
  rows('transfer.sh', { kind: 'tunnel', method: 'CONNECT', count: 2 }),
  rows('leaky.example', { count: 1 }),
  rows('known.example', { port: 80, method: 'DELETE', count: 2 }),
  rows('blocked.example', { count: 4, blocked: 4, good: 0 }),
  rows('ignored.example', { count: 2 }),
];

export const EXAMPLE_FINDINGS: readonly FindingGroup[] = [
  told('db.corp.example', 'internal-address', 'db.corp.example (10.0.0.9) is a private address', { port: 5432 }),
  told('leaky.example', 'aws-access-key', 'aws-access-key in the query'),
  told('github.com', 'aws-access-key', 'aws-access-key in the body', { count: 1 }),
];
