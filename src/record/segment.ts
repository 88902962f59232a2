import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExchangeRecord, RunRecord, WeirRecord } from '../model/record.ts';

/**
 * Journal lines are JSON objects whose first member is `"_":"<mark>"`, always nine bytes, so that a scan tells lines apart
 * without parsing: `c` closed span, `w` closed span that had an open row, `o` open row, `r` any other record,
 * `t` tally, `k` checkpoint, `x` and `y` (a span) erased records, `s` and `z` (a span) records given up at the cap. Sequence numbers are implicit: the file name is that of its first record.
 */
export type Mark = 'c' | 'w' | 'o' | 'r';
export const MARK_OFFSET = 6;
export const PREFIX_LENGTH = 9;
export const NEWLINE = 0x0a;

const C = 0x63;
const W = 0x77;
const O = 0x6f;
const R = 0x72;
const T = 0x74;
const K = 0x6b;
const X = 0x78;
const Y = 0x79;
const S = 0x73;
const Z = 0x7a;

/** Whether a line byte marks a record, and whether that record is one span. */
export const isRecordMark = (mark: number): boolean =>
  mark === C || mark === W || mark === O || mark === R || isErasedMark(mark) || isShedMark(mark);
export const isSpanMark = (mark: number): boolean => mark === C || mark === W || mark === Y || mark === Z;
export const isErasedMark = (mark: number): boolean => mark === X || mark === Y;
export const isShedMark = (mark: number): boolean => mark === S || mark === Z;
export const isCheckpointMark = (mark: number): boolean => mark === K;

export const isExchange = (record: WeirRecord): record is ExchangeRecord =>
  record.kind === 'exchange' || record.kind === 'connect' || record.kind === 'tunnel';

/** One span each: closed exchanges, CONNECTs and tunnels, and runs. What the loss identity counts. */
export function isSpan(record: WeirRecord): record is (ExchangeRecord & { readonly state: 'closed' }) | RunRecord {
  return record.kind === 'run' || (isExchange(record) && record.state === 'closed');
}

export function isOpenRow(record: WeirRecord): record is ExchangeRecord & { readonly state: 'open' } {
  return isExchange(record) && record.state === 'open';
}

/** Epoch ms of when a record was made. */
export function endOf(record: WeirRecord): number {
  if ('durationMs' in record) return record.startedAt + record.durationMs;
  if ('closedAt' in record) return record.closedAt;
  return 'endedAt' in record ? record.endedAt : record.at;
}

export function recordMark(record: WeirRecord): Mark {
  if (isSpan(record)) return record.kind !== 'run' && record.wasOpen === true ? 'w' : 'c';
  return isOpenRow(record) ? 'o' : 'r';
}

export function recordLine(record: WeirRecord): string {
  return `{"_":"${recordMark(record)}",${JSON.stringify(record).slice(1)}\n`;
}

/** Loss accounting as written after every batch. All counts run over process lives. */
export interface TallyLine {
  /** Which process life wrote it, and the last batch of that life it includes. */
  readonly boot: string;
  readonly batch: number;
  /** Epoch ms. */
  readonly at: number;
  readonly started: number;
  readonly open: number;
  readonly dropped: Readonly<Record<string, number>>;
  /** Counts at the begin of this life: what the process-life counters of the traffic thread are added to. */
  readonly baseStarted: number;
  readonly baseDropped: Readonly<Record<string, number>>;
}
export interface CheckpointLine {
  /** Spans in all records before this segment. */
  readonly spans: number;
  readonly tally: TallyLine | null;
  readonly open: readonly ExchangeRecord[];
}

/** What is left of an erased record: its number and whether it was a span. */
export const erasedLine = (span: boolean): string => `{"_":"${span ? 'y' : 'x'}","erased":true}\n`;
/** The same of a record that was given up at `telemetry.journal.max_bytes`. */
export const shedLine = (span: boolean): string => `{"_":"${span ? 'z' : 's'}","shed":true}\n`;
export const tallyLine = (tally: TallyLine): string => `{"_":"t",${JSON.stringify(tally).slice(1)}\n`;
export const checkpointLine = (point: CheckpointLine): string => `{"_":"k",${JSON.stringify(point).slice(1)}\n`;

