import { type FrameHead, mask } from '../codec/websocket-head.ts';

/** Pieces of chunks, in order. */
export class Spans {
  #parts: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(part: Buffer): void {
    if (part.length === 0) return;
    const last = this.#parts.at(-1);
    const joined = last === undefined ? undefined : adjoining(last, part);
    if (joined === undefined) this.#parts.push(part);
    else this.#parts[this.#parts.length - 1] = joined;
    this.#length += part.length;
  }

  /** Everything as one; nothing is left. */
  take(): Buffer {
    const all = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#length);
    this.#parts = [];
    this.#length = 0;
    return all;
  }
}

/** Both as one when they lie behind one another in memory: a frame that came in one chunk costs no copy. */
function adjoining(a: Buffer, b: Buffer): Buffer | undefined {
  if (a.buffer !== b.buffer || a.byteOffset + a.length !== b.byteOffset) return undefined;
  return Buffer.from(a.buffer, a.byteOffset, a.length + b.length);
}

/** A data message under way. */
export interface Message {
  /** 1 text, 2 binary. */
  readonly opcode: number;
  readonly compressed: boolean;
  /** `hold`: nothing of it has gone on. `raw`: its bytes go on as they come. `rewrite`: what it says goes on in frames of ours. */
  how: 'hold' | 'raw' | 'rewrite';
  /** Frames as they came. */
  readonly frames: Spans;
  /** What they say, decoded. */
  readonly plain: Spans;
}

/** What a part of a payload says: a copy where it is masked. `offset`: bytes of the payload before it. */
export function unmasked(part: Buffer, { key }: FrameHead, offset: number): Buffer {
  if (key === undefined) return part;
  const said = Buffer.from(part);
  mask(said, key, offset);
  return said;
}
