import type { ExchangeRecord } from '../model/record.ts';

const DEFAULT_PORT: Readonly<Record<string, number>> = { http: 80, https: 443 };

function authority(scheme: string, record: ExchangeRecord): string {
  const host = record.host.includes(':') ? `[${record.host}]` : record.host;
  return record.port === DEFAULT_PORT[scheme] ? `${scheme}://${host}` : `${scheme}://${host}:${record.port}`;
}

/**
 * URL of a record as it leaves by telemetry. A blocked request exports the host only: a URL that may not reach its
 * destination must not reach a backend instead (threat model P7); the path stays in the local row.
 */
export function urlOf(record: ExchangeRecord): string {
  // A CONNECT has no URL; Strathon's host rules expect this form of it.
  if (record.scheme === 'tcp' || record.kind !== 'exchange') return `${authority('https', record)}/`;
  if (record.action === 'block') return `${authority(record.scheme, record)}/`;
  const target = record.target;
  const path = target === '*' || target === '' ? '/' : target;
  return path.startsWith('/') ? authority(record.scheme, record) + path : `${authority(record.scheme, record)}/${path}`;
}
