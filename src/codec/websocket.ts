import { type FrameHead, FrameHeadReader, mask } from './websocket-head.ts';

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

/**
 * Reads frames from one direction of a WebSocket, on a copy: the bytes themselves are relayed by someone else. A frame is
 * reported when it is complete. After `broken` nothing more is read.
 */
export class WebSocketReader {
  readonly #maxPayload: number;
  readonly #onFrame: (frame: WebSocketFrame) => void;
  readonly #heads = new FrameHeadReader();
  #seen = 0;
  #kept: Buffer = Buffer.alloc(0);

  /** `maxPayload`: bytes of one frame that are kept (1 MiB is plenty for inspection). */
  constructor(maxPayload: number, onFrame: (frame: WebSocketFrame) => void) {
    this.#maxPayload = maxPayload;
    this.#onFrame = onFrame;
  }

  /** The bytes are not WebSocket frames. */
  get broken(): boolean {
    return this.#heads.broken;
  }

  push(chunk: Buffer): void {
    const heads = this.#heads;
    let at = 0;
    while (at < chunk.length && !heads.broken) {
      if (heads.head === undefined) at = heads.read(chunk, at);
      const { head } = heads;
      if (head !== undefined) at = this.#payload(head, chunk, at);
    }
  }

  #payload(head: FrameHead, chunk: Buffer, from: number): number {
    const end = Math.min(chunk.length, from + head.length - this.#seen);
    const keep = Math.min(end - from, this.#maxPayload - this.#seen);
    if (keep > 0) this.#keep(head, chunk.subarray(from, from + keep));
    this.#seen += end - from;
    if (this.#seen === head.length) this.#finish(head);
    return end;
  }

  #keep({ length, key }: FrameHead, part: Buffer): void {
    const end = this.#seen + part.length;
    if (end > this.#kept.length) {
      // Grown as bytes come: an announced length costs nothing.
      const wanted = Math.min(length, this.#maxPayload);
      const grown = Buffer.alloc(Math.min(wanted, Math.max(end, this.#kept.length * 2)));
      this.#kept.copy(grown, 0, 0, this.#seen);
      this.#kept = grown;
    }
    this.#kept.set(part, this.#seen);
    if (key !== undefined) mask(this.#kept.subarray(this.#seen, end), key, this.#seen);
  }

  #finish({ fin, rsv, opcode, length }: FrameHead): void {
    const payload = this.#kept.subarray(0, Math.min(length, this.#maxPayload));
    this.#heads.next();
    this.#seen = 0;
    this.#kept = Buffer.alloc(0);
    this.#onFrame({ fin, compressed: (rsv & 4) !== 0, opcode, length, payload });
  }
}
