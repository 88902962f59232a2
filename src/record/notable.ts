import type { WeirRecord } from '../model/record.ts';

/**
 * Findings, first contacts, blocks and what would have been one, and whatever an operator did: shed last (threat O7), in the backlog
 * and in a journal at its cap. What closes an open row is among them: without it the row would stay open.
 */
export function notable(record: WeirRecord): boolean {
  if (!('findings' in record)) return record.kind !== 'connection';
  return (
    record.findings.length > 0 ||
    record.firstSeen ||
    record.action !== 'forward' ||
    record.would !== 'none' ||
    record.wasOpen === true
  );
}
