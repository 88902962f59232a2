import type { LogLine } from './model/admin.ts';
import { hostPort } from './model/destination.ts';
import type { RecentExchange } from './model/recent.ts';
import type { ExchangeRecord, WeirRecord } from './model/record.ts';
import { deciding } from './verdict/judge.ts';

/** A stored exchange or event as a line of `weir logs`. */
export function lineOfRow(row: RecentExchange): LogLine {
  const told = {
    ...(row.severity === null ? {} : { severity: row.severity }),
    ...(row.message === null ? {} : { message: row.message }),
  };
  if (row.kind === 'finding' || row.kind === 'audit') {
    return {
      at: row.startedAt,
      id: row.id,
      kind: row.kind,
      agent: row.agent,
      ...(row.host === '' ? {} : { destination: hostPort(row.host, row.port) }),
      rules: row.rules,
      ...told,
    };
  }
  return {
    at: row.startedAt,
    id: row.id,
    kind: row.kind,
    agent: row.agent,
    method: row.method,
    destination: hostPort(row.host, row.port),
    path: row.path,
    ...(row.status === null ? {} : { status: row.status }),
    outcome: row.state === 'open' ? 'open' : row.outcome,
    visibility: row.visibility,
    action: row.action,
    would: row.would,
    requestBytes: row.requestBytes,
    responseBytes: row.responseBytes,
    durationMs: row.durationMs,
    rules: row.rules,
    ...told,
  };
}

/** A record as it leaves the journal as a line of `weir logs -f`; undefined for what is no event of its own. */
export function lineOf(record: WeirRecord): LogLine | undefined {
  if (record.kind === 'connection' || record.kind === 'baseline-edit') return undefined;
  if (record.kind === 'run') {
    const { program, exitCode, exitSignal } = record;
    const how = exitSignal ?? (exitCode === undefined ? 'ended' : `exit ${exitCode}`);
    const { id, kind, agent } = record;
    return { at: record.endedAt, id, kind, agent, rules: [], message: `weir run ${program}: ${how}` };
  }
  if (!('outcome' in record)) {
    return {
      at: record.at,
      id: record.id,
      kind: record.kind,
      agent: record.agent,
      ...(record.host === undefined ? {} : { destination: hostPort(record.host, record.port ?? 0) }),
      severity: record.finding.severity,
      rules: [record.finding.rule],
      message: record.finding.message,
    };
  }
  // A forwarded CONNECT shows through its tunnel or its exchanges, unless it has something to say itself.
  if (
    record.state === 'open' ||
    (record.kind === 'connect' && record.outcome === 'forwarded' && record.findings.length === 0)
  ) {
    return undefined;
  }
  return exchangeLine(record);
}

function exchangeLine(record: ExchangeRecord): LogLine {
  const finding = deciding(record.findings);
  const status = record.status ?? record.answeredStatus;
  return {
    at: record.startedAt,
    id: record.id,
    kind: record.kind,
    agent: record.agent,
    method: record.method,
    destination: hostPort(record.host, record.port),
    path: record.target,
    ...(status === undefined ? {} : { status }),
    outcome: record.outcome,
    visibility: record.visibility,
    action: record.action,
    would: record.would,
    requestBytes: record.requestBytes,
    responseBytes: record.responseBytes,
    durationMs: record.durationMs,
    ...(finding === undefined ? {} : { severity: finding.severity, message: finding.message }),
    rules: record.findings.map(({ rule }) => rule),
  };
}
