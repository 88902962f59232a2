/** Head of one frame (RFC 6455 §5.2). */
export interface FrameHead {
  readonly fin: boolean;
  /** RSV1 to RSV3 as a number: 4 is RSV1, which permessage-deflate sets on the first frame of a compressed message (RFC 7692 §6). */
  readonly rsv: number;
  /** 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. */
  readonly opcode: number;
  /** Four bytes; undefined = not masked. */
  readonly key: Buffer | undefined;
  /** Bytes of payload that follow. */
  readonly length: number;
}

const MAX_HEADER = 14;

/** Reads frame heads however the bytes are cut. After `broken` nothing more is read. */
export class FrameHeadReader {
  /** The bytes are not WebSocket frames. */
  broken = false;
  /** Set while `read` has completed a head that `next` did not put away. */
  head: FrameHead | undefined;
  readonly #bytes = Buffer.alloc(MAX_HEADER);
  #length = 0;
  #needed = 2;

  /** Reads on from `from`. @returns where the head ends, or the end of the chunk when more is needed. */
  read(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length && this.#length < this.#needed && !this.broken) {
      this.#bytes[this.#length++] = chunk[at++] as number;
      if (this.#length === 2) this.#firstBytes();
    }
    if (this.#length === this.#needed && !this.broken) this.#complete();
    return at;
  }

  /** Makes ready for the head of the next frame. */
  next(): void {
    this.head = undefined;
    this.#length = 0;
    this.#needed = 2;
  }

  #firstBytes(): void {
    const second = this.#bytes[1] as number;
    const short = second & 0x7f;
    this.#needed = 2 + (short === 127 ? 8 : short === 126 ? 2 : 0) + (second >= 0x80 ? 4 : 0);
    const opcode = (this.#bytes[0] as number) & 0x0f;
    // RFC 6455 §5.2: 3-7 and 11-15 are reserved; §5.5: a control frame is short and whole.
    const control = opcode >= 8;
    this.broken =
      (opcode > 2 && opcode < 8) || opcode > 10 || (control && (short > 125 || (this.#bytes[0] as number) < 0x80));
  }

  #complete(): void {
    const [first, second] = [this.#bytes[0] as number, this.#bytes[1] as number];
    const short = second & 0x7f;
    let length = short;
    if (short === 127) length = this.#bytes.readUInt32BE(2) * 0x100000000 + this.#bytes.readUInt32BE(6);
    else if (short === 126) length = this.#bytes.readUInt16BE(2);
    if (!Number.isSafeInteger(length)) {
      this.broken = true;
      return;
    }
    const key = second >= 0x80 ? Buffer.from(this.#bytes.subarray(this.#needed - 4, this.#needed)) : undefined;
    this.head = { fin: first >= 0x80, rsv: (first >> 4) & 7, opcode: first & 0x0f, key, length };
  }
}

/** XORs `bytes` in place with a masking key (RFC 6455 §5.3); `offset`: bytes of the payload before them. */
export function mask(bytes: Uint8Array, key: Uint8Array, offset: number): void {
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = (bytes[i] as number) ^ (key[(offset + i) & 3] as number);
  }
}
