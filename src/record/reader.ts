import { closeSync, openSync, readSync } from 'node:fs';
import type { WeirRecord } from '../model/record.ts';
import {
  isErasedMark,
  isRecordMark,
  isShedMark,
  isSpanMark,
  MARK_OFFSET,
  NEWLINE,
  parseLine,
  type Segment,
} from './segment.ts';

const CHUNK = 1 << 20;
/** Lines of a thinned segment that are passed over for the records of one chunk. */
const LINES = 32_768;

/** Records read in order, with the span counts the loss accounting needs. */
export interface Chunk {
  readonly records: readonly WeirRecord[];
  /** Sequence number of the last one. */
  readonly last: number;
  /** Spans in all records before the first of this chunk, and up to its last. */
  readonly spansBefore: number;
  readonly spansAfter: number;
  /** Sequence numbers of the records; undefined = consecutive. */
  readonly numbers?: readonly number[];
  /** Spans in this chunk that could not be read back, that were erased (`weir purge`), that were given up at the cap. */
  readonly unreadable: number;
  readonly erased: number;
  readonly shed: number;
}

/** A chunk nothing is missing from. */
export function wholeChunk(records: readonly WeirRecord[], last: number, before: number, spans: number): Chunk {
  return { records, last, spansBefore: before, spansAfter: before + spans, unreadable: 0, erased: 0, shed: 0 };
}

/** Reads one segment forward from any of its records. */
export interface SegmentReader {
  readonly segment: Segment;
  /** Sequence number of the next record it would give. */
  readonly next: number;
  /** Up to `max` records from `sequence` (≥ next) on; undefined at the end of what is written. Throws I/O errors. */
  read(sequence: number, max: number): Chunk | undefined;
  close(): void;
}

function readRecord(buffer: Buffer, start: number, end: number): WeirRecord | undefined {
  try {
    return parseLine(buffer, start, end) as WeirRecord;
  } catch {
    return undefined;
  }
}

export function openSegment(segment: Segment): SegmentReader {
  const file = openSync(segment.path, 'r');
  let buffer = Buffer.alloc(0);
  /** Offset in the file of the end of `buffer`, and in `buffer` of the next line. */
  let loaded = 0;
  let at = 0;
  let next = segment.base;
  let spans = segment.spansBefore;

  /** Makes a whole line available at `at`; its end, or -1 at the end of what is written. */
  const line = (): number => {
    for (;;) {
      const end = buffer.indexOf(NEWLINE, at);
      if (end >= 0) return end;
      const wanted = Math.min(CHUNK, segment.bytes - loaded);
      if (wanted <= 0) return -1;
      const rest = buffer.subarray(at);
      const grown = Buffer.allocUnsafe(rest.length + wanted);
      rest.copy(grown);
      const got = readSync(file, grown, rest.length, wanted, loaded);
      if (got === 0) return -1;
      loaded += got;
      buffer = grown.subarray(0, rest.length + got);
      at = 0;
    }
  };

  return {
    segment,
    get next() {
      return next;
    },
    read(sequence, max) {
      const records: WeirRecord[] = [];
      const numbers: number[] = [];
      let before = -1;
      let unreadable = 0;
      let erased = 0;
      let shed = 0;
      let taken = 0;
      while (records.length < max && taken < Math.max(max, LINES)) {
        const end = line();
        if (end < 0) break;
        const start = at;
        at = end + 1;
        const mark = buffer[start + MARK_OFFSET] as number;
        if (!isRecordMark(mark)) continue;
        const wanted = next >= sequence;
        next++;
        if (wanted) {
          if (before < 0) before = spans;
          taken++;
          const span = isSpanMark(mark) ? 1 : 0;
          if (isErasedMark(mark)) erased += span;
          else if (isShedMark(mark)) shed += span;
          else {
            const record = readRecord(buffer, start, end);
            if (record === undefined) unreadable += span;
            else {
              records.push(record);
              numbers.push(next - 1);
            }
          }
        }
        if (isSpanMark(mark)) spans++;
      }
      if (taken === 0) return undefined;
      const chunk = { records, last: next - 1, spansBefore: before, spansAfter: spans, unreadable, erased, shed };
      return records.length === taken ? chunk : { ...chunk, numbers };
    },
    close() {
      closeSync(file);
    },
  };
}

/** Where a consumer is in the journal, and its open file when it reads from one. */
export interface JournalCursor {
  /** Sequence number of the last record it has. */
  position: number;
  reader: SegmentReader | undefined;
}

/** Closes the file a cursor reads from. */
export function closeReader(cursor: JournalCursor): void {
  try {
    cursor.reader?.close();
  } catch {
    // The descriptor is gone either way.
  }
  cursor.reader = undefined;
}
