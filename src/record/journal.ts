import type { ExchangeRecord, Tally, WeirRecord } from '../model/record.ts';
import { type Books, closeBooks, interruptedRows, liveTally, newBooks } from './books.ts';
import type { JournalOptions, JournalStatus } from './journal-contract.ts';
import { LineWriter } from './line.ts';
import { type Chunk, closeReader, type JournalCursor, openSegment, wholeChunk } from './reader.ts';
import { checkpointLine, isOpenRow, isSpan, type Segment, tallyLine } from './segment.ts';
import { createTail, type Tail } from './tail.ts';
import { SegmentFiles } from './writer.ts';

const RETRY_MS = 1000;
/** Open rows remembered for the checkpoint; more are forgotten oldest first (their loss is then `crash`, not `interrupted`). */
const OPEN_ROWS = 100_000;

export type { JournalOptions, JournalStatus } from './journal-contract.ts';

/** Opens the journal, repairs a torn end and closes what a crash left open. Never throws for I/O reasons, nor does any method. */
export function openJournal(options: JournalOptions): Journal {
  const journal = new Journal(options);
  journal.recover();
  return journal;
}

/** The write-ahead log every consumer reads from (product.md §5 "Loss"). */
export class Journal {
  readonly #options: JournalOptions;
  readonly #files: SegmentFiles | undefined;
  readonly #tailRecords: number;
  readonly #lines = new LineWriter();
  #tail: Tail;
  #books: Books = newBooks();
  #open = new Map<string, ExchangeRecord>();
  /** First sequence number that is in memory only, after a failed write. */
  #unwritten: number | undefined;
  #retryAt = 0;
  #problem: string | undefined;
  #batch = 0;
  /** Last batch of this boot whose lines are all written. */
  #writtenBatch = 0;
  #interrupted: readonly ExchangeRecord[] = [];

