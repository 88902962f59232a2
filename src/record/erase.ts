import { readFileSync } from 'node:fs';
import type { WeirRecord } from '../model/record.ts';
import type { PurgeQuery } from './protocol.ts';
import {
  type CheckpointLine,
  checkpointLine,
  erasedLine,
  isCheckpointMark,
  isErasedMark,
  isRecordMark,
  isSpanMark,
  MARK_OFFSET,
  NEWLINE,
  parseLine,
  type Segment,
} from './segment.ts';

function timeOf(record: WeirRecord): number {
  if ('startedAt' in record) return record.startedAt;
  return 'openedAt' in record ? record.openedAt : record.at;
}

function names(record: WeirRecord, host: string): boolean {
  if ('destinations' in record) return record.destinations.some((destination) => destination.host === host);
  // A run is told whole: without one of the connections past Weir it would tell another story.
  if (record.kind === 'run') return record.direct.some(({ address }) => address === host);
  return record.host === host || ('sni' in record && record.sni === host);
}

/** Whether `weir purge` means this record: everything that is given must be so. */
export function purgeMatch(query: PurgeQuery): (record: WeirRecord) => boolean {
  return (record) =>
    (query.agent === undefined || record.agent === query.agent) &&
    (query.host === undefined || names(record, query.host)) &&
    (query.before === undefined || timeOf(record) < query.before);
}

function erasedOrNot(buffer: Buffer, start: number, end: number, match: (record: WeirRecord) => boolean) {
  const mark = buffer[start + MARK_OFFSET] as number;
  if (isCheckpointMark(mark)) {
    const point = parseLine(buffer, start, end) as CheckpointLine;
    const open = point.open.filter((row) => !match(row));
    return open.length === point.open.length ? undefined : checkpointLine({ ...point, open });
  }
  if (!isRecordMark(mark) || isErasedMark(mark)) return undefined;
  return match(parseLine(buffer, start, end) as WeirRecord) ? erasedLine(isSpanMark(mark)) : undefined;
}

/** The text of a segment without what matches; a line that cannot be read goes too. */
export function eraseRecords(
  segment: Segment,
  match: (record: WeirRecord) => boolean,
): { readonly text: string; readonly erased: number } {
  const buffer = readFileSync(segment.path).subarray(0, segment.bytes);
  const lines: string[] = [];
  let erased = 0;
  for (let at = 0; at < buffer.length; ) {
    const end = buffer.indexOf(NEWLINE, at);
    if (end < 0) break;
    let changed: string | undefined;
    try {
      changed = erasedOrNot(buffer, at, end, match);
    } catch {
      changed = erasedLine(isSpanMark(buffer[at + MARK_OFFSET] as number));
    }
    if (changed === undefined) lines.push(buffer.toString('utf8', at, end + 1));
    else {
      erased++;
      lines.push(changed);
    }
    at = end + 1;
  }
  return { text: lines.join(''), erased };
}