export function parseLine(buffer: Buffer, start: number, end: number): unknown {
  return JSON.parse(`{${buffer.toString('utf8', start + PREFIX_LENGTH, end)}`);
}

export interface Segment {
  /** Sequence number of its first record. */
  readonly base: number;
  readonly path: string;
  /** Bytes that are certainly whole lines. */
  bytes: number;
  /** Records and spans; of closed older segments known by the next one's name and checkpoint. */
  records: number;
  readonly spansBefore: number;
  /** Only what is notable is left of it. */
  readonly thinned?: boolean;
}

export function segmentPath(directory: string, base: number): string {
  return join(directory, `${String(base).padStart(16, '0')}.jsonl`);
}

function spansBefore(path: string): number {
  const head = Buffer.alloc(128);
  const file = openSync(path, 'r');
  try {
    const length = readSync(file, head, 0, head.length, 0);
    // The checkpoint writes `spans` first, so its open rows need not be read.
    const match = /^\{"_":"k","spans":(\d+),/.exec(head.toString('latin1', 0, length));
    return match === null ? -1 : Number(match[1]);
  } finally {
    closeSync(file);
  }
}

/** The segments of a directory in order. A file without a checkpoint (torn at birth) is left out. */
export function listSegments(directory: string): Segment[] {
  const segments: Segment[] = [];
  for (const name of readdirSync(directory).sort()) {
    const match = /^(\d{16})\.jsonl$/.exec(name);
    if (match === null) continue;
    const path = join(directory, name);
    const before = spansBefore(path);
    if (before < 0) continue;
    segments.push({ base: Number(match[1]), path, bytes: statSync(path).size, records: 0, spansBefore: before });
  }
  for (let i = 0; i + 1 < segments.length; i++) {
    const segment = segments[i] as Segment;
    // A gap (writes failed for a while) makes this an upper bound; readers stop at the file's end.
    segment.records = (segments[i + 1] as Segment).base - segment.base;
  }
  return segments;
}

export interface Scan {
  readonly records: number;
  readonly spans: number;
  /** Bytes of whole lines. */
  readonly bytes: number;
  readonly tally: TallyLine | undefined;
  /** Spans after the last tally line: a batch that was cut. */
  readonly untallied: number;
  readonly open: Map<string, ExchangeRecord>;
}

interface ScanState {
  records: number;
  spans: number;
  untallied: number;
  tally: TallyLine | undefined;
  readonly open: Map<string, ExchangeRecord>;
}

function scanLine(buffer: Buffer, at: number, end: number, state: ScanState): void {
  const mark = buffer[at + MARK_OFFSET] as number;
  if (isRecordMark(mark)) state.records++;
  if (isSpanMark(mark)) {
    state.spans++;
    state.untallied++;
  }
  if (mark === C || mark === R || isErasedMark(mark) || isShedMark(mark)) return;
  let value: unknown;
  try {
    value = parseLine(buffer, at, end);
  } catch {
    return;
  }
  if (mark === O) state.open.set((value as ExchangeRecord).spanId, value as ExchangeRecord);
  else if (mark === W) state.open.delete((value as ExchangeRecord).spanId);
  else if (mark === T) {
    state.tally = value as TallyLine;
    state.untallied = 0;
  } else if (mark === K) {
    const point = value as CheckpointLine;
    state.tally = point.tally ?? undefined;
    for (const row of point.open) state.open.set(row.spanId, row);
  }
}

/** Reads the last segment once: counts, last tally, open rows; a torn last line is cut off the file. */
export function scanLastSegment(segment: Segment): Scan {
  const buffer = readFileSync(segment.path);
  const state: ScanState = { records: 0, spans: 0, untallied: 0, tally: undefined, open: new Map() };
  let at = 0;
  while (at < buffer.length) {
    const end = buffer.indexOf(NEWLINE, at);
    if (end < 0) break;
    scanLine(buffer, at, end, state);
    at = end + 1;
  }
  if (at < buffer.length) {
    const file = openSync(segment.path, 'r+');
    try {
      if (fstatSync(file).size === buffer.length) ftruncateSync(file, at);
    } finally {
      closeSync(file);
    }
  }
  return { ...state, bytes: at };
}
