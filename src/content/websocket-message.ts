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

/** Chunks that wait to be read, one after the other. */
export class Chunks {
  readonly #chunks: Buffer[] = [];
  /** Read of the first one. */
  at = 0;
  /** Bytes that wait. */
  length = 0;

  get first(): Buffer | undefined {
    return this.#chunks[0];
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  /** The first one has been read up to `end`. */
  read(end: number): void {
    this.length -= end - this.at;
    this.at = end;
    if (end < (this.first?.length ?? 0)) return;
    this.#chunks.shift();
    this.at = 0;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.at = 0;
    this.length = 0;
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
