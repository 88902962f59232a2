import { CR, HEX, HTAB, LF, LOOSE_VALUE, SP, TOKEN, VALUE } from './http1-chars.ts';
import type { BodyKind } from './http1-head.ts';

/** Receives payload slices (views, valid during the call): the bytes of the content without chunk framing and trailers. */
export type PayloadTap = (payload: Buffer) => void;

const LENGTH = 0;
const UNTIL_CLOSE = 1;
const SIZE_FIRST = 2;
const SIZE = 3;
const SIZE_PAD = 4;
const EXT_NAME = 5;
const EXT_VALUE_FIRST = 6;
const EXT_VALUE = 7;
const EXT_QUOTED = 8;
const EXT_ESCAPED = 9;
const EXT_QUOTED_END = 10;
const SIZE_LF = 11;
const DATA = 12;
const DATA_CR = 13;
const DATA_LF = 14;
const LINE = 15;
const NAME = 16;
const FIELD = 17;
const FIELD_LF = 18;
const LAST_LF = 19;
const EXT_NAME_FIRST = 20;
const COMPLETE = 21;

/** More hexadecimal digits than any size a JavaScript number can hold needs. */
const MAX_SIZE_DIGITS = 16;
/** Bytes of chunk extensions in one message; llhttp's callers keep the same number (Node: 16 KiB). */
const MAX_EXTENSION_BYTES = 16384;
/** Bytes of a trailer section that are kept to be looked at. */
const MAX_TRAILERS = 65536;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/**
 * Finds where a message body ends, and never touches a byte of it: sizes, extensions and trailers pass as they came
 * (RFC 9112 §6, §7). One framer serves all messages of one direction: `start`, then `push` until `done` or `error`.
 */
export class BodyFramer {
  /** The body is complete. */
  done = true;
  /** Why the body cannot be framed; the message must then not be passed on any further. */
  error: string | undefined;
  /** Payload bytes so far, without chunk framing. */
  payload = 0;
  /** The trailer section so far (latin1, with its empty line), its beginning when it is very long. */
  trailers = '';
  readonly #response: boolean;
  readonly #tap: PayloadTap | undefined;
  #state = COMPLETE;
  /** LENGTH, DATA: bytes still to come. SIZE: the size so far. */
  #left = 0;
  #digits = 0;
  #extension = 0;
  #untilClose = false;

  /** A `response` may pad the chunk size with white space, as old servers do; a request may not. */
  constructor(response: boolean, tap?: PayloadTap) {
    this.#response = response;
    this.#tap = tap;
  }

  /** Begins the next message. `length` counts for kind `length` only. */
  start(kind: BodyKind, length: number): void {
    this.error = undefined;
    this.payload = 0;
    this.trailers = '';
    this.#untilClose = kind === 'until-close';
    this.done = kind === 'none' || (kind === 'length' && length === 0);
    this.#extension = 0;
    if (this.done) this.#state = COMPLETE;
    else if (kind === 'length') {
      this.#state = LENGTH;
      this.#left = length;
    } else this.#state = kind === 'chunked' ? SIZE_FIRST : UNTIL_CLOSE;
  }

