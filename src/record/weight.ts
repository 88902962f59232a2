import type { WeirRecord } from '../model/record.ts';

/** Rough bytes of a record in memory: what varies is its strings from the network. */
export function weigh(record: WeirRecord): number {
  if (record.kind === 'run') return 600 + 300 * record.direct.length;
  if (!('target' in record)) return 600;
  let bytes = 1200 + record.target.length + (record.errorDetail?.length ?? 0) + (record.userAgent?.length ?? 0);
  for (const finding of record.findings) bytes += 200 + finding.message.length;
  return bytes;
}
