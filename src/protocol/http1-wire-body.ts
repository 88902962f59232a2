import { editFields, listFields } from '../codec/http1-edit.ts';

/**
 * How payload that a filter gives is framed: `as-came` inside the very bytes it came in (as many must be given), `chunked` in
 * chunks of ours, `plain` as it is (a length we know, or the end of the connection).
 */
export type Framing = 'as-came' | 'chunked' | 'plain';

/** Chunk framing that is kept while a whole body is held; a body of one-byte chunks is framed anew instead. */
const MAX_KEPT_FRAMING = 1_048_576;
const CRLF = Buffer.from('\r\n', 'latin1');

export interface WireForm {
  /** It came in chunks. */
  readonly chunked: boolean;
  /** Most bytes between the last payload and the end of the message; 0 = no limit. */
  readonly trailerBytes: number;
  /** New values for its trailer fields, by index. */
  readonly trailers: (fields: readonly string[]) => ReadonlyMap<number, string> | undefined;
}

/** One body on its way through a filter: remembers the framing it came in and frames what the filter gives. */
export class WireBody {
  framing: Framing = 'as-came';
  /** Payload bytes that came. */
  came = 0;
  /** The trailer section is longer than may be held. */
  tooLong = false;
  readonly #form: WireForm;
  /** As it came: framing, and the length of the payload behind it. */
  #order: (Buffer | number)[] = [];
  #kept = 0;
  /** Framing behind the last payload. */
  #tail: Buffer[] = [];
  #tailBytes = 0;
  #raw: Buffer = CRLF;
  #at = 2;
  /** The line end of the last chunk that came has been given. */
  #closed = false;

  constructor(form: WireForm) {
    this.#form = form;
  }

  /** Bytes of the message body as they came; {@link payload} says next what of them is payload. */
  raw(bytes: Buffer): void {
    this.#note(this.#raw.length);
    this.#raw = bytes;
    this.#at = 0;
  }

  /** A view of the last `raw` bytes. */
  payload(slice: Buffer): void {
    const at = slice.byteOffset - this.#raw.byteOffset;
    this.#note(at);
    this.#at = at + slice.length;
    this.came += slice.length;
    if (this.framing === 'as-came' && this.#kept <= MAX_KEPT_FRAMING) {
      this.#order.push(...this.#tail, slice.length);
      this.#kept += this.#tailBytes;
    }
    this.#tail = [];
    this.#tailBytes = 0;
    this.#closed = false;
  }

  /**
   * The line end of the last chunk, once all of its payload has been given: a reader that takes chunks for messages must not wait
   * for the next one. What follows payload in one read is never payload: the framer cuts at the end of a chunk or of the read.
   */
  #lineEnd(): Buffer[] {
    const open = this.framing === 'as-came' && this.#form.chunked && !this.#closed && this.came > 0;
    if (!open || this.#order.length > 0 || this.#tail.length > 0) return [];
    if (this.#raw[this.#at] !== CRLF[0] || this.#raw[this.#at + 1] !== CRLF[1]) return [];
    this.#closed = true;
    this.#at += 2;
    return [CRLF];
  }

  /** Whether `length` bytes can go out in the framing the body came in. */
  fits(length: number): boolean {
    return length === this.came && this.#kept <= MAX_KEPT_FRAMING;
  }

  /** What to write for payload that may go on. */
  give(data: Buffer): Buffer[] {
    if (data.length === 0) return [];
    if (this.framing === 'plain') return [data];
    if (this.framing === 'chunked') return [Buffer.from(`${data.length.toString(16)}\r\n`, 'latin1'), data, CRLF];
    const order = this.#order;
    const out: Buffer[] = [];
    let given = 0;
    let n = 0;
    for (; n < order.length; n++) {
      const item = order[n] as Buffer | number;
      if (typeof item !== 'number') {
        out.push(item);
        this.#kept -= item.length;
        continue;
      }
      const take = Math.min(item, data.length - given);
      if (take > 0) out.push(take === data.length ? data : data.subarray(given, given + take));
      given += take;
      if (take < item) {
        order[n] = item - take;
        break;
      }
    }
    order.splice(0, n);
    out.push(...this.#lineEnd());
    return out;
  }

  /** What to write after the last payload. `added`: trailer fields of ours, for a body in chunks. */
  finish(added: readonly (readonly [string, string])[]): Buffer[] {
    this.#note(this.#raw.length);
    if (this.framing === 'plain' || (this.framing === 'as-came' && !this.#form.chunked)) return [];
    const tail = Buffer.concat(this.#tail).toString('latin1');
    // CRLF of the last chunk with payload, then the line of the last chunk (RFC 9112 §7.1).
    const sectionAt = this.#form.chunked
      ? tail.indexOf('\r\n', this.came > 0 && !this.#closed ? 2 : 0) + 2
      : tail.length;
    let section = tail.slice(sectionAt);
    if (section === '') section = '\r\n';
    const values = section.length > 2 ? this.#form.trailers(listFields(section)) : undefined;
    if (this.framing === 'chunked') {
      section = editFields(section, { ...(values === undefined ? {} : { values }), added });
      return [Buffer.from(`0\r\n${section}`, 'latin1')];
    }
    if (values !== undefined) section = editFields(section, { values });
    return [Buffer.from(tail.slice(0, sectionAt) + section, 'latin1')];
  }

  /** Raw bytes up to `end` that no payload claimed are framing. */
  #note(end: number): void {
    if (this.#at >= end) return;
    this.#tail.push(this.#raw.subarray(this.#at, end));
    this.#tailBytes += end - this.#at;
    this.#at = end;
    // Chunk extensions are bounded by the framer (16 KiB), so what is longer is trailers.
    const limit = this.#form.trailerBytes;
    if (limit > 0 && this.#tailBytes > limit + 32_768) this.tooLong = true;
  }
}
