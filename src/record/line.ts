import type { ExchangeRecord, WeirRecord } from '../model/record.ts';
import { Sheet } from '../model/sheet.ts';
import { COUNT, FIELDS, nothing, read } from './fields.ts';
import { isExchange, recordLine, recordMark } from './segment.ts';

const raw = (text: string): Uint8Array => Buffer.from(text);
const KEYS = FIELDS.map((name) => raw(`,"${name}":`));
const MARK = raw('{"_":"');
const END = raw('}\n');

function writeValue(sheet: Sheet, value: unknown): void {
  if (typeof value === 'string') sheet.string(value);
  else if (typeof value === 'number') sheet.number(value);
  else sheet.text(JSON.stringify(value));
}

/** Memory that is kept for the next batch. */
const KEPT_BYTES = 1024 * 1024;

/**
 * Writes journal lines. Most fields of an exchange are those of the one before, whose line stands on the same sheet: they are
 * copied from there in whole runs.
 */
export class LineWriter {
  #sheet = new Sheet(Buffer.allocUnsafeSlow(KEPT_BYTES / 4));
  #before = nothing();
  #now = nothing();
  /** Bytes of each field in the line before. */
  readonly #lengths = new Uint32Array(COUNT);
  /** Where the fields of the line before begin. */
  #start = 0;

  /** Lines of these records and the line that ends a batch; valid until the next call. */
  write(records: readonly WeirRecord[], end: string): Buffer {
    if (this.#sheet.bytes.length > KEPT_BYTES) this.#sheet = new Sheet(Buffer.allocUnsafeSlow(KEPT_BYTES));
    const sheet = this.#sheet;
    sheet.length = 0;
    this.#before.fill(undefined);
    this.#lengths.fill(0);
    for (const record of records) {
      if (isExchange(record)) this.#exchange(sheet, record);
      else sheet.text(recordLine(record));
    }
    sheet.text(end);
    return sheet.bytes.subarray(0, sheet.length);
  }

  #exchange(sheet: Sheet, record: ExchangeRecord): void {
    const now: readonly unknown[] = this.#now;
    const before: readonly unknown[] = this.#before;
    read(record, this.#now);
    sheet.raw(MARK);
    sheet.ascii(recordMark(record));
    sheet.ascii('"');
    let from = this.#start;
    let to = from;
    this.#start = sheet.length;
    for (let i = 0; i < COUNT; i++) {
      const length = this.#lengths[i] as number;
      if (now[i] === before[i]) {
        to += length;
        continue;
      }
      if (to > from) sheet.again(from, to);
      to += length;
      from = to;
      this.#lengths[i] = now[i] === undefined ? 0 : this.#field(sheet, i, now[i]);
    }
    if (to > from) sheet.again(from, to);
    sheet.raw(END);
    [this.#before, this.#now] = [this.#now, this.#before];
  }

  #field(sheet: Sheet, i: number, value: unknown): number {
    const at = sheet.length;
    sheet.raw(KEYS[i] as Uint8Array);
    writeValue(sheet, value);
    return sheet.length - at;
  }
}