  /**
   * Takes `bytes` from index `from`; returns the index after the last byte that belongs to this message: `bytes.length`
   * unless the message ended inside, or where the error was met.
   */
  push(bytes: Buffer, from: number): number {
    if (this.done || from >= bytes.length) return from;
    if (this.#state === LENGTH) {
      const end = Math.min(bytes.length, from + this.#left);
      this.#take(bytes, from, end);
      if (this.#left === 0) this.#complete();
      return end;
    }
    if (this.#state === UNTIL_CLOSE) {
      this.#left = bytes.length;
      this.#take(bytes, from, bytes.length);
      return bytes.length;
    }
    return this.#chunked(bytes, from);
  }

  /** The sender ended the connection: true when that is how this body ends. */
  finish(): boolean {
    if (this.#untilClose && !this.done) this.#complete();
    return this.done;
  }

  #complete(): void {
    this.#state = COMPLETE;
    this.done = true;
  }

  #take(bytes: Buffer, from: number, end: number): void {
    const length = end - from;
    this.#left -= length;
    this.payload += length;
    if (this.#tap !== undefined && length > 0) this.#tap(bytes.subarray(from, end));
  }

  #chunked(bytes: Buffer, from: number): number {
    let i = from;
    while (i < bytes.length) {
      if (this.#state === DATA) {
        const end = Math.min(bytes.length, i + this.#left);
        this.#take(bytes, i, end);
        i = end;
        if (this.#left === 0) this.#state = DATA_CR;
        continue;
      }
      const state = this.#step(bytes[i] as number);
      if (state < 0) return i;
      this.#state = state;
      i++;
      if (state === COMPLETE) {
        this.done = true;
        return i;
      }
    }
    return i;
  }

  #fail(reason: string): number {
    this.error = reason;
    return -1;
  }

  #step(byte: number): number {
    const state = this.#state;
    if (state <= SIZE_PAD) return this.#size(byte);
    if (state < SIZE_LF || state === EXT_NAME_FIRST) return this.#extend(byte);
    if (state >= LINE) {
      if (this.trailers.length < MAX_TRAILERS) this.trailers += String.fromCharCode(byte);
      return this.#trailer(byte);
    }
    if (state === DATA_CR) return byte === CR ? DATA_LF : this.#fail('a chunk is longer than its size');
    if (byte !== LF) return this.#fail('a chunk line does not end in CRLF');
    if (state === DATA_LF) return SIZE_FIRST;
    return this.#left === 0 ? LINE : DATA;
  }

  #size(byte: number): number {
    if (this.#state === SIZE_FIRST) {
      this.#left = 0;
      this.#digits = 0;
    }
    if (this.#state !== SIZE_PAD) {
      const digit = HEX[byte] as number;
      if (digit < 16) {
        this.#left = this.#left * 16 + digit;
        this.#digits += 1;
        return this.#digits > MAX_SIZE_DIGITS || this.#left > Number.MAX_SAFE_INTEGER
          ? this.#fail('a chunk size is too large')
          : SIZE;
      }
      if (this.#state === SIZE_FIRST) return this.#fail('a chunk size is not hexadecimal');
    }
    if (byte === CR) return SIZE_LF;
    if (byte === SEMICOLON) return EXT_NAME_FIRST;
    if (this.#response && (byte === SP || byte === HTAB)) return SIZE_PAD;
    return this.#fail('a chunk size is not hexadecimal');
  }

  /** chunk-ext = *( ";" name [ "=" ( token / quoted-string ) ] ), without the BWS of RFC 9112 §7.1.1. */
  #extend(byte: number): number {
    this.#extension += 1;
    if (this.#extension > MAX_EXTENSION_BYTES) return this.#fail('chunk extensions are too long');
    const state = this.#state;
    if (state === EXT_QUOTED) {
      if (byte === QUOTE) return EXT_QUOTED_END;
      if (byte === BACKSLASH) return EXT_ESCAPED;
      return VALUE[byte] === 1 ? EXT_QUOTED : this.#fail('a chunk extension has a control byte');
    }
    if (state === EXT_ESCAPED) {
      return VALUE[byte] === 1 ? EXT_QUOTED : this.#fail('a chunk extension has a control byte');
    }
    if (TOKEN[byte] === 1 && state !== EXT_QUOTED_END) {
      return state === EXT_NAME_FIRST || state === EXT_NAME ? EXT_NAME : EXT_VALUE;
    }
    if (state === EXT_VALUE_FIRST && byte === QUOTE) return EXT_QUOTED;
    if (state === EXT_NAME && byte === EQUALS) return EXT_VALUE_FIRST;
    if (state === EXT_NAME_FIRST || state === EXT_VALUE_FIRST)
      return this.#fail('a chunk extension is not well-formed');
    if (byte === SEMICOLON) return EXT_NAME_FIRST;
    return byte === CR ? SIZE_LF : this.#fail('a chunk extension is not well-formed');
  }

  #trailer(byte: number): number {
    switch (this.#state) {
      case LINE:
        if (byte === CR) return LAST_LF;
        return TOKEN[byte] === 1 ? NAME : this.#fail('a trailer line has no name');
      case NAME:
        if (byte === COLON) return FIELD;
        return TOKEN[byte] === 1 ? NAME : this.#fail('a trailer name is not a token');
      case FIELD:
        if (byte === CR) return FIELD_LF;
        return (this.#response ? LOOSE_VALUE : VALUE)[byte] === 1 ? FIELD : this.#fail('a control byte in a trailer');
      case FIELD_LF:
        return byte === LF ? LINE : this.#fail('a trailer line does not end in CRLF');
      default:
        return byte === LF ? COMPLETE : this.#fail('a trailer line does not end in CRLF');
    }
  }
}
