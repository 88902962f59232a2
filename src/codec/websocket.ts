/** One frame as it passed (RFC 6455 §5.2). */
export interface WebSocketFrame {
  readonly fin: boolean;
  /** RSV1: the message is compressed when permessage-deflate was agreed (RFC 7692 §6). */
  readonly compressed: boolean;
  /** 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. */
  readonly opcode: number;
  /** Length of the payload on the wire. */
  readonly length: number;
  /** The unmasked payload: a copy, cut at the reader's `maxPayload`. */
  readonly payload: Buffer;
}

const MAX_HEADER = 14;

/**
 * Reads frames from one direction of a WebSocket, on a copy: the bytes themselves are relayed by someone else. A frame is
 * reported when it is complete. After `broken` nothing more is read.
 */
export class WebSocketReader {
  /** The bytes are not WebSocket frames. */
  broken = false;
  readonly #maxPayload: number;
  readonly #onFrame: (frame: WebSocketFrame) => void;
  readonly #header = Buffer.alloc(MAX_HEADER);
  #headerLength = 0;
  #headerNeeded = 2;
  #inPayload = false;
  #masked = false;
  #length = 0;
  #seen = 0;
  #kept: Buffer = Buffer.alloc(0);

  /** `maxPayload`: bytes of one frame that are kept (1 MiB is plenty for inspection). */
  constructor(maxPayload: number, onFrame: (frame: WebSocketFrame) => void) {
    this.#maxPayload = maxPayload;
    this.#onFrame = onFrame;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (!this.broken && (at < chunk.length || (this.#inPayload && this.#seen === this.#length))) {
      at = this.#inPayload ? this.#payload(chunk, at) : this.#head(chunk, at);
    }
  }

  #head(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length && this.#headerLength < this.#headerNeeded) {
      this.#header[this.#headerLength++] = chunk[at++] as number;
      if (this.#headerLength === 2) this.#readFirstBytes();
    }
    if (this.#headerLength === this.#headerNeeded) this.#beginPayload();
    return at;
  }

  #readFirstBytes(): void {
    const second = this.#header[1] as number;
    const short = second & 0x7f;
    this.#masked = second >= 0x80;
    this.#headerNeeded = 2 + (short === 127 ? 8 : short === 126 ? 2 : 0) + (this.#masked ? 4 : 0);
    const opcode = (this.#header[0] as number) & 0x0f;
    // RFC 6455 §5.2: 3-7 and 11-15 are reserved; §5.5: a control frame is short and whole.
    const control = opcode >= 8;
    this.broken =
      (opcode > 2 && opcode < 8) || opcode > 10 || (control && (short > 125 || (this.#header[0] as number) < 0x80));
  }

  #beginPayload(): void {
    if (this.broken) return;
    const short = (this.#header[1] as number) & 0x7f;
    if (short === 127) this.#length = this.#header.readUInt32BE(2) * 0x100000000 + this.#header.readUInt32BE(6);
    else this.#length = short === 126 ? this.#header.readUInt16BE(2) : short;
    if (!Number.isSafeInteger(this.#length)) this.broken = true;
    this.#inPayload = true;
    this.#seen = 0;
    // Grown as bytes come: an announced length costs nothing.
    this.#kept = Buffer.alloc(0);
  }

  #payload(chunk: Buffer, from: number): number {
    const end = Math.min(chunk.length, from + this.#length - this.#seen);
    const keep = Math.min(end - from, this.#maxPayload - this.#seen);
    if (keep > 0) this.#keep(chunk, from, keep);
    this.#seen += end - from;
    if (this.#seen === this.#length) this.#finish();
    return end;
  }

  #keep(chunk: Buffer, from: number, count: number): void {
    if (this.#seen + count > this.#kept.length) {
      const wanted = Math.min(this.#length, this.#maxPayload);
      const grown = Buffer.alloc(Math.min(wanted, Math.max(this.#seen + count, this.#kept.length * 2)));
      this.#kept.copy(grown, 0, 0, this.#seen);
      this.#kept = grown;
    }
    const maskAt = this.#headerNeeded - 4;
    for (let i = 0; i < count; i++) {
      const mask = this.#masked ? (this.#header[maskAt + ((this.#seen + i) & 3)] as number) : 0;
      this.#kept[this.#seen + i] = (chunk[from + i] as number) ^ mask;
    }
  }

  #finish(): void {
    const first = this.#header[0] as number;
    const payload = this.#kept.subarray(0, Math.min(this.#length, this.#maxPayload));
    this.#inPayload = false;
    this.#headerLength = 0;
    this.#headerNeeded = 2;
    this.#kept = Buffer.alloc(0);
    this.#onFrame({
      fin: first >= 0x80,
      compressed: (first & 0x40) !== 0,
      opcode: first & 0x0f,
      length: this.#length,
      payload,
    });
  }
}
