import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { WeirRecord } from '../model/record.ts';
import { eraseRecords, type Rewritten, shedOrdinary } from './erase.ts';
import { listSegments, type Scan, type Segment, scanLastSegment, segmentPath } from './segment.ts';

const SEGMENT_BYTES = 64 * 1024 * 1024;

export interface SegmentFilesOptions {
  readonly directory: string;
  readonly maxBytes: number;
  readonly segmentBytes?: number;
}

/** The segment files of a journal directory and the open end of the last one. Throws I/O errors; the journal catches them. */
export class SegmentFiles {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  #segments: Segment[] = [];
  #file: number | undefined;
  /** Records before this number were given up because of `maxBytes`. */
  cappedBefore = 0;

  constructor(options: SegmentFilesOptions) {
    this.#directory = options.directory;
    this.#maxBytes = options.maxBytes;
    const quarter = Math.max(16 * 1024, Math.floor(options.maxBytes / 4));
    this.#segmentBytes = Math.min(options.segmentBytes ?? SEGMENT_BYTES, quarter);
  }

  /** Lists what is there and opens the last segment for appending. */
  open(): { readonly segment: Segment; readonly scan: Scan } | undefined {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    // A process that died while it rewrote a segment left the old one whole.
    for (const name of readdirSync(this.#directory)) {
      if (name.endsWith('.jsonl.new')) rmSync(join(this.#directory, name), { force: true });
    }
    this.#segments = listSegments(this.#directory);
    const segment = this.#segments[this.#segments.length - 1];
    if (segment === undefined) return undefined;
    const scan = scanLastSegment(segment);
    segment.records = scan.records;
    segment.bytes = scan.bytes;
    this.#file = openSync(segment.path, 'a', 0o600);
    return { segment, scan };
  }

  /** Whether the next batch of `more` bytes belongs into a new segment. */
  needsSegment(more: number): boolean {
    const last = this.#segments[this.#segments.length - 1];
    if (this.#file === undefined || last === undefined) return true;
    return last.records > 0 && last.bytes + more > this.#segmentBytes;
  }

  /** Starts a segment whose first record has number `base`, with its checkpoint line. */
  startSegment(base: number, spansBefore: number, checkpoint: string): void {
    this.closeFile();
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const path = segmentPath(this.#directory, base);
    const segment: Segment = { base, path, bytes: 0, records: 0, spansBefore };
    const file = openSync(path, 'w', 0o600);
    try {
      writeWhole(file, segment, Buffer.from(checkpoint));
    } catch (error) {
      closeSync(file);
      rmSync(path, { force: true });
      throw error;
    }
    this.#file = file;
    // A segment that never got a record has just been overwritten.
    if (this.#segments[this.#segments.length - 1]?.base === base) this.#segments.pop();
    this.#segments.push(segment);
  }

  /** One write of whole lines; on failure the file is as before. */
  append(bytes: Buffer, records: number): void {
    const segment = this.#segments[this.#segments.length - 1];
    if (this.#file === undefined || segment === undefined) throw new Error('no segment is open');
    writeWhole(this.#file, segment, bytes);
    segment.records += records;
    this.#enforceCap();
  }

  /**
   * First the ordinary records of the oldest segments go, then whole segments: what is notable is shed last, but may not take
   * more than half of the room from what comes after it.
   */
  #enforceCap(): void {
    while (this.bytes() > this.#maxBytes && this.#segments.length > 1) {
      const at = this.#segments.findIndex(({ thinned }) => thinned !== true);
      const kept = this.#segments.slice(0, at < 0 ? undefined : at).reduce((sum, { bytes }) => sum + bytes, 0);
      const mayThin = at >= 0 && at < this.#segments.length - 1 && kept <= this.#maxBytes / 2;
      if (!mayThin || !this.#thin(at)) {
        this.cappedBefore = (this.#segments[1] as Segment).base;
        this.#removeOldest();
      }
    }
  }

  /** False when it cannot be done: a full disk has no room for what is left either. */
  #thin(at: number): boolean {
    try {
      this.#replace(at, shedOrdinary(this.#segments[at] as Segment), true);
      return true;
    } catch {
      return false;
    }
  }

  #removeOldest(): void {
    const oldest = this.#segments.shift();
    if (oldest !== undefined) rmSync(oldest.path, { force: true });
  }

  /** Removes segments whose records all have numbers up to `sequence`. The last one always stays. */
  release(sequence: number): void {
    while (this.#segments.length > 1 && (this.#segments[1] as Segment).base - 1 <= sequence) this.#removeOldest();
  }

  /** Replaces records that match by what keeps their numbers. */
  purge(match: (record: WeirRecord) => boolean): number {
    let count = 0;
    for (let i = 0; i < this.#segments.length; i++) {
      const segment = this.#segments[i] as Segment;
      const rewritten = eraseRecords(segment, match);
      if (rewritten.replaced === 0) continue;
      count += rewritten.replaced;
      const isLast = i === this.#segments.length - 1;
      if (isLast) this.closeFile();
      this.#replace(i, rewritten, segment.thinned === true);
      if (isLast) this.#file = openSync(segment.path, 'a', 0o600);
    }
    return count;
  }

  #replace(at: number, { text, replaced }: Rewritten, thinned: boolean): void {
    const segment = this.#segments[at] as Segment;
    if (replaced > 0) {
      writeFileSync(`${segment.path}.new`, text, { mode: 0o600 });
      renameSync(`${segment.path}.new`, segment.path);
    }
    // A new object: readers of the old file notice and open the new one.
    this.#segments[at] = { ...segment, thinned, bytes: replaced > 0 ? Buffer.byteLength(text) : segment.bytes };
  }

  /** The segment that may hold `sequence`, else the first one after it. */
  find(sequence: number): Segment | undefined {
    for (let i = this.#segments.length - 1; i >= 0; i--) {
      const segment = this.#segments[i] as Segment;
      if (segment.base > sequence) continue;
      return segment.base + segment.records > sequence ? segment : this.#segments[i + 1];
    }
    return this.#segments[0];
  }

  bytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.bytes;
    return bytes;
  }

  get count(): number {
    return this.#segments.length;
  }

  get first(): number | undefined {
    return this.#segments[0]?.base;
  }

  closeFile(): void {
    if (this.#file === undefined) return;
    try {
      closeSync(this.#file);
    } catch {
      // The descriptor is gone either way.
    }
    this.#file = undefined;
  }
}

function writeWhole(file: number, segment: Segment, bytes: Buffer): void {
  let done = 0;
  try {
    while (done < bytes.length) done += writeSync(file, bytes, done, bytes.length - done);
  } catch (error) {
    // Half a batch must not stay in front of the next one.
    if (done > 0) ftruncateSync(file, segment.bytes);
    throw error;
  }
  segment.bytes += bytes.length;
}
