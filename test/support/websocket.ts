import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, deflateRawSync } from 'node:zlib';

/** How one frame is to be written. */
export interface FrameForm {
  readonly fin?: boolean;
  /** RSV bits; 4 is RSV1. */
  readonly rsv?: number;
  /** Masking key; none = not masked. */
  readonly key?: Buffer;
}

/** One frame on the wire, written independently of the codec. */
export function wsFrame(opcode: number, payload: Uint8Array, { fin = true, rsv = 0, key }: FrameForm = {}): Buffer {
  const { length } = payload;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const masked = key === undefined ? 0 : 0x80;
  if (length < 126) head.push(masked | length);
  else if (length < 65_536) head.push(masked | 126, length >> 8, length & 255);
  else head.push(masked | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (length >>> shift) & 255));
  if (key === undefined) return Buffer.concat([Buffer.from(head), payload]);
  const hidden = payload.map((byte, i) => byte ^ (key[i & 3] as number));
  return Buffer.concat([Buffer.from(head), key, hidden]);
}

/** A message by itself, compressed (RFC 7692 §7.2.1). */
export function deflated(text: string | Uint8Array): Buffer {
  return deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

/** Compresses message after message, each with what was before as its dictionary. */
export class Deflater {
  readonly #deflate: DeflateRaw = createDeflateRaw();
  readonly #out: Buffer[] = [];

  constructor() {
    this.#deflate.on('data', (chunk: Buffer) => this.#out.push(chunk));
  }

  message(text: Uint8Array): Promise<Buffer> {
    return new Promise((resolve) => {
      this.#deflate.write(text);
      this.#deflate.flush(constants.Z_SYNC_FLUSH, () => {
        const all = Buffer.concat(this.#out.splice(0));
        resolve(all.subarray(0, -4));
      });
    });
  }
}

/** A frame as a receiver reads it, unmasked. */
export interface ReadFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv: number;
  readonly masked: boolean;
  readonly payload: Buffer;
}

/** All frames of a stream, read independently of the codec. Throws when the last one is not whole. */
export function wsFrames(bytes: Buffer): ReadFrame[] {
  const frames: ReadFrame[] = [];
  let at = 0;
  while (at < bytes.length) {
    const short = (bytes[at + 1] ?? 0) & 127;
    const needed = 2 + (short === 127 ? 8 : short === 126 ? 2 : 0) + ((bytes[at + 1] ?? 0) > 127 ? 4 : 0);
    if (at + needed > bytes.length) throw new Error('cut frame');
    const [first, second] = [bytes.readUInt8(at), bytes.readUInt8(at + 1)];
    let length = second & 127;
    at += 2;
    if (length === 126) {
      length = bytes.readUInt16BE(at);
      at += 2;
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(at));
      at += 8;
    }
    const masked = second > 127;
    const key = masked ? bytes.subarray(at, at + 4) : undefined;
    if (masked) at += 4;
    const raw = bytes.subarray(at, at + length);
    if (raw.length < length) throw new Error('cut frame');
    at += length;
    const payload = key === undefined ? raw : Buffer.from(raw.map((byte, i) => byte ^ (key[i & 3] as number)));
    frames.push({ opcode: first & 15, fin: first > 127, rsv: (first >> 4) & 7, masked, payload });
  }
  return frames;
}

/** What a receiver makes of frames: data messages decoded, control frames by themselves, in order of their last frame. */
export async function wsMessages(frames: readonly ReadFrame[], takeover = true): Promise<[number, Buffer][]> {
  const messages: [number, Buffer][] = [];
  let inflate = createInflateRaw();
  const out: Buffer[] = [];
  const listen = () => inflate.on('data', (chunk: Buffer) => out.push(chunk));
  listen();
  let open: { opcode: number; compressed: boolean; parts: Buffer[] } | undefined;
  for (const { opcode, fin, rsv, payload } of frames) {
    if (opcode >= 8) {
      messages.push([opcode, payload]);
      continue;
    }
    if ((opcode === 0) !== (open !== undefined)) throw new Error('a frame where none may stand');
    open ??= { opcode, compressed: rsv === 4, parts: [] };
    open.parts.push(payload);
    if (!fin) continue;
    let text: Buffer = Buffer.concat(open.parts);
    if (open.compressed) {
      if (!takeover) {
        inflate = createInflateRaw();
        listen();
      }
      text = await new Promise<Buffer>((resolve, reject) => {
        inflate.once('error', reject);
        inflate.write(Buffer.concat([text, Buffer.from([0, 0, 255, 255])]), () => {
          inflate.removeAllListeners('error');
          resolve(Buffer.concat(out.splice(0)));
        });
      });
    }
    messages.push([open.opcode, text]);
    open = undefined;
  }
  return messages;
}
