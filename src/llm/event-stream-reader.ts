/** Who is told what an AWS event stream says. */
export interface EventStreamSink {
  /** A message begins. Only `:message-type`, `:event-type`, `:exception-type` and `:error-code` are in it. */
  headers(headers: ReadonlyMap<string, string>): void;
  payload(bytes: Uint8Array): void;
  /** It ended, and its checksum holds. */
  message(): void;
}

const PRELUDE = 12;
const CHECKSUM = 4;
/** The format's own limits: 128 KiB of headers, 24 MiB of payload. */
const MOST_HEADERS = 128 << 10;
const MOST_MESSAGE = (24 << 20) + MOST_HEADERS + PRELUDE + CHECKSUM;
const WANTED = new Set([':message-type', ':event-type', ':exception-type', ':error-code']);
/** Header value type → bytes of the value; the two with a length of their own are not in it. */
const FIXED_SIZES = new Map([
  [0, 0],
  [1, 0],
  [2, 1],
  [3, 2],
  [4, 4],
  [5, 8],
  [8, 8],
  [9, 16],
]);
const STRING = 7;

type Part = 'prelude' | 'headers' | 'payload' | 'checksum';

/**
 * Reads `application/vnd.amazon.eventstream` as its bytes come: a prelude of two lengths and their CRC-32, headers, payload, and a
 * CRC-32 over all of it. Payload is handed on and not kept. After `broken` nothing more is read.
 */
export class EventStreamReader {
  /** A checksum or a length is wrong: these are no messages, or not all of them. */
  broken = false;
  readonly #sink: EventStreamSink;
  /** Prelude, headers or checksum under way. */
  #kept: Buffer = Buffer.alloc(PRELUDE);
  #length = 0;
  #part: Part = 'prelude';
  #wanted = PRELUDE;
  #payloadLeft = 0;
  #crc = 0;

  constructor(sink: EventStreamSink) {
    this.#sink = sink;
  }

  /** A message is under way. */
  get open(): boolean {
    return this.#part !== 'prelude' || this.#length > 0;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.broken) {
      if (this.#part === 'payload') {
        const some = bytes.subarray(at, at + this.#payloadLeft);
        this.#crc = crc32(some, this.#crc);
        this.#payloadLeft -= some.length;
        at += some.length;
        this.#sink.payload(some);
        if (this.#payloadLeft === 0) this.#expect('checksum', CHECKSUM);
      } else {
        at = this.#keep(bytes, at);
        if (this.#length === this.#wanted) this.#endPart();
      }
    }
  }

  #keep(bytes: Uint8Array, from: number): number {
    const some = bytes.subarray(from, from + this.#wanted - this.#length);
    if (this.#length + some.length > this.#kept.length) {
      // Grown as bytes come: an announced length costs nothing.
      const size = Math.min(this.#wanted, Math.max(this.#length + some.length, this.#kept.length * 2));
      this.#kept = Buffer.concat([this.#kept.subarray(0, this.#length)], size);
    }
    this.#kept.set(some, this.#length);
    this.#length += some.length;
    return from + some.length;
  }

  #expect(part: Part, wanted: number): void {
    this.#part = part;
    this.#wanted = wanted;
    this.#length = 0;
  }

  #endPart(): void {
    const kept = this.#kept.subarray(0, this.#length);
    if (this.#part === 'prelude') this.#endPrelude(kept);
    else if (this.#part === 'headers') {
      this.#crc = crc32(kept, this.#crc);
      this.#endHeaders(kept);
    } else if (kept.readUInt32BE(0) !== this.#crc) this.broken = true;
    else {
      this.#expect('prelude', PRELUDE);
      this.#sink.message();
    }
  }

  #endPrelude(prelude: Buffer): void {
    const total = prelude.readUInt32BE(0);
    const headers = prelude.readUInt32BE(4);
    this.#payloadLeft = total - headers - PRELUDE - CHECKSUM;
    const sized = headers <= MOST_HEADERS && total <= MOST_MESSAGE && this.#payloadLeft >= 0;
    if (!sized || prelude.readUInt32BE(8) !== crc32(prelude.subarray(0, 8), 0)) {
      this.broken = true;
      return;
    }
    this.#crc = crc32(prelude, 0);
    this.#expect('headers', headers);
    if (headers === 0) this.#endHeaders(prelude.subarray(0, 0));
  }

  #endHeaders(bytes: Buffer): void {
    const headers = readHeaders(bytes);
    if (headers === undefined) {
      this.broken = true;
      return;
    }
    this.#sink.headers(headers);
    if (this.#payloadLeft > 0) this.#part = 'payload';
    else this.#expect('checksum', CHECKSUM);
  }
}

/** `undefined`: lengths that do not add up, or a type that does not exist. */
function readHeaders(bytes: Buffer): Map<string, string> | undefined {
  const headers = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const nameEnd = at + 1 + (bytes[at] as number);
    const type = bytes[nameEnd];
    if (type === undefined) return undefined;
    const name = bytes.toString('utf8', at + 1, nameEnd);
    let start = nameEnd + 1;
    let size = FIXED_SIZES.get(type);
    if (size === undefined) {
      if ((type !== 6 && type !== STRING) || start + 2 > bytes.length) return undefined;
      size = bytes.readUInt16BE(start);
      start += 2;
    }
    if (start + size > bytes.length) return undefined;
    if (type === STRING && WANTED.has(name))
      headers.set(name, bytes.toString('utf8', start, Math.min(start + size, start + 128)));
    at = start + size;
  }
  return headers;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

/** CRC-32 as in zlib (RFC 1952 §8), continued from `before`. */
function crc32(bytes: Uint8Array, before: number): number {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}