  constructor(options: JournalOptions) {
    this.#options = options;
    if (options.directory !== undefined) {
      this.#files = new SegmentFiles({
        directory: options.directory,
        maxBytes: options.maxBytes,
        ...(options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes }),
      });
    }
    this.#tailRecords = Math.max(64, options.tailRecords ?? (this.#files === undefined ? 65536 : 8192));
    this.#tail = this.#newTail(1, 0);
  }

  /** Last batch of this boot in the journal (0 = none): what a restarted recorder need not be sent again. */
  get batch(): number {
    return this.#writtenBatch;
  }

  /** Exchanges a crash left open, closed as `interrupted` by this open. */
  get interrupted(): readonly ExchangeRecord[] {
    return this.#interrupted;
  }

  #newTail(next: number, spans: number): Tail {
    const bytes = this.#options.tailBytes ?? (this.#files === undefined ? 64 << 20 : 16 << 20);
    return createTail(this.#tailRecords, bytes, next, spans);
  }

  /** Once, by `openJournal`. */
  recover(): void {
    try {
      if (this.#files === undefined) this.#problem = 'no directory: records are kept in memory only';
      else this.#recoverLast(this.#files);
    } catch (error) {
      this.#failed(error);
    }
    this.#books.boot = this.#options.boot;
  }

  #recoverLast(files: SegmentFiles): void {
    const last = files.open();
    if (last === undefined) return;
    const { segment, scan } = last;
    const spans = segment.spansBefore + scan.spans;
    this.#tail = this.#newTail(segment.base + scan.records, spans);
    const before = scan.tally;
    if (before?.boot === this.#options.boot) {
      // Only the recorder thread died: the exchanges are still open, the traffic thread's counters go on.
      const { batch, at: _at, ...books } = before;
      this.#books = { ...books, dropped: { ...books.dropped } };
      this.#batch = batch;
      this.#writtenBatch = batch;
      this.#open = scan.open;
      return;
    }
    this.#interrupted = interruptedRows(scan.open.values(), before?.at ?? Date.now());
    this.#books = closeBooks(before, spans + this.#interrupted.length, this.#options.boot);
    this.append(this.#interrupted);
  }

  /** Presentable records of one posted batch, in one write with the tally that belongs to them. */
  append(records: readonly WeirRecord[], tally?: Tally, batch?: number): void {
    // What is written must still be in memory, so that a failed write can be done again.
    const part = this.#tailRecords / 2;
    if (records.length <= part) {
      this.#appendPart(records, tally, batch);
      return;
    }
    for (let at = 0; at < records.length; at += part) {
      const isLast = at + part >= records.length;
      this.#appendPart(records.slice(at, at + part), isLast ? tally : undefined, isLast ? batch : undefined);
    }
  }

  #appendPart(records: readonly WeirRecord[], tally: Tally | undefined, batch: number | undefined): void {
    const first = this.#tail.next;
    const spans = this.#tail.spansUntil(first);
    if (tally !== undefined) liveTally(this.#books, tally);
    if (batch !== undefined) this.#batch = batch;
    for (const record of records) {
      this.#tail.push(record);
      this.#trackOpen(record);
    }
    if (this.#files === undefined) return;
    if (this.#unwritten !== undefined) {
      this.retry();
      return;
    }
    try {
      this.#write(this.#files, records, first, spans);
    } catch (error) {
      this.#unwritten = first;
      this.#failed(error);
    }
  }

  #trackOpen(record: WeirRecord): void {
    if (isOpenRow(record)) {
      if (this.#open.size >= OPEN_ROWS) this.#open.delete(this.#open.keys().next().value as string);
      this.#open.set(record.spanId, record);
    } else if (this.#open.size > 0 && isSpan(record)) this.#open.delete(record.spanId);
  }

  #write(files: SegmentFiles, records: readonly WeirRecord[], first: number, spans: number): void {
    const bytes = this.#lines.write(records, this.#tallyLine());
    if (files.needsSegment(bytes.length)) this.#startSegment(files, first, spans);
    files.append(bytes, records.length);
    this.#writtenBatch = this.#batch;
  }

  #tallyLine(): string {
    return tallyLine({ ...this.#books, batch: this.#batch, at: Date.now() });
  }

  #startSegment(files: SegmentFiles, base: number, spans: number): void {
    // The batch that follows is not in yet: a recorder that dies between the two writes must be sent it again.
    const tally = { ...this.#books, batch: this.#writtenBatch, at: Date.now() };
    files.startSegment(base, spans, checkpointLine({ spans, tally, open: [...this.#open.values()] }));
  }

  #failed(error: unknown): void {
    const message = (error as Error).message;
    if (this.#problem === undefined) this.#options.log('error', 'the journal cannot be written', { error: message });
    this.#problem = message;
    this.#unwritten ??= this.#tail.next;
    this.#retryAt = Date.now() + RETRY_MS;
    this.#files?.closeFile();
  }

  /** Tries again after a failed write, with everything that is still in memory. Called about once a second. */
  retry(): void {
    const files = this.#files;
    if (this.#unwritten === undefined || files === undefined || Date.now() < this.#retryAt) return;
    const base = Math.max(this.#unwritten, this.#tail.first);
    try {
      this.#startSegment(files, base, this.#tail.spansUntil(base));
      const { records } = this.#readTail(base, this.#tail.next - base);
      files.append(this.#lines.write(records, this.#tallyLine()), records.length);
      this.#options.log('info', 'the journal is written again', { records_not_written: base - this.#unwritten });
      this.#writtenBatch = this.#batch;
      this.#unwritten = undefined;
      this.#problem = undefined;
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Every consumer has the records up to `sequence`: memory of them can go, files stay until `release`. */
  passed(sequence: number): void {
    // What could not be written yet is only here.
    this.#tail.drop(Math.min(sequence, (this.#unwritten ?? Number.POSITIVE_INFINITY) - 1));
  }

  /** No consumer needs records up to `sequence` any more. */
  release(sequence: number): void {
    try {
      this.#files?.release(sequence);
    } catch (error) {
      this.#options.log('warn', 'a journal segment cannot be removed', { error: (error as Error).message });
    }
  }

  /** Why records before `sequence` are gone. */
  lossReason(sequence: number): string {
    if (this.#files === undefined) return 'memory';
    return sequence <= this.#files.cappedBefore ? 'journal-cap' : 'journal-write';
  }

  /** Up to `max` records after the cursor; undefined = nothing more. A jump over lost records shows in `spansBefore`. */
  read(cursor: JournalCursor, max: number): Chunk | undefined {
    let sequence = cursor.position + 1;
    while (sequence < this.#tail.next) {
      const segment = sequence < this.#tail.first ? this.#files?.find(sequence) : undefined;
      if (segment === undefined || segment.base >= this.#tail.first) {
        closeReader(cursor);
        return this.#readTail(Math.max(sequence, this.#tail.first), max);
      }
      sequence = Math.max(sequence, segment.base);
      const chunk = this.#readSegment(cursor, segment, sequence, max);
      if (chunk !== undefined) return chunk;
      closeReader(cursor);
      sequence = segment.base + Math.max(segment.records, 1);
    }
    return undefined;
  }

  #readSegment(cursor: JournalCursor, segment: Segment, sequence: number, max: number): Chunk | undefined {
    try {
      if (cursor.reader?.segment !== segment || cursor.reader.next > sequence) {
        closeReader(cursor);
        cursor.reader = openSegment(segment);
      }
      return cursor.reader.read(sequence, max);
    } catch (error) {
      this.#options.log('warn', 'a journal segment cannot be read', { error: (error as Error).message });
      return undefined;
    }
  }

  #readTail(sequence: number, max: number): Chunk {
    const end = Math.min(this.#tail.next, sequence + max);
    const records: WeirRecord[] = [];
    let spans = 0;
    for (let at = sequence; at < end; at++) {
      const record = this.#tail.at(at);
      records.push(record);
      if (isSpan(record)) spans++;
    }
    return wholeChunk(records, end - 1, this.#tail.spansUntil(sequence), spans);
  }

  /** Spans in all records up to and including `sequence`, or undefined when that is no longer readable. */
  spansUpTo(sequence: number): number | undefined {
    if (sequence + 1 >= this.#tail.first) return this.#tail.spansUntil(Math.min(sequence + 1, this.#tail.next));
    const segment = this.#files?.find(sequence);
    if (segment === undefined || segment.base > sequence) return undefined;
    const cursor: JournalCursor = { position: sequence - 1, reader: undefined };
    const chunk = this.#readSegment(cursor, segment, sequence, 1);
    closeReader(cursor);
    return chunk?.spansAfter;
  }

  /** The next record's number is above `sequence` (a store may know more than a journal that was deleted). */
  skipTo(sequence: number): void {
    if (sequence < this.#tail.next) return;
    this.#tail.skipTo(sequence + 1);
    this.#files?.closeFile();
  }

  /** Erases records so that no file holds them any more; their numbers stay. Returns how many; throws I/O errors. */
  purge(match: (record: WeirRecord) => boolean): number {
    for (const [span, row] of this.#open) if (match(row)) this.#open.delete(span);
    if (this.#files === undefined || this.#unwritten !== undefined) return 0;
    const erased = this.#files.purge(match);
    // Whoever still needs records reads them from the files.
    if (erased > 0) this.#tail.skipTo(this.#tail.next);
    return erased;
  }

  /** Loss accounting over all process lives. */
  books(): Readonly<Books> {
    return this.#books;
  }

  status(): JournalStatus {
    const status = {
      first: this.#files?.first ?? this.#tail.first,
      last: this.#tail.next - 1,
      bytes: this.#files?.bytes() ?? 0,
      segments: this.#files?.count ?? 0,
      spans: this.#tail.spansUntil(this.#tail.next),
    };
    return this.#problem === undefined ? status : { ...status, problem: this.#problem };
  }

  close(): void {
    this.#files?.closeFile();
  }
}
