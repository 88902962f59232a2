import { readFileSync } from 'node:fs';
import type { WeirRecord } from '../model/record.ts';
import { notable } from './notable.ts';
import type { PurgeQuery } from './protocol.ts';
import {
  type CheckpointLine,
  checkpointLine,
  erasedLine,
  isCheckpointMark,
  isErasedMark,
  isRecordMark,
  isShedMark,
  isSpanMark,
  MARK_OFFSET,
  NEWLINE,
  parseLine,
  type Segment,
  shedLine,
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
  if (!isRecordMark(mark) || isErasedMark(mark) || isShedMark(mark)) return undefined;
  return match(parseLine(buffer, start, end) as WeirRecord) ? erasedLine(isSpanMark(mark)) : undefined;
}

/** A segment with some of its lines replaced. */
export interface Rewritten {
  readonly text: string;
  readonly replaced: number;
}

/** What stands in place of a line; undefined = it stays. Throws = the line cannot be read. */
type Replace = (buffer: Buffer, start: number, end: number) => string | undefined;

function rewrite(segment: Segment, replace: Replace, unreadable: (span: boolean) => string): Rewritten {
  const buffer = readFileSync(segment.path).subarray(0, segment.bytes);
  const lines: string[] = [];
  let replaced = 0;
  for (let at = 0; at < buffer.length; ) {
    const end = buffer.indexOf(NEWLINE, at);
    if (end < 0) break;
    let changed: string | undefined;
    try {
      changed = replace(buffer, at, end);
    } catch {
      changed = unreadable(isSpanMark(buffer[at + MARK_OFFSET] as number));
    }
    if (changed === undefined) lines.push(buffer.toString('utf8', at, end + 1));
    else {
      replaced++;
      lines.push(changed);
    }
    at = end + 1;
  }
  return { text: lines.join(''), replaced };
}

/** The text of a segment without what matches; a line that cannot be read goes too. Throws I/O errors. */
export function eraseRecords(segment: Segment, match: (record: WeirRecord) => boolean): Rewritten {
  return rewrite(segment, (buffer, start, end) => erasedOrNot(buffer, start, end, match), erasedLine);
}

/** The text of a segment with only what is notable; every record keeps its number. Throws I/O errors. */
export function shedOrdinary(segment: Segment): Rewritten {
  const shed: Replace = (buffer, start, end) => {
    const mark = buffer[start + MARK_OFFSET] as number;
    if (!isRecordMark(mark) || isErasedMark(mark) || isShedMark(mark)) return undefined;
    return notable(parseLine(buffer, start, end) as WeirRecord) ? undefined : shedLine(isSpanMark(mark));
  };
  return rewrite(segment, shed, shedLine);
}
