import { CR, LF } from './http1-chars.ts';
import { fault, type HeadFault } from './http1-fields.ts';

export interface HeadLimits {
  /** Bytes of start line and fields with their line ends. */
  readonly headBytes: number;
  /** Field lines. */
  readonly headers: number;
}

const END_OF_HEAD = Buffer.from('\r\n\r\n', 'latin1');

/** What {@link HeadReader.push} found. */
export const MORE = 0;
export const WHOLE = 1;
export const REFUSED = 2;

/**
 * Collects bytes until a whole head is there. The usual head lies in one chunk and is never copied; a head in pieces is
 * gathered in one growing buffer, and every byte is searched once.
 */
export class HeadReader {
  /** After `WHOLE`: the bytes that hold the head and everything that came with it. */
  bytes: Buffer = END_OF_HEAD;
  /** After `WHOLE`: first byte of the start line. */
  start = 0;
  /** After `WHOLE`: first byte after the head. */
  end = 0;
  /** After `REFUSED`. */
  fault: HeadFault | undefined;
  readonly #limit: number;
  readonly #skipEmptyLines: boolean;
  #held: Buffer | undefined;
  #length = 0;
  #searched = 0;

  /** `skipEmptyLines`: a server tolerates CRLF before a request line (RFC 9112 §2.2); a client does not before a status line. */
  constructor(limits: HeadLimits, skipEmptyLines: boolean) {
    this.#limit = limits.headBytes;
    this.#skipEmptyLines = skipEmptyLines;
  }

  /** A part of a head has arrived; empty lines before it do not count. */
  get begun(): boolean {
    return this.#length > this.start;
  }

  /** Takes the next bytes; after `WHOLE` or `REFUSED` it is ready for the next head. */
  push(chunk: Buffer): typeof MORE | typeof WHOLE | typeof REFUSED {
    if (this.#held === undefined) {
      this.start = 0;
      if (this.#skipEmptyLines && chunk[0] === CR) this.#skip(chunk, chunk.length);
      const found = chunk.indexOf(END_OF_HEAD, this.start);
      if (found >= 0) return this.#whole(chunk, found + 4);
      this.#searched = this.start;
    }
    return this.#gather(chunk);
  }

  #whole(bytes: Buffer, end: number): typeof WHOLE | typeof REFUSED {
    this.#forget();
    if (end - this.start > this.#limit) return this.#refuse(fault('head-too-large', 'the head is too long'));
    this.bytes = bytes;
    this.end = end;
    return WHOLE;
  }

  #refuse(reason: HeadFault): typeof REFUSED {
    this.#forget();
    this.fault = reason;
    return REFUSED;
  }

  #forget(): void {
    this.#held = undefined;
    this.#length = 0;
    this.#searched = 0;
  }

  #skip(bytes: Buffer, length: number): void {
    while (this.start + 1 < length && bytes[this.start] === CR && bytes[this.start + 1] === LF) this.start += 2;
  }

  #gather(chunk: Buffer): typeof MORE | typeof WHOLE | typeof REFUSED {
    const needed = this.#length + chunk.length;
    let held = this.#held;
    if (held === undefined || held.length < needed) {
      const grown = Buffer.allocUnsafe(Math.max(needed, (held?.length ?? 0) * 2, 1024));
      held?.copy(grown, 0, 0, this.#length);
      held = grown;
      this.#held = held;
    }
    chunk.copy(held, this.#length);
    this.#length = needed;
    // No start line begins with CR, so this is safe at any time; CR and LF may come apart.
    if (this.#skipEmptyLines) this.#skip(held, needed);
    const bytes = held.subarray(0, needed);
    const found = bytes.indexOf(END_OF_HEAD, Math.max(this.start, this.#searched - 3));
    if (found >= 0) return this.#whole(bytes, found + 4);
    if (needed > this.#limit) return this.#refuse(fault('head-too-large', 'the head is too long'));
    // A sender that ends lines in LF alone would otherwise wait for our head clock before it hears of it.
    for (let lf = bytes.indexOf(LF, this.#searched); lf >= 0; lf = bytes.indexOf(LF, lf + 1)) {
      if (lf === 0 || bytes[lf - 1] !== CR) {
        return this.#refuse(fault('ambiguous-framing', 'a line ends in a bare LF (RFC 9112 §2.2)'));
      }
    }
    this.#searched = needed;
    return MORE;
  }
}
